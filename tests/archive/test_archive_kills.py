"""Workers and drivers are killed at random instants; then everything is there, once and whole.

CMSTREAM_KILLS sets how often (default 6), CMSTREAM_KILL_FILES how many files there are (1500).
With -s the counts are printed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cmstream.archive.opening import open_archive
from cmstream.archive.sealing import seal
from cmstream.archive.verifying import verify
from helpers.archives import BARE, check_nothing_is_left, mbox, numbered, sealed, tree, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc"),
]

KILLS = int(os.environ.get("CMSTREAM_KILLS", "6"))
FILES = int(os.environ.get("CMSTREAM_KILL_FILES", "1500"))
SEED = int(os.environ.get("CMSTREAM_KILL_SEED", "0")) or random.randrange(1 << 30)


def start(folder, *options):
    words = ["archive", "seal", "--json", "--processes", "2", "--to", folder / "alice.pem"]
    return subprocess.Popen(
        [sys.executable, "-m", "cmstream", *words, *options, folder / "source", folder / "sealed"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def children(process):
    """Its worker processes, not the one that only watches over their semaphores."""
    path = Path(f"/proc/{process}/task/{process}/children")
    try:
        found = [int(word) for word in path.read_text().split()]
        return [one for one in found
                if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]  # fmt: skip
    except OSError:
        return []


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def folder(tmp_path, alice):
    numbered(tmp_path / "source", FILES)
    write(tmp_path / "source/inbox", mbox(*[BARE + b" %d" % one for one in range(FILES // 5)]))
    write(tmp_path / "source/long", os.urandom(40 << 20))
    (tmp_path / "alice.pem").write_bytes(alice.recipient.pem)
    return tmp_path


def check(folder, alice, me, count):
    """One more run finds what is missing; then all is there, once and whole."""
    source, target = folder / "source", folder / "sealed"
    report = seal([str(source)], str(target), [alice.recipient], processes=2)
    assert report.clean, report.as_document()
    assert report.done + report.known == count
    assert len(sealed(target)) == count
    report = verify(str(target), processes=2)
    assert report.clean, report.as_document()
    assert report.done == count
    check_nothing_is_left(target)
    out = folder / "out"
    assert open_archive(str(target), str(out), me).clean
    found = tree(out / "source")
    assert len(found) == count
    same = {name: data for name, data in tree(source).items() if name != b"inbox"}
    assert same.items() <= found.items()


COUNT = FILES + FILES // 5 + 1


def test_drivers_are_killed(folder, alice, me):
    print(f"seed {SEED}")  # noqa: T201
    chance, killed, longest = random.Random(SEED), 0, 4.0
    for _ in range(KILLS):
        begun, process = time.monotonic(), start(folder)
        try:
            process.communicate(timeout=chance.uniform(0.3, longest))
            longest = time.monotonic() - begun  # it was done before: kill the next ones earlier
        except subprocess.TimeoutExpired:
            workers = children(process.pid)
            killed += kill(process.pid)
            process.communicate()
            gone(workers)
        assert not [name for name, data in tree(folder / "sealed").items() if b"SECRET" in data]
    print(f"{killed} of {KILLS} drivers killed")  # noqa: T201
    assert killed
    check(folder, alice, me, COUNT)


def gone(workers):
    """They end with their driver."""
    for _ in range(400):
        left = [one for one in workers if Path(f"/proc/{one}/exe").exists()]
        if not left:
            return
        time.sleep(0.05)
    raise AssertionError(f"workers {left} are still there")


ROUND = 8  # a batch whose workers die more often is given up


def test_workers_are_killed(folder, alice, me):
    """The driver goes on by itself, and gives their batches to new ones."""
    print(f"seed {SEED}")  # noqa: T201
    chance, killed, rounds = random.Random(SEED), 0, -(-KILLS // ROUND)
    for _ in range(rounds):
        shutil.rmtree(folder / "sealed", ignore_errors=True)
        process = start(folder)
        for _ in range(min(KILLS, ROUND)):
            time.sleep(chance.uniform(0.05, 1.2))
            if workers := children(process.pid):
                killed += kill(chance.choice(workers))
        out, err = process.communicate()
        assert process.returncode == 0, err
        report = json.loads(out)
        assert report["done"] == COUNT
        assert report["left"] == {}
    print(f"{killed} workers killed in {rounds} runs")  # noqa: T201
    assert killed
    check(folder, alice, me, COUNT)
