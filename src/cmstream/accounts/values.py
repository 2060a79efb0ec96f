"""What callers give for settings, in the form in which it is stored; what can't be is refused."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING, Any

from .account import CIPHERS, WHEN_UNUSABLE
from .addresses import canonical, canonical_domain
from .errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MAX_TEXT = 500
"""Characters of a description, a name, a search at most."""
MAX_NAMES = 1000
"""Aliases, domains or mail programs of an account at most."""

DEFAULTS: dict[str, Any] = {
    "cipher": None,
    "encrypt_on_append": False,
    "when_unusable": "error",
    "clients": (),
}
"""A new account's settings: nothing is sealed before somebody asks for it."""

_SHA256_DIGITS = 64
_MOST = 2**31 - 1


def text(value: str, code: str, what: str) -> str:
    """A line of text that every database takes."""
    if not isinstance(value, str) or len(value) > MAX_TEXT or shown(value) != value:
        raise Invalid(code, f"{what} is a line of at most {MAX_TEXT} printable characters")
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


def fingerprint(value: str) -> str:
    """SHA-256 in hex, as programs write it: capitals, colons and spaces are of no matter."""
    digits = value.lower().replace(":", "").replace(" ", "")
    if len(digits) != _SHA256_DIGITS or set(digits) - set(string.hexdigits):
        raise Invalid("invalid-setting", "a fingerprint is SHA-256: 64 hexadecimal digits")
    return digits


def settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Each setting checked and in its canonical form. Raises Invalid; TypeError for a name that
    isn't one."""
    if unknown := sorted(given.keys() - _CHECKS.keys()):
        raise TypeError(f"an account has no setting {', '.join(unknown)}")
    return {name: _CHECKS[name](value) for name, value in given.items()}


def stored(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The same as columns have it."""
    return {
        name: json.dumps(value) if name == "clients" else value for name, value in columns.items()
    }


def _cipher(value: Any) -> str | None:
    if value is not None and value not in CIPHERS:
        raise Invalid("invalid-setting", f"cipher: choose one of {', '.join(CIPHERS)}, or none")
    return value  # type: ignore[no-any-return]


def _append(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Invalid("invalid-setting", "encrypt_on_append: true or false")
    return value


def _unusable(value: Any) -> str:
    if value not in WHEN_UNUSABLE:
        raise Invalid("invalid-setting", f"when_unusable: {' or '.join(WHEN_UNUSABLE)}")
    return str(value)


def _list(value: Any, name: str) -> list[Any]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise Invalid("invalid-setting", f"{name}: a list of texts")
    members = list(value)
    if len(members) > MAX_NAMES or not all(isinstance(one, str) for one in members):
        raise Invalid("invalid-setting", f"{name}: a list of at most {MAX_NAMES} texts")
    return members


def _clients(value: Any) -> tuple[str, ...]:
    names = [text(one, "invalid-setting", "a client's name") for one in _list(value, "clients")]
    return tuple(dict.fromkeys(names))


def _aliases(value: Any) -> tuple[str, ...]:
    return tuple(sorted({canonical(one) for one in _list(value, "aliases")}))


def _domains(value: Any) -> tuple[str, ...]:
    return tuple(sorted({canonical_domain(one) for one in _list(value, "domains")}))


_CHECKS = {
    "cipher": _cipher,
    "encrypt_on_append": _append,
    "when_unusable": _unusable,
    "clients": _clients,
    "aliases": _aliases,
    "domains": _domains,
}
