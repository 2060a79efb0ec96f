"""The filter's side of the milter protocol: what a mail server tells of a message, and what it is
told to do with it.

There is no standard. Versions 2 to 6 are as ``mfdef.h`` of Sendmail's libmilter has them, and as
Postfix speaks them: packets of a length (32 bits, the command counted), a command and its data.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

from .replies import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .replies import Reply

    Buffer = bytes | bytearray | memoryview

VERSIONS = range(2, 7)
PIECE = 65535
"""Bytes of a body in one packet, unless the server offers more."""
PACKET_LIMIT = (1 << 20) + (64 << 10)
"""Bytes of a packet that are taken: the largest piece of a body, with room to spare. A header field
comes in one packet, from Postfix with up to 102 400 bytes by default."""
ENVELOPE_LIMIT = 16 << 10
"""Bytes of an address and its parameters, of which a message may have many."""

# What the filter may do.
_ADD_HEADERS, _CHANGE_BODY, _CHANGE_HEADERS, _SET_MACROS = 0x01, 0x02, 0x10, 0x100
_NEEDED = _ADD_HEADERS | _CHANGE_BODY | _CHANGE_HEADERS

# Steps that are left out: connect, HELO, end of header, unknown commands. DATA isn't: Postfix sends
# its macros alone otherwise, then waits 40 ms for the kernel to acknowledge them.
_LEFT_OUT = 0x01 | 0x02 | 0x40 | 0x100
# Steps that need no reply, by their commands.
_SILENT = {b"L": 0x80, b"M": 0x4000, b"B": 0x80000}
_LEADING_SPACE = 0x100000
"""A field's value comes with the space behind the colon, and goes with it."""
_PIECES = {0x20000000: (1 << 20) - 1, 0x10000000: (256 << 10) - 1}
_STEPS = _LEFT_OUT | sum(_SILENT.values()) | _LEADING_SPACE

# The macros that are read, by stage: connect, MAIL, RCPT. For others a server sends its own choice.
_READ = {b"client_addr", b"client_port", b"i", b"rcpt_addr"}
_MACROS = ((0, b"{client_addr} {client_port}"), (2, b"i"), (3, b"i {rcpt_addr}"))

_LENGTH = Struct(">I")
_NUMBERS = Struct(">III")
_NAME = re.compile(rb"[!-9;-~\x80-\xff]+")


class Mail(NamedTuple):
    """MAIL FROM, which begins a message. ``path``: as the client wrote it, ``<>`` included."""

    path: bytes
    parameters: tuple[bytes, ...]


class Recipient(NamedTuple):
    """RCPT TO. It is answered by :meth:`MilterSession.proceed` or :meth:`MilterSession.refuse`.
    ``address``: who is looked up, as the server understands what the client wrote."""

    path: bytes
    parameters: tuple[bytes, ...]
    address: str


class Header(NamedTuple):
    """A header field. ``value``: all behind the colon, with what folds it, but for the line end."""

    name: bytes
    value: bytes


class Body(NamedTuple):
    """A piece of the body, in lines that end with CRLF."""

    data: bytes


class EndOfMessage(NamedTuple):
    """The message is complete. ``data``: the last piece of its body, mostly empty. Now it may be
    changed, until :meth:`MilterSession.proceed` or :meth:`MilterSession.refuse` answers."""

    data: bytes


class Abort(NamedTuple):
    """The message is dropped; another one may follow, with ``next_client`` from another client."""

    next_client: bool = False


class Quit(NamedTuple):
    """The server ends the connection."""


Event = Mail | Recipient | Header | Body | EndOfMessage | Abort | Quit

# Commands, by state, and the state behind each. Macros (D) may come in all but the first and last.
_STATES: dict[str, dict[bytes, str]] = {
    "new": {b"O": "idle", b"Q": "closed"},
    "idle": {b"C": "idle", b"H": "idle", b"U": "idle", b"M": "envelope", b"A": "idle",
             b"K": "idle", b"Q": "closed"},
    "envelope": {b"M": "envelope", b"R": "envelope", b"H": "envelope", b"U": "envelope",
                 b"T": "header", b"L": "header", b"N": "body", b"B": "body", b"E": "decision",
                 b"A": "idle", b"K": "idle", b"Q": "closed"},
    "header": {b"L": "header", b"N": "body", b"B": "body", b"E": "decision", b"U": "header",
               b"A": "idle", b"K": "idle", b"Q": "closed"},
    "body": {b"B": "body", b"E": "decision", b"A": "idle", b"K": "idle", b"Q": "closed"},
    "decision": {},
    "closed": {},
}  # fmt: skip


class MilterSession:
    """One connection of a mail server, without any I/O. It serves message after message.

    :meth:`receive` takes what has come, :meth:`next_event` tells what it says, the other methods
    answer, and :meth:`data_to_send` gives what goes back. Commands that this filter has no use for
    are answered here. ``macros``: what the server told of the connection and the message, by names
    without braces: ``client_addr``, and ``i`` for the queue's name of it. ``mail`` and
    ``accepted``: the envelope, without refused recipients. All of it is of one message, until the
    next one begins.
    """

    def __init__(self) -> None:
        self.macros: dict[bytes, bytes] = {}
        self.mail: Mail | None = None
        self.accepted: list[Recipient] = []
        self.leading_space = False
        self.piece = PIECE
        self._connection: dict[bytes, bytes] = {}
        # What the server told of the message, and of the recipient, that comes next.
        self._next: dict[bytes, bytes] = {}
        self._resolved = b""
        self._held = bytearray()
        self._at = 0
        self._out: list[Buffer] = []
        self._state = "new"
        self._silent: frozenset[bytes] = frozenset()
        self._owed = b""
        self._asked: Recipient | None = None
        self._body_begun = False

    # --- what comes ----------------------------------------------------------------------

    @property
    def between_messages(self) -> bool:
        """Whether no message has begun, or the last one was answered."""
        return self._state in {"new", "idle", "closed"}

    @property
    def submitted(self) -> bool:
        """Whether the message didn't come by SMTP, but from a program of the server's machine."""
        return self.macros.get(b"client_port") == b"0"

    @property
    def deciding(self) -> bool:
        """Whether the message is complete, and its body wasn't begun to be replaced."""
        return self._owed == b"E" and not self._body_begun

    @property
    def waiting(self) -> int:
        """Bytes that came, and weren't looked at yet."""
        return len(self._held) - self._at

    def receive(self, data: Buffer) -> None:
        """Takes what has come, in pieces of any size."""
        if self._at:
            del self._held[: self._at]
            self._at = 0
        self._held += data

    def next_event(self) -> Event | None:
        """The next one; None where more must come, or an answer is owed. Raises ProtocolError,
        after which the connection is good for nothing more."""
        while not self._owed and (packet := self._packet()) is not None:
            command, data = packet
            if command == b"D" and self._state not in {"new", "closed"}:
                self._take_macros(data)
                continue
            self._state = self._next_state(command)
            event = _READERS[command](self, data)
            if command in _ANSWERED:
                self._owed = command
            elif command in _REPLIED and command not in self._silent:
                self._send(b"c")
            if event is not None:
                return event
        return None

    def _packet(self) -> tuple[bytes, bytes] | None:
        held, at = self._held, self._at
        if len(held) < at + 4:
            return None
        (length,) = _LENGTH.unpack_from(held, at)
        if not 1 <= length <= PACKET_LIMIT:
            raise ProtocolError(f"a packet of {length} bytes: not from 1 to {PACKET_LIMIT}")
        end = at + 4 + length
        if len(held) < end:
            return None
        self._at = end
        return bytes(held[at + 4 : at + 5]), bytes(memoryview(held)[at + 5 : end])

    def _next_state(self, command: bytes) -> str:
        found = _STATES[self._state].get(command)
        if found is None:
            raise ProtocolError(f"command {command!r} in state {self._state!r}")
        return found

    def _take_macros(self, data: bytes) -> None:
        stage = data[:1]
        if stage not in _STAGES:
            return
        words = data[1:].split(b"\0")
        told = zip(words[::2], words[1::2])  # noqa: B905 - the last word is empty
        found = {name: value for one, value in told if (name := one.strip(b"{}")) in _READ}
        if any(len(value) > ENVELOPE_LIMIT for value in found.values()):
            raise ProtocolError(f"a macro of more than {ENVELOPE_LIMIT} bytes")
        resolved = found.pop(b"rcpt_addr", b"")
        if stage == b"C":
            self._connection, self.macros = found, dict(found)
        elif stage == b"M":
            self._next = found
        else:
            self.macros.update(found)
            if stage == b"R":
                self._resolved = resolved

    def _negotiate(self, data: bytes) -> None:
        if len(data) < _NUMBERS.size:
            raise ProtocolError("the server's offer is cut off")
        version, actions, steps = _NUMBERS.unpack_from(data)
        if version < VERSIONS.start:
            raise ProtocolError(f"milter protocol version {version}: 2 or later is needed")
        if _NEEDED & ~actions:
            raise ProtocolError("the server doesn't let a milter change header fields and body")
        size, self.piece = next((one for one in _PIECES.items() if steps & one[0]), (0, PIECE))
        steps = steps & _STEPS | size
        self._silent = frozenset(one for one, bit in _SILENT.items() if steps & bit)
        self.leading_space = bool(steps & _LEADING_SPACE)
        chosen = _NEEDED | actions & _SET_MACROS
        answer = _NUMBERS.pack(min(version, VERSIONS[-1]), chosen, steps)
        if actions & _SET_MACROS:
            answer += b"".join(_LENGTH.pack(stage) + names + b"\0" for stage, names in _MACROS)
        self._send(b"O", answer)

    def _mail(self, data: bytes) -> Mail:
        path, *parameters = _strings(data)
        macros = self._connection | self._next
        self._forget()
        self.macros = macros
        self.mail = Mail(path, tuple(parameters))
        return self.mail

    def _recipient(self, data: bytes) -> Recipient:
        path, *parameters = _strings(data)
        inside = path.removeprefix(b"<").removesuffix(b">").decode("utf-8", "replace")
        address = _address(self._resolved) or inside
        self._resolved = b""
        self._asked = Recipient(path, tuple(parameters), address)
        return self._asked

    def _header(self, data: bytes) -> Header:
        name, end, value = data.partition(b"\0")
        if not end or value[-1:] != b"\0" or value.count(b"\0") != 1 or not _NAME.fullmatch(name):
            raise ProtocolError("a header field that is none")  # without content, for the log
        return Header(name, value[:-1] if self.leading_space else b" " + value[:-1])

    def _end(self, data: bytes) -> EndOfMessage:
        self._body_begun = False
        return EndOfMessage(data)

    def _abort(self, data: bytes) -> Abort:
        del data
        self._forget()
        return Abort()

    def _forget(self) -> None:
        self.mail, self.accepted = None, []
        self._next, self._resolved = {}, b""

    def _next_connection(self, data: bytes) -> Abort:
        self.macros, self._connection = {}, {}
        self._abort(data)
        return Abort(next_client=True)

    # --- what goes -----------------------------------------------------------------------

    def data_to_send(self) -> Buffer:
        """What the server is to get now; then nothing until something else is answered."""
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def proceed(self) -> None:
        """Nothing is against the recipient or the message, as it is changed by now."""
        if self._owed == b"R" and self._asked is not None:
            self.accepted.append(self._asked)
        self._answer(b"c")

    def refuse(self, reply: Reply) -> None:
        """The client gets this reply, 4xx or 5xx, to its RCPT or its message; what was changed is
        of no matter then."""
        if reply.kind not in {4, 5}:
            raise ValueError(f"{reply.code}: a milter refuses with 4xx or 5xx")
        # Sendmail takes it for a format.
        self._answer(b"y", reply.octets()[:-2].replace(b"%", b"%%") + b"\0")

    def progress(self) -> None:
        """Deciding takes long: the server's time limit begins again."""
        self._require_decision()
        self._send(b"p")

    def change_header(self, name: bytes, number: int, value: bytes) -> None:
        """Another value for a field, as :class:`Header` has it; nothing takes the field away.
        ``number``: which one of that name, from 1, as they came. Take those of a name away from
        the last to the first."""
        self._require_decision()
        self._send(b"m", _LENGTH.pack(number), name, b"\0", self._value(value), b"\0")

    def add_header(self, name: bytes, value: bytes) -> None:
        """A field more, behind all others."""
        self._require_decision()
        self._send(b"h", name, b"\0", self._value(value), b"\0")

    def replace_body(self, data: Buffer) -> None:
        """A piece of the new body. All pieces come one after the other, and after all header
        fields: Postfix takes anything else for the new body's end."""
        if self._owed != b"E":
            raise RuntimeError("a message can be changed only at its end")
        self._body_begun = True
        octets = memoryview(data)
        for start in range(0, len(octets), self.piece):
            self._send(b"b", octets[start : start + self.piece])

    def _value(self, value: bytes) -> bytes:
        return value if self.leading_space else value.removeprefix(b" ")

    def _require_decision(self) -> None:
        if not self.deciding:
            raise RuntimeError("a message can be changed only at its end, and its body last")

    def _answer(self, code: bytes, data: bytes = b"") -> None:
        if not self._owed:
            raise RuntimeError("there is nothing to answer")
        if self._owed == b"E":
            self._state = "idle"
        self._owed = b""
        self._send(code, data)

    def _send(self, code: bytes, *data: Buffer) -> None:
        self._out += _LENGTH.pack(1 + sum(map(len, data))) + code, *data


def _strings(data: bytes) -> list[bytes]:
    if len(data) > ENVELOPE_LIMIT:
        raise ProtocolError(f"an envelope's packet of more than {ENVELOPE_LIMIT} bytes")
    words = data.split(b"\0")
    if words.pop() or not words:
        raise ProtocolError("a list of strings that is none")
    return words


def _address(resolved: bytes) -> str:
    """An address in the form in which a server works with it, as it is written in mail; nothing for
    a name of the server's own, without a domain."""
    local, at, domain = resolved.decode("utf-8", "replace").rpartition("@")
    if not at:
        return ""
    if not local.startswith('"') and _SPECIAL.search(local):
        local = f'"{_ESCAPED.sub(_BACKSLASH, local)}"'
    return f"{local}@{domain}"


_SPECIAL = re.compile(r'[\s"(),:;<>@\[\\\]]')
_ESCAPED = re.compile(r'(["\\])')
_BACKSLASH = r"\\\1"

_STAGES = {b"C", b"M", b"R", b"T", b"E"}
"""The stages whose macros are read. Postfix sends some with each header field."""
_ANSWERED = {b"R", b"E"}
"""What whoever uses the session answers."""
_REPLIED = {b"C", b"H", b"U", b"M", b"T", b"L", b"N", b"B"}
"""What wants a reply where the server wasn't told otherwise."""


def _nothing(session: MilterSession, data: bytes) -> None:
    del session, data


_READERS: dict[bytes, Callable[[Any, bytes], Event | None]] = {
    b"O": MilterSession._negotiate,  # noqa: SLF001
    b"C": _nothing,
    b"H": _nothing,
    b"U": _nothing,
    b"T": _nothing,
    b"N": _nothing,
    b"M": MilterSession._mail,  # noqa: SLF001
    b"R": MilterSession._recipient,  # noqa: SLF001
    b"L": MilterSession._header,  # noqa: SLF001
    b"B": lambda _, data: Body(data),
    b"E": MilterSession._end,  # noqa: SLF001
    b"A": MilterSession._abort,  # noqa: SLF001
    b"K": MilterSession._next_connection,  # noqa: SLF001
    b"Q": lambda *_: Quit(),
}
