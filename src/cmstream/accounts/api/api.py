"""All operations of the HTTP API, and their routes."""

from __future__ import annotations

from .accounts import accounts
from .certificates import certificates
from .metrics import metrics
from .people import people
from .server import server

OPERATIONS = [*server, *metrics, *accounts, *certificates, *people]

routes = [
    route
    for subject in (server, metrics, people, certificates, accounts)
    for route in subject.routes
]
