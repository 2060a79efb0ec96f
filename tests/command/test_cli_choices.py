"""What the command lets a person choose, and what it tells of certificates' wishes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from cmstream.policy import Policy
from command.test_cli import CERTIFICATE, MAIL
from helpers.authorities import certificate, identity, rsa_key
from helpers.command import run, run_process
from helpers.wishes import TRIPLE_DES, wishes

USAGE = b"usage: cmstream encrypt (-r CERT | --to-password-file FILE) [options] [MESSAGE]\n"


def made(tmp_path, *names, key=None):
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.pem"
    cert = certificate(key or rsa_key(), extra=(wishes(*names),))
    path.write_bytes(cert.public_bytes(Encoding.PEM))
    return path


def told(sealed):
    found = cmstream.inspect(sealed)
    return found.cipher, [one.algorithm.partition("-sha")[0] for one in found.addressees]


def test_auto_takes_what_the_certificates_name(tmp_path):
    small, large = made(tmp_path, "aes128-cbc"), made(tmp_path, "oaep-sha256", "aes256-cbc")
    auto = ("encrypt", "--cipher", "auto")
    assert told(run(*auto, "-r", small, MAIL).stdout) == ("aes128-cbc", ["rsa-pkcs1v15"])
    assert told(run(*auto, "-r", large, MAIL).stdout) == ("aes256-cbc", ["rsa-oaep"])
    assert told(run(*auto, "-r", CERTIFICATE, MAIL).stdout) == ("aes256-cbc", ["rsa-pkcs1v15"])


@pytest.mark.parametrize("transport", ["oaep-sha256", "oaep-sha384", "oaep-sha512"])
def test_every_key_transport(transport):
    sealed = run("encrypt", "--key-transport", transport, "-r", CERTIFICATE, MAIL).stdout
    assert told(sealed) == ("aes256-cbc", ["rsa-oaep"])


def test_key_agreement(tmp_path):
    path = made(tmp_path, key=identity("SECP256R1")[0])
    for how in ("standard", "explicit-null", "sha1-kdf"):
        sealed = run("encrypt", "--key-agreement", how, "-r", path, MAIL).stdout
        assert [one.kind for one in cmstream.inspect(sealed).addressees] == ["key-agreement"]


def test_what_is_forbidden_is_not_used(tmp_path):
    path = made(tmp_path, "aes256-cbc", "aes128-cbc")
    auto = ("encrypt", "--cipher", "auto", "--forbid", "aes256-cbc", "-r", path)
    assert told(run(*auto, MAIL).stdout)[0] == "aes128-cbc"
    done = run(*auto, "--forbid", "aes128-cbc", MAIL, code=65)
    assert b"CN=Alice" in done.stderr
    assert b"[unusable-recipient]" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--cipher", "des"), b"--cipher"),
        (("--forbid", "des"), b"--forbid"),
        (("--refuse", "address-mismatch"), b"--refuse"),
        (("--forbid", "aes256-cbc"), b"aes256-cbc is the default cipher: choose another with --ci"),
        (("--forbid", "aes128-gcm", "--cipher", "aes128-gcm"), b"aes128-gcm is named by --cipher"),
        (("--key-transport", "oaep-sha1"), b"--key-transport"),
        (("--key-agreement", "dh"), b"--key-agreement"),
        (("--header-protection", "all"), b"--header-protection"),
        (("--header-protection", "shy", "--binary"), b"--header-protection works for a mail"),
        (("--already-encrypted", "pass", "--binary"), b"--already-encrypted works for a mail"),
        (("--password-file", "x", "--password-env", "X"), b"not allowed with"),
    ],
)
def test_conflicts_are_wrong_usage(options, says):
    done = run("encrypt", "-r", CERTIFICATE, *options, MAIL, code=64)
    lines = done.stderr.splitlines(keepends=True)
    assert says in lines[-1]
    assert lines[:-1] in ([], [USAGE])
    assert done.stdout == b""


WRONG = [
    "encrypt --form x",
    "decrypt --key",
    "inspect -r",
    "cert show --password-file",
    "cert export x",
]


@pytest.mark.parametrize("words", WRONG)
def test_wrong_usage_is_told_in_two_lines(words):
    usage, error = run(*words.split(), code=64).stderr.decode().splitlines()
    command = " ".join(words.split()[: 2 if words.startswith("cert") else 1])
    assert usage.startswith(f"usage: cmstream {command} ")
    assert len(usage) < 100
    assert error.startswith("cmstream: ")
    assert error.endswith(f"(see cmstream {command} --help)")


def test_help_names_every_choice():
    shown = run("encrypt", "--help", env=os.environ | {"COLUMNS": "400"}).stdout.decode()
    assert shown.encode().startswith(USAGE)
    for name in ("auto", "chacha20-poly1305", "oaep-sha512", "explicit-null", "shy", "--forbid"):
        assert name in shown


def test_an_archive_has_a_password(tmp_path):
    secret, source = tmp_path / "secret", tmp_path / "source"
    secret.write_text("open sesame\n")
    source.write_bytes(bytes(range(256)) * 20)
    environment = os.environ | {"P": "open sesame", "WRONG": "hunter2", "EMPTY": ""}
    to = ("encrypt", "--binary", "--to-password-file", secret, "-r", CERTIFICATE, source)
    sealed = run(*to).stdout
    kinds = [one.kind for one in cmstream.inspect(sealed).addressees]
    assert sorted(kinds) == ["key-transport", "password"]
    opened = run("decrypt", "--password-env", "P", given=sealed, env=environment).stdout
    assert opened == source.read_bytes()
    wrong = run("decrypt", "--password-env", "WRONG", given=sealed, env=environment, code=65)
    assert b"[decryption-failed]" in wrong.stderr
    assert b"hunter2" not in wrong.stderr
    me = ("-k", CERTIFICATE.replace(".pem", ".key.pem"), "-c", CERTIFICATE)
    assert run("decrypt", *me, given=sealed).stdout == opened
    empty = ("encrypt", "--binary", "--to-password-env", "EMPTY", source)
    assert b"EMPTY: the password is empty" in run(*empty, env=environment, code=64).stderr


def test_an_archive_has_several_passwords(tmp_path):
    one, two, empty = (tmp_path / name for name in ("one", "two", "empty"))
    one.write_bytes(b"\xef\xbb\xbffirst\r\n")
    two.write_bytes("zwölf\n".encode())
    empty.write_bytes(b"\nsecond line\n")
    environment = os.environ | {"P": "third", "FIRST": "first"}
    to = ("--to-password-file", one, "--to-password-env", "P", "--to-password-file", two)
    seal = ("encrypt", "--binary", *to)
    sealed = run(*seal, given=b"all", env=environment).stdout
    for mine in (("--password-file", two), ("--password-env", "P"), ("--password-env", "FIRST")):
        assert run("decrypt", *mine, given=sealed, env=environment).stdout == b"all"
    done = run(*seal, "--to-password-file", empty, given=b"", env=environment, code=64)
    assert f"{empty}: the password is empty".encode() in done.stderr
    assert str(empty).encode() in run("decrypt", "--password-file", empty, code=64).stderr


def test_cert_show_tells_what_a_certificate_reads(tmp_path):
    path = made(tmp_path, "aes256-gcm", TRIPLE_DES, "oaep-sha256")
    assert "reads:        aes256-gcm, oaep-sha256\n" in run("cert", "show", path).stdout.decode()
    nothing = made(tmp_path, TRIPLE_DES)
    assert b"nothing that cmstream knows" in run("cert", "show", nothing).stdout
    assert b"reads:" not in run("cert", "show", CERTIFICATE).stdout
    for file, expected in ((path, ["aes256-gcm", "oaep-sha256"]), (CERTIFICATE, None)):
        document = json.loads(run("cert", "show", "--json", file).stdout)
        assert document["recipients"][0]["capabilities"] == expected


def test_serial_numbers_in_both_writings():
    (alice,) = cmstream.load_recipients(Path(CERTIFICATE).read_bytes())
    sealed = run("encrypt", "-r", CERTIFICATE, MAIL).stdout
    for shown in (run("cert", "show", "--json", CERTIFICATE),
                  run("inspect", "--json", given=sealed)):  # fmt: skip
        (one,) = json.loads(shown.stdout)["recipients"]
        assert one["serial"] == str(alice.serial)
        assert int(one["serial_hex"], 16) == alice.serial


def test_a_policy_is_shown_by_what_differs():
    assert repr(Policy()) == "Policy()"
    changed = Policy(cipher="auto", forbid={"aes128-gcm", "aes128-cbc"}, warn=())
    assert repr(changed) == (
        "Policy(cipher='auto', warn=frozenset(), forbid={'aes128-cbc', 'aes128-gcm'})"
    )
    assert eval(repr(changed)) == changed  # noqa: S307 - it's our own


@pytest.mark.parametrize(
    "words",
    [("encrypt", "-r", CERTIFICATE, MAIL), ("cert", "show", CERTIFICATE), ("--version",)],
)
def test_a_misnamed_processor_is_one_line(words):
    done = run_process(*words, env=os.environ | {"CMSTREAM_CPU": "nonsense"}, code=64)
    assert done.stderr.startswith(b"cmstream: CMSTREAM_CPU='nonsense': choose one of portable, ")
    assert done.stderr.count(b"\n") == 1
