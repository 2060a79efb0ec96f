"""Mozilla's NSS, which Thunderbird uses, by its test program."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from helpers.authorities import authority
from helpers.peers.program import Peer, Unfit, must, run


class Nss(Peer):
    programs = ("cmsutil", "certutil", "pk12util")

    def __init__(self, folder):
        super().__init__(folder)
        self.home = f"sql:{folder}"
        self.password = self.file("password", b"")
        must("certutil", "-N", "-d", self.home, "--empty-password")
        self.known = set()

    def version(self):
        """Its programs don't tell; the database library does."""
        for library in Path("/usr/lib").glob("*/libnss3.so"):
            if found := re.search(rb"Version: NSS [0-9.]+", library.read_bytes()):
                return found[0].decode()
        return "NSS"

    def open(self, sealed, person, **_form):
        if person.recipient.fingerprint not in self.known:
            pfx = self.pfx(person)
            done = run("pk12util", "-i", pfx, "-d", self.home, "-W", "secret", "-K", "")
            if done.returncode:
                raise Unfit
            self.known.add(person.recipient.fingerprint)
        source, out = self.file("sealed", sealed), self.folder / "out"
        done = run("cmsutil", "-D", "-d", self.home, "-i", source, "-o", out)
        return out.read_bytes() if done.returncode == 0 else None

    def seal(self, data, people):
        sealed = self._encrypt(data, people)
        assert sealed is not None
        return sealed

    def writes(self, case, data):
        """It chooses the cipher itself."""
        return self._encrypt(data, case.people) if not case.secrets else None

    def _encrypt(self, data, people):
        source, out = self.file("in", data), self.folder / "sealed"
        ca = self.file("ca.pem", authority()[1].public_bytes(Encoding.PEM))
        must("certutil", "-A", "-d", self.home, "-n", "ca", "-t", "TC,C,C", "-a", "-i", ca)
        names = [one.recipient.fingerprint[:12] for one in people]
        for one, name in zip(people, names, strict=True):
            done = run("certutil", "-A", "-d", self.home, "-n", name, "-t", ",,", "-a", "-i",
                       self.certificate(one))  # fmt: skip
            if done.returncode:
                return None
        done = run("cmsutil", "-E", "-d", self.home, "-r", ",".join(names), "-i", source, "-o", out)
        return out.read_bytes() if done.returncode == 0 else None
