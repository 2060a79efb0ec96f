"""Who this process is to the file system, and what keeps it from a file."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SHARE = (
    "run this as root or as its owner, name another database, or let a group use it "
    "('cmstream serve --group GROUP' as root)"
)


def user() -> str:
    """Whose rights this process has."""
    return _name(os.geteuid())


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def folder_group(folder: Path) -> str:
    """The name of the group that may use a folder as its owner does; "" if there is none."""
    return _group(folder, stat.S_IRWXG)[1]


def _group(path: Path, rights: int) -> tuple[int, str]:
    """The number and the name of the group that has these rights to it, or 0 and ""."""
    try:
        found = path.stat()
        if found.st_gid and found.st_mode & rights == rights:  # root's group isn't for others
            return found.st_gid, grp.getgrgid(found.st_gid).gr_name
    except (OSError, KeyError):
        pass
    return 0, ""


def remedy(path: Path) -> str:
    """What to do where permission to a database is denied."""
    return joining(path) or _SHARE


def joining(path: Path) -> str:
    """How this user joins the group that may use a database already; "" if there is none, or if the
    user belongs to it."""
    number, name = _group(path.parent, stat.S_IRWXG)
    if not name:
        number, name = _group(path, stat.S_IRGRP | stat.S_IWGRP)
    if not name or number in {os.getegid(), *os.getgroups()}:
        return ""
    command = f"usermod --append --groups {name} {user()}"
    return f"add {user()} to the group {name} ({command}), and start it anew"


def barrier(path: Path, rights: int) -> str:
    """Why this user doesn't have ``rights`` (those of :func:`os.access`) to a file, in a sentence
    without its full stop; "" if nothing is in the way. A file that isn't there is no barrier."""
    try:
        for folder in reversed(path.parents):
            if folder.exists() and not _has(folder, os.X_OK):
                return _denied("can't enter", folder)
        if path.exists() and not _has(path, rights):
            return _denied("can't write to" if _has(path, os.R_OK) else "can't read", path)
    except OSError:  # a name that can't be
        return ""
    return ""


def database_barrier(path: Path) -> str:
    """The same for a database of SQLite, which must be written to even to read it: it keeps its log
    in two files beside it."""
    log = [path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm")]
    reasons = (barrier(one, os.R_OK | os.W_OK) for one in (path, *log))
    return next(filter(None, reasons), "") or barrier(path.parent, os.R_OK | os.W_OK | os.X_OK)


def _has(path: Path, rights: int) -> bool:
    return os.access(path, rights, effective_ids=os.access in os.supports_effective_ids)


def _denied(what: str, path: Path) -> str:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    whose = f"which is {_name(found.st_uid)}'s, mode {mode:04o}"
    return f"permission denied: {user()} {what} {path}, {whose}"
