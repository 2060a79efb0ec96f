"""The content-encryption algorithms: one table. Every other list of ciphers is derived from it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Mode = Literal["cbc", "gcm", "ccm", "chacha20-poly1305"]


class ContentCipher(NamedTuple):
    """One content-encryption algorithm.

    ``name``: as :class:`~cmstream.Policy` has it; ``title``: as people write it; ``oid``: in dotted
    form; ``key_len`` and ``iv_len``: bytes of the key, and of the IV or nonce, which is 0 where
    several lengths are read.

    ``strength`` and ``reach`` rank the ciphers that cmstream writes: the higher, the stronger; the
    higher, the more mail programs read it. Both are 0 for a cipher that is only read.
    """

    name: str
    title: str
    oid: str
    mode: Mode
    key_len: int
    iv_len: int
    strength: int = 0
    reach: int = 0

    @property
    def authenticated(self) -> bool:
        """Whether it also proves its content unchanged: AuthEnvelopedData (RFC 5083)."""
        return self.mode != "cbc"


_AES = "2.16.840.1.101.3.4.1"

# AES: RFC 3565 (CBC), RFC 5084 (GCM, CCM). Triple DES: RFC 3370. ChaCha20-Poly1305: RFC 8103.
#
# Authenticated ciphers are stronger than the others. Nobody has come near a key of 128 bits, but
# mail in CBC mode has been changed on its way so that the reader's own program gave it away
# ("EFAIL", 2018; RFC 8551 section 6). AES-256-GCM and ChaCha20-Poly1305 are equally strong, but RFC
# 8551 section 2.7 requires the first and only recommends the second: more programs read the first.
CIPHERS = (
    ContentCipher("aes256-cbc", "AES-256-CBC", f"{_AES}.42", "cbc", 32, 16, strength=20, reach=50),
    ContentCipher("aes192-cbc", "AES-192-CBC", f"{_AES}.22", "cbc", 24, 16),
    ContentCipher("aes128-cbc", "AES-128-CBC", f"{_AES}.2", "cbc", 16, 16, strength=10, reach=40),
    ContentCipher("aes256-gcm", "AES-256-GCM", f"{_AES}.46", "gcm", 32, 0, strength=50, reach=30),
    ContentCipher("aes192-gcm", "AES-192-GCM", f"{_AES}.26", "gcm", 24, 0),
    ContentCipher("aes128-gcm", "AES-128-GCM", f"{_AES}.6", "gcm", 16, 0, strength=30, reach=20),
    ContentCipher(
        "chacha20-poly1305",
        "ChaCha20-Poly1305",
        "1.2.840.113549.1.9.16.3.18",
        "chacha20-poly1305",
        32,
        12,
        strength=40,
        reach=10,
    ),
    ContentCipher("aes256-ccm", "AES-256-CCM", f"{_AES}.47", "ccm", 32, 0),
    ContentCipher("aes192-ccm", "AES-192-CCM", f"{_AES}.27", "ccm", 24, 0),
    ContentCipher("aes128-ccm", "AES-128-CCM", f"{_AES}.7", "ccm", 16, 0),
    ContentCipher("des-ede3-cbc", "Triple DES", "1.2.840.113549.3.7", "cbc", 24, 8),
)

BY_OID = {one.oid: one for one in CIPHERS}
"""All ciphers that are read."""

WRITTEN = tuple(sorted((one for one in CIPHERS if one.reach), key=lambda one: -one.reach))
"""The ciphers that are written, those that most mail programs read first."""

BY_NAME = {one.name: one for one in WRITTEN}
"""The ciphers that are written, in that order."""

BY_STRENGTH = tuple(one.name for one in sorted(WRITTEN, key=lambda one: -one.strength))
"""Their names, the strongest first."""

KEY_LEN = {one.name: one.key_len for one in WRITTEN}
"""Bytes of each written cipher's content-encryption key."""

AUTHENTICATED = frozenset(one.name for one in WRITTEN if one.authenticated)
"""The written ciphers that make AuthEnvelopedData."""


def in_mode(mode: Mode) -> frozenset[str]:
    """The names of the written ciphers in this mode."""
    return frozenset(one.name for one in WRITTEN if one.mode == mode)
