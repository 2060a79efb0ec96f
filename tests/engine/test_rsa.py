"""RSA in C: every row against Python's own arithmetic, and both paddings against `cryptography`."""

from __future__ import annotations

import math
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from cmstream.engine import gate
from cmstream.engine.encoder import NativeEncoder
from cmstream.engine.gate import ffi, lib
from cmstream.engine.prepared_recipients import RsaKey
from cmstream.recipients.recipients import prepare
from helpers.authorities import certificate
from helpers.opening import open_cms
from helpers.people import Person, person

pytestmark = pytest.mark.skipif(not gate.kernels()["rsa"], reason="this machine has no row for RSA")
ROWS = gate.kernels()["rsa"]
EVERY_RADIX = (1 << lib.RSA_RADIXES) - 1
EXPONENTS = (3, 17, 65537, (1 << 32) + 1, (1 << 64) - 1, 0xC8DBAC252265B1F5)


def moduli(bits, source):
    """Any odd number does for arithmetic: random ones, and the ends of what has so many bits."""
    top = 1 << bits
    yield source.getrandbits(bits) | top >> 1 | 1
    yield from (top - 1, (top >> 1) + 1, top - 2 * source.getrandbits(60) - 1)


@pytest.mark.parametrize("bits", [1024, 1025, 1246, 1536, 2047, 2048, 2049, 3072, 4095, 4096])
def test_every_row_raises_to_the_power(bits):
    source = random.Random(bits)
    for exponent in EXPONENTS:
        for modulus in moduli(bits, source):
            key = RsaKey(modulus, exponent, EVERY_RADIX)
            numbers = [0, 1, 2, modulus - 1, modulus - 2]
            numbers += [modulus - (1 << source.randrange(bits - 1)) for _ in range(3)]
            numbers += [source.randrange(modulus) for _ in range(source.randrange(10))]
            for row in range(len(ROWS)):
                expected = [pow(number, exponent, modulus) for number in numbers]
                assert key.raw(row, numbers) == expected, (row, modulus, exponent)


@pytest.mark.parametrize(
    ("modulus", "exponent"),
    [
        (1 << 2047, 65537),
        ((1 << 2048) - 1, 65536),
        ((1 << 4097) - 1, 3),
        ((1 << 4158) - 1, 3),
        ((1 << 4200) - 1, 3),
        ((1 << 2048) - 1, (1 << 64) + 1),
    ],
)
def test_keys_that_c_does_not_take(modulus, exponent):
    with pytest.raises(ValueError, match="doesn't take"):
        RsaKey(modulus, exponent)


def wrapped(people, policy):
    recipients = cmstream.Recipients([one.recipient for one in people])
    to = prepare(recipients, policy).native
    assert to.wraps
    seal = NativeEncoder(policy.cipher)
    slots = to.struct.key_slots[0 : to.struct.key_slot_count]
    return seal.key(), [(one.at, modulus(one.key), one.key.size) for one in slots], seal.wrap(to)


def modulus(key):
    """By whichever form there is."""
    radix = next(radix for radix in range(lib.RSA_RADIXES) if key.form[radix].digits)
    form, bits = key.form[radix], lib.rsa_digit_bits(radix)
    return sum(form.modulus[i] << bits * i for i in range(form.digits))


PADDINGS = {
    "pkcs1v15": padding.PKCS1v15(),
    "oaep-sha256": padding.OAEP(padding.MGF1(SHA256()), SHA256(), None),
}
SIZES = [1024] * 9 + [1032, 1032, 1536, 1536, 2048, 2048, 2048, 3072, 4096]


@pytest.fixture(scope="module")
def people():
    return [person(bits, number=i, emails=(f"{i}@x.org",)) for i, bits in enumerate(SIZES)]


@pytest.mark.parametrize("transport", PADDINGS)
@pytest.mark.parametrize("count", [1, 2, 4, 5, 8, 9, 17])
def test_every_recipient_gets_the_key(people, transport, count):
    policy = cmstream.DEFAULT.clone(key_transport=transport, warn=frozenset())
    some = random.Random(count).sample(people, count)
    key, places, infos = wrapped(some, policy)
    by_modulus = {one.key.public_key().public_numbers().n: one.key for one in some}
    assert len(places) == count
    for at, numbers, size in places:
        private = by_modulus[numbers]
        assert private.decrypt(infos[at : at + size], PADDINGS[transport]) == key


def test_the_padding_is_random_and_has_no_zero(people):
    policy = cmstream.DEFAULT.clone(warn=frozenset())
    seen = set()
    for _ in range(50):
        for one in people[:4]:
            _, ((at, modulus, size),), infos = wrapped([one], policy)
            private = one.key.private_numbers()
            block = pow(int.from_bytes(infos[at : at + size], "big"), private.d, modulus)
            octets = block.to_bytes(size, "big")
            random_part, zero, key = octets[2:-32].rpartition(b"\0")
            assert octets[:2] == b"\0\2"
            assert (zero, key) == (b"\0", b"")
            assert b"\0" not in random_part
            assert random_part not in seen
            seen.add(random_part)


def test_a_key_that_c_does_not_take_is_left_to_cryptography():
    exponent = (1 << 65) + 1
    private = person().key
    numbers = private.private_numbers()
    while math.gcd(exponent, (numbers.p - 1) * (numbers.q - 1)) != 1:
        exponent += 2
    odd = odd_exponent(numbers, exponent)
    recipients = cmstream.Recipients([odd.recipient])
    assert not prepare(recipients, cmstream.DEFAULT).native.wraps
    for sealed in (cmstream.encrypt(b"x", recipients), *cmstream.encrypt_many(
        [(b"x", recipients)], form="der")):  # fmt: skip
        assert open_cms(bytes(sealed), odd.key).content == b"x"


def odd_exponent(numbers, exponent):
    d = pow(exponent, -1, (numbers.p - 1) * (numbers.q - 1))
    public = rsa.RSAPublicNumbers(exponent, numbers.p * numbers.q)
    dmp1, dmq1 = d % (numbers.p - 1), d % (numbers.q - 1)
    private = rsa.RSAPrivateNumbers(numbers.p, numbers.q, d, dmp1, dmq1, numbers.iqmp, public)
    key = private.private_key()
    (recipient,) = cmstream.load_recipients(certificate(key).public_bytes(Encoding.DER))
    return Person(key, recipient)


def test_every_level_opens(level, alice):
    for transport in PADDINGS:
        policy = cmstream.DEFAULT.clone(key_transport=transport)
        sealed = cmstream.encrypt(b"content", alice.recipient, policy=policy)
        assert open_cms(sealed, alice.key).content == b"content"


def test_a_key_that_is_not_prepared_for_a_row_seals_nothing(alice):
    """Recipients are prepared for the kernels of the moment."""
    native = prepare(cmstream.Recipients([alice.recipient]), cmstream.DEFAULT).native
    for form in native.struct.key_slots[0].key.form:
        ffi.cast("struct rsa_form *", ffi.addressof(form)).digits = 0
    with pytest.raises(OSError, match="generator gave nothing"):
        NativeEncoder("aes256-cbc").wrap(native)
