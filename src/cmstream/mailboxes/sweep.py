"""Goes through a mailbox, batch by batch, and replaces what is to be replaced."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from ..batches import batches
from ..scratch import MEMORY
from .change import Left, Why
from .errors import LeftAlone, MailboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from contextlib import AbstractContextManager

    from .change import Changing, Found
    from .mailbox import Change, Folder, Mailbox, Stored
    from .pace import Pace
    from .report import Report

BATCH = 256
"""The most messages of a batch; MEMORY are the most bytes of several."""
_WAIT = 60.0
_OF_A_FOLDER = {"no-such-mailbox", "permission-denied"}
_DRAFT = Why("draft", "it is in a folder for drafts, which are passed over without --drafts")


class Sweep:
    """A run over one mailbox. ``drafts``: also the folders for drafts. ``dry``: nothing is
    replaced, and nothing noted. ``watching``: it runs again and again, and counts a message that
    stays as it is once. ``whole``: a batch is within it. ``told``: called after each."""

    def __init__(
        self,
        mailbox: Mailbox,
        changing: Changing,
        report: Report,
        pace: Pace,
        *,
        drafts: bool = False,
        dry: bool = False,
        watching: bool = False,
        whole: AbstractContextManager[None] | None = None,
        told: Callable[[Report], None] = lambda _: None,
    ) -> None:
        self._mailbox, self._changing = mailbox, changing
        self._report, self._pace = report, pace
        self._drafts, self._dry, self._told = drafts, dry, told
        self._whole = whole or nullcontext()
        self._watching = watching
        self._left: dict[str, set[str]] = {}
        self._left_now: set[str] = set()

    def run(self, names: Collection[str] | None = None) -> None:
        """Once over all folders, or those of these names. Raises MailboxError, StoreUnavailable,
        KeyUnavailableError, OSError: what was begun is finished by the next run."""
        for folder in self._mailbox.folders():
            if names is None or folder.name in names:
                with self._leaving(folder):
                    self._folder(folder)

    def watch(self, seconds: float = _WAIT) -> None:
        """Once over what is new, or comes within so many seconds."""
        names = self._mailbox.wait(seconds)
        if names is None or names:
            self.run(names)

    @contextmanager
    def _leaving(self, folder: Folder) -> Iterator[None]:
        """A folder below INBOX that can't be used doesn't keep the others from their turn."""
        try:
            yield
        except MailboxError as error:
            if folder.name == "INBOX" or error.code not in _OF_A_FOLDER:
                raise
            self._report.fail(folder.name, str(error))

    def _folder(self, folder: Folder) -> None:
        if not self._dry:
            folder.recover()
        self._left_now = set()
        for some in batches(folder.messages(), lambda one: one.size, count=BATCH, octets=MEMORY):
            self._pace.wait()
            with self._whole:
                self._some(folder, some)
            self._told(self._report)
        self._left[folder.name] = self._left_now

    def _some(self, folder: Folder, some: list[Stored]) -> None:
        fresh = [one for one in some if not self._was_left(folder, one)]
        self._report.looked(len(fresh), sum(one.size for one in fresh))
        if folder.drafts and not self._drafts:
            self._leave(folder, some, _DRAFT)
        elif why := self._changing.refused():
            self._leave(folder, some, why)
        else:
            self._batch(folder, some)

    def _was_left(self, folder: Folder, stored: Stored) -> bool:
        """Whether the last look at the folder left this message, and so has counted it."""
        return stored.identity in self._left.get(folder.name, ())

    def _leave(self, folder: Folder, some: Iterable[Stored], why: Why) -> None:
        for one in some:
            if not self._was_left(folder, one):
                self._report.leave(why, f"{folder.name} {one.identity}")
            self._note_left(one)

    def _note_left(self, stored: Stored) -> None:
        if self._watching:
            self._left_now.add(stored.identity)

    def _batch(self, folder: Folder, some: Iterable[Stored]) -> None:
        found = list(self._read(folder, some))
        self._pace.spent(sum(len(message) for _, message in found))
        before = {stored.identity: len(message) for stored, message in found}
        changes: list[Change] = []
        known: list[Stored] = []
        for one in self._changing.changes(found):
            if isinstance(one, Left):
                self._leave(folder, [one.stored], one.why)
                if one.known:
                    known.append(one.stored)
            else:
                changes.append(one)
        if self._dry:
            for one in changes:
                self._report.changed(before[one.stored.identity], len(one.new))
            return
        if known:
            folder.keep(known)
        if changes:
            self._replace(folder, changes, before)

    def _read(self, folder: Folder, some: Iterable[Stored]) -> Iterator[Found]:
        for stored in some:
            try:
                message = folder.read(stored)
            except LeftAlone as error:
                self._leave(folder, [stored], Why(error.code, str(error)))
                continue
            if message is None:
                self._report.gone += 1
            else:
                yield stored, message

    def _replace(self, folder: Folder, changes: list[Change], before: dict[str, int]) -> None:
        for outcome in folder.replace(changes):
            stored = outcome.change.stored
            if outcome.result == "replaced":
                self._report.changed(before[stored.identity], len(outcome.change.new))
            elif outcome.result == "gone":
                self._report.gone += 1
            else:
                if not self._was_left(folder, stored):
                    self._report.fail(f"{folder.name} {stored.identity}", outcome.why)
                self._note_left(stored)
