"""Gives a decrypted message its header fields back (RFC 8551 section 3.1, RFC 9788)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..engine.held_back import HeldBack
from ..engine.mail_text import outer_fields
from ..engine.stream_context import State
from ..errors import MessageError
from . import fields, mime
from .header_protection import restored

if TYPE_CHECKING:
    from ..engine.decoder import ContentSource
    from ..engine.gate import Buffer

INNER_LIMIT = 2 * mime.HEADER_LIMIT
"""The most bytes of an inner header block that is looked at: protected fields may stand there
twice."""

_OF_INTEREST = b"hp", b"mime-version", b"protected-headers"
_MIME_VERSION = re.compile(fields.named(b"mime-version"), re.IGNORECASE)


def _outside(head: bytes) -> bytes:
    found = outer_fields(head)
    return mime.frame(head).outside[: -len(mime.ENTITY_HEADER)] if found is None else found


class _InnerHeader(NamedTuple):
    """Where an inner header block ends, and what must stand behind it, so that no reader takes the
    body for fields: nothing, where it ends in an empty line."""

    end: int
    missing: bytes = b""


def _inner_header(
    beginning: Buffer, resume: int, *, final: bool
) -> tuple[_InnerHeader | None, int]:
    try:
        end, resume = mime.header_end(beginning, resume, final=final, limit=INNER_LIMIT)
    except MessageError:
        return _InnerHeader(0), 0  # a header block of that length is given as it is
    if end is None:
        return None, resume
    return _InnerHeader(end, _missing(bytes(memoryview(beginning)[max(end - 3, 0) : end]))), resume


def _missing(ending: bytes) -> bytes:
    """``ending``: the last three bytes of a header block, if it has so many."""
    if ending in {b"\n", b"\r\n"} or ending.endswith((b"\n\n", b"\n\r\n")):
        return b""
    return b"\r\n" if ending.endswith(b"\n") or not ending else b"\r\n\r\n"


_MOST_MISSING = len(b"\r\n\r\n")


class HeaderRestorer:
    """Makes a whole message of what comes out of the sealed entity: waits for the entity's header
    block and puts the outer fields in front of it, or the protected ones in its place. A
    :class:`ContentSource` itself."""

    def __init__(self, content: ContentSource, head: bytes) -> None:
        """``head``: the sealed message's own header block; empty if it has none."""
        self._content, self._head = content, head
        self._outside = _outside(head)
        self._state = State.HEAD
        # The content is written this far behind its place, so that what mostly belongs in front of
        # it fits there.
        self._room = len(self._outside) + len(mime.VERSION)
        self._beginning = HeldBack(_inner_header)

    @property
    def extra(self) -> int:
        """The most bytes that are still to come out besides those of the content to come."""
        waiting = _MOST_MISSING if self._state is State.HEAD else 0
        return self._room + len(self._beginning) + waiting

    def update_into(self, data: memoryview, buffer: Buffer, start: int) -> tuple[int, int]:
        """As ContentSource says."""
        taken, count = self._content.update_into(data, buffer, start + self._room)
        if self._state is State.HEAD and count:
            count = self._join(buffer, start, count)
        return taken, count

    def finish_into(self, buffer: Buffer, start: int) -> int:
        """As ContentSource says."""
        count = self._content.finish_into(buffer, start + self._room)
        return self._join(buffer, start, count, final=True) if self._state is State.HEAD else count

    def _join(self, buffer: Buffer, start: int, count: int, *, final: bool = False) -> int:
        """Takes ``count`` bytes of content behind the room at ``start``; gives how many bytes of
        the message stand at ``start`` then."""
        view = memoryview(buffer).cast("B")[start:]
        found = self._beginning.take(view[self._room : self._room + count], final=final)
        if found is None:
            return 0
        (end, missing), beginning = found
        top = _top(self._head, self._outside, bytes(beginning[:end])) + missing
        if len(top) == self._room + end and len(beginning) == count:  # nearly always
            view[: len(top)] = top
            written = self._room + count
        else:
            message = top + bytes(beginning[end:])
            view[: len(message)] = message
            written = len(message)
        self._state, self._room = State.BODY, 0
        return written


def _top(sealed_head: bytes, outside: bytes, head: bytes) -> bytes:
    """A message's header block, made of the sealed message's own, what of that stays outside, and
    the inner one."""
    small = head.lower()
    if not any(word in small for word in _OF_INTEREST):  # nearly always, and at once
        return outside + mime.VERSION + head
    top = restored(sealed_head, head)
    if top is not None:
        return top
    version = b"" if _MIME_VERSION.search(b"\n" + head) else mime.VERSION
    return outside + version + head


def whole_message(head: bytes, content: memoryview) -> bytes:
    """A whole message of the sealed message's own header block, empty if it has none, and all of
    its content."""
    found, _ = _inner_header(content, 0, final=True)
    end, missing = found or _InnerHeader(0)
    top = _top(head, _outside(head), bytes(content[:end]))
    return b"".join((top, missing, content[end:]))
