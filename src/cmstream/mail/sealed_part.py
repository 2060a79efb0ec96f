"""Finds the one sealed part of a mail that a mailing list or a disclaimer has put into
multipart/mixed (RFC 2046 section 5.1), and lets nothing else through, piece by piece.

A boundary is a whole line here, with nothing but white space behind it. Each byte is searched once,
whatever stands in it.
"""

from __future__ import annotations

import enum
import re
from functools import partial
from typing import TYPE_CHECKING

from ..engine.decoder import envelope_error
from ..engine.held_back import HeldBack
from ..errors import MessageError
from . import fields
from .fields import Field
from .labels import CMS_TYPES, content_type
from .mime import header_end

if TYPE_CHECKING:
    from ..engine.gate import Buffer

MIXED = b"multipart/mixed"

MOST_LEVELS = 8
"""How deep multipart/mixed may stand in multipart/mixed, the mail itself counted."""

MOST_PARTS = 10_000
"""How many parts a mail may have, multiparts and their parts counted."""

HEAD_LIMIT = 64 << 10
"""The most bytes of a part's header block."""

_LONGEST_LINE = 2000
_LINE = re.compile(rb"\n--([^\n]{1,%d})(?=\n)" % _LONGEST_LINE)
_LAST_LINE = re.compile(rb"\n--([^\n]{1,%d})(?=\n|\Z)" % _LONGEST_LINE)
_PAIR = re.compile(rb"\\(.)", re.DOTALL)

# What everybody can read, though it is CMS (RFC 8551 section 3.2.2, RFC 2634 section 2).
_READABLE = {b"signed-data", b"compressed-data", b"certs-only", b"signed-receipt"}


class _State(enum.Enum):
    """What the lines that come belong to."""

    NOTHING = enum.auto()
    """To no part, or to one that isn't sealed."""
    HEAD = enum.auto()
    """To a part's header block, which says what it is."""
    SEALED = enum.auto()


class SealedPart:
    """A multipart's body in, its sealed part out: that part's header block and its body. Not for
    two threads at once.

    ``others``: how many other parts have come, a multipart/mixed counted by its parts. Every other
    multipart is one part, whatever is in it.
    """

    _boundaries: list[bytes]
    _marks: dict[bytes, tuple[int, bool]]
    """What stands behind the dashes of a boundary, the level of its multipart, and whether it is
    the last one."""

    def __init__(self, head: bytes) -> None:
        """``head``: the multipart's own header block. Raises EnvelopeError ``malformed`` if it
        names no boundary."""
        boundary = _boundary(head)
        if not boundary:
            raise envelope_error("malformed", f"it is {MIXED.decode()} without a boundary")
        self.others = self._count = 0
        self._nest([boundary])
        self._state, self._found = _State.NOTHING, False
        self._head = HeldBack(_head_end)
        # A boundary is searched together with the end of the line before it. The first `_skip`
        # bytes of what is held were dealt with.
        self._held, self._skip = b"\n", 1

    def __len__(self) -> int:
        """How many bytes are held back."""
        return len(self._held) + len(self._head)

    def take(self, data: Buffer, *, final: bool = False) -> bytes:
        """Takes the next bytes, and gives those of the sealed part. ``final``: nothing more comes.

        Raises EnvelopeError: ``not-enveloped`` if no part is sealed, ``trailing-data`` if two are,
        ``too-deep``, ``too-large`` for too many parts or a part's header block.
        """
        text, at, given = self._held + data, self._skip, []
        for line in (_LAST_LINE if final else _LINE).finditer(text):
            begin = _before(text, line.start())
            # A header block may name the boundary that this line is; the line end before it may be
            # the empty line behind the block.
            for end in (begin, line.start() + 1):
                if self._state is _State.HEAD:
                    given.append(self._passed(text[at:end]))
                    at = max(at, end)
            if mark := self._marks.get(line[1].rstrip(b" \t\r")):
                given.append(self._passed(text[at:begin], ends=True))
                self._turn(*mark)
                at = line.end() + 1
        decided = len(text) if final else _decided(text)
        given.append(self._passed(text[at:decided], ends=final))
        self._held, self._skip = text[decided:], max(at - decided, 0)
        if final and not self._found:
            raise envelope_error("not-enveloped", f"it is {MIXED.decode()}, and no part is sealed")
        return b"".join(given)

    def _nest(self, boundaries: list[bytes]) -> None:
        """Sets the boundaries of the multiparts that are open, the outermost first."""
        self._boundaries = boundaries
        self._marks = {}
        for level, boundary in enumerate(boundaries, 1):
            self._marks |= {boundary: (level, False), boundary + b"--": (level, True)}

    def _turn(self, level: int, closes: bool) -> None:
        """Goes on behind a boundary. One of an outer multipart ends the inner ones too."""
        if level - closes < len(self._boundaries):
            self._nest(self._boundaries[: level - closes])
        self._state = _State.NOTHING if closes else _State.HEAD
        self._head = HeldBack(_head_end)

    def _passed(self, text: bytes, *, ends: bool = False) -> bytes:
        """What of a text without boundaries goes through. ``ends``: the part ends with it."""
        if self._state is _State.HEAD:
            found = self._head.take(memoryview(text), final=ends)
            if found is None:
                return b""
            end, beginning = found
            text = bytes(beginning)
            self._state = self._begun(text[:end])
        return text if self._state is _State.SEALED else b""

    def _begun(self, head: bytes) -> _State:
        """What a part is, by its header block."""
        self._count += 1
        if self._count > MOST_PARTS:
            raise envelope_error("too-large", f"it has over {MOST_PARTS} parts")
        _, kind = content_type(head)
        if kind == MIXED and (boundary := _boundary(head)):
            if len(self._boundaries) == MOST_LEVELS:
                raise envelope_error("too-deep", f"over {MOST_LEVELS} multiparts are nested")
            self._nest([*self._boundaries, boundary])
            return _State.NOTHING
        if not _is_sealed(head):
            self.others += 1
            return _State.NOTHING
        if self._found:
            raise envelope_error(
                "trailing-data", "several parts of it are sealed: save each, and open it alone"
            )
        self._found = True
        return _State.SEALED


_end = partial(header_end, limit=HEAD_LIMIT)


def _head_end(beginning: Buffer, resume: int, *, final: bool) -> tuple[int | None, int]:
    try:
        return _end(memoryview(beginning), resume, final=final)
    except MessageError:
        why = f"a part has a header block of over {HEAD_LIMIT} bytes"
        raise envelope_error("too-large", why) from None


def _before(text: bytes, line_feed: int) -> int:
    """Where the line end begins that belongs to a boundary."""
    return line_feed - (line_feed > 0 and text[line_feed - 1] == ord("\r"))


def _decided(text: bytes) -> int:
    """How much of a text can have no boundary that isn't whole yet."""
    last = text.rfind(b"\n")
    if last < 0 or len(text) - last > _LONGEST_LINE + len(b"\n--"):
        return len(text) - text.endswith(b"\r")
    return _before(text, last)


def _boundary(head: bytes) -> bytes:
    value, _ = content_type(head)
    written = fields.written_parameter(Field(b"content-type", b":" + value), "boundary")
    return _PAIR.sub(rb"\1", written)


def _is_sealed(head: bytes) -> bool:
    """By its label, as far as that can tell."""
    value, kind = content_type(head)
    label = Field(b"content-type", b":" + value)
    if kind == b"application/octet-stream":  # any file's
        names = [fields.parameter(label, "name")]
        names += [fields.parameter(one, "filename") for one in fields.split(head)
                  if one.name == b"content-disposition"]  # fmt: skip
        return any(name.endswith(b".p7m") for name in names)
    return kind in CMS_TYPES and fields.parameter(label, "smime-type") not in _READABLE
