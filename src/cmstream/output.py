"""Where the command writes to: a file that appears only when it is complete, or a pipe."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def output(target: str) -> Iterator[BinaryIO]:
    """A binary file to write the result to; ``-`` is standard output.

    Where ``target`` is new or a regular file, links resolved, the octets go to a temporary file
    of mode 0600 beside it, which takes its place when the block ends well and vanishes when it
    doesn't; the permissions of a file that was there are kept. A device or a pipe is written
    directly. Raises OSError.
    """
    if target == "-" and sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed", "standard output")
    if target == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    mode = _mode(Path(target))
    if mode is not None and not stat.S_ISREG(mode):
        with Path(target).open("wb", buffering=0) as file:
            yield file
        return
    if not target or target.endswith(os.sep):
        raise OSError(errno.EISDIR, "a folder is no file to write to", target)
    with _replacing(Path(os.path.realpath(target)), mode) as file:
        yield file


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


@contextmanager
def _replacing(path: Path, mode: int | None) -> Iterator[BinaryIO]:
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:  # says the name that was asked for
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            Path(name).chmod(stat.S_IMODE(mode))
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
