"""The servers that tests of the gateway run, each by itself: a message goes through."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import ExitStack

import pytest
import trustme

from helpers.servers import postfix
from helpers.servers.conversation import DROP
from helpers.servers.dovecot import Dovecot
from helpers.servers.exim import Exim
from helpers.servers.haraka import Haraka
from helpers.servers.load import SmtpSink, smtp_source, swaks
from helpers.servers.next_hop import NextHop
from helpers.servers.opensmtpd import OpenSMTPD
from helpers.servers.place import folder, wait
from helpers.servers.postfix import Postfix

ALICE = "alice@example.org"
MAIL = (
    b"From: Bob <bob@example.net>\r\nTo: Alice <alice@example.org>\r\nSubject: The boat\r\n"
    b"Date: Mon, 23 Nov 2026 10:30:07 +0100\r\nMessage-ID: <1@example.net>\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    b"The key is under the third flower pot.\r\n.\r\n  \xc3\xa4\r\n"
)


@pytest.fixture(scope="module")
def dovecot():
    with folder("dovecot") as own, Dovecot(own, [ALICE]) as server:
        yield server


def test_postfix_delivers_to_dovecot(dovecot):
    with folder("postfix") as own, Postfix(own, postfix.lmtp(dovecot.place)) as server:
        assert server.send([ALICE], MAIL) == {}
        assert "status=sent" in server.status(ALICE)
        (message,) = dovecot.wait(ALICE)
        assert message.endswith(MAIL)
        assert b"third flower pot" in dovecot.doveadm("fetch", "-u", ALICE, "text", "all")
        assert server.queue() == []


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_the_next_hop_writes_down_what_it_is_given(protocol):
    with NextHop(protocol) as hop:
        smtp_source(hop.place, messages=20, sessions=3, recipients=2, lmtp=protocol == "lmtp")
        assert len(hop.wait(20)) == 20
        assert {len(one.taken) for one in hop.transactions} == {2}
        assert min(one.size for one in hop.transactions) > 4096


def test_the_next_hop_undoes_the_stuffing():
    with NextHop("smtp") as hop, smtplib.SMTP(*hop.place) as client:
        for number, message in enumerate((MAIL, b".\r\n..\r\n.x\r\n", b"\r\n"), 1):
            client.sendmail("bob@example.net", [ALICE], message)
            assert hop.wait(number)[-1].message == message


def test_the_next_hop_answers_as_it_is_told():
    replies = {"RCPT": {"carol@example.org": "550 5.1.1 nobody"}, "dot": {ALICE: "451 4.2.0 later"}}
    to = f"{ALICE},carol@example.org,bob@example.org"
    with NextHop("lmtp", answers=replies) as hop:
        done = swaks(hop.place, to=to, protocol="LMTP")
        assert b"<** 550 5.1.1 nobody" in done.stdout
        assert b"<** 451 4.2.0 later" in done.stdout
        assert hop.transactions[0].taken == ["bob@example.org"]


def test_the_next_hop_drops_the_connection():
    for event in ("connect", "EHLO", "MAIL", "RCPT", "DATA", "body", "dot"):
        with NextHop("smtp", answers={event: DROP}) as hop:
            assert swaks(hop.place).returncode != 0, event
            assert not [one for one in hop.transactions if one.taken]


def test_the_next_hop_speaks_tls():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    for implicit, option in ((False, "--tls"), (True, "--tls-on-connect")):
        with NextHop("smtp", tls=server, implicit=implicit) as hop:
            done = swaks(hop.place, option)
            assert done.returncode == 0, done.stdout
            assert b"=== TLS started" in done.stdout
            assert len(hop.transactions) == 1


def test_the_sink_takes_what_the_source_gives():
    with SmtpSink() as sink:
        smtp_source(sink.place, messages=50, sessions=2)
    with SmtpSink("lmtp") as sink:
        smtp_source(sink.place, messages=50, sessions=2, lmtp=True)


@pytest.fixture
def sender(request):
    """One of the servers, which sends all mail to a next hop."""
    with ExitStack() as stack:
        own = stack.enter_context(folder(request.param.__name__.lower()))
        hop = stack.enter_context(NextHop("lmtp"))
        make = getattr(request.param, "relay", request.param)
        yield stack.enter_context(make(own, hop.place)), hop


@pytest.mark.parametrize("sender", [Exim, OpenSMTPD, Haraka], indirect=True)
def test_it_delivers_and_tries_again(sender):
    server, hop = sender
    hop.answers["dot"] = {ALICE: "451 4.2.0 not yet"}
    assert server.send([ALICE], MAIL) == {}
    assert not hop.wait(tell=server.log)[0].taken
    hop.answers.clear()
    if hasattr(server, "flush"):
        server.flush()
    wait(lambda: hop.to(ALICE), tell=server.log)
    assert hop.to(ALICE)[0].message.endswith(MAIL.partition(b"\r\n\r\n")[2])
