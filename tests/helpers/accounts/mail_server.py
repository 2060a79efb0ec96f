"""A private Postfix with a pipe through ``cmstream seal`` into mailbox files: the README's lines,
and what lets an unprivileged user reach this Python."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import sysconfig
from pathlib import Path

from helpers.servers.postfix import Postfix, Way

USER = "nobody"  # pipe(8) runs nothing as root

MAIN = """\
virtual_mailbox_domains = example.org
virtual_transport = seal
seal_destination_recipient_limit = 1
"""

MASTER = """
seal unix - n n - - pipe
  flags=DRXq user={user} argv={folder}/seal-and-store ${{recipient}}
"""

SCRIPT = """\
#!/bin/sh
{environment}
export CMSTREAM_DATABASE={database}
sealed=$(mktemp) || exit 75
trap 'rm -f "$sealed"' EXIT
{cmstream} seal --for="$1" > "$sealed"
case $? in
    0) ;;
    65) exit 65 ;;
    *) exit 75 ;;
esac
cat "$sealed" >> "{folder}/mail/$1" || exit 75
"""


def reachable(path: Path) -> bool:
    """Whether everybody can read it."""
    every = [
        path.stat().st_mode & stat.S_IROTH,
        *(p.stat().st_mode & stat.S_IXOTH for p in path.parents),
    ]
    return all(every)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _brought(path: Path, target: Path) -> Path:
    """The same, or what is the same in a place that everybody can reach."""
    if reachable(path):
        return path
    ignored = shutil.ignore_patterns(
        "__pycache__", "site-packages", "test", "playwright", "matplotlib", "mypy"
    )
    shutil.copytree(path, target, ignore=ignored, copy_function=_link)
    return target


def python(folder: Path) -> tuple[str, str]:
    """How everybody runs this Python, and lines that a script needs for it."""
    program, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    within = [Path(one) for one in sys.path if Path(one).is_dir()]
    own = [one for one in within if library not in (one, *one.parents)]
    if all(map(reachable, (program, *within))):
        return sys.executable, ""
    home = folder / "python"
    shutil.copytree(
        library, home / "lib" / library.name, copy_function=_link,
        ignore=shutil.ignore_patterns("__pycache__", "site-packages", "test"),
    )  # fmt: skip
    shutil.copy(program, home / "python")
    shared = Path(sysconfig.get_config_var("LIBDIR")) / str(sysconfig.get_config_var("INSTSONAME"))
    if shared.suffix != ".a" and shared.exists():
        shutil.copy(shared, home / "lib")
    paths = [_brought(one, home / f"path{number}") for number, one in enumerate(own)]
    return f"{home}/python", (
        f"export PYTHONHOME={home} LD_LIBRARY_PATH={home}/lib\n"
        f"export PYTHONPATH={':'.join(map(str, paths))}\n"
    )


class SealingPostfix(Postfix):
    def __init__(self, folder: Path, database: str):
        program, environment = python(folder)
        values = {
            "folder": folder, "user": USER, "database": database,
            "environment": environment, "cmstream": f"{program} -m cmstream",
        }  # fmt: skip
        main = dict(line.split(" = ") for line in MAIN.splitlines())
        super().__init__(folder, Way(main, (MASTER.format(**values).strip(),)))
        (folder / "mail").mkdir()
        shutil.chown(folder / "mail", USER)
        self.script = folder / "seal-and-store"
        self.script.write_text(SCRIPT.format(**values))
        self.script.chmod(0o755)

    def mailbox(self, recipient: str) -> Path:
        return self.folder / "mail" / recipient
