"""What begins the detail of an address, for the whole server."""

from __future__ import annotations

import time

import pytest

from accounts.test_lookup import ALICE, add, owner, store
from cmstream.accounts import AccessDenied, Invalid, open_store
from helpers.accounts.served import populate, serving
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem

__all__ = ["store"]  # a fixture: both ways to look up


def test_mail_with_a_detail_is_sealed_by_each_delimiter_of_the_server(store):
    add(store, "bob@example.org")
    assert owner(store, "bob+lists@example.org") == "bob"
    assert store.seal_for("bob-lists@example.org").reason.code == "unknown-address"
    store.set_switch("recipient_delimiter", "-_=", by=ADMINISTRATOR)
    for address in ("bob-lists", "bob_x", "Bob=a-b", "bob-", '"bob-a b"'):
        assert store.seal_for(f"{address}@example.org").action == "seal", address
    assert store.seal_for("bob+lists@example.org").reason.code == "unknown-address"
    store.set_switch("recipient_delimiter", "", by=ADMINISTRATOR)
    assert store.seal_for("bob-lists@example.org").reason.code == "unknown-address"
    assert store.seal_for("bob@example.org").action == "seal"


def test_exact_addresses_come_first_and_may_have_a_delimiter(store):
    store.set_switch("recipient_delimiter", "+-", by=ADMINISTRATOR)
    add(store, "mary@example.org")
    add(store, "mary-jane@example.org", aliases=["mary+x@example.org"])
    add(store, "rest@example.net", domains=["example.org"])
    assert owner(store, "mary-jane@example.org") == "mary-jane"
    assert owner(store, "mary+x@example.org") == "mary-jane"
    assert owner(store, "mary-jane-lists@example.org") == "mary"  # as Postfix delivers it
    assert owner(store, "anybody-x@example.org") == "rest"


def test_a_change_is_seen_by_lookups_elsewhere_within_a_second(store, url):
    add(store, "bob@example.org")
    with open_store(url) as gateway:
        assert gateway.seal_for("bob-lists@example.org").action == "leave"
        for value, action in ("-", "seal"), ("+", "leave"), ("+-", "seal"):
            store.set_switch("recipient_delimiter", value, by=ADMINISTRATOR)
            time.sleep(1)
            assert gateway.seal_for("bob-lists@example.org").action == action


def test_only_characters_that_can_begin_a_detail_are_taken(store):
    for wrong in ("@", "a", "+ ", "ä", "+" * 99, None, 7):
        with pytest.raises(Invalid) as caught:
            store.set_switch("recipient_delimiter", wrong, by=ADMINISTRATOR)
        assert caught.value.code == "invalid-setting"
    with pytest.raises(AccessDenied):
        store.set_switch("recipient_delimiter", "-", by=OWNER)
    assert store.switches()["recipient_delimiter"] == "+"
    assert store.audit() == []
    store.set_switch("recipient_delimiter", "-+-", by=ADMINISTRATOR)
    assert store.switches()["recipient_delimiter"] == "-+"
    (entry,) = store.audit()
    assert entry.detail == {"switch": "recipient_delimiter", "old": "+", "new": "-+"}


def test_the_api_shows_and_sets_it(url):
    with open_store(url) as store:
        populate(store)
        store.import_certificates(ALICE, pem(), by=OWNER)
    with serving(url) as world:
        api, place = world.administrator, "/api/v1/switches"
        assert api.get(place).json()["recipient_delimiter"] == "+"
        both = {"recipient_delimiter": "a", "encryption": "off"}
        answer = api.patch(place, json=both)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-setting")
        assert api.get(place).json()["encryption"] == "as-accounts-say"
        assert api.patch(place, json={"recipient_delimiter": "+-"}).status_code == 200
        seal = world.store.seal_for(ALICE.replace("@", "-x@"))
        assert seal.account
        assert seal.account.address == ALICE
