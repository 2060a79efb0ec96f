"""The IMAP servers of tests, each with many users, of whom every test takes one for itself."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count

from helpers.servers.cyrus import Cyrus
from helpers.servers.dovecot_imap import ImapDovecot
from helpers.servers.place import folder

KINDS = {"dovecot": ImapDovecot, "cyrus": Cyrus}
USERS = [f"user{i}@example.org" for i in range(40)]


@contextmanager
def running(kind, **options):
    """A server, with ``free_user()`` and ``url``."""
    with folder(kind) as own, KINDS[kind](own, USERS, **options) as server:
        numbers = count()
        server.free_user = lambda: USERS[next(numbers)]
        server.kind = kind
        server.url = f"imap://{server.imap}/"
        yield server
