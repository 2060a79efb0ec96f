"""A real Postfix hands mail to the gateway in each of its ways: several recipients, mixed answers,
what waits and what bounces."""

from __future__ import annotations

import re
from itertools import count

import pytest

from helpers.opening import open_message
from helpers.peers.openssl import OpenSSL
from helpers.servers.mail import (
    ALICE,
    BOB,
    CAROL,
    DORA,
    EVE,
    SEALED,
    SECRET,
    Cell,
    canonical,
    person_of,
)
from helpers.servers.place import wait
from helpers.servers.ways import POSTFIX, way

ONE_REPLY = ("before queue", "after queue smtp")
A_REPLY_EACH = ("postfix lmtp", "after queue lmtp")
PLUS = "Alice+boat@Example.org"
_numbers = count()


@pytest.fixture(scope="module")
def _running(request):
    with way(request.param) as made:
        yield made


@pytest.fixture
def openssl(tmp_path):
    return OpenSSL(tmp_path)


@pytest.fixture
def running(_running):
    yield _running
    _running.clear()


def by(*names):
    return pytest.mark.parametrize("_running", names, indirect=True, scope="module")


def message():
    return Cell(f"{next(_numbers)}@example.org", "text").message()


def in_the_clear(transaction):
    return SECRET in transaction.message


def opened(transaction, number):
    return open_message(transaction.message, person_of(number).key)[1]


def by_address(running):
    """What arrived for each address; the addresses of one transaction share it."""
    return {to: one for one in running.hop.transactions for to in one.addresses}


@by(*A_REPLY_EACH)
def test_each_account_gets_a_message_of_its_own(running):
    to = [CAROL, ALICE, PLUS, DORA, BOB]
    assert running.send(to, message()) == {}
    wait(lambda: by_address(running).keys() == set(to), tell=running.tell)
    arrived = by_address(running)
    assert {one: in_the_clear(arrived[one]) for one in to} == {one: one not in SEALED for one in to}
    assert SECRET in opened(arrived[ALICE], 0)
    assert SECRET in opened(arrived[DORA], 2)
    assert len({arrived[one].message for one in (ALICE, PLUS, DORA)}) >= 2


@by(*A_REPLY_EACH)
def test_one_without_a_certificate_delays_nobody_else(running):
    assert running.send([EVE, ALICE, BOB], message()) == {}
    assert "status=deferred" in running.server.status(EVE)
    wait(lambda: by_address(running).keys() == {ALICE, BOB}, tell=running.tell)
    (waiting,) = running.server.queue()
    assert [one["address"] for one in waiting["recipients"]] == [EVE]
    assert "4.3.0" in waiting["recipients"][0]["delay_reason"]


@by("postfix lmtp")
def test_each_recipient_gets_the_next_hops_answer(running):
    answers = {ALICE: "451 4.2.2 alice's is full", DORA: "550 5.2.1 dora is gone"}
    running.hop.answers["dot"] = dict(answers)
    running.hop.answers["RCPT"] = {CAROL: "550 5.1.1 no carol", PLUS: "450 4.2.1 not now"}
    to = [ALICE, BOB, CAROL, PLUS, DORA]
    assert running.send(to, message()) == {}
    found = {one: re.search(r"status=(\S+) \(.* said: (.*?) \(in", running.server.status(one))
             for one in to if one != BOB}  # fmt: skip
    assert {one: hit.groups() for one, hit in found.items()} == {
        ALICE: ("deferred", answers[ALICE]),
        DORA: ("bounced", answers[DORA]),
        CAROL: ("bounced", "550 5.1.1 no carol"),
        PLUS: ("deferred", "450 4.2.1 not now"),
    }
    assert "status=sent (250 2.0.0 taken)" in running.server.status(BOB)


@by("before queue")
def test_the_first_recipient_decides_whose_mail_may_come_along(running, openssl):
    """Accounts that are sealed for share one message; the others come again."""
    refused = running.send([ALICE, CAROL, PLUS, DORA, BOB, EVE], message())
    assert {one: reply[:9] for one, reply in refused.items()} == {
        CAROL: "452 4.5.3", BOB: "452 4.5.3", EVE: "451 4.3.0",
    }  # fmt: skip
    running.arrived()
    wait(lambda: by_address(running).keys() == {ALICE, PLUS, DORA}, tell=running.tell)
    assert not any(map(in_the_clear, running.hop.transactions))
    for number in (0, 2):
        assert SECRET in openssl.open(
            running.hop.transactions[0].message, person_of(number), "smime"
        )


@by("before queue")
def test_recipients_whose_mail_is_left_share_it(running):
    refused = running.send([BOB, ALICE, CAROL], message())
    assert [(one, reply[:9]) for one, reply in refused.items()] == [(ALICE, "452 4.5.3")]
    running.arrived()
    assert running.hop.transactions[0].addresses == [BOB, CAROL]
    assert in_the_clear(running.hop.transactions[0])


@by("after queue smtp")
def test_who_was_put_off_gets_it_from_the_queue(running):
    to = [ALICE, CAROL, DORA, BOB]
    assert running.send(to, message()) == {}
    wait(lambda: by_address(running).keys() == set(to), tell=running.tell)
    wait(lambda: not running.server.queue(), tell=running.tell)
    assert {one: in_the_clear(by_address(running)[one]) for one in to} == {
        ALICE: False, CAROL: True, DORA: False, BOB: True,
    }  # fmt: skip
    assert sorted(to) == sorted(to for one in running.hop.transactions for to in one.addresses)


@by(*POSTFIX)
def test_mail_waits_while_the_next_hop_is_away(running):
    """In the queue, or at the client where there is no queue before the gateway."""
    running.hop.stop()
    try:
        assert running.send([ALICE], message()) == {}
        running.server.logged(f"to=<{ALICE}>", "status=deferred")
    finally:
        running.hop.start()
    running.server.flush()
    running.arrived()
    assert not in_the_clear(running.hop.transactions[-1])
    wait(lambda: not running.server.queue(), tell=running.tell)


@by(*POSTFIX)
def test_mail_that_is_encrypted_already_is_left(running, openssl):
    sealed = openssl.seal(b"Content-Type: text/plain\r\n\r\nhidden\r\n", [person_of(0)], "smime")
    head = message().partition(b"MIME-Version")[0]
    whole = head + canonical(sealed)
    assert running.send([ALICE], whole) == {}
    (one,) = running.arrived()
    assert one.message.endswith(whole)


@by(*POSTFIX)
def test_delivery_status_wishes_arrive(running):
    """Behind a second Postfix they are that one's to hand on."""
    options = ["RET=HDRS", "ENVID=boat+2B1"]
    each = ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;captain@example.org"]
    assert running.send([ALICE], message(), options=options, each=each) == {}
    (one,) = running.arrived()
    assert b"RET=HDRS" in one.mail
    assert b"ENVID=boat+2B1" in one.mail
    assert b"NOTIFY=SUCCESS,FAILURE" in one.recipients[0].line
    assert b"ORCPT=rfc822;captain@example.org" in one.recipients[0].line


@by(*POSTFIX)
def test_addresses_in_utf8_arrive(running):
    sender, to = "grüße@example.net", "jürgen@example.org"
    options = ["SMTPUTF8", "BODY=8BITMIME"]
    for address in (ALICE, to):
        sent = message().replace(b"The boat", "Das große Boot".encode())
        assert running.send([address], sent, sender=sender, options=options) == {}
    first, second = sorted(running.arrived(2), key=lambda one: one.addresses)
    assert (first.addresses, second.addresses) == ([ALICE], [to])
    assert not in_the_clear(first)
    for one in (first, second):
        assert sender.encode() in one.mail
        assert b"SMTPUTF8" in one.mail
        assert "Subject: Das große Boot".encode() in one.message


@by(*POSTFIX)
def test_mail_from_sendmail_is_sealed_too(running):
    running.server.submit([ALICE], message().replace(b"\r\n", b"\n"))
    (one,) = running.arrived()
    assert SECRET in opened(one, 0)


@pytest.mark.slow
def test_the_log_names_postfixs_queue_id():
    settings = {"lmtp_send_xforward_command": "yes"}
    with way("postfix lmtp", "--xforward", main_cf=settings) as running:
        assert running.send([ALICE], message()) == {}
        (one,) = running.arrived()
        (line,) = running.gateway.logged("queue_id=")
        queue_id = re.search(r": (\w+): to=<", running.server.status(ALICE))[1]
        assert f"queue_id={queue_id}" in line
        assert one.session.xforward[b"IDENT"].decode() == queue_id


@pytest.mark.slow
@pytest.mark.parametrize("name", ["postfix lmtp"])
def test_what_the_next_hop_lacks_is_not_announced(name):
    """Or all mail would bounce there; with SMTPUTF8 missing, Postfix bounces what needs it."""
    with way(name) as running:
        running.hop.extensions = ("PIPELINING",)
        running.gateway.stop()
        running.gateway.start()
        for to in (ALICE, BOB):
            assert running.send([to], message(), options=["RET=HDRS"]) == {}
        running.arrived(2)
        for one in running.hop.transactions:
            assert not {b"RET", b"BODY"} & {word.split(b"=")[0] for word in one.mail.split()}
        options = ["SMTPUTF8"]
        running.send(["jürgen@example.org"], message(), options=options)
        running.server.logged("status=bounced", "SMTPUTF8")
