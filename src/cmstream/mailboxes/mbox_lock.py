"""Has an mbox file for itself, as mail servers and mail programs agree on it: by a file ``.lock``
beside it, and by fcntl."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import MailboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_WAIT = 120.0
EVERY = 0.2
"""Seconds between two looks at a lock."""
_STALE = 300.0
"""Seconds after which others take such a file for one that somebody left behind; so does this."""
_OWNER = re.compile(rb"([1-9][0-9]*):([^\n]+)\n?")


def a_moment(_: object) -> None:
    """Waits before the next look at a lock."""
    time.sleep(EVERY)


@contextmanager
def locked(path: Path, wait: Callable[[Path], object] = a_moment) -> Iterator[int]:
    """A descriptor of the file, which nobody else changes meanwhile. ``wait``: called again and
    again while somebody else has it. Raises MailboxError ``busy``, OSError, and what ``wait``
    raises."""
    until = time.monotonic() + _WAIT
    with _dotlock(path, until, wait):
        while True:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                while not _take(fd):
                    _wait(path, until, wait, "")
                if os.path.samestat(os.fstat(fd), path.stat()):
                    yield fd
                    return
            finally:
                os.close(fd)


@contextmanager
def _dotlock(path: Path, until: float, wait: Callable[[Path], object]) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    while not _create(lock):
        _wait(path, until, wait, f", whose lock is {lock}")
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _create(lock: Path) -> bool:
    try:
        fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > _STALE or _is_left(lock):
                lock.unlink()
        return False
    try:
        os.write(fd, f"{os.getpid()}:{socket.gethostname()}\n".encode())
    except OSError:
        lock.unlink()  # one that says nothing would be waited for
        raise
    finally:
        os.close(fd)
    return True


def _is_left(lock: Path) -> bool:
    """Whether a process of this machine made it that isn't there any more, as Dovecot and this
    program say it."""
    found = _OWNER.fullmatch(lock.read_bytes()[:300])
    if not found or found[2] != socket.gethostname().encode():
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _take(fd: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN}:
            return False
        raise
    return True


def _wait(path: Path, until: float, wait: Callable[[Path], object], how: str) -> None:
    if time.monotonic() > until:
        text = f"{path} is locked by another program{how}: run this again when it has ended"
        raise MailboxError("busy", text)
    wait(path)
