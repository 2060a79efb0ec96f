"""What C counts of octets that should look random: signs of scripts, and what comes again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .gate import OCTETS, ffi, lib

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCRIPTS = int(lib.READABLE_SCRIPTS)
"""So many scripts are looked for at once."""

WINDOW = int(lib.READABLE_WINDOW)
"""Octets that are looked at together."""

_SIGN, _NONE, _BITS = 0xFFFF, 0x7FFF, 16
_LONGEST = int(lib.READABLE_LONGEST)
_NUMBER = ffi.sizeof("uint32_t")
_LENGTHS = ffi.typeof(f"uint32_t[{SCRIPTS * _LONGEST}]")


def numbers(of: Sequence[int]) -> int:
    """A number for each script, at most 0x7FFF, as C takes them."""
    every = [min(one, _NONE) for one in of] + [_NONE] * (SCRIPTS - len(of))
    return sum(one << _BITS * at for at, one in enumerate(every))


class Signs:
    """The signs of up to four scripts."""

    def __init__(self, scripts: Sequence[bytes]) -> None:
        masks = [
            sum((_SIGN if octet in one else 0) << _BITS * at for at, one in enumerate(scripts))
            for octet in range(256)
        ]
        self._table = ffi.new("uint64_t[256]", masks)

    def runs(
        self, octets: bytes, shortest: int, *, start: int = 0, step: int = 1
    ) -> Iterator[tuple[int, int, int]]:
        """The runs of signs in every ``step``th octet from ``start`` on, as if no octet were 0, of
        the length that ``shortest`` says for a script, or longer: the script, the length (of 127
        or more, 127), and how many there are."""
        lengths = ffi.new(_LENGTHS)
        source = ffi.from_buffer(OCTETS, octets) + start
        count = max(len(octets) - start, 0)
        if lib.readable_runs(self._table, shortest, source, count, step, lengths):
            octets, at = bytes(ffi.buffer(lengths)), 0
            while left := octets[at:].lstrip(b"\0"):  # nearly all are 0
                at = (len(octets) - len(left)) // _NUMBER
                yield at // _LONGEST, at % _LONGEST, lengths[at]
                at = (at + 1) * _NUMBER

    def are_many(self, octets: bytes, window: int, most: int, most_of_last: int) -> bool:
        """Whether one of the windows, of 4096 octets at most, has more signs of a script than
        ``most`` says; ``most_of_last``: than the last window may have."""
        source = ffi.from_buffer(OCTETS, octets)
        return bool(
            lib.readable_share(self._table, most, most_of_last, source, len(source), window)
        )


def suspects(octets: bytes) -> Iterator[int]:
    """Where the windows begin, the last one maybe shorter, that zlib might compress: few of those
    of random octets."""
    source = ffi.from_buffer(OCTETS, octets)
    at = 0
    while (at := lib.readable_suspect(source, len(source), at)) < len(source):
        yield at
        at += WINDOW
