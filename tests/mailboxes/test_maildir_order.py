"""The order of what reaches the disk: no power cut may find the old message removed and the new one
not there, or a new one that no journal knows."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path

import pytest

from cmstream.mailboxes import maildir, maildir_batch, sweep
from cmstream.mailboxes.journal import Journal
from helpers.mailboxes import fill, mails, make, put, seal, text


@pytest.fixture
def calls(monkeypatch):
    """What was called, in order: the calls themselves are made."""
    made = []

    def recorded(module, name, shown):
        real = getattr(module, name)

        def call(*arguments, **options):
            done = real(*arguments, **options)
            made.append(shown(*arguments, **options))
            return done

        monkeypatch.setattr(module, name, call)

    for name in ("rename", "unlink"):
        recorded(os, name, lambda file, *_, name=name, **__: (name, str(file).partition(".")[0]))
    for name in ("fsync", "write"):
        recorded(os, name, lambda fd, *_, name=name: (name, opened(fd)))
    recorded(maildir, "sync_file_system", lambda fd: ("syncfs", opened(fd)))
    monkeypatch.setattr(Journal, "transaction", noted(Journal.transaction, made))
    return made


def opened(fd):
    return Path(f"/proc/self/fd/{fd}").readlink().name


def noted(real, made):
    """A transaction, and the states that were in the journal when it was on the disk."""

    @contextmanager
    def transaction(self, *, lasting=True):
        with real(self, lasting=lasting) as database:
            yield database
        with sqlite3.connect(self.path) as other:
            query = "SELECT state, count(*) FROM message GROUP BY state"
            states = dict(other.execute(query).fetchall())
        other.close()
        if lasting:
            made.append(("journal", states))

    return transaction


def kinds(calls, *wanted):
    """Without repetition, and without what isn't wanted."""
    found = []
    for one in calls:
        if one[0] in wanted and (not found or found[-1] != one):
            found.append(one)
    return found


def test_order_of_one_batch(calls, store, root, notes):
    for number in range(3):
        put(root, text(number))
    calls.clear()
    seal(store, root, notes)
    begin = calls.index(("journal", {"staged": 3}))
    written = [index for index, one in enumerate(calls) if one[0] == "write"]
    assert len(written) == 3
    assert max(written) < calls.index(("syncfs", "tmp")) < begin
    assert kinds(calls[begin:], "journal", "rename", "fsync", "unlink", "syncfs") == [
        ("journal", {"staged": 3}),
        ("rename", "cmstream"),
        ("fsync", "cur"),
        ("journal", {"removing": 3}),
        ("unlink", "1600000000"),
        ("syncfs", "tmp"),
        ("journal", {"done": 3}),
        ("unlink", str(notes).partition(".")[0]),  # the lock
    ]


def test_what_was_removed_is_on_the_disk_before_it_is_done(calls, store, root, notes, monkeypatch):
    monkeypatch.setattr(sweep, "BATCH", 2)
    make(root / ".Sent")
    fill(root, 4)
    fill(root / ".Sent", 2)
    calls.clear()
    seal(store, root, notes)
    for index, (what, states) in enumerate(calls):
        if what == "journal" and states.get("done", 0) > done_before(calls[:index]):
            since = last(calls[:index], "unlink")
            assert ("syncfs", "tmp") in calls[since:index]
    assert ("journal", {"done": 2, "staged": 2}) in calls  # the next batch notes it


def done_before(calls):
    return max((states.get("done", 0) for what, states in calls if what == "journal"), default=0)


def last(calls, what):
    return max(index for index, one in enumerate(calls) if one[0] == what)


def test_a_full_disk_leaves_all_as_it_was(store, root, notes, monkeypatch, me):
    before = fill(root, 5)
    real, left = maildir_batch._fill, [2]

    def full(fd, content):
        left[0] -= 1
        if left[0] < 0:
            os.write(fd, b"a beginning")
            raise OSError(28, "No space left on device")
        real(fd, content)

    with monkeypatch.context() as context:
        context.setattr(maildir_batch, "_fill", full)
        with pytest.raises(OSError, match="No space"):
            seal(store, root, notes)
    assert mails(root) == before
    assert not list((root / "tmp").iterdir())
    assert seal(store, root, notes).replaced == 5
    assert mails(root, me) == before
