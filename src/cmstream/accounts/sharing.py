"""Lets a group use a database that is a file: its own server, and a mail server of another user.

SQLite makes files beside the database, and remakes them after the last process has closed it. They
get the database's mode; the folder's set-group-ID bit gives them its group.
"""

from __future__ import annotations

import grp
import os
import stat
from typing import TYPE_CHECKING

from .permission import user

if TYPE_CHECKING:
    from pathlib import Path

FOLDER, FILE = 0o2770, 0o660
"""The modes: the group may read and write, others nothing."""
UMASK = 0o007
"""For whatever else the server makes there."""


class SharingError(Exception):
    """The group can't have the database; a sentence says why, and what to do."""


def share(path: Path, group: str) -> None:
    """Give the database's folder and files to a group, and make later ones its own. What is right
    already is left alone, so that a process without rights may call it too.

    Raises SharingError: there is no such group, the folder holds other things as well, or this user
    may not do it.
    """
    number = group_number(group)
    folder = path.parent
    try:
        if not _right(folder, number, FOLDER):
            _require_alone(folder, path)
            _give(folder, number, FOLDER)
        for one in _files(path):
            if not _right(one, number, FILE):
                _give(one, number, FILE)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        message = f"{why}: {user()} can't give {folder} and the database to the group {group}"
        raise SharingError(f"{message}: run this once as root") from error


def group_number(group: str) -> int:
    """A group's number. Raises SharingError: there is no such group."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise SharingError(f"there is no group {group}") from None


def _files(path: Path) -> list[Path]:
    return [one for one in path.parent.iterdir() if one.name in _names(path)]


def _names(path: Path) -> set[str]:
    return {f"{path.name}{end}" for end in ("", "-wal", "-shm", "-journal")}


def _right(path: Path, group: int, mode: int) -> bool:
    found = path.stat(follow_symlinks=False)
    return found.st_gid == group and stat.S_IMODE(found.st_mode) == mode


def _require_alone(folder: Path, path: Path) -> None:
    """Whoever uses a folder for other things as well doesn't expect its mode to change."""
    others = sorted(one.name for one in folder.iterdir() if one.name not in _names(path))
    if others:
        raise SharingError(
            f"{folder} holds {others[0]} as well, and its mode would change: give the database a "
            "folder of its own"
        )


def _give(path: Path, group: int, mode: int) -> None:
    """Whoever may write to the folder mustn't lead root to another file by a link, nor let it wait
    at a pipe, not even by what it puts there after the first look."""
    kind = path.stat(follow_symlinks=False).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise SharingError(f"{path} is neither a file nor a folder: remove it")
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(file)
        if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            raise SharingError(f"{path} has other names too (hard links): remove those")
        if found.st_gid != group:  # this takes a set-group-ID bit away, so it comes first
            os.fchown(file, -1, group)
        os.fchmod(file, mode)
    finally:
        os.close(file)
