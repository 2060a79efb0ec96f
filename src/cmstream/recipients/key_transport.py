"""KeyTransRecipientInfo (RFC 5652 section 6.2.1), both ways: a content-encryption key encrypted
with an RSA key, by PKCS #1 v1.5 or OAEP (RFC 8017 section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pyasn1.codec.der import encoder
from pyasn1.type import univ

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..certificates import x509
from ..ciphers import KEY_LEN
from ..cms.enveloped import ALGORITHMS, RSA_ENCRYPTION, RecipientInfo
from ..engine import gate
from ..engine.decoder import envelope_error
from ..engine.prepared_recipients import KeySlot, RsaKey
from ..errors import EnvelopeError
from .key_operation import result_of
from .recipient_info import (
    algorithm,
    by_identifier,
    explicit,
    recipient_identifier,
    sequence,
    unusable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..certificates.recipient import Recipient
    from ..policy import Policy
    from .identity import Identity

_RSAES_OAEP = "1.2.840.113549.1.1.7"
_MGF1 = "1.2.840.113549.1.1.8"
_SPECIFIED = "1.2.840.113549.1.1.9"

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "1.3.14.3.2.26": hashes.SHA1,
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
    "2.16.840.1.101.3.4.2.4": hashes.SHA224,
}
_OAEP_HASHES = {
    "oaep-sha256": "2.16.840.1.101.3.4.2.1",
    "oaep-sha384": "2.16.840.1.101.3.4.2.2",
    "oaep-sha512": "2.16.840.1.101.3.4.2.3",
}


# Sealing


class KeyTransport(NamedTuple):
    """A KeyTransRecipientInfo up to the bytes of its encrypted key. ``transport``: the padding's
    name, if it has one."""

    prefix: bytes
    envelope_version: int
    key: rsa.RSAPublicKey
    transport: str
    padding: padding.AsymmetricPadding
    recipient: Recipient

    @property
    def key_octets(self) -> int:
        """Bytes of the encrypted key."""
        return (self.key.key_size + 7) // 8

    @property
    def encoded_len(self) -> int:
        """As RecipientInfoEncoder says."""
        return len(self.prefix) + self.key_octets

    def encode(self, content_key: bytes) -> bytes:
        """As RecipientInfoEncoder says."""
        try:
            return self.prefix + self.key.encrypt(content_key, self.padding)
        except ValueError as error:
            raise unusable(self.recipient, "its RSA key can't encrypt") from error


def prepare(recipients: Iterable[Recipient], policy: Policy) -> list[KeyTransport]:
    """One for each recipient with an RSA key. Raises RecipientError ``unusable-recipient``."""
    return [_prepared(recipient, policy) for recipient in recipients]


def _prepared(recipient: Recipient, policy: Policy) -> KeyTransport:
    key = recipient.public_key
    assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101 - else it's another kind's
    how, transport, padded = _transport(recipient, policy)
    octets = (key.key_size + 7) // 8
    if KEY_LEN[policy.cipher] > _most_octets(octets, padded):
        raise unusable(recipient, "its RSA key is too short for the hash of its key transport")
    version = 2 if by_identifier(recipient, policy) else 0
    name = recipient_identifier(recipient, policy)
    info = sequence(univ.Integer(version), name, how, univ.OctetString(bytes(octets)))
    prefix = encoder.encode(info)[:-octets]
    return KeyTransport(prefix, version, key, transport, padded, recipient)


def _most_octets(octets: int, padded: padding.AsymmetricPadding) -> int:
    """The most bytes that an RSA key can encrypt (RFC 8017 sections 7.1.1 and 7.2.1)."""
    if isinstance(padded, padding.OAEP):
        return octets - 2 * padded.algorithm.digest_size - 2
    return octets - 11


def _transport(recipient: Recipient, policy: Policy) -> tuple[Any, str, padding.AsymmetricPadding]:
    """The algorithm as it is written, its name, and how it pads: as the policy wants it, but for a
    key whose own parameters allow nothing else (RFC 4055 section 4)."""
    name = policy.key_transport
    own = _own_algorithm(recipient) if recipient.oaep_only else None
    if own is None:
        return _algorithm(name), name, _PADDINGS[name]
    written = {encoder.encode(_algorithm(name)): name for name in _OAEP_HASHES}
    try:
        return univ.Any(own.whole), written.get(own.whole, ""), _oaep(own.children()[1])
    except (TlvError, EnvelopeError) as error:
        raise unusable(recipient, f"what its key may be used with isn't known: {error}") from error


def _own_algorithm(recipient: Recipient) -> Tlv | None:
    """The AlgorithmIdentifier of a certificate's key, if it has parameters for OAEP."""
    algorithm = x509.parse(recipient.der).public_key.fields().take(tlv.SEQUENCE)
    _, *parameters = algorithm.children()
    return algorithm if parameters and parameters[0].tag == tlv.SEQUENCE else None


def _algorithm(transport: str) -> univ.Sequence:
    if transport == "pkcs1v15":
        return algorithm(RSA_ENCRYPTION, univ.Null(""))
    # RFC 4055 section 2.1 wants both forms of the hash's parameters read, and its own constants
    # write NULL, as OpenSSL and Bouncy Castle do.
    digest = algorithm(_OAEP_HASHES[transport], univ.Null(""))
    mask = algorithm(_MGF1, digest)
    return algorithm(_RSAES_OAEP, sequence(explicit(0, digest), explicit(1, mask)))


def _oaep_padding(oid: str) -> padding.OAEP:
    digest = _HASHES[oid]
    return padding.OAEP(padding.MGF1(digest()), digest(), None)


_PADDINGS: dict[str, padding.AsymmetricPadding] = {
    "pkcs1v15": padding.PKCS1v15(),
    **{name: _oaep_padding(oid) for name, oid in _OAEP_HASHES.items()},
}


# Sealing in C

_OF_ENGINE = {"pkcs1v15", "oaep-sha256"}


def for_engine(encoders: Sequence[KeyTransport]) -> tuple[bytes, list[KeySlot]] | None:
    """The encoded RecipientInfos in the order of a SET, and where C puts which encrypted key; None
    if it can't make all of them."""
    # Where two differ in the encrypted key alone, only that says which comes first in the SET.
    told_apart = len({one.prefix for one in encoders}) == len(encoders)
    able = gate.rsa_radixes and {one.transport for one in encoders} <= _OF_ENGINE
    if not told_apart or not able:
        return None
    infos, key_slots = b"", []
    try:
        for one in sorted(encoders, key=lambda one: one.prefix):
            infos += one.prefix
            key_slots.append((len(infos), _engine_key(one.key), one.transport))
            infos += bytes(one.key_octets)
    except ValueError:
        return None
    return infos, key_slots


def _engine_key(key: rsa.RSAPublicKey) -> RsaKey:
    numbers = key.public_numbers()
    return RsaKey(numbers.n, numbers.e)


# Opening


def usual(identity: Any, info: Tlv) -> RecipientInfo | None:
    """The RecipientInfo, if it is what most programs write for this identity. Only the encrypted
    key differs then from message to message, and comparing the rest is faster than reading it."""
    known = next(
        (one for one in identity.usual_infos if info.data.startswith(one, info.body)), None
    )
    if info.tag != tlv.SEQUENCE or known is None:
        return None
    try:
        key = tlv.read(info.data, info.body + len(known), info.stop)
    except TlvError:
        return None
    if key.tag != tlv.OCTET_STRING or key.end != info.stop:
        return None
    return RecipientInfo("key-transport", (), RSA_ENCRYPTION, None, info, key.content)


def unwrap(identity: Identity, info: RecipientInfo, place: int, key_len: int) -> bytes | None:
    """What the key decrypts to, or None. Raises EnvelopeError ``malformed``,
    ``unsupported-cipher``, KeyUnavailableError."""
    del place, key_len  # one recipient; whatever comes out
    return decrypted(identity, info.encrypted_key, _padding(info))


def decrypted(
    identity: Identity,
    encrypted_key: bytes,
    how: padding.AsymmetricPadding = _PADDINGS["pkcs1v15"],
) -> bytes | None:
    """The same for an encrypted key alone. Raises EnvelopeError ``unsupported-cipher``,
    KeyUnavailableError."""
    return result_of("its key transport", identity.key.decrypt, encrypted_key, how)


def _padding(info: RecipientInfo) -> padding.AsymmetricPadding:
    name = ALGORITHMS.get(info.algorithm)
    if name == "rsa-pkcs1v15":
        return _PADDINGS["pkcs1v15"]
    if name == "rsa-oaep":
        try:
            return _oaep(info.parameters)
        except TlvError as error:
            raise envelope_error("malformed", f"the parameters of its key: {error}") from None
    raise envelope_error("unsupported-cipher", f"its key transport is {info.algorithm}")


def _oaep(parameters: Tlv | None) -> padding.OAEP:
    """RSAES-OAEP-params (RFC 4055 section 4.1), each field with its default."""
    fields = parameters.fields() if parameters and parameters.tag == tlv.SEQUENCE else None
    digest = fields and fields.maybe(0xA0)
    mask = fields and fields.maybe(0xA1)
    source = fields and fields.maybe(0xA2)
    return padding.OAEP(
        padding.MGF1(_mask_hash(mask) if mask else hashes.SHA1()),  # noqa: S303 - the default
        _hash(digest.fields().take(tlv.SEQUENCE)) if digest else hashes.SHA1(),  # noqa: S303
        _label(source.fields().take(tlv.SEQUENCE)) if source else None,
    )


def _hash(algorithm: Tlv) -> hashes.HashAlgorithm:
    oid = algorithm.fields().take(tlv.OID).oid()
    if oid not in _HASHES:
        raise envelope_error("unsupported-cipher", f"its key transport has the hash {oid}")
    return _HASHES[oid]()


def _mask_hash(mask: Tlv) -> hashes.HashAlgorithm:
    algorithm = mask.fields().take(tlv.SEQUENCE).fields()
    oid = algorithm.take(tlv.OID).oid()
    if oid != _MGF1:
        raise envelope_error("unsupported-cipher", f"its key transport has the mask {oid}")
    return _hash(algorithm.take(tlv.SEQUENCE))


def _label(source: Tlv) -> bytes:
    fields = source.fields()
    if fields.take(tlv.OID).oid() != _SPECIFIED:
        raise TlvError("an unknown source of the label")
    return fields.take(tlv.OCTET_STRING).content
