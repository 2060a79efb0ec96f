"""Checks that the resident memory stays small and constant while gigabytes are streamed: through an
EncryptWriter, through a DecryptWriter behind it, and with authenticated content, which is kept on
the disk until it is verified.

python bench/memory.py [--gib 4] [--quick] [--out FOLDER]

Takes a minute or two for each GiB. Ends with 1 if the memory passes its limit or grows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cmstream
import results
import samples
from conditions import Conditions

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
    """Bytes: the peak of a process, and by how much that grew after the first blocks."""

    peak: int
    grown: int


def peak() -> int:
    """The peak of this process's resident memory in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # here ru_maxrss would include the parent's
        (line,) = (x for x in status.read_text("ascii").splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def stream(blocks: int, sized: bool) -> Memory:
    """Encrypts that many blocks as one message."""
    return _measured(Nowhere(), blocks, sized, cmstream.DEFAULT)


def back(blocks: int, sized: bool) -> Memory:
    """Opens such a message while it is encrypted, piece by piece."""
    return _back(blocks, sized, cmstream.DEFAULT)


def verified(blocks: int, sized: bool) -> Memory:
    """The same with AES-256-GCM, which is verified before any content comes out."""
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
    """The memory that ``way`` needs, without the size known before and with it."""
    blocks = max(int(gib * (1 << 30)) // len(LINE_BLOCK), EARLY + 1)
    # A process for each, since a peak never falls.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = pool.starmap(way, [(blocks, False), (blocks, True)], chunksize=1)
    return dict(zip(("BER, size unknown", "DER, size known"), found, strict=True))


def text(what: str, gib: float, found: dict[str, Memory]) -> Iterator[str]:
    """A line for each shape."""
    for shape, memory in found.items():
        yield (f"{gib:g} GiB {what}, {shape}: peak {memory.peak / (1 << 20):.1f} MiB, "
               f"grew by {memory.grown >> 10} KiB; limit {LIMIT >> 20} MiB")  # fmt: skip


WAYS = {
    "encrypted": stream,
    "encrypted and opened": back,
    "authenticated and verified": verified,
}


def main() -> None:
    """Measures all ways, prints, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gib", type=float, help="of content (default: 4; with --quick 0.0625)")
    results.add_options(parser)
    options = parser.parse_args()
    gib = options.gib or (0.0625 if options.quick else 4)
    conditions = Conditions()
    every: dict[str, dict[str, Memory]] = {}
    for what, way in WAYS.items():
        every[what] = shapes(way, gib)
        print(*text(what, gib, every[what]), sep="\n", flush=True)
    conditions.end()
    print(*conditions.lines(), sep="\n")
    peaks = {what: {shape: one._asdict() for shape, one in found.items()}
             for what, found in every.items()}  # fmt: skip
    document = {"conditions": conditions.as_document(), "GiB": gib, "limit": LIMIT, "peaks": peaks}
    results.write_json(options.out / "memory.json", document)
    print(f"written to {options.out}")
    found = [one for each in every.values() for one in each.values()]
    if any(one.peak > LIMIT or one.grown > GROWTH for one in found):
        sys.exit(f"memory.py: a peak passes {LIMIT >> 20} MiB, or grew by over {GROWTH >> 20} MiB")


if __name__ == "__main__":
    main()
