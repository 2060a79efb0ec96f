"""Every kind of message for every kind of account by every way: what arrives opens with OpenSSL to
the message, or is the message."""

from __future__ import annotations

import pytest

from helpers.peers.openssl import OpenSSL
from helpers.servers.mail import (
    ALICE,
    BOB,
    LEFT,
    LOOK_ALIKE,
    MESSAGES,
    SEALED,
    SECRET,
    Cell,
    canonical,
    inner,
    mark_of,
    person_of,
)
from helpers.servers.place import wait
from helpers.servers.ways import CLIENTS, POSTFIX, way

CELLS = [Cell(address, kind) for address in (*SEALED, *LEFT) for kind in MESSAGES]


def wrong(cell, arrived, openssl, as_it_is):
    """What is wrong with what has come; None if nothing is."""
    sent, number = cell.message(), SEALED.get(cell.address)
    if number is None:
        want = sent if as_it_is else canonical(sent)
        # A message of header fields alone may get its empty line.
        return None if arrived.endswith((want, want + b"\r\n")) else ("left", arrived)
    if SECRET in arrived:
        return "in the clear", arrived
    opened = openssl.open(arrived, person_of(number), "smime")
    if opened is None:
        return "not to be opened", arrived
    return None if canonical(opened) == inner(sent) else ("other content", opened)


QUICK = (*CLIENTS, "postfix lmtp", "milter")
WAYS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in (*CLIENTS, *POSTFIX)]  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_every_message_arrives_for_every_account(name, tmp_path):
    openssl = OpenSSL(tmp_path)
    with way(name) as running:
        for cell in CELLS:
            assert running.send([cell.address], cell.message()) == {}, running.tell()
        wait(lambda: len(running.hop.transactions) >= len(CELLS), tell=running.tell)
        arrived = {mark_of(one.message): one for one in running.hop.transactions}
    assert len(running.hop.transactions) == len(CELLS)
    found = {cell: wrong(cell, arrived[cell.mark].message, openssl, name in CLIENTS)
             for cell in CELLS}  # fmt: skip
    assert {cell: told for cell, told in found.items() if told} == {}
    asked = {cell: arrived[cell.mark].addresses for cell in CELLS}
    assert {cell for cell, to in asked.items() if to != [cell.address]} == set()


@pytest.mark.parametrize("name", CLIENTS)
def test_what_looks_like_the_end_of_a_message_is_none(name, tmp_path):
    with way(name) as running:
        for to in (ALICE, BOB):
            sent = Cell(to, "look-alike").message(LOOK_ALIKE)
            assert running.send([to], sent) == {}
        sealed, left = running.hop.transactions
    opened = OpenSSL(tmp_path).open(sealed.message, person_of(0), "smime")
    assert canonical(opened) == inner(Cell(ALICE, "look-alike").message(LOOK_ALIKE))
    # By BDAT, which needs no end: who takes a look-alike for one must not find it.
    assert left.pieces
    assert left.message == Cell(BOB, "look-alike").message(LOOK_ALIKE)
