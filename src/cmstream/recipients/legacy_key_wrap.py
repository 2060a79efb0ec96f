"""Legacy key wraps, which are read and never written."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.padding import PKCS7

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm

TRIPLE_DES_WRAP = "1.2.840.113549.1.9.16.3.6"
TRIPLE_DES_KEY = 24
"""Bytes of a key for it."""

_BLOCK = 8
_IV = bytes.fromhex("4adda22c79e82105")


def unwrap_triple_des(kek: bytes, wrapped: bytes) -> bytes | None:
    """Triple-DES key wrap (RFC 3217 section 3.2): the key, or None."""
    if len(wrapped) < 3 * _BLOCK or len(wrapped) % _BLOCK:
        return None
    inner = _decrypt(TripleDES(kek), _IV, wrapped)[::-1]
    plain = _decrypt(TripleDES(kek), inner[:_BLOCK], inner[_BLOCK:])
    key, check = plain[:-_BLOCK], plain[-_BLOCK:]
    digest = hashlib.sha1(key, usedforsecurity=False).digest()
    return key if hmac.compare_digest(digest[:_BLOCK], check) else None


def unwrap_cbc(kek: bytes, iv: bytes, wrapped: bytes) -> bytes | None:
    """A content cipher in the place of a key wrap, Triple DES or AES in CBC mode with padding, as
    Apple's programs have it: the key, or None."""
    cipher = TripleDES(kek) if len(iv) == _BLOCK else AES(kek)
    try:
        padded = _decrypt(cipher, iv, wrapped)
        unpadder = PKCS7(cipher.block_size).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        return None


def _decrypt(cipher: BlockCipherAlgorithm, iv: bytes, octets: bytes) -> bytes:
    decryptor = Cipher(cipher, modes.CBC(iv)).decryptor()
    return decryptor.update(octets) + decryptor.finalize()
