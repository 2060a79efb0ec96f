"""What the pages tell an owner: the way on when something doesn't work, in one wording each."""

from __future__ import annotations

import pytest

from cmstream.accounts import open_store
from cmstream.accounts.pages.help_pages import TOPICS
from helpers.accounts.served import ALICE, copy, peopled, serving
from helpers.accounts.support import OWNER, pem, session


@pytest.fixture(scope="module")
def _peopled(tmp_path_factory):
    return peopled(tmp_path_factory.mktemp("peopled") / "accounts.sqlite3")


@pytest.fixture
def database(_peopled, tmp_path):
    return copy(_peopled, tmp_path)


@pytest.fixture
def store(database):
    with open_store(database) as opened:
        yield opened


@pytest.fixture
def alice(database, store):
    with serving(database) as world:
        client = world.client()
        client.cookies["cmstream"] = session(store, ALICE)
        yield client


def test_whoever_cannot_read_the_test_message_finds_what_to_do(alice, store):
    store.import_certificates(ALICE, pem(), by=OWNER)
    assert 'href="/help/unreadable">No, what now?' in alice.get("/account/test").text
    page = alice.get("/help/unreadable")
    assert page.status_code == 200
    programs = [f"/help/{name}" for name, one in TOPICS.items() if one.program]
    for target in (*programs, "/account/settings", "/account/off", "/help/key"):
        assert f'href="{target}"' in page.text
    assert "/help/unreadable" in alice.get("/help").text
