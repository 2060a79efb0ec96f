"""Which keys ``cmstream decrypt`` takes: all of all files, with their certificates or without."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

import cmstream
from command.test_cli import run
from helpers.authorities import certificate, rsa_identity

ALICE_KEY, ALICE = rsa_identity()
RENEWED = certificate(ALICE_KEY, serial=77)
BOB_KEY, BOB = rsa_identity(emails=("bob@example.org",), common_name="Bob", number=1)
TEXT = b"third flower pot"


@pytest.fixture
def folder(tmp_path):
    """Keys, certificates and PKCS #12 files of two people, and the working directory."""
    for name, key, certs in (("alice", ALICE_KEY, [RENEWED, ALICE]), ("bob", BOB_KEY, [BOB])):
        how = BestAvailableEncryption(b"open sesame")
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.key").write_bytes(plain)
        (tmp_path / f"{name}.locked").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
        )
        texts = [cert.public_bytes(Encoding.PEM) for cert in certs]
        (tmp_path / f"{name}.pem").write_bytes(b"".join(texts))
        (tmp_path / f"{name}.pfx").write_bytes(
            pkcs12.serialize_key_and_certificates(b"a", key, certs[0], certs[1:], how)
        )
    (tmp_path / "renewed.pem").write_bytes(RENEWED.public_bytes(Encoding.PEM))
    (tmp_path / "old.pem").write_bytes(ALICE.public_bytes(Encoding.PEM))
    (tmp_path / "pw").write_text("open sesame\n")
    both = [(tmp_path / f"{name}.{kind}").read_bytes()
            for kind in ("key", "pem") for name in ("bob", "alice")]  # fmt: skip
    (tmp_path / "both.pem").write_bytes(b"".join(both))
    return tmp_path


SEALED = cmstream.encrypt(TEXT, cmstream.Recipient.from_der(ALICE.public_bytes(Encoding.DER)))
PASSWORD = ("--password-file", "pw")
OPEN = [
    ("--pfx", "alice.pfx", "--pfx", "bob.pfx", *PASSWORD),
    ("--pfx", "bob.pfx", "--pfx", "alice.pfx", *PASSWORD),
    ("-k", "alice.key", "-c", "alice.pem"),
    ("-k", "alice.key", "-c", "renewed.pem", "-c", "old.pem"),
    ("-k", "bob.key", "-k", "alice.key", "-c", "bob.pem", "-c", "alice.pem"),
    ("-k", "alice.key"),
    ("-k", "alice.locked", *PASSWORD),
    ("-k", "bob.key", "-k", "alice.key"),
    ("-k", "both.pem"),
    ("-k", "both.pem", "-c", "both.pem"),
    ("-k", "both.pem", "-c", "old.pem"),
    ("-k", "bob.key", "-c", "bob.pem", "--pfx", "alice.pfx", *PASSWORD),
]


@pytest.mark.parametrize("arguments", OPEN, ids=" ".join)
def test_the_right_key_is_found(folder, monkeypatch, arguments):
    monkeypatch.chdir(folder)
    assert run("decrypt", *arguments, given=SEALED).stdout == TEXT


FAIL = [
    (("-c", "alice.pem"), 64, "--certificate needs the private key"),
    (("-c", "alice.pem", "--pfx", "alice.pfx", *PASSWORD), 64, "give it by --key"),
    (("-k", "bob.key", "-c", "alice.pem"), 65, "bob.key: the private key fits none"),
    (("-k", "alice.key", "-k", "bob.key", "-c", "old.pem"), 65, "bob.key: the private key fits"),
    (("-k", "alice.key", "-c", "renewed.pem"), 65, "certificate too, leave out -c [no-rec"),
    (("-k", "bob.key"), 65, "[decryption-failed]"),
    (("-k", "alice.key", "-c", "alice.pem", "-c", "pw"), 65, "alice.pem and pw: this isn't a cert"),
    (("--pfx", "alice.pfx", "--pfx", "bob.pfx"), 65, "alice.pfx: the PKCS #12 file needs its"),
    (("-k", "alice.locked"), 65, "alice.locked: the private key needs its password"),
    (("-k", "pw"), 65, "pw: there is no private key in this file"),
]


@pytest.mark.parametrize(("arguments", "code", "says"), FAIL)
def test_what_is_wrong_is_said(folder, monkeypatch, arguments, code, says):
    monkeypatch.chdir(folder)
    done = run("decrypt", *arguments, given=SEALED, code=code)
    assert says in done.stderr.decode()
    assert done.stdout == b""
