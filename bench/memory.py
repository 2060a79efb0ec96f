"""Streams gigabytes through an EncryptWriter, alone and with a DecryptWriter behind it, and watches
the resident memory; authenticated ones too, which wait on the disk until they are verified.

python bench/memory.py [--gib 4]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cmstream
import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cmstream.streams import Sink

LIMIT = 48 << 20
GROWTH = 1 << 20
EARLY = 16  # blocks after which nothing more may grow
HEAD = b"Subject: large\r\nContent-Type: application/octet-stream\r\n\r\n"
LINE_BLOCK = (b"x" * 62 + b"\r\n") * (1 << 12)  # 256 KiB


class Nowhere:
    """A sink that keeps nothing."""

    def write(self, data: memoryview) -> int:
        return len(data)


class Memory(NamedTuple):
    """Octets: the most that a process had resident, and by how much that grew after its start."""

    peak: int
    grown: int


def peak() -> int:
    """The most octets that this process has had resident."""
    status = Path("/proc/self/status")
    if status.exists():  # there ru_maxrss counts what the parent had, too
        (line,) = (x for x in status.read_text("ascii").splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def stream(blocks: int, sized: bool) -> Memory:
    """Seals that many blocks as one message."""
    return _measured(Nowhere(), blocks, sized, cmstream.DEFAULT)


def back(blocks: int, sized: bool) -> Memory:
    """Opens such a message while it is sealed, piece by piece."""
    return _back(blocks, sized, cmstream.DEFAULT)


def verified(blocks: int, sized: bool) -> Memory:
    """The same with AES-256-GCM, verified before anything of it comes out."""
    return _back(blocks, sized, cmstream.Policy(cipher="aes256-gcm"))


def _back(blocks: int, sized: bool, policy: cmstream.Policy) -> Memory:
    most = 2 * blocks * len(LINE_BLOCK) + (1 << 20)
    with cmstream.DecryptWriter(
        Nowhere(), samples.identity(), message=True, spool_limit=most
    ) as opened:
        found = _measured(opened, blocks, sized, policy)
    return Memory(peak(), found.grown + max(0, peak() - found.peak))


def _measured(sink: Sink, blocks: int, sized: bool, policy: cmstream.Policy) -> Memory:
    size = len(HEAD) + blocks * len(LINE_BLOCK) if sized else None
    early = 0
    with cmstream.EncryptWriter(
        sink, samples.recipients(), form="message", size=size, policy=policy
    ) as out:
        out.write(HEAD)
        for number in range(blocks):
            out.write(LINE_BLOCK)
            if number == EARLY:
                early = peak()
    return Memory(peak(), max(0, peak() - early))  # the kernel counts a few pages late


def shapes(way: Callable[[int, bool], Memory], gib: float) -> dict[str, Memory]:
    """Of a way, without size and with it."""
    blocks = max(int(gib * (1 << 30)) // len(LINE_BLOCK), EARLY + 1)
    # A process for each shape: a peak never falls.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = pool.starmap(way, [(blocks, False), (blocks, True)], chunksize=1)
    return dict(zip(("BER, size unknown", "DER, size known"), found, strict=True))


def text(what: str, gib: float, found: dict[str, Memory]) -> Iterator[str]:
    """A line for each shape."""
    for shape, memory in found.items():
        yield (f"{gib:g} GiB {what}, {shape}: peak {memory.peak / (1 << 20):.1f} MiB, "
               f"grew by {memory.grown >> 10} KiB; limit {LIMIT >> 20} MiB")  # fmt: skip


def main() -> None:
    """Both ways, with size and without; ends with 1 if the memory passes its limit or grows."""
    parser = argparse.ArgumentParser(description="Resident memory of one large stream.")
    parser.add_argument("--gib", type=float, default=4)
    gib = parser.parse_args().gib
    every: list[Memory] = []
    ways = {"sealed": stream, "sealed and opened": back, "authenticated and verified": verified}
    for what, way in ways.items():
        found = shapes(way, gib)
        print(*text(what, gib, found), sep="\n", flush=True)
        every += found.values()
    sys.exit(any(m.peak > LIMIT or m.grown > GROWTH for m in every))


if __name__ == "__main__":
    main()
