"""Compares cmstream with its peers and with the processor's own limits, all in one run.

python bench/compare.py [--rounds N] [--quick] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import bouncy
import cmstream
import footprint
import goals
import libcrypto
import measure
import ours
import programs
import pyca
import report
import samples
from engines import Absent, Engine, Lab
from helpers import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from goals import Figures, Row

PEERS = {
    "OpenSSL": libcrypto.engines,
    "cryptography": pyca.engines,
    "Bouncy Castle": bouncy.engines,
    "openssl": programs.openssl,
    "gpgsm": programs.gpgsm,
}


class Extent(NamedTuple):
    """How much is measured."""

    columns: list[str]
    share: int
    memory: list[int]
    effort: measure.Effort


def extent(options: argparse.Namespace) -> Extent:
    """Everything, or enough to see that it runs."""
    if options.quick:
        effort = measure.Effort(options.rounds or 2, least=0.002, budget=0.02)
        return Extent(["4 KiB", "75 KiB", samples.MIX], 8, [1, 16], effort)
    effort = measure.Effort(options.rounds or 15)
    return Extent([*samples.SIZES, samples.MIX], 1, [1, 4, 16, 64, 256, 1024], effort)


class Progress:
    """Tells on standard error how far it is: on a terminal in one line that changes, else a line
    for each heading."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._heading = ""

    def heading(self, text: str) -> None:
        self._heading = text
        seconds = time.monotonic() - self._start
        if not sys.stderr.isatty():
            print(f"{seconds:4.0f} s: {text}", file=sys.stderr, flush=True)

    def step(self, text: str) -> None:
        if sys.stderr.isatty():
            seconds = time.monotonic() - self._start
            print(f"\r\x1b[K{seconds:4.0f} s: {self._heading}, {text}", end="", file=sys.stderr)

    def end(self) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)


def gather(lab: Lab) -> list[Engine]:
    """All that are on this machine; who isn't is named."""
    return ours.engines(lab) + present(PEERS, lab) + limits.engines()


def present(peers: Mapping[str, Callable[[Lab], list[Engine]]], lab: Lab) -> list[Engine]:
    """The rows of those that are on this machine."""
    return [row for name, start in peers.items() for row in _peer(name, start, lab)]


def _peer(name: str, start: Callable[[Lab], list[Engine]], lab: Lab) -> list[Engine]:
    try:
        return start(lab)
    except Absent as reason:
        print(f"{name} is left out: {reason}")
        return []


def figures_of(
    engines: list[Engine],
    extent: Extent,
    progress: Progress,
    messages: Callable[[str, int], samples.Column] = samples.column,
) -> Figures:
    """Column by column, so that one column's messages are in memory at a time."""
    figures = {}
    for name in extent.columns:
        progress.heading(f"measuring {name}")
        figures[name] = _row(engines, messages(name, extent.share), extent, progress)
    return figures


def _row(engines: list[Engine], column: samples.Column, extent: Extent, progress: Progress) -> Row:
    runs = {}
    for engine in engines:
        progress.step(f"preparing {engine.name}")
        run = engine.prepare(column)
        if run is not None:
            runs[engine.name] = run
    row = goals.with_best_mode(measure.interleave(runs, extent.effort, progress.step))
    return goals.with_gcm_bar(row, column.longest)


def document(
    versions: list[str],
    figures: Figures,
    peers: Iterable[str] = report.PEERS,
    wanted: Iterable[goals.Goal] = goals.GOALS,
) -> dict[str, Any]:
    """All figures; seconds."""
    return {
        "machine": report.machine(),
        "versions": versions,
        "figures": {
            column: {
                name: row[name]._asdict() | {"times as fast as": found}
                for name, found in report.ratios(row, peers).items()
            }
            for column, row in figures.items()
        },
        "goals": [
            {**one.goal._asdict(), "median": one.median, "best": one.best}
            for one in goals.reached(figures, wanted)
        ],
    }


def write_json(path: Path, everything: dict[str, Any]) -> None:
    """For programs to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(everything, indent=2) + "\n", "utf-8")


def write(out: Path, versions: list[str], figures: Figures, memory: Any) -> None:
    """The files that the folder is for."""
    parts = {column: report.split(row) for column, row in figures.items()}
    everything = document(versions, figures) | {"split": parts, "memory": memory}
    write_json(out / "results.json", everything)
    table = report.markdown(versions, figures, goals.reached(figures))
    (out / "table.md").write_text(table, "utf-8")
    if importlib.util.find_spec("matplotlib"):
        importlib.import_module("plots").draw(figures, memory, out)
    else:
        print("the plots are left out: matplotlib is not installed")


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, help="samples of each engine (default: 15)")
    parser.add_argument("--quick", action="store_true", help="only see whether it runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    wanted = extent(options)
    progress = Progress()
    progress.heading("looking for peers")
    with Lab() as lab:
        engines = gather(lab)
        versions = [f"cmstream {cmstream.__version__}", *lab.versions.values()]
        figures = figures_of(engines, wanted, progress)
        progress.heading("memory")
        memory = footprint.footprint(lab, wanted.memory, progress.step)
    progress.end()
    print(*report.heading(versions), sep="\n")
    if options.quick:
        print("Measured quickly: this shows that it runs, and hardly more.")
    for column, row in figures.items():
        print("", *report.text(column, row), sep="\n")
    print("", *report.goals_text(goals.reached(figures)), sep="\n")
    write(options.out, versions, figures, memory)
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    main()
