"""Both databases for real: a file of SQLite, and a private PostgreSQL that lives as long as the
session. ``url`` and ``store`` run a test over both."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from cmstream.accounts import create_store, open_store
from cmstream.accounts.people import passwords
from helpers.accounts.persons import Clock, people_of
from helpers.accounts.support import PostgreSQL, program


@pytest.fixture(scope="session")
def postgresql():
    if not all(map(program, ("initdb", "postgres", "pg_ctl"))):
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL's programs are missing")
        pytest.skip("PostgreSQL's programs are missing")
    folder = Path(tempfile.mkdtemp(prefix="cmstream-pg-"))
    server = PostgreSQL(folder)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _postgresql_template(postgresql):
    name = postgresql.new()
    create_store(postgresql.url(name)).close()
    return name


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "accounts.sqlite3"
    create_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request):
    """Which database a test runs on: both, one after the other."""
    return request.param


@pytest.fixture
def empty_url(kind, request, tmp_path):
    """Where a store may be created: no file yet, or a database without tables."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'accounts.sqlite3'}"
    server = request.getfixturevalue("postgresql")
    return server.url(server.new())


@pytest.fixture
def url(kind, request):
    """The URL of a store that was created and holds nothing."""
    if kind == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    server = request.getfixturevalue("postgresql")
    database = request.getfixturevalue("_postgresql_template")
    yield server.url(database)
    server.empty(database)


@pytest.fixture
def store(url):
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def sqlite_url(_sqlite_template, tmp_path):
    """The same on SQLite alone, for tests that aren't about the database."""
    path = tmp_path / "accounts.sqlite3"
    shutil.copyfile(_sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def quick_hashes(monkeypatch):
    """argon2id as it is, with less work."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", quick)
    monkeypatch.setattr(passwords, "_NOBODYS", quick.hash("nobody's"))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def people(store, clock):
    """Who may sign in: :func:`~helpers.accounts.persons.people_of`."""
    return people_of(store, clock)


@pytest.fixture
def quick_people(sqlite_url, clock):
    """The same on SQLite alone."""
    with open_store(sqlite_url) as opened:
        yield people_of(opened, clock)
