"""Private keys of odd forms: damaged where the library panics, and of ML-KEM."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from authorities import element, rsa_identity
from cmstream.errors import CertificateError
from cmstream.identity import Identity
from handmade import CIPHERS, TRIPLE_DES, algorithm, number

KEY, CERTIFICATE = rsa_identity()
DER = CERTIFICATE.public_bytes(Encoding.DER)
PASSWORD = b"correct horse"


def refusal(key, certificate=DER, password=PASSWORD):
    with pytest.raises(CertificateError) as caught:
        Identity.from_pem(key, certificate, password)
    return caught.value.code


@pytest.mark.parametrize(("cipher", "octets"), [(CIPHERS[32], 15), (TRIPLE_DES, 7)])
def test_a_short_iv_in_pkcs_8(cipher, octets):
    derivation = algorithm("1.2.840.113549.1.5.12", element(0x30, element(4, b"salt"), number(1)))
    scheme = element(0x30, derivation, algorithm(cipher, element(4, bytes(octets))))
    key = element(0x30, algorithm("1.2.840.113549.1.5.13", scheme), element(4, bytes(32)))
    assert refusal(key) == "corrupt"


def test_a_short_iv_in_old_pem():
    how = BestAvailableEncryption(PASSWORD)
    good = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, how)
    assert Identity.from_pem(good, DER, PASSWORD)
    short = re.sub(rb"(DEK-Info: [^,]*,[0-9A-F]{30})[0-9A-F]+", rb"\1", good)
    assert short != good
    assert refusal(short) == "wrong-password"
