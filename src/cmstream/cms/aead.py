"""The authenticated ciphers as streams: AES-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439),
and AES-CCM (RFC 3610), which is only read.

The first is `cryptography`'s own; of the second it has no stream, so it is put together here from
its ChaCha20 and its Poly1305. CCM's tag begins with the length of the content, so `cryptography`
verifies it in one piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CTR, GCM
from cryptography.hazmat.primitives.poly1305 import Poly1305

from ..errors import EnvelopeError, MessageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Buffer = bytes | bytearray | memoryview

TAG_LEN = 16
TAG_LEAST = 12
"""Bytes of a tag, and the fewest that AES-GCM may have in CMS (RFC 5084 section 3.2)."""

CCM_TAGS = range(4, 17, 2)
CCM_NONCES = range(7, 14)
"""Bytes of a tag and of a nonce for AES-CCM (RFC 5084 section 3.1)."""
CCM_MEMORY = 256 << 20
"""The most bytes of ciphertext that are kept until they can be verified in one piece."""

NONCE_LEN = 12
"""Bytes of a nonce as this program makes it; for AES-GCM others may have other lengths."""

GCM_LIMIT = (1 << 36) - 32
CHACHA20_LIMIT = (1 << 38) - 64
"""The most bytes under one key and nonce (SP 800-38D section 5.2.1.1, RFC 8439 section 2.8): a
block more, and the counter would begin anew."""

_BLOCK = 16


def limit(cipher: str) -> int:
    """The most bytes of content that the cipher can encrypt."""
    return CHACHA20_LIMIT if _is_chacha20(cipher) else GCM_LIMIT


def _is_chacha20(cipher: str) -> bool:
    return cipher == "chacha20-poly1305"


class Encryption:
    """Plaintext in, ciphertext of the same length out, then the tag. One thread at a time.

    ``cipher`` as a Policy names it (AES-GCM takes a key of 24 bytes too); ``nonce``: never twice
    under one key; ``aad``: what the tag proves besides. Raises :class:`MessageError` ``too-large``
    before it takes a byte past the cipher's limit.
    """

    def __init__(self, cipher: str, key: bytes, nonce: bytes, aad: bytes = b"") -> None:
        kind = _ChaCha20Encryption if _is_chacha20(cipher) else _GcmEncryption
        self._stream: _Encryption = kind(key, nonce, aad)
        self._cipher = cipher
        self._taken = 0

    def update_into(self, data: Buffer, buffer: Buffer) -> int:
        """Encrypts ``data`` into ``buffer``, which has room for as many bytes and lies elsewhere;
        gives their number."""
        self._taken += len(data)
        check_length(self._cipher, self._taken)
        return self._stream.update_into(data, buffer)

    def finish(self) -> bytes:
        """The tag of :data:`TAG_LEN` bytes; nothing can follow."""
        return self._stream.finish()


def encrypt_into(cipher: str, key: bytes, nonce: bytes, data: Buffer, buffer: Buffer) -> None:
    """Encrypts a whole content of less than 2 GiB into ``buffer``, which has exactly the room for
    the ciphertext and the tag behind it. A third of the time that :class:`Encryption` takes for a
    few KiB."""
    kind = ChaCha20Poly1305 if _is_chacha20(cipher) else AESGCM
    kind(key).encrypt_into(nonce, data, None, buffer)


def check_length(cipher: str, length: int) -> None:
    """Raises MessageError ``too-large`` where the cipher can't encrypt so many bytes."""
    if length > limit(cipher):
        other = "" if _is_chacha20(cipher) else f"; chacha20-poly1305 takes {CHACHA20_LIMIT}"
        raise MessageError(
            "too-large",
            f"{cipher} can't encrypt more than {limit(cipher)} bytes under one key: "
            f"use aes256-cbc, which has no such limit{other}",
        )


class Decryption:
    """Ciphertext in, plaintext of the same length out, which nobody may trust before :meth:`check`
    has found the tag right. One thread at a time.

    Arguments as for :class:`Encryption`. Raises :class:`EnvelopeError` ``too-large`` before it
    takes a byte past the cipher's limit.
    """

    def __init__(self, cipher: str, key: bytes, nonce: bytes, aad: bytes = b"") -> None:
        self._tags = CCM_TAGS if cipher.endswith("-ccm") else range(TAG_LEAST, TAG_LEN + 1)
        kind = _decryption(cipher)
        self._stream: _Decryption = kind(key, nonce, aad)
        self._limit = limit(cipher)
        self._taken = 0

    def update_into(self, data: Buffer, buffer: Buffer) -> int:
        """Decrypts ``data`` into ``buffer``, which has room for as many bytes and lies elsewhere;
        gives their number."""
        self._taken += len(data)
        if self._taken > self._limit:
            raise EnvelopeError(
                "too-large",
                f"there are more bytes of ciphertext than the {self._limit} that this cipher can "
                "encrypt under one key: no program can have sealed it right",
            )
        return self._stream.update_into(data, buffer)

    def check(self, tag: bytes) -> None:
        """Raises :class:`cryptography.exceptions.InvalidTag` unless ``tag`` is the right one of all
        this, compared in constant time; AES-GCM takes shortened ones of :data:`TAG_LEAST` bytes
        or more, AES-CCM of :data:`CCM_TAGS`."""
        if len(tag) not in self._tags:
            raise InvalidTag
        self._stream.check(tag)


class _Encryption(Protocol):
    def update_into(self, data: Buffer, buffer: Buffer) -> int: ...
    def finish(self) -> bytes: ...


class _Decryption(Protocol):
    def update_into(self, data: Buffer, buffer: Buffer) -> int: ...
    def check(self, tag: bytes) -> None: ...


class _GcmEncryption:
    def __init__(self, key: bytes, nonce: bytes, aad: bytes) -> None:
        self._context = Cipher(AES(key), GCM(nonce)).encryptor()
        self._context.authenticate_additional_data(aad)
        self.update_into = self._context.update_into

    def finish(self) -> bytes:
        self._context.finalize()
        return self._context.tag


class _GcmDecryption:
    def __init__(self, key: bytes, nonce: bytes, aad: bytes) -> None:
        self._context = Cipher(AES(key), GCM(nonce, None, TAG_LEAST)).decryptor()
        self._context.authenticate_additional_data(aad)
        self.update_into = self._context.update_into

    def check(self, tag: bytes) -> None:
        self._context.finalize_with_tag(tag)


class _CcmDecryption:
    """RFC 3610: the content by counter mode at once, and all of it once more to verify the tag."""

    def __init__(self, key: bytes, nonce: bytes, aad: bytes) -> None:
        counter = 15 - len(nonce)
        first = bytes([counter - 1]) + nonce + (1).to_bytes(counter, "big")
        self._context = Cipher(AES(key), CTR(first)).decryptor()
        self._known = key, nonce, aad
        self._ciphertext = bytearray()

    def update_into(self, data: Buffer, buffer: Buffer) -> int:
        if len(self._ciphertext) + len(data) > CCM_MEMORY:
            raise EnvelopeError(
                "too-large",
                f"AES-CCM can only be verified in one piece, and more than {CCM_MEMORY} bytes of "
                "ciphertext aren't kept for that: have it sealed with AES-GCM",
            )
        self._ciphertext += data
        return self._context.update_into(data, buffer)

    def check(self, tag: bytes) -> None:
        key, nonce, aad = self._known
        try:
            AESCCM(key, len(tag)).decrypt(nonce, bytes(self._ciphertext) + tag, aad or None)
        except ValueError:  # more content than this nonce allows
            raise InvalidTag from None


def _decryption(cipher: str) -> Callable[[bytes, bytes, bytes], _Decryption]:
    if cipher.endswith("-ccm"):
        return _CcmDecryption
    return _ChaCha20Decryption if _is_chacha20(cipher) else _GcmDecryption


class _ChaCha20:
    """RFC 8439 section 2.8: the first block of the key stream makes the key of Poly1305, which goes
    over the additional data and the ciphertext, each filled up with zeros to whole blocks, and
    their lengths."""

    def __init__(self, key: bytes, nonce: bytes, aad: bytes) -> None:
        # `cryptography` takes the counter, 0, and the nonce in one.
        self._cipher = Cipher(ChaCha20(key, bytes(4) + nonce), None).encryptor()
        self._mac = Poly1305(self._cipher.update(bytes(64))[:32])
        self._mac.update(aad + _padding(len(aad)))
        self._aad_len, self._len = len(aad), 0

    def _authenticate(self, ciphertext: Buffer) -> None:
        self._len += len(ciphertext)
        self._mac.update(ciphertext)

    def _authenticate_lengths(self) -> None:
        lengths = self._aad_len.to_bytes(8, "little") + self._len.to_bytes(8, "little")
        self._mac.update(_padding(self._len) + lengths)


def _padding(length: int) -> bytes:
    return bytes(-length % _BLOCK)


class _ChaCha20Encryption(_ChaCha20):
    def update_into(self, data: Buffer, buffer: Buffer) -> int:
        count = self._cipher.update_into(data, buffer)
        self._authenticate(memoryview(buffer)[:count])
        return count

    def finish(self) -> bytes:
        self._authenticate_lengths()
        return self._mac.finalize()


class _ChaCha20Decryption(_ChaCha20):
    def update_into(self, data: Buffer, buffer: Buffer) -> int:
        self._authenticate(data)
        return self._cipher.update_into(data, buffer)

    def check(self, tag: bytes) -> None:
        self._authenticate_lengths()
        try:
            self._mac.verify(tag)
        except InvalidSignature:
            raise InvalidTag from None
