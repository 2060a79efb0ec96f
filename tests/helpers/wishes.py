"""S/MIME capabilities in certificates, made with another's encoder."""

from __future__ import annotations

from cryptography import x509
from pyasn1.codec.der import encoder
from pyasn1.type import univ

from helpers.authorities import element

EXTENSION = x509.ObjectIdentifier("1.2.840.113549.1.9.15")
SHA1 = "1.3.14.3.2.26"
SHA256, SHA384, SHA512 = (f"2.16.840.1.101.3.4.2.{last}" for last in (1, 2, 3))
NULL = b"\5\0"


def oid(dotted):
    return encoder.encode(univ.ObjectIdentifier(dotted))


def capability(dotted, *parameters):
    return element(0x30, oid(dotted), *parameters)


def oaep(digest, mask=None, *, tagged=True, more=b""):
    """RSAES-OAEP with a hash, and another one for the mask."""
    parts = [
        capability(digest, NULL),
        capability("1.2.840.113549.1.1.8", capability(mask or digest, NULL)),
    ]
    if tagged:
        parts = [element(0xA0 + number, part) for number, part in enumerate(parts)]
    return capability("1.2.840.113549.1.1.7", element(0x30, *parts, more))


KNOWN = {
    "aes128-cbc": capability("2.16.840.1.101.3.4.1.2"),
    "aes256-cbc": capability("2.16.840.1.101.3.4.1.42"),
    "aes128-gcm": capability("2.16.840.1.101.3.4.1.6"),
    "aes256-gcm": capability("2.16.840.1.101.3.4.1.46"),
    "chacha20-poly1305": capability("1.2.840.113549.1.9.16.3.18"),
    "pkcs1v15": capability("1.2.840.113549.1.1.1", NULL),
    "oaep-sha256": oaep(SHA256),
    "oaep-sha384": oaep(SHA384),
    "oaep-sha512": oaep(SHA512),
}
TRIPLE_DES = capability("1.2.840.113549.3.7")
RC2 = capability("1.2.840.113549.3.2", element(2, b"\0\x80"))


def extension(value):
    return x509.UnrecognizedExtension(EXTENSION, value)


def wishes(*names):
    """The extension, of names and of encoded capabilities."""
    return extension(element(0x30, *[KNOWN.get(name, name) for name in names]))
