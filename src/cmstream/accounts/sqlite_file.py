"""A database that is a file of SQLite: whether it is there, and connections to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote


def is_there(path: Path) -> bool:
    """Whether it is a file that can be seen."""
    try:
        return path.is_file()
    except OSError:  # in a folder that can't be looked into, or a name that can't be
        return False


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
