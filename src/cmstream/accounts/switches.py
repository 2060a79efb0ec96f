"""Checks the values of the server-wide switches."""

from __future__ import annotations

from .account import SWITCHES
from .addresses import delimiters_of
from .errors import Invalid

_FREE = {"recipient_delimiter": delimiters_of}
"""Those whose values aren't among a few, each with what checks them."""


def checked(name: str, value: str) -> str:
    """A switch's value in its canonical form. Raises Invalid ``invalid-setting`` for a name or
    value that isn't one."""
    if name in _FREE and isinstance(value, str):
        return _FREE[name](value)
    if value not in SWITCHES.get(name, ()):
        known = "; ".join(f"{one}: {', '.join(map(repr, SWITCHES[one]))}" for one in SWITCHES)
        raise Invalid("invalid-setting", f"there is no switch {name}={value!r} ({known})")
    return value
