"""The mail programs' table, and what it says of a choice."""

from __future__ import annotations

from typing import get_args

import pytest

from cmstream import policy
from cmstream.accounts.clients import CLIENTS, KEYS, judge, warn_of_others

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
    "KEK",
    "password",
}
READERS = [name for name, one in CLIENTS.items() if "pkcs1v15" in one.opens]


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
    assert client.opens_beside | client.fails_beside <= KEYS <= FEATURES
    assert not client.opens_beside & client.fails_beside
    assert {client.ski, client.header_protection} <= {True, False, None}


def test_the_default_suits_every_program_that_is_known_to_read_something():
    assert judge(READERS, cipher="aes256-cbc", keys=["RSA-2048"]) == ()
    assert judge(READERS, cipher="aes128-cbc") == ()


def test_what_a_program_cannot_open_is_refused_in_plain_words():
    (finding,) = judge(["apple-mail"], cipher="aes256-gcm", keys=["RSA-2048"])
    assert finding.level == "refuse"
    assert str(finding) == ("Apple Mail (macOS, iOS) can't open AES-256-GCM: choose AES-256-CBC.")
    (finding,) = judge(["evolution"], cipher="aes256-cbc", key_transport="oaep-sha256")
    assert (finding.level, finding.client) == ("refuse", "evolution")
    assert "PKCS #1 v1.5" in str(finding)
    (finding,) = judge(["pkijs"], cipher="aes256-cbc")
    assert finding.level == "refuse"
    assert "read the mail with another program" in str(finding)


@pytest.mark.parametrize(
    ("client", "choice"),
    [
        ("gpgsm", {"cipher": "aes256-gcm"}),  # by version
        ("outlook-classic", {"cipher": "aes256-gcm"}),  # unknown
        ("outlook-classic", {"cipher": "aes256-cbc", "keys": ["P-256"]}),  # with a NULL
        ("thunderbird", {"cipher": "aes256-cbc", "key_transport": "oaep-sha512"}),
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
    assert levels("apple-mail", cipher="aes256-cbc", keys=[key, "RSA-3072"]) == ["warn"]


BESIDE_RSA = ["P-256", "P-521", "brainpoolP256r1", "X25519", "X448", "secp256k1", "ML-KEM-768",
              "ML-KEM-1024", "KEK", "password"]  # fmt: skip


@pytest.mark.parametrize(
    ("client", "opens", "refuses"),
    [
        ("thunderbird", "P-256 P-521 X25519 X448 KEK", "ML-KEM-768 ML-KEM-1024 password"),
        ("evolution", "", " ".join(BESIDE_RSA)),
        ("gpgsm", "ML-KEM-768 ML-KEM-1024", ""),
        ("claws-mail", "ML-KEM-768 ML-KEM-1024", ""),
        ("mutt", " ".join(BESIDE_RSA), ""),
        ("neomutt", " ".join(BESIDE_RSA), ""),
        ("node-forge", "", " ".join(BESIDE_RSA)),
        ("outlook-classic", "", ""),
    ],
)
def test_another_recipient_beside_the_rsa_key_can_shut_the_whole_message(client, opens, refuses):
    for key in BESIDE_RSA:
        for keys in ("RSA-2048", key), (key, "RSA-4096"):
            expected = ["refuse"] if key in refuses.split() else ["warn"]
            found = levels(client, cipher="aes256-cbc", keys=keys)
            assert found == ([] if key in opens.split() else expected), keys


def test_the_set_is_judged_not_each_pair():
    (finding,) = judge(["thunderbird"], cipher="aes256-cbc", keys=["P-256", "ML-KEM-768", "X448"])
    assert str(finding) == (
        "Thunderbird refuses the whole message if it is for ML-KEM-768 beside P-256: keep one kind "
        "of keys."
    )
    assert levels("thunderbird", cipher="aes256-cbc", keys=["RSA-2048", "P-256", "X448"]) == []
    # No key of its own, and a stranger: that it can't be opened is said once.
    assert levels("node-forge", cipher="aes256-cbc", keys=["P-256", "X25519"]) == ["refuse"] * 2


def test_programs_that_nobody_named_are_warned_of():
    def warned(*keys, named=()):
        return {one.client: one.level for one in warn_of_others(named, keys)}

    assert warned("RSA-2048", "ML-KEM-768") == dict.fromkeys(
        ["thunderbird", "evolution", "node-forge"], "warn"
    )
    assert warned("RSA-2048", "P-256", named=["node-forge"]) == {"evolution": "warn"}
    assert warned("RSA-2048", "RSA-4096") == warned("ML-KEM-768") == warned() == {}


@pytest.mark.parametrize(
    ("client", "ski", "header_protection"),
    [
        ("thunderbird", True, False),
        ("evolution", True, False),
        ("gpgsm", False, False),
        ("claws-mail", False, False),
        ("mutt", True, True),
        ("neomutt", True, True),
        ("pkijs", True, None),
        ("node-forge", False, None),
        ("outlook-new", None, None),
    ],
)
def test_key_identifiers_and_header_protection(client, ski, header_protection):
    assert (CLIENTS[client].ski, CLIENTS[client].header_protection) == (ski, header_protection)


def test_what_becomes_of_a_sealed_subject_is_told():
    names = ["mutt", "evolution", "pkijs"]
    found = judge(names, cipher="aes256-cbc", keys=["RSA-2048"], header_protection="baseline")
    about = [(one.level, one.client) for one in found if "subject" in str(one)]
    assert about == [("warn", "evolution"), ("warn", "pkijs")]
    assert not any("subject" in str(one) for one in judge(names, cipher="aes256-cbc"))


def test_each_program_and_each_fault_is_named():
    found = judge(["apple-mail", "evolution", "apple-mail"], cipher="aes128-gcm", keys=["P-256"])
    assert [finding.client for finding in found] == ["apple-mail"] * 2 + ["evolution"] * 2
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
