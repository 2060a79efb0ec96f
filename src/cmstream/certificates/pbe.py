"""Password-based encryption of keys and certificates: PBES2 (RFC 8018) and the schemes of PKCS #12
(RFC 7292 appendix C). The library has the ciphers; what is here makes their keys and takes the
padding off."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers import algorithms as old
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from ..asn1 import tlv
from ..asn1.tlv import TlvError
from . import pfx_outline

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.ciphers import CipherAlgorithm

    from ..asn1.tlv import Tlv
    from .pfx_outline import Password


class _Scheme(NamedTuple):
    """A cipher, octets of its key and of its initialisation vector (none: a stream cipher)."""

    cipher: Callable[[bytes], CipherAlgorithm]
    key_octets: int
    iv_octets: int


def _two_keys(key: bytes) -> CipherAlgorithm:
    return old.TripleDES(key + key[:8])


_PBES2 = "1.2.840.113549.1.5.13"
_CIPHERS = {
    "2.16.840.1.101.3.4.1.2": _Scheme(algorithms.AES, 16, 16),
    "2.16.840.1.101.3.4.1.22": _Scheme(algorithms.AES, 24, 16),
    "2.16.840.1.101.3.4.1.42": _Scheme(algorithms.AES, 32, 16),
    "1.2.840.113549.3.7": _Scheme(old.TripleDES, 24, 8),
    "1.2.392.200011.61.1.1.1.2": _Scheme(old.Camellia, 16, 16),
    "1.2.392.200011.61.1.1.1.3": _Scheme(old.Camellia, 24, 16),
    "1.2.392.200011.61.1.1.1.4": _Scheme(old.Camellia, 32, 16),
}
"""Of PBES2."""
_PKCS12_SCHEMES = {
    "1.2.840.113549.1.12.1.1": _Scheme(old.ARC4, 16, 0),
    "1.2.840.113549.1.12.1.2": _Scheme(old.ARC4, 5, 0),
    "1.2.840.113549.1.12.1.3": _Scheme(old.TripleDES, 24, 8),
    "1.2.840.113549.1.12.1.4": _Scheme(_two_keys, 16, 8),
    "1.2.840.113549.1.12.1.5": _Scheme(old.RC2, 16, 8),
}
"""RC2 with 40 bits is missing in the library."""


def decrypt(algorithm: Tlv, ciphertext: bytes, password: Password) -> bytes:
    """What was encrypted by this AlgorithmIdentifier, which :func:`pfx_outline.read_cipher` has
    looked at before.

    Raises ValueError if the padding is wrong, as a wrong password makes it nearly always;
    UnsupportedAlgorithm for a cipher that the library lacks; TlvError.
    """
    fields = algorithm.fields()
    oid = fields.take(tlv.OID).oid()
    parameters = fields.take(tlv.SEQUENCE).fields()
    if oid == _PBES2:
        return _decrypt(*_pbes2(parameters, password), ciphertext)
    if oid not in _PKCS12_SCHEMES:
        raise UnsupportedAlgorithm(f"encryption by {oid}")
    scheme = _PKCS12_SCHEMES[oid]
    salt, rounds = parameters.take(tlv.OCTET_STRING).content, parameters.take(tlv.INTEGER).integer()
    key, iv = (
        pfx_outline.derived("sha1", purpose, octets, password.wide, (salt, rounds))
        for purpose, octets in ((1, scheme.key_octets), (2, scheme.iv_octets))
    )
    return _decrypt(scheme, key, iv, ciphertext)


def _pbes2(parameters: tlv.Fields, password: Password) -> tuple[_Scheme, bytes, bytes]:
    derivation = parameters.take(tlv.SEQUENCE)
    cipher = parameters.take(tlv.SEQUENCE).fields()
    oid = cipher.take(tlv.OID).oid()
    if oid not in _CIPHERS:
        raise UnsupportedAlgorithm(f"encryption by {oid}")
    scheme = _CIPHERS[oid]
    salt, rounds, digest, octets = pfx_outline.read_pbkdf2(derivation, pfx_outline.Rounds())
    if octets not in {0, scheme.key_octets}:
        raise TlvError("a derived key that isn't of the cipher's length")
    iv = cipher.take(tlv.OCTET_STRING).content
    key = hashlib.pbkdf2_hmac(digest, password.text, salt, rounds, scheme.key_octets)
    return scheme, key, iv


def _decrypt(scheme: _Scheme, key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    mode = modes.CBC(iv) if scheme.iv_octets else None
    decryptor = Cipher(scheme.cipher(key), mode).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    if mode is None:
        return padded
    unpadder = PKCS7(8 * scheme.iv_octets).unpadder()
    return unpadder.update(padded) + unpadder.finalize()
