"""A progress bar on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONG = 16 << 20
"""Bytes from which on an input gets a bar."""

_EVERY = 0.1  # seconds


def with_progress(chunks: Iterable[bytes], total: int | None) -> Iterator[bytes]:
    """The chunks as they are; a line on standard error tells how far they have come, if that is
    a terminal and ``total``, in bytes, is unknown or large."""
    if not sys.stderr.isatty() or (total is not None and total < LONG):
        yield from chunks
        return
    done, begun = 0, time.monotonic()
    shown = begun
    try:
        for chunk in chunks:
            yield chunk
            done += len(chunk)
            now = time.monotonic()
            if now - shown >= _EVERY and done >= LONG // 16:
                shown = now
                _show(done, total, now - begun)
    finally:
        if shown > begun:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _show(done: int, total: int | None, seconds: float) -> None:
    rate = done / max(seconds, 1e-6) / (1 << 20)
    part = f"{done >> 20} MiB"
    if total:
        width = min(30, 30 * done // total)
        part = f"[{'#' * width}{'.' * (30 - width)}] {100 * done // total:3d} %  {part}"
    sys.stderr.write(f"\r{part}  {rate:.0f} MiB/s\x1b[K")
    sys.stderr.flush()
