"""The servers that the gateway is measured among: real ones, each a private instance that the tests
know how to start, and the gateway itself."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cmstream
from cmstream.accounts import Actor, create_store
from engines import Absent
from samples import CERTIFICATE

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from helpers.servers.dovecot import Dovecot
from helpers.servers.place import Place, free, wait
from helpers.servers.postfix import Postfix, Way, lmtp, milter
from helpers.servers.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines import Lab

SEALED, LEFT = "alice@example.org", "bob@example.org"
"""An account whose mail is sealed, and one whose mail is left as it is."""
HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("cmstream")
NOBODY = "nobody"

SEAL_AND_STORE = """\
#!/bin/sh
export CMSTREAM_DATABASE={database}
{socket}
sealed=$(mktemp) || exit 75
trap 'rm -f "$sealed"' EXIT
{command} seal --for="$1" > "$sealed"
case $? in
    0) ;;
    65) exit 65 ;;
    *) exit 75 ;;
esac
/usr/lib/dovecot/dovecot-lda -c {dovecot} -e -d "$1" < "$sealed"
"""
"""The script of src/cmstream/accounts/README.md."""


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """What is started inside runs on these processors alone, as if by taskset."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compiled() -> None:
    """Python's compiled files stand beside those of the package, as where it is installed: the user
    of Postfix's pipe can't make them."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(Path(cmstream.__file__).parent, quiet=1)


def accounts(folder: Path) -> str:
    """Makes a certificate store with both accounts, which the user of Postfix's pipe may use, too;
    gives its URL."""
    url, by = f"sqlite:///{folder}/accounts.sqlite3", Actor("bench", "administrator")
    with create_store(url) as store:
        for address in (SEALED, LEFT):
            store.add_account(address, by=by)
        store.import_certificates(SEALED, CERTIFICATE.read_bytes(), by=by, confirm_mismatch=True)
        store.change_account(SEALED, cipher="aes256-cbc", by=by)
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, NOBODY)
    return url


class Sink(Server):
    """smtp-sink: takes everything and keeps nothing."""

    def __init__(self, folder: Path, *, lmtp: bool = True) -> None:
        super().__init__(folder)
        self._words = ["-L"] if lmtp else []

    def command(self) -> list[str]:
        return ["smtp-sink", "-u", NOBODY, *self._words, str(self.place), "100"]


class Gateway(Server):
    """Takes mail by LMTP, gives it on by LMTP, is a milter, and answers ``cmstream seal``."""

    def __init__(self, folder: Path, database: str, next_hop: Place) -> None:
        super().__init__(folder)
        self.milter, self.socket = free(), folder / "seal"
        places = f"lmtp:{self.place}", f"milter:{self.milter}", f"seal:unix:{self.socket}"
        self._words = [word for place in places for word in ("--listen", place)]
        self._words += ["--next", f"lmtp:{next_hop}", "--database", database]

    def command(self) -> list[str]:
        return [str(COMMAND), "gateway", *self._words]

    def start(self) -> None:
        super().start()
        wait(self.socket.exists)
        self.socket.chmod(0o666)  # for the user of Postfix's pipe


class Proxy(Server):
    """The proxy on aiosmtpd."""

    def __init__(self, folder: Path, database: str, next_hop: Place) -> None:
        super().__init__(folder)
        self._words = [str(self.place), str(next_hop), database]

    def command(self) -> list[str]:
        return [sys.executable, str(HERE / "aiosmtpd_proxy.py"), *self._words]


class Servers:
    """All of them, started. What has its processor time measured has one processor for itself, as
    far as this run goes."""

    def __init__(self, lab: Lab, folder: Path, cores: list[int]) -> None:
        self._lab, self._folder = lab, folder
        lab.enter_context(pinned(set(cores)))
        compiled()
        self.database = accounts(self._new("accounts"))
        self.dovecot = self._started(Dovecot, [SEALED])
        self.sink = self._started(Sink)
        self.to_dovecot = self._started(Gateway, self.database, self.dovecot.place)
        self.to_sink = self._started(Gateway, self.database, self.sink.place)
        with pinned({cores[-1]}):
            sink, smtp_sink = self._started(Sink), self._started(Sink, lmtp=False)
        with pinned({cores[0]}):
            self.alone = self._started(Gateway, self.database, sink.place)
            self.proxy = self._started(Proxy, self.database, smtp_sink.place)
        self.mailbox = self.dovecot.folder / "mail" / SEALED / "Maildir"

    def postfix(self, way: Way) -> Any:
        """A Postfix that does that with all mail."""
        return self._started(Postfix, way)

    def pipe(self, socket: Path | None = None) -> Way:
        """The mail path of before the gateway: Postfix starts a script for each message, in which
        ``cmstream seal`` seals by itself, or by a gateway's socket. Raises Absent."""
        if subprocess.run([COMMAND, "--version"], user=NOBODY, capture_output=True).returncode:  # noqa: PLW1510
            raise Absent(f"the user {NOBODY} can't run {COMMAND}")
        script = self._new("pipe") / "seal-and-store"
        told = f"export CMSTREAM_SOCKET={socket}" if socket else "unset CMSTREAM_SOCKET"
        script.write_text(
            SEAL_AND_STORE.format(
                database=self.database, socket=told, command=COMMAND,
                dovecot=self.dovecot.configuration,
            )
        )  # fmt: skip
        script.chmod(0o755)
        service = f"seal unix - n n - - pipe flags=DRXq user={NOBODY} argv={script} ${{recipient}}"
        settings = {"virtual_transport": "seal", "seal_destination_recipient_limit": "1"}
        return Way(settings, (service,))

    def _started(self, kind: Any, *arguments: Any, **options: Any) -> Any:
        server = kind(self._new(kind.__name__), *arguments, **options)
        return self._lab.enter_context(server)

    def _new(self, name: str) -> Path:
        made = Path(tempfile.mkdtemp(prefix=f"{name.lower()}-", dir=self._folder))
        made.chmod(0o755)
        return made


__all__ = ["Place", "Servers", "lmtp", "milter"]
