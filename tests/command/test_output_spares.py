"""What the command writes replaces no key, and nothing that stands on standard output."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

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
