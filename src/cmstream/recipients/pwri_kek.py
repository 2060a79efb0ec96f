"""id-alg-PWRI-KEK (RFC 3211 section 2.3): a key encrypted twice by a block cipher in CBC mode, so
that each byte of the result depends on the whole key. It encrypts keys under passwords, since only
three bytes show a wrong one."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, algorithms, modes

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..engine.decoder import envelope_error

if TYPE_CHECKING:
    from collections.abc import Callable

OID = "1.2.840.113549.1.9.16.3.9"
AES256_CBC = "2.16.840.1.101.3.4.1.42"
KEK_OCTETS, IV_OCTETS = 32, 16
"""Of AES-256-CBC, with which we write it."""

_CHECKED = 3  # bytes of the key that are there twice
_HEAD = 1 + _CHECKED


class BlockCipher(NamedTuple):
    """A cipher, with the lengths of its key and its blocks in bytes."""

    algorithm: Callable[[bytes], CipherAlgorithm]
    kek_octets: int
    block: int


_CIPHERS = {
    "2.16.840.1.101.3.4.1.2": BlockCipher(algorithms.AES, 16, 16),
    "2.16.840.1.101.3.4.1.22": BlockCipher(algorithms.AES, 24, 16),
    AES256_CBC: BlockCipher(algorithms.AES, KEK_OCTETS, IV_OCTETS),
    "1.2.840.113549.3.7": BlockCipher(TripleDES, 24, 8),
}


class Parameters(NamedTuple):
    """The cipher in CBC mode, and its IV."""

    cipher: BlockCipher
    iv: bytes


def read(parameters: Tlv | None) -> Parameters:
    """The algorithm's parameters. Raises TlvError, EnvelopeError ``unsupported-cipher``."""
    if parameters is None or parameters.tag != tlv.SEQUENCE:
        raise TlvError("the encryption of its key names no cipher")
    fields = parameters.fields()
    oid = fields.take(tlv.OID).oid()
    if oid not in _CIPHERS:
        raise envelope_error("unsupported-cipher", f"its key is encrypted by PWRI-KEK with {oid}")
    iv = fields.take(tlv.OCTET_STRING).content
    if len(iv) != _CIPHERS[oid].block:
        raise TlvError("the encryption of its key has an IV of the wrong length")
    return Parameters(_CIPHERS[oid], iv)


def wrapped_octets(key_len: int) -> int:
    """How many bytes :func:`wrap` gives for a key."""
    return max(2, -(-(_HEAD + key_len) // IV_OCTETS)) * IV_OCTETS


def wrap(kek: bytes, iv: bytes, key: bytes) -> bytes:
    """The key encrypted by AES-256."""
    head = bytes([len(key)]) + bytes(octet ^ 0xFF for octet in key[:_CHECKED])
    padding = os.urandom(wrapped_octets(len(key)) - _HEAD - len(key))
    # The second time goes on where the first one ended.
    encryptor = Cipher(algorithms.AES(kek), modes.CBC(iv)).encryptor()
    once = encryptor.update(head + key + padding)
    return encryptor.update(once) + encryptor.finalize()


def unwrap(kek: bytes, how: Parameters, wrapped: bytes) -> bytes | None:
    """The key, or None if it wasn't encrypted with this ``kek``, or nothing is."""
    block = how.cipher.block
    if len(wrapped) < 2 * block or len(wrapped) % block:
        return None
    algorithm = how.cipher.algorithm(kek)
    # The last block of the first time is what the second time began with.
    last = _decrypt(algorithm, wrapped[-2 * block : -block], wrapped[-block:])
    once = _decrypt(algorithm, last, wrapped[:-block]) + last
    opened = _decrypt(algorithm, how.iv, once)
    key = opened[_HEAD : _HEAD + opened[0]]
    check = bytes(octet ^ 0xFF for octet in opened[1:_HEAD])
    fits = hmac.compare_digest(check, opened[_HEAD : _HEAD + _CHECKED])
    return key if fits and len(key) == opened[0] else None


def _decrypt(algorithm: CipherAlgorithm, iv: bytes, ciphertext: bytes) -> bytes:
    decryptor = Cipher(algorithm, modes.CBC(iv)).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()
