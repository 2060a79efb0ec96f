"""KEMRecipientInfo (RFC 9629) with ML-KEM (RFC 9936), both ways: a key that a recipient's public
key encapsulates becomes a key-encryption key, in which the content-encryption key is wrapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyasn1.codec.der import encoder
from pyasn1.type import univ

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..certificates import key_wrap
from ..certificates.keys import ML_KEMS, MlKemPublicKey
from ..ciphers import KEY_LEN
from ..cms.enveloped import ORI_KEM, read_algorithm, read_name
from ..engine.decoder import envelope_error
from .key_operation import result_of
from .recipient_info import (
    algorithm,
    implicit,
    recipient_identifier,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..certificates.recipient import Recipient
    from ..cms.enveloped import RecipientInfo
    from ..errors import EnvelopeError
    from ..policy import Policy
    from .identity import Identity

_HKDF_SHA256 = "1.2.840.113549.1.9.16.3.28"
_HKDFS: dict[str, type[hashes.HashAlgorithm]] = {
    _HKDF_SHA256: hashes.SHA256,
    "1.2.840.113549.1.9.16.3.29": hashes.SHA384,
    "1.2.840.113549.1.9.16.3.30": hashes.SHA512,
}
_KDF3 = "1.3.133.16.840.9.44.1.2"
"""The KDF3 of RFC 9690, Bouncy Castle's default."""
_KDF3_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
}
_KEK_OCTETS = 32
"""AES-256 wraps for both ML-KEM-768 and ML-KEM-1024 (RFC 9936 section 2.1)."""
_CONTEXT_0 = 0xA0

Derive = Callable[[bytes, int, bytes], bytes]
"""A key from a shared secret, of that many bytes, bound to a context."""


def _other_info(wrap: bytes, kek_octets: int, ukm: bytes = b"") -> bytes:
    """CMSORIforKEMOtherInfo (RFC 9629 section 5). ``ukm``: with its explicit tag."""
    length = bytes(encoder.encode(univ.Integer(kek_octets)))
    return tlv.build(tlv.SEQUENCE, wrap, length, ukm)


# Sealing

_WRAP = algorithm(key_wrap.OIDS[_KEK_OCTETS])
_INFO = _other_info(bytes(encoder.encode(_WRAP)), _KEK_OCTETS)


@dataclass(frozen=True)
class KemWrap:
    """A KEMRecipientInfo up to its ciphertext, and from there to its encrypted key."""

    before: bytes
    between: bytes
    encoded_len: int
    key: MlKemPublicKey

    envelope_version = 3

    def encode(self, content_key: bytes) -> bytes:
        """As RecipientInfoEncoder says."""
        secret, ciphertext = self.key.encapsulate()
        kek = _hkdf(hashes.SHA256)(secret, _KEK_OCTETS, _INFO)
        return self.before + ciphertext + self.between + key_wrap.wrap(kek, content_key)


def prepare(recipients: Iterable[Recipient], policy: Policy) -> list[KemWrap]:
    """One for each recipient with an ML-KEM key."""
    return [_prepared(recipient, policy) for recipient in recipients]


def _prepared(recipient: Recipient, policy: Policy) -> KemWrap:
    key = recipient.public_key
    assert isinstance(key, MlKemPublicKey)  # noqa: S101 - else it's another kind's
    kem = ML_KEMS[recipient.key]
    wrapped = KEY_LEN[policy.cipher] + key_wrap.OVERHEAD
    after = (
        algorithm(_HKDF_SHA256),
        univ.Integer(_KEK_OCTETS),
        _WRAP,
        univ.OctetString(bytes(wrapped)),
    )
    info = sequence(
        univ.Integer(0),
        recipient_identifier(recipient, policy),
        algorithm(kem.oid),
        univ.OctetString(bytes(kem.ciphertext)),
        *after,
    )
    encoded = encoder.encode(implicit(4, sequence(univ.ObjectIdentifier(ORI_KEM), info)))
    between = b"".join(map(encoder.encode, after))[:-wrapped]
    before = encoded[: -kem.ciphertext - len(between) - wrapped]
    return KemWrap(before, between, len(encoded), key)


# Opening


class _Encapsulated(NamedTuple):
    """What follows a KEMRecipientInfo's name and algorithm. ``kek``: how the shared secret becomes
    the key-encryption key."""

    ciphertext: bytes
    kek: Callable[[bytes], bytes]
    encrypted_key: bytes


def unwrap(identity: Identity, info: RecipientInfo, place: int, key_len: int) -> bytes | None:
    """The content-encryption key, or None if it doesn't unwrap. Raises EnvelopeError
    ``malformed``, ``unsupported-cipher``, KeyUnavailableError."""
    del place, key_len  # one recipient; whatever comes out
    if info.algorithm != ML_KEMS[identity.key_name].oid:
        raise _unsupported(f"its key is encapsulated by {info.algorithm}, which isn't this key's")
    try:
        found = _encapsulated(info)
    except TlvError as error:
        raise envelope_error("malformed", f"a RecipientInfo is broken: {error}") from None
    # A ciphertext for another key gives a secret as well, which fits nothing.
    secret = result_of("its key encapsulation", identity.key.decapsulate, found.ciphertext)
    return None if secret is None else key_wrap.unwrap(found.kek(secret), found.encrypted_key)


def _encapsulated(info: RecipientInfo) -> _Encapsulated:
    outer = info.whole.fields()
    outer.take(tlv.OID)
    fields = outer.take(tlv.SEQUENCE).fields()
    fields.take(tlv.INTEGER)
    read_name(fields)
    read_algorithm(fields)
    ciphertext = fields.take(tlv.OCTET_STRING).content
    derive = _derivation(*read_algorithm(fields))
    octets = fields.take(tlv.INTEGER).integer()
    ukm = fields.maybe(_CONTEXT_0)
    wrap = fields.take(tlv.SEQUENCE)
    encrypted_key = fields.take(tlv.OCTET_STRING).content
    fields.done()
    oid = wrap.fields().take(tlv.OID).oid()
    if oid not in key_wrap.KEK_LEN:
        raise _unsupported(f"its key is encrypted by {oid}")
    if octets != key_wrap.KEK_LEN[oid]:
        raise TlvError("the length of its key-encryption key isn't the algorithm's")
    context = _other_info(wrap.whole, octets, ukm.whole if ukm else b"")
    return _Encapsulated(ciphertext, lambda secret: derive(secret, octets, context), encrypted_key)


def _derivation(oid: str, parameters: Tlv | None) -> Derive:
    if oid in _HKDFS:
        return _hkdf(_HKDFS[oid])
    if oid != _KDF3:
        raise _unsupported(f"its key is derived by {oid}")
    if parameters is None:
        raise TlvError("the derivation of its key names no hash")
    digest = parameters.fields().take(tlv.OID).oid()
    if digest not in _KDF3_HASHES:
        raise _unsupported(f"its key is derived with {digest}")
    return _kdf3(_KDF3_HASHES[digest])


def _unsupported(what: str) -> EnvelopeError:
    return envelope_error("unsupported-cipher", what)


# Key derivation


def _hkdf(digest: type[hashes.HashAlgorithm]) -> Derive:
    """RFC 5869, without a salt (RFC 9936 section 2.2.1)."""
    return lambda secret, octets, info: HKDF(digest(), octets, None, info).derive(secret)


def _kdf3(digest: type[hashes.HashAlgorithm]) -> Derive:
    """RFC 9690 appendix A's, which is NIST's concatenation under another name."""
    return lambda secret, octets, info: ConcatKDFHash(digest(), octets, info).derive(secret)
