"""What is longer than a database can index is refused in the same way on both."""

from __future__ import annotations

import random

import pytest

from cmstream.accounts import Invalid, open_store
from helpers.accounts.served import ACCOUNTS, populate, serving
from helpers.accounts.support import ADMINISTRATOR

ALICE = "alice@example.org"
CAROL = "carol@example.org"
CHOOSE = random.Random(13)
"""Repeated characters would be compressed, and take less room in an index."""


def of(first, last, count):
    """Different characters, of two, three or four bytes each."""
    return "".join(chr(CHOOSE.randrange(first, last)) for _ in range(count))


LONG = [of(0x4E00, 0x9000, 980), of(0x20000, 0x2A000, 980), of(0x61, 0x7B, 987), "\U0001d160" * 250]
LONGEST = [of(0x4E00, 0x9000, 328), of(0x20000, 0x2A000, 246), of(0x61, 0x7B, 986)]


@pytest.mark.parametrize("local", LONG, ids=["Han", "Han of four bytes", "ASCII", "decomposed"])
def test_longer_addresses_are_refused_everywhere(store, local):
    address = f"{local}@example.org"
    store.add_account(ALICE, by=ADMINISTRATOR)
    for ask in (
        lambda: store.add_account(address, by=ADMINISTRATOR),
        lambda: store.change_account(ALICE, by=ADMINISTRATOR, aliases=[address]),
        lambda: store.account(address),
        lambda: store.seal_for(address),
    ):
        with pytest.raises(Invalid, match="longer than 998 bytes"):
            ask()
    assert [one.address for one in store.accounts()] == [ALICE]


@pytest.mark.parametrize("local", LONGEST, ids=["Han", "Han of four bytes", "ASCII"])
def test_the_longest_addresses_are_taken_and_found(store, local):
    address = f"{local}@example.org"
    store.add_account(address, by=ADMINISTRATOR)
    store.add_account(ALICE, by=ADMINISTRATOR, aliases=[address[2:]])
    assert store.account(address).address == address
    assert store.seal_for(address).account.address == address
    assert store.seal_for(address[2:]).account.address == ALICE
    assert [one.address for one in store.accounts(after=address)] == [
        one for one in [ALICE] if one > address
    ]
    assert store.audit(address)


def test_the_longest_domain_and_the_longest_name(store, people):
    domain = ".".join(of(0x61, 0x7B, 63) for _ in range(3)) + "." + of(0x61, 0x7B, 61)
    store.add_account(CAROL, by=ADMINISTRATOR, domains=[domain])
    assert store.account(CAROL).domains == (domain,)
    for longer in (f"a{domain}", of(0x4E00, 0x9000, 980), "a" * 70000):
        with pytest.raises(Invalid) as caught:
            store.change_account(CAROL, by=ADMINISTRATOR, domains=[longer])
        assert caught.value.code == "invalid-domain"
    people.add(name := of(0x20000, 0x2A000, 500), "administrator", by=ADMINISTRATOR)
    assert people.person(name).name == name
    with pytest.raises(Invalid):
        people.add(name + "x", "administrator", by=ADMINISTRATOR)


def test_the_api_says_422_and_pages_past_a_long_address(url):
    with open_store(url) as store:
        populate(store)
    with serving(url) as world:
        api = world.administrator
        for local in LONG:
            answer = api.post(ACCOUNTS, json={"address": f"{local}@example.org"})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid-address")
            assert "longer than 998 bytes" in answer.json()["detail"]
        known = set()
        for local in LONGEST:
            answer = api.post(ACCOUNTS, json={"address": f"{local}@example.org"})
            assert answer.status_code == 201
            known.add(answer.json()["address"])
        place, seen = f"{ACCOUNTS}?limit=1", []
        while place:
            answer = api.get(place).json()
            seen += [one["address"] for one in answer["accounts"]]
            place = answer["next"]
        assert known <= set(seen)
        assert len(seen) == len(set(seen))
