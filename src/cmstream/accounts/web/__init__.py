"""The management interface on the web: pages for people, an HTTP API for machines.

``uvicorn --factory cmstream.accounts.web.app:create_app`` serves it, with its settings from the
environment (:mod:`cmstream.accounts.http.settings`). ``cmstream serve`` does the same and creates
the database too.
"""
