"""Configuration from templates, and systemd's units: how this program is started, and how a word of
a command stands in them."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from ..accounts.permission import folder_group

STATE = Path("/var/lib/cmstream")
"""The folder that systemd makes for the units."""
_TEMPLATES = Path(__file__).parent / "templates"


def rendered(template: str, **values: Any) -> str:
    """A template of this package with its values."""
    import jinja2  # noqa: PLC0415 - no server needs it

    rooms = jinja2.Environment(  # noqa: S701 - no HTML
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rooms.filters["shell"] = shlex.quote
    return rooms.get_template(template).render(values)


@dataclass(frozen=True)
class Database:
    """The store's database as a unit has it. ``url``: for the command line; ``secret``: in place of
    that, where it has a password, without it for a file that only root reads. ``file``: of SQLite.
    ``group``: that may use it too, or nothing."""

    url: str
    secret: str = ""
    file: Path | None = None
    group: str = ""

    @property
    def usual(self) -> bool:
        """Whether it is in the folder that systemd makes and gives to the user."""
        return self.file is not None and self.file.parent == STATE

    @property
    def home(self) -> str:
        """The home folder of the user."""
        return str(self.file.parent) if self.file else "/nonexistent"

    @property
    def writes(self) -> set[Path]:
        """The folder that must be named in the unit, since it is written to."""
        return set() if self.usual or not self.file else {self.file.parent}

    @property
    def owner(self) -> str:
        """The group that the unit runs as."""
        return self.group or "cmstream"

    @property
    def mode(self) -> str:
        """Of the folder."""
        return "2770" if self.group else "0700"

    @property
    def umask(self) -> str:
        """For the files."""
        return "0007" if self.group else "0077"


def database(url: str, group: str = "") -> Database:
    """The database of a URL. ``group``: that is to use it; otherwise the one whose folder it is
    in, since systemd sets the folder's group and mode at each start."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        path = Path(address.database or "").absolute()
        named = str(address.set(database=str(path)))
        return Database(named, file=path, group=group or folder_group(path.parent))
    return Database(url) if address.password is None else Database("", secret=str(address))


def program() -> list[str]:
    """How this program is started."""
    own = Path(sys.argv[0])
    if own.name == "cmstream" and (found := shutil.which(str(own))):
        return [str(Path(found).absolute())]
    return [sys.executable, "-m", "cmstream"]


def word(text: str) -> str:
    """A word of a unit file (systemd.service(5), "Command lines")."""
    safe = text.replace("%", "%%").replace("$", "$$")
    if not any(one in safe for one in " \t\"'\\;"):
        return safe
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'
