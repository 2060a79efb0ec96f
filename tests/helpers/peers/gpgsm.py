"""GnuPG's S/MIME program."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from helpers.authorities import authority
from helpers.cases import PASSWORD
from helpers.peers.program import Peer, Unfit, must, run

CIPHERS = {"aes128-cbc": "AES", "aes256-cbc": "AES256"}


def sha1(certificate):
    """So gpgsm names certificates."""
    return hashlib.sha1(certificate, usedforsecurity=False).hexdigest()


class Gpgsm(Peer):
    programs = ("gpgsm", "gpg-agent")
    forms = frozenset({"der", "pem"})

    def __init__(self, folder):
        super().__init__(folder)
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        settings = "disable-crl-checks\nbatch\nno-tty\n"
        (self.home / "gpgsm.conf").write_text(settings)
        (self.home / "gpg-agent.conf").write_text("allow-loopback-pinentry\n")
        self.known = set()

    def version(self):
        return must("gpgsm", "--version").stdout.decode().splitlines()[0]

    def gpgsm(self, *arguments, **options):
        return run("gpgsm", "--homedir", self.home, "--pinentry-mode", "loopback",
                   "--passphrase-fd", "0", *arguments, **options)  # fmt: skip

    def learn(self, person):
        """Imports a PFX. gpgsm 2.2 can't decrypt one or two encryptions in a hundred: another of
        the same key then goes."""
        for _ in range(5):
            done = self.gpgsm("--import", self.pfx(person), input=b"secret\n")
            if b"secret keys read: 1" in done.stderr:
                return
            self.pfx(person).unlink()
        assert not isinstance(person.key, rsa.RSAPrivateKey), done.stderr
        raise Unfit

    def open(self, sealed, person, **_form):
        if person.recipient.fingerprint not in self.known:
            self.learn(person)
            self.known.add(person.recipient.fingerprint)
        return self._decrypt(sealed, "secret")

    def _decrypt(self, sealed, password):
        source, out = self.file("sealed", sealed), self.folder / "out"
        out.unlink(missing_ok=True)
        # It ends with 2 when it doesn't know a recipient's certificate, even after it decrypted.
        done = self.gpgsm("--output", out, "--decrypt", source, input=f"{password}\n".encode())
        opened = out.read_bytes() if out.exists() else b""
        return opened if opened or done.returncode == 0 else None

    def reads(self, case, sealed):
        if case.kind == "password":
            return self._decrypt(sealed, PASSWORD)
        return super().reads(case, sealed)

    def writes(self, case, data):
        """Always with indefinite lengths, to whom it knows how to."""
        if case.secrets or case.cipher not in CIPHERS:
            return None
        return self._encrypt(data, case.people, ("--cipher-algo", CIPHERS[case.cipher]))

    def seal(self, data, people, options=()):
        """``options`` of the command."""
        sealed = self._encrypt(data, people, options)
        assert sealed is not None
        return sealed

    def _encrypt(self, data, people, options):
        ca = authority()[1].public_bytes(Encoding.DER)
        (self.home / "trustlist.txt").write_text(f"{sha1(ca)} S relax\n")
        source, out = self.file("in", data), self.folder / "sealed"
        out.unlink(missing_ok=True)
        self.gpgsm("--import", self.file("ca.der", ca))
        for one in people:
            self.gpgsm("--import", self.certificate(one))
        to = [word for one in people for word in ("-r", f"0x{sha1(one.recipient.der)}")]
        done = self.gpgsm("--output", out, *options, "--encrypt", *to, source)
        return out.read_bytes() if done.returncode == 0 else None

    def close(self):
        run("gpgconf", "--homedir", self.home, "--kill", "all")
