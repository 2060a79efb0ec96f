"""Streams gigabytes through an EncryptWriter and watches the resident memory.

python bench/memory.py [--gib 4]
"""

from __future__ import annotations

import argparse
import resource
import sys

import cmstream
import samples

LIMIT = 48 << 20
HEAD = b"Subject: large\r\nContent-Type: application/octet-stream\r\n\r\n"
LINE_BLOCK = (b"x" * 62 + b"\r\n") * (1 << 12)  # 256 KiB


class Nowhere:
    """A sink that keeps nothing."""

    def write(self, data: memoryview) -> int:
        return len(data)


def peak() -> int:
    """The most octets that this process has had in memory."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def stream(gib: float, *, sized: bool) -> int:
    """Seals that much as one message; gives how much the peak grew after the first MiB."""
    blocks = int(gib * (1 << 30)) // len(LINE_BLOCK)
    size = len(HEAD) + blocks * len(LINE_BLOCK) if sized else None
    early = 0
    with cmstream.EncryptWriter(Nowhere(), samples.recipients(), form="message", size=size) as out:
        out.write(HEAD)
        for number in range(blocks):
            out.write(LINE_BLOCK)
            if number == 3:
                early = peak()
    return peak() - early


def main() -> None:
    """Streams with size and without; ends with 1 if the memory passes its limit or grows."""
    parser = argparse.ArgumentParser(description="Resident memory of one large stream.")
    parser.add_argument("--gib", type=float, default=4)
    gib = parser.parse_args().gib
    bad = False
    for sized in (True, False):
        grown = stream(gib, sized=sized)
        shape = "DER, size known" if sized else "BER, size unknown"
        print(f"{gib:g} GiB, {shape}: peak {peak() / (1 << 20):.1f} MiB, grew by {grown} octets")
        bad |= peak() > LIMIT or grown > 1 << 20
    sys.exit(bad)


if __name__ == "__main__":
    main()
