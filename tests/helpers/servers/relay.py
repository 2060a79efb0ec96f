"""The gateway between a client and a next hop that are both the test's own."""

from __future__ import annotations

import fcntl
import time
from contextlib import ExitStack, contextmanager

import pytest

import cmstream
from helpers.people import identity
from helpers.servers.client import Client
from helpers.servers.gateway import Gateway
from helpers.servers.mail import SECRET, TEXT, Cell, person_of, populated
from helpers.servers.next_hop import NextHop
from helpers.servers.place import folder, wait

NO_CHUNKING = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SIZE 0")


class Relay:
    """``hop``, ``gateway``, the folder of both, and the path of the database."""

    def __init__(self, protocol, hop, gateway, own):
        self.protocol, self.hop, self.gateway, self.folder = protocol, hop, gateway, own
        self.database = own / "accounts.sqlite3"

    def client(self, **options) -> Client:
        return Client(self.gateway.place, self.protocol, **{"timeout": 30} | options)

    def send(self, recipients, message=None, **options) -> list[str]:
        """The replies, in the order of the recipients."""
        with self.client() as client:
            replies = client.send(recipients, message or text(), **options)
        return [replies[one] for one in recipients]

    def begin(self) -> None:
        """Forgets what other tests have left."""
        self.hop.answers.clear()
        wait(self._noted, tell=self.gateway.log)
        for kept in (self.hop.transactions, self.hop.begun, self.hop.sessions):
            kept.clear()

    def _noted(self) -> bool:
        """The next hop notes a message after its reply."""
        return all(one in self.hop.transactions for one in [*self.hop.begun] if one.whole)

    @contextmanager
    def announced(self, *extensions):
        """The next hop is started anew with other extensions; in the end with those it had."""
        kept, self.hop.extensions = self.hop.extensions, extensions
        self.restart()
        yield
        self.hop.answers.clear()
        self.hop.extensions = kept
        self.restart()

    def restart(self) -> None:
        """The next hop ends, and is back at once."""
        self.hop.stop()
        self.hop.start()

    def wait(self, number=1):
        return self.hop.wait(number, seconds=20, tell=self.gateway.log)

    @contextmanager
    def locked(self):
        """This process holds the locks of SQLite's write-ahead log as one that recovers a database
        does, so that nobody can read."""
        with open(f"{self.database}-shm", "r+b") as shared:  # noqa: PTH123
            fcntl.lockf(shared, fcntl.LOCK_EX, 8, 120)
            forget_lookups()
            yield


def forget_lookups() -> None:
    """The gateway's answers of the store are half a second old at most."""
    time.sleep(0.6)


def text(kind="text", address="alice@example.org") -> bytes:
    return Cell(address, kind).message()


def long(length=3 << 20) -> bytes:
    line = SECRET + b" %08d\r\n"
    return Cell("alice@example.org", "long").message(
        TEXT + b"".join(line % number for number in range(length // (len(SECRET) + 11)))
    )


def opened(transaction, number=0) -> bytes:
    """What a person reads; and nobody else can."""
    assert SECRET not in transaction.message
    me = identity(person_of(number))
    return cmstream.decrypt_message(transaction.message, [me])


def fixtures(name, *options, hop=None, **settings):
    """Two fixtures: a relay for a whole module, and by ``name`` the same for each test without what
    others have left. ``hop``: makes its next hop."""

    @pytest.fixture(scope="module", name=f"_{name}")
    def kept():
        with relay(*options, hop=hop and hop(), **settings) as made:
            yield made

    @pytest.fixture(name=name)
    def fresh(request):
        made = request.getfixturevalue(f"_{name}")
        made.begin()
        return made

    return kept, fresh


@contextmanager
def relay(*options, protocol="lmtp", hop=None, prefix=(), extra=(), **answers):
    """``hop``: the next hop, else one with these ``answers``. ``extra``: options that hold the
    words {folder}."""
    with ExitStack() as stack:
        own = stack.enter_context(folder("relay"))
        hop = stack.enter_context(hop or NextHop(protocol, answers=answers))
        spoken = protocol + ("s" if hop.implicit else "")
        words = [one.format(folder=own) for one in extra]
        gateway = Gateway(
            own, populated(own), f"{spoken}:{hop}", *options, *words, listen=(protocol,),
            prefix=prefix,
        )  # fmt: skip
        yield Relay(protocol, hop, stack.enter_context(gateway), own)
