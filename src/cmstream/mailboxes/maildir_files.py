"""Names, folders and files of a Maildir, as Dovecot and Courier have them."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import socket
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = ("new", "cur")
"""In this order: a message that a mail program takes from new to cur meanwhile is seen."""
TEMPORARY = "cmstream."
"""How the names of this program's files in ``tmp`` begin."""
_DEEPEST = 20

# --- names -----------------------------------------------------------------------------------

_ORDER = re.compile(r"(\d{1,12})(?:\.M(\d{1,6})P)?")
_SIZE = re.compile(r",S=(\d{1,18})(?:[,:]|$)")
_UTF7 = re.compile(r"&([^-]*)-")


def said_size(name: str) -> int | None:
    """The size in bytes that a name says, before any compression."""
    found = _SIZE.search(name)
    return int(found[1]) if found else None


def identity(base: str) -> str:
    """A base name, or the path of a folder, as the journal takes it: text, whatever bytes it
    has."""
    return base if base.isascii() else os.fsencode(base).decode("latin-1")


_host = socket.gethostname().replace("/", "\\057").replace(":", "\\072").replace(",", "\\054")
_number = count(1)
_mine = secrets.token_hex(4)


def new_base(old: str, size: int, virtual: int) -> str:
    """A base name that nobody has had. It begins as the old one: servers number the messages that
    they find in that order. ``size``: of the file; ``virtual``: with CRLF for each line feed."""
    found = _ORDER.match(old)
    second, part = (found[1], found[2] or "0") if found else ("0", "0")
    unique = f"{second}.M{part}P{os.getpid()}Q{next(_number)}R{_mine}.{_host or 'localhost'}"
    return f"{unique},S={size},W={virtual}"


def order(base: str) -> tuple[int, int, str]:
    """Sorts base names by when their messages came, as servers do that number them."""
    found = _ORDER.match(base)
    return (int(found[1]), int(found[2] or 0), base) if found else (0, 0, base)


def folder_name(path: str) -> str:
    """The name for people of a folder at a path below the Maildir: ``.Lists.Python`` and
    ``Lists/Python`` are both ``Lists/Python``. It can be printed, whatever bytes the path has."""
    name = path[1:].replace(".", "/") if path.startswith(".") else path
    name = os.fsencode(name).decode(errors="backslashreplace")
    return _UTF7.sub(_decoded, name) if name else "INBOX"


def _decoded(part: re.Match[str]) -> str:
    """RFC 3501 section 5.1.3; as it stands if it isn't that."""
    if not part[1]:
        return "&"
    text = part[1].replace(",", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return part[0]


# --- folders ---------------------------------------------------------------------------------


def folder_paths(root: str) -> Iterator[str]:
    """The paths below the Maildir of all its folders, the INBOX's (which is empty) first. Links
    aren't followed."""
    yield ""
    for entry in _folders(root):
        if not entry.name.startswith("."):
            yield from _below(root, entry.name, 0)
        elif _is_maildir(entry.path):
            yield entry.name


def _below(root: str, path: str, depth: int) -> Iterator[str]:
    """A folder of the layout fs, and what is in it."""
    here = os.path.join(root, path)  # noqa: PTH118 - as quick as it is often done
    if _is_maildir(here):
        yield path
    for entry in _folders(here) if depth < _DEEPEST else ():
        if not entry.name.startswith("."):
            yield from _below(root, f"{path}/{entry.name}", depth + 1)


def _folders(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        found = [
            one
            for one in entries
            if one.name not in {"cur", "new", "tmp"} and one.is_dir(follow_symlinks=False)
        ]
    return sorted(found, key=lambda one: one.name)


def _is_maildir(path: str) -> bool:
    return os.path.isdir(f"{path}/cur")  # noqa: PTH112 - as above


class Directories:
    """The three directories of one folder, held open: a file is named within them, so that nobody
    can put a link in the way. Raises OSError."""

    def __init__(self, path: str) -> None:
        self._held: list[int] = []
        self.twins: list[tuple[str, str]] = []
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            self.fd = {part: self._open(f"{path}/{part}", flags) for part in (*PARTS, "tmp")}
        except BaseException:
            self.close()
            raise
        self.tmp = self.fd["tmp"]

    def _open(self, path: str, flags: int) -> int:
        self._held.append(os.open(path, flags))
        return self._held[-1]

    def close(self) -> None:
        """Lets go of them."""
        while self._held:
            os.close(self._held.pop())

    def names(self, part: str) -> list[str]:
        """The names of the messages in ``new`` or ``cur``."""
        return [name for name in os.listdir(self.fd[part]) if name[0] != "."]  # noqa: PTH208

    def find(self) -> dict[str, tuple[str, str]]:
        """Where each message is now: its part and its name, by its base name. Those of which
        several have the same are ``twins`` then, and not among these: one would be taken for the
        other."""
        found: dict[str, tuple[str, str]] = {}
        twice: dict[str, list[tuple[str, str]]] = {}
        self.twins = []
        for part in PARTS:
            for name in self.names(part):
                place, base = (part, name), name.partition(":")[0]
                if base in found:
                    twice.setdefault(base, [found[base]]).append(place)
                found[base] = place
        for base, places in twice.items():
            there = [one for one in places if self._is_there(*one)]  # not renamed meanwhile
            if len(there) > 1:
                del found[base]
                self.twins += there
            elif there:
                found[base] = there[0]
        return found

    def _is_there(self, part: str, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.fd[part], follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def modified(self) -> tuple[int, int]:
        """When something was last put into the two, or renamed or removed there, in
        nanoseconds."""
        new, cur = (os.stat(self.fd[part]).st_mtime_ns for part in PARTS)  # noqa: PTH116
        return new, cur


# --- writing ---------------------------------------------------------------------------------


def add_to_quota(root: str, difference: int) -> None:
    """Notes in a Maildir++'s ``maildirsize``, if it has one, by how many bytes the mailbox grew."""
    try:
        fd = os.open(f"{root}/maildirsize", os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
    except OSError:
        return  # whoever needs it counts again
    try:
        os.write(fd, b"%d 0\n" % difference)
    finally:
        os.close(fd)
