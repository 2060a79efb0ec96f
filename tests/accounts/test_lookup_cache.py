"""No answer about an address is older than a second, whoever changes what, and whatever happens to
the database and the clocks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from accounts.test_lookup import ALICE, SECOND, add
from cmstream.accounts import StoreUnavailable, UnusableAccount, lookup, open_store
from cmstream.accounts.errors import Invalid
from cmstream.accounts.lookup import Lookups
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.authorities import NOW


class Clock:
    """Stands still, but for what a test does to it."""

    def __init__(self):
        self.wall, self.boot = NOW.timestamp(), 1000.0

    def time(self):
        return self.wall

    def clock_gettime(self, _):
        return self.boot

    def monotonic(self):
        return self.boot

    def run(self, seconds):
        self.wall += seconds
        self.boot += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(lookup, "time", made)
    return made


@pytest.fixture
def asked(store, monkeypatch):
    """How often the database was asked for its counter, or for an account."""
    count = SimpleNamespace(counter=0, read=0)
    counter, read = store.database.counter, store.database.read

    def counted():
        count.counter += 1
        return counter()

    def counted_read():
        count.read += 1
        return read()

    monkeypatch.setattr(store.database, "counter", counted)
    monkeypatch.setattr(store.database, "read", counted_read)
    return count


def test_the_counter_is_read_every_half_second_and_the_account_when_it_has_moved(
    store, url, clock, asked
):
    add(store)
    store.seal_for(ALICE)
    asked.read = 0
    for _ in range(10):
        clock.run(0.1)
        store.seal_for(ALICE)
    assert (asked.counter, asked.read) == (2, 2)  # the counter's own reads
    with open_store(url) as other:
        other.change_account(ALICE, cipher=None, by=ADMINISTRATOR)
    clock.run(0.3)
    assert store.seal_for(ALICE).action == "seal"
    clock.run(0.3)
    assert store.seal_for(ALICE).action == "leave"
    assert (asked.counter, asked.read) == (3, 4)


@pytest.mark.parametrize(("wall", "boot"), [(-1e-3, 0), (-1e6, 0), (1e6, 0), (0, 1e6), (0, -1)])
def test_a_clock_that_jumps_is_a_reason_to_look(store, url, clock, wall, boot):
    add(store)
    assert store.seal_for(ALICE).action == "seal"
    with open_store(url) as other:
        other.change_account(ALICE, cipher=None, by=ADMINISTRATOR)
    clock.wall += wall
    clock.boot += boot
    assert store.seal_for(ALICE).action == "leave"


def test_what_comes_too_late_is_no_answer(store, clock, monkeypatch):
    add(store)
    counter = store.database.counter
    store.seal_for(ALICE)

    def slow():
        clock.run(1.1)
        return counter()

    monkeypatch.setattr(store.database, "counter", slow)
    clock.run(0.6)
    with pytest.raises(StoreUnavailable):
        store.seal_for(ALICE)


def test_a_clock_set_while_the_database_was_asked_is_no_answer(store, clock, monkeypatch):
    add(store)
    counter = store.database.counter
    store.seal_for(ALICE)

    def jumping():
        clock.wall -= 3600
        return counter()

    monkeypatch.setattr(store.database, "counter", jumping)
    clock.run(0.6)
    with pytest.raises(StoreUnavailable):
        store.seal_for(ALICE)


def test_time_itself_changes_the_answer(store, clock):
    add(store, certificate=pem(not_after=NOW + 100 * SECOND))
    store.import_certificates(ALICE, pem(1), by=ADMINISTRATOR)
    assert len(store.seal_for(ALICE).recipients) == 2
    for _ in range(3):
        store._lookups._generation.checked = lookup._Instant.now()
        clock.wall += 100.1  # and the counter was just read
        store._lookups._generation.checked = lookup._Instant.now()
        assert len(store.seal_for(ALICE).recipients) == 1
        clock.wall -= 100.1
        store._lookups._generation.checked = lookup._Instant.now()
        assert len(store.seal_for(ALICE).recipients) == 2


CHANGER = """
import sys, time
from cmstream.accounts import Actor, open_store
with open_store(sys.argv[1]) as store:
    for cipher in (None, "aes128-cbc"):
        sys.stdin.readline()
        store.change_account("alice@example.org", cipher=cipher, by=Actor("x", "administrator"))
        print(repr(time.time()), flush=True)
"""


def test_what_another_process_changes_is_seen_within_a_second(store, url):
    add(store)
    process = subprocess.Popen(
        [sys.executable, "-c", CHANGER, url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    with process:
        for expected in (None, "aes128-cbc"):
            stale = asked = begun = time.time()
            process.stdin.write("\n")
            while True:
                seal = store.seal_for(ALICE)
                if (seal.policy and seal.policy.cipher) == expected:
                    break
                time.sleep(0.001)
                stale, asked = asked, time.time()
                assert asked < begun + 20
            committed = float(process.stdout.readline())
            assert stale - committed < 1
    assert process.returncode == 0


def seconds_until_it_raises(store):
    begun = last = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        while last < begun + 10:
            asked = time.monotonic()
            assert store.seal_for(ALICE).action == "seal"
            last = asked
            time.sleep(0.001)
    assert caught.value.code
    return last - begun


def test_a_database_that_is_gone_is_noticed_within_a_second(store, kind, url, request):
    add(store)
    store.seal_for(ALICE)
    if kind == "sqlite":
        path = Path(url.removeprefix("sqlite:///"))
        away = path.with_suffix(".away")
        path.rename(away)
    else:
        server = request.getfixturevalue("postgresql")
        server.stop()
    try:
        assert seconds_until_it_raises(store) < 1
        with pytest.raises(StoreUnavailable):  # and it stays so
            store.seal_for(ALICE)
        with pytest.raises(StoreUnavailable):
            store.seal_for("never-asked-before@example.org")
    finally:
        if kind == "sqlite":
            away.rename(path)
        else:
            server.start()
    assert store.seal_for(ALICE).action == "seal"


def test_a_closed_store_is_no_answer(url):
    with open_store(url) as store:
        add(store)
        store.seal_for(ALICE)
    with pytest.raises(StoreUnavailable, match="closed: open it again"):
        store.seal_for(ALICE)


def test_a_damaged_file_is_no_answer(sqlite_url):
    with open_store(sqlite_url) as store:
        add(store)
        store.seal_for(ALICE)
        path = sqlite_url.removeprefix("sqlite:///")
        with open_store(sqlite_url) as other, other.database.read() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        size = Path(path).stat().st_size
        with Path(path).open("r+b") as file:
            file.write(os.urandom(size))
        assert seconds_until_it_raises(store) < 1


def test_threads_never_get_an_answer_older_than_a_second(store, url):
    add(store)
    history = [(time.time(), "aes256-cbc")]
    seen, changed = [], threading.Event()

    def ask():
        while not changed.is_set() or len(seen) <= 1000:
            begun = time.time()
            seen.append((begun, store.seal_for(ALICE).policy.cipher))
            time.sleep(0.0005)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with open_store(url) as other:
            for number in range(12):
                cipher = ("aes128-cbc", "aes256-cbc")[number % 2]
                other.change_account(ALICE, cipher=cipher, by=ADMINISTRATOR)
                history.append((time.time(), cipher))
                time.sleep(0.15)
    finally:
        changed.set()
        for thread in threads:
            thread.join()
    until = [moment for moment, _ in history[1:]] + [float("inf")]
    for begun, cipher in seen:
        assert any(
            was == cipher and begun < end + 1 for (_, was), end in zip(history, until, strict=True)
        ), begun
    assert {cipher for _, cipher in seen} == {"aes128-cbc", "aes256-cbc"}


def test_who_waited_while_another_failed_does_not_wait_again(store, monkeypatch):
    tries, together = [], threading.Barrier(8)

    def gone():
        tries.append(1)
        time.sleep(0.3)
        raise StoreUnavailable("store-unavailable", "gone")

    monkeypatch.setattr(store.database, "read", gone)
    failures = []

    def ask():
        together.wait()
        with pytest.raises(StoreUnavailable):
            store.seal_for(ALICE)
        failures.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 8
    assert len(tries) <= 2


def test_the_cache_has_its_bounds(store, monkeypatch):
    monkeypatch.setattr(lookup, "ROOM", 10)
    add(store)
    lookups = Lookups(store.database)
    for number in range(50):
        assert lookups.seal_for(f"alice+{number}@example.org").action == "seal"
    assert len(lookups._generation._answers) == 10
    assert lookups.seal_for("alice+1@example.org").account.address == ALICE


def test_recipients_stay_prepared_when_something_else_changes(store):
    add(store)
    before = store.seal_for(ALICE).recipients
    store.add_account("bob@example.org", by=ADMINISTRATOR)
    assert store.seal_for(ALICE).recipients is before


# --- in an event loop ------------------------------------------------------------------------


def test_an_event_loop_gets_what_the_cache_has_without_a_wait(store, clock):
    add(store)

    async def ask():
        first = await store.seal_for_async(ALICE)
        try:
            store.seal_for_async(ALICE).send(None)
        except StopIteration as answered:  # without a single step of the loop
            return first, answered.value

    first, second = asyncio.run(ask())
    assert first.action == "seal"
    assert second is first


def test_an_event_loop_goes_on_while_the_database_is_asked(store, monkeypatch):
    add(store)
    read, goes_on = store.database.read, threading.Event()

    def slow():
        assert goes_on.wait(30)
        return read()

    monkeypatch.setattr(store.database, "read", slow)

    async def ask():
        asked = asyncio.ensure_future(store.seal_for_async(ALICE))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(goes_on.set)
        return await asked

    assert asyncio.run(ask()).action == "seal"


def test_an_event_loop_gets_the_same_errors(store, clock):
    store.add_account("new@example.org", cipher="aes256-cbc", by=ADMINISTRATOR)

    async def ask(address):
        return await store.seal_for_async(address)

    for _ in range(2):  # asked, and from the cache
        with pytest.raises(UnusableAccount):
            asyncio.run(ask("new@example.org"))
    with pytest.raises(Invalid):
        asyncio.run(ask("new"))
    store.close()
    with pytest.raises(StoreUnavailable):
        asyncio.run(ask(ALICE))
