"""What people see on standard error while a command works."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONG = 16 << 20
"""Bytes from which on an input gets a bar."""

_EVERY = 0.1  # seconds


class StatusLine:
    """A line on standard error, if that is a terminal, which is written over now and then."""

    def __init__(self) -> None:
        self.shows = sys.stderr is not None and sys.stderr.isatty()
        self._last = time.monotonic()
        self._written = False

    @property
    def due(self) -> bool:
        """Whether something may be shown now: several times a second are enough."""
        return self.shows and time.monotonic() - self._last >= _EVERY

    def show(self, text: str) -> None:
        """Writes it over what was there."""
        self._last, self._written = time.monotonic(), True
        try:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
        except OSError:  # the terminal was closed, and the work goes on
            self.shows = self._written = False

    def end(self) -> None:
        """Takes it away."""
        if self._written:
            self.show("")
            self._written = False


def with_progress(chunks: Iterable[bytes], total: int | None) -> Iterator[bytes]:
    """The chunks as they are; a line on standard error tells how far they have come, if that is
    a terminal and ``total``, in bytes, is unknown or large."""
    line = StatusLine()
    if not line.shows or (total is not None and total < LONG):
        yield from chunks
        return
    done, begun = 0, time.monotonic()
    try:
        for chunk in chunks:
            yield chunk
            done += len(chunk)
            if line.due and done >= LONG // 16:
                line.show(_told(done, total, time.monotonic() - begun))
    finally:
        line.end()


def _told(done: int, total: int | None, seconds: float) -> str:
    rate = done / max(seconds, 1e-6) / (1 << 20)
    part = f"{done >> 20} MiB"
    if total:
        width = min(30, 30 * done // total)
        part = f"[{'#' * width}{'.' * (30 - width)}] {100 * done // total:3d} %  {part}"
    return f"{part}  {rate:.0f} MiB/s"
