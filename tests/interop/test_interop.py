"""Other people's software reads what we write."""

from __future__ import annotations

import random

import pytest

import cmstream
from helpers.peers import Gpgsm, Nss, OpenSSL, Pyca
from helpers.people import person

SIZES = [0, 1, 15, 16, 17, 47, 48, 49, 1000, 65_536, 1 << 20]
CIPHERS = ["aes256-cbc", "aes128-cbc"]
AUTHENTICATED = ["aes256-gcm", "aes128-gcm", "chacha20-poly1305"]
BITS = [1024, 2048, 3072, 4096]
WEAK_TOO = cmstream.DEFAULT.clone(warn=frozenset())
MAIL = b"Subject: x\nContent-Type: text/plain\n\nHello,\nAlice\n"
INSIDE = b"Content-Type: text/plain\r\n\r\nHello,\r\nAlice\r\n"


def octets(size):
    return random.Random(size).randbytes(size)


def streamed(data, to, form="der", policy=WEAK_TOO):
    context = cmstream.encryptor(to, form=form, policy=policy)
    return context.update(data) + context.finalize()


def both_lengths(data, to, policy=WEAK_TOO, form="der"):
    """With definite and with indefinite lengths."""
    seal = cmstream.encrypt_message if form == "message" else cmstream.encrypt
    options = {} if form == "message" else {"form": form}
    return seal(data, to, policy=policy, **options), streamed(data, to, form, policy)


def check(peer, sealed, someone, expected, *, reads=True, **options):
    """The peer reads it or, known not to, still doesn't: then what we say of it holds. One that
    goes on with a random key (RFC 3218) gives noise about once in 256 times, not an error."""
    opened = peer.open(sealed, someone, **options)
    assert (opened == expected) is reads, peer.version()


@pytest.fixture(scope="module", params=[OpenSSL, Gpgsm, Nss, Pyca], ids=lambda p: p.__name__)
def peer(request, tmp_path_factory):
    made = request.param(tmp_path_factory.mktemp(request.param.__name__))
    yield made
    made.close()


@pytest.fixture(scope="module")
def openssl(tmp_path_factory):
    return OpenSSL(tmp_path_factory.mktemp("openssl"))


@pytest.mark.parametrize("size", SIZES)
def test_sizes_and_ciphers(peer, alice, size):
    policy = WEAK_TOO.clone(cipher=CIPHERS[size % 2])
    definite, indefinite = both_lengths(octets(size), alice.recipient, policy)
    check(peer, definite, alice, octets(size))
    check(peer, indefinite, alice, octets(size), reads=not isinstance(peer, Pyca))  # DER alone


@pytest.mark.parametrize("cipher", AUTHENTICATED)
@pytest.mark.parametrize("size", [0, 1, 1000, 65_536])
def test_authenticated_ciphers(peer, alice, size, cipher):
    """Of these peers OpenSSL 3.0 alone reads AuthEnvelopedData, and knows no ChaCha20-Poly1305."""
    policy = WEAK_TOO.clone(cipher=cipher)
    reads = isinstance(peer, OpenSSL) and cipher != "chacha20-poly1305"
    for sealed in both_lengths(octets(size), alice.recipient, policy):
        check(peer, sealed, alice, octets(size), reads=reads)


@pytest.mark.parametrize("cipher", AUTHENTICATED[:2])
def test_authenticated_messages(openssl, alice, cipher):
    policy = WEAK_TOO.clone(cipher=cipher)
    for sealed in both_lengths(MAIL, alice.recipient, policy, form="message"):
        check(openssl, sealed, alice, INSIDE, form="message")


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("bits", BITS)
def test_key_sizes(peer, bits, cipher):
    someone = person(bits)
    policy = WEAK_TOO.clone(cipher=cipher)
    sealed = cmstream.encrypt(b"text", someone.recipient, policy=policy)
    check(peer, sealed, someone, b"text")


@pytest.mark.parametrize("count", [2, 3, 7, 20])
def test_each_of_many_recipients(peer, count):
    people = [person(number=n % 5, common_name=f"Person {n}") for n in range(1, count)]
    people.append(person(number=20 + count, common_name=f"Last of {count}"))
    sealed = cmstream.encrypt(b"for all", [p.recipient for p in people])
    if isinstance(peer, Gpgsm | Nss):
        people = people[-1:]  # they keep one certificate for each key
    for someone in people:
        check(peer, sealed, someone, b"for all")


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
        check(peer, sealed, alice, b"text", reads=not isinstance(peer, blind))


@pytest.mark.parametrize("size", [0, 4, 1000])
@pytest.mark.parametrize("form", ["pem", "smime"])
def test_forms(peer, alice, form, size):
    """gpgsm 2.2 opens no MIME, NSS's cmsutil 3.87 DER and BER alone; `cryptography` 50 wants PKCS7
    in the PEM line."""
    definite, indefinite = both_lengths(octets(size), alice.recipient, form=form)
    reads = form in peer.forms
    check(peer, definite, alice, octets(size), reads=reads, form=form)
    reads = reads and not isinstance(peer, Pyca)
    check(peer, indefinite, alice, octets(size), reads=reads, form=form)


def test_messages(peer, alice):
    definite, indefinite = both_lengths(MAIL, alice.recipient, form="message")
    reads = "message" in peer.forms
    check(peer, definite, alice, INSIDE, reads=reads, form="message")
    reads = reads and not isinstance(peer, Pyca)
    check(peer, indefinite, alice, INSIDE, reads=reads, form="message")


@pytest.mark.parametrize("recipient_id", ["issuer-serial", "ski"])
@pytest.mark.parametrize("key_transport", ["pkcs1v15", "oaep-sha256"])
def test_the_smime_command_reads_the_default_alone(openssl, alice, recipient_id, key_transport):
    """`openssl smime` 3.0 knows neither identifiers of keys nor OAEP."""
    policy = WEAK_TOO.clone(recipient_id=recipient_id, key_transport=key_transport)
    reads = (recipient_id, key_transport) == ("issuer-serial", "pkcs1v15")
    for sealed in both_lengths(MAIL, alice.recipient, policy, "message"):
        check(openssl, sealed, alice, INSIDE, reads=reads, form="message", command="smime")


def test_64_mib(openssl, alice):
    data = octets(1 << 16) * 1024
    assert openssl.open(streamed(data, alice.recipient), alice) == data
    assert openssl.open(cmstream.encrypt(data, alice.recipient), alice) == data


def test_bouncy_castle(bouncy_castle, alice):
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
            policy = WEAK_TOO.clone(**change)
            cases += [(s, someone, b"x") for s in both_lengths(b"x", someone.recipient, policy)]
    people = [person(number=n % 5 + 1, common_name=f"Person {n}") for n in range(20)]
    for recipient_id in ("issuer-serial", "ski"):
        policy = WEAK_TOO.clone(recipient_id=recipient_id)
        for sealed in both_lengths(b"for all", [p.recipient for p in people], policy):
            cases += [(sealed, someone, b"for all") for someone in people]
    for cipher in AUTHENTICATED:
        for sealed in both_lengths(b"x", alice.recipient, WEAK_TOO.clone(cipher=cipher)):
            cases.append((sealed, alice, b"x"))
    for sealed, someone, expected in cases:
        check(bouncy_castle, sealed, someone, expected)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9, 16, 17])
def test_batches_of_every_row_and_lane_count(level, openssl, alice, count):
    """The first, the last, and one from between."""
    contents = [octets(100 * size + count) for size in range(count)]
    ciphers = [WEAK_TOO.clone(cipher=CIPHERS[n % 2]) for n in range(count)]
    jobs = [(c, alice.recipient, p) for c, p in zip(contents, ciphers, strict=True)]
    answers = cmstream.encrypt_many(jobs, form="der")
    for index in {0, count // 2, count - 1}:
        check(openssl, bytes(answers[index]), alice, contents[index])
