"""Who takes part: a server with two people, and browsers for them."""

from __future__ import annotations

import os
import shutil

import pytest

from helpers.accounts.served import serving
from helpers.accounts.support import ADMINISTRATOR
from helpers.accounts.visitor import (
    ALICE,
    ALICES_PASSWORD,
    ARGUMENTS,
    CHROMIUM,
    ROOT,
    ROOTS_PASSWORD,
    Visitor,
)


# No longer than that: as long as it lives, asyncio takes a loop for running.
@pytest.fixture(scope="module")
def chromium():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if not CHROMIUM or sync_playwright is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium or Playwright is missing")
        pytest.skip("Chromium or Playwright is missing")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def _database(tmp_path_factory):
    """Two people, whose passwords are hashed once for all tests, since that takes its time."""
    from cmstream.accounts import create_store
    from cmstream.accounts.people.people import People

    path = tmp_path_factory.mktemp("browser") / "accounts.sqlite3"
    with create_store(f"sqlite:///{path}") as store:
        people = People(store)
        people.add(ROOT, "administrator", password=ROOTS_PASSWORD, by=ADMINISTRATOR)
        store.add_account(ALICE, by=ADMINISTRATOR)
        people.add(ALICE, "owner", account=ALICE, password=ALICES_PASSWORD, by=ADMINISTRATOR)
    return path


@pytest.fixture
def mailed(tmp_path):
    """The file to which the mail command writes."""
    return tmp_path / "mailed"


@pytest.fixture
def database(_database, tmp_path):
    path = tmp_path / "accounts.sqlite3"
    shutil.copyfile(_database, path)
    return f"sqlite:///{path}"


@pytest.fixture
def store(database):
    from cmstream.accounts import open_store

    with open_store(database) as opened:
        yield opened


@pytest.fixture
def server(database, mailed):
    command = f"sh -c 'cat >> {mailed}'"
    with serving(database, notify=command) as world:
        yield world.base


@pytest.fixture
def visitor(chromium, server):
    """Makes visitors; whoever is made is also asked in the end what went wrong."""
    made = []

    def make(**options):
        made.append(Visitor(chromium, server, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def alice(visitor, store):
    return visitor().enter(store, ALICE)


@pytest.fixture
def root(visitor, store):
    return visitor().enter(store, ROOT)
