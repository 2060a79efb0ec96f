"""A database that is a file of SQLite: whether it is there, and connections to it."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote


def is_there(path: Path) -> bool:
    """Whether it is a file that can be seen."""
    try:
        return path.is_file()
    except OSError:  # in a folder that can't be looked into, or a name that can't be
        return False


def create(path: Path) -> None:
    """Make an empty file where there is none, of mode 0600, or 0660 in a folder that a group shares
    (:mod:`cmstream.accounts.sharing`). One that root makes belongs to the folder's owner, whose
    server must be able to open it. Raises OSError where it can't be opened."""
    with suppress(FileExistsError):
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            _like_its_folder(file, path.parent.stat())
        finally:
            os.close(file)
        return
    os.close(os.open(path, os.O_RDWR))


def _like_its_folder(file: int, folder: os.stat_result) -> None:
    if os.geteuid() == 0 and folder.st_uid != 0:
        os.fchown(file, folder.st_uid, folder.st_gid)
    if folder.st_mode & stat.S_ISGID and folder.st_mode & stat.S_IWGRP:
        os.fchmod(file, 0o660)


def identity(path: str) -> tuple[int, int] | None:
    """Which file the path leads to now: device and inode."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def connect(path: str, mode: str, *, wait: float) -> sqlite3.Connection:
    """A connection that begins no transaction by itself. ``mode``: ``rw``, or ``rwc`` where the
    file may be created; ``wait``: seconds for another process's lock."""
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode={mode}",
        uri=True,
        timeout=wait,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
