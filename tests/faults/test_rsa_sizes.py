"""RSA keys of every size: 1024 to 16384 bits in steps of 8. The keys are products of many small
primes, which are quick to find, and whoever knows them can decrypt: so each message is opened, and
its padding looked at."""

from __future__ import annotations

import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from helpers.authorities import NOW, YEARS, name
from helpers.opening import decrypted_by_padding, envelope
from helpers.people import identity, person
from helpers.shapes import WEAK_TOO

E = 65537
CONTENT = b"third flower pot"


def is_prime(number):
    """Miller and Rabin's test with bases that decide all numbers of up to 64 bits."""
    odd, twos = number - 1, 0
    while not odd % 2:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        power = pow(base, odd, number)
        if power not in {1, number - 1} and not any(
            (power := power * power % number) == number - 1 for _ in range(twos - 1)
        ):
            return False
    return True


def prime(source, low, high):
    """One to which the exponent fits."""
    while True:
        found = source.randrange(low, high) | 1
        if found < high and (found - 1) % E and is_prime(found):
            return found


class Key:
    """Of exactly so many bits."""

    def __init__(self, source, pool, bits):
        primes, self.modulus = [], 1
        for one in source.sample(pool, bits // 64 - 1):
            primes.append(one)
            self.modulus *= one
        while True:
            rest = bits - self.modulus.bit_length()
            if rest <= 62:
                break
            primes.append(prime(source, 1 << 39, 1 << 40))
            self.modulus *= primes[-1]
        low = -(-(1 << bits - 1) // self.modulus)
        primes.append(prime(source, low, (1 << bits) // self.modulus))
        self.modulus *= primes[-1]
        assert self.modulus.bit_length() == bits
        assert len({*primes}) == len(primes)
        self.primes = primes

    def decrypted(self, encrypted):
        """The padded block."""
        number, modulus = int.from_bytes(encrypted, "big"), self.modulus
        assert number < modulus
        found = 0
        for one in self.primes:
            rest = modulus // one
            power = pow(number % one, pow(E, -1, one - 1), one)
            found += power * rest * pow(rest, -1, one)
        return (found % modulus).to_bytes(len(encrypted), "big")


def recipient(key, signer):
    public = rsa.RSAPublicNumbers(E, key.modulus).public_key()
    builder = x509.CertificateBuilder(
        name("CA"), name("Alice"), public, 77, NOW - YEARS, NOW + YEARS
    )
    certificate = builder.sign(signer, SHA256())
    (made,) = cmstream.load_recipients(certificate.public_bytes(Encoding.DER))
    return made


@pytest.mark.parametrize("first", [1024, pytest.param(1032, marks=pytest.mark.slow)])
def test_every_size_seals(first):
    """A few sizes always, all of them among the slow tests."""
    source = random.Random(first)
    pool = [*{prime(source, 3 << 62, 1 << 64) for _ in range(300)}]
    signer = ec.generate_private_key(ec.SECP256R1())
    sizes = range(first, 16384 + 1, 8 if first == 1032 else 1536)
    for bits in sizes:
        key = Key(source, pool, bits)
        to = recipient(key, signer)
        assert to.key == f"RSA-{bits}"
        sealed = cmstream.encrypt(CONTENT, to, policy=WEAK_TOO)
        enveloped = envelope(sealed)
        (info,) = enveloped["recipientInfos"]
        encrypted = bytes(info["ktri"]["encryptedKey"])
        assert len(encrypted) == bits // 8
        block = key.decrypted(encrypted)
        padding, content_key = block[2:-33], block[-32:]
        assert block[:2] == b"\0\2"
        assert block[-33] == 0
        assert 0 not in padding
        assert len(padding) >= 8
        assert decrypted_by_padding(enveloped, content_key)[0] == CONTENT
    print(f"{len(sizes)} sizes")  # noqa: T201


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1032, 1304, 2056, 3080, 4104])
@pytest.mark.parametrize("transport", ["pkcs1v15", "oaep-sha256"])
def test_a_sample_opens(bits, transport):
    someone = person(bits)
    policy = WEAK_TOO.clone(key_transport=transport)
    sealed = cmstream.encrypt_many([(CONTENT, someone.recipient, policy)] * 9, form="der")
    assert {cmstream.decrypt(bytes(one), identity(someone)) for one in sealed} == {CONTENT}


@pytest.mark.parametrize("bits", [1016, 16392])
def test_other_sizes_are_refused(bits):
    source = random.Random(bits)
    pool = [*{prime(source, 3 << 62, 1 << 64) for _ in range(300)}]
    with pytest.raises(cmstream.CmstreamError) as caught:
        recipient(Key(source, pool, bits), ec.generate_private_key(ec.SECP256R1()))
    assert caught.value.code == "unsupported-key"
