"""What the subcommands account, token and serve share: the store, who acts, exit codes, JSON."""

from __future__ import annotations

import getpass
import json
import os
import shlex
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..accounts import create_store, open_store
from ..accounts.account import Actor
from ..accounts.errors import AccessDenied, NotFound, StoreUnavailable
from ..accounts.permission import user
from ..errors import CmstreamError
from ..sync import make_folder
from .database import VARIABLE, database
from .endings import Failure

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from datetime import datetime

    from ..accounts.store import Store

_STORE_CODES = {
    "unsupported-database": os.EX_USAGE,
    "no-database": os.EX_NOINPUT,
    "not-migrated": os.EX_NOINPUT,
    "permission-denied": os.EX_NOINPUT,
}


@contextmanager
def opened(options: argparse.Namespace, *, create: bool = False) -> Iterator[Store]:
    """The store that the options name. ``create``: also where there is none yet, or an old one.
    ``$CMSTREAM_NOTIFY`` is the command that mails owners what is changed.

    What the store refuses ends the command with a code of sysexits(3): 64 no such kind of database,
    65 a value that can't be used, 66 no such database, 67 no such account, person or token, 75 the
    database can't be used now, 77 not allowed.
    """
    url = database(options)
    with failing():
        if create:
            make_default_folder(options)
        notify = shlex.split(os.environ.get("CMSTREAM_NOTIFY", ""))
        with (create_store if create else open_store)(url, notify=notify) as store:
            yield store


@contextmanager
def failing() -> Iterator[None]:
    """Turns errors of the store into endings of the command."""
    try:
        yield
    except CmstreamError as error:
        raise Failure(code_of(error), f"{error} [{error.code}]") from None


def code_of(error: CmstreamError) -> int:
    """The exit code for an error."""
    if isinstance(error, StoreUnavailable):
        return _STORE_CODES.get(error.code, os.EX_TEMPFAIL)
    if isinstance(error, NotFound):
        return os.EX_NOUSER
    return os.EX_NOPERM if isinstance(error, AccessDenied) else os.EX_DATAERR


def make_default_folder(options: argparse.Namespace) -> None:
    """Creates the default database's folder. A folder that was named must exist: a mistyped path
    must not make a new database."""
    if options.database or os.environ.get(VARIABLE):
        return
    folder = Path(unquote(urlsplit(database(options)).path[1:])).parent
    try:
        make_folder(folder)
    except OSError as error:
        text = (
            f"can't create {folder} as {user()}: {error.strerror}: run this as root, or name a "
            f"database of your own with --database or ${VARIABLE}"
        )
        raise Failure(os.EX_CANTCREAT, text) from None


def actor() -> Actor:
    """Whoever runs the command, for the audit log."""
    name = os.environ.get("SUDO_USER")
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            name = str(os.geteuid())
    return Actor(f"{name} (command)", "administrator")


def as_json(value: Any) -> str:
    """JSON, with times in ISO 8601."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_moment)


def _moment(value: datetime) -> str:
    return value.isoformat(timespec="seconds")
