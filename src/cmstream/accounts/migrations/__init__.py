"""Alembic's folder: how a database of each earlier release becomes the present one."""
