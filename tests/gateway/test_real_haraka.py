"""A real Haraka hands mail to the gateway: by SMTP, and by LMTP, whose answers it mixes up."""

from __future__ import annotations

import functools

import pytest

from helpers.peers.openssl import OpenSSL
from helpers.servers.haraka import Haraka
from helpers.servers.mail import ALICE, BOB, CAROL, DORA, MESSAGES, SECRET, Cell
from helpers.servers.place import wait
from helpers.servers.relayed import body, compared, relayed


@pytest.fixture
def running(request):
    protocol, *options = request.param
    with relayed(functools.partial(Haraka, protocol=protocol), protocol, *options) as made:
        yield made


def by(*ways):
    return pytest.mark.parametrize("running", ways, indirect=True)


def text():
    return Cell(ALICE, "text").message()


@by(["smtp"], pytest.param(["lmtp"], marks=pytest.mark.slow))
def test_what_is_opened_is_what_it_handed_on(running, tmp_path):
    found = compared(running, OpenSSL(tmp_path), without=["bare LF"])  # it takes none
    assert {kind for kind, (opened, left) in found.items() if opened != left} == set()
    sent = {kind: body(Cell(ALICE, kind).message()) for kind in MESSAGES}
    assert {kind for kind, (opened, _) in found.items() if opened != sent[kind]} == set()


@pytest.mark.slow
@by(["smtp"])
def test_who_was_put_off_gets_it_with_the_next_try(running):
    assert running.send([CAROL, ALICE, DORA, BOB], text()) == {}
    first, second = running.arrived(2)
    assert (first.addresses, second.addresses) == ([CAROL, BOB], [ALICE, DORA])
    assert SECRET in first.message
    assert SECRET not in second.message


@pytest.mark.slow
@by(["lmtp"])
def test_it_gives_answers_to_the_wrong_recipients(running):
    """A copy too many and a bounce that is none: the README says to use SMTP."""
    running.hop.answers["dot"] = {ALICE: "451 4.2.2 full", BOB: "550 5.2.1 gone"}
    assert running.send([CAROL, ALICE, BOB], text()) == {}
    running.server.logged(f"recipient <{CAROL}> deferred: 451")
    running.server.logged(f"recipient <{ALICE}> rejected: 550")


@pytest.mark.slow
@by(["lmtp", "--recipient-limit", "1"])
def test_with_one_recipient_at_a_time_it_is_right(running):
    running.hop.answers["dot"] = {ALICE: "451 4.2.2 full"}
    assert running.send([CAROL, ALICE], text()) == {}
    running.server.logged(f"recipient <{ALICE}> deferred: 452")
    running.server.logged(f"recipient <{ALICE}> deferred: 451 4.2.2 full")
    running.hop.answers.clear()
    wait(lambda: running.hop.to(ALICE), tell=running.tell)
    assert (len(running.hop.to(CAROL)), len(running.hop.to(ALICE))) == (1, 1)
