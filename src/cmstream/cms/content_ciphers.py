"""The ciphers of a content, on the way back: each is set up from the head of the message and the
key, takes ciphertext as it comes out of C, and ends by proving what it can."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

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
    from ..engine.decoder import NativeDecoder
    from ..engine.gate import Buffer
    from .enveloped import Envelope

_STEP = 256 << 10
"""Octets of ciphertext between C and an authenticated cipher: they stay in the cache."""

_GCM_NONCE = range(8, 129)
"""Octets of a nonce for AES-GCM that `cryptography` takes."""


class ContentSource(Protocol):
    """``withheld``: nothing of it is given out, since it isn't verified yet."""

    withheld: bool

    def update_into(self, data: memoryview, buffer: Buffer, start: int) -> tuple[int, int]:
        """Takes octets of the message and writes what comes of them, as NativeDecoder does."""

    def finish_into(self, buffer: Buffer, start: int) -> int:
        """Writes the last octets. Raises DecryptionError; EnvelopeError; AnotherPassNeeded."""


class CipherParameters(NamedTuple):
    """What the head of a message tells of how it is to be decrypted. ``nonce``: the IV too;
    ``tag_len`` is 0 if it isn't authenticated."""

    cipher: ContentCipher
    nonce: bytes
    tag_len: int


class ContentKey(NamedTuple):
    """That and the key. Of an authenticated content that was gone over before: ``aad``, what the
    tag proves besides, and whether all was ``verified``."""

    parameters: CipherParameters
    key: bytes
    aad: bytes = b""
    verified: bool = False

    def __repr__(self) -> str:
        return f"ContentKey({self.parameters.cipher.name})"  # no key


class AnotherPassNeeded(Exception):  # noqa: N818 - no error
    """The message must be gone over once more, with what is known now."""

    def __init__(self, unlocked: ContentKey) -> None:
        super().__init__()
        self.unlocked = unlocked


def read_parameters(envelope: Envelope) -> CipherParameters:
    """Raises EnvelopeError ``unsupported-cipher``, ``malformed``."""
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
    GCMParameters (RFC 5084 section 3.2); and octets of the tag."""
    if not cipher.iv_len:
        return _gcm(found)
    if not found or found.tag != tlv.OCTET_STRING or len(found.content) != cipher.iv_len:
        raise TlvError(f"they are no IV of {cipher.iv_len} octets")
    return found.content, aead.TAG_LEN if cipher.authenticated else 0


def _gcm(found: Tlv | None) -> tuple[bytes, int]:
    if not found or found.tag != tlv.SEQUENCE:
        raise TlvError("they are missing")
    fields = found.fields()
    nonce = fields.take(tlv.OCTET_STRING).content
    given = fields.maybe(tlv.INTEGER)
    fields.done()
    tag_len = given.integer() if given else aead.TAG_LEAST
    if not nonce or not aead.TAG_LEAST <= tag_len <= aead.TAG_LEN:
        raise TlvError("there is no nonce, or a tag of a length that isn't allowed")
    if len(nonce) not in _GCM_NONCE:
        raise envelope_error("unsupported-cipher", f"its nonce has {len(nonce)} octets")
    return nonce, tag_len


def content(opening: NativeDecoder, unlocked: ContentKey, *, give: bool) -> ContentSource:
    """Sets the key. Without ``give`` an authenticated content is verified, and nothing of it comes
    out: that ends in :class:`AnotherPassNeeded`."""
    cipher, nonce, _ = unlocked.parameters
    if cipher.authenticated:
        return Authenticated(opening, unlocked, give=give)
    kind = TripleDes if cipher.name.startswith("des") else AesCbc
    return kind(opening, unlocked.key, nonce)


class AesCbc:
    """All of it in C."""

    withheld = False

    def __init__(self, opening: NativeDecoder, key: bytes, iv: bytes) -> None:
        opening.set_key(key, iv)
        self.update_into, self.finish_into = opening.update_into, opening.finish_into


class TripleDes:
    """Old mail's cipher, by `cryptography`. All of its failures are one, at the end."""

    withheld = False

    def __init__(self, opening: NativeDecoder, key: bytes, iv: bytes) -> None:
        opening.give_ciphertext()
        self._opening = opening
        self._decryptor = Cipher(TripleDES(key), modes.CBC(iv)).decryptor()
        self._unpadder = PKCS7(TripleDES.block_size).unpadder()

    def update_into(self, data: memoryview, buffer: Buffer, start: int) -> tuple[int, int]:
        """As ContentSource tells."""
        ciphertext = bytearray(self._opening.bound(len(data)))
        taken, count = self._opening.update_into(data, ciphertext)
        padded = self._decryptor.update(memoryview(ciphertext)[:count])
        return taken, put(buffer, start, self._unpadder.update(padded))

    def finish_into(self, buffer: Buffer, start: int) -> int:
        """As ContentSource tells. Each step is done whatever the one before gave."""
        self._opening.finish_into(buffer, start)
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
    """AES-GCM and ChaCha20-Poly1305 (RFC 5083): the tag, and attributes that it proves besides,
    stand behind the ciphertext."""

    def __init__(self, opening: NativeDecoder, unlocked: ContentKey, *, give: bool) -> None:
        opening.give_ciphertext()
        opening.keep_tail()
        self.withheld = not give
        self._opening, self._unlocked = opening, unlocked
        cipher, nonce, self._tag_len = unlocked.parameters
        self._stream = aead.Decryption(cipher.name, unlocked.key, nonce, unlocked.aad)
        self._ciphertext = bytearray()
        self._nowhere = bytearray()

    def update_into(self, data: memoryview, buffer: Buffer, start: int) -> tuple[int, int]:
        """As ContentSource tells."""
        taken = given = 0
        out = memoryview(buffer).cast("B")
        while True:
            step = data[taken : taken + _STEP]
            took, count = self._opening.update_into(step, self._room(len(step)))
            target = self._nowhere if self.withheld else out[start + given :]
            self._stream.update_into(memoryview(self._ciphertext)[:count], target)
            taken += took
            given += 0 if self.withheld else count
            if took < len(step) or taken == len(data):
                return taken, given

    def _room(self, count: int) -> bytearray:
        need = self._opening.bound(count)
        if len(self._ciphertext) < need:
            self._ciphertext = bytearray(need)
            self._nowhere = bytearray(need if self.withheld else 0)
        return self._ciphertext

    def finish_into(self, buffer: Buffer, start: int) -> int:
        """As ContentSource tells."""
        self._opening.finish_into(buffer, start)
        aad, tag = enveloped.read_tail(self._opening.tail)
        unlocked = self._unlocked
        if aad != unlocked.aad:
            if unlocked.aad or unlocked.verified:  # it isn't what was gone over before
                raise decryption_error()
            raise AnotherPassNeeded(unlocked._replace(aad=aad))
        self._check(tag)
        if self.withheld:
            raise AnotherPassNeeded(unlocked._replace(verified=True))
        return 0

    def _check(self, tag: bytes) -> None:
        try:
            self._stream.check(tag)
        except InvalidTag:
            raise decryption_error() from None
        if len(tag) != self._tag_len:
            raise decryption_error()


def put(buffer: Buffer, start: int, octets: Buffer) -> int:
    """Writes octets into a buffer from ``start``; gives their number."""
    memoryview(buffer).cast("B")[start : start + len(octets)] = octets
    return len(octets)
