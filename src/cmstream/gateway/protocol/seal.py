"""The protocol ``seal:``, by which ``cmstream seal`` and scripts hand a message to a gateway and
get back what may be stored of it: its frames, without any I/O.

A client connects, sends a request with the message, and reads the answer with another. Lines end
with a single line feed; text is UTF-8. A request::

    seal/1                      the version
    for alice@example.org       one line for each address
    append                      if the message didn't arrive as mail
    require                     if it must not come out unchanged
                                an empty line ends the header
    4096                        how many bytes follow: a chunk of the message
    (4096 bytes)                as many chunks as one likes
    0                           the message is complete

The answer begins when the request is complete::

    seal/1 0                    the version, and the exit code of ``cmstream seal``
    warning: …                  sentences for people, one in each line, perhaps none
                                an empty line
    5734                        chunks, as in the request; none unless the code is 0
    (5734 bytes)
    0                           the answer is complete

Codes: 0, the message may be stored; 64, that is no mail address; 65, the message can't be sealed;
75, try again. What comes without its last ``0`` is no message and no answer: whoever sent it was
interrupted. Then a client takes it for 75.

The next request may follow at once; answers come in the order of the requests, and a client that
doesn't wait for them must read while it writes. The gateway ends a connection that breaks these
rules, that is silent for too long, or whose client has closed its side and got its answers. A
number has at most 12 digits, a header at most 64 KiB.

The thin command imports this module: it needs nothing but Python's core.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VERSION = b"seal/1"
HEADER_LIMIT = 64 << 10
DIGITS = 12
END = b"0\n"
"""Ends a message."""
DEFAULT_SOCKET = "/run/cmstream/seal"
"""Where ``cmstream seal`` looks for a gateway."""
CODES = (0, 64, 65, 75)


class ProtocolError(Exception):
    """The other side sends what the protocol doesn't allow."""


class Request:
    """The header of a request. ``append``, ``require``: as the options of ``cmstream seal``."""

    def __init__(self, addresses: Iterable[str], *, append: bool, require: bool) -> None:
        self.addresses = tuple(addresses)
        self.append, self.require = append, require

    def octets(self) -> bytes:
        """As it is sent. Raises ValueError for an address with a line feed in it."""
        lines = [VERSION, *(b"for " + _text(one) for one in self.addresses)]
        lines += [b"append"] * self.append + [b"require"] * self.require
        if any(b"\n" in line for line in lines):
            raise ValueError("an address has a line feed in it")
        return b"\n".join(lines) + b"\n\n"

    @classmethod
    def read(cls, lines: list[bytes]) -> Request:
        """From the lines of a header. Raises ProtocolError."""
        if lines[0] != VERSION:
            raise ProtocolError(f"this gateway speaks {VERSION.decode()}")
        words = [line for line in lines[1:] if not line.startswith(b"for ")]
        addresses = [_string(line[4:]) for line in lines[1:] if line.startswith(b"for ")]
        if not addresses or not {*words} <= {b"append", b"require"}:
            raise ProtocolError("the header isn't one of a request")
        return cls(addresses, append=b"append" in words, require=b"require" in words)


class Answer:
    """The header of an answer: the exit code, and sentences for people."""

    def __init__(self, code: int, sentences: Iterable[str] = ()) -> None:
        self.code = code
        self.sentences = tuple(sentences)

    def octets(self) -> bytes:
        """As it is sent; white space within a sentence becomes blanks."""
        told = [b" ".join(_text(one).split()) for one in self.sentences]
        first = b"%b %d" % (VERSION, self.code)
        return b"\n".join([first, *(line for line in told if line)]) + b"\n\n"

    @classmethod
    def read(cls, lines: list[bytes]) -> Answer:
        """From the lines of a header. Raises ProtocolError."""
        version, _, code = lines[0].partition(b" ")
        if version != VERSION or code not in [b"%d" % one for one in CODES]:
            raise ProtocolError(f"that is no answer of {VERSION.decode()}")
        return cls(int(code), map(_string, lines[1:]))


def chunk(data: bytes) -> bytes:
    """A piece of a message as it is sent."""
    return b"%d\n%b" % (len(data), data) if data else b""


class Reader:
    r"""Cuts requests or answers out of what comes, in pieces of any size.

    >>> reader = Reader(Request.read)
    >>> reader.receive(b"seal/1\nfor a@b.example\n\n5\nHel")
    >>> [reader.next_event().addresses, reader.next_event(), reader.next_event()]
    [('a@b.example',), b'Hel', None]
    """

    def __init__(self, header: Callable[[list[bytes]], Request | Answer]) -> None:
        self._read_header = header
        self._held = bytearray()
        self._searched = 0
        self._step: Callable[[], Request | Answer | bytes | None] = self._header
        self._left = 0

    @property
    def between(self) -> bool:
        """Whether nothing of the next request or answer has come yet."""
        return self._step == self._header and not self._held

    def receive(self, data: bytes) -> None:
        """Takes what has come."""
        self._held += data

    def next_event(self) -> Request | Answer | bytes | None:
        """A header; a piece of its message; no bytes, ``b""``, where that is complete; None where
        more must come first. Raises ProtocolError, after which nothing is to be had."""
        return self._step()

    def _header(self) -> Request | Answer | None:
        end = self._held.find(b"\n\n", max(0, self._searched - 1))
        # A line feed at the end may be the first of the two that end the header.
        length = end if end >= 0 else len(self._held) - self._held.endswith(b"\n")
        if length > HEADER_LIMIT:
            raise ProtocolError(f"the header is longer than {HEADER_LIMIT} bytes")
        if end < 0:
            self._searched = len(self._held)
            return None
        lines = bytes(self._held[:end]).split(b"\n")
        del self._held[: end + 2]
        self._searched, self._step = 0, self._length
        return self._read_header(lines)

    def _length(self) -> bytes | None:
        end = self._held.find(b"\n", 0, DIGITS + 1)
        digits = self._held[: end if end >= 0 else DIGITS + 1]
        if len(digits) > DIGITS or (digits and not digits.isdigit()) or end == 0:
            raise ProtocolError("there is no length where a chunk begins")
        if end < 0:
            return None
        self._left = int(digits)
        del self._held[: end + 1]
        self._step = self._data if self._left else self._header
        return self._data() if self._left else b""

    def _data(self) -> bytes | None:
        with memoryview(self._held) as held:
            piece = bytes(held[: self._left])
        if not piece:
            return None
        del self._held[: len(piece)]
        self._left -= len(piece)
        if not self._left:
            self._step = self._length
        return piece


def _text(text: str) -> bytes:
    """What no UTF-8 has is given on as it came from a command line."""
    return text.encode("utf-8", "surrogateescape")


def _string(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
