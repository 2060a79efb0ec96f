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
        with _connected(url) as ask:
            lookups = Lookups(_Connection(ask))
            return [lookups.seal_for(one, appended=appended) for one in addresses]
    except (StoreUnavailable, ImportError):
        return None


class _Connection:
    """What is asked within one transaction."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def counter(self) -> int:
        return record.counter(self._ask)

    @contextmanager
    def asked(self) -> Iterator[Ask]:
        yield self._ask


@contextmanager
def _connected(url: str) -> Iterator[Ask]:
    if plain := _SQLITE.fullmatch(url):
        opened = _sqlite(plain[1])
    elif plain := _POSTGRESQL.fullmatch(url):
        opened = _postgresql(f"postgresql{plain[1]}")
    else:
        raise _unclear("an unusual URL")
    with opened as ask:
        reached = ask(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant
        if [version for (version,) in reached] != [REVISION]:
            raise _unclear("another version")
        yield ask


@contextmanager
def _sqlite(path: str) -> Iterator[Ask]:
    whole = str(Path(path).absolute())
    try:
        with closing(sqlite_file.connect(whole, "rw", wait=0)) as connection:
            connection.execute("BEGIN")
            yield lambda statement, **values: connection.execute(statement, values).fetchall()
    except sqlite3.Error as error:
        raise _unclear(str(error)) from error


@contextmanager
def _postgresql(url: str) -> Iterator[Ask]:
    import psycopg  # noqa: PLC0415 - an optional driver

    options: dict[str, Any] = dict(BOUNDS)
    try:
        with closing(psycopg.connect(url, **options)) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

            def ask(statement: str, **values: object) -> list[tuple[Any, ...]]:
                written = _PARAMETER.sub(r"%(\1)s", statement)
                return connection.execute(written.encode(), values).fetchall()

            yield ask
    except psycopg.Error as error:
        raise _unclear(str(error)) from error


def _unclear(why: str) -> StoreUnavailable:
    return StoreUnavailable("store-unavailable", why)
