"""Finishes or takes back what a killed run began in a Maildir's folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from ..scratch import CHUNK
from .maildir_batch import File, Finder, let_go
from .maildir_files import TEMPORARY, Directories, identity

if TYPE_CHECKING:
    from .journal import MailboxJournal, Row


class Recovery:
    """What is to be done in one folder."""

    def __init__(self, name: str, here: Directories, journal: MailboxJournal) -> None:
        self._name, self._here, self._journal = name, here, journal
        self._finder = Finder(here)
        self._files: dict[str, File] = {}

    def run(self) -> None:
        """Does it, and brings the disk and the journal up to date."""
        for name in os.listdir(self._here.tmp):  # noqa: PTH208
            if name.startswith(TEMPORARY):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._here.tmp)
        rows = self._journal.unfinished(self._name)
        if not rows:
            return
        self._files = {identity(base): File(*place) for base, place in self._here.find().items()}
        done = [row.old for row in rows if self._is_done(row)]
        dropped = {row.old for row in rows} - {*done}
        for part in ("new", "cur"):
            os.fsync(self._here.fd[part])
        self._journal.mark(self._name, done, "done")
        self._journal.forget(self._name, dropped)

    def _is_done(self, row: Row) -> bool:
        """Goes on with one message. False if its change is taken back, or its owner removed it."""
        here, finder = self._here, self._finder
        old, new = self._files.get(row.old), self._files.get(row.new)
        if new is None:
            return False  # it never came here, or its owner has removed it
        if old is None:
            return True  # the run removed it; or its owner, who saw both, and kept this one
        if self._hash(new) != row.new_hash:
            new.remove_wherever(here, finder)
            return False
        if row.state != "removing":
            self._journal.mark(self._name, [row.old], "removing")
        return let_go(here, finder, old, new, new.flags) == "replaced"

    def _hash(self, file: File) -> bytes:
        """Empty if it is gone."""
        fd = file.open(self._here, self._finder)
        if fd is None:
            return b""
        try:
            found = hashlib.sha256()
            while piece := os.read(fd, CHUNK):
                found.update(piece)
        finally:
            os.close(fd)
        return found.digest()
