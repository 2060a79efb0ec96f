"""Mailboxes of mbox files: one file, or a folder in which each file is one.

A message is named by its content without the fields that mail servers change in it (``Status`` and
the like). To replace some, the whole file is written anew beside the old one, brought to the disk,
read again and compared, and renamed: at any instant there is the old file or the new one.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import MessageError
from ..scratch import Scratch
from .errors import MailboxError
from .journal import Row
from .mailbox import Outcome, Stored, changed_within
from .mbox_lock import locked
from .mbox_rewrite import TEMPORARY, Entry, Rewritten, changed, messages, scan, taken_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from typing_extensions import Self

    from .journal import MailboxJournal
    from .mailbox import Change
    from .places import Access


def opened(rest: str, account: str, journal: MailboxJournal, access: Access) -> MboxFiles:
    """The mailbox at a path. Raises MailboxError ``no-such-mailbox``."""
    del account
    path = Path(rest).absolute()
    if not path.exists():
        raise MailboxError("no-such-mailbox", f"there is no mbox file or folder {path}")
    if path.is_symlink() and path.is_file():
        text = f"{path} is a link: name the file to which it leads, {path.resolve()}"
        raise MailboxError("no-such-mailbox", text)
    if not (path.is_file() or path.is_dir()):
        raise MailboxError("no-such-mailbox", f"{path} is no regular file, and no folder")
    if (path / "cur").is_dir():
        raise MailboxError("no-such-mailbox", f"{path} is a Maildir: give maildir:{path}")
    return MboxFiles(path, journal, access)


class MboxFiles:
    """A :class:`~cmstream.mailboxes.mailbox.Mailbox`."""

    def __init__(self, path: Path, journal: MailboxJournal, access: Access) -> None:
        self._path, self._journal, self._access = path, journal, access
        self._drafts = {one.casefold() for one in access.drafts}
        self._folders: dict[str, Folder] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()

    def folders(self) -> Sequence[Folder]:
        """Those that are there now; INBOX is the first. Raises MailboxError ``invalid-place``."""
        found: dict[str, Folder] = {}
        paths = list(_files(self._path))
        _require_one_owner(self._path, paths)
        for path in paths:
            name = str(path.relative_to(self._path)) if path != self._path else "INBOX"
            if name.casefold() == "inbox" and "INBOX" not in found:
                name = "INBOX"
            found[name] = self._folder(path, name)
        self._folders = found
        return [found[name] for name in sorted(found, key=lambda one: (one != "INBOX", one))]

    def _folder(self, path: Path, name: str) -> Folder:
        known = self._folders.get(name)
        if known is not None and known.path == path:
            return known
        drafts = path.name.casefold() in self._drafts
        return Folder(path, name, self._journal, drafts=drafts, wait=self._access.wait)

    def wait(self, seconds: float) -> Collection[str]:
        """Looks each second at when the files were changed."""
        return changed_within(
            seconds, lambda: [one.name for one in self.folders() if one.is_changed()]
        )


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            one = Path(folder, name)
            if not name.startswith(".") and not name.endswith(".lock") and _is_mbox(one):
                yield one


def _require_one_owner(folder: Path, paths: Sequence[Path]) -> None:
    """A spool such as ``/var/mail`` holds one file for each user: one of them must not get the mail
    of all."""
    owners: dict[int, str] = {}
    for one in paths:
        with contextlib.suppress(FileNotFoundError):
            owners.setdefault(one.stat().st_uid, one.name)
    if len(owners) > 1:
        some, other, *_ = owners.values()
        text = f"{folder} holds mail of several users ({some} and {other} have other owners): give "
        raise MailboxError("invalid-place", f"{text}the file of one, mbox:{folder}/{some}")


def _is_mbox(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with _naming(path), path.open("rb") as file:
        return file.read(5) == b"From "


class Folder:
    """A :class:`~cmstream.mailboxes.mailbox.Folder`: one file."""

    def __init__(self, path: Path, name: str, journal: MailboxJournal, *, drafts: bool,
                 wait: Callable[[Path], object]) -> None:  # fmt: skip
        self.path, self.name, self.drafts = path, name, drafts
        self._journal, self._wait = journal, wait
        self._seen: tuple[int, int, int] | None = None
        self._read: tuple[int, int, int] | None = None
        self._starts: dict[str, int] = {}

    def is_changed(self) -> bool:
        """Whether it isn't as it was when it was last read."""
        return self._seen != _state(self.path)

    def messages(self) -> Iterator[Stored]:
        """In the order of the file."""
        self._seen = _state(self.path)
        skip = self._journal.skip(self.name)
        found = set()
        with _naming(self.path), self.path.open("rb") as file:
            entries = self._places(file)
        for one in entries:
            found.add(one.identity)
            if one.identity not in skip and not one.is_internal:
                yield Stored(one.identity, one.size)
        if gone := skip.keys() - found:
            self._journal.forget(self.name, [skip[one] for one in gone])

    def read(self, stored: Stored) -> Scratch | None:
        """A message without the server's fields, unquoted; None if it isn't there any more."""
        with _naming(self.path), self.path.open("rb") as file:
            found = self._at(file, stored)
            if found is None and self._read != _state(self.path):
                self._places(file)
                found = self._at(file, stored)
        return found

    def _at(self, file: BinaryIO, stored: Stored) -> Scratch | None:
        """It, if it is where the file was last seen to have it."""
        content, digest = Scratch(), hashlib.sha256()
        if (start := self._starts.get(stored.identity)) is None:
            return None
        try:
            message = next(messages(file, start), None)
        except MessageError:
            return None
        for piece in taken_apart(message.chunks).content() if message else ():
            digest.update(piece)
            content.write(piece)
        return content if stored.identity.startswith(digest.hexdigest()) else None

    def _places(self, file: BinaryIO) -> list[Entry]:
        self._read = _state(self.path)
        entries = scan(file)
        self._starts = {one.identity: one.start for one in entries}
        return entries

    def keep(self, stored: Sequence[Stored]) -> None:
        """Notes that they stay as they are."""
        self._journal.known(self.name, [one.identity for one in stored])

    def replace(self, changes: Sequence[Change]) -> list[Outcome]:
        """Writes the file anew."""
        with (
            _naming(self.path),
            locked(self.path, self._wait) as fd,
            os.fdopen(os.dup(fd), "rb") as file,
        ):
            before, entries = changed(file), scan(file)
            there = {one.identity for one in entries}
            going = {one.stored.identity: one for one in changes if one.stored.identity in there}
            if going:
                self._rewrite(Rewritten(self.path, file, before), entries, going)
        return [
            Outcome(one, "replaced" if one.stored.identity in going else "gone") for one in changes
        ]

    def _rewrite(self, written: Rewritten, entries: list[Entry], going: dict[str, Change]) -> None:
        try:
            new = written.write(entries, going)
            rows = [Row(old, new[old], one.old_hash, one.new_hash) for old, one in going.items()]
            self._journal.stage(self.name, rows)
            written.settle()
        finally:
            written.close()
        self._journal.mark(self.name, going, "done")

    def recover(self) -> None:
        """Removes what a killed run left; whether it had renamed its file is seen by what is
        there."""
        rows = self._journal.unfinished(self.name)
        with _naming(self.path):
            for left in self.path.parent.glob(f"{TEMPORARY}{glob.escape(self.path.name)}"):
                left.unlink(missing_ok=True)
            if not rows:
                return
            with self.path.open("rb") as file:
                there = {one.identity for one in scan(file)}
        done = [row.old for row in rows if row.new in there and row.old not in there]
        self._journal.mark(self.name, done, "done")
        self._journal.forget(self.name, {row.old for row in rows} - {*done})


def _state(path: Path) -> tuple[int, int, int] | None:
    with contextlib.suppress(FileNotFoundError):
        about = path.stat()
        return about.st_ino, about.st_size, about.st_mtime_ns
    return None


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Says what is wrong with a file."""
    try:
        yield
    except FileNotFoundError:
        raise MailboxError("no-such-mailbox", f"there is no mbox file {path}") from None
    except PermissionError as error:
        text = f"{error.filename or path} can't be used: run this as root, or as the mail's owner"
        raise MailboxError("permission-denied", text) from None
    except MessageError as error:
        raise MailboxError("no-such-mailbox", f"{path}: {error}") from None
