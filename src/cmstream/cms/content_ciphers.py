"""Decrypts the content of a message, whatever its cipher: C hands over the ciphertext, or decrypts
it itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.padding import PKCS7

from ..asn1 import tlv
from ..asn1.tlv import TlvError
from ..ciphers import BY_OID, ContentCipher
from ..engine.decoder import decryption_error, envelope_error
from . import aead, enveloped

if TYPE_CHECKING:
    from ..asn1.tlv import Tlv
    from ..engine.decoder import ContentSource, NativeDecoder
    from ..engine.gate import Buffer
    from .enveloped import Envelope

_STEP = 256 << 10
"""Bytes of ciphertext between C and an authenticated cipher: they stay in the cache."""

_GCM_NONCE = range(8, 129)
"""Bytes of a nonce for AES-GCM that `cryptography` takes."""


class CipherParameters(NamedTuple):
    """How the head of a message says that its content is encrypted. ``nonce``: or the IV.
    ``tag_len``: bytes, 0 if the cipher isn't authenticated."""

    cipher: ContentCipher
    nonce: bytes
    tag_len: int


class ContentKey(NamedTuple):
    """The content-encryption key of a message and what else is known of its content.

    ``aad``: the encoded attributes that the tag proves, and ``verified``: whether the tag was
    right, both as an earlier pass over an authenticated message found them.
    """

    parameters: CipherParameters
    key: bytes
    aad: bytes = b""
    verified: bool = False

    def __repr__(self) -> str:
        return f"ContentKey({self.parameters.cipher.name})"  # no key


class AnotherPassNeeded(Exception):  # noqa: N818 - no error
    """The message must be read once more, with what is known now."""

    def __init__(self, key: ContentKey) -> None:
        super().__init__()
        self.key = key


def read_parameters(envelope: Envelope) -> CipherParameters:
    """What the head says. Raises EnvelopeError ``unsupported-cipher``, ``malformed``."""
    cipher = BY_OID.get(envelope.cipher)
    authenticated = envelope.content_type == "authenticated-enveloped-data"
    if cipher is None or cipher.authenticated != authenticated:
        name = enveloped.cipher_name(envelope.cipher)
        raise envelope_error(
            "unsupported-cipher",
            f"its cipher is {name}, which isn't supported in {envelope.content_type}",
        )
    try:
        nonce, tag_len = _parameters(cipher, envelope.parameters)
    except TlvError as error:
        raise envelope_error("malformed", f"the parameters of {cipher.name}: {error}") from None
    return CipherParameters(cipher, nonce, tag_len)


def _parameters(cipher: ContentCipher, found: Tlv | None) -> tuple[bytes, int]:
    """An IV (RFC 3565 section 2.3, RFC 3370 section 5.1), a nonce (RFC 8103 section 3), or
    GCMParameters or CCMParameters (RFC 5084 sections 3.2 and 3.1); and bytes of the tag."""
    if cipher.mode == "ccm":
        return _nonce_and_tag(found, aead.CCM_NONCES, aead.CCM_TAGS)
    if cipher.mode == "gcm":
        return _gcm(found)
    if not found or found.tag != tlv.OCTET_STRING or len(found.content) != cipher.iv_len:
        raise TlvError(f"they are no IV of {cipher.iv_len} bytes")
    return found.content, aead.TAG_LEN if cipher.authenticated else 0


def _gcm(found: Tlv | None) -> tuple[bytes, int]:
    tags = range(aead.TAG_LEAST, aead.TAG_LEN + 1)
    nonce, tag_len = _nonce_and_tag(found, range(1, 1 << 16), tags)
    if len(nonce) not in _GCM_NONCE:
        raise envelope_error("unsupported-cipher", f"its nonce has {len(nonce)} bytes")
    return nonce, tag_len


def _nonce_and_tag(found: Tlv | None, nonces: range, tags: range) -> tuple[bytes, int]:
    """``nonces`` and ``tags``: the lengths that are allowed."""
    if not found or found.tag != tlv.SEQUENCE:
        raise TlvError("they are missing")
    fields = found.fields()
    nonce = fields.take(tlv.OCTET_STRING).content
    given = fields.maybe(tlv.INTEGER)
    fields.done()
    tag_len = given.integer() if given else aead.TAG_LEAST
    if len(nonce) not in nonces or tag_len not in tags:
        raise TlvError("there is no nonce, or a tag of a length that isn't allowed")
    return nonce, tag_len


def content_source(decoder: NativeDecoder, key: ContentKey, *, give: bool) -> ContentSource:
    """What decrypts the content that the decoder has come to. Without ``give`` an authenticated
    content is only verified: nothing of it comes out, and its end is
    :class:`AnotherPassNeeded`."""
    cipher, nonce, _ = key.parameters
    if cipher.authenticated:
        return Authenticated(decoder, key, give=give)
    kind = TripleDes if cipher.name.startswith("des") else AesCbc
    return kind(decoder, key.key, nonce)


class AesCbc:
    """C decrypts it."""

    def __init__(self, decoder: NativeDecoder, key: bytes, iv: bytes) -> None:
        decoder.set_key(key, iv)
        self.update_into, self.finish_into = decoder.update_into, decoder.finish_into


class TripleDes:
    """The cipher of old mail; `cryptography` decrypts it. Every failure is the same error, at the
    end."""

    def __init__(self, decoder: NativeDecoder, key: bytes, iv: bytes) -> None:
        decoder.give_ciphertext()
        self._decoder = decoder
        self._decryptor = Cipher(TripleDES(key), modes.CBC(iv)).decryptor()
        self._unpadder = PKCS7(TripleDES.block_size).unpadder()

    def update_into(self, data: memoryview, buffer: Buffer, start: int) -> tuple[int, int]:
        """As ContentSource tells."""
        ciphertext = bytearray(self._decoder.bound(len(data)))
        taken, count = self._decoder.update_into(data, ciphertext)
        padded = self._decryptor.update(memoryview(ciphertext)[:count])
        return taken, put(buffer, start, self._unpadder.update(padded))

    def finish_into(self, buffer: Buffer, start: int) -> int:
        """As ContentSource tells. Each step is done whatever the one before gave."""
        self._decoder.finish_into(buffer, start)
        failed = False
        try:
            self._decryptor.finalize()
        except ValueError:
            failed = True
        try:
            last = self._unpadder.finalize()
        except ValueError:
            failed = True
        if failed:
            raise decryption_error()
        return put(buffer, start, last)


class Authenticated:
    """AES-GCM, AES-CCM and ChaCha20-Poly1305 (RFC 5083). The tag stands behind the ciphertext, and
    so do the attributes that it proves together with the content."""

    def __init__(self, decoder: NativeDecoder, key: ContentKey, *, give: bool) -> None:
        decoder.give_ciphertext()
        decoder.keep_tail()
        self._give = give
        self._decoder, self._key = decoder, key
        cipher, nonce, self._tag_len = key.parameters
        self._stream = aead.Decryption(cipher.name, key.key, nonce, key.aad)
        self._ciphertext = bytearray()
        self._nowhere = bytearray()

    def update_into(self, data: memoryview, buffer: Buffer, start: int) -> tuple[int, int]:
        """As ContentSource tells."""
        taken = given = 0
        out = memoryview(buffer).cast("B")
        while True:
            step = data[taken : taken + _STEP]
            took, count = self._decoder.update_into(step, self._room(len(step)))
            target = out[start + given :] if self._give else self._nowhere
            self._stream.update_into(memoryview(self._ciphertext)[:count], target)
            taken += took
            given += count if self._give else 0
            if took < len(step) or taken == len(data):
                return taken, given

    def _room(self, count: int) -> bytearray:
        need = self._decoder.bound(count)
        if len(self._ciphertext) < need:
            self._ciphertext = bytearray(need)
            self._nowhere = bytearray(0 if self._give else need)
        return self._ciphertext

    def finish_into(self, buffer: Buffer, start: int) -> int:
        """As ContentSource tells."""
        self._decoder.finish_into(buffer, start)
        aad, tag = enveloped.read_tail(self._decoder.tail)
        key = self._key
        if aad != key.aad:
            if key.aad or key.verified:  # not the message that an earlier pass read
                raise decryption_error()
            raise AnotherPassNeeded(key._replace(aad=aad))
        self._check(tag)
        if not self._give:
            raise AnotherPassNeeded(key._replace(verified=True))
        return 0

    def _check(self, tag: bytes) -> None:
        try:
            self._stream.check(tag)
        except InvalidTag:
            raise decryption_error() from None
        if len(tag) != self._tag_len:
            raise decryption_error()


def put(buffer: Buffer, start: int, octets: Buffer) -> int:
    """Writes bytes into a buffer from ``start``; gives their number."""
    memoryview(buffer).cast("B")[start : start + len(octets)] = octets
    return len(octets)
