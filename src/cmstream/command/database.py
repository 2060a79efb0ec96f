"""Which database the subcommands of the certificate store use: the option ``--database``, the
environment, or a default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import argparse

    from .seal_options import SealOptions

VARIABLE = "CMSTREAM_DATABASE"
SERVER = Path("/var/lib/cmstream/accounts.sqlite3")
"""The database of root and of the gateway's user, unless another is named."""


def add_database(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the database; :func:`database` reads it."""
    parser.add_argument(
        "--database",
        metavar="URL",
        help=f"the store's database, such as sqlite:///{SERVER} or postgresql://user@host/name; "
        f"default: ${VARIABLE}, else the file {_place()}",
    )


def database(options: argparse.Namespace | SealOptions) -> str:
    """The database's URL: what the option says, else the environment, else the server's file
    or the user's own."""
    named = options.database or os.environ.get(VARIABLE)
    return named or f"sqlite:///{quote(str(_place()))}"


def _place() -> Path:
    """The server's for root and whoever may write to its folder, such as the gateway's user."""
    if os.geteuid() == 0 or os.access(SERVER.parent, os.W_OK):
        return SERVER
    folder = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(folder) / "cmstream" / "accounts.sqlite3"
