"""Keeps the memory that messages have used for the next ones.

By default glibc gives what is free at the end of its heap back to the kernel. A message of some
tens of KiB is copied a few times, so each one would take dozens of pages from the kernel again: a
quarter of the processor time that such a message costs."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT = 16 << 20
_LARGEST = 4 << 20
"""Longer pieces come from the kernel, and go back to it."""


def keep() -> None:
    """For the whole process. Does nothing where the C library isn't glibc."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
