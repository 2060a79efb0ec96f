"""Bouncy Castle, as pom.xml pins it: one Java process that does what it is told line by line."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from helpers.cases import KEK, KEK_ID, PASSWORD
from helpers.peers.program import Peer, must, need

SOURCES = Path(__file__).parents[2] / "interop"


@functools.cache
def classpath():
    """The jars, which Maven fetches once, and the programs compiled with them."""
    need("mvn", "javac", "java")
    folder = Path(tempfile.mkdtemp(prefix="cmstream-interop-"))
    atexit.register(shutil.rmtree, folder)
    listing = folder / "jars"
    must("mvn", "-B", "-q", "-f", SOURCES / "pom.xml", "dependency:build-classpath",
         f"-Dmdep.outputFile={listing}")  # fmt: skip
    jars = listing.read_text("utf-8").strip()
    must("javac", "-cp", jars, "-d", folder, *sorted(SOURCES.glob("*.java")))
    return f"{jars}:{folder}"


class BouncyCastle(Peer):
    def __init__(self, folder):
        super().__init__(folder)
        command = ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath(), "Words"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.name = self._line()

    def _line(self):
        line = self.process.stdout.readline().strip()
        assert line, "Java has ended"
        return line

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def version(self):
        return self.name

    def tell(self, *words):
        print(*words, sep="\t", file=self.process.stdin, flush=True)
        return self._line()

    def certificate(self, person):
        return self.file(f"{person.recipient.fingerprint[:12]}.der", person.recipient.der)

    def _owner(self, person):
        return "certificate", self.certificate(person), self.key(person, Encoding.DER)

    def _secret(self, kind):
        if kind == "password":
            return "password", PASSWORD
        return "kek", self.file("kek", KEK), KEK_ID.hex()

    def open(self, sealed, person, **_form):
        return self._open(sealed, self._owner(person))

    def _open(self, sealed, who):
        source, out = self.file("sealed", sealed), self.folder / "out"
        answer = self.tell("open", source, out, *who)
        return out.read_bytes() if answer == "done" else None

    def seal(
        self, data, person, cipher="aes256-cbc", *, how="pkcs1v15", named="issuer-serial", cut=1000
    ):
        """``cut``: the octets of a segment."""
        who = ("certificate", self.certificate(person), how, named)
        sealed = self._seal(data, cipher, cut, who)
        assert sealed is not None
        return sealed

    def _seal(self, data, cipher, segment, who):
        source, out = self.file("in", data), self.folder / "sealed"
        answer = self.tell("seal", source, out, cipher, segment, *who)
        return out.read_bytes() if answer == "done" else None

    def reads(self, case, sealed):
        if case.person:
            return self.open(sealed, case.person)
        return self._open(sealed, self._secret(case.kind))

    def writes(self, case, data):
        if case.how == "explicit-null":
            return None
        who = []
        for one in case.people:
            who += ["and", "certificate", self.certificate(one), case.how, case.named]
        for kind in case.secrets:
            who += ["and", *self._secret(kind)]
        return self._seal(data, case.cipher, 1000, who[1:])
