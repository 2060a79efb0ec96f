"""Workers and drivers are killed at random instants; then everything is there, once and whole.

CMSTREAM_KILLS sets how often (default 6), CMSTREAM_KILL_FILES how many files there are (1500).
With -s the counts are printed."""

from __future__ import annotations

import contextlib
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
from helpers.archives import BARE, check_nothing_is_left, mbox, numbered, rows, sealed, tree, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc"),
]

KILLS = int(os.environ.get("CMSTREAM_KILLS", "6"))
FILES = int(os.environ.get("CMSTREAM_KILL_FILES", "1500"))
SEED = int(os.environ.get("CMSTREAM_KILL_SEED", "0")) or random.randrange(1 << 30)


def start(folder, *options, stderr=subprocess.PIPE):
    words = ["archive", "seal", "--json", "--processes", "2", "--to", folder / "alice.pem"]
    return subprocess.Popen(
        [sys.executable, "-m", "cmstream", *words, *options, folder / "source", folder / "sealed"],
        stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
    )  # fmt: skip


def read(path):
    """What /proc says of a process; nothing if the process has ended."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def children(process):
    """Its worker processes, not the one that only watches over their semaphores."""
    found = map(int, read(f"/proc/{process}/task/{process}/children").split())
    return [one for one in found if b"spawn_main" in read(f"/proc/{one}/cmdline")]


def awaited(process):
    """The worker processes, as soon as there are any; none if the driver ends before."""
    while process.poll() is None:
        if workers := children(process.pid):
            return workers
        time.sleep(0.002)
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
    chance, killed, runs, longest = random.Random(SEED), 0, 0, 4.0
    while killed < KILLS:
        begun, process, runs = time.monotonic(), start(folder), runs + 1
        try:
            process.communicate(timeout=chance.uniform(0.3, longest))
            # It was done before: kill the next ones earlier, and begin anew.
            longest = max(0.4, min(longest, time.monotonic() - begun) * 0.9)
            shutil.rmtree(folder / "sealed", ignore_errors=True)
        except subprocess.TimeoutExpired:
            workers = children(process.pid)
            killed += kill(process.pid)
            process.communicate()
            gone(workers)
        assert not [name for name, data in tree(folder / "sealed").items() if b"SECRET" in data]
    print(f"{killed} drivers killed in {runs} runs")  # noqa: T201
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


def kill_workers(process, chance, longest, most):
    """Kills workers of this run, each at an instant of its life; says how many."""
    killed = 0
    while killed < most and (workers := awaited(process)):
        time.sleep(chance.uniform(0, longest))
        killed += process.poll() is None and kill(chance.choice(workers))
    return killed


def test_workers_are_killed(folder, alice, me):
    """The driver goes on by itself, and gives their batches to new ones."""
    print(f"seed {SEED}")  # noqa: T201
    chance, killed, runs, longest = random.Random(SEED), 0, 0, 1.0
    while killed < KILLS:
        shutil.rmtree(folder / "sealed", ignore_errors=True)
        process = start(folder)
        now = kill_workers(process, chance, longest, min(ROUND, KILLS - killed))
        out, err = process.communicate()
        assert process.returncode == 0, err
        report = json.loads(out)
        assert report["done"] == COUNT
        assert report["left"] == {}
        killed, runs = killed + now, runs + 1
        if not now:  # it was done before: kill the next one's earlier
            longest /= 2
    print(f"{killed} workers killed in {runs} runs")  # noqa: T201
    check(folder, alice, me, COUNT)


def interrupt(process, number=signal.SIGINT):
    """All of its processes, as a terminal does; nothing if it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGHUP] * 2])
def test_interrupted_again_and_again(numbers, folder, alice, me):
    """What was begun is finished and noted: each run gets on, and none does what another did."""
    runs, ended = [], 128 + numbers[0]
    while not runs or (runs[-1]["done"] and runs[-1]["stopped"]):
        process = start(folder)
        awaited(process)
        for number in numbers:
            interrupt(process, number)
            time.sleep(0.1)
        out, err = process.communicate()
        assert b"Traceback" not in err
        runs.append(json.loads(out))
        # One that comes at the very end stops nothing, and is an interrupt all the same.
        assert process.returncode in ((ended,) if runs[-1]["stopped"] else (0, ended)), err
    print(f"{len(runs)} runs")  # noqa: T201
    done = sum(one["done"] for one in runs)
    assert len(sealed(folder / "sealed")) == len(rows(folder / "sealed")) == done
    check(folder, alice, me, COUNT)


def test_a_terminal_that_is_closed(folder, alice, me):
    """What stood on it can't be written any more; what was begun is finished and noted all the
    same."""
    stopped = 0
    while stopped < 2:
        ours, theirs = os.openpty()
        process = start(folder, stderr=theirs)
        os.close(theirs)
        workers = awaited(process)
        os.read(ours, 1)  # it shows how far it is
        os.close(ours)
        interrupt(process, signal.SIGHUP)
        out, _ = process.communicate()
        report = json.loads(out)
        assert process.returncode == 128 + signal.SIGHUP or not report["stopped"]
        gone(workers)
        assert verify(str(folder / "sealed")).clean
        stopped += report["stopped"]
        if not report["stopped"]:  # it was done before: anew
            shutil.rmtree(folder / "sealed")
    check(folder, alice, me, COUNT)


def test_interrupted_twice(folder, alice, me):
    print(f"seed {SEED}")  # noqa: T201
    chance, ended = random.Random(SEED), 0
    for _ in range(KILLS):
        process = start(folder)
        awaited(process)
        for _ in range(2):
            interrupt(process)
            time.sleep(chance.uniform(0, 0.02))
        out, err = process.communicate()
        assert b"Traceback" not in err
        assert process.returncode in (0, 130), err
        ended += not out
    print(f"{ended} ended at once")  # noqa: T201
    check(folder, alice, me, COUNT)


def test_an_interrupt_at_a_terminal(folder, alice, me):
    """It goes to all of the processes, also to those that are just starting."""
    print(f"seed {SEED}")  # noqa: T201
    chance, interrupted, longest = random.Random(SEED), 0, 0.6
    while interrupted < KILLS:
        process = start(folder)
        awaited(process)
        time.sleep(chance.uniform(0, longest))
        interrupt(process)
        _, err = process.communicate()
        assert b"Traceback" not in err
        assert process.returncode in (0, 130), err
        if b"goes on where this one ends" in err:
            assert process.returncode == 130, err
            interrupted += 1
        else:  # it was done before: interrupt the next ones earlier
            assert len(sealed(folder / "sealed")) == COUNT, err
            longest /= 2
            shutil.rmtree(folder / "sealed")
    check(folder, alice, me, COUNT)
