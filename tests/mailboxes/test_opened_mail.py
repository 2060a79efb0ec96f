"""What comes out with a wrong key takes no message's place."""

from __future__ import annotations

import base64
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from helpers.mailboxes import files, fill, put, seal, unseal

HEAD = (
    b"Subject: Sealed\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n"
)


def same_name(certificate):
    """Another key, under a certificate with the same issuer and serial number."""
    key = rsa.generate_private_key(65537, 2048)
    made = (
        x509.CertificateBuilder(certificate.issuer, certificate.subject, key.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .sign(key, hashes.SHA256())
    )
    return cmstream.Identity(key, made.public_bytes(Encoding.DER))


@pytest.mark.parametrize("named", [False, True])
def test_a_wrong_key_replaces_nothing(named, store, root, notes, alice):
    fill(root, 1000, size=100)  # each 256th opens to noise
    assert seal(store, root, notes).replaced == 1000
    before = {path.name: path.read_bytes() for path in files(root)}
    if named:
        wrong = same_name(x509.load_pem_x509_certificate(alice.recipient.pem))
    else:
        wrong = cmstream.Identity(rsa.generate_private_key(65537, 2048))
    report = unseal(wrong, root, notes)
    assert (report.replaced, report.left) == (0, {"decryption-failed": 1000})
    assert {path.name: path.read_bytes() for path in files(root)} == before


MAIL = {
    "empty header": b"\r\n\x00\xff\x01",
    "content type": b"Content-Type: text/plain\r\n\r\n\x00\xff\x01",
    "other fields": b"X-Field: Gr\xfc\xdfe\r\n\r\n\xff",
    "text": b"Only text, no field",
    "UTF-8": "Только текст, без полей, и он не кончается сразу".encode(),
    "nothing": b"",
}


@pytest.mark.parametrize("size", [0, 17 << 20])
@pytest.mark.parametrize("content", MAIL.values(), ids=MAIL)
def test_whatever_may_be_mail_is_opened(content, size, mine, alice):
    put(mine.root, as_mail(content + b"x" * size, alice.recipient))
    assert unseal(mine.me, mine.root, mine.notes).replaced == 1
    (opened,) = files(mine.root)
    assert opened.read_bytes().endswith((content + b"x" * size).lstrip(b"\r\n"))


@pytest.mark.parametrize("size", [15, 1000, 17 << 20])
def test_noise_is_left(size, root, notes, alice, me):
    message = as_mail(b"\x00" + os.urandom(size), alice.recipient)
    path = put(root, message)
    report = unseal(me, root, notes)
    assert (report.replaced, report.left) == (0, {"decryption-failed": 1})
    assert path.read_bytes() == message


def as_mail(content, recipient):
    return HEAD + base64.encodebytes(cmstream.encrypt(content, [recipient]))
