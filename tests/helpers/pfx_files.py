"""PKCS #12 files made by hand (RFC 7292), right ones and wrong ones. For tests alone."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption

from helpers.authorities import element

PASSWORD = "correct horse"

DATA = bytes.fromhex("06092a864886f70d010701")
ENCRYPTED = bytes.fromhex("06092a864886f70d010706")
KEY_BAG, SHROUDED, CERTIFICATE = (bytes.fromhex(f"060b2a864886f70d010c0a010{n}") for n in (1, 2, 3))
X509 = bytes.fromhex("060a2a864886f70d01091601")
KEY_ID = bytes.fromhex("06092a864886f70d010915")
NESTED = bytes.fromhex("060b2a864886f70d010c0a0106")
PBMAC1 = bytes.fromhex("06092a864886f70d01050e")
HMAC_SHA256 = bytes.fromhex("06082a864886f70d0209")
PBE_3DES = bytes.fromhex("060a2a864886f70d010c0103")
PBES2, PBKDF2 = (bytes.fromhex(f"06092a864886f70d01050{n}") for n in ("d", "c"))
AES256 = bytes.fromhex("060960864801650304012a")
SHA1 = bytes.fromhex("06052b0e03021a")


def bag(kind, value, key_id=None):
    attribute = element(0x30, KEY_ID, element(0x31, element(0x04, key_id or b"")))
    return element(0x30, kind, element(0xA0, value), element(0x31, attribute) if key_id else b"")


def plain_key_bag(key, key_id=None):
    octets = key.private_bytes(Encoding.DER, serialization.PrivateFormat.PKCS8, NoEncryption())
    return bag(KEY_BAG, octets, key_id)


def sealed_key_bag(key):
    octets = key.private_bytes(
        Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )
    return bag(SHROUDED, octets)


def cert_bag(cert, key_id=None):
    octets = element(0x04, cert.public_bytes(Encoding.DER))
    return bag(CERTIFICATE, element(0x30, X509, element(0xA0, octets)), key_id)


def key_bag(key_id=None, algorithm=None):
    algorithm = algorithm or element(0x30, PBE_3DES, parameters(2000))
    return bag(SHROUDED, element(0x30, algorithm, element(0x04, b"sealed")), key_id)


def parameters(rounds):
    octets = rounds.to_bytes(5, "big", signed=True).lstrip(b"\0")
    return element(0x30, element(0x04, b"salt"), element(0x02, octets or b"\0"))


def contents(*bags, indefinite=False):
    return content_info(element(0x30, *bags), indefinite=indefinite)


def content_info(content, kind=DATA, *, indefinite=False):
    octets = element(0x04, content)
    if indefinite:
        octets = element(0x24, octets, indefinite=True)
    wrapped = element(0xA0, octets, indefinite=indefinite)
    return element(0x30, kind, wrapped, indefinite=indefinite)


def sealed(*bags):
    """Contents under PBES2 with AES-256."""
    key = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), b"salt", 2000, 32)
    padder, vector = PKCS7(128).padder(), b"v" * 16
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    plain = padder.update(element(0x30, *bags)) + padder.finalize()
    cipher = element(0x30, AES256, element(0x04, vector))
    scheme = element(0x30, element(0x30, PBKDF2, parameters(2000)), cipher)
    algorithm = element(0x30, PBES2, scheme)
    octets = element(0x80, encryptor.update(plain))
    info = element(0x30, element(0x02, b"\0"), element(0x30, DATA, algorithm, octets))
    return element(0x30, ENCRYPTED, element(0xA0, info))


def whole(*infos, kind=DATA, mac=b"", indefinite=False):
    return element(
        0x30,
        element(0x02, b"\x03"),
        content_info(element(0x30, *infos), kind, indefinite=indefinite),
        mac,
        indefinite=indefinite,
    )


def clear(*bags, kind=DATA, mac=b"", indefinite=False):
    """A file whose contents stand in the clear."""
    infos = contents(*bags, indefinite=indefinite)
    return whole(infos, kind=kind, mac=mac, indefinite=indefinite)
