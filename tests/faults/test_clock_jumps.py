"""A wall clock that is set forwards or backwards: what waits for it, or counts by it, goes on. What
the gateway and the cache of lookups do then: test_gateway_faults.py, test_lookup_cache.py."""

from __future__ import annotations

import datetime as dt
import os

import pytest

from cmstream.accounts.people import limits
from cmstream.mailboxes import mbox_lock, pace
from cmstream.mailboxes.journal import Journal
from helpers.accounts.persons import ALICE, OTHER, PASSWORD, refused
from helpers.mailboxes import fill, make, protected, seal

DAYS = (-20_000, -400, -1, 1, 400, 20_000)


@pytest.mark.usefixtures("quick_hashes")
@pytest.mark.parametrize("days", DAYS)
def test_nobody_is_kept_out_longer_than_the_window(days, quick_people, clock):
    """Attempts that were counted while the clock was ahead don't keep anybody out until then."""
    for _ in range(limits.BY_NAME_AND_SOURCE):
        refused("sign-in-failed", quick_people.sign_in, ALICE, OTHER, source="192.0.2.1")
    clock.advance(days=days)
    assert quick_people.sign_in(ALICE, PASSWORD, source="192.0.2.1")


@pytest.mark.usefixtures("quick_hashes")
@pytest.mark.parametrize("minutes", [-14, -1, 1, 14])
def test_a_clock_that_is_put_right_a_little_lifts_no_limit(minutes, quick_people, clock):
    for _ in range(limits.BY_NAME_AND_SOURCE):
        refused("sign-in-failed", quick_people.sign_in, ALICE, OTHER, source="192.0.2.1")
    clock.advance(minutes=minutes)
    wait = refused("too-many-attempts", quick_people.sign_in, ALICE, PASSWORD, source="192.0.2.1")
    assert 0 < wait.retry_after <= 2 * limits.WINDOW.total_seconds()


@pytest.mark.parametrize("jump", [dt.timedelta(hours=6), dt.timedelta(days=-3)])
def test_a_wait_for_the_hours_sees_the_clock_that_was_set(jump, monkeypatch):
    """It sleeps a minute at most, and looks again."""
    now, slept = dt.datetime(2026, 3, 4, 18, tzinfo=dt.timezone.utc), []

    class Clock(dt.datetime):
        @classmethod
        def now(cls):
            return now

    def sleep(seconds):
        nonlocal now
        slept.append(seconds)
        now += jump if len(slept) == 2 else dt.timedelta(seconds=seconds)

    monkeypatch.setattr(pace.dt, "datetime", Clock)
    monkeypatch.setattr(pace.time, "sleep", sleep)
    pace.Pace(between=(dt.time(22), dt.time(6))).wait()
    assert max(slept) == 60
    assert len(slept) == (2 if jump.days >= 0 else 2 + 239)


@pytest.mark.parametrize("days", DAYS)
def test_a_sweep_goes_on_where_the_dates_of_files_are_of_another_time(
    days, tmp_path, sqlite_url, alice, monkeypatch
):
    root, notes = tmp_path / "Maildir", tmp_path / "notes"
    make(root)
    fill(root, 3)
    now = pace.time.time() + 86400 * days
    for part in ("cur", "new"):
        os.utime(root / part, (now, now))
    with protected(sqlite_url, alice.recipient) as store:
        assert seal(store, root, notes).replaced == 3
        assert seal(store, root, notes).messages == 0
        fill(root, 1, seed=7, size=1000)
        os.utime(notes, (now, now))
        assert seal(store, root, notes).replaced == 1
    with Journal(notes):
        pass


@pytest.mark.parametrize("days", [-20_000, -1])
def test_a_lock_left_behind_is_taken_for_old_by_one_clock_alone(days, tmp_path, monkeypatch):
    """A lock from the future is waited for; whose process is gone, isn't."""
    path, lock = tmp_path / "box", tmp_path / "box.lock"
    path.write_bytes(b"")
    dead = os.fork() or os._exit(0)
    os.waitpid(dead, 0)
    with mbox_lock.locked(path):
        owner = lock.read_bytes()
    lock.write_bytes(owner.replace(b"%d" % os.getpid(), b"%d" % dead))
    now = pace.time.time() - 86400 * days
    os.utime(lock, (now, now))
    monkeypatch.setattr(mbox_lock, "_WAIT", 5)
    with mbox_lock.locked(path):
        assert lock.read_bytes() == owner
