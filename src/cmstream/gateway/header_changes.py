"""How the header block of a message becomes that of the sealed one, where a mail server takes no
new block, only changes of single fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..mail import fields

if TYPE_CHECKING:
    from collections.abc import Iterable


class Change(NamedTuple):
    """Another value for a field; empty where it goes. ``number``: which one of that name."""

    name: bytes
    number: int
    value: bytes


class Changes(NamedTuple):
    """``changed``: from the last to the first field, so that no number changes before its turn.
    ``added``: names and values of fields that come behind all others."""

    changed: list[Change]
    added: list[tuple[bytes, bytes]]


def changes(old: Iterable[tuple[bytes, bytes]], block: bytes) -> Changes:
    """What makes ``block`` of a header block. ``old``: its fields as the server tells of them, each
    a name and what stands behind the colon. Values have LF in front of folded lines.

    Whatever the two blocks are, the result is ``block``: what doesn't match in its order goes, and
    what is left over is added.
    """
    new = [_taken_apart(field.raw) for field in fields.split(block) if field.name]
    kept = 0
    counts: dict[bytes, int] = {}
    changed = []
    for name, written in old:
        value = with_line_feeds(written)
        number = counts[name.lower()] = counts.get(name.lower(), 0) + 1
        if kept == len(new) or not _becomes(name, value, new[kept]):
            changed.append(Change(name, number, b""))
            continue
        if new[kept] != (name, value):
            changed.append(Change(new[kept][0], number, new[kept][1]))
        kept += 1
    changed.reverse()
    return Changes(changed, new[kept:])


def _becomes(name: bytes, value: bytes, field: tuple[bytes, bytes]) -> bool:
    """Whether a change of value makes ``field`` of it: no value can be taken from a field without
    the field."""
    return name.lower() == field[0].lower() and bool(field[1] or not value)


def with_line_feeds(value: bytes) -> bytes:
    """A field's value with LF, as mail servers and milters have it in folded ones."""
    return value.replace(b"\r\n", b"\n") if b"\r" in value else value


def _taken_apart(raw: bytes) -> tuple[bytes, bytes]:
    name, _, value = raw.partition(b":")
    return name.rstrip(), with_line_feeds(value).removesuffix(b"\n")
