"""Passwords and key-encryption keys: what we write, what we read, and what goes wrong."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.der import decoder
from pyasn1.type import univ

import cmstream
from cmstream import Identity, Recipient
from cmstream.recipients import kek_password
from helpers.authorities import element
from helpers.handmade import (
    AES_WRAP,
    CIPHERS,
    KEY,
    NULL,
    TRIPLE_DES,
    algorithm,
    encrypt,
    number,
    oid,
    pad,
)
from helpers.handmade import envelope as handmade_envelope
from helpers.opening import envelope
from helpers.people import identity
from helpers.shapes import SHAPES

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
TEXT = b"Deeds and ledgers, and what else is kept for a while"
PBKDF2, PWRI_KEK = "1.2.840.113549.1.5.12", "1.2.840.113549.1.9.16.3.9"
SHA256, SHA512 = "1.2.840.113549.2.9", "1.2.840.113549.2.11"
KEK = Recipient.from_kek(bytes(range(32)), b"2026")
PASSWORD = Recipient.from_password("open sesame")


@pytest.fixture
def quick(monkeypatch):
    """What isn't about the number of rounds needn't take them all."""
    monkeypatch.setattr(kek_password, "ITERATIONS", 1000)


def sealed_to(info, content=TEXT, key=KEY):
    return handmade_envelope([info], encrypt(pad(content), key))


def refusal(sealed, who=PASSWORD):
    with pytest.raises(cmstream.CmstreamError) as caught:
        cmstream.decrypt(sealed, who)
    return caught.value.code


def fails(sealed, who):
    """At once, and every time: nothing comes out before."""
    context = cmstream.decryptor(who)
    with pytest.raises(cmstream.DecryptionError):
        context.update(sealed[:-16])
    with pytest.raises(cmstream.DecryptionError) as caught:
        cmstream.decrypt(sealed, who)
    return caught.value.code == "decryption-failed"


# The keys themselves


def test_a_password_is_text_or_octets():
    assert Recipient.from_password("é") == Identity.from_password("é".encode())
    for empty in ("", b""):
        with pytest.raises(ValueError, match="empty"):
            Recipient.from_password(empty)
    for wrong in (None, 5, bytearray(b"x")):
        with pytest.raises(TypeError, match="text or bytes"):
            Identity.from_password(wrong)


@pytest.mark.parametrize("octets", [0, 8, 15, 17, 31, 33, 64])
def test_a_kek_of_another_length(octets):
    with pytest.raises(ValueError, match="16, 24 or 32"):
        Recipient.from_kek(bytes(octets), b"id")


def test_a_kek_needs_a_name():
    with pytest.raises(ValueError, match="key_id"):
        Identity.from_kek(bytes(16), b"")
    assert Identity.from_kek(bytearray(16), memoryview(b"id")).key_id == b"id"


def test_secrets_are_not_shown():
    prepared = kek_password.prepare([PASSWORD, KEK], cmstream.DEFAULT)
    text = repr([PASSWORD, KEK, cmstream.Recipients([PASSWORD, KEK]), prepared])
    assert "sesame" not in text
    assert repr(KEK.octets)[2:20] not in text
    assert "2026" in text


def test_the_same_one_counts_once():
    again = Recipient.from_password(b"open sesame"), Recipient.from_kek(bytes(range(32)), b"2026")
    assert len(cmstream.Recipients([PASSWORD, KEK, *again])) == 2
    assert KEK != Recipient.from_kek(bytes(32), b"2026") != Recipient.from_kek(bytes(32), b"2027")


# What we write


def test_a_password_s_recipient_info_is_read_by_others():
    found = envelope(cmstream.encrypt(TEXT, PASSWORD))
    assert found["version"] == 3
    info = found["recipientInfos"][0]["pwri"]
    assert info["version"] == 0
    derivation = info["keyDerivationAlgorithm"]
    assert str(derivation["algorithm"]) == PBKDF2
    parameters, rest = decoder.decode(bytes(derivation["parameters"]))
    salt, rounds, prf = parameters.values()
    assert (rest, len(salt), int(rounds)) == (b"", 16, 600_000)
    assert (str(prf[0]), prf[1]) == (SHA256, univ.Null(""))
    kek = hashlib.pbkdf2_hmac("sha256", b"open sesame", bytes(salt), int(rounds), 32)

    how = info["keyEncryptionAlgorithm"]
    assert str(how["algorithm"]) == PWRI_KEK
    inner, iv = decoder.decode(bytes(how["parameters"]))[0].values()
    assert str(inner) == CIPHERS[32]
    key = double(kek, bytes(iv), bytes(info["encryptedKey"]))
    assert key[0] == 32
    assert bytes(octet ^ 0xFF for octet in key[1:4]) == key[4:7]
    opens(found, key[4:36])


def double(kek, iv, wrapped):
    """RFC 3211 section 2.3.2, without a check."""
    aes = algorithms.AES(kek)
    last = Cipher(aes, modes.CBC(wrapped[-32:-16])).decryptor().update(wrapped[-16:])
    once = Cipher(aes, modes.CBC(last)).decryptor().update(wrapped[:-16]) + last
    return Cipher(aes, modes.CBC(iv)).decryptor().update(once)


def opens(found, key):
    content = found["encryptedContentInfo"]
    iv, _ = decoder.decode(content["contentEncryptionAlgorithm"]["parameters"])
    decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(iv))).decryptor()
    assert decryptor.update(bytes(content["encryptedContent"])) == pad(TEXT)


@pytest.mark.parametrize("octets", [16, 24, 32])
def test_a_kek_s_recipient_info_is_read_by_others(octets):
    policy = cmstream.Policy(cipher="aes256-cbc" if octets == 32 else "aes128-cbc")
    kek = Recipient.from_kek(bytes(octets), b"name")
    found = envelope(cmstream.encrypt(TEXT, kek, policy=policy))
    assert found["version"] == 2
    info = found["recipientInfos"][0]["kekri"]
    assert (info["version"], info["kekid"]["keyIdentifier"]) == (4, b"name")
    how = info["keyEncryptionAlgorithm"]
    assert str(how["algorithm"]) == f"2.16.840.1.101.3.4.1.{ {16: 5, 24: 25, 32: 45}[octets] }"
    assert not how["parameters"].hasValue()
    opens(found, aes_key_unwrap(bytes(octets), bytes(info["encryptedKey"])))


@pytest.mark.parametrize("octets", [16, 24])
def test_a_kek_is_no_shorter_than_the_key_that_it_encrypts(octets):
    """RFC 3565 section 6. Such messages of others open."""
    kek = Recipient.from_kek(bytes(octets), b"name")
    for cipher in ("aes256-cbc", "aes256-gcm", "chacha20-poly1305"):
        with pytest.raises(cmstream.RecipientError) as caught:
            cmstream.encrypt(TEXT, [KEK, kek], policy=cmstream.Policy(cipher=cipher))
        assert caught.value.code == "unusable-recipient"
    sealed = cmstream.encrypt(TEXT, [KEK, kek], policy=cmstream.Policy(cipher="auto"))
    assert cmstream.inspect(sealed).cipher == "aes128-gcm"
    assert cmstream.decrypt(sealed, kek) == TEXT


def test_each_message_has_its_own_salt(quick):
    prepared = cmstream.Recipients([PASSWORD])
    infos = [envelope(cmstream.encrypt(TEXT, prepared))["recipientInfos"][0] for _ in range(3)]
    assert len({bytes(one["pwri"]["keyDerivationAlgorithm"]["parameters"]) for one in infos}) == 3


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes128-cbc"])
@pytest.mark.parametrize("shape", SHAPES)
def test_in_every_shape(quick, alice, shape, cipher):
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    sealed = cmstream.encrypt(TEXT, [PASSWORD, KEK, alice.recipient], policy=policy)
    for who in (PASSWORD, KEK, [PASSWORD, KEK], identity(alice)):
        assert SHAPES[shape](sealed, who) == TEXT


def test_among_many(quick, alice):
    jobs = [(b"Subject: x\r\n\r\nHi", [PASSWORD, KEK])] * 3 + [(b"A: b\r\n\r\nHi", alice.recipient)]
    sealed = cmstream.encrypt_many(jobs)
    assert len({bytes(one) for one in sealed}) == 4
    for one in sealed[:3]:
        assert cmstream.decrypt_message(one, KEK) == cmstream.decrypt_message(one, PASSWORD)


@pytest.mark.parametrize(
    ("kinds", "version"),
    [("a", 0), ("k", 2), ("p", 3), ("ak", 2), ("ap", 3), ("kp", 3), ("akp", 3)],
)
def test_the_version(quick, alice, kinds, version):
    everyone = {"a": alice.recipient, "k": KEK, "p": PASSWORD}
    sealed = cmstream.encrypt(TEXT, [everyone[kind] for kind in kinds])
    assert cmstream.inspect(sealed).version == envelope(sealed)["version"] == version


def test_inspection(quick):
    password = cmstream.inspect(cmstream.encrypt(TEXT, PASSWORD))
    kek = cmstream.inspect(cmstream.encrypt(TEXT, KEK))
    assert password.addressees == (("password", None, None, None, "pwri-kek", 0, None),)
    assert kek.addressees == (("kek", None, None, b"2026", "aes256-wrap", 0, None),)


def test_there_is_an_end_to_passwords(quick):
    many = [Recipient.from_password(f"{n}") for n in range(kek_password.MAX_PASSWORDS + 1)]
    sealed = cmstream.encrypt(TEXT, many[:-1])
    assert cmstream.decrypt(sealed, many[7]) == TEXT
    with pytest.raises(cmstream.RecipientError) as caught:
        cmstream.encrypt(TEXT, many)
    assert caught.value.code == "unusable-recipient"


# Who opens


def test_wrong_ones(quick):
    sealed = cmstream.encrypt(TEXT, [PASSWORD, KEK])
    assert fails(sealed, Identity.from_password("open sesam"))
    for octets in (16, 24, 32):
        assert fails(sealed, Identity.from_kek(bytes(octets), b"2026"))
    assert refusal(sealed, Identity.from_kek(KEK.octets, b"2025")) == "no-recipient"
    assert refusal(cmstream.encrypt(TEXT, KEK)) == "no-recipient"
    assert refusal(cmstream.encrypt(TEXT, PASSWORD), KEK) == "no-recipient"


def test_of_several_passwords_each_opens(quick):
    several = [Recipient.from_password(name) for name in ("one", "two", "three")]
    sealed = cmstream.encrypt(TEXT, several)
    for one in several:
        assert cmstream.decrypt(sealed, one) == TEXT
        assert cmstream.decrypt(sealed, [PASSWORD, one]) == TEXT
    assert fails(sealed, PASSWORD)


def test_where_somebody_is_named_no_password_is_tried(alice, bob, monkeypatch):
    monkeypatch.setattr(kek_password, "ITERATIONS", 1)
    sealed = cmstream.encrypt(TEXT, [Recipient.from_password("other"), alice.recipient])
    monkeypatch.delattr(kek_password.Locked, "key")
    assert cmstream.decrypt(sealed, [PASSWORD, identity(bob), identity(alice)]) == TEXT


def test_somebody_else_hears_of_a_password(quick, alice):
    with pytest.raises(cmstream.NoRecipientError, match="a password recipient"):
        cmstream.decrypt(cmstream.encrypt(TEXT, PASSWORD), identity(alice))


# What others write


def derivation(rounds=1000, prf=SHA256, *, salt=None, length=b"", kdf=PBKDF2):
    prf = algorithm(prf) if prf else b""
    salt = salt or element(4, b"salt")
    parameters = element(0x30, salt, number(rounds), length, prf)
    return element(0xA0, oid(kdf), parameters)


def pwri(how, encrypted, derived):
    return element(0xA3, number(0), derived, how, element(4, encrypted))


def wrapped(digest="sha256", rounds=1000, octets=32, *, derived=None, key=KEY):
    """A PasswordRecipientInfo with AES key wrap instead of PWRI-KEK."""
    kek = hashlib.pbkdf2_hmac(digest, b"open sesame", b"salt", rounds, octets)
    how = algorithm(AES_WRAP[octets], b"")
    return pwri(how, aes_key_wrap(kek, key), derived or derivation(rounds))


@pytest.mark.parametrize("octets", [16, 24, 32])
def test_aes_key_wrap_under_a_password(octets):
    assert cmstream.decrypt(sealed_to(wrapped(octets=octets)), PASSWORD) == TEXT


@pytest.mark.parametrize(
    ("digest", "prf"),
    [("sha1", ""), ("sha1", "1.2.840.113549.2.7"), ("sha384", "1.2.840.113549.2.10"),
     ("sha512", SHA512)],
)  # fmt: skip
def test_other_hashes(digest, prf):
    info = wrapped(digest, derived=derivation(prf=prf))
    assert cmstream.decrypt(sealed_to(info), PASSWORD) == TEXT


def test_a_length_that_is_told():
    for octets, outcome in ((32, TEXT), (16, "malformed")):
        sealed = sealed_to(wrapped(derived=derivation(length=number(octets))))
        got = cmstream.decrypt(sealed, PASSWORD) if outcome is TEXT else refusal(sealed)
        assert got == outcome


GOOD_IV = element(4, bytes(16))
ANOTHER_SALT = algorithm(PBKDF2)
BROKEN = {
    "unsupported-cipher": {
        "wrap": pwri(algorithm("1.2.3.4"), bytes(40), derivation()),
        "kdf": wrapped(derived=derivation(kdf="1.3.6.1.4.1.11591.4.11")),
        "hash": wrapped(derived=derivation(prf="1.2.3.4")),
        "no kdf": element(0xA3, number(0), algorithm(AES_WRAP[32], b""), element(4, bytes(40))),
        "cipher": pwri(algorithm(PWRI_KEK, algorithm("1.2.3.4", GOOD_IV)), bytes(48), derivation()),
    },
    "malformed": {
        "no rounds": wrapped(derived=derivation(0)),
        "salt elsewhere": wrapped(derived=derivation(salt=ANOTHER_SALT)),
        "no cipher": pwri(algorithm(PWRI_KEK), bytes(48), derivation()),
        "short IV": pwri(
            algorithm(PWRI_KEK, algorithm(CIPHERS[32], element(4, bytes(15)))),
            bytes(48),
            derivation(),
        ),
        "no key": element(0xA3, number(0), derivation(), algorithm(AES_WRAP[32], b"")),
        "nothing": element(0xA3),
    },
    "too-large": {
        "rounds": wrapped(derived=derivation(kek_password.MAX_ITERATIONS + 1)),
        "absurd rounds": wrapped(derived=derivation(1 << 200)),
    },
}


@pytest.mark.parametrize(
    ("code", "what"), [(code, what) for code, cases in BROKEN.items() for what in cases]
)
def test_broken_passwords(code, what):
    begun = time.process_time()
    assert refusal(sealed_to(BROKEN[code][what])) == code
    assert time.process_time() - begun < 1


def test_the_rounds_of_all_passwords_count():
    infos = [wrapped(derived=derivation(kek_password.MAX_ITERATIONS // 4 + n)) for n in range(4)]
    assert refusal(handmade_envelope(infos, encrypt(pad(TEXT)))) == "too-large"


def test_an_unknown_kind_beside_a_known_one():
    infos = [BROKEN["unsupported-cipher"]["kdf"], wrapped()]
    assert cmstream.decrypt(handmade_envelope(infos, encrypt(pad(TEXT))), PASSWORD) == TEXT
    infos = [BROKEN["malformed"]["no rounds"], wrapped()]
    assert refusal(handmade_envelope(infos, encrypt(pad(TEXT)))) == "malformed"


@pytest.mark.parametrize(("cipher", "block"), [(CIPHERS[16], 16), (TRIPLE_DES, 8)])
@pytest.mark.parametrize("octets", [0, 1, 8, 15, 16, 17, 32, 48, 4096])
def test_encrypted_keys_that_are_none(cipher, block, octets):
    how = algorithm(PWRI_KEK, algorithm(cipher, element(4, bytes(block))))
    assert fails(sealed_to(pwri(how, bytes(octets), derivation(1))), PASSWORD)


def kekri(name=b"2026", how=None, encrypted=None):
    how = how or algorithm(AES_WRAP[32], b"")
    encrypted = aes_key_wrap(KEK.octets, KEY) if encrypted is None else encrypted
    return element(0xA2, number(4), element(0x30, element(4, name)), how, element(4, encrypted))


def test_keks_that_others_write():
    assert cmstream.decrypt(sealed_to(kekri()), KEK) == TEXT
    null = algorithm(AES_WRAP[32], NULL)
    assert cmstream.decrypt(sealed_to(kekri(how=null)), KEK) == TEXT
    date = element(0x18, b"20260101000000Z")
    name = element(0x30, element(4, b"2026"), date)
    info = element(0xA2, number(4), name, null, element(4, aes_key_wrap(KEK.octets, KEY)))
    assert cmstream.decrypt(sealed_to(info), KEK) == TEXT
    assert refusal(sealed_to(kekri(how=algorithm("1.2.3.4"))), KEK) == "unsupported-cipher"
    missing = element(0xA2, number(4), element(0x30, element(4, b"2026")), null)
    assert refusal(sealed_to(missing), KEK) == "malformed"


@pytest.mark.parametrize("octets", [0, 7, 8, 16, 24, 25, 39, 40, 48])
def test_wrapped_keys_that_are_none(octets):
    assert fails(sealed_to(kekri(encrypted=bytes(octets))), KEK)


def test_a_key_of_another_length():
    wrong = aes_key_wrap(KEK.octets, KEY[:16])
    assert fails(sealed_to(kekri(encrypted=wrong)), KEK)


WHOLE = cmstream.encrypt(TEXT, KEK)
BY_PASSWORD = sealed_to(wrapped())


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([(WHOLE, KEK), (BY_PASSWORD, PASSWORD)]),
    st.integers(0, 400),
    st.binary(min_size=1, max_size=3),
)
def test_damage(message, where, new):
    sealed, who = message
    where %= len(sealed)
    try:
        cmstream.decrypt(sealed[:where] + new + sealed[where + len(new) :], who)
    except cmstream.CmstreamError as error:
        assert error.code in {"decryption-failed", "malformed", "truncated", "unsupported-cipher",
                              "no-recipient", "not-enveloped", "too-large", "too-deep",
                              "trailing-data", "empty"}  # fmt: skip


# The corpus


def records():
    if not (CORPUS / "expected.json").exists():
        return []
    every = json.loads((CORPUS / "expected.json").read_text(encoding="utf-8"))["records"]
    return [one for one in every if {"recipient_password", "kek"} & one.keys()]


@pytest.mark.parametrize("record", records(), ids=lambda record: record["file"])
def test_the_corpus(record):
    who = (
        Identity.from_kek(bytes.fromhex(record["kek"]), bytes.fromhex(record["kek_id"]))
        if "kek" in record
        else Identity.from_password(record["recipient_password"])
    )
    content = cmstream.decrypt((CORPUS / record["file"]).read_bytes(), who)
    assert hashlib.sha256(content).hexdigest() == record["expected"][0]["plaintext_sha256"]


def test_a_password_that_is_no_text_stays_out_of_the_error():
    for make in (cmstream.Recipient.from_password, cmstream.Identity.from_password):
        with pytest.raises(ValueError, match="UTF-8 can't encode: give bytes") as caught:
            make("open \udc80 sesame")
        assert caught.value.__context__ is None
        assert "sesame" not in repr(caught.value)
