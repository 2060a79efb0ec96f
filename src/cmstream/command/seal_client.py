"""``cmstream seal`` where a gateway is at hand: it hands the message to the gateway's socket, and
imports nothing but Python's core: no store, no cryptography."""

from __future__ import annotations

# The module around it takes as long to import as Python takes to start.
import _socket
import os
import sys
import time

from ..gateway.protocol.seal import (
    DEFAULT_SOCKET,
    END,
    Answer,
    ProtocolError,
    Reader,
    Request,
    chunk,
)
from ..scratch import Scratch
from .endings import Failure
from .seal_options import ending
from .standard_streams import PIECE, give, pieces, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .seal_options import SealOptions

VARIABLE = "CMSTREAM_SOCKET"
STORE_VARIABLE = "CMSTREAM_DATABASE"
SILENCE = 300.0
"""Seconds for which nothing may come from a gateway, or go to it."""
BUSY = 10.0
"""Seconds for which a gateway may be too busy to take a connection."""
FORMS = "unix:/PATH, /PATH or inet:HOST:PORT"


# --- which gateway ---------------------------------------------------------------------------


class Gateway:
    """A connection to the gateway at a place; ``silence``: seconds that it may take to say more.
    Raises ValueError for what is no place, OSError."""

    def __init__(self, place: str, silence: float = SILENCE) -> None:
        self.place, self._silence = place, silence
        self._connection = _connected(place)
        self._connection.settimeout(silence)
        self._reader = Reader(Answer.read)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def failure(self, why: object) -> Failure:
        """What to end with where the gateway fails."""
        return Failure(os.EX_TEMPFAIL, f"the gateway at {self.place} {why}: try again")

    def send(self, octets: bytes) -> bool:
        """False where the gateway takes no more: perhaps it has said why."""
        try:
            self._connection.sendall(octets)
        except TimeoutError:
            raise self.failure(f"took nothing for {self._silence:g} s") from None
        except OSError:
            return False
        return True

    def events(self) -> Iterator[Answer | bytes]:
        """The answer's header, and the pieces of the message. Raises Failure where the answer
        isn't complete."""
        while (event := self._next()) != b"":
            yield event

    def _next(self) -> Answer | bytes:
        while True:
            try:
                event = self._reader.next_event()
                if event is not None and not isinstance(event, Request):
                    return event
                received = self._connection.recv(PIECE)
            except ProtocolError as error:
                raise self.failure(f"answers what it shouldn't ({error})") from None
            except TimeoutError:
                raise self.failure(f"said nothing for {self._silence:g} s") from None
            except OSError as error:
                raise self.failure(f"can't be heard any more ({error.strerror})") from None
            if not received:
                raise self.failure("ended the connection before its answer was complete")
            self._reader.receive(received)


def by_gateway(options: SealOptions) -> bool:
    """Lets a gateway seal where one is named or at hand; False where the store must be asked.
    Raises Failure."""
    gateway = reached(options)
    if gateway is None:
        return False
    deliver(options, gateway)
    return True


def reached(options: SealOptions) -> Gateway | None:
    """The gateway that is named, or else the one at the usual place if there is one and no database
    is named. None where the store itself must be asked.

    An option counts more than the environment. Raises Failure for a named gateway that can't be
    reached.
    """
    if options.socket and options.database:
        raise Failure(
            os.EX_USAGE, "give --socket or --database, not both (see cmstream seal --help)"
        )
    named = options.socket or (not options.database and os.environ.get(VARIABLE))
    try:
        if named:
            return Gateway(named)
        if options.database or os.environ.get(STORE_VARIABLE):
            return None
        return Gateway(DEFAULT_SOCKET)
    except ValueError:
        code = os.EX_USAGE if options.socket else os.EX_TEMPFAIL
        raise Failure(code, f"{named} is no place of a gateway: give {FORMS}") from None
    except OSError as error:
        if not named:
            return None
        why = error.strerror or error
        text = (
            f"the gateway at {named} can't be reached ({why}): does 'cmstream gateway' run there?"
        )
        raise Failure(os.EX_TEMPFAIL, text) from None


def _connected(place: str) -> _socket.socket:
    """Raises ValueError for what is no place, OSError."""
    kind, _, rest = ("unix", "", place) if place.startswith("/") else place.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return _connection(_socket.AF_UNIX, rest)
    host, _, port = rest.rpartition(":")
    if kind not in ("inet", "inet6") or not host or not port.isdecimal():
        raise ValueError(place)
    family, _, _, _, address = _socket.getaddrinfo(host.strip("[]"), port, 0, _socket.SOCK_STREAM)[
        0
    ]
    return _connection(family, address)


def _connection(family: int, address: Any) -> _socket.socket:
    until = time.monotonic() + BUSY
    while True:
        connection = _socket.socket(family, _socket.SOCK_STREAM)
        connection.settimeout(BUSY)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            # A Unix socket says so where too many wait already.
            if not isinstance(error, BlockingIOError) or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return connection


# --- the message -----------------------------------------------------------------------------


def deliver(options: SealOptions, gateway: Gateway) -> None:
    """Hands the message over, and what comes back to standard output. Raises Failure."""
    if sys.stdout is None:
        raise Failure(os.EX_TEMPFAIL, "can't write standard output: it is closed")
    result = Scratch()
    answer = Answer(os.EX_TEMPFAIL)
    try:
        _send(options, gateway)
        for event in gateway.events():
            if isinstance(event, Answer):
                answer = event
            else:
                result.write(event)
    finally:
        gateway.close()
    *told, last = answer.sentences or (f"the gateway refuses the message with {answer.code}",)
    failed = answer.code != os.EX_OK
    for sentence in told if failed else answer.sentences:
        tell(sentence)
    if failed:
        raise Failure(ending(answer.code, options), last)
    give(result.chunks(), len(result))


def _send(options: SealOptions, gateway: Gateway) -> None:
    """A short message goes out at once with all around it."""
    addresses = (one.strip() if "\n" in one else one for one in options.addresses)
    request = Request(addresses, append=options.append, require=options.require)
    try:
        waiting = request.octets()
    except ValueError as error:
        raise Failure(os.EX_USAGE, f"--for: {error} [invalid-address]") from None
    for piece in pieces(options.input):
        waiting += chunk(piece)
        if len(waiting) > PIECE:
            if not gateway.send(waiting):
                return
            waiting = b""
    gateway.send(waiting + END)
