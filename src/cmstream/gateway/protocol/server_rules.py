"""What a client may say when: the table of commands and states, the parameters of MAIL and RCPT,
and the replies to everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .envelope import MAIL_PARAMETERS, RCPT_PARAMETERS
from .replies import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

NEW, PLAIN, READY, MAIL, RCPT, CHUNKS = range(6)
"""The states: no hello yet; TLS is required and missing; no message; a sender; an accepted
recipient; at least one BDAT."""

# A dot: it may be said. Everything else: which of the refusals.
_ORDER = """
            NEW     PLAIN   READY   MAIL    RCPT    CHUNKS
HELO        .       .       .       .       .       .
EHLO        .       .       .       .       .       .
LHLO        .       .       .       .       .       .
MAIL        hello   tls     .       nested  nested  nested
RCPT        hello   tls     mail    .       .       chunks
DATA        hello   tls     mail    rcpt    .       chunks
BDAT        hello   tls     mail    rcpt    .       .
RSET        .       .       .       .       .       .
NOOP        .       .       .       .       .       .
VRFY        hello   tls     .       .       .       .
HELP        .       .       .       .       .       .
QUIT        .       .       .       .       .       .
STARTTLS    hello   .       .       nested  nested  nested
XFORWARD    hello   tls     .       nested  nested  nested
XCLIENT     hello   tls     .       nested  nested  nested
"""
_REFUSALS = {
    ".": None,
    "hello": Reply.of(503, "5.5.1", "Say EHLO first, or LHLO for LMTP"),
    "tls": Reply.of(530, "5.7.0", "Say STARTTLS first"),
    "nested": Reply.of(503, "5.5.1", "A message has begun already"),
    "mail": Reply.of(503, "5.5.1", "Say MAIL first"),
    "rcpt": Reply.of(503, "5.5.1", "No recipient was accepted"),
    "chunks": Reply.of(503, "5.5.1", "Only BDAT may follow BDAT"),
}


def _rows() -> dict[bytes, tuple[Reply | None, ...]]:
    lines = [line.split() for line in _ORDER.split("\n")[2:-1]]
    return {verb.encode(): tuple(_REFUSALS[word] for word in row) for verb, *row in lines}


ORDER = _rows()
"""For each command: in each state the refusal, or None where it may be said."""

NEEDS = {
    b"BDAT": b"CHUNKING",
    b"STARTTLS": b"STARTTLS",
    b"XFORWARD": b"XFORWARD",
    b"XCLIENT": b"XCLIENT",
}
"""Which extension a command is part of."""

BROWSERS = frozenset({b"GET", b"POST", b"PUT", b"OPTIONS", b"CONNECT"})
"""HTTP's commands. What follows them may have been written by anybody, so the session ends."""

OK = Reply.of(250, "2.0.0", "Ok")
BYE = Reply.of(221, "2.0.0", "Bye")
HELP = Reply.of(214, "2.0.0", "See RFC 5321, and RFC 2033 for LMTP")
VRFY = Reply.of(252, "2.0.0", "Send a message and see")
TLS = Reply.of(220, "2.0.0", "Begin TLS")
UNKNOWN = Reply.of(500, "5.5.1", "There is no such command")
EMPTY = Reply.of(500, "5.5.2", "There is no command in this line")
LONG_LINE = Reply.of(500, "5.5.2", "The line is too long")
NO_NAME = Reply.of(501, "5.5.4", "Say your name, too")
NO_ARGUMENT = Reply.of(501, "5.5.4", "Nothing may follow this command")
NO_CHUNK = Reply.of(501, "5.5.4", "Say BDAT size or BDAT size LAST; this session ends")
NO_CHUNKING = Reply.of(503, "5.5.1", "BDAT isn't offered")
BINARY = Reply.of(503, "5.5.1", "BODY=BINARYMIME goes with BDAT alone")
ATTRIBUTES = Reply.of(501, "5.5.4", "An attribute isn't among the announced ones")
NOT_ASCII = Reply.of(553, "5.6.7", "An address that isn't in ASCII needs SMTPUTF8")
TOO_BIG = Reply.of(552, "5.3.4", "The message is too big")
TOO_MANY_RECIPIENTS = Reply.of(452, "4.5.3", "Too many recipients")
TOO_MANY_COMMANDS = Reply.of(421, "4.7.0", "Too many commands without a message")
TOO_MANY_ERRORS = Reply.of(421, "4.7.0", "Too many errors")
NOT_HTTP = Reply.of(421, "4.7.0", "This is no web server")
EARLY = Reply.of(421, "4.7.0", "Nothing may follow STARTTLS before the handshake")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take. ``size``: bytes of a message, None for any. ``recipients``: of
    one message. ``line``: bytes of a command with its parameters. ``commands``: without a
    message in between; recipients that are accepted and pieces of BDAT don't count. ``errors``:
    commands that there aren't, or with wrong syntax, without a message in between."""

    size: int | None = None
    recipients: int = 1000
    line: int = 4096
    commands: int = 1000
    errors: int = 100


_BODIES = {b"7BIT": b"8BITMIME", b"8BITMIME": b"8BITMIME", b"BINARYMIME": b"BINARYMIME"}
DIGITS = 20  # RFC 1870, section 4


def wrong_in_mail(
    parameters: tuple[bytes, ...], announced: Mapping[bytes, bytes], size: int | None
) -> Reply | None:
    """The refusal of MAIL's parameters, if there is one. ``size``: the limit of a message."""
    for word in parameters:
        name, _, value = word.partition(b"=")
        name = name.upper()
        if MAIL_PARAMETERS.get(name) not in announced:
            return _unknown_parameter(name)
        if name == b"SIZE":
            if not value.isdigit() or len(value) > DIGITS:
                return _wrong_value(name)
            if size is not None and int(value) > size:
                return TOO_BIG
        elif name == b"BODY":
            if _BODIES.get(value.upper()) not in announced:
                return _wrong_value(name)
        elif (name == b"SMTPUTF8") == bool(value):  # the only one without a value
            return _wrong_value(name)
    return None


def wrong_in_rcpt(parameters: tuple[bytes, ...], announced: Mapping[bytes, bytes]) -> Reply | None:
    """The refusal of RCPT's parameters, if there is one."""
    for word in parameters:
        name, _, value = word.partition(b"=")
        name = name.upper()
        if RCPT_PARAMETERS.get(name) not in announced:
            return _unknown_parameter(name)
        if not value:
            return _wrong_value(name)
    return None


def _unknown_parameter(name: bytes) -> Reply:
    return Reply.of(555, "5.5.4", f"The parameter {_shown(name)} isn't announced")


def _wrong_value(name: bytes) -> Reply:
    return Reply.of(501, "5.5.4", f"The parameter {_shown(name)} has a wrong value")


def _shown(name: bytes) -> str:
    return name[:40].decode("ascii", "backslashreplace")
