"""A whole message again: the outer header block, and what comes out of the sealed entity."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import mime
from .errors import MessageError
from .header_protection import restored

if TYPE_CHECKING:
    from ._core import Buffer

INNER_LIMIT = 2 * mime.HEADER_LIMIT
"""The most octets of an inner header block that is looked at: protected fields may stand there
twice."""

_OF_INTEREST = b"hp", b"mime-version", b"protected-headers"
_MIME_VERSION = re.compile(rb"\nmime-version[ \t]*:", re.IGNORECASE)


class Unframing:
    """Waits for the header block of the content, then puts in front of it, or in its place, what
    the whole message has there. Everything behind it passes."""

    def __init__(self, head: bytes) -> None:
        """``head``: the sealed message's own header block; empty if it has none."""
        self._head = head
        self._outside = mime.frame(head).outside[: -len(mime.ENTITY_HEADER)]
        self._held = bytearray()
        self._resume = 0
        self._done = False

    @property
    def room(self) -> int:
        """How many octets to leave free in front of content."""
        return 0 if self._done else len(self._outside) + len(mime.VERSION)

    @property
    def held(self) -> int:
        """How many octets of content wait."""
        return len(self._held)

    def join(self, buffer: Buffer, start: int, count: int, *, final: bool = False) -> int:
        """Takes ``count`` octets of content that lie ``room`` behind ``start``; gives how many
        octets of the message lie at ``start`` then. ``final``: there is no more content."""
        if self._done or not (count or final):
            return count
        room = self.room
        view = memoryview(buffer).cast("B")[start:]
        beginning: Buffer = view[room : room + count]
        if self._held:
            self._held += beginning
            beginning = self._held
        end = self._header_end(beginning, final=final)
        if end is None:
            if not self._held:
                self._held += beginning
            return 0
        self._done = True
        head = bytes(beginning[:end])
        top = self._top(head)
        if len(top) == room + end and not self._held:  # all is in its place, nearly always
            view[: len(top)] = top
            return room + count
        message = top + bytes(beginning[end:])
        self._held = bytearray()
        view[: len(message)] = message
        return len(message)

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
