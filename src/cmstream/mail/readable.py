"""Do bytes look like ciphertext, which is as good as random, or can somebody read them?"""

from __future__ import annotations

import zlib
from math import ceil, log2
from typing import NamedTuple

from .unproved import UnprovedError

_WINDOW = 4 << 10
_SHORTEST = 64  # octets that are worth an attempt to compress them
_LINES = (128, 512)  # digits of base64 that are looked at together
_LONGEST_RUN = 256
_EDGE = 64  # octets of ciphertext, at each end, that are looked at with what stands beside it
_RARE = 30  # random octets fail a test less than once in 2**30


class _Script(NamedTuple):
    """Signs that a text is made of, as a table for ``bytes.translate``; and how many bits tell that
    another sign out of all is one of them."""

    signs: bytes
    others: int
    table: bytes
    bits: float

    def longest_run(self, length: int) -> int:
        """So many in a row random octets of this length don't have."""
        return ceil((_RARE + length.bit_length()) / self.bits)


def _script(signs: bytes, others: int = 256) -> _Script:
    table = bytes(octet in signs for octet in range(256))
    return _Script(signs, others, table, log2(others / len(set(signs))))


_UPPER, _LOWER = bytes(range(ord("A"), ord("Z") + 1)), bytes(range(ord("a"), ord("z") + 1))
_STOPS = b"\t\r\n ,."
_HIGH = bytes(range(0x80, 0x100))
_SCRIPTS = (
    _script(_LOWER + b" "),
    _script(_UPPER + _LOWER + _STOPS),
    _script(bytes(range(ord(" "), ord("~") + 1)) + b"\t\r\n"),
    _script(_HIGH + _STOPS),  # most others, in UTF-8 or a charset of their own
)
_IDEOGRAPHS = _script(bytes(range(0x4E, 0xA0)))  # the upper halves of such in UTF-16
# Of base64, whose other signs may part words. Names in CMS give many capitals.
_DIGITS = (_script(_LOWER, 64), _script(_LOWER + b"+/", 64))
_CAPITALS = _script(_UPPER + b"+/", 64)


def check_random(octets: bytes) -> None:
    """Raises UnprovedError where random octets would hardly ever look so (less than once in a
    million): a long run of text, more text than there is by chance, or a piece that can be
    compressed."""
    check_little_text(octets)
    for start in range(0, len(octets), _WINDOW):
        window = octets[start : start + _WINDOW]
        if len(window) >= _SHORTEST and len(zlib.compress(window, 1)) < len(window):
            raise UnprovedError("it isn't random")


def check_little_text(octets: bytes) -> None:
    """Raises UnprovedError for text that random octets would hardly ever have, in one piece or in
    many: for octets of which some may come again."""
    check_no_text(octets)
    for start in range(0, len(octets), _WINDOW):
        window = octets[start : start + _WINDOW]
        _check_share(window, *_SCRIPTS)
        if len(octets) <= _WINDOW:
            for half in (window[::2], window[1::2]):
                _check_share(half, _IDEOGRAPHS, *_SCRIPTS)


def check_no_text(octets: bytes) -> None:
    """Raises UnprovedError for a run of text that random octets would hardly ever have, in one or
    more octets a character."""
    for text in (octets, octets.replace(b"\0", b"")):
        _check_runs(text, *_SCRIPTS)
    for half in (octets[::2], octets[1::2]):
        _check_runs(half, _IDEOGRAPHS)


def check_digits(digits: bytes, *, names: bool) -> None:
    """Raises UnprovedError for base64 whose letters make words. ``names``: what it stands for holds
    names that everybody may read, so that capitals don't count."""
    scripts = _DIGITS if names else (*_DIGITS, _CAPITALS)
    _check_runs(digits, *scripts)
    for count in _LINES:
        for start in range(0, len(digits), count):
            _check_share(digits[start : start + count], *scripts)


def _check_runs(octets: bytes, *scripts: _Script) -> None:
    for script in scripts:
        if b"\1" * script.longest_run(len(octets)) in octets.translate(script.table):
            raise UnprovedError("a run of text")


def _check_share(octets: bytes, *scripts: _Script) -> None:
    """By Chernoff's bound: more signs of one script than random octets would ever have."""
    length = len(octets)
    for script in scripts:
        chance = 2**-script.bits
        signs = length - len(octets.translate(None, script.signs))
        if signs > length * chance:
            share = signs / length
            rare = share * log2(share / chance)
            rare += (1 - share) * log2((1 - share) / (1 - chance)) if share < 1 else 0
            if length * rare > _RARE:
                raise UnprovedError("text in pieces")


class Ciphertext:
    """Bytes that come in pieces and must look random; ``len()`` is their number."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._first = b""
        self._len = 0

    def __len__(self) -> int:
        return self._len

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """Raises UnprovedError."""
        self._held += data
        self._len += len(data)
        if len(self._first) < _EDGE:
            self._first += bytes(data[: _EDGE - len(self._first)])
        if len(self._held) >= 16 * _WINDOW:
            check_random(bytes(self._held))
            del self._held[:-_LONGEST_RUN]

    def end(self) -> None:
        """Raises UnprovedError."""
        check_random(bytes(self._held))

    @property
    def edges(self) -> bytes:
        """The first and the last octets, of which a text may have a part whose other parts stand
        beside the ciphertext."""
        rest = min(self._len - len(self._first), _EDGE)
        return self._first + bytes(self._held[len(self._held) - rest :])
