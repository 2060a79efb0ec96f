"""Bouncy Castle: one Java process that runs all the time, is warmed up, and times itself."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engines import Absent, Engine
from measure import Clocks
from samples import CERTIFICATE

if TYPE_CHECKING:
    from engines import Lab
    from samples import Column

SOURCE = Path(__file__).parent / "Encrypt.java"
POM = Path(__file__).parent.parent / "tests" / "interop" / "pom.xml"
# Seconds of warming up at first, and before each column: Java compiles what runs often.
FIRST_WARM, WARM = 2.0, 0.5
TURN = 256 << 10  # bytes that are encrypted before Java answers


class Java:
    """The process: a line goes in, a number comes out."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._in, self._out = process.stdin, process.stdout
        self.version = self._line()

    def ask(self, *words: object) -> int:
        assert self._in
        print(*words, sep="\t", file=self._in, flush=True)
        return int(self._line())

    def _line(self) -> str:
        assert self._out
        line = self._out.readline().strip()
        if not line:
            raise Absent("Java has ended")
        return line


class _Run:
    def __init__(self, java: Java, count: int) -> None:
        self._java, self._count, self._seconds = java, count, 0.0

    def __call__(self) -> int:
        self._seconds += self._java.ask("run", self._count) / 1e9
        return self._count

    def clocks(self) -> Clocks:
        """What Java has measured."""
        return Clocks(self._seconds, None)


def engines(lab: Lab) -> list[Engine]:
    """One row."""
    java = start(lab)
    lab.versions["Bouncy Castle"] = java.version

    def prepare(column: Column) -> _Run:
        count = java.ask("load", *lab.files(column))
        run = _Run(java, count if column.mixed else max(1, min(count, TURN // column.longest)))
        _warm(run, WARM)
        return run

    return [Engine("Bouncy Castle", prepare)]


def start(lab: Lab) -> Java:
    """Compiles and starts it; it ends when the lab is closed."""
    if not (shutil.which("javac") and shutil.which("mvn")):
        raise Absent("no Java compiler, or no Maven to fetch Bouncy Castle with")
    path = f"{_jars(lab.folder / 'jars')}:{lab.folder}"
    done = subprocess.run(["javac", "-cp", path, "-d", lab.folder, SOURCE], capture_output=True,
                          check=False, text=True)  # fmt: skip
    if done.returncode:
        raise Absent(f"it doesn't compile: {done.stderr.strip()}")
    command = ["java", "-cp", path, "Encrypt", str(CERTIFICATE)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    java = Java(lab.enter_context(process))  # which closes its standard input at the end: it ends
    java.ask("load", CERTIFICATE)
    _warm(_Run(java, 1), FIRST_WARM)
    return java


def _jars(listing: Path) -> str:
    """Those that the tests use; Maven fetches them once."""
    done = subprocess.run(["mvn", "-B", "-q", "-f", POM, "dependency:build-classpath",
                           f"-Dmdep.outputFile={listing}"], capture_output=True,
                          check=False, text=True)  # fmt: skip
    if done.returncode:
        raise Absent(f"Maven doesn't fetch Bouncy Castle: {done.stdout.strip()}")
    return listing.read_text("utf-8").strip()


def _warm(run: _Run, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run()
