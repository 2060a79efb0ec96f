"""Who can get one message with whom, where there is one message for all."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cmstream.accounts import open_store
from cmstream.gateway.log import Log
from cmstream.gateway.metrics import Metrics
from cmstream.gateway.recipient_group import REFUSALS, RecipientGroup
from cmstream.gateway.service import Service
from cmstream.gateway.settings import Settings
from helpers.accounts.support import ADMINISTRATOR
from helpers.authorities import identity, rsa_identity

PEOPLE = {"alice": "RSA", "bob": "RSA", "erin": "SECP256R1", "frank": "SECP256R1"}


@pytest.fixture
def store(sqlite_url):
    """Alice, Bob, Erin and Frank are protected, Carol isn't; of Alice's programs one refuses what
    is for a key on an elliptic curve too."""
    with open_store(sqlite_url) as opened:
        for number, (name, kind) in enumerate(PEOPLE.items()):
            address = f"{name}@example.org"
            options = {"number": number, "emails": (address,)}
            _, certificate = rsa_identity(**options) if kind == "RSA" else identity(kind, **options)
            opened.add_account(address, by=ADMINISTRATOR)
            opened.import_certificates(
                address, certificate.public_bytes(Encoding.PEM), by=ADMINISTRATOR
            )
            opened.change_account(address, cipher="aes256-cbc", by=ADMINISTRATOR)
        opened.change_account("alice@example.org", clients=["evolution"], by=ADMINISTRATOR)
        opened.change_account("bob@example.org", aliases=["rob@example.org"], by=ADMINISTRATOR)
        yield opened


def service(store, mixed):
    settings = Settings((), "", mixed=mixed)
    return Service(settings, store, Log(settings), Metrics())


def taken(store, names, mixed="together", refusals=0):
    """Who gets into a group, and to how many it is sealed."""

    async def fill():
        made = service(store, mixed)
        group, found = RecipientGroup(made), []
        for seal in await made.seals([f"{name}@example.org" for name in names.split()]):
            found.append(group.takes(seal, refusals=refusals))
            if found[-1]:
                group.add(seal)
        to = group.seal.recipients
        assert group.is_one(refusals=refusals)
        await made.close()
        return found, len(to or ())

    return asyncio.run(fill())


@pytest.mark.parametrize(
    ("names", "found", "count"),
    [
        ("alice", [True], 1),
        ("alice bob rob bob", [True] * 4, 2),
        ("bob erin frank bob", [True] * 4, 3),
        # Her program would refuse the message.
        ("alice erin bob frank", [True, False, True, False], 2),
        ("erin bob alice frank", [True, True, False, True], 3),
        ("carol dave alice carol", [True, True, False, True], 0),
        ("alice carol bob", [True, False, True], 2),
    ],
)
def test_together(store, names, found, count):
    assert taken(store, names) == (found, count)


def test_split(store):
    assert taken(store, "bob rob erin alice bob", "split") == ([True, True, False, False, True], 1)
    # So many refusals would have the client thrown out.
    assert taken(store, "bob erin frank carol", "split", REFUSALS) == ([True] * 3 + [False], 3)


def test_all_at_once(store):
    async def look():
        made = service(store, "split")
        both = await made.seals(["bob@example.org", "erin@example.org"])
        mixed = await made.seals(["bob@example.org", "carol@example.org"])
        assert not RecipientGroup(made, both).is_one()
        assert RecipientGroup(made, both).is_one(refusals=REFUSALS)
        assert not RecipientGroup(made, mixed).is_one(refusals=REFUSALS)
        assert RecipientGroup(made, both[:1] * 2).is_one()
        await made.close()

    asyncio.run(look())
