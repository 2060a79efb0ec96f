"""A run that is killed at any instant: every message is there at each moment, and the next run
finishes it. At each system call of a small mailbox, and at random in a larger one."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections import Counter
from functools import partial

import pytest

from cmstream import sync
from cmstream.mailboxes import sweep
from cmstream.mailboxes.journal import Journal
from cmstream.mailboxes.places import noted_as
from helpers.killing import ended, killed, started
from helpers.mailboxes import ALICE, files, fill, mails, plain, put, seal, text

CALLS = ("open", "write", "rename", "unlink", "fsync", "utime", "stat", "close")


class KilledError(Exception):
    """The child was killed before it had ended."""


def in_child(work) -> None:
    """Does it in a process of its own. Raises KilledError."""
    status = ended(started(work))
    if status == -signal.SIGKILL:
        raise KilledError
    assert status == 0


def killed_at(number: int, work):
    """The work, killed when it makes the call of that number."""
    left = [number]

    def counted(function):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    def run():
        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        sync._syncfs = counted(sync._syncfs)
        Journal.transaction = counted(Journal.transaction)
        work()

    return run


@pytest.mark.parametrize("task", ["seal", pytest.param("open", marks=pytest.mark.slow)])
def test_killed_at_each_call(task, mine, monkeypatch):
    monkeypatch.setattr(sweep, "BATCH", 2)
    number = 0
    while True:
        before = start(mine, task)
        try:
            in_child(killed_at(number, partial(mine.run, task)))
        except KilledError:
            pass
        else:
            break
        there = {plain(path.read_bytes(), mine.me) for path in files(mine.root)}
        assert there == before.keys(), number
        assert mine.run(task).failures == []
        assert mine.mails() == before, number
        assert mine.finished(task)
        assert not list((mine.root / "tmp").iterdir())
        assert mine.run(task).messages == 0
        number += 1
    assert number > 60


def start(mine, task):
    """Three messages, and a journal that knows nothing of them."""
    for path in (*files(mine.root), *mine.notes.parent.glob("*")):
        path.unlink()
    put(mine.root, text(1), flags=":2,Sa")
    put(mine.root, text(2), flags=":2,")
    put(mine.root, text(3), part="new")
    before = mails(mine.root)
    if task == "open":
        mine.run("seal")
        with Journal(mine.notes) as journal:  # what is noted of sealing is forgotten
            journal.mailbox(*noted_as(f"maildir:{mine.root}", ALICE), "open").close()
    return before


# --- at random -------------------------------------------------------------------------------

MESSAGES = int(os.environ.get("CMSTREAM_KILL_MESSAGES", "400"))
KILLS = int(os.environ.get("CMSTREAM_KILLS", "25"))
LONGEST = float(os.environ.get("CMSTREAM_KILL_SECONDS", "0.25"))
"""How many messages, how many kills, and seconds that a run has at most before it is killed."""


@pytest.mark.slow
def test_killed_at_random(mine, monkeypatch):
    """Seals and opens in turn, as often as a run ends by itself, until it was killed so often."""
    monkeypatch.setattr(sweep, "BATCH", 32)
    chosen = random.Random(os.environ.get("CMSTREAM_KILL_SEED", str(time.time_ns())))
    before = digests(fill(mine.root, MESSAGES, size=4096))
    seal(mine.store, mine.root, mine.notes.with_name("warm"), dry=True)
    counts = Counter(messages=len(before))
    task = "seal"
    while counts["kills"] < KILLS:
        if killed(partial(mine.run, task), chosen.uniform(0, LONGEST)):
            counts["kills"] += 1
            if counts["kills"] % (KILLS // 5) == 0:
                counts.update(state(mine, before))
        else:  # it ended by itself
            whole(mine, before)
            counts[f"whole runs: {task}"] += 1
            task = "open" if task == "seal" else "seal"
    assert mine.run(task).failures == []
    whole(mine, before)
    assert mine.finished(task)
    assert mine.run(task).messages == 0
    print(dict(counts))  # noqa: T201 - for whoever runs it by hand with -s


def digests(found):
    return {hashlib.sha256(content).digest(): mail for content, mail in found.items()}


def whole(mine, before):
    """Each message is there once, with its flags and date, and nothing else is."""
    assert digests(mine.mails()) == before
    assert not list((mine.root / "tmp").iterdir())


def state(mine, before) -> Counter:
    """After a kill, before anything is recovered: each message is there at least once."""
    found = Counter(
        hashlib.sha256(plain(path.read_bytes(), mine.me)).digest() for path in files(mine.root)
    )
    assert found.keys() == before.keys()
    assert max(found.values()) <= 2
    twice = sum(number > 1 for number in found.values())
    return Counter({"looks after a kill": 1, "messages there twice then": twice})
