"""Transfer encodings (RFC 2045 section 6) taken off piece by piece, and nothing passed over: what
one reader leaves out another may show."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

from ..engine.mail_text import unbase64
from .readable import check_digits
from .unproved import UnprovedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Buffer = bytes | bytearray | memoryview

# Digits that are looked at together, however they come, and so many of the next ones.
_BLOCK, _OVERLAP = 64 << 10, 512
_LONGEST_PADDING = 2
_LONGEST_LINE = 100_000
_SOFT_BREAK = re.compile(rb"=\r?\n")
_TRAILING = re.compile(rb"[ \t]+(?=\r?\n|\Z)")
_QUOTED = re.compile(rb"(?:[^=]|=[0-9A-Fa-f]{2})*", re.DOTALL)


def decoded(encoding: bytes, pieces: Iterable[Buffer]) -> Iterator[bytes]:
    """The bytes that a transfer encoding stands for. Raises UnprovedError for what isn't written
    as it should be, and for an unknown encoding."""
    if encoding == b"base64":
        return from_base64(pieces)
    if encoding == b"quoted-printable":
        return from_quoted_printable(pieces)
    if encoding not in {b"7bit", b"8bit", b"binary"}:
        raise UnprovedError("an unknown transfer encoding")
    return (bytes(piece) for piece in pieces)


def from_base64(pieces: Iterable[Buffer], *, names: bool = True) -> Iterator[bytes]:
    """RFC 4648 section 4 in lines of one length, padding or none at its end alone. The digits too
    must not make words: whoever passes over the encoding sees them. ``names``: the bytes may hold
    names in the clear, as CMS does."""
    held, lines = bytearray(), _Lines()
    for piece in pieces:
        held += lines.joined(bytes(piece))
        while len(held) > _BLOCK + _OVERLAP + _LONGEST_PADDING:
            yield _octets(bytes(held[: _BLOCK + _OVERLAP]), _BLOCK, names=names)
            del held[:_BLOCK]
    digits = bytes(held.rstrip(b"="))
    if len(held) - len(digits) not in {0, -len(digits) % 4} or len(digits) % 4 == 1:
        raise UnprovedError("base64 that doesn't end as it should")
    whole = digits + b"A" * (-len(digits) % 4)
    yield _octets(whole, len(whole), names=names)[: len(digits) * 3 // 4]


class _Lines:
    """White space in base64 means nothing, unless it makes words: all that it parts must be equally
    long, the last one no longer."""

    def __init__(self) -> None:
        self._width = self._open = 0
        self._over = False

    def joined(self, text: bytes) -> bytes:
        """The text without white space. Raises UnprovedError."""
        if b"\v" in text or b"\f" in text:  # they would part words too
            raise UnprovedError("base64 with something else in it")
        words = text.split()
        lengths = [self._open, *map(len, words)]
        if text[:1].strip() and len(lengths) > 1:
            lengths[:2] = [sum(lengths[:2])]
        self._open = lengths.pop() if text[-1:].strip() or not text else 0
        lengths = [length for length in lengths if length]
        width = self._width or (lengths[0] if lengths else 0)
        if not self._over and lengths[:-1].count(width) == len(lengths) - 1:  # nearly always
            self._width = width
            del lengths[:-1]
        for length in lengths:
            self._end(length)
        if self._open and (self._over or 0 < self._width < self._open):
            raise UnprovedError("base64 in lines that make words")
        return b"".join(words)

    def _end(self, length: int) -> None:
        self._width = self._width or length
        if self._over or length > self._width:
            raise UnprovedError("base64 in lines that make words")
        self._over = length < self._width


def _octets(digits: bytes, count: int, *, names: bool) -> bytes:
    """What so many of the digits stand for. Those behind them are looked at for words alone."""
    octets = unbase64(digits[:count])
    if octets is None:
        raise UnprovedError("base64 with something else in it")
    check_digits(digits, names=names)
    return bytes(octets)


def from_quoted_printable(pieces: Iterable[Buffer]) -> Iterator[bytes]:
    """As :class:`QuotedPrintable` decodes it."""
    text = QuotedPrintable()
    for piece in pieces:
        yield text.decode(bytes(piece))
    yield text.decode(b"", final=True)


class QuotedPrintable:
    """RFC 2045 section 6.7, piece by piece; white space at a line's end was added on the way and
    goes."""

    def __init__(self) -> None:
        self._held = b""

    @property
    def held(self) -> int:
        """How many bytes wait for the end of their line."""
        return len(self._held)

    def decode(self, text: bytes, *, final: bool = False) -> bytes:
        """What is decided by now. Raises UnprovedError for an ``=`` that stands for nothing, and
        for a line that is longer than any."""
        text = self._held + text
        end = len(text) if final else text.rfind(b"\n") + 1
        self._held = text[end:]
        if len(self._held) > _LONGEST_LINE:
            raise UnprovedError("a line that is longer than any")
        return _unquoted(text[:end])


def _unquoted(lines: bytes) -> bytes:
    text = _SOFT_BREAK.sub(b"", _TRAILING.sub(b"", lines)).removesuffix(b"=")
    if not _QUOTED.fullmatch(text):
        raise UnprovedError("quoted-printable with something else in it")
    return binascii.a2b_qp(text)
