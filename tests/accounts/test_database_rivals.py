"""The store among rivals: two writers, a crash, and a database that is locked, full or gone."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from cmstream.accounts import (
    StoreUnavailable,
    create_store,
    database,
    open_store,
    tables,
)
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem

ALICE = "alice@example.org"


def raises(code):
    return pytest.raises(StoreUnavailable, check=lambda error: error.code == code)


def file(url):
    return Path(url.removeprefix("sqlite:///"))


# --- transactions ----------------------------------------------------------------------------


def test_what_fails_in_the_middle_changes_nothing(store, monkeypatch):
    store.add_account(ALICE, by=ADMINISTRATOR)
    before = store.audit(), store.accounts(), store.database.counter()
    with monkeypatch.context() as patch:
        patch.setattr("cmstream.accounts.audit.json.dumps", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
        with pytest.raises(ZeroDivisionError):
            store.import_certificates(ALICE, pem(), by=OWNER)
    assert (store.audit(), store.accounts(), store.database.counter()) == before


def test_a_reader_sees_one_moment(store, url):
    with store.database.read() as connection, open_store(url) as other:
        counter = tables.changes.select()
        before = connection.execute(counter).all()
        other.add_account(ALICE, by=ADMINISTRATOR)
        assert connection.execute(counter).all() == before
        assert connection.execute(tables.accounts.select()).all() == []
    assert len(store.accounts()) == 1


_WRITER = """
import sys
from cmstream.accounts import Actor, open_store, tables
url, name, number = sys.argv[1:]
with open_store(url) as store:
    for i in range(int(number)):
        store.add_account(f"{name}{i}@example.org", by=Actor(name, "administrator"))
        with store.database.write() as connection:
            store.database.count(connection)
            row = connection.execute(tables.switches.select()).one()
            connection.execute(tables.switches.update().values(value=str(int(row.value) + 1)))
        print(i, flush=True)
"""


def writer(url, name, number):
    command = [sys.executable, "-c", _WRITER, url, name, str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def prepare(url):
    """A row that each writer reads, and writes one higher."""
    with create_store(url) as store, store.database.write() as connection:
        store.database.count(connection)
        connection.execute(insert(tables.switches).values(name="tally", value="0"))


def tally(store):
    with store.database.read() as connection:
        return int(connection.execute(tables.switches.select()).one().value)


def test_two_processes_lose_no_update(url):
    prepare(url)
    writers = [writer(url, name, 25) for name in ("a", "b")]
    assert [one.communicate(timeout=60)[0].split()[-1] for one in writers] == ["24", "24"]
    with open_store(url) as store:
        assert len(store.accounts()) == 50
        assert tally(store) == 50
        assert store.database.counter() == 101
        assert len(store.audit()) == 50


def test_threads_share_a_store(store):
    def work(name):
        for i in range(10):
            store.add_account(f"{name}{i}@example.org", by=ADMINISTRATOR)
            assert store.account(f"{name}{i}@example.org")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.accounts()) == len(store.audit()) == 40


def test_a_process_killed_in_the_middle_of_writes_loses_nothing_that_it_reported(url, kind):
    prepare(url)
    reported = 0
    for kill in range(5):
        with writer(url, f"w{kill}-", 10_000) as process:
            first = process.stdout.readline()
            time.sleep(0.013 * kill)  # somewhere within the next writes
            process.send_signal(signal.SIGKILL)
            reported += len([first, *process.stdout])
        assert first == "0\n"
        with open_store(url) as store:
            accounts = len(store.accounts())
            # Of each process one write may have been committed and not reported any more.
            assert reported <= tally(store) <= accounts <= reported + kill + 1
            assert len(store.audit(limit=100_000)) == accounts
            assert store.database.counter() == 1 + accounts + tally(store)
    if kind == "sqlite":
        connection = sqlite3.connect(file(url))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


# --- the database is away --------------------------------------------------------------------


def refuses_everything(store, code="store-unavailable"):
    """Reading, writing and lookups: each says that the store is away, and nothing else."""
    calls = [
        lambda: store.account(ALICE),
        lambda: store.accounts("x"),
        lambda: store.certificates(ALICE),
        lambda: store.preview(ALICE, pem()),
        store.switches,
        store.audit,
        lambda: store.add_account("bob@example.org", by=ADMINISTRATOR),
        lambda: store.change_account(ALICE, by=OWNER, cipher="aes256-cbc"),
        lambda: store.import_certificates(ALICE, pem(), by=OWNER),
        store.database.counter,
    ]
    for call in calls:
        with raises(code):
            call()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(database, "WAIT", 0.05)


def test_a_closed_store_says_so(store):
    store.close()
    refuses_everything(store)
    store.close()


def test_a_file_that_was_removed_isnt_answered_from(sqlite_url, tmp_path):
    with open_store(sqlite_url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        file(sqlite_url).rename(tmp_path / "elsewhere")
        refuses_everything(store)
        assert not file(sqlite_url).exists()


def test_a_file_that_was_replaced_is_read_anew(sqlite_url, tmp_path):
    backup = tmp_path / "backup.sqlite3"
    shutil.copyfile(file(sqlite_url), backup)
    with open_store(sqlite_url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        for name in ("", "-wal", "-shm"):
            Path(f"{file(sqlite_url)}{name}").unlink(missing_ok=True)
        backup.rename(file(sqlite_url))
        assert store.accounts() == []


def test_a_lookup_knows_a_file_that_was_replaced_by_one_of_as_many_changes(sqlite_url, tmp_path):
    other = tmp_path / "other.sqlite3"
    for url, address in ((sqlite_url, ALICE), (f"sqlite:///{other}", "bob@example.net")):
        with create_store(url) as store:
            store.add_account(address, by=ADMINISTRATOR)
    with open_store(sqlite_url) as store:
        counter = store.database.counter()
        assert store.seal_for(ALICE).reason.code == "disabled"
        for name in ("-wal", "-shm"):
            Path(f"{file(sqlite_url)}{name}").unlink(missing_ok=True)
        other.rename(file(sqlite_url))
        time.sleep(1)
        assert store.seal_for(ALICE).reason.code == "unknown-address"
        assert store.seal_for("bob@example.net").reason.code == "disabled"
        assert store.database.counter() == counter


def test_a_locked_file_is_waited_for_and_then_refused(sqlite_url, impatient):
    with open_store(sqlite_url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        with locked(sqlite_url):
            assert store.account(ALICE)  # readers don't wait for a writer
            with raises("store-unavailable") as caught:
                store.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
            assert "locked" in str(caught.value)
        store.change_account(ALICE, by=OWNER, cipher="aes256-cbc")


@contextmanager
def locked(url):
    connection = sqlite3.connect(file(url), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def test_a_short_lock_is_waited_for(sqlite_url):
    with open_store(sqlite_url) as store, locked(sqlite_url):
        thread = threading.Thread(target=lambda: store.add_account(ALICE, by=ADMINISTRATOR))
        thread.start()
        time.sleep(0.2)
        assert store.accounts() == []
    thread.join()
    with open_store(sqlite_url) as store:
        assert len(store.accounts()) == 1


def test_a_full_disk_refuses_the_change_and_keeps_the_rest(sqlite_url):
    with open_store(sqlite_url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        with store.database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with raises("store-unavailable") as caught:
            for number in range(1000):
                store.add_account(f"user{number}@example.org", by=ADMINISTRATOR)
        assert "full" in str(caught.value)
        kept = store.accounts()
        assert len(kept) == len(store.audit(limit=10_000)) == number + 1
    with open_store(sqlite_url) as store:
        assert store.accounts() == kept


def test_a_damaged_file_is_refused(sqlite_url):
    with open_store(sqlite_url) as store:
        for number in range(50):
            store.add_account(f"user{number}@example.org", by=ADMINISTRATOR)
    size = file(sqlite_url).stat().st_size
    with file(sqlite_url).open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xff" * (size - 4096))
    with raises("store-unavailable"):
        open_store(sqlite_url)


def test_a_table_that_is_gone_is_no_other_exception(empty_url):
    with create_store(empty_url) as store:
        with store.database.write() as connection:
            connection.execute(text("DROP TABLE aliases"))
            connection.execute(text("DROP TABLE switches"))
            connection.execute(text("DROP TABLE changes"))
            connection.execute(text("DROP TABLE audit"))
            connection.execute(text("DROP TABLE certificates"))
        refuses_everything(store)


def test_a_connection_that_postgresql_cut_is_made_anew(postgresql):
    url = postgresql.url(postgresql.new())
    with create_store(url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        postgresql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
        assert store.account(ALICE)


def test_a_connection_cut_in_the_middle_is_unavailable(postgresql):
    url = postgresql.url(postgresql.new())
    with create_store(url) as store:
        with raises("store-unavailable"), store.database.write() as connection:
            postgresql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid()"
            )
            connection.execute(insert(tables.switches).values(name="encryption", value="off"))
        assert store.switches()["encryption"] == "as-accounts-say"


def test_a_server_that_crashed_loses_nothing_committed(postgresql):
    url = postgresql.url(postgresql.new())
    with create_store(url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        postgresql.stop()
        try:
            refuses_everything(store)
            with raises("store-unavailable"):
                open_store(url)
        finally:
            postgresql.start()
        assert store.account(ALICE)


def test_a_lock_on_postgresql_is_waited_for_and_then_refused(postgresql, impatient):
    url = postgresql.url(postgresql.new())
    with create_store(url) as store, open_store(url) as other:
        with other.database.write(), raises("store-unavailable") as caught:
            store.add_account(ALICE, by=ADMINISTRATOR)
        assert "lock timeout" in str(caught.value)
        store.add_account(ALICE, by=ADMINISTRATOR)


def test_an_error_of_the_drivers_own_kind_never_leaves(store):
    with raises("store-unavailable") as caught, store.database.read() as connection:
        connection.execute(text("SELECT * FROM nowhere"))
    assert isinstance(caught.value.__cause__, DBAPIError)
