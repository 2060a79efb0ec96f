"""A disk that is full: the run ends and says so, nothing half-written looks whole, and a later run
goes on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from cmstream.archive.sealing import seal
from cmstream.archive.verifying import verify
from helpers.archives import numbered, rows, sealed, write

LONG = 12 << 20


@pytest.fixture
def folder(tmp_path, alice):
    numbered(tmp_path / "source", 1200)
    write(tmp_path / "source/long", b"x" * LONG)
    (tmp_path / "alice.pem").write_bytes(alice.recipient.pem)
    return tmp_path


def run(folder, target, processes, **options):
    words = ["archive", "seal", "--processes", processes, "--to", "alice.pem", "source", target]
    return subprocess.run(
        [sys.executable, "-m", "cmstream", *words], cwd=folder, capture_output=True, check=False,
        timeout=120, **options,
    )  # fmt: skip


def check(folder, target, alice):
    """What is there is what the manifest says, or will be replaced; then there is room again."""
    told = {one["target"].encode() for one in rows(target).values()}
    assert told <= set(sealed(target))
    assert not (target / ".cmstream/tmp").exists()
    report = seal([str(folder / "source")], str(target), [alice.recipient], processes=1)
    assert report.done + report.known == 1201
    assert verify(str(target), processes=1).done == 1201


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_file_system_that_is_full(processes, folder, alice):
    target = folder / "small"
    target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", target]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this root mounts nothing")
    try:
        done = run(folder, "small", processes)
        assert done.returncode == os.EX_TEMPFAIL, done.stderr
        assert b"o space left" in done.stderr or b"is full" in done.stderr, done.stderr
        assert b"Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=100m", target], check=True)
        check(folder, target, alice)
    finally:
        subprocess.run(["umount", target], check=True)


def test_a_file_that_may_not_be_as_long(folder, alice):
    """Of the long one nothing is left."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20))

    done = run(folder, "sealed", "1", preexec_fn=limit)
    assert done.returncode == os.EX_TEMPFAIL, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"source/long.p7m" not in sealed(folder / "sealed")
    check(folder, folder / "sealed", alice)
