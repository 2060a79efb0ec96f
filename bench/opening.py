"""Compares how cmstream opens messages with its peers and with what limits it, all in one run.

python bench/opening.py [--rounds N] [--quick] [--timing [N]] [--memory [GIB]] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cmstream
import goals
import libcrypto
import measure
import memory
import openers
import pyca
import report
import samples
import timing
from compare import Extent, Progress, document, figures_of, present, write_json
from engines import Engine, Lab
from helpers import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from goals import Figures

PEERS = {"OpenSSL": libcrypto.openers, "cryptography": pyca.openers}
HEADS = {
    goals.OPENSSL_BACK: "x OpenSSL",
    goals.PYCA_BACK: "x pyca",
    goals.RSA_BACK: "of RSA",
    "memory copy": "of copy",
}
CAPTION = """\
µs to open an S/MIME message in base64, AES-256-CBC, one RSA-2048 recipient, median; in brackets how
many times as fast as OpenSSL's libcrypto. Sizes are those of the content."""
QUICKLY = "Measured quickly: this shows that it runs, and hardly more."
TIMED = 5000


class Found(NamedTuple):
    """All that was measured; what wasn't asked for is None."""

    versions: list[str]
    figures: Figures
    times: timing.Times | None
    gib: float
    peaks: dict[str, memory.Memory] | None


def extent(options: argparse.Namespace) -> Extent:
    """Everything, or enough to see that it runs."""
    if options.quick:
        effort = measure.Effort(options.rounds or 2, least=0.002, budget=0.02)
        return Extent(["4 KiB", "75 KiB"], 16, [], effort)
    effort = measure.Effort(options.rounds or 15)
    return Extent(["4 KiB", "75 KiB", "1 MiB", "25 MiB"], 2, [], effort)


def gather(lab: Lab) -> list[Engine]:
    """All that are on this machine; who isn't is named."""
    return openers.engines() + present(PEERS, lab) + limits.opening()


def find(options: argparse.Namespace, progress: Progress) -> Found:
    """Measures all that is asked for."""
    with Lab() as lab:
        engines = gather(lab)
        versions = [f"cmstream {cmstream.__version__}", *lab.versions.values()]
        figures = figures_of(engines, extent(options), progress, samples.sealed)
    times = peaks = None
    if options.timing:
        progress.heading("times of failures")
        times = timing.measure(options.timing, progress.step)
    if options.memory:
        progress.heading("memory")
        peaks = memory.shapes(memory.back, options.memory)
    progress.end()
    return Found(versions, figures, times, options.memory, peaks)


def text(found: Found) -> Iterator[str]:
    """All of it, in lines."""
    yield from report.heading(found.versions)
    for column, row in found.figures.items():
        yield ""
        yield from report.text(column, row, HEADS)
    yield ""
    yield from report.goals_text(goals.reached(found.figures, goals.OPENING_GOALS))
    if found.times:
        yield ""
        yield from timing.text(found.times)
    if found.peaks:
        yield ""
        yield from _memory(found)


def _memory(found: Found) -> Iterator[str]:
    return memory.text("sealed and opened", found.gib, found.peaks or {})


def as_document(found: Found) -> dict[str, Any]:
    """All of it, for programs; seconds and octets."""
    everything = document(found.versions, found.figures, HEADS, goals.OPENING_GOALS)
    if found.times:
        everything["timing"] = timing.as_document(found.times)
    if found.peaks:
        peaks = {shape: one._asdict() for shape, one in found.peaks.items()}
        everything["memory"] = {"GiB": found.gib, **peaks}
    return everything


def markdown(found: Found) -> str:
    """Tables, the goals, and what else was measured."""
    names = list(dict.fromkeys(name for row in found.figures.values() for name in row))
    bare = [name for name in names if name in {engine.name for engine in limits.opening()}]
    ways = [name for name in names if name not in bare]
    parts = [
        "\n".join(report.heading(found.versions)),
        CAPTION,
        report.table("", ways, found.figures, goals.OPENSSL_BACK),
        report.table("limits", bare, found.figures, goals.OPENSSL_BACK),
        report.goals_table(goals.reached(found.figures, goals.OPENING_GOALS)),
    ]
    if found.times:
        parts.append(timing.markdown(found.times))
    if found.peaks:
        parts.append("\n".join(f"- {line}" for line in _memory(found)))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, help="samples of each engine (default: 15)")
    parser.add_argument("--quick", action="store_true", help="only see whether it runs")
    parser.add_argument("--timing", type=int, nargs="?", const=TIMED, metavar="N",
                        help=f"compare times of failures, too, N of each ({TIMED})")  # fmt: skip
    parser.add_argument("--memory", type=float, nargs="?", const=4, default=0, metavar="GIB",
                        help="open a stream of so many GiB, too (4)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    found = find(options, Progress())
    print(*text(found), sep="\n")
    if options.quick:
        print(QUICKLY)
    write_json(options.out / "opening.json", as_document(found))
    (options.out / "opening.md").write_text(markdown(found), "utf-8")
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    main()
