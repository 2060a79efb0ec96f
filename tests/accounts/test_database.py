"""Where the store lives: created by some, refused by others, its log kept by the database."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import column, create_engine, delete, func, insert, make_url, table, text, update

from cmstream.accounts import (
    StoreUnavailable,
    create_store,
    database,
    open_store,
    revision,
    tables,
)
from cmstream.accounts.database import open_database
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.authorities import key_usage

ALICE = "alice@example.org"


def raises(code):
    return pytest.raises(StoreUnavailable, check=lambda error: error.code == code)


def file(url):
    return Path(url.removeprefix("sqlite:///"))


# --- created and opened ----------------------------------------------------------------------


def test_a_path_that_no_system_takes_is_no_database():
    with raises("no-database"):
        open_store(f"sqlite:////{'x' * 5000}")


def test_where_it_is_tells_no_password():
    place = database._place(make_url("postgresql://u:hidden@h/db?password=hidden"))
    assert "hidden" not in place
    assert "h/db" in place


def test_a_store_that_isnt_there_is_refused_and_not_created(tmp_path):
    path = tmp_path / "accounts.sqlite3"
    with raises("no-database") as caught:
        open_store(f"sqlite:///{path}")
    assert str(path) in str(caught.value)
    assert "cmstream serve" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_tables_is_refused(empty_url, kind):
    if kind == "sqlite":
        file(empty_url).touch()
    with raises("not-migrated"):
        open_store(empty_url)
    create_store(empty_url).close()
    open_store(empty_url).close()


def test_an_older_database_is_upgraded_and_keeps_its_accounts(empty_url, kind, monkeypatch):
    if kind == "sqlite":
        file(empty_url).touch()
    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
    row = {"address": ALICE, "encrypt_on_append": True, "when_unusable": "error", "clients": "[]"}
    old = table("accounts", *map(column, [*row, "created_at"]))
    engine = create_engine(database._address(empty_url))
    with engine.begin() as connection:
        database._upgrade(connection, "an old one")
        connection.execute(insert(old).values(**row, created_at=func.now()))
    engine.dispose()
    monkeypatch.undo()
    with raises("not-migrated"):
        open_store(empty_url)
    with create_store(empty_url) as store:
        found = store.account(ALICE)
    assert (found.encrypt_on_append, found.header_protection) == (True, "as-server-says")


def test_somebody_elses_database_is_refused(tmp_path):
    path = tmp_path / "other.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE accounts (id)")
    connection.close()
    with raises("not-migrated"):
        open_store(f"sqlite:///{path}")
    with raises("store-unavailable"):
        create_store(f"sqlite:///{path}")


@pytest.mark.parametrize("content", [b"not a database at all, but long enough" * 100, b"\0" * 9000])
def test_a_file_that_is_no_database_is_refused(tmp_path, content):
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    for function in (open_store, create_store):
        with pytest.raises(StoreUnavailable, match=r"check the path") as caught:
            function(f"sqlite:///{path}")
        assert caught.value.code == "store-unavailable"
    assert path.read_bytes() == content


def test_creating_twice_keeps_what_is_there(empty_url):
    with create_store(empty_url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
    with create_store(empty_url) as store:
        assert [one.address for one in store.accounts()] == [ALICE]


def test_a_newer_database_is_refused(url):
    opened = open_database(url)
    number = text("UPDATE cmstream_version SET version_num = :number")
    with opened.write() as connection:
        connection.execute(number, {"number": "9999"})
    try:
        for function in (open_store, create_store):
            with raises("newer-database"):
                function(url)
    finally:
        with opened.write() as connection:
            connection.execute(number, {"number": revision.REVISION})
        opened.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "accounts.sqlite3",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://root@localhost/accounts",
        "nonsense://somewhere/accounts",
        "postgresql://host:port/accounts",
    ],
)
def test_a_url_that_cant_be_is_refused(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for function in (open_store, create_store):
        with raises("unsupported-database"):
            function(url)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cant_be_created_is_said(tmp_path):
    with raises("no-database") as caught:
        create_store(f"sqlite:///{tmp_path}/missing/accounts.sqlite3")
    assert "No such file or directory" in str(caught.value)


def test_a_relative_path_stays_the_same_when_the_folder_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with create_store("sqlite:///accounts.sqlite3") as store:
        monkeypatch.chdir("/")
        threads = [threading.Thread(target=store.accounts) for _ in range(3)]
        for thread in threads:
            thread.start()
            thread.join()
        assert store.accounts() == []


def test_a_new_file_is_its_owners_alone(tmp_path):
    with create_store(f"sqlite:///{tmp_path}/a%20b?.sqlite3") as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}


def test_a_url_is_told_without_its_password():
    with raises("store-unavailable") as caught:
        open_store("postgresql://cmstream:hunter2@127.0.0.1:1/accounts")
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_what_only_the_administrator_of_postgresql_can_mend_is_said(postgresql):
    """Time alone changes none of it, and the sentence doesn't say so."""
    name = postgresql.new()
    mine = postgresql.url(name)
    create_store(mine).close()
    postgresql.execute("CREATE ROLE stranger LOGIN")
    theirs = mine.replace(f"//{postgresql.name}@", "//stranger@")
    with raises("permission-denied") as caught:
        open_store(theirs)
    assert "grant this user the tables" in str(caught.value)
    for wrong in (
        mine.replace(f"/{name}?", "/no_such_name?"),
        mine.replace("//", "//nobody_we_know", 1),
    ):
        with raises("store-unavailable") as caught:
            open_store(wrong)
        assert "check the URL, or try again" in str(caught.value)


def test_without_its_driver_postgresql_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with raises("unsupported-database") as caught:
        open_store("postgresql://somewhere/accounts")
    assert "pip install 'cmstream[postgresql]'" in str(caught.value)


def test_several_processes_create_one_database(empty_url):
    code = (
        "import sys; from cmstream.accounts import create_store; create_store(sys.argv[1]).close()"
    )
    rivals = [subprocess.Popen([sys.executable, "-c", code, empty_url]) for _ in range(3)]
    assert [rival.wait(60) for rival in rivals] == [0, 0, 0]
    open_store(empty_url).close()


# --- migrations ------------------------------------------------------------------------------


def test_the_migrations_lead_to_the_tables(url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    opened = open_database(url)
    options = {"version_table": revision.VERSION_TABLE, "compare_type": True}
    with opened.read() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []
    opened.close()


def test_the_newest_migration_is_the_one_asked_for():
    from alembic.script import ScriptDirectory

    folder = Path(database.__file__).parent / "migrations"
    assert ScriptDirectory(folder).get_current_head() == revision.REVISION


def test_an_older_database_learns_what_is_set_aside(empty_url):
    """Migration 0004 brought the column."""
    usages = {0: "key_encipherment", 1: "digital_signature", 2: "digital_signature"}
    with create_store(empty_url) as store:
        for number, address in ((0, ALICE), (1, ALICE), (2, "bob@example.org")):
            if number != 1:
                store.add_account(address, by=ADMINISTRATOR)
            data = pem(number, emails=(address,), usage=key_usage(usages[number]))
            store.import_certificates(address, data, by=ADMINISTRATOR)
        held = [store.certificates(one) for one in (ALICE, "bob@example.org")]
        assert [[one.set_aside for one in each] for each in held] == [[False, True], [False]]
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE certificates DROP COLUMN set_aside"))
        connection.execute(text("UPDATE cmstream_version SET version_num = '0003'"))
    engine.dispose()
    with raises("not-migrated"):
        open_store(empty_url)
    with create_store(empty_url) as store:
        assert [store.certificates(one) for one in (ALICE, "bob@example.org")] == held


def test_a_migration_that_fails_leaves_nothing_behind(empty_url, monkeypatch):
    from alembic import command

    def upgrade(config, revision):
        real(config, revision)
        raise RuntimeError("the power failed")

    real = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", upgrade)
        with pytest.raises(RuntimeError, match="power"):
            create_store(empty_url)
    with raises("not-migrated"):
        open_store(empty_url)
    create_store(empty_url).close()


# --- the audit log is append-only ------------------------------------------------------------


@pytest.fixture
def logged(store):
    store.add_account(ALICE, by=ADMINISTRATOR)
    (entry,) = store.audit()
    yield store.database
    assert store.audit() == [entry]


def forgeries():
    audit = tables.audit
    for one in audit.columns:
        if one.name not in {"id", "at", "account_id", "acknowledged_at"}:
            yield one.name, update(audit).values({one.name: "forged"})
    yield "id", update(audit).values(id=audit.c.id + 1)
    yield "account_id", update(audit).values(account_id=None)
    yield "delete", delete(audit)
    yield "unacknowledged", update(audit).values(acknowledged_at=None)
    both = {"acknowledged_at": tables.metadata.tables["accounts"].c.created_at, "actor": "x"}
    yield "with it", update(audit).values(both).where(tables.accounts.c.id == audit.c.account_id)


@pytest.mark.parametrize(
    "statement", [pytest.param(statement, id=name) for name, statement in forgeries()]
)
def test_the_database_refuses_to_change_the_log(logged, statement):
    with pytest.raises(StoreUnavailable, match="append-only"), logged.write() as connection:
        connection.execute(statement)


@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE"])
def test_sqlite_refuses_to_replace_an_entry(sqlite_url, verb):
    with create_store(sqlite_url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        entries = store.audit()
    connection = sqlite3.connect(file(sqlite_url))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(f"{verb} INTO audit SELECT * FROM audit")  # noqa: S608
    connection.close()
    with open_store(sqlite_url) as store:
        assert store.audit() == entries


def test_postgresql_refuses_to_empty_the_log(postgresql):
    url = postgresql.url(postgresql.new())
    with create_store(url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        with (
            pytest.raises(StoreUnavailable, match="append-only"),
            store.database.write() as connection,
        ):
            connection.execute(text("TRUNCATE audit"))
        assert len(store.audit()) == 1
