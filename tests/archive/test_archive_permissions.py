"""An archive that the system doesn't let somebody read or write: nothing else is blamed for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cmstream.archive.sealing import seal
from helpers.archives import AS_NOBODY, tree, write


@pytest.fixture
def folder(alice):
    """In a folder that nobody can reach, where root reads everything: a source, and its archive,
    which belongs to nobody."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write(folder / "source/one", b"1")
        write(folder / "source/deep/two", b"2")
        (folder / "alice.pem").write_bytes(alice.recipient.pem)
        sources, target = [str(folder / "source")], str(folder / "sealed")
        seal(sources, target, [alice.recipient], processes=1)
        if os.geteuid() == 0:
            for path in (folder / "sealed", *(folder / "sealed").rglob("*")):
                os.chown(path, 65534, 65534)
        yield folder
        for path in (folder / "sealed", folder / "sealed/.cmstream", folder / "sealed/source/deep"):
            path.chmod(0o700)


def command(folder, *words):
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, "archive", words[0], "--processes", "1", *words[1:]],
        capture_output=True, check=False, cwd=folder, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def test_verify_reads_what_it_can(folder):
    (folder / "sealed/source/deep").chmod(0)
    done = command(folder, "verify", "--json", "sealed")
    assert done.returncode == os.EX_DATAERR, done.stderr
    report = json.loads(done.stdout)
    assert (report["done"], report["left"]) == (1, {"unreadable": 2})
    assert any(one["name"].endswith("sealed/source/deep") for one in report["files"])


@pytest.mark.parametrize("path", ["sealed/.cmstream/manifest.sqlite3", "sealed/.cmstream"])
def test_a_manifest_that_cant_be_read(path, folder):
    (folder / path).chmod(0)
    done = command(folder, "verify", "sealed")
    assert done.returncode == os.EX_NOINPUT, done.stderr
    assert "can't read" in done.stderr
    assert "copy" not in done.stderr


def test_a_manifest_that_cant_be_written(folder):
    (folder / "sealed/.cmstream/manifest.sqlite3").chmod(0o400)
    before = tree(folder / "sealed/source")
    write(folder / "source/three", b"3")
    done = command(folder, "seal", "--to", "alice.pem", "source", "sealed")
    assert done.returncode == os.EX_CANTCREAT, done.stderr
    assert "copy" not in done.stderr
    assert tree(folder / "sealed/source") == before


def test_a_folder_of_the_target_that_cant_be_written(folder):
    (folder / "sealed/source/deep").chmod(0o500)
    for name in ("deep/three", "four"):
        write(folder / "source" / name, b"new")
    done = command(folder, "seal", "--json", "--to", "alice.pem", "source", "sealed")
    assert done.returncode == os.EX_DATAERR, done.stderr
    report = json.loads(done.stdout)
    assert (report["done"], report["left"]) == (1, {"unwritable": 1})


def test_an_out_that_is_a_file(folder, tmp_path):
    write(tmp_path / "out", b"x")
    words = ["open", "--password-file", "pw", "sealed", str(tmp_path / "out")]
    write(folder / "pw", b"password\n")
    done = subprocess.run(
        [sys.executable, "-m", "cmstream", "archive", *words],
        capture_output=True, check=False, cwd=folder, text=True,
    )  # fmt: skip
    assert (done.returncode, "not-empty" in done.stderr) == (os.EX_CANTCREAT, True), done.stderr
