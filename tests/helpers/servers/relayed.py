"""Another mail server that hands all its mail to the gateway."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

from helpers.servers.gateway import Gateway
from helpers.servers.mail import (
    ALICE,
    BOB,
    MESSAGES,
    SECRET,
    Cell,
    canonical,
    mark_of,
    person_of,
    populated,
)
from helpers.servers.next_hop import NextHop
from helpers.servers.place import folder
from helpers.servers.ways import Way


@contextmanager
def relayed(make, protocol="lmtp", *options):
    """``make`` starts the server: it gets a folder and the gateway's place."""
    with ExitStack() as stack:
        own = stack.enter_context(folder("gateway"))
        hop = stack.enter_context(NextHop(protocol))
        gateway = Gateway(own, populated(own), f"{protocol}:{hop}", *options, listen=(protocol,))
        stack.enter_context(gateway)
        place = stack.enter_context(folder("server"))
        server = stack.enter_context(make(place, gateway.place))
        yield Way(protocol, hop, gateway, server)


def body(message: bytes) -> bytes:
    """What follows the empty line, which may be the first one."""
    return (b"\r\n" + canonical(message)).partition(b"\r\n\r\n")[2]


def compared(running, openssl, *, without=()):
    """Sends each kind of message to somebody who is sealed for and to somebody who isn't. Gives, by
    kind, the body that the one can open and the body that the other got."""
    found, kinds = {}, [kind for kind in MESSAGES if kind not in without]
    for kind in kinds:
        for to in (ALICE, BOB):
            assert running.send([to], Cell(to, kind).message()) == {}, running.tell()
    running.arrived(2 * len(kinds))
    arrived = {mark_of(one.message): one.message for one in running.hop.transactions}
    for kind in kinds:
        sealed, left = (arrived[Cell(to, kind).mark] for to in (ALICE, BOB))
        assert SECRET not in sealed
        found[kind] = body(openssl.open(sealed, person_of(0), "smime")), body(left)
    return found
