"""Plants faults in the project, one at a time, and says which of them the tests find.

    python tests/mutation/check.py python RESULTS [--count 100] [--seed 1] [--covered FILE]
    python tests/mutation/check.py c RESULTS [--count 100] [--seed 1]

RESULTS is a file with one JSON object a line, and one for a fault: where it was, what it was, and
what found it; null: nothing did. A run that was stopped goes on from there. Works on a copy.
FILE is what ``pytest --cov=cmstream --cov-context=test`` wrote here: then the tests that come to a
fault's line are run first, which is much quicker.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sites import Site, in_c, in_python

from engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
SECONDS = {"-n0": 150, "-n3": 900}
"""A fault by which a group of tests doesn't end is found: a few tests, or many at a time."""
FIRST = 8
"""So many test files, those that are the nearest to the module, run before others."""
COVERING = (40, 400)
"""So many tests that come to the line run first, and so many after them."""
MOST = 48
"""A fault that so many files don't find is looked at by hand."""
PYTEST = [
    "-q", "-x", "--dist=worksteal", "-p", "no:cacheprovider", "-p", "no:benchmark",
    "-m", "not slow", "-o", "addopts=--strict-markers",
]  # fmt: skip
ATTEMPTS = 2
OTHER_PROCESSORS = {"arm", "x86"} - {"x86" if platform.machine() == "x86_64" else "arm"}
"""Folders whose code isn't compiled here."""
COMPILER = "the compiler"
NOT_TESTS = {"test_project.py"}
"""They look at the form of the source, not at what it does."""


class Fault:
    """``number``: of the draw."""

    def __init__(self, number: int, path: Path, text: str, site: Site) -> None:
        self.number, self.path, self.text, self.site = number, path, text, site

    def lines(self) -> tuple[int, int]:
        """Its first and its last line, from 1."""
        ends = self.site.begin, self.site.end
        first, last = (self.text.count("\n", 0, end) + 1 for end in ends)
        return first, last

    def as_dict(self) -> dict[str, Any]:
        old = self.text[self.site.begin : self.site.end]
        return {
            "number": self.number,
            "place": f"{self.path}:{self.lines()[0]}",
            "kind": self.site.kind,
            "old": old,
            "new": self.site.new,
        }


def drawn(paths: list[Path], find: Callable[[str], list[Site]], seed: int) -> Iterator[Fault]:
    """Faults in an order that is the same for the same sources: the kinds in turn, the places of
    each by chance."""
    chance = random.Random(seed)
    by_kind: dict[str, list[tuple[Path, str, Site]]] = defaultdict(list)
    for path in paths:
        text = (ROOT / path).read_text("utf-8")
        for site in find(text):
            by_kind[site.kind].append((path, text, site))
    kinds = sorted(by_kind)
    for kind in kinds:
        chance.shuffle(by_kind[kind])
    number = 0
    while any(by_kind.values()):
        for kind in kinds:
            if by_kind[kind]:
                number += 1
                yield Fault(number, *by_kind[kind].pop())


def copied(folder: Path) -> Path:
    """What git knows of the project, and the engine."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def files_for(path: Path) -> list[str]:
    """Test files, the nearest first, without those that have nothing to do with the module."""
    words = {*path.stem.split("_")} - {"py"}
    subject = path.parts[2] if path.parts[0] == "src" and len(path.parts) > 3 else ""
    module = path.stem

    def near(test: Path) -> tuple[int, str]:
        text = test.read_text("utf-8")
        score = 3 * len(words & {*test.stem.split("_")})
        score += 2 * bool(re.search(rf"\b{re.escape(module)}\b", text))
        where = test.relative_to(ROOT / "tests").parts
        score += 4 * (where[0] == subject if subject else len(where) == 1)
        return -score, str(test)

    everything = [one for one in (ROOT / "tests").rglob("test_*.py") if one.name not in NOT_TESTS]
    ordered = sorted(everything, key=near)
    mine = [one for one in ordered if near(one)[0] < 0]
    return [str(one.relative_to(ROOT)) for one in mine]


class Covering:
    """Which tests come to a line, if that was measured."""

    def __init__(self, measured: Path | None) -> None:
        self._data = None
        if measured:
            from coverage import CoverageData

            self._data = CoverageData(str(measured))
            self._data.read()

    def tests(self, fault: Fault, files: list[str]) -> list[str]:
        """Those of the nearest files first, and one of each file before the second of any."""
        if not self._data:
            return []
        first, last = fault.lines()
        by_line = self._data.contexts_by_lineno(str(ROOT / fault.path))
        contexts = {one for line in range(first, last + 1) for one in by_line.get(line, ())}
        by_file: dict[str, list[str]] = defaultdict(list)
        for name in sorted({one.rpartition("|")[0] for one in contexts} - {""}):
            by_file[name.partition("::")[0]].append(name)
        place = {name: number for number, name in enumerate(files)}
        near = sorted(by_file, key=lambda name: place.get(name, len(place)))
        turns = zip_longest(*[by_file[name] for name in near])
        return [name for turn in turns for name in turn if name]


def groups_for(fault: Fault, covering: Covering) -> list[list[str]]:
    """Groups of tests, the quickest to find it first. Files that have no test of the line still
    start programs that come to it."""
    files = files_for(fault.path)
    tests = covering.tests(fault, files)
    few, many = COVERING
    rest = [] if tests else files[FIRST:MOST]
    groups = (tests[:few], tests[few:many], files[:FIRST], rest)
    return [some for some in groups if some]


def found_by(folder: Path, tests: list[str]) -> str | None:
    """The test that fails first, or None."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    few = len(tests) <= COVERING[0] and all("::" in one for one in tests)
    workers = "-n0" if few else "-n3"
    command = [sys.executable, "-m", "pytest", workers, *PYTEST, *tests]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False,
            timeout=SECONDS[workers],
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "the tests didn't end"
    if done.returncode in {0, 5}:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", done.stdout, re.MULTILINE)
    return failed[1] if failed else f"pytest ended with {done.returncode}"


def check(
    plant: Callable[[str], bool], fault: Fault, groups: list[Callable[[], str | None]], folder: Path
) -> str | None:
    """What finds a fault. A test that fails without it too has found nothing."""
    try:
        if not plant(fault.site.planted(fault.text)):
            return COMPILER
        for group in groups:
            for _ in range(ATTEMPTS):
                if not (found := group()):
                    break
                again = partial(found_by, folder, [found]) if "::" in found else group
                if _is_certain(again, plant, fault):
                    return found
        return None
    finally:
        plant(fault.text)


def _is_certain(run: Callable[[], str | None], plant: Callable[[str], bool], fault: Fault) -> bool:
    """Whether tests fail with the fault once more, and not without it."""
    with_it = run()
    plant(fault.text)
    without = run()
    plant(fault.site.planted(fault.text))
    return bool(with_it) and not without


def checker(language: str, folder: Path, covering: Covering) -> Callable[[Fault], str | None]:
    """A function that gives what finds a fault in this language."""
    engine = Engine(folder)

    def in_module(fault: Fault) -> str | None:
        def plant(text: str) -> bool:
            return bool((folder / fault.path).write_text(text, "utf-8"))

        groups = [partial(found_by, folder, some) for some in groups_for(fault, covering)]
        return check(plant, fault, groups, folder)

    def in_engine(fault: Fault) -> str | None:
        groups = [engine.native, partial(found_by, folder, [*engine.tests])]
        return check(partial(engine.build, fault.path), fault, groups, folder)

    return in_module if language == "python" else in_engine


def faults(language: str, seed: int) -> Iterator[Fault]:
    """All faults of a language, in the order in which they are planted."""
    top, suffix, find = ("src", "py", in_python) if language == "python" else ("native", "c", in_c)
    paths = [one.relative_to(ROOT) for one in sorted((ROOT / top).rglob(f"*.{suffix}"))]
    here = [one for one in paths if not {*one.parts} & OTHER_PROCESSORS]
    return drawn(here, find, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("language", choices=["python", "c"])
    parser.add_argument("results", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--covered", type=Path)
    options = parser.parse_args()
    rows = options.results.read_text().splitlines() if options.results.exists() else []
    known = {row["number"]: row for row in map(json.loads, rows)}
    with tempfile.TemporaryDirectory() as name:
        find = checker(options.language, copied(Path(name)), Covering(options.covered))
        counted = 0
        for fault in faults(options.language, options.seed):
            begun = time.monotonic()
            row = known.get(fault.number)
            if row is None:
                row = fault.as_dict() | {"found": find(fault)}
                row["seconds"] = round(time.monotonic() - begun)
                with options.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            counted += row["found"] != COMPILER  # what doesn't compile is no fault
            if counted == options.count:
                break


if __name__ == "__main__":
    main()
