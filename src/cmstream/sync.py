"""Brings to the disk what was written: files, the names of files, or a whole file system, which for
a batch takes a fraction of the time that fsync(2) for each file takes."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@cache
def _library() -> Any:
    import ctypes  # noqa: PLC0415 - slow to import, and whoever syncs one folder doesn't need it

    return ctypes.CDLL(None, use_errno=True)


def _syncfs(folder: int) -> bool:
    """False where the system has no such call; Linux has it. Raises OSError."""
    call = getattr(_library(), "syncfs", None)
    if call is not None and call(folder):
        import ctypes  # noqa: PLC0415

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return call is not None


def sync_file_system(folder: int) -> None:
    """``folder``: a descriptor of anything on the file system. Raises OSError."""
    if not _syncfs(folder):
        os.sync()


def sync_file(file: int) -> None:
    """Brings one file to the disk, where :func:`sync_file_system` may return before that is done.
    Raises OSError."""
    if not hasattr(_library(), "syncfs"):
        os.fsync(file)


def sync_folder(path: str | Path) -> None:
    """Brings the names in a folder to the disk: a file that was synced may still lose its name, or
    leave the old one's content under it. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """A folder of mode 0700 with those above it, as far as they are missing; their names are on the
    disk. Raises OSError."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in missing:
        sync_folder(one.parent)
