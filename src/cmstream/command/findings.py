"""What ``cmstream doctor`` finds: one line for each check, and what keeps this user from a file."""

from __future__ import annotations

import os
import pwd
import stat
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

Status = Literal["ok", "warning", "wrong"]


class Finding(NamedTuple):
    """``check``: what was looked at; ``text``: what is so; ``remedy``: what to do, or nothing."""

    check: str
    status: Status
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        told = f"{self.text}: {self.remedy}" if self.remedy else self.text
        return f"{self.status:<8} {self.check}: {' '.join(told.split())}"


def user() -> str:
    """Whose rights this process has."""
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def barrier(path: Path, rights: int) -> str:
    """Why this user doesn't have ``rights`` (those of :func:`os.access`) to a file, or nothing."""
    for folder in reversed(path.parents):
        if folder.exists() and not _has(folder, os.X_OK):
            return _denied("can't enter", folder)
    if path.exists() and not _has(path, rights):
        return _denied("can't write to" if _has(path, os.R_OK) else "can't read", path)
    return ""


def _has(path: Path, rights: int) -> bool:
    return os.access(path, rights, effective_ids=os.access in os.supports_effective_ids)


def _denied(what: str, path: Path) -> str:
    found = path.stat()
    try:
        owner = pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        owner = str(found.st_uid)
    mode = stat.S_IMODE(found.st_mode)
    return f"permission denied: {user()} {what} {path}, which is {owner}'s, mode {mode:04o}"
