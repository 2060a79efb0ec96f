"""Public keys: which can be encrypted to, and which can't."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import Encoding

from cmstream.asn1 import tlv
from cmstream.certificates import keys
from cmstream.certificates.recipient import load_recipients, read_certificates
from cmstream.errors import CertificateError
from helpers.authorities import certificate, element, identity, rsa_identity

_, ALICE = rsa_identity()
DER = ALICE.public_bytes(Encoding.DER)
PEM = ALICE.public_bytes(Encoding.PEM)


def refusal(data):
    with pytest.raises(CertificateError) as caught:
        load_recipients(data)
    return caught.value.code


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("SECP256R1", "P-256"),
        ("SECP521R1", "P-521"),
        ("BrainpoolP256R1", "brainpoolP256r1"),
        ("x25519", "X25519"),
        ("x448", "X448"),
    ],
)
def test_keys_for_agreement_are_taken(kind, key):
    (found,) = load_recipients(identity(kind)[1].public_bytes(Encoding.DER))
    assert found.key == key


@pytest.mark.parametrize("kind", ["ed25519", "ed448"])
def test_keys_that_only_sign_are_refused_alone_and_set_aside_in_company(kind):
    cert = identity(kind)[1].public_bytes(Encoding.PEM)
    assert refusal(cert) == "unsupported-key"
    found = read_certificates(cert + PEM)
    assert [one.key for one in found.recipients] == ["RSA-2048"]
    assert "can't be used for encryption" in found.set_aside[0].reason


def test_dsa_is_refused():
    key = dsa.generate_private_key(1024)  # noqa: S505
    assert refusal(certificate(key).public_bytes(Encoding.DER)) == "unsupported-key"


RSA_OID = bytes.fromhex("300d06092a864886f70d0101010500")


def marked(last):
    """Alice's certificate, its key under another name."""
    assert DER.count(RSA_OID) == 1
    return DER.replace(RSA_OID, RSA_OID[:-3] + bytes([last]) + RSA_OID[-2:])


def test_a_key_marked_for_oaep_is_taken_and_tells():
    (found,) = load_recipients(marked(7))
    assert (found.key, found.oaep_only) == ("RSA-2048", True)
    assert found.public_key.key_size == 2048


def test_a_key_marked_for_pss_is_refused():
    assert refusal(marked(10)) == "unsupported-key"


def rsa_info(modulus, exponent=65537):
    numbers = [
        element(0x02, n.to_bytes(n.bit_length() // 8 + 1, "big", signed=True))
        for n in (modulus, exponent)
    ]
    key = element(0x30, *numbers)
    return tlv.read_only(element(0x30, RSA_OID, element(0x03, b"\0", key)))


@pytest.mark.parametrize(
    ("modulus", "exponent", "code"),
    [
        (2**1023 - 1, 3, "unsupported-key"),
        (2**16384 + 1, 3, "unsupported-key"),
        (2**2048 - 1, 2, "unsupported-key"),
        (2**2048 - 1, 1, "unsupported-key"),
        (2**2048 - 2, 3, "unsupported-key"),
        (2**3073 - 1, 2**64 + 1, "unsupported-key"),
        (2**2048 - 1, -3, "corrupt"),
        (-(2**2048), 3, "corrupt"),
    ],
    ids=[
        "short",
        "long",
        "even exponent",
        "exponent of 1",
        "even",
        "long exponent",
        "negative exponent",
        "negative",
    ],
)
def test_rsa_numbers_that_are_no_use_are_refused(modulus, exponent, code):
    with pytest.raises(CertificateError) as caught:
        keys.load(rsa_info(modulus, exponent), "CN=Alice")
    assert caught.value.code == code


def test_rsa_of_1024_bits_is_the_least():
    assert keys.load(rsa_info(2**1024 - 1), "CN=Alice")[0] == "RSA-1024"
