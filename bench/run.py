"""What compare.py and opening.py share: how much is measured, which peers there are, progress."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import goals
import measure
import report
import samples
from engines import Absent, Engine, Lab

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping

    from conditions import Conditions
    from goals import Figures, Row

QUICKLY = "Measured quickly: this shows that it runs; the figures mean little."


class Extent(NamedTuple):
    """How much is measured: which columns, one in ``share`` of their messages, how long."""

    columns: list[str]
    share: int
    effort: measure.Effort


class Progress:
    """Tells on standard error how far the run is: in one line that changes on a terminal, else in
    a line for each heading."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._heading = ""

    def heading(self, text: str) -> None:
        """The next part of the run."""
        self._heading = text
        if not sys.stderr.isatty():
            seconds = time.monotonic() - self._start
            print(f"{seconds:4.0f} s: {text}", file=sys.stderr, flush=True)

    def step(self, text: str) -> None:
        """Within that part."""
        if sys.stderr.isatty():
            seconds = time.monotonic() - self._start
            print(f"\r\x1b[K{seconds:4.0f} s: {self._heading}, {text}", end="", file=sys.stderr)

    def end(self) -> None:
        """Clears the line."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)


def effort(options: argparse.Namespace) -> measure.Effort:
    """As the options say."""
    if options.quick:
        return measure.Effort(options.rounds or 5, least=0.002, budget=0.02)
    return measure.Effort(options.rounds or 15)


def add_rounds(parser: argparse.ArgumentParser) -> None:
    """``--rounds``."""
    parser.add_argument("--rounds", type=int, metavar="N",
                        help="samples of each engine (default: 15; with --quick 5)")  # fmt: skip


def present(peers: Mapping[str, Callable[[Lab], list[Engine]]], lab: Lab) -> list[Engine]:
    """The rows of the peers that are on this machine; says who is left out."""
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
    check: Callable[[samples.Column, Row], object] = lambda *_: None,
) -> Figures:
    """Column by column, so that only one column's messages are in memory at a time. Each row is
    given to ``check``, whose exceptions end the run."""
    figures = {}
    for name in extent.columns:
        progress.heading(f"measuring {name}")
        column = messages(name, extent.share)
        row = measured(engines, column, extent.effort, progress)
        check(column, row)
        figures[name] = goals.with_gcm_bar(goals.with_best_mode(row), column.longest)
    return figures


def measured(
    engines: Iterable[Engine], column: samples.Column, effort: measure.Effort, progress: Progress
) -> Row:
    """The figures of all engines that have something to measure in a column."""
    runs = {}
    for engine in engines:
        progress.step(f"preparing {engine.name}")
        run = engine.prepare(column)
        if run is not None:
            runs[engine.name] = run
    return measure.interleave(runs, effort, progress.step)


def document(
    conditions: Conditions,
    figures: Figures,
    wanted: Iterable[goals.Goal],
    peers: Iterable[str] = report.PEERS,
) -> dict[str, Any]:
    """All figures, for programs; seconds a message."""
    return {
        "conditions": conditions.as_document(),
        "figures": {
            column: {
                name: row[name]._asdict()
                | {"spread": row[name].spread, "noisy": row[name].noisy, "times as fast as": found}
                for name, found in report.ratios(row, peers).items()
            }
            for column, row in figures.items()
        },
        "goals": [
            one.goal._asdict()
            | {"median": one.median, "best": one.best, "cpu": one.cpu, "noisy": one.noisy}
            for one in goals.reached(figures, wanted)
        ],
    }
