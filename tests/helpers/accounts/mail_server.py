"""A private Postfix on a port of the loopback, with a pipe through ``cmstream seal`` into mailbox
files: the README's lines, and what lets an unprivileged user reach this Python."""

from __future__ import annotations

import json
import os
import shutil
import smtplib
import socket
import stat
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

USER = "nobody"  # pipe(8) runs nothing as root

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.net
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
virtual_mailbox_domains = example.org
virtual_transport = seal
seal_destination_recipient_limit = 1
"""

MASTER = """\
{address}:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
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


class Postfix:
    """Started at once; its owner must be root, as Postfix's own ``master`` must."""

    def __init__(self, folder: Path, database: str):
        self.folder, self.address, self.port = folder, own_address(), 2525
        folder.chmod(0o755)
        program, environment = python(folder)
        values = {
            "address": self.address, "port": self.port,
            "folder": folder, "user": USER, "database": database,
            "environment": environment, "cmstream": f"{program} -m cmstream",
        }  # fmt: skip
        for name in ("etc", "queue", "data", "mail"):
            (folder / name).mkdir()
        shutil.chown(folder / "data", "postfix")
        shutil.chown(folder / "mail", USER)
        for name, text in (("etc/main.cf", MAIN), ("etc/master.cf", MASTER)):
            (folder / name).write_text(text.format(**values))
        self.script = folder / "seal-and-store"
        self.script.write_text(SCRIPT.format(**values))
        self.script.chmod(0o755)
        self._run("postfix", "start")
        wait(self._answers, 60, self.log)

    def _run(self, name: str, *words: str) -> str:
        done = subprocess.run(
            [name, "-c", f"{self.folder}/etc", *words],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + self.log()
        return done.stdout

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def stop(self) -> None:
        self._run("postfix", "stop")

    def log(self) -> str:
        log = self.folder / "log"
        return log.read_text() if log.exists() else "no log"

    def send(self, recipient: str, message: bytes) -> None:
        with smtplib.SMTP(self.address, self.port, timeout=60) as client:
            client.sendmail("bob@example.net", [recipient], message)

    def statuses(self, recipient: str) -> list[str]:
        """What became of the tries to deliver, by the log."""
        lines = self.log().splitlines()
        return [line for line in lines if f"to=<{recipient}>" in line and "status=" in line]

    def status(self, recipient: str, number: int = 1) -> str:
        """The next one, waited for."""
        wait(lambda: len(self.statuses(recipient)) >= number, 60, self.log)
        return self.statuses(recipient)[number - 1]

    def queued(self) -> list[dict]:
        return [json.loads(line) for line in self._run("postqueue", "-j").splitlines()]

    def flush(self) -> None:
        self._run("postqueue", "-f")

    def mailbox(self, recipient: str) -> Path:
        return self.folder / "mail" / recipient


def own_address() -> str:
    """One of the loopback's for this process alone, where no port is taken."""
    high, low = divmod(os.getpid() % (1 << 16), 256)
    return f"127.77.{high}.{low}"


def wait(condition, seconds: float, tell) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, tell()
        time.sleep(0.05)
