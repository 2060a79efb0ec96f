"""An account's page: what others changed, each for the owner to acknowledge."""

from __future__ import annotations

import pytest

from cmstream.accounts.account import Actor
from cmstream.accounts.people.people import People
from helpers.accounts.served import PASSWORDS, peopled, send, serving
from helpers.accounts.support import session


@pytest.fixture
def world(tmp_path):
    with serving(f"sqlite:///{peopled(tmp_path / 'accounts.sqlite3')}") as found:
        yield found


def test_a_second_owner_is_a_change_and_no_part_of_making_the_account(world):
    client, store = world.client(), world.store
    people, address = People(store), "carol@example.org"
    makers = [Actor("maker", "administrator"), Actor("another", "administrator")]
    store.add_account(address, by=makers[0])
    for name, by in ((address, makers[0]), ("mallory", makers[1]), ("mandy", makers[0])):
        people.add(name, "owner", account=address, by=by)
        people.add_link("first-sign-in", name, by=by)
    client.cookies["cmstream"] = session(store, address)
    text = client.get("/account").text
    assert "maker made this account on" in text
    assert "Somebody else changed your account: 4 changes" in text
    forms = text.split('action="/account/acknowledge"')[1:]
    assert [one.split("</form>")[0].count('name="entry"') for one in forms] == [1, 1, 1, 1, 3]
    for name in ("mallory", "mandy"):
        assert text.count(f"let somebody sign in: {name}") == 2
    assert f"let somebody sign in: {address}" not in text
    client.cookies["cmstream"] = session(store, "mallory")
    assert "Somebody else changed your account: 6 changes" in client.get("/account").text
    client.cookies["cmstream"] = session(store, "root")
    text = client.get("/account", params={"address": address}).text
    assert "Not acknowledged by the owner yet: 4 changes" in text


def test_an_owner_whose_name_is_taken(world):
    """Many an administrator signs in by the address of their own mailbox."""
    client, store, name = world.client(), world.store, "boss@example.org"
    People(store).add(name, "administrator", by=Actor("root", "administrator"))
    client.cookies["cmstream"] = session(store, "root")
    given = {"address": name, "owner": "yes", "password": PASSWORDS["root"]}
    answer = send(client, "/accounts/add", "/accounts/add", given)
    assert answer.status_code == 422
    assert "The account is there, without an owner" in answer.text
    assert store.account(name)
    answer = send(client, "/accounts", f"/account/owner?address={name}", given | {"name": name})
    assert answer.status_code == 422
    assert "Give its owner another name" in answer.text
