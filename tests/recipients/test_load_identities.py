"""All identities of a file: several keys, several certificates of a key, keys without any."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

import cmstream
from cmstream.certificates import pfx_outline
from helpers.authorities import authority, certificate, element, identity, rsa_identity, rsa_key

PASSWORD = "correct horse"
ALICE_KEY, ALICE = rsa_identity()
RENEWED = certificate(ALICE_KEY, serial=77)
BOB_KEY, BOB = rsa_identity(emails=("bob@example.org",), common_name="Bob", number=1)
CAROL_KEY, CAROL = identity("SECP256R1", emails=("carol@example.org",), common_name="Carol")
SIGNER_KEY, SIGNER = identity("ed25519", common_name="Signer")
CA = authority()[1]
TEXT = b"third flower pot"


def octets(key, password=None):
    how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def pem(*certs):
    return b"".join(cert.public_bytes(Encoding.PEM) for cert in certs)


def der(cert):
    return cert.public_bytes(Encoding.DER)


def bag(kind, *contents):
    """A SafeBag of RFC 7292 section 4.2: 1 is a key, 3 a certificate."""
    oid = bytes.fromhex(f"060b2a864886f70d010c0a01{kind:02x}")
    return element(0x30, oid, element(0xA0, *contents))


def pfx(*things):
    """PKCS #12 in the clear with these keys and certificates in this order."""
    bags = []
    for one in things:
        if hasattr(one, "private_bytes"):
            key = one.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            bags.append(bag(1, key))
        else:
            x509 = bytes.fromhex("060a2a864886f70d01091601")
            bags.append(bag(3, element(0x30, x509, element(0xA0, element(4, der(one))))))
    data = bytes.fromhex("06092a864886f70d010701")

    def info(content):
        return element(0x30, data, element(0xA0, element(4, content)))

    return element(0x30, b"\2\1\3", info(element(0x30, info(element(0x30, *bags)))))


def sealed(*certs):
    to = [cmstream.Recipient.from_der(der(cert)) for cert in certs]
    return cmstream.encrypt(TEXT, to)


def subjects(found):
    return [[one.subject for one in who.certificates] for who in found]


def refusal(data, password=None):
    with pytest.raises(cmstream.CertificateError) as caught:
        cmstream.load_identities(data, password=password)
    return caught.value.code


TWO = {
    "PEM": octets(ALICE_KEY) + octets(BOB_KEY) + pem(CA, BOB, ALICE),
    "PEM, mixed": pem(ALICE) + octets(ALICE_KEY) + pem(BOB) + octets(BOB_KEY),
    "PKCS #12": pfx(ALICE_KEY, BOB_KEY, CA, BOB, ALICE),
}


@pytest.mark.parametrize("data", TWO.values(), ids=TWO)
def test_all_keys_of_a_file(data):
    found = cmstream.load_identities(data)
    assert subjects(found) == [["CN=Alice"], ["CN=Bob"]]
    for cert in (ALICE, BOB):
        assert cmstream.decrypt(sealed(cert), found) == TEXT
    assert cmstream.load_identities(memoryview(data))[1].recipient.subject == "CN=Bob"


RENEWALS = {
    "PEM": octets(ALICE_KEY) + pem(RENEWED, ALICE),
    "PKCS #12": pfx(ALICE_KEY, RENEWED, ALICE),
    "PKCS #12 by the library": pkcs12.serialize_key_and_certificates(
        b"name", ALICE_KEY, RENEWED, [ALICE], NoEncryption()
    ),
    "the key twice": pfx(ALICE_KEY, RENEWED, ALICE_KEY, ALICE),
}


@pytest.mark.parametrize("data", RENEWALS.values(), ids=RENEWALS)
def test_all_certificates_of_a_key(data):
    (found,) = cmstream.load_identities(data)
    assert [one.serial for one in found.certificates] == [77, ALICE.serial_number]
    assert found.recipient is found.certificates[0]
    for cert in (ALICE, RENEWED):
        for policy in (cmstream.DEFAULT, cmstream.Policy(recipient_id="ski")):
            to = cmstream.Recipient.from_der(der(cert))
            message = cmstream.encrypt(TEXT, to, policy=policy)
            assert cmstream.decrypt(message, found) == TEXT
    made = (
        cmstream.Identity.from_pkcs12(data)
        if data[:1] == b"0"
        else cmstream.Identity.from_pem(data, data)
    )
    assert made.certificates == found.certificates
    assert cmstream.Identity(ALICE_KEY, *found.certificates).usual_infos == found.usual_infos


def test_a_certificate_of_another_key_is_refused_in_any_place():
    class Token:
        def decrypt(self, ciphertext, padding):
            return ALICE_KEY.decrypt(ciphertext, padding)

    for key in (ALICE_KEY, Token()):
        with pytest.raises(cmstream.CertificateError, match="CN=Bob isn't the private key's"):
            cmstream.Identity(key, der(ALICE), der(BOB))
        assert len(cmstream.Identity(key, der(ALICE), pem(RENEWED)).certificates) == 2


def test_a_password_opens_all():
    how = BestAvailableEncryption(PASSWORD.encode())
    data = pkcs12.serialize_key_and_certificates(b"a", ALICE_KEY, ALICE, [BOB, RENEWED], how)
    (found,) = cmstream.load_identities(data, password=PASSWORD)
    assert len(found.certificates) == 2
    assert refusal(data) == "password-needed"
    assert refusal(data, "wrong") == "wrong-password"
    text = octets(ALICE_KEY, PASSWORD) + octets(CAROL_KEY, PASSWORD) + pem(ALICE)
    assert len(cmstream.load_identities(text, password=PASSWORD)) == 2
    assert refusal(text) == refusal(text + octets(BOB_KEY)) == "password-needed"
    assert refusal(text, "wrong") == "wrong-password"


def test_keys_of_no_use_are_passed_over():
    locked = octets(BOB_KEY, "another one")
    damaged = octets(BOB_KEY)[:300] + octets(BOB_KEY)[-80:]
    for data in (
        octets(SIGNER_KEY) + octets(ALICE_KEY) + pem(SIGNER, ALICE),
        locked + octets(ALICE_KEY) + pem(ALICE),
        damaged + octets(ALICE_KEY) + pem(ALICE, BOB),
        pfx(SIGNER_KEY, ALICE_KEY, SIGNER, ALICE),
    ):
        found = cmstream.load_identities(data, password=PASSWORD)
        assert subjects(found) == [["CN=Alice"]]
        single = (
            cmstream.Identity.from_pkcs12(data)
            if data[:1] == b"0"
            else cmstream.Identity.from_pem(data, data, PASSWORD)
        )
        assert single.recipient.subject == "CN=Alice"
    assert refusal(octets(SIGNER_KEY) + pem(SIGNER)) == "unsupported-key"
    assert refusal(pfx(SIGNER_KEY, SIGNER)) == "unsupported-key"


def test_what_holds_no_key():
    assert refusal(pem(ALICE)) == refusal(der(ALICE)) == refusal(b"hello") == "not-a-certificate"
    assert refusal(pfx(ALICE)) == "not-a-certificate"
    assert refusal(b" ") == "empty"
    assert refusal(octets(ALICE_KEY)[:-20]) == "truncated"


ALONE = {
    "PEM": octets(ALICE_KEY),
    "DER": ALICE_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "PKCS #12": pfx(ALICE_KEY),
    "beside another's certificate": pfx(ALICE_KEY, BOB),
    "an unreadable certificate": octets(ALICE_KEY)
    + pem(ALICE).replace(pem(ALICE)[200:240], b"A" * 40),
}


@pytest.mark.parametrize("data", ALONE.values(), ids=ALONE)
def test_a_key_without_a_certificate(data):
    (found,) = cmstream.load_identities(data)
    assert found.recipient is None
    assert found.certificates == found.usual_infos == ()
    assert (found.key_name, found.kind) == ("RSA-2048", "key-transport")
    assert repr(found) == "<Identity without a certificate, RSA-2048>"
    assert cmstream.decrypt(sealed(ALICE), found) == TEXT


def test_more_keys_than_anybody_has():
    some = [rsa_key()] * 3
    found = cmstream.load_identities(pfx(*some))
    assert len(found) == 1
    assert pfx_outline.MAX_KEYS_OCTETS > 0
