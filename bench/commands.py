"""Commands of other programs, a process for each message: what a script that calls them pays."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from engines import Absent, Engine, in_turn
from measure import Clocks
from samples import CERTIFICATE, recipients

if TYPE_CHECKING:
    from engines import Lab, Run


def openssl(lab: Lab) -> list[Engine]:
    """``openssl cms -encrypt``."""
    _need("openssl")
    lab.versions["openssl"] = f"openssl cms of {_run('openssl', 'version').split(' (')[0].strip()}"
    command = ["openssl", "cms", "-encrypt", "-aes256", "-out", "/dev/null", "-in"]
    return [_engine(lab, "openssl cms (whole process)", command, [str(CERTIFICATE)])]


def gpgsm(lab: Lab) -> list[Engine]:
    """``gpgsm --encrypt``, in a home folder of its own that trusts the certificate."""
    _need("gpgsm", "gpgconf")
    lab.versions["gpgsm"] = _run("gpgsm", "--version").splitlines()[0]
    home = lab.folder / "gnupg"
    home.mkdir(mode=0o700)
    (recipient,) = recipients()
    name = hashlib.sha1(recipient.der, usedforsecurity=False).hexdigest().upper()
    (home / "trustlist.txt").write_text(f"{name} S relax\n")
    (home / "gpgsm.conf").write_text("disable-crl-checks\nbatch\nno-tty\n")
    lab.callback(_run, "gpgconf", "--homedir", str(home), "--kill", "all")
    base = ["gpgsm", "--homedir", str(home)]
    _run(*base, "--import", str(CERTIFICATE))
    command = [*base, "--armor", "--cipher-algo", "AES256", "--recipient", recipient.emails[0],
               "--yes", "--output", "/dev/null", "--encrypt"]  # fmt: skip
    return [_engine(lab, "gpgsm (whole process)", command, [])]


def _engine(lab: Lab, name: str, before: list[str], after: list[str]) -> Engine:
    def encrypt(path: object) -> None:
        _run(*before, str(path), *after)

    encrypt(CERTIFICATE)  # fails here if it can't at all
    return Engine(name, lambda column: _Run(in_turn(column, lab.files(column), encrypt)))


class _Run:
    """Its processor time isn't known: gpgsm has servers that work for it."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self) -> int:
        return self._run()

    def clocks(self) -> Clocks:
        return Clocks(time.perf_counter(), None)


def _need(*names: str) -> None:
    for name in names:
        if not shutil.which(name):
            raise Absent(f"{name} is not installed")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        raise Absent(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
