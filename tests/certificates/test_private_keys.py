"""Private keys of odd forms: damaged where the library panics, and of ML-KEM."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from cmstream.certificates.recipient import read_certificates
from cmstream.errors import CertificateError
from cmstream.recipients.identity import Identity
from helpers.authorities import element, identity, rsa_identity
from helpers.handmade import CIPHERS, DATA, TRIPLE_DES, algorithm, encrypt, number, oid, pad
from recipients.test_identity import ALICE, ALICE_KEY, CAROL, octets, pem, pfx

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


# ML-KEM

DORA, DORA_CERTIFICATE = identity("mlkem768", common_name="Dora")
DORA_DER = DORA_CERTIFICATE.public_bytes(Encoding.DER)
SEED = DORA.private_bytes_raw()
PUBLIC = DORA.public_key().public_bytes_raw()
# The first half of an expanded key can't be told from the seed without all of ML-KEM.
EXPANDED = bytes(1152) + PUBLIC + hashlib.sha3_256(PUBLIC).digest() + SEED[32:]
ML_KEM_768 = "2.16.840.1.101.3.4.4.2"


def pkcs_8(form, kind=ML_KEM_768):
    return element(0x30, number(0), algorithm(kind, b""), element(4, form))


def encrypted(octets, cipher=CIPHERS[32], key_octets=32):
    salt, iv = bytes(8), bytes(range(16))
    key = hashlib.pbkdf2_hmac("sha256", PASSWORD, salt, 2000, key_octets)
    prf = algorithm("1.2.840.113549.2.9")
    derivation = algorithm(
        "1.2.840.113549.1.5.12", element(0x30, element(4, salt), number(2000), prf)
    )
    scheme = element(0x30, derivation, algorithm(cipher, element(4, iv)))
    ciphertext = encrypt(pad(octets), key, iv)
    return element(0x30, algorithm("1.2.840.113549.1.5.13", scheme), element(4, ciphertext))


FORMS = {"seed": element(0x80, SEED), "both": element(0x30, element(4, SEED), element(4, EXPANDED))}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_ml_kem_keys(form):
    plain = pkcs_8(FORMS[form])
    armoured = b"-----BEGIN PRIVATE KEY-----\n%b-----END PRIVATE KEY-----\n"
    keys = {
        "DER": plain,
        "PEM": armoured % base64.encodebytes(plain),
        "AES-256": encrypted(plain),
        "AES-128": encrypted(plain, CIPHERS[16], 16),
    }
    for key in keys.values():
        found = Identity.from_pem(key, DORA_DER, PASSWORD)
        assert found.key.private_bytes_raw() == SEED
    for name in ("AES-256", "AES-128"):
        assert refusal(keys[name], DORA_DER, b"wrong") == "wrong-password"
        assert refusal(keys[name], DORA_DER, None) == "password-needed"


def bag(kind, value):
    return element(0x30, oid(f"1.2.840.113549.1.12.10.1.{kind}"), element(0xA0, value))


def data(*content):
    return element(0x30, oid(DATA), element(0xA0, element(4, *content)))


@pytest.mark.parametrize("form", FORMS)
def test_ml_kem_keys_in_pkcs_12(form):
    x509 = element(0x30, oid("1.2.840.113549.1.9.22.1"), element(0xA0, element(4, DORA_DER)))
    bags = element(0x30, bag(2, encrypted(pkcs_8(FORMS[form]))), bag(3, x509))
    pfx = element(0x30, number(3), data(element(0x30, data(bags))))
    assert Identity.from_pkcs12(pfx, PASSWORD).key.private_bytes_raw() == SEED
    (recipient,) = read_certificates(pfx, password=PASSWORD).recipients
    assert recipient.key == "ML-KEM-768"


def test_pkcs_12_without_a_seed():
    x509 = element(0x30, oid("1.2.840.113549.1.9.22.1"), element(0xA0, element(4, DORA_DER)))
    bags = element(0x30, bag(1, pkcs_8(element(4, EXPANDED))), bag(3, x509), bag(3, x509))
    pfx = element(0x30, number(3), data(element(0x30, data(bags))))
    with pytest.raises(CertificateError) as caught:
        Identity.from_pkcs12(pfx, PASSWORD)
    assert caught.value.code == "unsupported-key"
    assert read_certificates(pfx, password=PASSWORD).recipients[0].key == "ML-KEM-768"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (element(4, EXPANDED), "unsupported-key"),
        (element(0x80, SEED[:-1]), "corrupt"),
        (element(0x30, element(4, SEED), element(4, EXPANDED[:-1])), "corrupt"),
        (element(0x30, element(4, bytes(64)), element(4, EXPANDED)), "corrupt"),
        (element(0x30, element(4, SEED)), "corrupt"),
        (element(5), "unsupported-key"),
        (b"", "corrupt"),
    ],
    ids=["expanded", "short seed", "short expanded", "another seed", "seed in a SEQUENCE", "NULL",
         "nothing"],
)  # fmt: skip
def test_ml_kem_keys_that_can_t_be_used(form, code):
    assert refusal(pkcs_8(form), DORA_DER) == code


def test_a_parameter_set_that_is_not_there():
    assert refusal(pkcs_8(FORMS["seed"], "2.16.840.1.101.3.4.4.1"), DORA_DER) in {
        "unsupported-key",
        "corrupt",
    }


def test_the_argument_at_fault_is_named():
    key = octets(ALICE_KEY)
    for arguments, text in (
        ((b"", pem(ALICE)), "^key: the private key's file is empty"),
        ((pem(ALICE), pem(ALICE)), "^key: there is no private key"),
        ((key, key), "^certificate: this is a private key"),
        ((key, b"x"), "^certificate: this isn't a certificate"),
        ((pem(ALICE), key), "^key and certificate are swapped"),
        ((key, pem(CAROL)), "^the private key fits none"),
        ((pfx(), pem(ALICE)), "^key: this is a PKCS #12 file, which Identity.from_pkcs12"),
    ):
        with pytest.raises(CertificateError, match=text):
            Identity.from_pem(*arguments)
    with pytest.raises(CertificateError, match=r"Identity\.from_pem"):
        Identity.from_pkcs12(key)
