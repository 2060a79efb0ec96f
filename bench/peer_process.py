"""Peers in other languages: a process that runs all the time, seals messages and times itself. It
reads lines of words between tabs from its standard input and answers each with a line of numbers:

- ``load FILE...``: how many messages there are now;
- ``run COUNT``: the nanoseconds that sealing so many took, on the wall and of the processor;
- ``write FILE``: the length of the first message, which now stands there sealed.

Its first line says who it is.
"""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

import cmstream
from engines import Absent, Engine
from measure import Clocks
from samples import CERTIFICATE, identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engines import Lab
    from samples import Column

TURN = 256 << 10  # bytes that are sealed before the process answers


class Warming(NamedTuple):
    """Seconds of work before anything is measured: at first, and before each column."""

    first: float = 0
    column: float = 0


class PeerProcess:
    """The process: a line goes in, a line comes out."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self._name, self._in, self._out = name, process.stdin, process.stdout
        self.version = self._line()

    def ask(self, *words: object) -> list[int]:
        """The numbers that it answers."""
        assert self._in
        print(*words, sep="\t", file=self._in, flush=True)
        return [int(word) for word in self._line().split("\t")]

    def _line(self) -> str:
        assert self._out
        line = self._out.readline().strip()
        if not line:
            raise Absent(f"{self._name} has ended")
        return line


class _Run:
    def __init__(self, peer: PeerProcess, count: int) -> None:
        self._peer, self._count, self._wall, self._cpu = peer, count, 0, 0

    def __call__(self) -> int:
        wall, cpu = self._peer.ask("run", self._count)
        self._wall += wall
        self._cpu += cpu
        return self._count

    def clocks(self) -> Clocks:
        """What the process has measured."""
        return Clocks(self._wall / 1e9, self._cpu / 1e9)


def engine(lab: Lab, name: str, command: Sequence[object], warming: Warming) -> Engine:
    """Starts it with the recipient's certificate as the last argument; it ends with the lab."""
    process = subprocess.Popen([*map(str, command), str(CERTIFICATE)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    # Its standard input is closed at the end: then it ends.
    peer = PeerProcess(name, lab.enter_context(process))
    lab.versions[name] = peer.version
    peer.ask("load", CERTIFICATE)
    _warm(_Run(peer, 1), warming.first)

    def prepare(column: Column) -> _Run:
        (count,) = peer.ask("load", *lab.files(column))
        _check(lab, peer, column)
        run = _Run(peer, count if column.mixed else max(1, min(count, TURN // column.longest)))
        _warm(run, warming.column)
        return run

    return Engine(name, prepare)


def _check(lab: Lab, peer: PeerProcess, column: Column) -> None:
    """Opens what it seals: a figure for anything else would be worthless."""
    path = lab.folder / "sealed.p7m"
    peer.ask("write", path)
    opened = cmstream.decrypt_message(path.read_bytes(), identity())
    path.unlink()
    if _body(opened) != _body(column.messages[0]):
        raise RuntimeError(f"{peer.version}: what it seals opens to another message")


def _body(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


def _warm(run: _Run, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run()
