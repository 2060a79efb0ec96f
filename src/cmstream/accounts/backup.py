"""Copies a database that is a file out and back in, while other processes use it.

Both ways are SQLite's own (sqlite3_backup_init). A plain copy of the file misses what still stands
in the write-ahead log beside it, and who has a file open doesn't see one that is put in its place.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from sqlalchemy import delete, func, select, update

from ..sync import sync_folder
from . import audit, sqlite_file, tables
from .database import create_database, open_database
from .errors import BackupRefused, StoreUnavailable
from .limits import WAIT
from .revision import KNOWN, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from .account import Actor

_AHEAD = 1000
"""So many transactions may be counted between two statements of a restore: what others keep in
memory then still isn't taken for what the restored store holds."""


_BESIDE = "wal", "shm", "journal"
"""How the names of SQLite's own files beside a database end."""


class Restored(NamedTuple):
    """``accounts``: how many there are now; ``before``: how many there were."""

    accounts: int
    before: int


def backup(path: Path, target: Path) -> None:
    """A copy of the database as it is now, in one file of mode 0600 that appears when it is whole.
    A file that is there is replaced. Raises StoreUnavailable, BackupRefused, OSError."""
    _require_other(path, target)
    target = Path(os.path.realpath(target))
    number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        _copy(path, Path(name))
        _check(Path(name), called=path)
        os.fsync(number)
        Path(name).replace(target)
        sync_folder(target.parent)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    finally:
        os.close(number)


def restore(file: Path, path: Path, *, by: Actor, force: bool = False) -> Restored:
    """Put a backup in the place of everything that the database holds, in one transaction; a
    database that isn't there is made, an older backup is upgraded. Who was signed in must sign in
    again, and links work no more. ``force``: also where the store has accounts.

    Raises BackupRefused, StoreUnavailable, OSError.
    """
    _require_other(path, file)
    _check(file, called=file)
    live = f"sqlite:///{path}"
    before, counter = _held(live)
    if not force:
        _require_none(before)
    with tempfile.TemporaryDirectory(prefix="cmstream-") as folder:
        copy = Path(folder) / "accounts.sqlite3"
        _copy(file, copy)
        accounts = _prepare(f"sqlite:///{copy}", counter + _AHEAD, by)
        _copy(copy, path, empty=not force)
    return Restored(accounts, before)


# --- what a backup is --------------------------------------------------------------------------


def _require_other(path: Path, file: Path) -> None:
    found = sqlite_file.identity(str(file))
    if found is not None and found == sqlite_file.identity(str(path)):
        raise BackupRefused("same-file", f"{file} is the database itself: name another file")
    if os.path.realpath(file) in {f"{os.path.realpath(path)}-{part}" for part in _BESIDE}:
        raise BackupRefused("same-file", f"{file} is a part of the database: name another file")


def _check(file: Path, *, called: Path) -> None:
    """Refuses what isn't a whole store of this program."""
    try:
        with closing(_opened(file, "ro")) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
            reached = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall()  # noqa: S608 - a constant
    except sqlite3.Error as error:
        message = f"{called} holds no store of cmstream: {error}"
        raise BackupRefused("not-a-backup", message) from error
    if found != "ok" or broken or len(reached) != 1:
        raise BackupRefused("not-a-backup", f"{called} is damaged")
    if reached[0][0] not in KNOWN:
        message = f"{called} belongs to a newer cmstream: upgrade this one"
        raise BackupRefused("newer-database", message)


def _opened(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(file.absolute()))}?mode={mode}", uri=True, timeout=WAIT
    )


def _require_none(accounts: int) -> None:
    if accounts:
        message = f"the store has {accounts} accounts, which this would replace"
        raise BackupRefused("not-empty", message)


# --- the store as it was, made ready -------------------------------------------------------------


def _held(url: str) -> tuple[int, int]:
    """How many accounts there are, and how many counted transactions there were."""
    with closing(create_database(url)) as database:
        with database.read() as connection:
            accounts = _accounts(connection)
        return accounts, database.counter()


def _prepare(url: str, counter: int, by: Actor) -> int:
    """The copy becomes what the store is from now on. Gives the number of its accounts."""
    create_database(url).close()
    with closing(open_database(url)) as database, database.write() as connection:
        newest = connection.execute(select(func.max(tables.audit.c.at))).scalar()
        connection.execute(delete(tables.sessions))
        connection.execute(delete(tables.links))
        as_of = newest and newest.isoformat(timespec="seconds")
        audit.record(connection, by, "restore-backup", last_change=as_of)
        least = func.max(tables.changes.c.counter, counter)
        connection.execute(update(tables.changes).values(counter=least))
        return _accounts(connection)


def _accounts(connection: Connection) -> int:
    query = select(func.count()).select_from(tables.accounts)
    return int(connection.execute(query).scalar_one())


# --- copying -------------------------------------------------------------------------------------


_HELD = (5, 6)
"""SQLITE_BUSY and SQLITE_LOCKED: SQLite would wait without end."""


def _copy(source: Path, target: Path, *, empty: bool = False) -> None:
    """All pages at once: readers see the one state or the other. A target that has a write-ahead
    log keeps it, and any other is one file alone. ``empty``: the target is a store without
    accounts. Raises StoreUnavailable, BackupRefused."""
    end = time.monotonic() + WAIT

    def wait(status: int, remaining: int, total: int) -> None:
        del remaining, total
        if status in _HELD and time.monotonic() > end:
            raise sqlite3.OperationalError("another process holds it")

    try:
        with closing(_opened(source, "rw")) as old, closing(_opened(target, "rwc")) as new:
            logged = new.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            if empty:
                _require_none(_accounts_at_last(new))
            old.backup(new, progress=wait)
            if not logged:
                new.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        message = f"{source} can't be copied to {target} now ({error}): try again"
        raise StoreUnavailable("store-unavailable", message) from error


def _accounts_at_last(connection: sqlite3.Connection) -> int:
    """How many there are when everybody who is writing has finished. SQLite takes its own lock for
    the copy and would wait for this one, so this ends just before."""
    connection.execute("BEGIN IMMEDIATE")
    (accounts,) = connection.execute("SELECT count(*) FROM accounts").fetchone()
    connection.rollback()
    return int(accounts)
