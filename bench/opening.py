"""Compares how fast cmstream opens messages with its peers and with the processor's own limits;
then how long failures take, by their cause; then the memory of a long stream.

python bench/opening.py [--rounds N] [--quick] [--timing N] [--memory GIB] [--out FOLDER]

All are measured in turns in one run, which takes some minutes; --quick takes less than one.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NamedTuple

import cmstream_decrypt
import failure_times
import goals
import libcrypto
import limits
import memory
import pyca
import report
import results
import samples
from conditions import Conditions
from engines import Engine, Lab
from run import QUICKLY, Extent, Progress, add_rounds, document, effort, figures_of, present

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
CAPTION = f"""\
µs to open an S/MIME message in base64, AES-256-CBC, one RSA-2048 recipient; {report.SPREAD}. In
brackets: how many times as fast as OpenSSL's libcrypto. Sizes are those of the content."""
TIMED, QUICKLY_TIMED = 5000, 100
STREAMED, QUICKLY_STREAMED = 4.0, 0.0625  # GiB


class Found(NamedTuple):
    """All that was measured; None for what wasn't wanted."""

    conditions: Conditions
    figures: Figures
    times: failure_times.Times | None
    gib: float
    peaks: dict[str, memory.Memory] | None


def extent(options: argparse.Namespace) -> Extent:
    """Everything, or enough to see that it runs."""
    if options.quick:
        return Extent(["4 KiB", "75 KiB"], 16, effort(options))
    return Extent(["4 KiB", "75 KiB", "1 MiB", "25 MiB"], 2, effort(options))


def gather(lab: Lab) -> list[Engine]:
    """All that are on this machine; says who is left out."""
    return cmstream_decrypt.engines() + present(PEERS, lab) + limits.opening()


def find(options: argparse.Namespace, progress: Progress) -> Found:
    """Measures all that is asked for."""
    conditions = Conditions()
    timed, gib = options.timing, options.memory
    if timed is None:
        timed = QUICKLY_TIMED if options.quick else TIMED
    if gib is None:
        gib = QUICKLY_STREAMED if options.quick else STREAMED
    with Lab() as lab:
        engines = gather(lab)
        figures = figures_of(engines, extent(options), progress, samples.sealed)
    times = peaks = None
    if timed:
        progress.heading("times of failures")
        times = failure_times.measure(timed, progress.step)
    if gib:
        progress.heading("memory")
        peaks = memory.shapes(memory.back, gib)
    conditions.end(lab.versions.values())
    progress.end()
    return Found(conditions, figures, times, gib, peaks)


def text(found: Found) -> Iterator[str]:
    """All of it, in lines."""
    yield from found.conditions.lines()
    yield f"µs a message: {report.SPREAD}."
    for column, row in found.figures.items():
        yield ""
        yield from report.text(column, row, HEADS)
    yield ""
    yield f"Goals for {found.conditions.goals.processor}:"
    yield from report.goals_text(_reached(found))
    if found.times:
        yield ""
        yield from failure_times.text(found.times)
    if found.peaks:
        yield ""
        yield from _memory(found)


def _reached(found: Found) -> Iterator[goals.Reached]:
    return goals.reached(found.figures, found.conditions.goals.opening)


def _memory(found: Found) -> Iterator[str]:
    return memory.text("encrypted and opened", found.gib, found.peaks or {})


def as_document(found: Found) -> dict[str, Any]:
    """All of it, for programs; seconds and bytes."""
    everything = document(found.conditions, found.figures, found.conditions.goals.opening, HEADS)
    if found.times:
        everything["timing"] = failure_times.as_document(found.times)
    if found.peaks:
        peaks = {shape: one._asdict() for shape, one in found.peaks.items()}
        everything["memory"] = {"GiB": found.gib, **peaks}
    return everything


def markdown(found: Found) -> str:
    """Tables, the goals, and what else was measured."""
    names = report.names(found.figures)
    bare = [name for name in names if name in {engine.name for engine in limits.opening()}]
    ways = [name for name in names if name not in bare]
    parts = [
        "\n".join(found.conditions.lines()),
        CAPTION,
        report.table("", ways, found.figures, goals.OPENSSL_BACK),
        report.table("limits", bare, found.figures, goals.OPENSSL_BACK),
        f"Goals for {found.conditions.goals.processor}:",
        report.goals_table(_reached(found)),
    ]
    if found.times:
        parts.append(failure_times.markdown(found.times))
    if found.peaks:
        parts.append("\n".join(f"- {line}" for line in _memory(found)))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_rounds(parser)
    parser.add_argument("--timing", type=int, metavar="N",
                        help=f"failures of each kind whose time is compared (default: {TIMED}; "
                             f"with --quick {QUICKLY_TIMED}; 0: none)")  # fmt: skip
    parser.add_argument("--memory", type=float, metavar="GIB",
                        help=f"size of the stream whose memory is watched (default: {STREAMED:g}; "
                             f"with --quick {QUICKLY_STREAMED}; 0: none)")  # fmt: skip
    results.add_options(parser)
    options = parser.parse_args()
    found = find(options, Progress())
    print(*text(found), sep="\n")
    if options.quick:
        print(QUICKLY)
    results.write_json(options.out / results.OPENING, as_document(found))
    (options.out / "opening.md").write_text(markdown(found), "utf-8")
    results.publish(options.out)


if __name__ == "__main__":
    main()
