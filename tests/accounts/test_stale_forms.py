"""Forms that save all they show: what was saved since a form was opened isn't undone by it."""

from __future__ import annotations

import re
from html import unescape

import pytest

from cmstream.accounts import open_store
from helpers.accounts.served import ALICE, PASSWORDS, copy, peopled, serving
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem, session

COVERED = f"/account/addresses?address={ALICE}"


@pytest.fixture
def store(tmp_path):
    (tmp_path / "copy").mkdir()
    made = peopled(tmp_path / "accounts.sqlite3")
    url = copy(made, tmp_path / "copy")
    with open_store(url) as opened:
        opened.import_certificates(ALICE, pem(), by=OWNER)
        opened.url = url
        yield opened


@pytest.fixture
def visitor(store):
    """Somebody who has signed in, by name."""
    with serving(store.url) as world:

        def visitor(name):
            client = world.client()
            client.cookies["cmstream"] = session(store, name)
            return client

        yield visitor


def filled(page):
    """What a browser would send back of a page's form, with the password."""
    found = {"password": PASSWORDS["root"]}
    for tag in re.findall(r"<input[^>]*>", page):
        held = {name: unescape(value) for name, value in re.findall(r'(\w+)="([^"]*)"', tag)}
        if held["type"] in {"hidden", "text"} or " checked" in tag:
            found.setdefault(held["name"], []).append(held.get("value", ""))
    for name, text in re.findall(r'<textarea id="\w+" name="(\w+)"[^>]*>([^<]*)<', page):
        found[name] = unescape(text)
    return found


def test_choices_made_in_another_window_stay(store, visitor):
    root, page = visitor("root"), f"/account/settings?address={ALICE}"
    store.change_account(ALICE, by=OWNER, when_unusable="clear")
    old = filled(root.get(page).text)
    store.change_account(ALICE, by=OWNER, when_unusable="error")
    answer = root.post(page, data=old | {"header_protection": "shy"})
    assert answer.status_code == 422
    assert "changed meanwhile" in answer.text
    account = store.account(ALICE)
    assert (account.when_unusable, account.header_protection) == ("error", "as-server-says")
    new = filled(answer.text) | {"header_protection": "shy"}
    assert root.post(page, data=new).status_code == 303
    account = store.account(ALICE)
    assert (account.when_unusable, account.header_protection) == ("error", "shy")


@pytest.mark.parametrize("first", [None, "aes256-cbc"])
def test_encryption_isnt_switched_back(store, visitor, first):
    """The form shows a cipher where there is none."""
    root, page = visitor("root"), f"/account/settings?address={ALICE}"
    second = None if first else "aes256-cbc"
    store.change_account(ALICE, by=OWNER, cipher=first)
    old = filled(root.get(page).text)
    store.change_account(ALICE, by=OWNER, cipher=second)
    assert root.post(page, data=old).status_code == 422
    assert store.account(ALICE).cipher == second


def test_an_alias_that_another_administrator_added_stays(store, visitor):
    """Mail to it would be stored in the clear."""
    root = visitor("root")
    old = filled(root.get(COVERED).text)
    store.change_account(ALICE, by=ADMINISTRATOR, aliases=["a@example.org"])
    answer = root.post(COVERED, data=old | {"domains": "example.net"})
    assert answer.status_code == 422
    assert store.account(ALICE).aliases == ("a@example.org",)
    wrong = filled(answer.text) | {"domains": "example.net", "password": "no"}
    again = root.post(COVERED, data=wrong)
    assert again.status_code == 422
    assert root.post(COVERED, data=filled(again.text)).status_code == 303
    account = store.account(ALICE)
    assert (account.aliases, account.domains) == (("a@example.org",), ("example.net",))


def test_a_switch_that_another_administrator_set_stays(store, visitor):
    root = visitor("root")
    store.set_switch("encryption", "off", by=ADMINISTRATOR)
    old = filled(root.get("/switches").text)
    store.set_switch("encryption", "as-accounts-say", by=ADMINISTRATOR)
    answer = root.post("/switches", data=old | {"recipient_delimiter": "+-"})
    assert answer.status_code == 422
    assert "changed meanwhile" in answer.text
    assert store.switches()["encryption"] == "as-accounts-say"
    new = filled(answer.text) | {"recipient_delimiter": "+-"}
    assert root.post("/switches", data=new).status_code == 303
    assert store.switches()["recipient_delimiter"] == "+-"
    assert store.switches()["encryption"] == "as-accounts-say"
