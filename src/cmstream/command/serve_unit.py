"""``cmstream serve --print systemd``: the unit that starts the same server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..gateway import units
from .database import database
from .endings import Failure

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("systemd",)
_PRIVILEGED = 1024
"""A lower port needs a right of its own."""


def printed(options: argparse.Namespace, *, usual: tuple[str, int], grace: int) -> str:
    """Shell commands that write the unit. ``usual``: the host and the port by default; ``grace``:
    seconds that the server takes to end. Raises StoreUnavailable ``unsupported-database``, and
    Failure where the server wouldn't start."""
    store = units.database(database(options), options.group or "")
    if options.group:
        require_file(store.file)
    program = units.program()
    words = [*_words(options, usual), *([f"--database={store.url}"] if store.url else [])]
    return units.rendered(
        "systemd_serve.sh",
        program=program[0],
        lines=[" ".join(map(units.word, [*program, "serve"])), *map(units.word, words)],
        home=program[0].startswith(("/home/", "/root/")),
        store=store,
        notify=bool(options.notify),
        writes=[units.word(str(one)) for one in store.writes],
        rights="CAP_NET_BIND_SERVICE" if 0 < options.port < _PRIVILEGED else "",
        seconds=grace + 15,
    )


def require_file(file: Path | None) -> Path:
    """The file that a group is to use. Raises Failure where the database is none."""
    if file is None:
        raise Failure(os.EX_USAGE, "--group: only a database that is a file belongs to a group")
    return file


def _words(options: argparse.Namespace, usual: tuple[str, int]) -> Iterator[str]:
    """The options that aren't as they would be without them."""
    if options.host != usual[0]:
        yield f"--host={options.host}"
    if options.port != usual[1]:
        yield f"--port={options.port}"
    if options.workers != 1:
        yield f"--workers={options.workers}"
    for name in ("public_url", "trusted_proxies", "notify", "group"):
        if value := getattr(options, name):
            yield f"--{name.replace('_', '-')}={value}"
