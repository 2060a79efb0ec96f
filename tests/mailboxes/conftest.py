"""Alice's store, Maildir, journal and key, the command, and IMAP servers."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cmstream.command.cli import main
from helpers import mailboxes
from helpers.servers.imap import running


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


@pytest.fixture
def cmstream(store, sqlite_url, notes, monkeypatch, capsys):
    """Runs the command; gives its exit code, and what it said."""
    monkeypatch.setenv("CMSTREAM_DATABASE", sqlite_url)
    monkeypatch.setattr("cmstream.command.mailbox.step_back", lambda: None)
    monkeypatch.chdir(notes.parent.parent)

    def run(action, *words):
        try:
            code = main(["mailbox", action, "--journal", str(notes), *map(str, words)])
        except SystemExit as ending:
            code = ending.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def key(alice, tmp_path):
    path = tmp_path / "alice.key.pem"
    shape = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    path.write_bytes(alice.key.private_bytes(*shape))
    path.with_name("alice.pem").write_bytes(alice.recipient.pem)
    return path


@pytest.fixture(scope="module", params=["dovecot", "cyrus"])
def server(request):
    with running(request.param) as made:
        yield made


@pytest.fixture
def user(server):
    return server.free_user()


@pytest.fixture
def client(server, user):
    with server.client(user) as made:
        yield made
