"""The mail programs' table, and what it says of a choice."""

from __future__ import annotations

from typing import get_args

import pytest

from cmstream import policy
from cmstream.accounts.clients import CLIENTS, judge

CIPHERS = [c for c in get_args(policy.Cipher) if c != "auto"]
FEATURES = {
    *CIPHERS,
    *get_args(policy.KeyTransport),
    "RSA",
    "P",
    "brainpool",
    "X",
    "secp",
    "ML-KEM",
}
READERS = [name for name, one in CLIENTS.items() if one.opens]


def levels(*clients, **choice):
    return [finding.level for finding in judge(clients, **choice)]


@pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda one: one.id)
def test_the_table_is_sound(client):
    known = [client.opens, client.fails, frozenset(client.depends)]
    assert frozenset().union(*known) <= FEATURES
    assert sum(map(len, known)) == len(frozenset().union(*known))
    assert client.name
    assert client.version
    assert client.source


def test_the_default_suits_every_program_that_is_known_to_read_something():
    assert judge(READERS, cipher="aes256-cbc", keys=["RSA-2048"]) == ()
    assert judge(READERS, cipher="aes128-cbc") == ()


def test_what_a_program_cannot_open_is_refused_in_plain_words():
    (finding,) = judge(["apple-mail"], cipher="aes256-gcm", keys=["RSA-2048"])
    assert finding.level == "refuse"
    assert str(finding) == ("Apple Mail (macOS, iOS) can't open AES-256-GCM: choose AES-256-CBC.")
    (finding,) = judge(["neomutt"], cipher="aes256-cbc", key_transport="oaep-sha256")
    assert (finding.level, finding.client) == ("refuse", "neomutt")
    assert "PKCS #1 v1.5" in str(finding)


@pytest.mark.parametrize(
    ("client", "choice"),
    [
        ("gpgsm", {"cipher": "aes256-gcm"}),  # by version
        ("outlook-classic", {"cipher": "aes256-gcm"}),  # unknown
        ("outlook-classic", {"cipher": "aes256-cbc", "keys": ["P-256"]}),  # with a NULL
        ("thunderbird", {"cipher": "aes256-cbc", "key_transport": "oaep-sha256"}),
        ("thunderbird", {"cipher": "auto"}),
        ("samsung-email", {"cipher": "aes256-cbc"}),
        ("thunderbird-android", {"cipher": "aes256-cbc"}),  # no other choice would help
        ("Pegasus Mail", {"cipher": "aes256-cbc"}),
    ],
)
def test_what_is_uncertain_or_beyond_help_is_warned_of(client, choice):
    assert levels(client, **choice) == ["warn"]


@pytest.mark.parametrize(
    "key", ["P-256", "P-521", "brainpoolP256r1", "X25519", "X448", "secp256k1", "ML-KEM-768"]
)
def test_keys_that_a_program_cannot_use(key):
    assert levels("apple-mail", cipher="aes256-cbc", keys=[key]) == ["refuse"]
    assert levels("apple-mail", cipher="aes256-cbc", keys=[key, "RSA-3072"]) == []


def test_each_program_and_each_fault_is_named():
    found = judge(["apple-mail", "neomutt", "apple-mail"], cipher="aes128-gcm", keys=["P-256"])
    assert [finding.client for finding in found] == ["apple-mail"] * 2 + ["neomutt"] * 2
    assert judge([], cipher="aes128-gcm") == ()


def test_the_key_transport_is_of_no_matter_without_an_rsa_key():
    found = judge(["mutt"], cipher="aes256-cbc", key_transport="oaep-sha256", keys=["P-256"])
    assert found == ()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("cipher", [*CIPHERS, "auto"])
@pytest.mark.parametrize("transport", get_args(policy.KeyTransport))
def test_every_choice_gets_whole_sentences(client, cipher, transport):
    for finding in judge([client], cipher=cipher, key_transport=transport, keys=["RSA-2048"]):
        text = str(finding)
        assert text.endswith(".")
        assert CLIENTS[client].name in text
