"""Do bytes look like ciphertext, which is as good as random, or can somebody read them?"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from functools import lru_cache
from math import ceil, log2
from typing import NamedTuple

from ..engine.text_signs import SCRIPTS, Signs, numbers, suspects
from ..engine.text_signs import WINDOW as _WINDOW
from .unproved import UnprovedError

_LINES = (128, 512)  # digits of base64 that are looked at together
_LONGEST_RUN = 256
_BLOCK = 16 * _WINDOW  # octets of ciphertext that are looked at together
_EDGE = 64  # octets of ciphertext, at each end, that are looked at with what stands beside it
_RARE = 30  # random octets fail a test less than once in 2**30
_PIECE = 3  # bits by which a run must be rarer than any to count as a piece of text


class _Script(NamedTuple):
    """Signs that a text is made of; and how many bits tell that another sign out of all is one of
    them."""

    signs: bytes
    bits: float

    def shortest_run(self, length: int) -> int:
        """A run that is longer than random octets of this length have."""
        return ceil((log2(length + 1) + _PIECE) / self.bits)

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


class _Group:
    """Scripts that C looks for together."""

    def __init__(self, scripts: tuple[_Script, ...]) -> None:
        self.scripts = scripts
        self.signs = Signs([one.signs for one in scripts])


@lru_cache(1024)
def _shortest_runs(group: _Group, length: int) -> int:
    return numbers([one.shortest_run(length) for one in group.scripts])


@lru_cache(4 * _WINDOW)
def _most(group: _Group, length: int) -> int:
    return numbers([one.most(length) for one in group.scripts])


class _Scripts:
    """Any number of scripts."""

    def __init__(self, *scripts: _Script) -> None:
        self.all = scripts
        self.groups = [_Group(scripts[at : at + SCRIPTS]) for at in range(0, len(scripts), SCRIPTS)]

    def check_runs(
        self, octets: bytes, *, start: int = 0, step: int = 1, again: bool = False
    ) -> Runs:
        """Raises UnprovedError for runs of text in every ``step``th octet, from ``start`` on. Gives
        those that are left. ``again`` as in :meth:`Runs.check`."""
        runs = Runs(self)
        runs.add(octets, start=start, step=step)
        runs.check(again=again)
        return runs

    def check_share(self, octets: bytes, window: int = _WINDOW) -> None:
        """Raises UnprovedError for a window with more signs of one script than random octets would
        ever have."""
        last = len(octets) % window or window
        for group in self.groups:
            if group.signs.are_many(octets, window, _most(group, window), _most(group, last)):
                raise UnprovedError("text in pieces")


_UPPER, _LOWER = bytes(range(ord("A"), ord("Z") + 1)), bytes(range(ord("a"), ord("z") + 1))
_STOPS = b"\t\r\n ,."
_FIGURES = b"0123456789 .,:/-+"
_HIGH = bytes(range(0x80, 0x100))
_SCRIPTS = _Scripts(
    _script(_FIGURES),
    _script(_LOWER + b" "),
    _script(_UPPER + _LOWER + _STOPS),
    _script(bytes(range(ord(" "), ord("~") + 1)) + b"\t\r\n"),
    _script(_HIGH + _STOPS),  # most others, in UTF-8 or a charset of their own
)
# The upper halves of signs in UTF-16: of ideographs and kana, of Hangul, of alphabets; the last
# are small numbers, of which there are many in CMS without a text.
_WIDE = _script(bytes((0x30, *range(0x4E, 0xA0)))), _script(bytes(range(0xAC, 0xD8)))
_WIDE_RUNS = _Scripts(*_WIDE, _script(bytes(range(1, 0x20))))
_WIDE_SHARES = _Scripts(*_WIDE)
# Of base64, whose other signs may part words. Names in CMS give many capitals.
_SMALL = _script(_LOWER, 64), _script(_LOWER + b"+/", 64)
_DIGITS = _Scripts(*_SMALL, _script(_UPPER + b"+/", 64))
_DIGITS_BESIDE_NAMES = _Scripts(*_SMALL)


class Runs:
    """Runs of text in all that is added. One long run is rare, and so are many that are shorter,
    wherever they stand."""

    def __init__(self, scripts: _Scripts = _SCRIPTS) -> None:
        self._scripts = scripts
        self._counts: dict[tuple[_Script, int], int] = {}  # of each script's runs by their length
        self._octets = 0

    def add(self, octets: bytes, *, start: int = 0, step: int = 1) -> None:
        """Signs of two octets, or of four, count too where some of them are zero."""
        count = (len(octets) - start + step - 1) // step
        self._octets += count
        nuls = octets.count(0) if step == 1 else octets[start::step].count(0)
        for group in self._scripts.groups:
            shortest = _shortest_runs(group, count - nuls)
            for at, run, found in group.signs.runs(octets, shortest, start=start, step=step):
                self._count(group.scripts[at], run, found)

    def include(self, others: Runs) -> None:
        """As if all that the others saw were added here."""
        self._octets += others._octets
        for (script, run), found in others._counts.items():
            self._count(script, run, found)

    def _count(self, script: _Script, run: int, found: int) -> None:
        self._counts[script, run] = self._counts.get((script, run), 0) + found

    def check(self, *, again: bool = False) -> None:
        """Raises UnprovedError for text that random octets would hardly ever have. ``again``: some
        octets come again, so that runs of one length count once."""
        places = log2(self._octets + 1)
        rare = dict.fromkeys(self._scripts.all, 0.0)
        for (script, run), found in self._counts.items():
            rare[script] += max(script.bits * run - places - _PIECE, 0) * (1 if again else found)
            if max(script.bits * run - places, rare[script]) > _RARE:
                raise UnprovedError("runs of text")


def check_random(octets: bytes) -> Runs:
    """Raises UnprovedError where random octets would hardly ever look so (less than once in a
    million): a long run of text, more text than there is by chance, or a piece that can be
    compressed. Gives the runs that are left."""
    runs = check_little_text(octets)
    for start in suspects(octets):
        window = octets[start : start + _WINDOW]
        if len(zlib.compress(window, 1)) < len(window):
            raise UnprovedError("it isn't random")
    return runs


def check_little_text(octets: bytes) -> Runs:
    """Raises UnprovedError for text that random octets would hardly ever have, in one piece or in
    many: for octets of which some may come again."""
    runs = check_no_text(octets)
    _SCRIPTS.check_share(octets)
    if len(octets) <= _WINDOW:
        for half in (octets[::2], octets[1::2]):
            _WIDE_SHARES.check_share(half)
            _SCRIPTS.check_share(half)
    return runs


def check_no_text(octets: bytes, *, again: bool = False) -> Runs:
    """Raises UnprovedError for runs of text that random octets would hardly ever have, in one or
    more octets a character. ``again``: some octets come again."""
    runs = _SCRIPTS.check_runs(octets, again=again)
    for start in (0, 1):
        _WIDE_RUNS.check_runs(octets, start=start, step=2, again=again)
    return runs


def check_digits(digits: bytes, *, names: bool) -> None:
    """Raises UnprovedError for base64 whose letters make words. ``names``: what it stands for holds
    names that everybody may read, so that capitals don't count."""
    scripts = _DIGITS_BESIDE_NAMES if names else _DIGITS
    scripts.check_runs(digits)
    for count in _LINES:
        scripts.check_share(digits, count)


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
