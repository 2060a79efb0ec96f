"""Tokens of machines: scoped, bound, expiring, and dead when they are revoked."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import partial

import pytest

from cmstream.accounts import (
    AccessDenied,
    Invalid,
    NotFound,
    open_store,
)
from cmstream.accounts.people.people import OWNER_SCOPES, SCOPES, People
from helpers.accounts.support import ADMINISTRATOR, OWNER

ALICE, BOB = "alice@example.org", "bob@example.org"
NOW = datetime.now(timezone.utc)


@pytest.fixture
def people(store):
    for address in (ALICE, BOB):
        store.add_account(address, by=ADMINISTRATOR)
    return People(store)


def test_a_token_is_found_by_its_secret_alone(people):
    secret, token = people.add_token("gate", scopes=["metrics"], by=ADMINISTRATOR)
    found = people.token(secret)
    assert (found.id, found.name, found.role, found.account) == (
        token.id, "gate", "administrator", None,
    )  # fmt: skip
    assert found.scopes == ("metrics",)
    for wrong in ("", secret[:-1], secret.upper(), "gate", str(token.id), "\ud800"):
        assert people.token(wrong) is None
    assert secret not in repr(token)


def test_a_revoked_token_is_dead_at_once_and_everywhere(people, url):
    secret, token = people.add_token("gate", scopes=["metrics"], by=ADMINISTRATOR)
    with open_store(url) as other:
        assert People(other).token(secret)
        people.revoke_token(token.id, by=ADMINISTRATOR)
        assert People(other).token(secret) is None
        assert people.token(secret) is None
    assert people.tokens()[0].revoked_at is not None
    first = people.revoke_token(token.id, by=ADMINISTRATOR).revoked_at
    assert people.revoke_token(token.id, by=ADMINISTRATOR).revoked_at == first


def test_a_token_expires(store, people):
    time = [NOW]
    people = People(store, now=lambda: time[0])
    end = NOW + timedelta(days=1)
    secret, _ = people.add_token("gate", scopes=["metrics"], expires_at=end, by=ADMINISTRATOR)
    time[0] = end - timedelta(seconds=1)
    assert people.token(secret)
    time[0] = end
    assert people.token(secret) is None
    with pytest.raises(Invalid):
        people.add_token("late", scopes=["metrics"], expires_at=end, by=ADMINISTRATOR)


def test_its_last_use_is_known(store, people):
    time = [NOW]
    people = People(store, now=lambda: time[0])
    secret, _ = people.add_token("gate", scopes=["metrics"], by=ADMINISTRATOR)
    assert people.tokens()[0].used_at is None
    people.token(secret)
    first = people.tokens()[0].used_at
    assert first == NOW
    time[0] += timedelta(seconds=59)
    people.token(secret)
    assert people.tokens()[0].used_at == first
    time[0] += timedelta(seconds=1)
    people.token(secret)
    assert people.tokens()[0].used_at == time[0]


def test_a_token_works_while_its_use_cannot_be_written_down(sqlite_url, monkeypatch):
    monkeypatch.setattr("cmstream.accounts.database.WAIT", 0.1)
    with open_store(sqlite_url) as store, open_store(sqlite_url) as writer:
        secret, _ = People(store).add_token("gate", scopes=["metrics"], by=ADMINISTRATOR)
        with writer.database.write():
            assert People(store).token(secret)
        assert People(store).tokens()[0].used_at is None


def test_a_token_of_an_account_is_its_owners(people):
    secret, _ = people.add_token("script", scopes=OWNER_SCOPES, account=ALICE, by=OWNER)
    found = people.token(secret)
    assert (found.role, found.account) == ("owner", ALICE)
    assert people.tokens(BOB) == []
    assert [token.name for token in people.tokens(ALICE)] == ["script"]


def test_an_owner_gets_no_token_for_all_accounts(people):
    with pytest.raises(AccessDenied) as caught:
        people.add_token("script", scopes=["accounts:read"], by=OWNER)
    assert caught.value.code == "forbidden"


@pytest.mark.parametrize("scope", sorted(set(SCOPES) - set(OWNER_SCOPES)))
def test_a_token_of_an_account_never_reaches_the_server(people, scope):
    with pytest.raises(Invalid):
        people.add_token("script", scopes=[scope], account=ALICE, by=ADMINISTRATOR)


@pytest.mark.parametrize("scopes", [[], ["everything"], ["metrics", "root"]])
def test_scopes_are_known_by_name(people, scopes):
    with pytest.raises(Invalid):
        people.add_token("gate", scopes=scopes, by=ADMINISTRATOR)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 501])
def test_a_token_has_a_name(people, name):
    with pytest.raises(Invalid) as caught:
        people.add_token(name, scopes=["metrics"], by=ADMINISTRATOR)
    assert caught.value.code == "invalid-name"


def test_an_owner_revokes_the_own_tokens_and_no_others(people):
    secret, token = people.add_token("b", scopes=["accounts:read"], account=BOB, by=ADMINISTRATOR)
    _, general = people.add_token("all", scopes=["accounts:read"], by=ADMINISTRATOR)
    for number in (token.id, general.id, 999):
        with pytest.raises(NotFound) as caught:
            people.revoke_token(number, account=ALICE, by=OWNER)
        assert str(caught.value) == f"there is no token {number}"
    assert people.token(secret)
    assert people.revoke_token(token.id, account=BOB, by=OWNER).revoked_at


def test_tokens_die_with_their_account(people, store):
    secret, _ = people.add_token("s", scopes=["accounts:read"], account=ALICE, by=ADMINISTRATOR)
    store.remove_account(ALICE, by=ADMINISTRATOR)
    assert people.token(secret) is None


def test_the_owner_is_shown_that_somebody_made_a_token(people, store):
    _, token = people.add_token("spy", scopes=["audit:read"], account=ALICE, by=ADMINISTRATOR)
    people.revoke_token(token.id, by=ADMINISTRATOR)
    found = [(e.action, e.detail["token"], e.needs_acknowledgement) for e in store.audit(ALICE)[:2]]
    assert found == [("revoke-token", "spy", True), ("add-token", "spy", True)]


def test_a_token_that_an_administrator_made_acts_for_the_owner_and_not_as_the_owner(people, store):
    secret, _ = people.add_token("sync", scopes=OWNER_SCOPES, account=ALICE, by=ADMINISTRATOR)
    found = people.token(secret)
    assert (found.role, found.account, found.by_administrator) == ("owner", ALICE, True)
    store.change_account(ALICE, by=found.actor, clients=["mutt"])
    entry = store.audit(ALICE)[0]
    assert (entry.actor, entry.role) == (f"sync, for {ALICE}", "administrator")
    assert entry.needs_acknowledgement
    for forbidden in (
        partial(store.change_account, ALICE, domains=["example.com"]),
        partial(store.remove_account, ALICE),
        partial(store.set_switch, "encryption", "off"),
        partial(store.acknowledge, entry.id, address=ALICE),
        partial(store.confirm_test, ALICE),
    ):
        with pytest.raises(AccessDenied) as caught:
            forbidden(by=found.actor)
        assert caught.value.code == "forbidden"


def test_the_owners_own_token_acts_as_the_owner(people, store):
    secret, _ = people.add_token("script", scopes=OWNER_SCOPES, account=ALICE, by=OWNER)
    store.change_account(ALICE, by=people.token(secret).actor, clients=["mutt"])
    entry = store.audit(ALICE)[0]
    assert (entry.actor, entry.role, entry.needs_acknowledgement) == ("script", "owner", False)
