"""Which database the commands of the store use: the option, the variable and the default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import argparse

VARIABLE = "CMSTREAM_DATABASE"
SERVER = Path("/var/lib/cmstream/accounts.sqlite3")
"""Where root's database is, unless another is named."""


def add_database(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the database; :func:`database` reads it."""
    parser.add_argument(
        "--database",
        metavar="URL",
        help=f"such as sqlite:///{SERVER} or postgresql://user@host/name; default: ${VARIABLE}, "
        f"else the file {_place()}",
    )


def database(options: argparse.Namespace) -> str:
    """The database's URL: what the option says, else the environment, else root's own or the
    user's own file."""
    named = options.database or os.environ.get(VARIABLE)
    return named or f"sqlite:///{quote(str(_place()))}"


def _place() -> Path:
    if os.geteuid() == 0:
        return SERVER
    folder = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(folder) / "cmstream" / "accounts.sqlite3"
