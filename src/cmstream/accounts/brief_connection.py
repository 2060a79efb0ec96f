"""A database for one lookup of a process that ends then: the driver alone, without SQLAlchemy.

It answers where all is as it should be. Wherever it isn't, or the URL isn't a plain one, the store
itself must be asked (:func:`cmstream.accounts.open_store`), which waits, and knows what to say.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import record, sqlite_file
from .errors import StoreUnavailable
from .limits import BOUNDS
from .lookup import Lookups
from .revision import REVISION, VERSION_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .lookup import Seal
    from .record import Ask

_SQLITE = re.compile(r"sqlite:///(?!:memory:)([^?#%]+)")
_POSTGRESQL = re.compile(
    r"postgresql(?:\+psycopg)?(://(?:[\w.~-]+(?::[\w.~-]*)?@)?[\w.-]*(?::\d+)?/[\w-]+"
    r"(?:\?host=[\w./-]+)?)",
    re.ASCII,
)
_PARAMETER = re.compile(r":(\w+)")


def seals(url: str, addresses: Iterable[str], *, appended: bool) -> list[Seal] | None:
    """What :meth:`cmstream.accounts.Store.seal_for` answers for each address. None where the store
    must be asked. Raises UnusableAccount, Invalid ``invalid-address``."""
    try:
        with _connected(url) as connection:
            lookups = Lookups(connection)
            return [lookups.seal_for(one, appended=appended) for one in addresses]
    except (StoreUnavailable, ImportError):
        return None


class _Connection:
    """Runs statements, each snapshot begun by ``begin``."""

    def __init__(self, ask: Ask, begin: str) -> None:
        self._ask, self._begin = ask, begin

    def edition(self) -> None:
        """It stays open."""

    def counter(self) -> int:
        with self.asked() as ask:
            return record.counter(ask)

    @contextmanager
    def asked(self) -> Iterator[Ask]:
        self._ask(self._begin)
        yield self._ask
        self._ask("COMMIT")


@contextmanager
def _connected(url: str) -> Iterator[_Connection]:
    if plain := _SQLITE.fullmatch(url):
        opened = _sqlite(plain[1])
    elif plain := _POSTGRESQL.fullmatch(url):
        opened = _postgresql(f"postgresql{plain[1]}")
    else:
        raise _unclear("an unusual URL")
    with opened as connection:
        with connection.asked() as ask:
            reached = ask(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant
        if [version for (version,) in reached] != [REVISION]:
            raise _unclear("another version")
        yield connection


@contextmanager
def _sqlite(path: str) -> Iterator[_Connection]:
    whole = str(Path(path).absolute())
    try:
        with closing(sqlite_file.connect(whole, "rw", wait=0)) as connection:

            def ask(statement: str, **values: object) -> list[tuple[Any, ...]]:
                return connection.execute(statement, values).fetchall()

            yield _Connection(ask, "BEGIN")
    except sqlite3.Error as error:
        raise _unclear(str(error)) from error


@contextmanager
def _postgresql(url: str) -> Iterator[_Connection]:
    import psycopg  # noqa: PLC0415 - an optional driver

    options: dict[str, Any] = dict(BOUNDS)
    try:
        with closing(psycopg.connect(url, autocommit=True, **options)) as connection:

            def ask(statement: str, **values: object) -> list[tuple[Any, ...]]:
                written = _PARAMETER.sub(r"%(\1)s", statement)
                found = connection.execute(written.encode(), values)
                return found.fetchall() if found.description else []

            yield _Connection(ask, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    except psycopg.Error as error:
        raise _unclear(str(error)) from error


def _unclear(why: str) -> StoreUnavailable:
    return StoreUnavailable("store-unavailable", why)
