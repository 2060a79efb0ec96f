"""The three standard streams: none of them missing, a message read whole, a line of standard error,
and a standard output that gets all or nothing. Needs nothing but Python's core."""

from __future__ import annotations

import fcntl
import os
import stat
import sys

from .endings import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE = 128 << 10


def hold_standard_streams() -> None:
    """Where a standard stream was closed, puts something in its place: no file that is opened later
    must get its number, and with it what is meant for the stream."""
    for number in range(3):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - to the end


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def tell(text: str) -> None:
    """Writes to standard error, past Python's buffer: a full log is no reason to bounce mail."""
    line = f"cmstream: {' '.join(text.split())}\n"
    try:
        os.write(2, line.encode(errors="backslashreplace"))
    except OSError:
        return


def pieces(name: str) -> Iterator[bytes]:
    """What a file holds, or standard input, named ``-``. Raises Failure with 75."""
    called = "standard input" if name == "-" else name
    if name == "-" and sys.stdin is None:
        raise Failure(os.EX_TEMPFAIL, "can't read standard input: it is closed")
    try:
        number = 0 if name == "-" else os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := os.read(number, PIECE):
                yield piece
        finally:
            if number:
                os.close(number)
    except OSError as error:
        raise Failure(os.EX_TEMPFAIL, f"can't read {called}: {error.strerror}") from None


# --- all or nothing --------------------------------------------------------------------------


def give(chunks: Iterable[bytes], total: int) -> None:
    """Writes to standard output. If a file can't take all of it, it is cut back to what it was.
    Raises OSError."""
    before = _end_of_file(1)
    written = 0
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                count = os.write(1, rest)
                rest, written = rest[count:], written + count
        _require_all(written, total)
        if before is not None:
            os.fsync(1)
    except BaseException:
        if before is not None:
            _cut_off(before, written)
        raise


def _require_all(written: int, total: int) -> None:
    if written != total:
        raise OSError(f"only {written} of {total} bytes could be read back from a temporary file")


def _end_of_file(number: int) -> int | None:
    """Where it ends, if it is a file that is written at its end."""
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode):
        return None
    appends = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_APPEND
    at_end = appends or os.lseek(number, 0, os.SEEK_CUR) == found.st_size
    return found.st_size if at_end else None


def _cut_off(end: int, written: int) -> None:
    """Unless somebody else has written behind it."""
    try:
        if os.fstat(1).st_size == end + written:
            os.ftruncate(1, end)
            os.lseek(1, end, os.SEEK_SET)
    except OSError:
        return
