"""What running other people's programs takes."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509 import load_der_x509_certificate


def missing(what):
    """Skips the test; in CI, where everything has to be there, it fails."""
    report = pytest.fail if os.environ.get("CI") else pytest.skip
    report(f"{what} is not installed")


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            missing(program)


def run(*command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, check=False, **options)


def must(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0, done.stderr
    return done


class Unfit(Exception):  # noqa: N818 - it isn't one
    """A key that this peer can't be given."""


class Peer:
    """Knows people by their keys and certificates; ``folder`` is the peer's own. ``open`` takes
    sealed octets and gives plaintext, None where the peer refuses; ``seal`` is the other way.
    ``reads`` and ``writes`` do the same for a case of the table (cases.py): what a peer has no
    means for is None too."""

    programs: tuple[str, ...] = ()
    forms = frozenset({"der"})

    def __init__(self, folder):
        need(*self.programs)
        self.folder = folder

    def reads(self, case, sealed):
        try:
            return self.open(sealed, case.person) if case.person else None
        except Unfit:
            return None

    def close(self):
        pass

    def file(self, name, octets):
        path = self.folder / name
        path.write_bytes(octets)
        return path

    def certificate(self, person):
        return self.file(f"{person.recipient.fingerprint[:12]}.pem", person.recipient.pem)

    def key(self, person, encoding=Encoding.PEM):
        octets = person.key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())
        return self.file(f"{person.recipient.fingerprint[:12]}.key", octets)

    def pfx(self, person):
        path = self.folder / f"{person.recipient.fingerprint[:12]}.pfx"
        if not path.exists():
            certificate = load_der_x509_certificate(person.recipient.der)
            name = person.recipient.fingerprint[:12].encode()
            old = (
                PrivateFormat.PKCS12.encryption_builder()
                .kdf_rounds(2048)
                .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
                .build(b"secret")
            )
            path.write_bytes(_pkcs12(name, person.key, certificate, old))
        return path


def _pkcs12(name, key, certificate, encryption):
    try:
        return pkcs12.serialize_key_and_certificates(name, key, certificate, None, encryption)
    except TypeError as error:  # keys that none but exchange secrets
        raise Unfit from error
