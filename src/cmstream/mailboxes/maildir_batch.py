"""Puts a batch of new messages in the place of old ones in a Maildir's folder, in an order in
which neither a kill nor a power cut loses one, while mail programs work on the same folder.

All new ones are written to ``tmp`` and brought to the disk by one call; the journal says so; they
are renamed into the folder; that is brought to the disk; the journal says that the old ones go;
they are removed. The journal says ``done`` when it is known that this has reached the disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Literal

from ..sync import sync_file
from .journal import Row
from .likeness import PRIVATE, liken
from .mailbox import Outcome, Result
from .maildir_files import (
    PARTS,
    TEMPORARY,
    Directories,
    identity,
    new_base,
    said_size,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..engine.gate import Buffer
    from .mailbox import Change, Content

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TRIES = 20
"""How often a message is looked for whose flags a mail program changes all the time."""
Ended = Literal["replaced", "gone", "removed", "restless"]
_RESULTS: dict[Ended, tuple[Result, str]] = {
    "replaced": ("replaced", ""),
    "gone": ("gone", ""),
    "removed": ("failed", "somebody removed the new one while it was put in place"),
    "restless": ("failed", "a mail program changes its flags all the time"),
}
"""What became of a pair, and what that is for its change."""
_CHANGED: tuple[Result, str] = "failed", "somebody changed it meanwhile: run this again"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EROFS}
"""What ends the run, since it would be the same for all messages."""


class Finder:
    """Where a message is, when it isn't any more where it was."""

    def __init__(self, here: Directories) -> None:
        self._here = here
        self._found: dict[str, tuple[str, str]] = {}

    def again(self, base: str, wrong: tuple[str, str] | None) -> tuple[str, str] | None:
        """Its part and name, or None if it is gone. ``wrong``: where it isn't."""
        place = self._found.get(base)
        for _ in range(2):  # a file that is renamed while the directory is read may be missed
            if place is not None and place != wrong:
                break
            self._found = self._here.find()
            place = self._found.get(base)
        return place


class File:
    """A message of the folder: its part and its name now. Once it was looked at, no other file is
    taken for it, nor this one if somebody wrote to it since: ``is_other``."""

    __slots__ = ("_seen", "base", "is_other", "name", "part")

    def __init__(self, part: str, name: str) -> None:
        self.part, self.name, self.base = part, name, name.partition(":")[0]
        self._seen: tuple[int, int, int] | None = None
        self.is_other = False

    @property
    def flags(self) -> str:
        """With the colon before them, or empty."""
        return self.name[len(self.base) :]

    def stat(self, here: Directories, finder: Finder) -> os.stat_result | None:
        """What it says of itself; looks where it is, if it isn't there any more under its name.
        None if it is gone."""
        wrong = None
        for _ in range(_TRIES):
            try:
                about = os.stat(self.name, dir_fd=here.fd[self.part], follow_symlinks=False)
            except FileNotFoundError:  # the name is another one then
                place = finder.again(self.base, wrong or (self.part, self.name))
                if place is None:
                    return None
                self.part, self.name = wrong = place
                continue
            self._see(about)
            return None if self.is_other else about
        return None

    def open(self, here: Directories, finder: Finder) -> int | None:
        """A descriptor for reading; None if it is gone. Raises OSError, also for a link."""
        while True:
            try:
                fd = os.open(self.name, _READ, dir_fd=here.fd[self.part])
            except FileNotFoundError:  # noqa: PERF203 - the name is another one then
                if self.stat(here, finder) is None:
                    return None
            else:
                self._see(os.fstat(fd))
                return fd

    def _see(self, about: os.stat_result) -> None:
        now = about.st_ino, about.st_size, about.st_mtime_ns
        self._seen = self._seen or now
        self.is_other = self._seen != now

    def remove(self, here: Directories) -> bool:
        """False if it isn't there under its name."""
        try:
            os.unlink(self.name, dir_fd=here.fd[self.part])
        except FileNotFoundError:
            return False
        return True

    def remove_wherever(self, here: Directories, finder: Finder) -> None:
        """Also if it gets another name meanwhile."""
        for _ in range(_TRIES):
            if self.remove(here) or self.stat(here, finder) is None:
                return


def follow(here: Directories, finder: Finder, old: File, new: File, given: str) -> bool:
    """Gives the new message the part and the flags that the old one has. ``given``: the flags that
    it was given before; what a mail program has set on it since stays too. False if it is gone."""
    for _ in range(_TRIES):
        if new.stat(here, finder) is None:
            return False
        part, flags = old.part, old.flags
        if new.flags != given:
            part = max(part, new.part, key=PARTS.index)
            flags = _union(flags, new.flags)
        wanted = f"{new.base}{flags}"
        if (new.part, new.name) == (part, wanted):
            return True
        with contextlib.suppress(FileNotFoundError):
            os.rename(new.name, wanted, src_dir_fd=here.fd[new.part], dst_dir_fd=here.fd[part])
            new.part, new.name = part, wanted
            return True
    return False


def let_go(here: Directories, finder: Finder, old: File, new: File, given: str) -> Ended:
    """Removes the old one, whose flags the new one then has. ``given``: as for :func:`follow`."""
    for _ in range(_TRIES):
        if not follow(here, finder, old, new, given):
            return "removed"
        given = new.flags
        if old.remove(here):
            return "replaced"
        if old.stat(here, finder) is None:
            new.remove_wherever(here, finder)
            return "gone"
    new.remove_wherever(here, finder)
    return "restless"


def _union(one: str, other: str) -> str:
    letters = {*one.rpartition(",")[2], *other.rpartition(",")[2]}
    return f":2,{''.join(sorted(letters))}"


class _Pair:
    """A change on its way. ``given``: the flags that the new message has from the old one;
    ``growth``: by how many bytes it is longer."""

    __slots__ = ("change", "given", "growth", "new", "old", "temporary")

    def __init__(self, change: Change, old: File, size: int) -> None:
        base = new_base(old.base, len(change.new), virtual_size(change.new))
        self.change, self.old, self.given = change, old, old.flags
        self.new = File(old.part, base + old.flags)
        self.temporary = TEMPORARY + base
        said = said_size(old.base)
        self.growth = len(change.new) - (size if said is None else said)

    def row(self) -> Row:
        one = self.change
        return Row(one.stored.identity, identity(self.new.base), one.old_hash, one.new_hash)


class Batch:
    """Some changes of one folder; :meth:`write`, :meth:`place`, and :meth:`remove` one after the
    other. Between them whoever calls brings the disk and the journal up to date."""

    def __init__(self, here: Directories) -> None:
        self._here, self._finder = here, Finder(here)
        self._pairs: list[_Pair] = []
        self.outcomes: list[Outcome] = []
        self.growth = 0

    def rows(self) -> list[Row]:
        """What the journal is to note of those that were written."""
        return [one.row() for one in self._pairs]

    def olds(self) -> list[str]:
        """The old identities of those that are on their way."""
        return [one.change.stored.identity for one in self._pairs]

    def write(self, changes: Iterable[tuple[Change, File]]) -> None:
        """Writes new messages to ``tmp``. After an exception none of them is there."""
        try:
            for change, old in changes:
                self._write(change, old)
        except BaseException:
            for pair in self._pairs:
                self._drop(pair)
            raise

    def _write(self, change: Change, old: File) -> None:
        about = old.stat(self._here, self._finder)
        if about is None:
            self._end(change, *(_CHANGED if old.is_other else _RESULTS["gone"]))
            return
        try:
            self._write_as(_Pair(change, old, about.st_size), about)
        except OSError as error:
            if error.errno in _FULL:
                raise
            self._end(change, "failed", f"it can't be written: {error.strerror}")

    def _write_as(self, pair: _Pair, about: os.stat_result) -> None:
        fd = os.open(pair.temporary, _WRITE, PRIVATE, dir_fd=self._here.tmp)
        try:
            _fill(fd, pair.change.new)
            liken(fd, about)
            sync_file(fd)
        except BaseException:
            self._drop(pair)
            raise
        finally:
            os.close(fd)
        self._pairs.append(pair)

    def place(self) -> None:
        """Renames them into the folder."""
        tmp, fd = self._here.tmp, self._here.fd
        for pair in self._pairs:
            os.rename(pair.temporary, pair.new.name, src_dir_fd=tmp, dst_dir_fd=fd[pair.new.part])

    def parts(self) -> set[str]:
        """Where they were put."""
        return {pair.new.part for pair in self._pairs}

    def remove(self) -> tuple[list[str], list[str]]:
        """Removes the old ones. Gives the old identities of those that are replaced, and of those
        whose change was taken back."""
        done: list[str] = []
        dropped: list[str] = []
        for pair in self._pairs:
            kept = self._finish(pair)
            (done if kept else dropped).append(pair.change.stored.identity)
        return done, dropped

    def _finish(self, pair: _Pair) -> bool:
        ended = let_go(self._here, self._finder, pair.old, pair.new, pair.given)
        if ended == "replaced":
            self.growth += pair.growth
        result, why = _RESULTS[ended]
        self._end(pair.change, result, why)
        return ended == "replaced"

    def _end(self, change: Change, result: Result, why: str = "") -> None:
        self.outcomes.append(Outcome(change, result, why))

    def _drop(self, pair: _Pair) -> None:
        with contextlib.suppress(OSError):
            os.unlink(pair.temporary, dir_fd=self._here.tmp)


def _fill(fd: int, content: Content) -> None:
    for chunk in content.chunks():
        written = os.write(fd, chunk)
        while written < len(chunk):
            written += os.write(fd, memoryview(chunk)[written:])


def virtual_size(content: Content) -> int:
    """Its bytes with CRLF in the place of each line feed alone, as IMAP counts a message."""
    if getattr(content, "crlf", False):
        return len(content)
    alone, before = 0, b""
    for chunk in content.chunks():
        text = _bytes(chunk)
        alone += text.count(b"\n") - text.count(b"\r\n")
        if before == b"\r" and text[:1] == b"\n":
            alone -= 1
        before = text[-1:]
    return len(content) + alone


def _bytes(chunk: Buffer) -> bytes:
    return chunk if isinstance(chunk, bytes) else bytes(chunk)
