"""What the command writes replaces no key, and nothing that stands on standard output."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

import cmstream
from command.test_cli import CERTIFICATE, MAIL, SAMPLES
from helpers.authorities import rsa_identity
from helpers.command import run

COMMAND = f"{shlex.quote(sys.executable)} -m cmstream"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A key, its certificate, both in one, and a sealed mail, in the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(SAMPLES / "alice.key.pem", "key.pem")
    shutil.copy(CERTIFICATE, "cert.pem")
    both = (tmp_path / "key.pem").read_bytes() + (tmp_path / "cert.pem").read_bytes()
    (tmp_path / "both.pem").write_bytes(both)
    (tmp_path / "pw").write_text("open sesame\n")
    run("encrypt", "-r", "cert.pem", "-o", "sealed", MAIL)
    return tmp_path


def content(place):
    return {one.name: one.read_bytes() for one in place.iterdir()}


GIVEN = [
    ("decrypt", "-k", "key.pem", "-o", "key.pem", "sealed"),
    ("decrypt", "-k", "key.pem", "-c", "cert.pem", "-o", "./cert.pem", "sealed"),
    ("decrypt", "-k", "key.pem", "-o", "hard", "sealed"),
    ("decrypt", "-k", "key.pem", "-o", "soft", "sealed"),
    ("decrypt", "-k", "key.pem", "--password-file", "pw", "-o", "pw", "sealed"),
    ("encrypt", "-r", "both.pem", "-o", "both.pem", MAIL),
    ("encrypt", "-r", "cert.pem", "--to-password-file", "pw", "-o", "pw", MAIL),
]


@pytest.mark.parametrize("words", GIVEN, ids=lambda words: " ".join(map(str, words)))
def test_a_file_that_the_run_is_given_stays(place, words):
    (place / "hard").hardlink_to(place / "key.pem")
    (place / "soft").symlink_to(place / "key.pem")
    before = content(place)
    assert b"would replace" in run(*words, code=64).stderr
    assert content(place) == before


@pytest.mark.parametrize("target", ["key.pem", "both.pem", "locked.pfx"])
def test_an_export_replaces_no_private_key(place, target):
    """In PEM it may stand beside the certificate; a PKCS #12 file needn't be opened to tell."""
    how = BestAvailableEncryption(b"open sesame")
    locked = pkcs12.serialize_key_and_certificates(b"alice", *rsa_identity(), None, how)
    (place / "locked.pfx").write_bytes(locked)
    before = content(place)
    done = run("cert", "export", "-o", target, "both.pem", code=73)
    assert b"holds a private key, which would be lost" in done.stderr
    assert content(place) == before
    run("cert", "export", "-o", "cert.pem", "both.pem")


@pytest.mark.parametrize(
    "name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link", "/dev/fd/7"]
)
def test_what_is_on_standard_output_stays(place, name):
    """A new file in its place would take along what others have written, and still write."""
    if not os.path.exists("/proc/self/fd"):  # noqa: PTH110
        pytest.skip("it is no link there")
    (place / "link").symlink_to("/dev/stdout")
    command = f"{COMMAND} decrypt -k key.pem -o {name} sealed"
    script = f"{{ echo before; {command}; echo after; }} > all 7>&1; echo later >> all"
    subprocess.run(["bash", "-c", script], check=True, timeout=60)
    whole = run("decrypt", "-k", "key.pem", "sealed").stdout
    assert (place / "all").read_bytes() == b"before\n" + whole + b"after\nlater\n"


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_a_certificate_is_added_to_a_file_with_a_key(place, name):
    script = f"{COMMAND} cert export -o {name} cert.pem >> both.pem"
    before = (place / "both.pem").read_bytes()
    subprocess.run(["bash", "-c", script], check=True, timeout=60)
    after = (place / "both.pem").read_bytes()
    assert after.startswith(before + b"-----BEGIN CERTIFICATE-----")


def armoured(content):
    """A mail that holds this sealed."""
    sealed = cmstream.encrypt(content, cmstream.load_recipients(Path("cert.pem").read_bytes()))
    head = b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
    return head + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(sealed)


def listed(part):
    """A mail as a mailing list hands it on."""
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    return head + part + b"\r\n--b\r\nContent-Type: text/plain\r\n\r\nA footer.\r\n--b--\r\n"


TEXT = b"Content-Type: text/plain\r\n\r\nhello\r\n"
LESS = {
    "decryption-failed": lambda: armoured(b"\x00" + bytes(range(256)) * 8),
    "unsealed-parts": lambda: listed(armoured(TEXT)),
}


@pytest.mark.parametrize("code", LESS)
@pytest.mark.parametrize("name", ["mail", "hard"])
def test_a_mail_stays_where_less_comes_out(place, name, code):
    """What comes out with a wrong key may be noise; to another file it may go."""
    (place / "mail").write_bytes(LESS[code]())
    (place / "hard").hardlink_to(place / "mail")
    before = content(place)
    done = run("decrypt", "-k", "key.pem", "-o", name, "mail", code=65)
    assert f"[{code}]".encode() in done.stderr
    assert content(place) == before
    run("decrypt", "-k", "key.pem", "-o", "other", "mail")
    assert (place / "other").exists()


def test_a_mail_is_opened_in_its_own_place(place):
    opened = run("decrypt", "-k", "key.pem", "sealed").stdout
    run("decrypt", "-k", "key.pem", "-o", "sealed", "sealed")
    assert (place / "sealed").read_bytes() == opened
