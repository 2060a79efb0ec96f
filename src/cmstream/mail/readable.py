"""Do bytes look like ciphertext, which is as good as random, or can somebody read them?"""

from __future__ import annotations

import zlib

from .unproved import UnprovedError

_WINDOW = 4 << 10
_SHORTEST = 64  # bytes that are worth an attempt to compress them
_TEXT = bytes((*b"\t\r\n", *range(ord(" "), ord("~") + 1)))
_PRINTABLE = bytes(byte in _TEXT for byte in range(256))
_LONGEST_RUN = 256


def check_random(data: bytes) -> None:
    """Raises UnprovedError where random bytes would hardly ever look so (less than once in a
    million): a long run of printable ASCII, or a piece that can be compressed."""
    check_no_text(data)
    for start in range(0, len(data), _WINDOW):
        window = data[start : start + _WINDOW]
        if len(window) >= _SHORTEST and len(zlib.compress(window, 1)) < len(window):
            raise UnprovedError("it isn't random")


def check_no_text(data: bytes) -> None:
    """Raises UnprovedError for a run of printable ASCII that random bytes would hardly ever have,
    in one or more bytes a character."""
    for text in (data, data.replace(b"\0", b"")):
        if b"\1" * _run(len(text)) in text.translate(_PRINTABLE):
            raise UnprovedError("a run of text")


def _run(length: int) -> int:
    """So many printable bytes in a row random ones of this length don't have: 98 of 256 are
    printable, so each more makes it 2.6 times less likely."""
    return 16 + length.bit_length()


class Ciphertext:
    """Bytes that come in pieces and must look random; ``len()`` is their number."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._len = 0

    def __len__(self) -> int:
        return self._len

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """Raises UnprovedError."""
        self._held += data
        self._len += len(data)
        if len(self._held) >= 16 * _WINDOW:
            check_random(bytes(self._held))
            del self._held[:-_LONGEST_RUN]

    def end(self) -> None:
        """Raises UnprovedError."""
        check_random(bytes(self._held))
