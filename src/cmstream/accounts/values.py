"""Checks of what callers give: texts, numbers, moments, fingerprints."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from .errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

MAX_TEXT = 500
"""Characters of a description, a name, a search at most. PostgreSQL can index that many, of four
bytes each."""
MAX_NAMES = 1000
"""Aliases, domains or mail programs of an account at most."""

_SHA256_DIGITS = 64
_MOST = 2**31 - 1


def text(value: str, code: str, what: str, most: int = MAX_TEXT) -> str:
    """A line of text that every database takes, of ``most`` characters."""
    if not isinstance(value, str) or len(value) > most or shown(value) != value:
        raise Invalid(code, f"{what} is a line of at most {most} printable characters")
    return value


def shown(value: str) -> str:
    """Somebody else's text, with a mark in place of what can't be printed, or stored."""
    return "".join(one if one.isprintable() else "\ufffd" for one in value)


def within(number: int) -> int:
    """The nearest number that every database's integers hold."""
    return max(0, min(number, _MOST))


def moment(value: datetime) -> datetime:
    """A moment that has a time zone."""
    if value.utcoffset() is None:
        raise Invalid("invalid-setting", "a moment needs its time zone, for instance UTC")
    return value


def command(words: Sequence[str]) -> tuple[str, ...]:
    """A command and its arguments. Raises TypeError for one text: it would be cut into letters."""
    if isinstance(words, str | bytes):
        raise TypeError('notify: give a list, as ["sendmail", "-t", "-i"], not one text')
    return tuple(words)


def fingerprint(value: str) -> str:
    """SHA-256 in hex, as programs write it: capitals, colons and spaces are of no matter."""
    if not isinstance(value, str):
        raise TypeError(f"fingerprint: give text, not {type(value).__name__}")
    digits = value.lower().replace(":", "").replace(" ", "")
    if len(digits) != _SHA256_DIGITS or set(digits) - set(string.hexdigits):
        raise Invalid("invalid-setting", "a fingerprint is SHA-256: 64 hexadecimal digits")
    return digits
