"""Other people's software, each behind two functions: ``open``, sealed octets in, plaintext out,
None where the peer refuses; and ``seal``, the other way. A missing peer skips the test, but in CI
it fails."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import cryptography
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.hazmat.primitives.serialization.pkcs7 import (
    PKCS7EnvelopeBuilder,
    PKCS7Options,
    pkcs7_decrypt_der,
    pkcs7_decrypt_pem,
    pkcs7_decrypt_smime,
)
from cryptography.x509 import load_der_x509_certificate

from authorities import authority

JARS = [
    Path("/usr/share/java") / f"{name}.jar" for name in ("bcmail", "bcpkix", "bcutil", "bcprov")
]


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            report = pytest.fail if os.environ.get("CI") else pytest.skip
            report(f"{program} is not installed")


def run(*command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, check=False, **options)


def must(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0, done.stderr
    return done


class Peer:
    """Knows people by their keys and certificates; ``folder`` is the peer's own."""

    programs: tuple[str, ...] = ()
    forms = frozenset({"der"})

    def __init__(self, folder):
        need(*self.programs)
        self.folder = folder

    def file(self, name, octets):
        path = self.folder / name
        path.write_bytes(octets)
        return path

    def certificate(self, person):
        return self.file(f"{person.recipient.fingerprint[:12]}.pem", person.recipient.pem)

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
            octets = pkcs12.serialize_key_and_certificates(name, person.key, certificate, None, old)
            path.write_bytes(octets)
        return path


class OpenSSL(Peer):
    programs = ("openssl",)
    forms = frozenset({"der", "pem", "smime", "message"})

    def version(self):
        return must("openssl", "version").stdout.decode().split(" (")[0].strip()

    def open(self, sealed, person, form="der", command="cms"):
        key = self.file(
            "key.pem",
            person.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )
        certificate = self.file("certificate.pem", person.recipient.pem)
        source, out = self.file("sealed", sealed), self.folder / "out"
        out.unlink(missing_ok=True)
        kind = form.upper() if form in {"der", "pem"} else "SMIME"
        done = run("openssl", command, "-decrypt", "-inform", kind, "-in", source, "-inkey", key,
                   "-recip", certificate, "-out", out)  # fmt: skip
        return out.read_bytes() if done.returncode == 0 else None

    def seal(self, data, people, form="der", options=("-aes256",), each=()):
        """``options`` of the command, and those for each recipient."""
        source, out = self.file("in", data), self.folder / "sealed"
        to = [word for one in people for word in ("-recip", self.certificate(one), *each)]
        must("openssl", "cms", "-encrypt", "-binary", "-outform", form.upper(), "-in", source,
             "-out", out, *options, *to)  # fmt: skip
        return out.read_bytes()


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
        pytest.fail(f"gpgsm imports no PFX: {done.stderr.decode()}")

    def open(self, sealed, person, **_form):
        if person.recipient.fingerprint not in self.known:
            self.learn(person)
            self.known.add(person.recipient.fingerprint)
        source, out = self.file("sealed", sealed), self.folder / "out"
        out.unlink(missing_ok=True)
        # It ends with 2 when it doesn't know a recipient's certificate, even after it decrypted.
        done = self.gpgsm("--output", out, "--decrypt", source, input=b"secret\n")
        opened = out.read_bytes() if out.exists() else b""
        return opened if opened or done.returncode == 0 else None

    def seal(self, data, people, options=()):
        """``options`` of the command."""
        ca = authority()[1].public_bytes(Encoding.DER)
        (self.home / "trustlist.txt").write_text(f"{sha1(ca)} S relax\n")
        source, out = self.file("in", data), self.folder / "sealed"
        out.unlink(missing_ok=True)
        self.gpgsm("--import", self.file("ca.der", ca))
        for one in people:
            self.gpgsm("--import", self.certificate(one))
        to = [word for one in people for word in ("-r", f"0x{sha1(one.recipient.der)}")]
        done = self.gpgsm("--output", out, *options, "--encrypt", *to, source)
        assert done.returncode == 0, done.stderr
        return out.read_bytes()

    def close(self):
        run("gpgconf", "--homedir", self.home, "--kill", "all")


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
            must("pk12util", "-i", self.pfx(person), "-d", self.home, "-W", "secret", "-K", "")
            self.known.add(person.recipient.fingerprint)
        source, out = self.file("sealed", sealed), self.folder / "out"
        done = run("cmsutil", "-D", "-d", self.home, "-i", source, "-o", out)
        return out.read_bytes() if done.returncode == 0 else None

    def seal(self, data, people):
        source, out = self.file("in", data), self.folder / "sealed"
        ca = self.file("ca.pem", authority()[1].public_bytes(Encoding.PEM))
        must("certutil", "-A", "-d", self.home, "-n", "ca", "-t", "TC,C,C", "-a", "-i", ca)
        names = [one.recipient.fingerprint[:12] for one in people]
        for one, name in zip(people, names, strict=True):
            must("certutil", "-A", "-d", self.home, "-n", name, "-t", ",,", "-a", "-i",
                 self.certificate(one))  # fmt: skip
        must("cmsutil", "-E", "-d", self.home, "-r", ",".join(names), "-i", source, "-o", out)
        return out.read_bytes()


class BouncyCastle(Peer):
    programs = ("javac", "java")

    def __init__(self, folder):
        super().__init__(folder)
        if not all(jar.exists() for jar in JARS):
            report = pytest.fail if os.environ.get("CI") else pytest.skip
            report("Bouncy Castle's libbcmail-java is not installed")
        self.path = ":".join([*map(str, JARS), str(folder)])
        sources = sorted((Path(__file__).parent / "interop").glob("*.java"))
        must("javac", "-cp", self.path, "-d", folder, *sources)

    def open_all(self, cases):
        """Opens many at once: starting Java takes longer than they do."""
        lines, outs = [], []
        for number, (sealed, person) in enumerate(cases):
            source = self.file(f"sealed{number}", sealed)
            outs.append(self.folder / f"out{number}")
            lines.append(f"{self.pfx(person)} {source} {outs[-1]}\n")
        listing = self.file("cases", "".join(lines).encode())
        must("java", "-cp", self.path, "Decrypt", listing)
        return [out.read_bytes() for out in outs]

    def seal_all(self, cases):
        """Cases of data, a person, a cipher, a transport, and the octets of a segment."""
        lines, outs = [], []
        for number, (data, person, *how) in enumerate(cases):
            source = self.file(f"in{number}", data)
            outs.append(self.folder / f"sealed{number}")
            lines.append(" ".join(map(str, (self.certificate(person), source, outs[-1], *how))))
        listing = self.file("cases", "\n".join(lines).encode())
        must("java", "-cp", self.path, "Encrypt", listing)
        return [out.read_bytes() for out in outs]


class Pyca(Peer):
    forms = frozenset({"der", "smime", "message"})

    def version(self):
        return f"cryptography {cryptography.__version__}"

    def open(self, sealed, person, form="der"):
        openers = {"der": pkcs7_decrypt_der, "pem": pkcs7_decrypt_pem}
        certificate = load_der_x509_certificate(person.recipient.der)
        try:
            return openers.get(form, pkcs7_decrypt_smime)(sealed, certificate, person.key, [])
        except (UnsupportedAlgorithm, ValueError):
            return None

    def seal(self, data, people, form="der", cipher=algorithms.AES256):
        builder = PKCS7EnvelopeBuilder().set_data(data)
        builder = builder.set_content_encryption_algorithm(cipher)
        for one in people:
            builder = builder.add_recipient(load_der_x509_certificate(one.recipient.der))
        encoding = {"smime": Encoding.SMIME, "pem": Encoding.PEM}.get(form, Encoding.DER)
        return builder.encrypt(encoding, [PKCS7Options.Binary])
