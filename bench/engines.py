"""What all engines share: how one is asked to encrypt or open, and the folder it may use."""

from __future__ import annotations

import itertools
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from samples import RSA_COLUMN, below_modulus, public_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samples import Column

    Buffer = bytes | bytearray | memoryview
    Run = Callable[[], int]
    """Encrypts or opens some messages and gives how many. A run that times itself has a method
    ``clocks``, which gives :class:`measure.Clocks`."""

T = TypeVar("T")


class Engine(NamedTuple):
    """A row. ``prepare`` does all that isn't to be measured, and gives None if the row has nothing
    to measure in this column."""

    name: str
    prepare: Callable[[Column], Run | None]


class Absent(Exception):  # noqa: N818 - no error: the comparison goes on without that peer
    """Why a peer can't be measured on this machine."""


class Lab(ExitStack):
    """A temporary folder, the peers' processes, which all end with it, and the peers' versions."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.versions: dict[str, str] = {}

    def files(self, column: Column) -> list[Path]:
        """The column's messages as files; removes those of the column before."""
        name = column.name.replace(" ", "")
        paths = [self.folder / f"{name}-{n}.eml" for n in range(len(column.messages))]
        if not paths[0].exists():
            for old in self.folder.glob("*.eml"):
                old.unlink()
            for path, message in zip(paths, column.messages, strict=True):
                path.write_bytes(message)
        return paths


def in_turn(column: Column, things: Sequence[T], work: Callable[[T], object]) -> Run:
    """One message a call, one after the other; of a mix all of them, since their sizes differ."""
    turns = itertools.cycle([things] if column.mixed else [[thing] for thing in things])

    def run() -> int:
        turn = next(turns)
        for thing in turn:
            work(thing)
        return len(turn)

    return run


def one_by_one(name: str, work: Callable[[bytes], object]) -> Engine:
    """An engine that takes one message at a time and needs nothing else."""
    return Engine(name, lambda column: in_turn(column, column.messages, work))


def rsa_engine(name: str, ready: Callable[[bytes], tuple[Callable[[], object], Buffer]]) -> Engine:
    """An engine of the bare RSA public operation, which is the same for every size: it is measured
    in one column. ``ready`` takes a number and gives a function, which does nothing else, and the
    buffer where it leaves the result."""

    def prepare(column: Column) -> Run | None:
        if column.name != RSA_COLUMN:
            return None
        number, key = below_modulus(), public_numbers()
        work, result = ready(number)
        work()
        power = pow(int.from_bytes(number, "big"), key.e, key.n)
        if bytes(result) != power.to_bytes(len(number), "big"):
            raise RuntimeError(f"{name}: a wrong result")

        def run() -> int:
            work()
            return 1

        return run

    return Engine(name, prepare)
