"""Do bytes look like ciphertext, which is as good as random, or can somebody read them?"""

from __future__ import annotations

import zlib
from collections import Counter
from math import ceil, log2
from typing import TYPE_CHECKING, NamedTuple

from .unproved import UnprovedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_WINDOW = 4 << 10
_SHORTEST = 64  # octets that are worth an attempt to compress them
_LINES = (128, 512)  # digits of base64 that are looked at together
_LONGEST_RUN = 256
_BLOCK = 16 * _WINDOW  # octets of ciphertext that are looked at together
_EDGE = 64  # octets of ciphertext, at each end, that are looked at with what stands beside it
_RARE = 30  # random octets fail a test less than once in 2**30
_PIECE = 3  # bits by which a run must be rarer than any to count as a piece of text


class _Script(NamedTuple):
    """Signs that a text is made of, as a table for ``bytes.translate``; and how many bits tell that
    another sign out of all is one of them."""

    signs: bytes
    others: int
    table: bytes
    bits: float

    def runs(self, octets: bytes) -> Iterator[int]:
        """The lengths of those runs that are longer than random octets have."""
        marks = octets.translate(self.table) + b"\0"
        short = b"\1" * ceil((log2(len(marks)) + _PIECE) / self.bits)
        at = marks.find(short)
        while at >= 0:
            end = marks.find(b"\0", at)
            yield end - at
            at = marks.find(short, end)


def _script(signs: bytes, others: int = 256) -> _Script:
    table = bytes(octet in signs for octet in range(256))
    return _Script(signs, others, table, log2(others / len(set(signs))))


_UPPER, _LOWER = bytes(range(ord("A"), ord("Z") + 1)), bytes(range(ord("a"), ord("z") + 1))
_STOPS = b"\t\r\n ,."
_FIGURES = b"0123456789 .,:/-+"
_HIGH = bytes(range(0x80, 0x100))
_SCRIPTS = (
    _script(_FIGURES),
    _script(_LOWER + b" "),
    _script(_UPPER + _LOWER + _STOPS),
    _script(bytes(range(ord(" "), ord("~") + 1)) + b"\t\r\n"),
    _script(_HIGH + _STOPS),  # most others, in UTF-8 or a charset of their own
)
# The upper halves of signs in UTF-16: of ideographs and kana, of Hangul, of alphabets; the last
# are small numbers, of which there are many in CMS without a text.
_WIDE = (_script(bytes((0x30, *range(0x4E, 0xA0)))), _script(bytes(range(0xAC, 0xD8))))
_WIDE_RUNS = (*_WIDE, _script(bytes(range(1, 0x20))))
# Of base64, whose other signs may part words. Names in CMS give many capitals.
_DIGITS = (_script(_LOWER, 64), _script(_LOWER + b"+/", 64))
_CAPITALS = _script(_UPPER + b"+/", 64)


class Runs:
    """Runs of text in all that is added. One long run is rare, and so are many that are shorter,
    wherever they stand."""

    def __init__(self, *scripts: _Script) -> None:
        self._lengths = {script: Counter[int]() for script in scripts or _SCRIPTS}
        self._octets = 0

    def add(self, octets: bytes) -> None:
        """Signs of two octets, or of four, count too where some of them are zero."""
        text = octets.replace(b"\0", b"")
        self._octets += len(octets)
        for script, lengths in self._lengths.items():
            lengths.update(script.runs(text))

    def include(self, others: Runs) -> None:
        """As if all that the others saw were added here."""
        self._octets += others._octets
        for script, lengths in others._lengths.items():
            self._lengths[script].update(lengths)

    def check(self) -> None:
        """Raises UnprovedError for text that random octets would hardly ever have."""
        places = log2(self._octets + 1)
        for script, lengths in self._lengths.items():
            longest = script.bits * max(lengths, default=0) - places
            rare = ((script.bits * run - places - _PIECE, count) for run, count in lengths.items())
            if max(longest, sum(bits * count for bits, count in rare if bits > 0)) > _RARE:
                raise UnprovedError("runs of text")


def check_random(octets: bytes) -> Runs:
    """Raises UnprovedError where random octets would hardly ever look so (less than once in a
    million): a long run of text, more text than there is by chance, or a piece that can be
    compressed. Gives the runs that are left."""
    runs = check_little_text(octets)
    for window in _windows(octets):
        if len(window) >= _SHORTEST and len(zlib.compress(window, 1)) < len(window):
            raise UnprovedError("it isn't random")
    return runs


def check_little_text(octets: bytes) -> Runs:
    """Raises UnprovedError for text that random octets would hardly ever have, in one piece or in
    many: for octets of which some may come again."""
    runs = check_no_text(octets)
    for window in _windows(octets):
        _check_share(window, *_SCRIPTS)
        if len(octets) <= _WINDOW:
            for half in (window[::2], window[1::2]):
                _check_share(half, *_WIDE, *_SCRIPTS)
    return runs


def check_no_text(octets: bytes) -> Runs:
    """Raises UnprovedError for runs of text that random octets would hardly ever have, in one or
    more octets a character."""
    runs = Runs()
    runs.add(octets)
    runs.check()
    for half in (octets[::2], octets[1::2]):
        _check_runs(half, *_WIDE_RUNS)
    return runs


def _windows(octets: bytes) -> Iterator[bytes]:
    return (octets[start : start + _WINDOW] for start in range(0, len(octets), _WINDOW))


def check_digits(digits: bytes, *, names: bool) -> None:
    """Raises UnprovedError for base64 whose letters make words. ``names``: what it stands for holds
    names that everybody may read, so that capitals don't count."""
    scripts = _DIGITS if names else (*_DIGITS, _CAPITALS)
    _check_runs(digits, *scripts)
    for count in _LINES:
        for start in range(0, len(digits), count):
            _check_share(digits[start : start + count], *scripts)


def _check_runs(octets: bytes, *scripts: _Script) -> None:
    runs = Runs(*scripts)
    runs.add(octets)
    runs.check()


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
    """Bytes that come in pieces and must look random, however they are cut; ``len()`` is their
    number."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._first = b""
        self._len = 0
        self.runs = Runs()

    def __len__(self) -> int:
        return self._len

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """Raises UnprovedError."""
        self._held += data
        self._len += len(data)
        if len(self._first) < _EDGE:
            self._first += bytes(data[: _EDGE - len(self._first)])
        while len(self._held) >= _BLOCK + _LONGEST_RUN:
            self.runs.include(check_random(bytes(self._held[: _BLOCK + _LONGEST_RUN])))
            del self._held[:_BLOCK]

    def end(self) -> None:
        """Raises UnprovedError."""
        self.runs.include(check_random(bytes(self._held)))
        self.runs.check()

    @property
    def edges(self) -> bytes:
        """The first and the last octets, of which a text may have a part whose other parts stand
        beside the ciphertext."""
        rest = min(self._len - len(self._first), _EDGE)
        return self._first + bytes(self._held[len(self._held) - rest :])
