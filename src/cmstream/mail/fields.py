"""Header fields taken apart: names, parameters, addresses and dates, as bytes and in linear time.

Nothing here raises for any bytes: what isn't as the standards write it is left as it is.
"""

from __future__ import annotations

import re
from datetime import timezone
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

WHITE = b" \t\r\n"

# A field's name has no more bytes than a line may have (RFC 5322 section 2.1.1): that bounds
# what must be looked at again when a line comes in pieces.
NAME = rb"[!-9;-~]{1,998}"
BLANKS = rb"[ \t]{0,998}"
END = re.compile(rb"\n(?![ \t])")
"""Where a field ends, its folded lines included."""
BLANK_LINE = re.compile(rb"\n\r?\n")
"""The blank line below a header block, with the end of the line above it."""

_NAME = re.compile(rb"(" + NAME + rb")" + BLANKS + rb":")
_SPECIAL = re.compile(rb'\\?["()\\]', re.DOTALL)

_ATOM = rb'[^\x00-\x20\x7f"(),:;<>@\[\]\\]+'
_ADDRESS = rb"((?:" + _ATOM + rb'|"+)@(?:' + _ATOM + rb"|\[[^\[\]\s]*\]))"
_MAILBOX = re.compile(rb"[^<>:;]*<\s*" + _ADDRESS + rb"\s*>\s*|\s*" + _ADDRESS + rb"\s*")

_DATE_TIME = re.compile(
    rb"(?:[a-z]{3},)?\s*\d{1,2}\s+[a-z]{3}\s+(?:19|[2-9]\d)\d\d\s+\d{2}:\d{2}(?::\d{2})?\s+"
    rb"(?:[+-]\d{4}|UT|GMT|[ECMP][SD]T)\s*",
    re.IGNORECASE,
)
_LONGEST_DATE = 100


def named(names: bytes) -> bytes:
    """An expression for how a field of one of these names begins, the end of the line above it
    included."""
    return rb"\n(?:" + names + rb")" + BLANKS + rb":"


class Field(NamedTuple):
    """A field's name in lower case, empty for a line that is none, and all of its bytes."""

    name: bytes
    raw: bytes

    @property
    def value(self) -> bytes:
        """What stands behind the colon."""
        return self.raw.partition(b":")[2]


def split(text: bytes) -> Iterator[Field]:
    """The fields of a header block, and the lines that are none (mbox's first, the blank one), in
    their order; together they are ``text``."""
    begin = 0
    for found in END.finditer(text):
        yield _field(text[begin : found.end()])
        begin = found.end()
    if begin < len(text):
        yield _field(text[begin:])


def _field(raw: bytes) -> Field:
    name = _NAME.match(raw)
    return Field(name[1].lower() if name else b"", raw)


def masked(value: bytes) -> tuple[bytes, int]:
    """The value with its quoted strings blotted out by quotes and its comments (RFC 5322 section
    3.2.2, nested as they may be) by spaces, each byte in its place; and how far it is sound: up to
    a quote or comment that never ends."""
    if not _SPECIAL.search(value):  # as nearly always
        return value, len(value)
    parts, done, begin, depth = [], 0, -1, 0
    for found in _SPECIAL.finditer(value):
        byte = found[0][-1:]
        if begin < 0:
            if byte in {b'"', b"("}:
                begin, depth = found.end() - 1, 1
                parts.append(value[done:begin])
        elif len(found[0]) == 1:
            quoted = value[begin] == ord('"')
            depth += {b"(": 1, b")": -1}.get(byte, 0) if not quoted else -(byte == b'"')
            if not depth:
                parts.append((b'"' if quoted else b" ") * (found.end() - begin))
                done, begin = found.end(), -1
    sound = len(value) if begin < 0 else begin
    parts += value[done:] if begin < 0 else b"", b" " * (len(value) - sound)
    return b"".join(parts), sound


# Parameters (RFC 2045 section 5.1)


def _occurrences(field: Field, name: str) -> Iterator[tuple[int, int, int]]:
    """Where each parameter of this name, or of a name in the form of RFC 2231, begins (with its
    semicolon), where its value, and where it ends; counted in the field's value."""
    mask, _ = masked(field.value)
    for found in _pattern(name).finditer(mask):
        end = found.start(1) + len(found[1].rstrip())
        yield found.start(), found.start(1), end


@cache
def _pattern(name: str) -> re.Pattern[bytes]:
    # White space has but one way through: with two, it would take the square of its length.
    pattern = rb";\s*" + re.escape(name.encode()) + rb"(?:\*[^=;]*|\s*)=([^;]*)"
    return re.compile(pattern, re.IGNORECASE)


def parameter(field: Field, name: str) -> bytes:
    """The first value of a parameter, in lower case and without quotes; empty if there is none."""
    return written_parameter(field, name).lower()


def written_parameter(field: Field, name: str) -> bytes:
    """As :func:`parameter`, in the letters in which it is written."""
    value = field.value
    for _, begin, end in _occurrences(field, name):
        return value[begin:end].strip().strip(b'"')
    return b""


def without_parameter(field: Field, name: str) -> Field:
    """The field without any parameter of this name; else not a byte is changed. Of a field by
    :func:`with_parameter` it makes the one before, byte for byte."""
    value = field.value
    _, sound = masked(value)
    head = field.raw[: len(field.raw) - len(value)]
    parts, done = [head], 0
    for begin, _, end in _occurrences(field, name):
        parts.append(value[done:begin])
        closed = value.startswith(_CLOSED, end) and end + len(_CLOSED) == sound < len(value)
        done = end + len(_CLOSED) if closed else end
    return field._replace(raw=b"".join([*parts, value[done:]]))


def with_parameter(field: Field, parameter: bytes) -> Field:
    """The field with a parameter more at its end, on a line of its own: in front of semicolons that
    begin nothing, and of what isn't sound, if the field's end isn't."""
    value = field.value
    mask, sound = masked(value)
    more = b";\r\n " + parameter
    if sound == len(value):
        at = len(value.rstrip(WHITE))
        behind = value[len(value.rstrip(WHITE + b";")) :]
        if b";" in behind:
            at = len(value) - len(behind) + behind.index(b";")
    else:
        at = mask.rfind(b";", 0, sound)
        if at < 0:
            at, more = sound, more + _CLOSED
    at += len(field.raw) - len(value)
    return field._replace(raw=field.raw[:at] + more + field.raw[at:])


_CLOSED = b" ;"
"""What ends a parameter in front of what isn't sound. Nowhere else are there both bytes behind
one that was added, so that they can go with it."""


# Addresses and dates


def addresses(field: Field) -> list[bytes] | None:
    """The addr-specs of a mailbox-list (RFC 5322 section 3.4), without names and comments; None for
    what isn't one, such as a group."""
    value = field.value
    mask, sound = masked(value)
    found, begin = [], 0
    for part in mask.split(b",") if sound == len(value) else []:
        if part.strip():
            mailbox = _MAILBOX.fullmatch(part)
            if mailbox is None:
                return None
            start, end = mailbox.span(mailbox.lastindex or 0)
            found.append(value[begin + start : begin + end])
        begin += len(part) + 1
    return found or None


def in_utc(field: Field) -> bytes | None:
    """A date-time (RFC 5322 section 3.3) as UTC has it; None for what isn't one."""
    from email.utils import (  # noqa: PLC0415 - it imports the network's modules
        format_datetime,
        parsedate_to_datetime,
    )

    mask, _ = masked(field.value[:_LONGEST_DATE])
    text = mask.strip()
    if len(field.value) > _LONGEST_DATE or not _DATE_TIME.fullmatch(text):
        return None
    try:
        moment = parsedate_to_datetime(text.decode("ascii"))
        if moment.tzinfo is None:  # -0000: it is in UTC already
            moment = moment.replace(tzinfo=timezone.utc)
        return format_datetime(moment.astimezone(timezone.utc)).encode()
    except (ValueError, TypeError, OverflowError):
        return None
