"""Other people's software reads what we write."""

from __future__ import annotations

import random

import pytest

import cmstream
from conftest import person
from peers import BouncyCastle, Gpgsm, Nss, OpenSSL, Pyca

SIZES = [0, 1, 15, 16, 17, 47, 48, 49, 1000, 65_536, 1 << 20]
CIPHERS = ["aes256-cbc", "aes128-cbc"]
BITS = [1024, 2048, 3072, 4096]
WEAK_TOO = cmstream.DEFAULT.clone(warn=frozenset())
MAIL = b"Subject: x\nContent-Type: text/plain\n\nHello,\nAlice\n"
INSIDE = b"Content-Type: text/plain\r\n\r\nHello,\r\nAlice\r\n"


def octets(size):
    return random.Random(size).randbytes(size)


def streamed(data, to, form="der", policy=WEAK_TOO):
    context = cmstream.encryptor(to, form=form, policy=policy)
    return context.update(data) + context.finalize()


def both_lengths(data, to, policy):
    """With definite and with indefinite lengths."""
    return cmstream.encrypt(data, to, policy=policy), streamed(data, to, policy=policy)


@pytest.fixture(scope="module", params=[OpenSSL, Gpgsm, Nss, Pyca], ids=lambda p: p.__name__)
def peer(request, tmp_path_factory):
    made = request.param(tmp_path_factory.mktemp(request.param.__name__))
    yield made
    getattr(made, "close", lambda: None)()


@pytest.fixture(scope="module")
def openssl(tmp_path_factory):
    return OpenSSL(tmp_path_factory.mktemp("openssl"))


@pytest.mark.parametrize("size", SIZES)
def test_sizes_and_ciphers(peer, alice, size):
    policy = WEAK_TOO.clone(cipher=CIPHERS[size % 2])
    definite, indefinite = both_lengths(octets(size), alice.recipient, policy)
    assert peer.open(definite, alice) == octets(size)
    if isinstance(peer, Pyca):
        assert peer.open(indefinite, alice) is None  # it reads DER alone
    else:
        assert peer.open(indefinite, alice) == octets(size)


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("bits", BITS)
def test_key_sizes(peer, bits, cipher):
    someone = person(bits)
    policy = WEAK_TOO.clone(cipher=cipher)
    sealed = cmstream.encrypt(b"text", someone.recipient, policy=policy)
    assert peer.open(sealed, someone) == b"text"


@pytest.mark.parametrize("count", [2, 3, 7, 20])
def test_each_of_many_recipients(peer, count):
    people = [person(number=n % 5, common_name=f"Person {n}") for n in range(1, count)]
    people.append(person(number=20 + count, common_name=f"Last of {count}"))
    sealed = cmstream.encrypt(b"for all", [p.recipient for p in people])
    if isinstance(peer, Gpgsm | Nss):
        people = people[-1:]  # they keep one certificate for each key
    for someone in people:
        assert peer.open(sealed, someone) == b"for all"


@pytest.mark.parametrize(
    ("policy", "blind"),
    [
        (WEAK_TOO.clone(recipient_id="ski"), (Gpgsm, Pyca)),
        (WEAK_TOO.clone(key_transport="oaep-sha256"), (Gpgsm, Nss, Pyca)),
        (WEAK_TOO.clone(recipient_id="ski", key_transport="oaep-sha256"), (Gpgsm, Nss, Pyca)),
    ],
    ids=["ski", "oaep", "ski-oaep"],
)
def test_other_policies(peer, alice, policy, blind):
    """gpgsm 2.2 reads neither; NSS 3.87 no OAEP; `cryptography` 50 neither."""
    for sealed in both_lengths(b"text", alice.recipient, policy):
        if isinstance(peer, blind):
            assert peer.open(sealed, alice) is None
        else:
            assert peer.open(sealed, alice) == b"text"


@pytest.mark.parametrize("form", ["pem", "smime"])
def test_forms(openssl, alice, form):
    for data in (b"", b"text", octets(1000)):
        name = "SMIME" if form == "smime" else "PEM"
        sealed = cmstream.encrypt(data, alice.recipient, form=form)
        assert openssl.open(sealed, alice, name) == data
        assert openssl.open(streamed(data, alice.recipient, form), alice, name) == data


def test_messages(openssl, alice):
    for sealed in (
        cmstream.encrypt_message(MAIL, alice.recipient),
        streamed(MAIL, alice.recipient, "message"),
    ):
        assert openssl.open(sealed, alice, "SMIME") == INSIDE
        assert openssl.open(sealed, alice, "SMIME", "smime") == INSIDE


def test_the_smime_command_reads_the_default_and_no_identifiers(openssl, alice):
    sealed = cmstream.encrypt(b"text", alice.recipient)
    assert openssl.open(sealed, alice, command="smime") == b"text"
    policy = WEAK_TOO.clone(recipient_id="ski")
    sealed = cmstream.encrypt(b"text", alice.recipient, policy=policy)
    assert openssl.open(sealed, alice, command="smime") is None
    assert "OpenSSL" in openssl.version()


def test_64_mib(openssl, alice):
    data = octets(1 << 16) * 1024
    assert openssl.open(streamed(data, alice.recipient), alice) == data
    assert openssl.open(cmstream.encrypt(data, alice.recipient), alice) == data


def test_bouncy_castle(tmp_path, alice):
    cases = [
        (sealed, alice, octets(size))
        for size in SIZES
        for sealed in both_lengths(
            octets(size), alice.recipient, WEAK_TOO.clone(cipher=CIPHERS[size % 2])
        )
    ]
    for bits in BITS:
        someone = person(bits)
        for change in ({}, {"recipient_id": "ski"}, {"key_transport": "oaep-sha256"}):
            sealed = cmstream.encrypt(b"x", someone.recipient, policy=WEAK_TOO.clone(**change))
            cases.append((sealed, someone, b"x"))
    opened = BouncyCastle(tmp_path).open_all([case[:2] for case in cases])
    assert opened == [case[2] for case in cases]
