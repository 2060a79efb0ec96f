"""Where the command writes: a file that appears only when it is complete, or a pipe."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..sync import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


class Output:
    """A binary file whose failures name it."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name

    def write(self, data: bytes) -> int:
        """Writes bytes. Raises OSError."""
        with _naming(self._name):
            return self._file.write(data)

    def flush(self) -> None:
        """Writes what is still held. Raises OSError."""
        with _naming(self._name):
            self._file.flush()

    def sync(self) -> None:
        """Waits until all is on the disk. Raises OSError."""
        self.flush()
        with _naming(self._name):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file, whatever becomes of what it holds. Raises OSError."""
        with _naming(self._name):
            self._file.close()


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None


@contextmanager
def output(target: str) -> Iterator[Output]:
    """A binary file to write the result to; ``-`` is standard output.

    Where ``target`` is new or a regular file, links resolved, the bytes go to a temporary file
    of mode 0600 beside it, which takes its place when the block ends well and vanishes when it
    doesn't; the permissions of a file that was there are kept. A device, a pipe, or what this
    process has open and ``/dev/stdout`` or the like names, is written directly. Raises OSError.
    """
    opened = _descriptor(target)
    if opened == _STDOUT:
        target = "-"
    if target == "-" and sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed", "standard output")
    if target == "-":
        out = Output(sys.stdout.buffer, "standard output")
        yield out
        out.flush()
        return
    if opened is not None:
        with _naming(target):
            file = os.fdopen(os.dup(opened), "wb", buffering=0)
        with file:
            yield Output(file, target)
        return
    mode = _mode(Path(target))
    if mode is not None and not stat.S_ISREG(mode):
        with Path(target).open("wb", buffering=0) as file:
            yield Output(file, target)
        return
    if not target or target.endswith(os.sep):
        raise OSError(errno.EISDIR, "this is a folder, not a file", target)
    with _replacing(Path(os.path.realpath(target)), mode) as out:
        yield out


def replaces(target: str) -> bool:
    """Whether a file that is there would go for what is written."""
    return target != "-" and _descriptor(target) is None and Path(target).is_file()


_STDOUT = 1
_MOST_LINKS = 40


def _descriptor(target: str) -> int | None:
    """The file that this process has open and that a name such as ``/dev/stdout`` means. A new file
    in its place would end what others have written to it, and still write."""
    mine = re.compile(rf"/dev/fd|/proc/{os.getpid()}(/task/\d+)?/fd")
    path = target
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(path)
        if name.isdecimal() and mine.fullmatch(os.path.realpath(folder)):
            return int(name)
        if not os.path.islink(path):  # noqa: PTH114 - a Path would take the end off
            return None
        path = os.path.join(folder, os.readlink(path))  # noqa: PTH115, PTH118
    return None


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


@contextmanager
def _replacing(path: Path, mode: int | None) -> Iterator[Output]:
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:  # says the name that was asked for
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        out = Output(os.fdopen(descriptor, "wb"), str(path))
        try:
            yield out
            out.sync()
        finally:
            out.close()
        if mode is not None:
            Path(name).chmod(stat.S_IMODE(mode))
        Path(name).replace(path)
        with _naming(str(path)):
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
