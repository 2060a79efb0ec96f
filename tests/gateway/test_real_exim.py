"""A real Exim hands mail to the gateway."""

from __future__ import annotations

import functools

import pytest

from helpers.peers.openssl import OpenSSL
from helpers.servers.exim import Exim
from helpers.servers.mail import (
    ALICE,
    BOB,
    CAROL,
    DORA,
    EVE,
    MESSAGES,
    SECRET,
    Cell,
    canonical,
    person_of,
)
from helpers.servers.place import wait
from helpers.servers.relayed import body, compared, relayed

TO = [CAROL, ALICE, DORA, BOB, EVE]


@pytest.fixture
def running(request):
    with relayed(functools.partial(Exim, protocol=request.param), request.param) as made:
        yield made


def by(*protocols):
    return pytest.mark.parametrize("running", protocols, indirect=True)


def text():
    return Cell(ALICE, "text").message()


@by("lmtp", pytest.param("smtp", marks=pytest.mark.slow))
def test_what_is_opened_is_what_it_handed_on(running, tmp_path):
    found = compared(running, OpenSSL(tmp_path))
    assert {kind for kind, (opened, left) in found.items() if opened != left} == set()
    sent = {kind: body(Cell(ALICE, kind).message()) for kind in MESSAGES}
    changed = {kind for kind, (opened, _) in found.items() if opened != sent[kind]}
    assert changed <= {"bare LF"}  # a space, in its hands


@by("lmtp")
def test_it_reads_each_answer(running):
    running.hop.answers["dot"] = {DORA: "451 4.2.2 full", BOB: "550 5.2.1 gone"}
    assert running.send(TO, text()) == {}
    running.server.logged("=> " + CAROL, "250 2.0.0 taken")
    running.server.logged("-> " + ALICE, "250 2.0.0 taken")
    running.server.logged("== " + DORA, "451 4.2.2 full")
    running.server.logged("** " + BOB, "550 5.2.1 gone")
    running.server.logged("== " + EVE, "451 4.3.0")
    running.hop.answers.clear()
    running.server.flush()
    wait(lambda: running.hop.to(DORA), tell=running.tell)
    once = {one: len(running.hop.to(one)) for one in (ALICE, CAROL, DORA)}
    assert once == {ALICE: 1, CAROL: 1, DORA: 1}


@by("smtp")
def test_it_sends_again_at_once_for_whom_it_was_put_off(running, tmp_path):
    """Only because the gateway doesn't announce CHUNKING here."""
    assert running.send(TO, text()) == {}
    first, second = running.arrived(2)
    assert (first.addresses, second.addresses) == ([CAROL, BOB], [ALICE, DORA])
    for number in (0, 2):
        assert SECRET in OpenSSL(tmp_path).open(second.message, person_of(number), "smime")
    assert SECRET in first.message
    running.server.logged("== " + EVE, "451 4.3.0")
    assert canonical(first.message).endswith(text())


@pytest.mark.slow
@by("lmtp", "smtp")
def test_a_lost_connection_is_no_loss(running):
    """Nothing is given on twice where the answer came."""
    running.hop.answers["dot"] = lambda *_: "drop the connection"
    assert running.send([ALICE], text()) == {}
    running.server.logged("== " + ALICE, "4")
    running.hop.answers.clear()
    running.server.flush()
    wait(lambda: running.hop.to(ALICE), tell=running.tell)
    assert SECRET not in running.hop.to(ALICE)[0].message
