"""Opens the database, SQLite or PostgreSQL, and begins all transactions."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, create_engine, event, inspect, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, SQLAlchemyError

from . import permission, record, sqlite_file
from .errors import StoreUnavailable
from .limits import BOUNDS, WAIT
from .revision import REVISION, VERSION_TABLE
from .tables import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from .record import Ask


_CREATE = "run 'cmstream serve' or 'cmstream account list' on it once, which create and upgrade"
_ADVISORY_LOCK = 0x636D_7374


class Database:
    """A database that has reached this program's migration: give it by :func:`open_database`.

    Safe under several threads and processes. Whatever goes wrong with the database inside
    :meth:`read` and :meth:`write` becomes :class:`StoreUnavailable`.
    """

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self.place = place
        """The URL without its password, for people to read."""
        self._closed = False

    @property
    def file(self) -> Path | None:
        """The file of SQLite that it is, None on PostgreSQL."""
        url = self._engine.url
        return Path(url.database or "") if url.drivername == "sqlite" else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot: everything read in it belongs together."""
        with self._transaction(**_SNAPSHOT[self._engine.name]) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at its end; there is one writer at a time."""
        with self._transaction(writes=True) as connection:
            connection.execute(_HOLD)
            yield connection

    @contextmanager
    def joined(self) -> Iterator[Database]:
        """The same database, whose reads and writes are all one transaction, committed at the end
        or not at all. Each write is undone alone if it fails. It belongs to one thread."""
        with self.write() as connection:
            yield _Joined(self._engine, self.place, connection)

    def count(self, connection: Connection) -> None:
        """A transaction changes what a lookup answers: other processes must look again."""
        connection.execute(_COUNT)

    @contextmanager
    def asked(self) -> Iterator[Ask]:
        """The same snapshot for statements in SQL, as a lookup has them."""
        with self.read() as connection:
            yield lambda statement, **values: connection.execute(_text(statement), values).all()

    def edition(self) -> object:
        """Which file it is now, on SQLite."""
        return None if self.file is None else sqlite_file.identity(str(self.file))

    def counter(self) -> int:
        """How many counted transactions there have been."""
        with self.asked() as ask:
            return record.counter(ask)

    def close(self) -> None:
        """Give all connections back; every use after that raises StoreUnavailable."""
        self._closed = True
        self._engine.dispose()

    @contextmanager
    def _transaction(self, **options: Any) -> Iterator[Connection]:
        if self._closed:
            raise StoreUnavailable("store-unavailable", "the store has been closed: open it again")
        with _unavailable(self._engine.url), self._engine.connect() as connection:
            connection = connection.execution_options(**options)  # noqa: PLW2901 - the same one
            with connection.begin():
                yield connection


class _Joined(Database):
    """A database inside one transaction; what it reads and writes is a part of that."""

    def __init__(self, engine: Engine, place: str, connection: Connection) -> None:
        super().__init__(engine, place)
        self._connection = connection

    @contextmanager
    def _transaction(self, **options: Any) -> Iterator[Connection]:
        del options
        with _unavailable(self._engine.url), self._connection.begin_nested():
            yield self._connection


# What a transaction of SQLite reads is a snapshot by nature.
_SNAPSHOT: dict[str, dict[str, Any]] = {
    "sqlite": {},
    "postgresql": {"isolation_level": "REPEATABLE READ"},
}
_COUNTER = select(changes.c.counter).where(changes.c.id == 1)
_COUNT = update(changes).where(changes.c.id == 1).values(counter=changes.c.counter + 1)
# PostgreSQL has many writers; this row makes them one at a time, as SQLite has it anyway.
_HOLD = _COUNTER.with_for_update()


_text = cache(text)  # as an object, a statement is compiled once


@contextmanager
def _unavailable(address: URL) -> Iterator[None]:
    """Turns what SQLAlchemy raises into StoreUnavailable. Why stands in the file system where
    permission is denied, else in the driver's first line."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        _require_permission(address)
        cause = error.orig if isinstance(error, DBAPIError) else error
        why = str(cause).strip().partition("\n")[0] or type(error).__name__
        state = getattr(cause, "sqlstate", "")  # PostgreSQL's; None where it never connected
        if state == _INSUFFICIENT_PRIVILEGE:
            message = f"the store at {_place(address)} can't be used: {why}: {_GRANT}"
            raise StoreUnavailable("permission-denied", message) from error
        remedy = "check the URL, or try again" if state is None else "try again"
        if why == "file is not a database":  # SQLite's words, which no other try changes
            remedy = "check the path, or restore a backup"
        message = f"the store at {_place(address)} can't be used now ({why}): {remedy}"
        raise StoreUnavailable("store-unavailable", message) from error


_INSUFFICIENT_PRIVILEGE = "42501"
_GRANT = "name the database's owner in the URL, or grant this user the tables"


def _require_permission(address: URL) -> None:
    """SQLite itself says no more than that it can't open the file, or that it isn't there."""
    if address.drivername == "sqlite":
        path = Path(address.database or "")
        _refuse_denied(path, permission.database_barrier(path))


def _refuse_denied(path: Path, why: str) -> None:
    if why:
        message = f"the database {path} can't be used: {why}: {permission.remedy(path)}"
        raise StoreUnavailable("permission-denied", message)


def open_database(url: str) -> Database:
    """The database at a URL; it is never created or changed.

    Raises StoreUnavailable: ``no-database`` or ``not-migrated`` if it isn't there or older than
    this program, ``permission-denied``, ``newer-database``, ``unsupported-database``,
    ``store-unavailable``.
    """
    address = _address(url)
    existing_file(url)
    database = Database(_engine(address), _place(address))
    try:
        with database.read() as connection:
            reached = _revision(connection)
        _require(reached, database.place)
    except BaseException:
        database.close()
        raise
    return database


def file_of(url: str) -> Path | None:
    """The file of SQLite that a URL names, whether it is there or not; None on PostgreSQL. Raises
    StoreUnavailable ``unsupported-database``."""
    address = _address(url)
    return Path(address.database or "") if address.drivername == "sqlite" else None


def existing_file(url: str) -> Path | None:
    """The same for a file that is there. Raises StoreUnavailable ``no-database``,
    ``permission-denied``, ``unsupported-database``."""
    path = file_of(url)
    if path is not None and not sqlite_file.is_there(path):
        _refuse_denied(path, permission.barrier(path, os.R_OK))
        message = f"there is no database at {path}: check the path, or {_CREATE} it"
        raise StoreUnavailable("no-database", message)
    return path


def libpq_url(url: str) -> str:
    """The URL for PostgreSQL's own programs, without a password."""
    address = _address(url)
    query = {name: value for name, value in address.query.items() if name != "password"}
    plain = URL.create(
        "postgresql", address.username, None, address.host, address.port, address.database, query
    )
    return plain.render_as_string()


def create_database(url: str) -> Database:
    """The database at a URL, created if it isn't there and upgraded if it is old. On PostgreSQL
    the empty database must exist. Several processes may do so at once. Raises StoreUnavailable."""
    address = _address(url)
    engine = _engine(address, create=True)
    try:
        with _unavailable(address):
            if engine.name == "sqlite":
                _create_file(address, engine)
            writing = engine.execution_options(writes=True)
            with writing.begin() as connection:
                _upgrade(connection, _place(address))
    finally:
        engine.dispose()
    return open_database(url)


def _place(address: URL) -> str:
    """Where the database is, without what may be a password."""
    return address.set(query={}).render_as_string()


def _require(reached: str | None, place: str) -> None:
    if reached is not None and reached > REVISION:
        message = f"the database at {place} belongs to a newer cmstream: upgrade this one"
        raise StoreUnavailable("newer-database", message)
    if reached != REVISION:
        what = "isn't a store of accounts yet" if reached is None else "is an older one"
        message = f"the database at {place} {what}: check the URL, or {_CREATE} it"
        raise StoreUnavailable("not-migrated", message)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    query = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant
    reached = connection.execute(query).scalar_one_or_none()
    return None if reached is None else str(reached)


def _upgrade(connection: Connection, place: str) -> None:
    """The migrations still to come, all in the connection's one transaction."""
    from alembic import command  # noqa: PLC0415 - slow to import, and a gateway never needs it
    from alembic.config import Config  # noqa: PLC0415

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    reached = _revision(connection)
    if reached is not None and reached >= REVISION:
        _require(reached, place)
        return
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


# --- engines ---------------------------------------------------------------------------------


def _address(url: str) -> URL:
    """The URL, with the driver that is used and an absolute path."""
    try:
        address = make_url(url)
    except (ArgumentError, ValueError) as error:
        message = "that isn't a database's URL: try sqlite:////var/lib/cmstream/accounts.sqlite3"
        raise StoreUnavailable("unsupported-database", message) from error
    kind = address.get_backend_name()
    if kind == "sqlite" and address.database and address.database != ":memory:":
        path = str(Path(address.database).absolute())
        return address.set(drivername="sqlite", database=path, query={})
    if kind == "postgresql":
        return address.set(drivername="postgresql+psycopg")
    message = f"{kind} isn't supported: use a file of SQLite (sqlite:////path) or PostgreSQL"
    raise StoreUnavailable("unsupported-database", message)


def _engine(address: URL, *, create: bool = False) -> Engine:
    if address.drivername == "sqlite":
        return _sqlite(address, create=create)
    try:
        return create_engine(address, pool_pre_ping=True, pool_timeout=WAIT, connect_args=BOUNDS)
    except ModuleNotFoundError as error:
        message = "PostgreSQL needs its driver: pip install 'cmstream[postgresql]'"
        raise StoreUnavailable("unsupported-database", message) from error


def _sqlite(address: URL, *, create: bool) -> Engine:
    path = address.database or ""
    connect = partial(sqlite_file.connect, path, "rwc" if create else "rw", wait=WAIT)
    engine = create_engine(address, creator=connect, pool_timeout=WAIT)

    @event.listens_for(engine, "connect")
    def remember(connection: sqlite3.Connection, record: Any) -> None:
        del connection
        record.info["file"] = sqlite_file.identity(path)

    @event.listens_for(engine, "checkout")
    def compare(connection: sqlite3.Connection, record: Any, proxy: Any) -> None:
        """A file that was removed or replaced goes on to answer whoever has it open."""
        del connection, proxy
        if record.info["file"] != sqlite_file.identity(path):
            raise DisconnectionError

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _create_file(address: URL, engine: Engine) -> None:
    """A file that isn't there is made; SQLite gives the files beside it the same owner and mode."""
    path = Path(address.database or "")
    try:
        sqlite_file.create(path)
    except OSError as error:
        if isinstance(error, PermissionError):
            _require_permission(address)
        message = f"the database {path} can't be created ({error.strerror})"
        raise StoreUnavailable("no-database", message) from error
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        (mode,) = driver.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            message = f"the file system of {path} can't keep SQLite's write-ahead log: use another"
            raise StoreUnavailable("unsupported-database", message)
