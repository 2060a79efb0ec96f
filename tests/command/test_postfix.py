"""A real Postfix delivers through ``cmstream seal``: sealed, untouched, or deferred."""

from __future__ import annotations

import shutil

import pytest

from cmstream.accounts import open_store
from helpers.accounts.mail_server import USER, SealingPostfix
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.authorities import rsa_identity
from helpers.opening import open_message
from helpers.servers import place

ALICE, BOB = "alice@example.org", "bob@example.org"
MAIL = (
    b"From: Bob <bob@example.net>\r\nTo: Alice <alice@example.org>\r\nSubject: The boat\r\n"
    b"Date: Mon, 23 Nov 2026 10:30:07 +0100\r\nMessage-ID: <1@example.net>\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    b"The key is under the third flower pot.\r\n.\r\n  \xc3\xa4\r\nFrom now on\r\n"
)
PLAIN = b"third flower pot"


@pytest.fixture(scope="module")
def folder():
    with place.folder("postfix") as made:
        yield made


@pytest.fixture(scope="module")
def database(folder, _sqlite_template):
    """A file that the pipe's user may read; SQLite keeps two more beside it."""
    place = folder / "store"
    place.mkdir()
    path = place / "accounts.sqlite3"
    shutil.copyfile(_sqlite_template, path)
    with open_store(f"sqlite:///{path}") as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        store.import_certificates(ALICE, pem(), by=ADMINISTRATOR)
        store.change_account(ALICE, cipher="aes256-cbc", by=ADMINISTRATOR)
    for one in (place, *place.iterdir()):
        shutil.chown(one, USER)
    return path


@pytest.fixture(scope="module")
def postfix(folder, database):
    with SealingPostfix(folder, f"sqlite:///{database}") as server:
        yield server


def delivered(stored):
    """The message without what the servers on its way wrote on top of it."""
    text = stored.replace(b"\r\n", b"\n")
    return text[text.index(b"From: Bob") :]


def test_sealed_for_an_address_that_is_protected(postfix):
    postfix.send(["Alice+boat@example.org"], MAIL)
    assert "status=sent" in postfix.status("Alice+boat@example.org")
    stored = postfix.mailbox("Alice+boat@example.org").read_bytes()
    assert PLAIN not in stored
    head, inside = open_message(stored, rsa_identity()[0])
    assert b"Subject: The boat" in head
    assert b"Delivered-To: Alice+boat@example.org" in head
    assert inside.partition(b"\r\n\r\n")[2] == MAIL.partition(b"\r\n\r\n")[2]


def test_untouched_for_another(postfix):
    postfix.send([BOB], MAIL)
    assert "status=sent" in postfix.status(BOB)
    assert delivered(postfix.mailbox(BOB).read_bytes()) == MAIL.replace(b"\r\n", b"\n")


def test_two_recipients_get_one_message_each(postfix):
    with_two = MAIL.replace(b"The boat", b"Two boats")
    for recipient in ("alice@example.org", "carol@example.org"):
        postfix.send([recipient], with_two)
    assert "status=sent" in postfix.status("alice@example.org")
    assert "status=sent" in postfix.status("carol@example.org")
    assert PLAIN not in postfix.mailbox("alice@example.org").read_bytes()
    assert PLAIN in postfix.mailbox("carol@example.org").read_bytes()


def test_deferred_while_the_store_is_away_and_sealed_when_it_is_back(postfix, database):
    to = "alice+later@example.org"
    away = database.parent.rename(database.parent.with_name("away"))
    try:
        postfix.send([to], MAIL)
        status = postfix.status(to)
        assert "status=deferred" in status
        assert "dsn=4." in status
        assert "there is no database" in status
        assert not postfix.mailbox(to).exists()
        (waiting,) = postfix.queue()
        assert waiting["recipients"][0]["address"] == to
    finally:
        away.rename(database.parent)
    postfix.flush()
    assert "status=sent" in postfix.status(to, 2)
    assert PLAIN in open_message(postfix.mailbox(to).read_bytes(), rsa_identity()[0])[1]
    assert postfix.queue() == []
