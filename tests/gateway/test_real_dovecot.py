"""A real Dovecot is the next hop: it takes what the gateway seals, and says no in its own words."""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest

from helpers.opening import open_message
from helpers.servers import postfix
from helpers.servers.client import Client
from helpers.servers.dovecot import Dovecot
from helpers.servers.gateway import Gateway
from helpers.servers.mail import (
    ALICE,
    BOB,
    DOMAINS,
    DORA,
    MESSAGES,
    SECRET,
    Cell,
    canonical,
    person_of,
    populated,
)
from helpers.servers.place import folder
from helpers.servers.postfix import Postfix

ZOE = "zoe@example.org"
USERS = [ALICE, BOB, DORA, ZOE]
SETTINGS = """\
recipient_delimiter = +
auth_username_format = %Lu
mail_plugins = quota
plugin {
  quota = maildir
  quota_rule = *:storage=2800K
  quota_grace = 0%%
}
"""


@pytest.fixture(scope="module")
def dovecot():
    with folder("dovecot") as own, Dovecot(own, USERS, settings=SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(dovecot):
    with folder("gateway") as own, ExitStack() as stack:
        made = Gateway(own, populated(own), f"lmtp:{dovecot.unix}")
        yield stack.enter_context(made)


@pytest.fixture(autouse=True)
def _empty(dovecot):
    for user in USERS:
        dovecot.doveadm("expunge", "-u", user, "mailbox", "INBOX", "all")


@pytest.fixture
def client(gateway):
    with Client(gateway.place, "lmtp") as made:
        yield made


def text(number=0):
    return Cell(f"{number}@example.org", "text").message()


def test_it_announces_what_dovecot_takes(client):
    """A wish that the next hop doesn't know would bounce."""
    assert {"8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING"} <= client.features
    assert not {"SMTPUTF8", "DSN", "BINARYMIME"} & client.features


def test_the_whole_path(dovecot, gateway):
    """Postfix, the gateway, Dovecot: the README's main way."""
    with folder("postfix") as own:
        way = postfix.lmtp(gateway.place)
        with Postfix(own, way, main_cf={"virtual_mailbox_domains": DOMAINS}) as server:
            to = ["Alice+boat@Example.org", BOB, "nobody@example.org"]
            assert server.send(to, text()) == {}
            assert "status=sent" in server.status(to[0])
            assert "status=bounced" in server.status("nobody@example.org")
            assert "User doesn't exist" in server.status("nobody@example.org")
            (sealed,), (left,) = dovecot.wait(ALICE), dovecot.wait(BOB)
    assert SECRET in open_message(sealed, person_of(0).key)[1]
    assert SECRET not in sealed
    assert left.endswith(text())
    # It names the recipient as the sender wrote it.
    assert b"Delivered-To: Alice+boat@Example.org" in sealed
    assert dovecot.doveadm("fetch", "-u", ALICE, "hdr.subject", "all").strip().endswith(b"The boat")


@pytest.mark.parametrize("kind", MESSAGES)
def test_what_is_stored_is_what_was_sent(dovecot, client, kind):
    sent = Cell(BOB, kind).message()
    (reply,) = client.send([BOB], sent).values()
    assert reply.startswith("250")
    (stored,) = dovecot.wait(BOB)
    # A lone LF comes as a line end too, whatever was sent.
    assert canonical(stored).rstrip(b"\r\n").endswith(canonical(sent).rstrip(b"\r\n"))


def test_each_answer_is_dovecots(dovecot, client):
    to = [ALICE, "nobody@example.org", BOB, "alice+x@example.org"]
    replies = client.send(to, text())
    assert [reply[:9] for reply in replies.values()] == [
        "250 2.0.0", "550 5.1.1", "250 2.0.0", "250 2.0.0",
    ]  # fmt: skip
    saved = [re.search("<(.*?)> (.*)", reply).groups() for one, reply in replies.items()
             if one != "nobody@example.org"]  # fmt: skip
    assert [(one, said.split()[-1]) for one, said in saved] == [
        (ALICE, "Saved"), (BOB, "Saved"), ("alice+x@example.org", "Saved"),
    ]  # fmt: skip


def test_a_full_mailbox_bounces_for_its_owner_alone(dovecot, client):
    """What counts is the sealed message, which is longer."""
    big = text() + (b"x" * 70 + b"\r\n") * 33000
    replies = client.send([DORA, ZOE], big)
    assert replies[ZOE].startswith("250")
    assert replies[DORA].startswith("552 5.2.2")
    assert dovecot.messages(DORA) == []


def test_a_restart_loses_nothing(dovecot, gateway):
    with Client(gateway.place, "lmtp") as client:
        dovecot.stop()
        try:
            assert client.send([ALICE], text())[ALICE].startswith("451 4.4.1")
        finally:
            dovecot.start()
        assert client.send([ALICE], text())[ALICE].startswith("250")
        assert client.quit().startswith("221")
    assert len(dovecot.messages(ALICE)) == 1
