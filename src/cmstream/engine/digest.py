"""A digest that C hashes again and again, with the GIL released: the key derivation of PKCS #12."""

from __future__ import annotations

from .gate import OCTETS, ffi, lib

_NAMES = {
    "sha1": lib.DIGEST_SHA1,
    "sha224": lib.DIGEST_SHA224,
    "sha256": lib.DIGEST_SHA256,
    "sha384": lib.DIGEST_SHA384,
    "sha512": lib.DIGEST_SHA512,
    "sha512_224": lib.DIGEST_SHA512_224,
    "sha512_256": lib.DIGEST_SHA512_256,
}
HASHED_IN_C = frozenset(_NAMES)
"""Their names in hashlib."""


def hashed_again(name: str, digest: bytes, times: int) -> bytes:
    """The digest of the digest, so many times; ``name`` is one of HASHED_IN_C, which made the first
    one. For PKCS #12, which wants this as often as a file says (RFC 7292 appendix B.2)."""
    octets = bytearray(digest)
    with ffi.from_buffer(OCTETS, octets, require_writable=True) as room:
        lib.digest_again(_NAMES[name], room, times)
    return bytes(octets)
