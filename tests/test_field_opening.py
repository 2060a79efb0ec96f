"""What people sent in that didn't open, as it was reported, where those files are present; each of
its kind has a test of its own elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import cmstream
from cmstream.command import cli

FIELD = Path(__file__).resolve().parents[2] / "shared" / "field"

if not FIELD.is_dir():
    pytest.skip("the shared files aren't here", allow_module_level=True)

SEVERAL = FIELD / "pfx-several-identities"
RENEWED = FIELD / "renewed-with-the-same-key"
NO_HEADER = FIELD / "content-without-header"
PASSWORD = ("--password-file", "pw")
COMMANDS = [
    (SEVERAL, ("--pfx", "both.p12", *PASSWORD, "enc.eml")),
    (SEVERAL, ("-k", "both.pem", "-c", "both.pem", "enc.eml")),
    (SEVERAL, ("-k", "both.pem", "enc.eml")),
    (SEVERAL, ("--pfx", "chain.p12", *PASSWORD, "tocrypt.eml")),
    (SEVERAL, ("--pfx", "enc.p12", "--pfx", "sign.p12", *PASSWORD, "enc.eml")),
    (SEVERAL, ("--pfx", "sign.p12", "--pfx", "enc.p12", *PASSWORD, "enc.eml")),
    (RENEWED, ("-k", "bob.key", "-c", "bobs.pem", "toold.eml")),
    (RENEWED, ("-k", "bob.key", "-c", "bob2.pem", "-c", "bob.pem", "toold.eml")),
    (RENEWED, ("-k", "bob.key", "toold.eml")),
    (RENEWED, ("--pfx", "bobs.p12", *PASSWORD, "toold.eml")),
]


@pytest.mark.parametrize(("folder", "arguments"), COMMANDS, ids=lambda one: str(one)[:60])
def test_the_mail_opens(folder, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    out = tmp_path / "out"
    assert cli.main(["decrypt", "-o", str(out), *arguments]) == 0
    assert b"\r\n\r\nHello Carla" in out.read_bytes()


@pytest.mark.parametrize(("name", "text"), [("nohdr.eml", b"Hello world"), ("nohdr4.eml", b"")])
def test_an_entity_without_an_empty_line_gets_one(name, text):
    key, cert = ((NO_HEADER / file).read_bytes() for file in ("bob.key", "bob.pem"))
    bob = cmstream.Identity.from_pem(key, cert)
    sealed = (NO_HEADER / name).read_bytes()
    content = cmstream.decrypt(sealed, bob)
    opened = cmstream.decrypt_message(sealed, bob)
    head, _, body = opened.partition(b"\r\n\r\n")
    assert b"MIME-Version: 1.0" in head.split(b"\r\n")
    assert body.startswith(text)
    assert content.endswith(body)
    assert not any(line and b":" not in line for line in head.split(b"\r\n"))
