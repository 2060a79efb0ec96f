"""Notes for each message what is about to be done to it, so that the next run finishes what a
killed one began, and looks at nothing twice. It holds names and hashes, no content."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..sync import make_folder
from .errors import MailboxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Self

State = Literal["staged", "removing", "done", "known"]
"""How far a message is. ``staged``: the new one lies under a temporary name, or is about to be
appended. ``removing``: the new one is in the folder, and the old one is about to go; if it isn't
there, it went. ``done``: it is gone. ``known``: this message stays as it is, and needs no other
look."""

Task = Literal["seal", "open"]
_BEFORE = " before"
"""Ends the state of a message that a run with another task began. It is finished as it was begun;
the new one isn't what this task makes, and needs a look."""

EVERYBODYS = Path("/var/lib/cmstream-mailboxes")
"""Where the journal is if that folder can be written, or made. It isn't the store's folder, which a
group may share (``serve --group``)."""
_NAME = "mailboxes.sqlite3"
_WAIT = 60.0
"""Seconds for which another process may write to the journal."""
_VERSION = 1
_SCHEMA = """
CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    place TEXT NOT NULL,
    task TEXT NOT NULL,
    UNIQUE (account, place)
);
CREATE TABLE folder (
    id INTEGER PRIMARY KEY,
    mailbox INTEGER NOT NULL REFERENCES mailbox,
    name TEXT NOT NULL,
    UNIQUE (mailbox, name)
);
CREATE TABLE message (
    folder INTEGER NOT NULL REFERENCES folder,
    old TEXT NOT NULL,
    new TEXT NOT NULL,
    old_hash BLOB NOT NULL,
    new_hash BLOB NOT NULL,
    message_id TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (folder, old)
) WITHOUT ROWID;
CREATE INDEX unfinished ON message (folder) WHERE state NOT IN ('done', 'known');
"""
_TABLES = {"mailbox", "folder", "message"}


class Row(NamedTuple):
    """A message that is about to be replaced. ``old`` and ``new``: its identities in the folder
    before and after (``new`` is empty while nobody knows it); the hashes are SHA-256, 32 bytes
    each; ``message_id``: of its header field, where the place looks it up by that."""

    old: str
    new: str
    old_hash: bytes
    new_hash: bytes
    message_id: str = ""
    state: State = "staged"


def default_place() -> Path:
    """The journal's file, unless another is named: everybody's where this user may write it, else
    their own."""
    if os.access(EVERYBODYS if EVERYBODYS.exists() else EVERYBODYS.parent, os.W_OK):
        return EVERYBODYS / _NAME
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "cmstream" / _NAME


class Journal:
    """The journal in a file, which is created with its folder where it is missing; for one thread.

    A context manager. Raises MailboxError ``journal-unavailable``, ``newer-journal``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _failing(path):
            make_folder(path.parent)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
            self._require_own()
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the file back."""
        self._database.close()

    def mailbox(self, account: str, place: str, task: Task = "seal") -> MailboxJournal:
        """The part for one mailbox, which nobody else has until it is closed. What was found out
        for another task is forgotten; what it left unfinished isn't. Raises MailboxError
        ``busy``."""
        with self.transaction() as database:
            mine = account, place
            database.execute("INSERT OR IGNORE INTO mailbox VALUES (NULL, ?, ?, ?)", (*mine, task))
            found = database.execute("SELECT id FROM mailbox WHERE account = ? AND place = ?", mine)
            (number,) = found.fetchone()
        lock = _Lock(self.path.with_name(f"{self.path.name}.{number}.lock"), place)
        try:
            self._begin(number, task)
        except BaseException:
            lock.release()
            raise
        return MailboxJournal(self, number, lock)

    def _begin(self, number: int, task: Task) -> None:
        """Forgets what was found out for another task. Only who has the lock knows the last one."""
        with self.transaction() as database:
            found = database.execute("SELECT task FROM mailbox WHERE id = ?", (number,))
            if found.fetchone() == (task,):
                return
            database.execute(
                "DELETE FROM message WHERE folder IN (SELECT id FROM folder WHERE mailbox = ?) "
                "AND state IN ('done', 'known')", (number,)
            )  # fmt: skip
            database.execute(
                "UPDATE message SET state = state || ? WHERE folder IN "
                "(SELECT id FROM folder WHERE mailbox = ?) AND state IN ('staged', 'removing')",
                (_BEFORE, number),
            )
            database.execute("UPDATE mailbox SET task = ? WHERE id = ?", (task, number))

    @contextmanager
    def transaction(self, *, lasting: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction for writing. When it ends without an exception, it is on the disk; or, if
        it needn't be ``lasting``, it is there with the next one that is."""
        with _failing(self.path):
            database = self._database
            if not lasting:
                database.execute("PRAGMA synchronous = NORMAL")
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
            finally:
                if not lasting:
                    database.execute("PRAGMA synchronous = FULL")

    def select(self, query: str, values: Sequence[object]) -> list[tuple[str, ...]]:
        """The rows that a query finds."""
        with _failing(self.path):
            return self._database.execute(query, values).fetchall()

    def _require_own(self) -> None:
        """Another program's database, such as the certificate store, takes none of this."""
        found = self._database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
            "ESCAPE '\\'"
        ).fetchall()
        if found and not {name for (name,) in found} >= _TABLES:
            self._database.close()
            raise _unavailable(self.path, "it is the database of another program")

    def _prepare(self) -> None:
        with self.transaction() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise MailboxError(
                    "newer-journal",
                    f"the journal {self.path} was made by a newer version: use that one, or name "
                    "another by --journal",
                )
            if not version:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {_VERSION}")


class MailboxJournal:
    """The journal of one mailbox. Each method is one transaction, and what it notes is on the disk
    when it returns. ``folder`` is the folder's name, ``identities`` are those of old messages.

    Raises MailboxError ``journal-unavailable``.
    """

    def __init__(self, journal: Journal, number: int, lock: _Lock) -> None:
        self._journal, self._number, self._lock = journal, number, lock
        self._folders: dict[str, int] = {}

    def close(self) -> None:
        """Lets others have the mailbox."""
        self._lock.release()

    def stage(self, folder: str, rows: Iterable[Row], *, done: Iterable[str] = ()) -> None:
        """Notes messages that are about to be replaced. ``done``: identities of those before
        that are, in the same transaction."""
        number = self._folder(folder)
        with self._journal.transaction() as database:
            _finish(database, number, done)
            database.executemany(
                "INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?)",
                ((number, *row) for row in rows),
            )

    def mark(
        self,
        folder: str,
        identities: Iterable[str],
        state: State,
        *,
        new: Mapping[str, str] | None = None,
    ) -> None:
        """Notes that these are so far. ``new``: what the new ones of some are called, if it wasn't
        known before, by the old identity."""
        number, found = self._folder(folder), list(identities)
        with self._journal.transaction() as database:
            if new:
                database.executemany(
                    "UPDATE message SET new = ? WHERE folder = ? AND old = ?",
                    ((name, number, old) for old, name in new.items()),
                )
            if state == "done":
                _finish(database, number, found)
                return
            database.executemany(
                "UPDATE message SET state = ? || CASE WHEN state LIKE '%' || ? THEN ? ELSE '' END "
                "WHERE folder = ? AND old = ?",
                ((state, _BEFORE, _BEFORE, number, old) for old in found),
            )

    def known(self, folder: str, identities: Iterable[str]) -> None:
        """Notes messages that stay as they are, and need no look again. A power cut may take such
        notes back."""
        number = self._folder(folder)
        with self._journal.transaction(lasting=False) as database:
            database.executemany(
                "INSERT OR REPLACE INTO message VALUES (?, ?, '', x'', x'', '', 'known')",
                ((number, old) for old in identities),
            )

    def forget(self, folder: str, identities: Iterable[str]) -> None:
        """Drops what is noted of these: their change was taken back, or they are gone. An identity
        may be that of an old message or of a new one that is done."""
        number, found = self._folder(folder), list(identities)
        with self._journal.transaction() as database:
            database.executemany(
                "DELETE FROM message WHERE folder = ? AND old = ?", ((number, one) for one in found)
            )

    def unfinished(self, folder: str) -> list[Row]:
        """What a run began and didn't finish."""
        return [
            Row(*row)  # type: ignore[arg-type]
            for row in self._journal.select(
                "SELECT old, new, old_hash, new_hash, message_id, replace(state, ?, '') "
                "FROM message WHERE folder = ? AND state NOT IN ('done', 'known')",
                (_BEFORE, self._folder(folder)),
            )
        ]  # fmt: skip

    def skip(self, folder: str) -> dict[str, str]:
        """The messages that need no look: the new ones of what is done, and the known ones. Each
        with the identity under which it is noted, for :meth:`forget`."""
        rows = self._journal.select(
            "SELECT CASE state WHEN 'done' THEN new ELSE old END, old FROM message "
            "WHERE folder = ? AND state IN ('done', 'known')", (self._folder(folder),)
        )  # fmt: skip
        return dict(rows)  # type: ignore[arg-type]

    def _folder(self, name: str) -> int:
        if name not in self._folders:
            mine = self._number, name
            with self._journal.transaction(lasting=False) as database:
                database.execute("INSERT OR IGNORE INTO folder VALUES (NULL, ?, ?)", mine)
                query = "SELECT id FROM folder WHERE mailbox = ? AND name = ?"
                (number,) = database.execute(query, mine).fetchone()
            self._folders[name] = number  # it is there now
        return self._folders[name]


def _finish(database: sqlite3.Connection, folder: int, identities: Iterable[str]) -> None:
    """What is done needs no hash any more of what could be read."""
    found = list(identities)
    database.executemany(
        "DELETE FROM message WHERE folder = ? AND old = ? AND state LIKE '%' || ?",
        ((folder, old, _BEFORE) for old in found),
    )
    database.executemany(
        "UPDATE message SET state = 'done', old_hash = x'', message_id = '' "
        "WHERE folder = ? AND old = ?",
        ((folder, old) for old in found),
    )


class _Lock:
    """A file beside the journal that one process has at a time."""

    def __init__(self, path: Path, place: str) -> None:
        self._path = path
        while True:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._file)
                raise MailboxError(
                    "busy", f"{place}: another run works on this mailbox: wait until it has ended"
                ) from None
            if self._is_there():
                return
            os.close(self._file)  # whoever had it before has removed it

    def release(self) -> None:
        """Once, or several times."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            return False


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    """Names the journal where SQLite or the disk fails."""
    try:
        yield
    except sqlite3.Error as error:
        raise _unavailable(path, str(error)) from None
    except PermissionError as error:
        raise _unavailable(path, error.strerror or "no permission") from None


def _unavailable(path: Path, why: str) -> MailboxError:
    text = f"the journal {path} can't be used ({why}): free its disk, or name another by --journal"
    return MailboxError("journal-unavailable", text)
