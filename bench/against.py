"""Compares this build of cmstream with another one: is anything slower by more than 3 %?

python bench/against.py OTHER [--rounds N] [--quick]

OTHER is a checkout that was built, or the Python of an environment in which the other build is
installed. Both run in processes of their own, which do the same work in turns. Each round gives the
ratio of their processor times. The processes are started anew several times, since the layout of
one's memory can favour one build. Takes a minute or two; ends with 1 if something is certainly
slower.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cmstream
import samples
from conditions import Conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SIZES = {"4 KiB": 4 << 10, "75 KiB": 75 << 10, "1 MiB": 1 << 20}
TOGETHER = 4 << 20
"""Bytes of all messages of one call of encrypt_many or decrypt_many."""
MOST = 64
SECONDS = 0.02
"""How long a sample lasts, if one call takes less."""
WORSE, SLOWER = 1.03, "SLOWER"
STARTS = 5
"""How often the processes are started anew."""


class Side(NamedTuple):
    """A build: its Python, and the environment variables that select it."""

    python: str
    environment: dict[str, str]


class Sample(NamedTuple):
    """Seconds of one call."""

    wall: float
    cpu: float


# In the processes


def works() -> dict[str, Callable[[], object]]:
    """All that is measured, by name."""
    to, who = samples.recipients(), samples.identity()
    found: dict[str, Callable[[], object]] = {}
    for name, size in SIZES.items():
        messages = [samples.message(size, n) for n in range(min(MOST, TOGETHER // size))]
        plain = [(one, to) for one in messages]
        one, first = cmstream.encrypt_message(messages[0], to), messages[0]
        encrypted = [(cmstream.encrypt_message(each, to), who) for each in messages]
        found |= {
            f"encrypt_message, {name}": lambda data=first: cmstream.encrypt_message(data, to),
            f"encrypt_many, {name}": lambda jobs=plain: cmstream.encrypt_many(jobs),
            f"decrypt_message, {name}": lambda data=one: cmstream.decrypt_message(data, who),
            f"decrypt_many, {name}": lambda jobs=encrypted: cmstream.decrypt_many(jobs),
        }
    return found


def serve() -> None:
    """Answers each line, a name and a number of calls, with the seconds of a call."""
    every = works()
    print(json.dumps([str(Path(cmstream.__file__).parent), list(every)]), flush=True)
    for line in sys.stdin:
        name, calls = json.loads(line)
        work = every[name]
        work()  # the other process has filled the caches with its own data
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(calls):
            work()
        spent = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps([seconds / calls for seconds in spent]), flush=True)


# Outside


class Worker(ExitStack):
    """A process of one build."""

    def __init__(self, side: Side) -> None:
        super().__init__()
        command = [side.python, __file__, "--serve"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, **pipes, text=True, env=side.environment)
        self._process = self.enter_context(process)
        self.package, self.names = self._answer()

    def measure(self, name: str, calls: int) -> Sample:
        """One sample."""
        print(json.dumps([name, calls]), file=self._process.stdin, flush=True)
        return Sample(*self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"against.py: {self._process.args[0]} ended; its error stands above")
        return json.loads(line)


def side_of(other: Path) -> Side:
    """The build of a checkout or of an environment's Python."""
    if other.is_file():
        return Side(str(other.absolute()), dict(os.environ))
    if not (other / "src" / "cmstream").is_dir():
        sys.exit(f"against.py: {other} is neither a checkout of cmstream nor a Python")
    return Side(sys.executable, os.environ | {"PYTHONPATH": str((other / "src").absolute())})


def ratios(sides: Sequence[Side], rounds: int) -> dict[str, list[Sample]]:
    """This build's time over the other's, a ratio for each round."""
    found: dict[str, list[Sample]] = {}
    for start in range(STARTS):
        print(f"start {start + 1} of {STARTS}", file=sys.stderr, flush=True)
        with Worker(sides[0]) as this, Worker(sides[1]) as other:
            if this.package == other.package:
                sys.exit(f"against.py: both sides are the build in {this.package}")
            for name in this.names:
                seconds = min(this.measure(name, 1).wall, this.measure(name, 1).wall)
                calls = max(1, int(SECONDS / seconds))
                few = range(rounds * start // STARTS, rounds * (start + 1) // STARTS)
                found.setdefault(name, []).extend(_ratio(this, other, name, calls, n) for n in few)
    return found


def _ratio(this: Worker, other: Worker, name: str, calls: int, number: int) -> Sample:
    """Who comes first changes from round to round."""
    order = [this, other] if number % 2 else [other, this]
    taken = {one: one.measure(name, calls) for one in order}
    return Sample(*(a / b for a, b in zip(taken[this], taken[other], strict=True)))


def middle(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and between which values it lies with a probability of about 95 % (by order
    statistics, without a guess at the distribution)."""
    ordered, half = sorted(values), len(values) / 2
    reach = 0.98 * len(values) ** 0.5
    low, high = int(max(0, half - reach)), int(min(len(values) - 1, half + reach))
    return ordered[low], ordered[len(ordered) // 2], ordered[high]


def verdict(low: float, high: float) -> str:
    """What the range of the ratio says."""
    if low > WORSE:
        return SLOWER
    return "no slower" if high <= WORSE else "can't tell: use more rounds"


def lines(found: dict[str, list[Sample]]) -> Iterator[str]:
    """A line for each kind of work."""
    yield f"{'this / other':28}{'CPU time':>9}{'95 %':>16}{'wall':>9}{'95 %':>16}"
    for name, every in found.items():
        cpu, wall = middle([one.cpu for one in every]), middle([one.wall for one in every])
        cells = "".join(f"{m:9.3f}{f'{low:.3f} - {high:.3f}':>16}" for low, m, high in (cpu, wall))
        yield f"{name:28}{cells}  {verdict(cpu[0], cpu[2])}"


def main() -> None:
    """Measures and prints."""
    if sys.argv[1:] == ["--serve"]:
        serve()
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, metavar="OTHER")
    parser.add_argument("--rounds", type=int, metavar="N",
                        help="ratios of each kind of work (default: 101, quick: 15)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    options = parser.parse_args()
    conditions = Conditions()
    sides = [Side(sys.executable, dict(os.environ)), side_of(options.other)]
    found = ratios(sides, options.rounds or (15 if options.quick else 101))
    conditions.end()
    print(*conditions.lines(), *lines(found), sep="\n")
    ranges = [middle([one.cpu for one in every]) for every in found.values()]
    sys.exit(any(verdict(low, high) == SLOWER for low, _, high in ranges))


if __name__ == "__main__":
    main()
