"""The database of one lookup: it answers as the store does, or leaves it to the store."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from accounts.test_lookup import ALICE, add
from cmstream.accounts import brief_connection, record
from cmstream.accounts.errors import Invalid
from cmstream.accounts.revision import REVISION
from helpers.accounts.support import ADMINISTRATOR, pem

NOBODY = "nobody@example.net"


def seals(url, *addresses, appended=False):
    return brief_connection.seals(url, addresses, appended=appended)


@pytest.fixture
def full(store):
    """Accounts with whatever an account can have."""
    add(store, aliases=["b@example.org", "a@example.org"], domains=["b.example", "a.example"])
    store.change_account(ALICE, by=ADMINISTRATOR, clients=["thunderbird", "outlook"])
    store.import_certificates(ALICE, pem(1), by=ADMINISTRATOR)
    store.import_certificates(ALICE, pem(2), by=ADMINISTRATOR, description="new")
    store.retire_certificate(ALICE, store.certificates(ALICE)[0].fingerprint, by=ADMINISTRATOR)
    store.add_account("off@example.org", by=ADMINISTRATOR, encrypt_on_append=True)
    return store


def test_it_reads_what_the_store_reads(full):
    with full.database.asked() as ask:
        for address in (ALICE, "off@example.org"):
            found = record.read(ask, address)
            assert found.account == full.account(address)
            assert list(found.certificates) == full.certificates(address)
            assert found.switches == full.switches()


@pytest.mark.parametrize("appended", [False, True])
def test_it_answers_as_the_store_does(full, url, appended):
    addresses = [ALICE, "a+x@example.org", "x@b.example", "off@example.org", NOBODY]
    found = seals(url, *addresses, appended=appended)
    for address, seal in zip(addresses, found, strict=True):
        other = full.seal_for(address, appended=appended)
        assert (seal.action, seal.reason, seal.notes) == (other.action, other.reason, other.notes)
        assert (seal.account, seal.policy) == (other.account, other.policy)
        assert list(seal.recipients or ()) == list(other.recipients or ())


def test_it_leaves_a_database_of_another_version_to_the_store(sqlite_url):
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    for version in ("0000", "9999"):
        connection.execute("UPDATE cmstream_version SET version_num = ?", (version,))
        assert seals(sqlite_url, NOBODY) is None
    connection.execute("UPDATE cmstream_version SET version_num = ?", (REVISION,))
    assert seals(sqlite_url, NOBODY) is not None
    connection.execute("DELETE FROM cmstream_version")
    assert seals(sqlite_url, NOBODY) is None
    connection.close()


def test_it_leaves_a_database_without_tables_to_the_store(empty_url, tmp_path):
    assert seals(empty_url, ALICE) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [b"", b"SQLite format 3\0" + b"x" * 5000], ids=["empty", "damaged"]
)
def test_it_leaves_what_is_no_database_to_the_store(tmp_path, content):
    path = tmp_path / "accounts.sqlite3"
    path.write_bytes(content)
    assert seals(f"sqlite:///{path}", ALICE) is None


def test_it_leaves_waiting_for_a_lock_to_the_store(sqlite_url):
    assert seals(sqlite_url, NOBODY)[0].reason.code == "unknown-address"
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("UPDATE changes SET counter = counter + 1")
    holder.execute("COMMIT")
    assert seals(sqlite_url, NOBODY) is None
    holder.close()
    assert seals(sqlite_url, NOBODY)[0].reason.code == "unknown-address"


@pytest.mark.parametrize(
    "change",
    ["?mode=ro", "#x", "%20"],
)
def test_it_leaves_unusual_urls_to_the_store(sqlite_url, change):
    assert seals(sqlite_url + change, NOBODY) is None


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql+asyncpg://h/n",
     "postgresql://nobody@127.0.0.1:1/x", "postgresql://a:b@c@d/x", "postgresql://h/x?sslmode=no"],
)  # fmt: skip
def test_it_leaves_other_urls_to_the_store(url):
    assert seals(url, ALICE) is None


def test_it_takes_a_relative_path(sqlite_url, monkeypatch):
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    monkeypatch.chdir(path.parent)
    assert seals(f"sqlite:///{path.name}", NOBODY)[0].reason.code == "unknown-address"


def test_what_is_no_address_is_an_error(url):
    with pytest.raises(Invalid):
        seals(url, "alice")
