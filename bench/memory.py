"""Streams gigabytes through an EncryptWriter and watches the resident memory.

python bench/memory.py [--gib 4]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
from pathlib import Path
from typing import NamedTuple

import cmstream
import samples

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
    size = len(HEAD) + blocks * len(LINE_BLOCK) if sized else None
    early = 0
    with cmstream.EncryptWriter(Nowhere(), samples.recipients(), form="message", size=size) as out:
        out.write(HEAD)
        for number in range(blocks):
            out.write(LINE_BLOCK)
            if number == EARLY:
                early = peak()
    return Memory(peak(), peak() - early)


def main() -> None:
    """Streams with size and without; ends with 1 if the memory passes its limit or grows."""
    parser = argparse.ArgumentParser(description="Resident memory of one large stream.")
    parser.add_argument("--gib", type=float, default=4)
    gib = parser.parse_args().gib
    blocks = max(int(gib * (1 << 30)) // len(LINE_BLOCK), EARLY + 1)
    # A process for each shape: a peak never falls.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = pool.starmap(stream, [(blocks, False), (blocks, True)], chunksize=1)
    for shape, memory in zip(("BER, size unknown", "DER, size known"), found, strict=True):
        print(f"{gib:g} GiB, {shape}: peak {memory.peak / (1 << 20):.1f} MiB, "
              f"grew by {memory.grown >> 10} KiB; limit {LIMIT >> 20} MiB")  # fmt: skip
    sys.exit(any(m.peak > LIMIT or m.grown > GROWTH for m in found))


if __name__ == "__main__":
    main()
