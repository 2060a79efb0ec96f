"""A whole message again: the outer header block, and what comes out of the sealed entity."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from ..engine import gate
from ..errors import MessageError
from . import mime
from .header_protection import restored

if TYPE_CHECKING:
    from ..engine.gate import Buffer

INNER_LIMIT = 2 * mime.HEADER_LIMIT
"""The most octets of an inner header block that is looked at: protected fields may stand there
twice."""

_OF_INTEREST = b"hp", b"mime-version", b"protected-headers"
_MIME_VERSION = re.compile(rb"\nmime-version[ \t]*:", re.IGNORECASE)


class ContentSource(Protocol):
    """Where content comes from."""

    def update_into(self, data: memoryview, buffer: Buffer, start: int) -> tuple[int, int]:
        """Takes octets of the sealed message; gives how many, and how many came out."""

    def finish_into(self, buffer: Buffer, start: int) -> int:
        """Writes the last octets; gives their number."""


def _outside(head: bytes) -> bytes:
    found = gate.outer_fields(head)
    return mime.frame(head).outside[: -len(mime.ENTITY_HEADER)] if found is None else found


class HeaderRestorer:
    """A way that waits for the header block of the content, then puts in front of it, or in its
    place, what the whole message has there. Everything behind it passes."""

    withheld = False

    def __init__(self, content: ContentSource, head: bytes) -> None:
        """``head``: the sealed message's own header block; empty if it has none."""
        self._content, self._head = content, head
        self._outside = _outside(head)
        # So much is left free in front of content that comes, until it is clear what belongs there.
        self._room = len(self._outside) + len(mime.VERSION)
        self._held = bytearray()
        self._resume = 0

    @property
    def extra(self) -> int:
        """The most octets that are still to come out besides those of the content to come."""
        return self._room + len(self._held)

    def update_into(self, data: memoryview, buffer: Buffer, start: int) -> tuple[int, int]:
        """As ContentSource tells."""
        taken, count = self._content.update_into(data, buffer, start + self._room)
        return taken, self._join(buffer, start, count) if self._room and count else count

    def finish_into(self, buffer: Buffer, start: int) -> int:
        """As ContentSource tells."""
        count = self._content.finish_into(buffer, start + self._room)
        return self._join(buffer, start, count, final=True) if self._room else count

    def _join(self, buffer: Buffer, start: int, count: int, *, final: bool = False) -> int:
        """Takes ``count`` octets of content behind the room at ``start``; gives how many octets of
        the message lie at ``start`` then."""
        view = memoryview(buffer).cast("B")[start:]
        beginning: Buffer = view[self._room : self._room + count]
        if self._held:
            self._held += beginning
            beginning = self._held
        end = self._header_end(beginning, final=final)
        if end is None:
            if not self._held:
                self._held += beginning
            return 0
        top = self._top(bytes(beginning[:end]))
        if len(top) == self._room + end and not self._held:  # all is in its place, nearly always
            view[: len(top)] = top
            written = self._room + count
        else:
            message = top + bytes(beginning[end:])
            view[: len(message)] = message
            written = len(message)
        self._room, self._held = 0, bytearray()
        return written

    def _header_end(self, beginning: Buffer, *, final: bool) -> int | None:
        try:
            end, self._resume = mime.header_end(
                beginning, self._resume, final=final, limit=INNER_LIMIT
            )
        except MessageError:
            return 0  # what is as long as that is given as it is
        return end

    def _top(self, head: bytes) -> bytes:
        small = head.lower()
        if not any(word in small for word in _OF_INTEREST):  # nearly always, and at once
            return self._outside + mime.VERSION + head
        top = restored(self._head, head)
        if top is not None:
            return top
        version = b"" if _MIME_VERSION.search(b"\n" + head) else mime.VERSION
        return self._outside + version + head
