"""Alice's store, Maildir and journal."""

from __future__ import annotations

import pytest

from helpers import mailboxes


@pytest.fixture
def store(sqlite_url, alice):
    with mailboxes.protected(sqlite_url, alice.recipient) as opened:
        yield opened


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "Maildir"
    mailboxes.make(made)
    return made


@pytest.fixture
def notes(tmp_path):
    """Where the journal is."""
    return tmp_path / "journal" / "mailboxes.sqlite3"


@pytest.fixture
def mine(store, root, notes, me):
    return mailboxes.Mine(store, root, notes, me)
