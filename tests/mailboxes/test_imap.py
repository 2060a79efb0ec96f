"""Mailboxes on real IMAP servers: what a mail program sees before and after."""

from __future__ import annotations

import pytest

from helpers import imap_mail as mail
from helpers.servers.imap import running


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


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "journal.sqlite3"


def test_everything_but_the_text_is_kept(server, user, client, notes):
    mail.fill(client, "INBOX", 9)
    before = mail.filed(client)
    with mail.mailbox(server.url, user, notes) as box:
        assert mail.results(mail.sweep(box)) == ["replaced"] * 9
    after = mail.filed(client)
    assert all(mail.is_sealed(one.content) for one in after)
    assert mail.opened(after) == before
    with mail.mailbox(server.url, user, notes) as box:  # nothing is left to do
        assert [*box.folders()[0].messages()] == []
        assert mail.sweep(box) == []
    assert mail.filed(client) == after


def test_and_back(server, user, client, notes):
    mail.fill(client, "INBOX", 5)
    before = mail.filed(client)
    with mail.mailbox(server.url, user, notes) as box:
        mail.sweep(box, batch=2)
    notes.unlink()
    with mail.mailbox(server.url, user, notes) as box:
        assert mail.results(mail.sweep(box, make=mail.opened_content)) == ["replaced"] * 5
    assert mail.filed(client) == before
