"""The envelope of a message: what MAIL and RCPT say, kept octet for octet to be handed on.

RFC 5321, sections 4.1.1.2, 4.1.1.3 and 4.1.2; xtext of RFC 3461, section 4; attributes as
Postfix's XFORWARD and XCLIENT have them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

NULL = b"<>"
"""The path of a sender that wants no answer: a bounce's."""

MAIL_PARAMETERS = {
    b"SIZE": b"SIZE",
    b"BODY": b"8BITMIME",
    b"SMTPUTF8": b"SMTPUTF8",
    b"RET": b"DSN",
    b"ENVID": b"DSN",
    b"AUTH": b"AUTH",
}
RCPT_PARAMETERS = {b"NOTIFY": b"DSN", b"ORCPT": b"DSN"}
"""Which extension each parameter is part of."""


class EnvelopeError(ValueError):
    """What follows a command isn't what belongs there. ``enhanced``: the code for the reply."""

    def __init__(self, enhanced: str, problem: str) -> None:
        super().__init__(problem)
        self.enhanced = enhanced


class Mail(NamedTuple):
    """What MAIL says. ``path``: the sender, with its angle brackets. ``parameters``: the words
    behind it, in their order. Both are as the client wrote them."""

    path: bytes
    parameters: tuple[bytes, ...] = ()

    def parameter(self, name: bytes) -> bytes | None:
        """The value of the parameter ``name`` (in upper case), empty where it has none; None if
        it isn't there."""
        return _parameter(self.parameters, name)


class Rcpt(NamedTuple):
    """What RCPT says. ``address``: who is looked up, without brackets and route. The rest is as
    in Mail."""

    path: bytes
    parameters: tuple[bytes, ...]
    address: str

    def parameter(self, name: bytes) -> bytes | None:
        """As that of Mail."""
        return _parameter(self.parameters, name)


def names_domain(address: str) -> bool:
    """Whether there is a domain behind the name."""
    return "@" in address and not address.endswith('"')  # a quoted @ is one of the name


def with_domain(address: str, domain: str) -> str:
    """An address in ``domain``, if it names none, as local mail servers write them."""
    return address if names_domain(address) or not domain else f"{address}@{domain}"


def _parameter(parameters: tuple[bytes, ...], name: bytes) -> bytes | None:
    for word in parameters:
        found, _, value = word.partition(b"=")
        if found.upper() == name:
            return value
    return None


def parse_mail(argument: bytes) -> Mail:
    """What stands behind ``MAIL``: ``FROM:<path>`` and parameters. Raises EnvelopeError."""
    path, parameters = _parse(argument, b"FROM:", "5.1.7")
    return Mail(path, parameters)


def parse_rcpt(argument: bytes) -> Rcpt:
    """What stands behind ``RCPT``: ``TO:<path>`` and parameters. Raises EnvelopeError, also for a
    path that different servers could read as different recipients."""
    path, parameters = _parse(argument, b"TO:", "5.1.3")
    inside = path[1:-1]
    if inside[:1] == b"@" and (route := _ROUTE.match(inside)):
        inside = inside[route.end() :]
    if not _MAILBOX.fullmatch(inside):
        raise EnvelopeError("5.1.3", "this is no address of a recipient")
    return Rcpt(path, parameters, inside.decode())


# Outside of quotes, what would make an address a comment, a list or a group to some servers.
_ROUTE = re.compile(rb"@(?:[^\[\]:]|\[[^\[\]]*\])*:")
_QUOTED = rb'"(?:[^"\\]|\\.)*"'
_PLAIN = rb'[^ ()<>\[\]:;,\\"@]+'
_LITERAL = rb'\[[^ ()<>\[\]\\"@]+\]'
_MAILBOX = re.compile(rb"(?:%b|%b)(?:@(?:%b|%b))?" % (_QUOTED, _PLAIN, _LITERAL, _PLAIN))
_QUOTED_PATH = re.compile(rb'<(?:[^">]|%b)*>' % _QUOTED)
_QUOTED_WORD = re.compile(rb'(?:[^"<> ]|%b)+' % _QUOTED)
_CONTROLS = bytes([*range(32), 127])


def _parse(argument: bytes, word: bytes, enhanced: str) -> tuple[bytes, tuple[bytes, ...]]:
    if argument[: len(word)].upper() != word:
        raise EnvelopeError("5.5.4", f"say {word.decode()} and a path in angle brackets")
    if len(argument.translate(None, _CONTROLS)) != len(argument):
        raise EnvelopeError(enhanced, "a path holds no control characters")
    text = argument[len(word) :].lstrip()
    if text[:1] == b"<":
        end = _path_end(text)
        path = text[:end]
    else:
        bare = _QUOTED_WORD.match(text)
        end = bare.end() if bare else 0
        path = b"<%b>" % text[:end]
    rest = text[end:]
    if not end or (rest and rest[:1] != b" "):
        raise EnvelopeError(enhanced, "this is no path in angle brackets")
    if not argument.isascii():
        _require_utf8(argument, enhanced)
    return path, tuple(rest.split()) if rest else ()


def _path_end(text: bytes) -> int:
    """Where the path ends at whose beginning ``text`` begins, or 0."""
    if b'"' not in text:
        return text.find(b">") + 1
    quoted = _QUOTED_PATH.match(text)
    return quoted.end() if quoted else 0


def _require_utf8(argument: bytes, enhanced: str) -> None:
    try:
        argument.decode()
    except UnicodeDecodeError:
        raise EnvelopeError(enhanced, "a path is in ASCII or UTF-8") from None


_ESCAPE = re.compile(rb"\+([0-9A-Fa-f]{2})?")
_VISIBLE = bytes.maketrans(_CONTROLS, b"?" * len(_CONTROLS))
_MISSING = {b"[UNAVAILABLE]", b"[TEMPUNAVAIL]"}


def decode_xtext(text: bytes) -> bytes:
    """The bytes that xtext stands for (RFC 3461, section 4). Raises EnvelopeError."""
    if b"+" not in text:
        return text
    if any(one[1] is None for one in _ESCAPE.finditer(text)):
        raise EnvelopeError("5.5.4", "two hexadecimal digits belong behind a + of xtext")
    return _ESCAPE.sub(lambda one: bytes.fromhex(one[1].decode()), text)


def parse_attributes(argument: bytes) -> dict[bytes, bytes | None]:
    """What stands behind XFORWARD and XCLIENT: attributes by name, in upper case. None stands for
    what the client doesn't know, ``?`` for a control character, since much of it comes from
    strangers and goes to logs. Raises EnvelopeError."""
    attributes: dict[bytes, bytes | None] = {}
    for word in argument.split():
        name, mark, value = word.partition(b"=")
        if not (name and mark):
            raise EnvelopeError("5.5.4", "say NAME=value for each attribute")
        missing = value.upper() in _MISSING
        attributes[name.upper()] = None if missing else decode_xtext(value).translate(_VISIBLE)
    if not attributes:
        raise EnvelopeError("5.5.4", "say NAME=value for each attribute")
    return attributes
