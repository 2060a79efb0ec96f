"""A bulk import is saved in one transaction, and an account that fails is left as it was."""

from __future__ import annotations

import json
import re

import pytest

from cmstream.accounts import StoreUnavailable
from cmstream.accounts.store import Store
from helpers.accounts.served import ALICE, BOB, PASSWORDS, peopled, serving
from helpers.accounts.support import pem, session


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


def test_many_are_imported_in_one_transaction(root, store, monkeypatch):
    take, others = Store.import_certificates, []

    def fail(self, address, *arguments, **options):
        others.append(store.accounts(unprotected=True))
        if address == BOB:
            raise StoreUnavailable("store-unavailable", "the disk is full")
        return take(self, address, *arguments, **options)

    monkeypatch.setattr(Store, "import_certificates", fail)
    before = store.database.counter(), len(store.audit())
    assert save(root, [item(ALICE), item("new@example.org", 2), item(BOB, 1)]).status_code == 503
    assert [[one.address for one in seen] for seen in others] == [[ALICE, BOB]] * 3
    assert [(one.address, one.active) for one in store.accounts()] == [(ALICE, 0), (BOB, 0)]
    assert (store.database.counter(), len(store.audit())) == before
