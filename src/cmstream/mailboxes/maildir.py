"""A Maildir, with its folders below, which a mail server may use at the same time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..sync import sync_file_system
from . import stored_form
from .errors import LeftAlone, MailboxError
from .mailbox import EVERY, Stored, changed_within
from .maildir_batch import Batch, File, Finder
from .maildir_files import (
    PARTS,
    Directories,
    add_to_quota,
    folder_name,
    folder_paths,
    identity,
    order,
    said_size,
)
from .maildir_recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from typing_extensions import Self

    from ..scratch import Scratch
    from .journal import MailboxJournal
    from .mailbox import Change, Outcome
    from .places import Access


def opened(rest: str, account: str, journal: MailboxJournal, access: Access) -> Maildir:
    """The Maildir at a path. Raises MailboxError ``no-such-mailbox``, ``permission-denied``."""
    del account
    return Maildir(rest, journal, drafts=access.drafts)


@dataclass(frozen=True)
class _Message(Stored):
    """A message, and its file, which is known again once it was read."""

    file: File = field(compare=False)
    is_twin: bool = False


class Maildir:
    """A :class:`~cmstream.mailboxes.mailbox.Mailbox` in a directory with cur, new and tmp. One
    folder is held open at a time."""

    def __init__(
        self, root: str, journal: MailboxJournal, *, drafts: Sequence[str] = ("Drafts",)
    ) -> None:
        self._root, self._journal = os.path.abspath(root), journal  # noqa: PTH100
        self._drafts = {name.casefold() for name in drafts}
        self._seen: dict[str, tuple[int, int]] = {}
        self._again: set[str] = set()
        self._here: tuple[str, Directories] | None = None
        self._done: list[str] = []
        self._dropped: list[str] = []
        self._fd = -1
        with _naming(self._root):
            Directories(self._root).close()

    def __enter__(self) -> Self:
        with _naming(self._root):
            self._fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._fd)
                self._journal.close()
                text = f"{self._root}: another run works on this Maildir: wait until it has ended"
                raise MailboxError("busy", text) from None
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.leave()
        finally:
            self._journal.close()
            os.close(self._fd)

    def folders(self) -> Sequence[Folder]:
        """All of them that are there now; INBOX is the first."""
        with _naming(self._root):
            return [self._folder(path) for path in folder_paths(self._root)]

    def _folder(self, path: str) -> Folder:
        name = folder_name(path)
        drafts = name.rpartition("/")[2].casefold() in self._drafts
        return Folder(self, path, name, drafts=drafts)

    def wait(self, seconds: float) -> Collection[str]:
        """Looks each second at when the folders were changed."""
        self.leave()
        if seconds:
            time.sleep(EVERY)  # what comes in a burst is one look
        return changed_within(
            seconds, lambda: [one.name for one in self.folders() if self._is_changed(one)]
        )

    def is_gone(self, path: str) -> bool:
        """Whether a folder was removed since it was listed."""
        return bool(path) and not os.path.lexists(f"{self._path(path)}/cur")

    def enter(self, path: str) -> Directories:
        """The directories of a folder. Raises OSError."""
        if self._here is None or self._here[0] != path:
            self.leave()
            self._here = path, Directories(self._path(path))
        return self._here[1]

    def leave(self) -> None:
        """Closes the folder that is open, and notes what was done in it."""
        self.settle()
        if self._here is not None:
            self._here[1].close()
            self._here = None

    def settle(self) -> None:
        """Notes what was done once it has reached the disk."""
        if self._here is not None and (self._done or self._dropped):
            sync_file_system(self._here[1].tmp)
            key = _key(self._here[0])
            self._journal.mark(key, self._done, "done")
            self._journal.forget(key, self._dropped)
            self._done, self._dropped = [], []

    def saw(self, path: str, here: Directories) -> None:
        """Notes when a folder was last changed, before it is read. A change within the clock's last
        tick might not show in it: such a folder is read once more."""
        self._seen[path] = found = here.modified()
        self._again.discard(path)
        if _is_recent(found):
            self._again.add(path)

    def _is_changed(self, folder: Folder) -> bool:
        try:
            here = [os.stat(f"{self._path(folder.path)}/{part}").st_mtime_ns for part in PARTS]  # noqa: PTH116
        except OSError:
            return False
        changed = self._seen.get(folder.path) != tuple(here)
        return changed or (folder.path in self._again and not _is_recent(here))

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def replace(self, key: str, here: Directories, changes: Sequence[Change]) -> list[Outcome]:
        """As the folder's; this notes what was done in the batch before."""
        journal, batch = self._journal, Batch(here)
        batch.write([(one, _file(one.stored)) for one in changes])
        sync_file_system(here.tmp)
        journal.stage(key, batch.rows(), done=self._done)
        if self._dropped:
            journal.forget(key, self._dropped)
        self._done, self._dropped = [], []
        batch.place()
        for part in batch.parts():
            os.fsync(here.fd[part])
        journal.mark(key, batch.olds(), "removing")
        self._done, self._dropped = batch.remove()
        if batch.growth:
            add_to_quota(self._root, batch.growth)
        return batch.outcomes


class Folder:
    """A :class:`~cmstream.mailboxes.mailbox.Folder` of a Maildir. ``path``: below it."""

    def __init__(self, mailbox: Maildir, path: str, name: str, *, drafts: bool) -> None:
        self._mailbox, self.path, self.name, self.drafts = mailbox, path, name, drafts
        self._key = _key(path)
        self._journal = mailbox._journal  # noqa: SLF001 - a part of it

    def recover(self) -> None:
        """Finishes what a killed run began."""
        if self._mailbox.is_gone(self.path):
            return
        with _naming(self.name):
            Recovery(self._key, self._mailbox.enter(self.path), self._journal).run()

    def messages(self) -> Iterator[Stored]:
        """In the order in which a server numbers them."""
        if self._mailbox.is_gone(self.path):
            return
        with _naming(self.name):
            here = self._mailbox.enter(self.path)
            self._mailbox.settle()
            self._mailbox.saw(self.path, here)
            found, twins = here.find(), here.twins
        skip = self._journal.skip(self._key)
        names = {base: identity(base) for base in found}
        gone = skip.keys() - names.values()
        if gone:
            self._journal.forget(self._key, [skip[one] for one in gone])
        for base in sorted((one for one in found if names[one] not in skip), key=order):
            part, name = found.pop(base)
            size = said_size(name)
            if size is None:
                size = _size(here, part, name)
            yield _Message(names[base], size, File(part, name))
        for part, name in twins:
            size = _size(here, part, name)
            yield _Message(identity(name), size, File(part, name), is_twin=True)

    def read(self, stored: Stored) -> Scratch | None:
        """A message as its owner sees it; gzip is undone."""
        here, file = self._mailbox.enter(self.path), _file(stored)
        if isinstance(stored, _Message) and stored.is_twin:
            raise LeftAlone("shared-name", "another message has the same name up to the colon")
        try:
            fd = file.open(here, Finder(here))
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.EMLINK}:
                raise LeftAlone("not-a-file", "it is a link") from None
            raise LeftAlone("unreadable", f"it can't be read: {error.strerror}") from None
        if fd is None:
            return None
        try:
            return stored_form.read(fd)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise LeftAlone("unreadable", f"it can't be read: {error.strerror}") from None
        finally:
            os.close(fd)

    def keep(self, stored: Sequence[Stored]) -> None:
        """Notes that they stay as they are."""
        self._journal.known(self._key, [one.identity for one in stored])

    def replace(self, changes: Sequence[Change]) -> list[Outcome]:
        """Puts new messages in the place of old ones."""
        here = self._mailbox.enter(self.path)
        try:
            return self._mailbox.replace(self._key, here, changes)
        except PermissionError as error:
            raise _denied(f"{self.name} {error.filename or ''}".strip()) from None


def _is_recent(modified: Iterable[int]) -> bool:
    """Whether one of these times, in nanoseconds, is so near that the next change might get the
    same."""
    return time.time_ns() - max(modified) < 2 * 10**9


def _key(path: str) -> str:
    """What the journal calls a folder: several paths may have the same name for people."""
    return f"/{identity(path)}" if path else "INBOX"


def _file(stored: Stored) -> File:
    if not isinstance(stored, _Message):
        raise TypeError("a Maildir's message is one that its folder has given")
    return stored.file


def _size(here: Directories, part: str, name: str) -> int:
    try:
        return os.stat(name, dir_fd=here.fd[part], follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


@contextlib.contextmanager
def _naming(place: str) -> Iterator[None]:
    """Says what is wrong with a directory."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        which = error.filename or place
        text = f"{place} is no Maildir: there is no directory {which}"
        raise MailboxError("no-such-mailbox", text) from None
    except PermissionError as error:
        raise _denied(error.filename or place) from None


def _denied(which: str) -> MailboxError:
    text = f"{which} can't be used: run this as root, or as the user who owns the mail"
    return MailboxError("permission-denied", text)
