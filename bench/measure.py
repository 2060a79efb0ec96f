"""Measures engines side by side: one sample of each in every round, so that whatever else the
machine does meanwhile disturbs all of them alike."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engines import Run

NOISY = 0.05
"""A spread above this share of the median makes a figure too noisy to compare."""
WAITED = 0.10
"""So is one whose time on the wall exceeds its processor time by more than this."""
FEWEST = 3
"""With fewer samples than this, nothing is known about the spread."""


class Clocks(NamedTuple):
    """Seconds by the clock on the wall and of processor time; None where that isn't known."""

    wall: float
    cpu: float | None


class Effort(NamedTuple):
    """How long to measure."""

    rounds: int
    least: float = 0.02
    """Seconds that one sample lasts at least: the clock's resolution must not show, and of many
    short samples some are left alone by other programs."""
    budget: float = 1.5
    """Seconds for one engine in one column. A slow engine gets fewer samples: three, or only one
    if a single call takes longer than this."""


class Figure(NamedTuple):
    """Seconds a message: the median, the fastest sample and the quartiles by the clock on the wall,
    and the median of processor time (None for other programs)."""

    median: float
    best: float
    low: float
    high: float
    samples: int
    cpu: float | None = None

    @property
    def spread(self) -> float:
        """Half of the interquartile range, as a share of the median."""
        return (self.high - self.low) / 2 / self.median

    @property
    def noisy(self) -> bool:
        """Whether it differs too much from sample to sample, has too few samples to tell, or other
        programs had the processor for much of the time."""
        waited = self.cpu is not None and self.median > self.cpu * (1 + WAITED)
        return self.samples < FEWEST or self.spread > NOISY or waited


class _Plan(NamedTuple):
    calls: int
    samples: int


def clocks() -> Clocks:
    """Now, for work of this process."""
    return Clocks(time.perf_counter(), time.process_time())


def interleave(
    runs: Mapping[str, Run], effort: Effort, tell: Callable[[str], object]
) -> dict[str, Figure]:
    """The figure of each engine. Calls ``tell`` with a line of progress."""
    plans = {}
    for name, run in runs.items():
        tell(f"trying {name}")
        plans[name] = _plan(run, effort)
    samples: dict[str, list[Clocks]] = {name: [] for name in runs}
    for number in range(effort.rounds):
        tell(f"round {number + 1} of {effort.rounds}")
        for name, run in runs.items():
            # The samples of a slow engine are spread over all rounds.
            due = (number + 1) * plans[name].samples // effort.rounds
            if due > len(samples[name]):
                samples[name].append(_sample(run, plans[name].calls))
    return {name: _figure(found) for name, found in samples.items()}


def _plan(run: Run, effort: Effort) -> _Plan:
    seconds = _wall(run)
    if seconds < effort.budget / 4:  # the first call did what is done only once
        seconds = _wall(run)
    calls = max(1, int(effort.least / seconds))
    fewest = FEWEST if seconds < effort.budget else 1
    samples = max(fewest, int(effort.budget / (calls * seconds)))
    return _Plan(calls, min(samples, effort.rounds))


def _wall(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _sample(run: Run, calls: int) -> Clocks:
    """Seconds a message, by the engine's own clocks if it has some."""
    read: Callable[[], Clocks] = getattr(run, "clocks", clocks)
    count = 0
    if calls > 1:
        run()  # the engine before has filled the caches with its own data
    start = read()
    for _ in range(calls):
        count += run()
    end = read()
    known = end.cpu is not None and start.cpu is not None
    cpu = (end.cpu - start.cpu) / count if known else None
    return Clocks((end.wall - start.wall) / count, cpu)


def _figure(samples: Sequence[Clocks]) -> Figure:
    wall = [one.wall for one in samples]
    cpu = [one.cpu for one in samples if one.cpu is not None]
    low, median, high = quartiles(wall)
    return Figure(median, min(wall), low, high, len(wall), statistics.median(cpu) if cpu else None)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The first quartile, the median and the third; all the same if there is only one value."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def median_ratio(rates: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of each round."""
    return statistics.median(one / other for one, other in zip(rates, others, strict=True))
