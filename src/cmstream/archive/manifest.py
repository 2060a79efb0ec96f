"""The manifest of an archive in SQLite: one row for each sealed file."""

from __future__ import annotations

import contextlib
import errno
import json
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ArchiveError
from .names import folded, is_inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from .items import Outcome

_VERSION = 1
_APPLICATION = 0x436D5361
_TABLES = """
CREATE TABLE who (id INTEGER PRIMARY KEY, recipients TEXT NOT NULL UNIQUE);
CREATE TABLE sealed (
    name TEXT PRIMARY KEY, source TEXT, kind TEXT NOT NULL, size INTEGER NOT NULL,
    mtime INTEGER NOT NULL, length INTEGER NOT NULL, digest BLOB NOT NULL, target TEXT NOT NULL,
    sealed_size INTEGER NOT NULL, sealed_digest BLOB NOT NULL, layout TEXT NOT NULL,
    who INTEGER NOT NULL REFERENCES who
) WITHOUT ROWID;
"""
_LOOKED_UP = 256
_REFUSED = {
    "disk is full": errno.ENOSPC,
    "disk I/O error": errno.ENOSPC,
    "readonly database": errno.EACCES,
    "unable to open": errno.EACCES,
}
"""What SQLite says where the file system, not the manifest, is at fault."""


class Row(NamedTuple):
    """A sealed file.

    ``name``: what it is called in the archive, ``source``: where it belongs when the archive is
    opened, both quoted. ``size`` and ``mtime``: those of the file that it was, or was a part of;
    ``length``: of what was sealed, in bytes. ``digest``: SHA-256 of that. ``target``,
    ``sealed_size``, ``sealed_digest``: the sealed file's name, bytes and SHA-256. ``who``: the
    number of its recipients."""

    name: str
    source: str | None
    kind: str
    size: int
    mtime: int
    length: int
    digest: bytes
    target: str
    sealed_size: int
    sealed_digest: bytes
    layout: str
    who: int


_TYPES: tuple[type | tuple[type, ...], ...] = (
    str, (str, type(None)), str, int, int, int, bytes, str, int, bytes, str, int
)  # fmt: skip
_COLUMNS = ", ".join(Row._fields)
_INSERT = f"INSERT OR REPLACE INTO sealed ({_COLUMNS}) VALUES ({', '.join('?' * 12)})"  # noqa: S608


def row_of(outcome: Outcome, who: int) -> Row:
    """The row of what was sealed."""
    item = outcome.item
    return Row(
        item.name, item.source or None, item.kind, *item.stamp, item.octets,
        outcome.digest, outcome.target, outcome.sealed_size, outcome.sealed_digest,
        outcome.layout, who,
    )  # fmt: skip


class Manifest:
    """All rows of an archive, in one SQLite file. A run may use it alone."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Raises ArchiveError where there is none, or it is damaged."""
        if not create and not path.exists():
            raise ArchiveError("no-archive", f"{path.parent.parent}: this is no archive")
        self._path, self._create = path, create
        # A run that was killed leaves one of its journals, which must be played back first.
        left = (path.with_name(f"{path.name}-{kind}") for kind in ("wal", "journal"))
        writable = create or any(one.exists() for one in left)
        mode = "rwc" if writable else "ro"
        with self._readable():
            uri = f"{path.absolute().as_uri()}?mode={mode}"
            self._database = sqlite3.connect(uri, uri=True, isolation_level=None)
            self._prepare()
            self._had_rows = self._count() > 0  # else nothing need be looked up

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA cache_size = -32768")
        if self._create:
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA synchronous = FULL")
        if self._create and not run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._database.executescript(
                f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; "
                f"PRAGMA application_id = {_APPLICATION}; COMMIT;"
            )
        if run("PRAGMA user_version").fetchone()[0] != _VERSION:
            raise self._damaged("it isn't of this version")

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            for words, number in _REFUSED.items():
                if words in str(error):
                    raise OSError(number, str(error), str(self._path)) from None
            raise self._damaged(str(error)) from None

    def _damaged(self, why: str) -> ArchiveError:
        return ArchiveError(
            "damaged-manifest",
            f"{self._path}: the manifest can't be read ({why}): put back a copy of it, or seal the "
            "sources into a new target",
        )

    def check(self) -> None:
        """Raises ArchiveError ``damaged-manifest`` unless all of it can be read."""
        with self._readable():
            said = self._database.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if said != "ok":
            raise self._damaged(said)

    def _count(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM sealed").fetchone()[0])

    def __len__(self) -> int:
        with self._readable():
            return self._count()

    def find(self, names: Sequence[str]) -> dict[str, Row]:
        """The rows of these names, as far as there are any."""
        if not self._had_rows:
            return {}
        found: dict[str, Row] = {}
        with self._readable():
            for start in range(0, len(names), _LOOKED_UP):
                some = names[start : start + _LOOKED_UP]
                marks = ", ".join("?" * len(some))
                query = f"SELECT {_COLUMNS} FROM sealed WHERE name IN ({marks})"  # noqa: S608
                found |= {one[0]: self._row(one) for one in self._database.execute(query, some)}
        return found

    def rows(self) -> Iterator[Row]:
        """All of them, in the order of their names."""
        query = f"SELECT {_COLUMNS} FROM sealed ORDER BY name"  # noqa: S608
        with self._readable():
            for one in self._database.execute(query):
                yield self._row(one)

    def _row(self, values: Sequence[Any]) -> Row:
        """Nothing that isn't in the archive may be read or removed for a row's sake."""
        row = Row(*values)
        if not all(map(isinstance, row, _TYPES)) or not is_inside(row.target):
            raise self._damaged(f"the entry {row.name!r} can't be right")
        return row

    def alike(self, targets: Iterable[str]) -> dict[str, list[str]]:
        """The sealed files whose names some file systems take for one of these: by what
        :func:`names.folded` makes of them."""
        wanted = {folded(one) for one in targets}
        found: dict[str, list[str]] = {}
        with self._readable():
            for (name,) in self._database.execute("SELECT target FROM sealed"):
                if (key := folded(name)) in wanted:
                    found.setdefault(key, []).append(name)
        return found

    def add(self, rows: Iterable[Row]) -> None:
        """Writes rows in one transaction, durable when it returns."""
        with self._readable():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(_INSERT, rows)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def everyone(self) -> list[tuple[int, list[str]]]:
        """The recipients by their numbers: certificates in PEM, or ``password``."""
        with self._readable():
            found = self._database.execute("SELECT id, recipients FROM who").fetchall()
        try:
            return [(number, [str(one) for one in json.loads(text)]) for number, text in found]
        except (TypeError, ValueError) as error:
            raise self._damaged(str(error)) from None

    def number_of(self, recipients: list[str]) -> int:
        """The number of these recipients; a new one where there is none."""
        text = json.dumps(sorted(recipients))
        with self._readable():
            self._database.execute("INSERT OR IGNORE INTO who (recipients) VALUES (?)", (text,))
            (number,) = self._database.execute(
                "SELECT id FROM who WHERE recipients = ?", (text,)
            ).fetchone()
        return int(number)

    def unknown(self, objects: Iterable[tuple[str, int]]) -> Iterator[str]:
        """What is there, and isn't in the manifest."""
        run = self._database.execute
        with self._readable():
            run("CREATE TEMP TABLE IF NOT EXISTS seen (target TEXT PRIMARY KEY) WITHOUT ROWID")
            run("DELETE FROM seen")
            run("BEGIN")
            self._database.executemany(
                "INSERT OR IGNORE INTO seen VALUES (?)", ((_text(name),) for name, _ in objects)
            )
            run("COMMIT")
            unknown = "SELECT target FROM seen EXCEPT SELECT target FROM sealed"
            for (name,) in run(unknown):
                yield str(name)

    def close(self) -> None:
        """Ends the use of the file, and leaves one that needs no second file beside it."""
        if self._create:
            with contextlib.suppress(sqlite3.DatabaseError):
                self._database.execute("PRAGMA journal_mode = DELETE")
        self._database.close()


def _text(name: str) -> str:
    """A name that nobody quoted, because it isn't the archive's."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
