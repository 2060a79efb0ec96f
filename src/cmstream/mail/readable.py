"""Do bytes look like ciphertext, which is as good as random, or can somebody read them?"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from functools import lru_cache
from math import ceil, log2
from typing import NamedTuple

from ..engine.text_signs import WINDOW as _WINDOW
from ..engine.text_signs import Signs, numbers, suspects
from .unproved import UnprovedError

_LINES = (128, 512)  # digits of base64 that are looked at together
_LONGEST_RUN = 256
_EDGE = 64  # octets of ciphertext, at each end, that are looked at with what stands beside it
_RARE = 30  # random octets fail a test less than once in 2**30


class _Script(NamedTuple):
    """Signs that a text is made of; and how many bits tell that another sign out of all is one of
    them."""

    signs: bytes
    bits: float

    def longest_run(self, bits: int) -> int:
        """So many in a row random octets don't have whose number has so many bits."""
        return ceil((_RARE + bits) / self.bits)

    def most(self, length: int) -> int:
        """More of them random octets of this length would never have, by Chernoff's bound."""
        return bisect_left(range(1, length + 1), True, key=lambda signs: self._rare(signs, length))

    def _rare(self, signs: int, length: int) -> bool:
        chance, share = 2**-self.bits, signs / length
        if share <= chance:
            return False
        rare = share * log2(share / chance)
        rare += (1 - share) * log2((1 - share) / (1 - chance)) if share < 1 else 0
        return length * rare > _RARE


def _script(signs: bytes, others: int = 256) -> _Script:
    return _Script(signs, log2(others / len(set(signs))))


class _Scripts:
    """Scripts that are looked for together."""

    def __init__(self, *scripts: _Script) -> None:
        self.all = scripts
        self._signs = Signs([one.signs for one in scripts])

    def check_runs(self, octets: bytes, *, start: int = 0, step: int = 1, nul: bool = True) -> None:
        """Raises UnprovedError for a run of text in every ``step``th octet, from ``start`` on."""
        count = (len(octets) - start + step - 1) // step - (0 if nul else octets.count(0))
        shortest = _longest_runs(self, count.bit_length())
        if self._signs.have_run(octets, shortest, start=start, step=step, nul=nul):
            raise UnprovedError("a run of text")

    def check_share(self, octets: bytes, window: int = _WINDOW) -> None:
        """Raises UnprovedError for a window with more signs of one script than random octets would
        ever have."""
        last = len(octets) % window or window
        if self._signs.are_many(octets, window, _most(self, window), _most(self, last)):
            raise UnprovedError("text in pieces")


@lru_cache(64 * 8)
def _longest_runs(scripts: _Scripts, bits: int) -> int:
    return numbers([one.longest_run(bits) for one in scripts.all])


@lru_cache(4 * _WINDOW)
def _most(scripts: _Scripts, length: int) -> int:
    return numbers([one.most(length) for one in scripts.all])


_UPPER, _LOWER = bytes(range(ord("A"), ord("Z") + 1)), bytes(range(ord("a"), ord("z") + 1))
_STOPS = b"\t\r\n ,."
_HIGH = bytes(range(0x80, 0x100))
_SCRIPTS = _Scripts(
    _script(_LOWER + b" "),
    _script(_UPPER + _LOWER + _STOPS),
    _script(bytes(range(ord(" "), ord("~") + 1)) + b"\t\r\n"),
    _script(_HIGH + _STOPS),  # most others, in UTF-8 or a charset of their own
)
_IDEOGRAPHS = _Scripts(_script(bytes(range(0x4E, 0xA0))))  # the upper halves of such in UTF-16
# Of base64, whose other signs may part words. Names in CMS give many capitals.
_SMALL = _script(_LOWER, 64), _script(_LOWER + b"+/", 64)
_DIGITS = _Scripts(*_SMALL, _script(_UPPER + b"+/", 64))
_DIGITS_BESIDE_NAMES = _Scripts(*_SMALL)


def check_random(octets: bytes) -> None:
    """Raises UnprovedError where random octets would hardly ever look so (less than once in a
    million): a long run of text, more text than there is by chance, or a piece that can be
    compressed."""
    check_little_text(octets)
    for start in suspects(octets):
        window = octets[start : start + _WINDOW]
        if len(zlib.compress(window, 1)) < len(window):
            raise UnprovedError("it isn't random")


def check_little_text(octets: bytes) -> None:
    """Raises UnprovedError for text that random octets would hardly ever have, in one piece or in
    many: for octets of which some may come again."""
    check_no_text(octets)
    _SCRIPTS.check_share(octets)
    if len(octets) <= _WINDOW:
        for half in (octets[::2], octets[1::2]):
            _IDEOGRAPHS.check_share(half)
            _SCRIPTS.check_share(half)


def check_no_text(octets: bytes) -> None:
    """Raises UnprovedError for a run of text that random octets would hardly ever have, in one or
    more octets a character."""
    _SCRIPTS.check_runs(octets)
    if 0 in octets:
        _SCRIPTS.check_runs(octets, nul=False)
    for start in (0, 1):
        _IDEOGRAPHS.check_runs(octets, start=start, step=2)


def check_digits(digits: bytes, *, names: bool) -> None:
    """Raises UnprovedError for base64 whose letters make words. ``names``: what it stands for holds
    names that everybody may read, so that capitals don't count."""
    scripts = _DIGITS_BESIDE_NAMES if names else _DIGITS
    scripts.check_runs(digits)
    for count in _LINES:
        scripts.check_share(digits, count)


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
