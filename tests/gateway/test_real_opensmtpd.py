"""A real OpenSMTPD hands mail to the gateway: by SMTP, by its own program for LMTP, and by LMTP as
a relay, which it does badly."""

from __future__ import annotations

import functools

import pytest

from helpers.peers.openssl import OpenSSL
from helpers.servers.mail import ALICE, BOB, CAROL, DORA, EVE, MESSAGES, SECRET, Cell, person_of
from helpers.servers.opensmtpd import OpenSMTPD
from helpers.servers.place import wait
from helpers.servers.relayed import body, compared, relayed

TO = [CAROL, ALICE, DORA, BOB, EVE]
SMTP = functools.partial(OpenSMTPD.relay, protocol="smtp"), "smtp"
ACTION = OpenSMTPD.deliver, "lmtp"
RELAY = OpenSMTPD.relay, "lmtp"


@pytest.fixture
def running(request):
    with relayed(*request.param) as made:
        yield made


def by(*ways):
    return pytest.mark.parametrize("running", ways, indirect=True)


def text():
    return Cell(ALICE, "text").message()


@by(SMTP, pytest.param(ACTION, marks=pytest.mark.slow))
def test_what_is_opened_is_what_it_handed_on(running, tmp_path):
    found = compared(running, OpenSSL(tmp_path))
    assert {kind for kind, (opened, left) in found.items() if opened != left} == set()
    sent = {kind: body(Cell(ALICE, kind).message()) for kind in MESSAGES}
    assert {kind for kind, (opened, _) in found.items() if opened != sent[kind]} == set()
    if running.name == "smtp":  # it takes a goodbye without an answer for a failure
        running.server.logged("mta disconnected reason=quit")


@by(SMTP)
def test_who_was_put_off_gets_it_with_the_next_try(running, tmp_path):
    assert running.send(TO, text()) == {}
    first = running.arrived()[0]
    running.server.logged('result="TempFail"', "452 4.5.3")
    wait(lambda: (running.server.flush(), len(running.hop.transactions) >= 2)[1], tell=running.tell)
    groups = sorted(sorted(one.addresses) for one in running.hop.transactions)
    assert groups == [[ALICE, DORA], [BOB, CAROL]]
    sealed = next(one for one in running.hop.transactions if ALICE in one.addresses)
    for number in (0, 2):
        assert SECRET in OpenSSL(tmp_path).open(sealed.message, person_of(number), "smime")
    running.server.logged(EVE, "451 4.3.0")
    assert first.taken


@by(ACTION)
def test_its_own_program_takes_each_recipient_alone(running):
    """What is permanent counts as temporary for it."""
    running.hop.answers["dot"] = {DORA: "451 4.2.2 full", BOB: "550 5.2.1 gone"}
    assert running.send(TO, text()) == {}
    for to, told in ((CAROL, "result=Ok"), (ALICE, "result=Ok"), (DORA, "451 4.2.2 full"),
                     (BOB, "550 5.2.1 gone"), (EVE, "451 4.3.0")):  # fmt: skip
        running.server.logged(f"to=<{to}>", told)
    running.server.logged(f"to=<{BOB}>", "result=TempFail")
    assert {len(one.addresses) for one in running.hop.transactions} == {1}


@pytest.mark.slow
@by(RELAY)
def test_as_an_lmtp_relay_it_takes_answers_that_come_together_for_an_error(running):
    """Then what was delivered is sent again: the README says to use one of the others."""
    assert running.send([CAROL, ALICE], text()) == {}
    running.server.logged("Remote host sent too much data")
    assert running.hop.to(CAROL)
    assert running.hop.to(ALICE)
    running.server.logged('result="TempFail"')


@pytest.mark.slow
@by((*RELAY, "--recipient-limit", "1"))
def test_with_one_recipient_at_a_time_it_is_right(running):
    assert running.send([CAROL, ALICE, DORA], text()) == {}
    wait(lambda: (running.server.flush(), len(running.hop.transactions) >= 3)[1], tell=running.tell)
    assert sorted(one.addresses for one in running.hop.transactions) == [[ALICE], [CAROL], [DORA]]
    assert "too much data" not in running.server.log()
