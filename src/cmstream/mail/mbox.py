"""The mbox format (RFC 4155): many messages in one stream, each behind a line that begins with
``From ``; taken apart in constant memory, and quoted again.

A line is such a From_ line if it names a date, as Dovecot and mutt have it, or is Mozilla's bare
one with a field below it: a sentence that happens to begin so divides nothing. Lines that other
programs quoted (``>From ``, mboxo and mboxrd) are unquoted; where a Content-Length is right
(mboxcl2), nothing in the message is looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import MessageError
from .fields import BLANK_LINE, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Look = Callable[[int, int], bytes]
    """Gives the bytes at an offset of the stream: so many, fewer at its end."""

CHUNK = 256 << 10  # a Content-Length further down in a header block isn't looked for
_LINE = 1000  # a From_ line is no longer, its end included
_REACH = 2 * _LINE  # what is looked at to tell a From_ line: its quotes, it, and the line below it
_BLANK = 2  # bytes of the blank line that may divide a message from the next

_MARK = re.compile(rb"\n(>{0,99})From ")
_DATED = re.compile(rb"From (?=.*\b\d?\d:\d\d\b)(?=.*\b(?:19|[2-9]\d)\d\d\b)")
_BARE = re.compile(rb"From \r?\n[!-9;-~]+[ \t]*:")
_DIVIDER = re.compile(rb"\r?\n")


@dataclass(frozen=True)
class Message:
    """One message of an mbox stream. ``start``: where its From_ line begins, in bytes.
    ``from_line``: this line with its end. ``chunks``: the message, unquoted, without the blank line
    that divides it from the next; to be read once, before the next message is asked for."""

    start: int
    from_line: bytes
    chunks: Iterator[bytes]


def messages(chunks: Iterable[bytes], look: Look | None = None) -> Iterator[Message]:
    """The messages of an mbox stream, in their order; none for one that is empty.

    ``look`` gives what stands further down, where the stream can be asked: without it a
    Content-Length counts for nothing. Raises MessageError (``malformed-message``) where the stream
    doesn't begin with a From_ line.
    """
    source = _Source(chunks)
    while source.fill(_REACH):
        if blank := _DIVIDER.match(source.held, source.at):
            source.take(blank.end())  # above the first message
            continue
        start = source.offset
        if not _divides(source.ahead(_REACH)):
            raise MessageError(
                "malformed-message",
                f"this is no mbox file: what stands at byte {start} isn't a From_ line with a date",
            )
        line = source.take_line()
        content = _content(source, look)
        yield Message(start, line, content)
        for _ in content:  # what nobody has read
            pass


def quote(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A message as it stands in an mbox file: one more ``>`` before each line that would be taken
    for a From_ line or for a quoted one (mboxrd)."""
    source = _Source(chunks)
    while source.fill(CHUNK):
        end = source.edge()
        while (mark := source.mark()) and mark.start() + 1 < end:
            yield source.take(mark.start() + 1)
            yield b">" + source.take(mark.end())
        yield source.take(end)


def _content(source: _Source, look: Look | None) -> Iterator[bytes]:
    if look and source.fill(CHUNK) and (end := _end(source, look)):
        while source.offset < end and source.fill(1):
            yield source.take(min(len(source.held), source.at + end - source.offset))
        if source.fill(_BLANK) and (blank := _DIVIDER.match(source.held, source.at)):
            source.take(blank.end())
        return
    while source.fill(CHUNK):
        end = source.edge()
        while (mark := source.mark()) and mark.start() + 1 < end:
            line = mark.start() + 1
            if mark[1]:
                yield source.take(line)
                source.take(line + 1)
                yield source.take(mark.end())
            elif _divides(source.held[line : line + _REACH]):
                yield source.take_message(line)
                return
            else:
                yield source.take(mark.end())
        if source.ended:
            yield source.take_message(end)
            return
        yield source.take(end - _BLANK)


def _divides(text: bytes | bytearray) -> bool:
    """Whether text begins with a From_ line."""
    long = text.find(b"\n") >= _LINE or (len(text) >= _REACH and b"\n" not in text)
    return not long and bool(_DATED.match(text) or _BARE.match(text))


def _end(source: _Source, look: Look) -> int | None:
    """Where in the stream the message ends, if its Content-Length is right: then a From_ line or
    the stream's end is there."""
    found = BLANK_LINE.search(source.held, source.at - 1)
    if not found:
        return None
    header = bytes(source.held[source.at : found.end()])
    values = [one.value.strip() for one in split(header) if one.name == b"content-length"]
    if len(values) != 1 or not re.fullmatch(rb"\d{1,18}", values[0]):
        return None
    end = source.offset + len(header) + int(values[0])
    there = look(end - 1, 1 + _BLANK + _REACH)  # with the byte before: the stream is that long
    rest = there[1:]
    if blank := _DIVIDER.match(rest):
        rest = rest[blank.end() :]
    return end if there and (not rest or _divides(rest[:_REACH])) else None


class _Source:
    """The stream's bytes that are held, from the one before the next: patterns look back at it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.held = bytearray(b"\n")
        self.at = 1  # where the next one is in what is held
        self.offset = 0  # where it is in the stream
        self.ended = False

    def fill(self, count: int) -> bool:
        """Holds so many bytes if there are so many. Returns whether there are any."""
        if not self.ended and len(self.held) - self.at < count:
            del self.held[: self.at - 1]
            self.at = 1
        while not self.ended and len(self.held) - self.at < count:
            if (chunk := next(self._chunks, None)) is None:
                self.ended = True
            else:
                self.held += chunk
        return self.at < len(self.held)

    def edge(self) -> int:
        """Up to here all can be told of a line that begins there."""
        return len(self.held) if self.ended else len(self.held) - _REACH

    def mark(self) -> re.Match[bytes] | None:
        """The next line that is a From_ line, or a quoted one."""
        return _MARK.search(self.held, self.at - 1)

    def ahead(self, count: int) -> bytes:
        """The next bytes."""
        return bytes(self.held[self.at : self.at + count])

    def take(self, end: int) -> bytes:
        """The next bytes, up to a place in what is held."""
        with memoryview(self.held) as held:
            taken = bytes(held[self.at : end])
        self.at += len(taken)
        self.offset += len(taken)
        return taken

    def take_line(self) -> bytes:
        """The next line, with its end."""
        end = self.held.find(b"\n", self.at) + 1
        return self.take(end or len(self.held))

    def take_message(self, end: int) -> bytes:
        """The rest of a message that ends here, without a blank line, which is dropped."""
        last = self.held[max(self.at - 1, end - 1 - _BLANK) : end]
        blank = 1 if last.endswith(b"\n\n") else 2 if last == b"\n\r\n" else 0
        taken = self.take(end - blank)
        self.take(end)
        return taken
