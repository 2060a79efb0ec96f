"""A real Postfix asks the gateway as a milter: what it delivers, refuses and keeps."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from helpers.peers.openssl import OpenSSL
from helpers.servers import postfix
from helpers.servers.client import Client
from helpers.servers.gateway import Gateway
from helpers.servers.mail import ALICE, BOB, CAROL, DOMAINS, DORA, person_of, populated
from helpers.servers.next_hop import NextHop
from helpers.servers.place import folder, free, wait
from helpers.servers.postfix import Postfix

SECRET = b"third flower pot"
BODY = b"The key is under the %b.\r\n" % SECRET


class Setup:
    def __init__(self, hop, gateway, server, database, openssl):
        self.hop, self.gateway, self.server = hop, gateway, server
        self.database, self.openssl = database, openssl

    def sent(self, recipients, message, *, by="send", number=1):
        """Hands it in; gives who was refused, and the transactions in which it arrived."""
        before = len(self.hop.transactions)
        refused = getattr(self.server, by)(recipients, message)
        found = self.hop.wait(before + number, tell=self.tell)[before:]
        return refused or {}, found

    def opened(self, message, number=0):
        """What is inside, and the header outside."""
        assert SECRET not in message
        inside = self.openssl.open(message, person_of(number), "smime")
        assert inside is not None
        return inside, message.partition(b"\r\n\r\n")[0] + b"\r\n"

    def tell(self):
        return f"{self.gateway.log()}\n{self.server.log()}\n{self.server.queue()}"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    openssl = OpenSSL(tmp_path_factory.mktemp("openssl"))
    with folder("gateway") as own, folder("postfix") as other, NextHop("lmtp") as hop:
        database = populated(own)
        gateway = Gateway(own, database, listen=("milter",))
        way = postfix.milter(f"inet:{gateway.at['milter']}", hop)
        main = {"virtual_mailbox_domains": DOMAINS, "recipient_delimiter": "+"}
        with gateway, Postfix(other, way, main_cf=main) as server:
            yield Setup(hop, gateway, server, database, openssl)


def fields(head):
    """Names and values of a header block, without those that servers wrote on top."""
    found = re.split(rb"\r\n(?![ \t])", head.removesuffix(b"\r\n"))
    return [one for one in found if not one.startswith((b"Received:", b"Message-Id:", b"Date:"))]


# --- what arrives ----------------------------------------------------------------------------

ENTITY = [
    b"MIME-Version: 1.0",
    b'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"',
    b"Content-Transfer-Encoding: base64",
    b'Content-Disposition: attachment; filename="smime.p7m"',
]


@pytest.mark.parametrize(
    ("head", "outside", "inside"),
    [
        (
            b"From: b@x\r\ncontent-type: text/plain;\r\n charset=x\r\nX-A: 1\r\n\t2\r\n%bX-A: 3\r\n"
            % b"Content-Language: de\r\nmime-version: 1.0\r\nCONTENT-TYPE: text/html\r\n",
            [b"From: b@x", b"X-A: 1\r\n\t2", b"X-A: 3"],
            b"content-type: text/plain;\r\n charset=x\r\n%bCONTENT-TYPE: text/html\r\n"
            % b"Content-Language: de\r\n",
        ),
        (b"From: b@x\r\n", [b"From: b@x"], b""),
        (
            b"From: b@x\r\nContent-Type:text/plain\r\nContent-X:\r\nX:\r\nY:z\r\nZ: \r\nX: a\r\n",
            [b"From: b@x", b"X:", b"Y:z", b"Z: ", b"X: a"],
            b"Content-Type:text/plain\r\nContent-X:\r\n",
        ),
    ],
)
def test_header_fields_of_all_kinds(running, head, outside, inside):
    _, (one,) = running.sent([ALICE], head + b"\r\n" + BODY)
    content, outer = running.opened(one.message)
    assert content == inside + b"\r\n" + BODY
    assert fields(outer) == [*outside, *ENTITY]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"x\r\n" * 70_000,
        b"\xe4\xff\x80\r\n",
        b"y" * 70_000 + b"\r\n",
        b"\r\n.\r\n..\r\n",
    ],
)
def test_bodies_of_all_kinds(running, body):
    _, (one,) = running.sent([ALICE], b"From: b@x\r\nContent-Type: text/plain\r\n\r\n" + body)
    content, _ = running.opened(one.message)
    assert content == b"Content-Type: text/plain\r\n\r\n" + body


def test_a_header_alone(running):
    _, (one,) = running.sent([ALICE], b"From: b@x\r\nSubject: no more\r\n")
    content, outer = running.opened(one.message)
    assert content == b"\r\n"
    assert fields(outer) == [b"From: b@x", b"Subject: no more", *ENTITY]


@pytest.mark.slow
def test_a_long_message(running):
    body = BODY * 1_000_000
    _, (one,) = running.sent([ALICE], b"From: b@x\r\n\r\n" + body)
    assert running.opened(one.message)[0] == b"\r\n" + body


def test_what_comes_from_sendmail(running):
    _, (one,) = running.sent([ALICE], b"From: b@x\n\n" + BODY.replace(b"\r\n", b"\n"), by="submit")
    assert running.opened(one.message)[0] == b"\r\n" + BODY
    _, (one,) = running.sent(["-t"], b"To: info@example.org\n\n" + BODY[:-2], by="submit")
    assert running.opened(one.message)[0] == b"\r\n" + BODY


def test_several_messages_over_one_connection(running):
    message = b"From: b@x\r\n\r\n" + BODY
    before = len(running.hop.transactions)
    with Client(running.server.place) as client:
        for to in ([ALICE], [CAROL], [ALICE, DORA], [BOB], ["Alice+boat@Example.org"]):
            client.send(to, message)
        for line in ("MAIL FROM:<bob@example.net>", f"RCPT TO:<{ALICE}>", "RSET"):
            client.command(line)
        client.send([DORA], message)
    found = running.hop.wait(before + 6, tell=running.tell)[before:]
    sealed = {tuple(one.addresses): SECRET not in one.message for one in found}
    assert sealed == {
        (ALICE,): True, (CAROL,): False, (ALICE, DORA): True, (BOB,): False,
        ("Alice+boat@Example.org",): True, (DORA,): True,
    }  # fmt: skip


# --- several recipients ----------------------------------------------------------------------


def test_one_message_for_two_accounts(running):
    refused, (one,) = running.sent([ALICE, DORA], b"From: b@x\r\n\r\n" + BODY)
    assert refused == {}
    assert one.addresses == [ALICE, DORA]
    assert running.opened(one.message, 0)[0] == running.opened(one.message, 2)[0] == b"\r\n" + BODY


def test_others_are_told_to_come_back(running):
    message = b"From: b@x\r\n\r\n" + BODY
    refused, (one,) = running.sent([CAROL, ALICE, BOB, DORA], message)
    assert {to: reply[:9] for to, reply in refused.items()} == dict.fromkeys(
        [ALICE, DORA], "452 4.5.3"
    )
    assert ({*one.addresses}, SECRET in one.message) == ({CAROL, BOB}, True)
    refused, (one,) = running.sent(list(refused), message)
    assert refused == {}
    assert running.opened(one.message)[0] == b"\r\n" + BODY


def test_what_sendmail_gives_in_for_both_kinds_bounces(running):
    running.server.submit([ALICE, "carol+x@example.org"], b"From: b@x\n\nx\n")
    status = running.server.status("carol+x@example.org")
    assert "status=bounced" in status
    assert "dsn=5.5.3" in status
    wait(lambda: running.server.queue() == [], tell=running.tell)


def test_where_postfix_writes_an_address_anew(running):
    """It is looked up as it will be delivered."""
    _, (one,) = running.sent(["@relay.example.net:alice@example.org"], b"From: b@x\r\n\r\n" + BODY)
    assert one.addresses == [ALICE]
    assert running.opened(one.message)[0] == b"\r\n" + BODY


def after_the_queue(milter, back, hop):
    """A second smtpd asks the milter, for one recipient at a time, once aliases are resolved."""
    way = postfix.milter(f"inet:{milter}", hop)
    main = {
        "smtpd_milters": "",
        "non_smtpd_milters": "",
        "content_filter": f"once:[{back.host}]:{back.port}",
        "once_destination_recipient_limit": "1",
        "virtual_alias_maps": f"inline:{{{{team@example.org={ALICE},{CAROL}}}}}",
    }
    options = {
        "content_filter": "",
        "receive_override_options": "no_address_mappings,no_unknown_recipient_checks",
        "smtpd_milters": f"inet:{milter}",
    }
    words = "".join(f" -o {name}={value}" for name, value in options.items())
    return postfix.Way(
        way.main_cf | main, ("once unix - - n - - smtp", f"{back} inet n - n - - smtpd{words}")
    )


@pytest.mark.slow
def test_after_the_queue_each_recipient_gets_what_is_right(tmp_path):
    """An alias of Postfix's leads to whom it leads, and sendmail(1) may name both kinds."""
    with folder("gateway") as own, folder("postfix") as other, NextHop("lmtp") as hop:
        gateway = Gateway(own, populated(own), listen=("milter",))
        way = after_the_queue(gateway.at["milter"], free(), hop)
        with gateway, Postfix(other, way, main_cf={"virtual_mailbox_domains": DOMAINS}) as server:
            made = Setup(hop, gateway, server, "", OpenSSL(tmp_path))
            for to, by in (["team@example.org"], "send"), ([ALICE, CAROL], "submit"):
                _, found = made.sent(to, b"From: b@x\n\n" + BODY, by=by, number=2)
                got = {tuple(one.addresses): one.message for one in found}
                assert got.keys() == {(ALICE,), (CAROL,)}
                assert made.opened(got[ALICE,])[0] == b"\r\n" + BODY
                assert SECRET in got[CAROL,]


# --- what goes wrong -------------------------------------------------------------------------


def refused(running, recipient):
    """How a reply to a message for somebody begins."""
    return running.server.send([recipient], b"From: b@x\r\n\r\n" + BODY)[recipient][:9]


def test_an_account_without_a_certificate(running):
    assert refused(running, "eve@example.org") == "451 4.3.0"


def test_a_store_that_is_away(running):
    path = Path(running.database.removeprefix("sqlite:///"))
    path.rename(path.with_suffix(".away"))
    try:
        time.sleep(1)
        assert refused(running, ALICE) == "451 4.3.0"
        assert refused(running, CAROL) == "451 4.3.0"
    finally:
        path.with_suffix(".away").rename(path)
    wait(lambda: running.sent([ALICE], b"From: b@x\r\n\r\n" + BODY)[0] == {}, tell=running.tell)


@pytest.mark.parametrize(
    "moment", [pytest.param("before the body", marks=pytest.mark.slow), "in the body"]
)
def test_a_milter_that_dies(running, moment):
    with Client(running.server.place) as client:
        client.command("MAIL FROM:<bob@example.net>")
        assert client.command(f"RCPT TO:<{ALICE}>").startswith("250")
        if moment == "before the body":
            running.gateway.kill()
            answer = client.command("DATA")
        else:
            assert client.command("DATA").startswith("354")
            answer = _killed_in_the_body(running, client)
        assert answer[:9] == "451 4.7.1"
    assert refused(running, ALICE) == "451 4.7.1"
    running.gateway.start()
    _, (one,) = running.sent([ALICE], b"From: b@x\r\n\r\n" + BODY)
    assert running.opened(one.message)[0] == b"\r\n" + BODY
    assert running.server.queue() == []


def _killed_in_the_body(running, client):
    """It is held up, so that the server has all of the message, and it has a part."""
    running.gateway.process.send_signal(signal.SIGSTOP)
    before = running.server.log().count("message-id=")
    client.say(b"From: b@x\r\n\r\n" + BODY * 20_000 + b".")
    running.server.logged("message-id=", number=before + 1)
    running.gateway.kill()
    return client.reply()
