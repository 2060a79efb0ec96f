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
    at = 0
    counts: dict[bytes, int] = {}
    changed = []
    for name, value in old:
        lower = name.lower()
        number = counts[lower] = counts.get(lower, 0) + 1
        as_it_is = line(name, value)
        end = at + len(as_it_is)
        if block.startswith(as_it_is, at) and block[end : end + 1] not in _FOLDS:
            at = end
            continue
        end = _end(block, at)
        new_name, new_value = _taken_apart(block[at:end])
        # A field that is given no value is taken away, and some servers want none of the blank.
        if new_value not in _NO_VALUES and new_name.lower() == lower:
            changed.append(Change(new_name, number, new_value))
            at = end
        else:
            changed.append(Change(name, number, b""))
    changed.reverse()
    return Changes(changed, [_taken_apart(field.raw) for field in fields.split(block[at:])])


def line(name: bytes, value: bytes) -> bytes:
    """A field as it is written in a message, line end included."""
    if b"\n" in value:
        value = value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return b"%b:%b\r\n" % (name, value)


_FOLDS = (b" ", b"\t")
_NO_VALUES = (b"", b" ")


def _end(block: bytes, at: int) -> int:
    found = fields.END.search(block, at)
    return found.end() if found else len(block)


def _taken_apart(raw: bytes) -> tuple[bytes, bytes]:
    name, _, value = raw.partition(b":")
    return name.rstrip(), value.replace(b"\r\n", b"\n").removesuffix(b"\n")
