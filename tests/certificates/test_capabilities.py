"""What a certificate says of the ciphers and key transports that its owner reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from cmstream.certificates.recipient import load_recipients
from helpers.authorities import certificate, element, rsa_identity, rsa_key
from helpers.peers import OpenSSL, must
from helpers.wishes import (
    KNOWN,
    NULL,
    RC2,
    SHA1,
    SHA256,
    SHA384,
    TRIPLE_DES,
    capability,
    extension,
    oaep,
    wishes,
)

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"


def read(*extra):
    made = certificate(rsa_key(), extra=extra)
    (found,) = load_recipients(made.public_bytes(Encoding.DER))
    return found.capabilities


def test_a_certificate_without_them_says_nothing():
    assert read() is None


def test_all_that_have_a_name_are_read_in_their_order():
    names = list(KNOWN)
    assert read(wishes(*names)) == tuple(names)
    assert read(wishes(*reversed(names))) == tuple(reversed(names))


def test_others_are_passed_over_and_each_counts_once():
    assert read(wishes(TRIPLE_DES, "aes256-cbc", RC2, "aes128-cbc", "aes256-cbc")) == (
        "aes256-cbc",
        "aes128-cbc",
    )
    assert read(wishes(TRIPLE_DES, RC2)) == ()
    assert read(wishes()) == ()


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (capability("1.2.840.113549.1.1.1"), "pkcs1v15"),
        (capability("2.16.840.1.101.3.4.1.42", NULL), "aes256-cbc"),
        (oaep(SHA256, tagged=False), "oaep-sha256"),  # as RFC 3560 section 5 prints it
        (capability("1.2.840.113549.1.1.7"), None),
        (capability("1.2.840.113549.1.1.7", element(0x30)), None),
        (oaep(SHA1), None),
        (oaep(SHA256, SHA1), None),
        (oaep(SHA384, SHA256), None),
        (oaep(SHA256, more=element(0xA2, capability("1.2.840.113549.1.1.9", b"\4\1L"))), None),
    ],
)
def test_parameters(one, name):
    assert read(wishes(one)) == ((name,) if name else ())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0",
        element(0x31, KNOWN["aes256-gcm"]),
        element(0x30, KNOWN["aes256-gcm"])[:-1],
        element(0x30, KNOWN["aes256-gcm"]) + b"\0",
        element(0x30, KNOWN["aes256-gcm"], b"\5\0"),
        element(0x30, element(0x30)),
        element(0x30, capability("1.2.840.113549.1.1.7", NULL)),
        element(0x30, capability("1.2.840.113549.1.1.7", element(0x30, element(0xA0)))),
    ],
)
def test_broken_ones_are_like_none(value):
    assert read(extension(value)) is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_never_spoils_the_certificate(data):
    octets = bytearray(element(0x30, *KNOWN.values()))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    found = read(extension(bytes(octets)))
    assert found is None or set(found) <= set(KNOWN)


def test_what_openssl_says_of_itself(tmp_path):
    """It has the attribute alone, whose value is the extension's."""
    key, cert = rsa_identity()
    peer = OpenSSL(tmp_path)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    me = peer.file("me.pem", pem + cert.public_bytes(Encoding.PEM))
    out = tmp_path / "signed"
    source = peer.file("in", b"x")
    must("openssl", "cms", "-sign", "-outform", "DER", "-in", source, "-signer", me, "-out", out)
    signed = out.read_bytes()
    mark = bytes.fromhex("06092a864886f70d01090f31")
    start = signed.index(mark) + len(mark) + 1
    value = signed[start : start + 2 + signed[start + 1]]
    assert read(extension(value)) == ("aes256-cbc", "aes128-cbc")


@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus isn't here")
def test_rfc_9216_s_dana_names_a_key_agreement_alone():
    (dana,) = load_recipients((CORPUS / "certificates" / "rfc9216-dana.pem").read_bytes())
    assert dana.capabilities == ()
