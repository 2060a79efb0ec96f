"""What has come and isn't read yet, in pieces of any size: lines, counted bytes, content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .data import Unstuffer


class LineTooLong(Exception):  # noqa: N818 - it is no error of ours
    """A line was longer than may be. It is gone, to its end."""


class Incoming:
    """Whoever reads says ``join`` when nothing can be read any more. What was put in meanwhile is
    joined then and not before, when hardly anything is left: so no byte is copied often."""

    __slots__ = ("_at", "_data", "_more", "_skips")

    def __init__(self) -> None:
        self._data, self._at = b"", 0
        self._more: list[bytes] = []
        self._skips = False

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data) or bool(self._more)

    def feed(self, data: bytes) -> None:
        """Takes what has come."""
        if self._at == len(self._data) and not self._more:
            self._data, self._at = data, 0
        else:
            self._more.append(data)

    def join(self) -> bool:
        """Makes what was fed since readable, and says whether there was anything."""
        rest = self._data[self._at :]
        more = self._more
        self._at = 0
        if not more:
            self._data = rest
            return False
        self._data = b"".join([rest, *more] if rest else more)
        more.clear()
        return True

    def clear(self) -> None:
        """Drops everything."""
        self._data, self._at = b"", 0
        self._more.clear()

    def line(self, limit: int) -> bytes | None:
        """The next line without its end, LF or CR LF; None if it isn't whole. Raises LineTooLong
        at the end of one that is longer than ``limit`` bytes."""
        data, at = self._data, self._at
        end = data.find(b"\n", at)
        if end < 0:
            self._skips = self._skips or len(data) - at > limit
            if self._skips:
                self._at = len(data)
            return None
        self._at = end + 1
        if self._skips or end - at > limit:
            self._skips = False
            raise LineTooLong
        return data[at:end].removesuffix(b"\r")

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes, or what there is of them."""
        at = self._at
        piece = self._data[at : at + count]
        self._at = at + len(piece)
        return piece

    def content(self, dots: Unstuffer) -> tuple[bytes, bool]:
        """What there is of a message after DATA, and whether it has ended."""
        content, end = dots.feed(self._data, self._at)
        self._at = len(self._data) if end < 0 else end
        return content, end >= 0
