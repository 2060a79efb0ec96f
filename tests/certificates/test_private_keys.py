"""Private keys of odd forms: damaged where the library panics, and of ML-KEM."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from cmstream.asn1 import tlv
from cmstream.certificates.recipient import read_certificates
from cmstream.errors import CertificateError
from cmstream.recipients.identity import Identity
from helpers.authorities import element, identity, rsa_identity
from helpers.handmade import (
    CIPHERS,
    DATA,
    TRIPLE_DES,
    algorithm,
    attribute,
    encrypt,
    number,
    oid,
    pad,
)
from helpers.peers.program import must, need
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


# BER, which RFC 5958 section 2 wants to be read


def in_ber(part, depth=0):
    """The same with indefinite lengths, and the key in segments."""
    if part.tag & tlv.CONSTRUCTED:
        inner = (in_ber(one, depth + 1) for one in part.children())
        return element(part.tag, *inner, indefinite=True)
    if part.tag != tlv.OCTET_STRING or depth > 1:
        return part.whole
    segments = [element(4, part.content[i : i + 100]) for i in range(0, len(part.content), 100)]
    return element(0x24, *segments, indefinite=True)


OF_KIND = {
    "RSA": (KEY, DER),
    **{
        kind: (key, cert.public_bytes(Encoding.DER))
        for kind, (key, cert) in ((k, identity(k)) for k in ("SECP256R1", "x25519", "mlkem768"))
    },
}


@pytest.mark.parametrize("kind", OF_KIND)
def test_pkcs_8_in_ber(kind, tmp_path):
    key, cert = OF_KIND[kind]
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    written = in_ber(tlv.read_only(plain))
    assert Identity.from_pem(written, cert).certificates
    if kind != "mlkem768":  # Debian's OpenSSL has none
        need("openssl")
        (tmp_path / "key").write_bytes(written)
        read = must("openssl", "pkey", "-inform", "DER", "-in", tmp_path / "key", "-pubout")
        assert load_pem_public_key(read.stdout) == key.public_key()
    sealed = in_ber(tlv.read_only(encrypted(plain)))
    assert Identity.from_pem(sealed, cert, PASSWORD).certificates
    assert refusal(sealed, cert, b"wrong") == "wrong-password"
    x509 = element(0x30, oid("1.2.840.113549.1.9.22.1"), element(0xA0, element(4, cert)))
    for private in (bag(1, written), bag(2, encrypted(written)), bag(2, sealed)):
        pfx = element(
            0x30, number(3), data(element(0x30, data(element(0x30, private, bag(3, x509)))))
        )
        assert Identity.from_pkcs12(pfx, PASSWORD).certificates


@pytest.mark.parametrize("kind", OF_KIND)
def test_pkcs_8_with_attributes_and_a_public_key(kind):
    """RFC 5958 section 2; the public key makes it version 2."""
    key, cert = OF_KIND[kind]
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    _, *parts = (one.whole for one in tlv.read_only(plain).children())
    info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public = element(0x81, tlv.read_only(info).children()[1].content)
    name = element(0xA0, attribute("1.2.840.113549.1.9.20", element(30, b"\0A")))
    first = element(0x30, number(0), *parts[:2], name)
    second = [element(0x30, number(1), *parts[:2], *more) for more in ([public], [name, public])]
    for written in (first, *second, in_ber(tlv.read_only(second[1])), encrypted(second[1])):
        assert Identity.from_pem(written, cert, PASSWORD).certificates
    if kind != "mlkem768":
        assert refusal(element(0x30, number(2), *parts[:2], public), cert) == "corrupt"


def test_octets_that_are_no_ber():
    plain = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    deep = element(0x30, number(0), algorithm(CIPHERS[32]), b"\x24\x80" * 40 + bytes(80))
    for key in (plain[:-9] + bytes(9), deep, deep[:-70]):
        assert refusal(key) in {"corrupt", "truncated"}


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
