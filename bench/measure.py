"""Measures engines against each other: each once in every round, so that whatever else the machine
does meanwhile meets all of them."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engines import Run


class Effort(NamedTuple):
    """How long to measure."""

    rounds: int
    least: float = 0.02
    """Seconds that one sample should last: the clock's grain doesn't show, and of many short ones
    some are left alone by other programs."""
    budget: float = 1.5
    """Seconds for one engine in one column; a slow one has fewer samples: three, or only one if
    that takes as long."""


class Figure(NamedTuple):
    """Seconds a message."""

    median: float
    best: float
    spread: float
    """From the least to the most, as a share of the median."""
    samples: int


class _Plan(NamedTuple):
    calls: int
    samples: int


def interleave(
    runs: Mapping[str, Run], effort: Effort, tell: Callable[[str], object]
) -> dict[str, Figure]:
    """The figure of each engine; ``tell`` is told how far it is."""
    plans = {}
    for name, run in runs.items():
        tell(f"trying {name}")
        plans[name] = _plan(run, effort)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(effort.rounds):
        tell(f"round {number + 1} of {effort.rounds}")
        for name, run in runs.items():
            # The samples of a slow engine are spread over all rounds.
            due = (number + 1) * plans[name].samples // effort.rounds
            if due > len(times[name]):
                times[name].append(_sample(run, plans[name].calls))
    return {name: _figure(values) for name, values in times.items()}


def _plan(run: Run, effort: Effort) -> _Plan:
    seconds = _wall(run)
    if seconds < effort.budget / 4:  # the first call did what is done only once
        seconds = _wall(run)
    calls = max(1, int(effort.least / seconds))
    fewest = 3 if seconds < effort.budget else 1
    samples = max(fewest, int(effort.budget / (calls * seconds)))
    return _Plan(calls, min(samples, effort.rounds))


def _wall(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _sample(run: Run, calls: int) -> float:
    """Seconds a message, by the engine's own clock if it has one."""
    clock = getattr(run, "clock", time.perf_counter)
    count = 0
    if calls > 1:
        run()  # the engine before has left the caches full of its own
    start = clock()
    for _ in range(calls):
        count += run()
    return (clock() - start) / count


def _figure(values: list[float]) -> Figure:
    median = statistics.median(values)
    return Figure(median, min(values), (max(values) - min(values)) / median, len(values))
