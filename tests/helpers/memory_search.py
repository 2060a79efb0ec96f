"""Searches the memory of a process, the stacks of all its threads too, for secrets, whole or in
part, and for what is made of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BLOCK = 16


def memory(process: int) -> Iterator[bytes]:
    """All that it may write to."""
    with open(f"/proc/{process}/mem", "rb", buffering=0) as file:  # noqa: PTH123
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found and "[v" not in line:
                begin, end = (int(one, 16) for one in found.groups())
                file.seek(begin)
                while begin < end and (piece := file.read(min(end - begin, 8 << 20))):
                    yield piece
                    begin += len(piece)


def words(secret: bytes) -> Iterator[int]:
    """Those of eight octets, as this machine reads them, of which one at least is wherever fifteen
    octets of the secret are, in their order or backwards."""
    for octets in (secret, secret[::-1]):
        for at in range(len(octets) - 7):
            yield int.from_bytes(octets[at : at + 8], "little")


def digits(secret: bytes) -> Iterator[int]:
    """Those of the number that it is or ends, in the radixes in which big numbers are kept."""
    number = int.from_bytes(secret, "big")
    for bits in (52, 64):
        for at in range(0, 8 * len(secret) - bits + 1, bits):
            yield number >> at & (1 << bits) - 1


def found(process: int, secrets: Mapping[str, Iterable[int]]) -> set[str]:
    """The names of those of whose words or digits one is somewhere in its memory."""
    names = {word: name for name, each in secrets.items() for word in each}
    seen = set()
    for piece in memory(process):
        there = memoryview(piece).cast("Q")
        if not names.keys().isdisjoint(there):
            seen |= {names[word] for word in names.keys() & {*there}}
    return seen


# --- round keys (FIPS 197 sections 5.2 and 5.3.5) -------------------------------------------------


def _times(a: int, b: int) -> int:
    product = 0
    for bit in range(8):
        product ^= (a << bit) * (b >> bit & 1)
    for bit in range(14, 7, -1):
        product ^= (0x11B << bit - 8) * (product >> bit & 1)
    return product


def _substitute(octet: int) -> int:
    inverse = next((one for one in range(256) if _times(octet, one) == 1), 0)
    total = 0x63
    for count in range(5):
        total ^= (inverse << count | inverse >> 8 - count) & 0xFF
    return total


_SUBSTITUTED = bytes(map(_substitute, range(256)))


def round_keys(key: bytes) -> list[bytes]:
    """All, the first of which are the key itself."""
    size, constant = len(key) // 4, 1
    found = [key[at : at + 4] for at in range(0, len(key), 4)]
    for at in range(size, 4 * (size + 7)):
        word = found[-1]
        if at % size == 0:
            word = (word[1:] + word[:1]).translate(_SUBSTITUTED)
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _times(constant, 2)
        elif size > 6 and at % size == 4:
            word = word.translate(_SUBSTITUTED)
        found.append(bytes(a ^ b for a, b in zip(word, found[-size], strict=True)))
    return [b"".join(found[at : at + 4]) for at in range(0, len(found), 4)]


def unmixed(round_key: bytes) -> bytes:
    """A round key as decryption wants it: each column through InvMixColumns."""
    mixed = bytearray()
    for at in range(0, BLOCK, 4):
        column = round_key[at : at + 4]
        for row in range(4):
            factors = zip((14, 11, 13, 9), column[row:] + column[:row], strict=True)
            total = 0
            for factor, octet in factors:
                total ^= _times(factor, octet)
            mixed.append(total)
    return bytes(mixed)
