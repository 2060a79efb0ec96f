"""AES key wrap (RFC 3394): how a key-encryption key encrypts another key."""

from __future__ import annotations

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

OIDS = {
    16: "2.16.840.1.101.3.4.1.5",
    24: "2.16.840.1.101.3.4.1.25",
    32: "2.16.840.1.101.3.4.1.45",
}
"""The algorithm's name (RFC 3565 section 2.3.2) by the octets of its key-encryption key. It has no
parameters."""
KEK_LEN = {oid: octets for octets, oid in OIDS.items()}
"""The octets of a key-encryption key by the algorithm's name."""
NAMES = {oid: f"aes{8 * octets}-wrap" for octets, oid in OIDS.items()}

OVERHEAD = 8
"""Octets that a wrapped key has more than the key."""


def wrap(kek: bytes, key: bytes) -> bytes:
    """The key wrapped in ``kek``; its length is a multiple of eight."""
    return aes_key_wrap(kek, key)


def unwrap(kek: bytes, wrapped: bytes) -> bytes | None:
    """The key, or None if it wasn't wrapped in this ``kek``, or is no wrapped key at all."""
    try:
        return aes_key_unwrap(kek, wrapped)
    except (InvalidUnwrap, ValueError):
        return None
