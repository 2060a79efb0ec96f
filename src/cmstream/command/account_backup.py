"""``cmstream account backup`` and ``restore``: the whole store in one file, and back."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from ..accounts.backup import backup, restore
from ..accounts.database import existing_file, file_of, libpq_url
from ..accounts.errors import BackupRefused, StoreUnavailable
from .database import database
from .endings import Failure
from .managing import actor, failing, make_default_folder
from .shared import open_input, say, subcommand, warn

if TYPE_CHECKING:
    import argparse

_EXAMPLES = """\
examples:
  cmstream account backup /var/backups/accounts.sqlite3
  cmstream account restore /var/backups/accounts.sqlite3

Both work while servers use the store. A plain copy of the database's file does not: the newest
changes stand in another file beside it. A backup holds hashes of passwords; its mode is 0600.

Whoever was signed in when a backup is restored must sign in again, and no sign-in link works any
more, not those in the backup either: make new ones (cmstream account link NAME). Tokens that were
revoked after the backup was made work again: revoke them (cmstream token list).

PostgreSQL has programs of its own for this, pg_dump and pg_restore; these commands print the line.

Exit codes: 64 wrong usage or PostgreSQL, 65 no backup of a store or one with accounts in the way,
66 no such database or file, or permission is denied, 73 the file is there or can't be written, or
the default database's folder can't be made, 75 try again.
"""


def add_backup(actions: Any) -> Any:
    """Adds ``backup`` to the actions of ``cmstream account``."""
    text = "copy the whole store into a file, while servers use it"
    parser = subcommand(actions, "backup [--force] FILE", text, _EXAMPLES, _backup)
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    return parser


def add_restore(actions: Any) -> Any:
    """Adds ``restore``."""
    text = "put a backup in the place of all that the store holds"
    parser = subcommand(actions, "restore [--force] FILE", text, _EXAMPLES, _restore)
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "--force", action="store_true", help="replace the accounts that the store has"
    )
    return parser


def _backup(options: argparse.Namespace) -> None:
    file: Path = options.file
    with failing():
        line = f"pg_dump --format=custom --file={quote(str(file))} 'URL'"
        source = _file(options, line)
        existing_file(database(options))
        if os.path.lexists(file) and not options.force:
            raise Failure(os.EX_CANTCREAT, f"{file} is there already: --force replaces it")
        try:
            backup(source, file)
        except OSError as error:
            text = f"can't write {file}: {error.strerror}"
            raise Failure(os.EX_CANTCREAT, text) from None
    say(f"backup of {source} in {file}")


def _restore(options: argparse.Namespace) -> None:
    file: Path = options.file
    open_input(str(file.absolute())).close()
    with failing():
        line = (
            f"pg_restore --clean --if-exists --single-transaction --dbname='URL' {quote(str(file))}"
        )
        target = _file(options, f"{line}, then start serve and the gateway again")
        make_default_folder(options)
        try:
            done = restore(file, target, by=actor(), force=options.force)
        except BackupRefused as error:
            if error.code != "not-empty":
                raise
            text = f"{error}: --force does it all the same [{error.code}]"
            raise Failure(os.EX_DATAERR, text) from None
        except StoreUnavailable as error:
            if error.code != "store-unavailable":
                raise
            away = f"if the database is damaged, move {target}* away first"
            raise Failure(os.EX_TEMPFAIL, f"{error}; {away} [{error.code}]") from None
    say(f"restored {done.accounts} accounts from {file}")
    warn("tokens that were revoked after the backup was made work again: see cmstream token list")


def _file(options: argparse.Namespace, line: str) -> Path:
    """The database's file. ``line``: what to run instead for PostgreSQL."""
    url = database(options)
    found = file_of(url)
    if found is None:
        text = f"PostgreSQL does this itself: {line.replace('URL', libpq_url(url))}"
        raise Failure(os.EX_USAGE, text)
    return found
