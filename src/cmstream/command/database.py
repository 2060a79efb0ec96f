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
"""Root's database, unless another is named."""


def add_database(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the database; :func:`database` reads it."""
    parser.add_argument(
        "--database",
        metavar="URL",
        help=f"the store's database, such as sqlite:///{SERVER} or postgresql://user@host/name; "
        f"default: ${VARIABLE}, else the file {_place()}",
    )


def database(options: argparse.Namespace | SealOptions) -> str:
    """The database's URL: what the option says, else the environment, else root's own or the
    user's own file."""
    named = options.database or os.environ.get(VARIABLE)
    return named or f"sqlite:///{quote(str(_place()))}"


def _place() -> Path:
    if os.geteuid() == 0:
        return SERVER
    folder = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(folder) / "cmstream" / "accounts.sqlite3"
