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
PLACE = Path("/var/lib/cmstream/accounts.sqlite3")
"""The database of everybody, unless another is named."""


def add_database(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the database; :func:`database` reads it."""
    parser.add_argument(
        "--database",
        metavar="URL",
        help=f"the store's database, such as sqlite:///{PLACE} or postgresql://user@host/name; "
        f"default: ${VARIABLE}, else the file {PLACE}",
    )


def database(options: argparse.Namespace | SealOptions) -> str:
    """The database's URL: what the option says, else the environment, else the one default."""
    return options.database or os.environ.get(VARIABLE) or f"sqlite:///{quote(str(PLACE))}"
