"""Certificates of one encrypted part of a PKCS #12 file, by the library's own reader: for ciphers
that it has there alone, RC2 with 40 bits, which Windows long wrote, among them."""

from __future__ import annotations

import hmac
import threading
import warnings
from typing import TYPE_CHECKING

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import InvalidVersion

from ..asn1 import tlv
from . import pfx_outline

if TYPE_CHECKING:
    from .pfx_outline import Encrypted, Password

# The few object identifiers that are written here.
_DATA = bytes.fromhex("06092a864886f70d010701")
_KEY_BAG = bytes.fromhex("060b2a864886f70d010c0a0101")
_SHA256 = bytes.fromhex("0609608648016503040201")
_CONTEXT_0 = 0xA0

_one_at_a_time = threading.Lock()


def certificates(part: Encrypted, password: Password) -> list[bytes] | None:
    """In DER; None if the part doesn't open, or one of them isn't what the library can read."""
    data = _alone(part, password)
    try:
        # It warns of odd serial numbers, which are welcome here. The lock is there because
        # warning filters belong to the process.
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            found = pkcs12.load_pkcs12(data, password.text)
    except (ValueError, UnsupportedAlgorithm, InternalError, InvalidVersion):
        return None
    return [one.certificate.public_bytes(Encoding.DER) for one in found.additional_certs]


def _alone(part: Encrypted, password: Password) -> bytes:
    """A PFX of this part alone, behind a new key of nobody's.

    The library decrypts the first key that it meets and passes over the others. One hidden in
    the part could ask for any number of iterations, or be a number that takes hours to check.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    nobody = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    bag = tlv.build(tlv.SEQUENCE, _KEY_BAG, tlv.build(_CONTEXT_0, nobody))
    contents = tlv.build(tlv.SEQUENCE, _data(tlv.build(tlv.SEQUENCE, bag)), part.info)
    # The MAC tells the library which of the two empty passwords is meant.
    salt, digest = bytes(8), "sha256"
    key_octets = pfx_outline.derived(digest, 3, 32, password.wide, (salt, 1))
    value = tlv.build(tlv.OCTET_STRING, hmac.digest(key_octets, contents, digest))
    info = tlv.build(tlv.SEQUENCE, tlv.build(tlv.SEQUENCE, _SHA256), value)
    mac = tlv.build(tlv.SEQUENCE, info, tlv.build(tlv.OCTET_STRING, salt))
    return tlv.build(tlv.SEQUENCE, tlv.build(tlv.INTEGER, b"\3"), _data(contents), mac)


def _data(octets: bytes) -> bytes:
    """A ContentInfo of type data (RFC 5652 section 4)."""
    wrapped = tlv.build(_CONTEXT_0, tlv.build(tlv.OCTET_STRING, octets))
    return tlv.build(tlv.SEQUENCE, _DATA, wrapped)
