"""A bulk import saves each account by itself, and one that fails is left as it was."""

from __future__ import annotations

import html
import json
import re

import pytest

from cmstream.accounts import StoreUnavailable, imports
from cmstream.accounts.pages import bulk
from cmstream.accounts.store import Store
from helpers.accounts.served import ALICE, BOB, PASSWORDS, peopled, serving
from helpers.accounts.support import ADMINISTRATOR, pem, session


@pytest.fixture
def world(tmp_path):
    with serving(f"sqlite:///{peopled(tmp_path / 'accounts.sqlite3')}") as found:
        yield found


@pytest.fixture
def store(world):
    return world.store


@pytest.fixture
def root(world):
    client = world.client()
    client.cookies["cmstream"] = session(world.store, "root")
    return client


def item(address, number=0, **more):
    text = pem(number, emails=(address,)).decode()
    return {"address": address, "source": "a file", "certificates": text, **more}


def save(root, items, **data):
    plan = {"items": items, "options": {"create": "yes", "cipher": "aes256-cbc"}}
    data = {"plan": json.dumps(plan), "password": PASSWORDS["root"], **data}
    page = root.get("/accounts/import").text
    data["csrf"] = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    return root.post("/accounts/import/save", data=data)


def test_an_account_that_cannot_be_imported_is_left_as_it_was(root, store):
    items = [
        item(ALICE),
        item("new@example.org", description="two\nlines"),
        item("newer@example.org", cipher="no cipher"),
        item(BOB, 1),
    ]
    before = store.database.counter()
    answer = save(root, items)
    assert answer.status_code == 200
    assert "2 of 4 imported" in answer.text
    assert [(one.address, one.active) for one in store.accounts()] == [(ALICE, 1), (BOB, 1)]
    assert not [one for one in store.audit() if "new" in str(one.address)]
    assert store.database.counter() > before


def test_others_can_write_between_two_accounts_and_while_files_are_read(root, store, monkeypatch):
    read, done = bulk.read, []

    def meanwhile(*arguments):
        done.append(store.add_account(f"{len(done)}@example.org", by=ADMINISTRATOR))
        return read(*arguments)

    monkeypatch.setattr(bulk, "read", meanwhile)
    monkeypatch.setattr(imports, "read", refuse)
    assert (
        "3 of 3 imported"
        in save(root, [item(ALICE), item("new@example.org", 2), item(BOB, 1)]).text
    )
    assert len(done) == 3
    sealed = [one.address for one in store.accounts() if one.protected]
    assert sealed == [ALICE, BOB, "new@example.org"]


def refuse(*_):
    raise AssertionError("a file is read while nobody else can write")


def test_the_files_of_an_account_are_one_transaction(root, store, monkeypatch):
    take, others = Store.import_certificates, []

    def look(self, address, *arguments, **options):
        others.append([store.account(one).active for one in (ALICE, BOB)])
        return take(self, address, *arguments, **options)

    monkeypatch.setattr(Store, "import_certificates", look)
    items = [item(ALICE), item(BOB, 1), item(ALICE, 2)]
    assert "3 of 3 imported" in save(root, items).text
    assert others == [[0, 0], [0, 0], [2, 0]]


def test_what_the_store_had_no_time_for_can_be_sent_again(root, store, monkeypatch):
    take = Store.import_certificates

    def fail(self, address, *arguments, **options):
        if address == BOB:
            raise StoreUnavailable("store-unavailable", "the disk is full")
        return take(self, address, *arguments, **options)

    monkeypatch.setattr(Store, "import_certificates", fail)
    before = store.database.counter(), len(store.audit())
    assert save(root, [item(BOB, 1), item(ALICE)]).status_code == 503
    assert (store.database.counter(), len(store.audit())) == before
    page = save(root, [item(ALICE), item(BOB, 1), item("new@example.org", 2)])
    assert page.status_code == 200
    assert "1 of 3 imported" in page.text
    assert [(one.address, one.active) for one in store.accounts()] == [(ALICE, 1), (BOB, 0)]
    monkeypatch.undo()
    plan = json.loads(html.unescape(re.search(r'name="plan" value="([^"]+)"', page.text)[1]))
    assert [one["address"] for one in plan["items"]] == [BOB, "new@example.org"]
    again = save(root, [item(ALICE), *plan["items"]])
    assert "3 of 3 imported" in again.text
    assert [one.active for one in store.accounts()] == [1, 1, 1]


def test_what_comes_together_isnt_retired(root, store):
    """Two devices have two certificates."""
    store.import_certificates(ALICE, pem(3), by=ADMINISTRATOR)
    plan = {"items": [item(ALICE), item(ALICE, 1)], "options": {"retire_others": "yes"}}
    for _ in range(2):
        assert save(root, [], plan=json.dumps(plan)).status_code == 200
        states = [one.state for one in store.certificates(ALICE)]
        assert states == ["active", "active", "retired"]
    assert [one.action for one in store.audit(ALICE)].count("retire-certificate") == 1
