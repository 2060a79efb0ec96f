"""Configuration from templates, and systemd's units: how this program is started, and how a word of
a command stands in them."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

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


def database(url: str) -> tuple[str, str, Path | None]:
    """The URL for the command line, or, where it has a password, without it for a file that only
    root reads; and the folder that is written to."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        path = Path(address.database or "").absolute()
        return str(address.set(database=str(path))), "", path.parent
    if address.password is None:
        return url, "", None
    return "", str(address), None


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
