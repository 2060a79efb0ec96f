"""Programs that have paths of the system built in see a folder of a test at those paths: each runs
in a mount namespace of its own, which only root can make."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from helpers.peers.program import missing, need, run

BIND = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 9; shift 2; done; shift; exec "$@"'


def need_namespaces() -> None:
    """Skips the test where there are none."""
    need("unshare")
    if os.geteuid() != 0 or run("unshare", "--mount", "true").returncode != 0:
        missing("what lets a program see other files, a mount namespace,")


def within(folder, names: dict[str, str], command) -> list[str]:
    """A command that sees files and folders of a folder, by name, at paths that exist already."""
    binds = [word for name, path in names.items() for word in (str(folder / name), path)]
    private = ["unshare", "--mount", "--propagation", "private"]
    return [*private, "sh", "-c", BIND, "sh", *binds, "--", *map(str, command)]


def users(folder, names: dict[str, int]) -> None:
    """Copies of the lists of users and groups, with more of them."""
    for kind, line in (
        ("passwd", "{0}:x:{1}:{1}::/:/usr/sbin/nologin\n"),
        ("group", "{0}:x:{1}:\n"),
    ):
        text = Path("/etc", kind).read_text()
        more = (line.format(*one) for one in names.items() if f"\n{one[0]}:" not in text)
        (folder / kind).write_text(text + "".join(more))


def unpacked(name: str) -> Path:
    """Where ``.ci/mail_servers`` has put one of its servers."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cmstream"
    found = sorted(cache.glob(f"{name}*"))
    if not found:
        missing(f"{name}, which .ci/mail_servers fetches,")
    return found[-1]


def program(path: Path, folder: Path) -> Path:
    """A copy of a program where all users reach it; what it loads must be there."""
    need("ldd")
    if b"not found" in run("ldd", path).stdout:
        missing(f"a library of {path.name}")
    target = folder / path.name
    if not target.exists():
        shutil.copy2(path, target)
    return target
