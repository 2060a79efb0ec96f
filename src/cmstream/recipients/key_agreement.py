"""KeyAgreeRecipientInfo (RFC 5652 section 6.2.2), both ways: a content-encryption key wrapped in
one that an ephemeral key and the recipient's agree on, by elliptic curves (RFC 5753, RFC 8418)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyasn1.codec.der import encoder
from pyasn1.type import univ

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..certificates import curves, key_wrap
from ..ciphers import BY_OID, KEY_LEN
from ..cms.enveloped import ALGORITHMS
from ..engine.decoder import envelope_error
from ..errors import EnvelopeError
from . import legacy_key_wrap
from .key_operation import result_of
from .recipient_info import (
    algorithm,
    by_identifier,
    implicit,
    issuer_and_serial,
    sequence,
    unusable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..certificates.recipient import Recipient
    from ..cms.enveloped import RecipientInfo
    from ..policy import Policy
    from .identity import Identity

_OIDS = {name: oid for oid, name in ALGORITHMS.items()}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_NULL = b"\x05\0"
_VERSION = b"\x02\x01\x03"
_CONTEXT_0, _CONTEXT_1, _CONTEXT_2 = 0xA0, 0xA1, 0xA2


# What both ways share


def _exchange(private: Any, public: Any) -> Any:
    """The shared secret (SEC 1 section 3.3.1, RFC 7748 section 6). Raises ValueError for a point
    that is none, or gives nothing but zeros."""
    if isinstance(public, ec.EllipticCurvePublicKey):
        return private.exchange(ec.ECDH(), public)
    return private.exchange(public)


def _derive(
    scheme: str, secret: bytes, wrap: bytes, kek_len: int, ukm: bytes | None = None
) -> bytes:
    """The key-encryption key of ``kek_len`` bytes. ``wrap``: the AlgorithmIdentifier of the key
    wrap; ``ukm``: the user keying material, which is HKDF's salt too (RFC 8418 section 2.2)."""
    # ECC-CMS-SharedInfo (RFC 5753 section 7.2).
    added = tlv.build(_CONTEXT_0, tlv.build(tlv.OCTET_STRING, ukm)) if ukm is not None else b""
    bits = (8 * kek_len).to_bytes(4, "big")
    length = tlv.build(_CONTEXT_2, tlv.build(tlv.OCTET_STRING, bits))
    shared = tlv.build(tlv.SEQUENCE, wrap, added, length)
    digest = _HASHES[scheme.rpartition("-")[2]]()
    if "-hkdf-" in scheme:
        return HKDF(digest, kek_len, ukm, shared).derive(secret)
    return X963KDF(digest, kek_len, shared).derive(secret)


# Sealing


_SCHEMES = {
    "X25519": "ecdh-hkdf-sha256",
    "X448": "ecdh-hkdf-sha512",
    "P-224": "ecdh-sha256",
    "P-256": "ecdh-sha256",
    "secp256k1": "ecdh-sha256",
    "brainpoolP256r1": "ecdh-sha256",
    "P-384": "ecdh-sha384",
    "brainpoolP384r1": "ecdh-sha384",
    "P-521": "ecdh-sha512",
    "brainpoolP512r1": "ecdh-sha512",
}
"""As strong as the curve (RFC 5753 section 9, RFC 8418 section 2)."""


@dataclass(frozen=True)
class KeyAgreement:
    """One KeyAgreeRecipientInfo for all recipients on one curve: ``before``, a fresh public key of
    ``key_octets``, ``between``, and for each recipient its ``prefix`` with ``wrapped_octets``."""

    before: bytes
    between: bytes
    prefixes: tuple[bytes, ...]
    recipients: tuple[Recipient, ...]
    scheme: str
    wrap: bytes
    kek_len: int
    key_octets: int
    wrapped_octets: int

    envelope_version = 2

    @property
    def encoded_len(self) -> int:
        """As RecipientInfoEncoder says."""
        keys = sum(len(prefix) + self.wrapped_octets for prefix in self.prefixes)
        return len(self.before) + self.key_octets + len(self.between) + keys

    def encode(self, content_key: bytes) -> bytes:
        """As RecipientInfoEncoder says."""
        # Fresh for each message: whoever learns it learns no other message's key.
        ephemeral = _fresh(self.recipients[0].public_key)
        parts = [self.before, _point(ephemeral.public_key()), self.between]
        for prefix, recipient in zip(self.prefixes, self.recipients, strict=True):
            try:
                secret = _exchange(ephemeral, recipient.public_key)
            except ValueError as error:
                raise unusable(recipient, f"its {recipient.key} key can't encrypt") from error
            kek = _derive(self.scheme, secret, self.wrap, self.kek_len)
            parts += [prefix, key_wrap.wrap(kek, content_key)]
        return b"".join(parts)


def _fresh(public: Any) -> Any:
    """A new private key on the curve of a public one."""
    if isinstance(public, ec.EllipticCurvePublicKey):
        return ec.generate_private_key(public.curve)
    if isinstance(public, x25519.X25519PublicKey):
        return x25519.X25519PrivateKey.generate()
    return x448.X448PrivateKey.generate()


def _point(public: Any) -> bytes:
    """A public key as bytes, always of one length for one curve."""
    if isinstance(public, ec.EllipticCurvePublicKey):
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return bytes(public.public_bytes_raw())


def prepare(recipients: Iterable[Recipient], policy: Policy) -> list[KeyAgreement]:
    """One for each curve."""
    groups: dict[str, list[Recipient]] = {}
    for recipient in recipients:
        groups.setdefault(recipient.key, []).append(recipient)
    return [_prepared(tuple(group), policy) for group in groups.values()]


def _prepared(recipients: tuple[Recipient, ...], policy: Policy) -> KeyAgreement:
    key = recipients[0].public_key
    scheme = _SCHEMES[recipients[0].key]
    kek_len = content_key_len = KEY_LEN[policy.cipher]  # the same, says RFC 8551 section 2.3
    null = policy.key_agreement == "explicit-null"
    wrap = algorithm(key_wrap.OIDS[kek_len], *([univ.Null("")] if null else []))
    if policy.key_agreement == "sha1-kdf" and "-hkdf-" not in scheme:  # whoever has HKDF needs none
        scheme = "ecdh-sha1"

    wrapped_octets = content_key_len + key_wrap.OVERHEAD
    prefixes = tuple(_encrypted_key(one, policy, wrapped_octets) for one in recipients)
    keys = sum(len(prefix) + wrapped_octets for prefix in prefixes)
    key_octets = len(_point(key))
    originator = _originator(key)
    how = encoder.encode(algorithm(_OIDS[scheme], wrap))
    between = how + _beginning(tlv.SEQUENCE, keys)
    count = len(_VERSION) + len(originator) + key_octets + len(between) + keys
    return KeyAgreement(
        before=_beginning(_CONTEXT_1, count) + _VERSION + originator,
        between=between,
        prefixes=prefixes,
        recipients=recipients,
        scheme=scheme,
        wrap=encoder.encode(wrap),
        kek_len=kek_len,
        key_octets=key_octets,
        wrapped_octets=wrapped_octets,
    )


def _beginning(tag: int, count: int) -> bytes:
    """Tag and length of an element with ``count`` bytes of content."""
    return tlv.build(tag, bytes(count))[:-count]


def _originator(key: Any) -> bytes:
    """OriginatorIdentifierOrKey with an originatorKey, up to the key's bytes: the algorithm as
    certificates have it, with the curve's name (RFC 5753 section 3.1.1, RFC 8418 section 3.1)."""
    info = tlv.read_only(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    fields = info.fields()
    whole = tlv.build(
        _CONTEXT_0,
        tlv.build(
            _CONTEXT_1,
            fields.take(tlv.SEQUENCE).whole,
            tlv.build(tlv.BIT_STRING, b"\0" + _point(key)),
        ),
    )
    return whole[: -len(_point(key))]


def _encrypted_key(recipient: Recipient, policy: Policy, octets: int) -> bytes:
    """A RecipientEncryptedKey up to the encrypted key's bytes."""
    if by_identifier(recipient, policy):
        name = implicit(0, sequence(univ.OctetString(recipient.key_identifier)))
    else:
        name = issuer_and_serial(recipient)
    whole: bytes = encoder.encode(sequence(name, univ.OctetString(bytes(octets))))
    return whole[:-octets]


# Opening


class _Agreement(NamedTuple):
    """What a KeyAgreeRecipientInfo says to one recipient; ``point`` is None where it names the
    originator's certificate instead of a key. ``curve``: the dotted OID of the point's, empty for
    one that isn't known, None where nothing is said."""

    point: bytes | None
    curve: str | None
    ukm: bytes | None
    wrap: Tlv
    wrapped: bytes


class _Wrap(NamedTuple):
    """A key wrap: bytes of its key, the way back, the AlgorithmIdentifiers that senders derive
    the key with, the likeliest first, and whether padding alone tells a wrong key."""

    kek_len: int
    unwrap: Callable[[bytes, bytes], bytes | None]
    derived_with: Iterable[bytes]
    padded: bool = False


def unwrap(identity: Identity, info: RecipientInfo, place: int, key_len: int) -> bytes | None:
    """The content-encryption key, or None. Raises EnvelopeError ``malformed``,
    ``unsupported-cipher``, KeyUnavailableError."""
    del key_len  # whatever comes out
    scheme = ALGORITHMS.get(info.algorithm, "")
    if not scheme.startswith("ecdh-"):
        raise envelope_error("unsupported-cipher", f"its key agreement is {info.algorithm}")
    try:
        found = _read(info, place)
        wrap = _read_wrap(found.wrap)
    except TlvError as error:
        raise envelope_error("malformed", f"its key agreement: {error}") from None
    if found.point is None:
        why = "its key agreement needs the originator's certificate, which isn't supported"
        raise envelope_error("unsupported-cipher", why)
    secret = _agreed(identity, found.curve, found.point)
    if secret is None:
        return None
    for derived_with in wrap.derived_with:
        kek = _derive(scheme, secret, derived_with, wrap.kek_len, found.ukm)
        key = wrap.unwrap(kek, found.wrapped)
        if key is not None:
            return key
    return None


def is_padded(info: RecipientInfo) -> bool:
    """Whether a content cipher with padding stands in the place of the key wrap, as Apple's
    programs have it: then nothing but the padding says whether the key is right."""
    if info.kind != "key-agreement" or info.parameters is None:
        return False
    try:
        return _read_wrap(info.parameters).padded
    except (TlvError, EnvelopeError):
        return False


def _agreed(identity: Identity, curve: str | None, point: bytes) -> bytes | None:
    """The shared secret; None for what is no point of the identity's curve."""
    try:
        public = _on_curve(identity.public_key, curve, point)
    except ValueError:
        return None
    return result_of("its key agreement", _exchange, identity.key, public)


def _on_curve(of: Any, curve: str | None, point: bytes) -> Any:
    """A public key on the curve of another, which must be the one that is named, if one is (RFC
    5753 section 7.1.2). Raises ValueError."""
    if isinstance(of, ec.EllipticCurvePublicKey):
        named = curves.CURVES.get(curve or "")
        if curve is not None and not (named and isinstance(of.curve, named.kind)):
            raise ValueError("another curve")
        return ec.EllipticCurvePublicKey.from_encoded_point(of.curve, point)
    if isinstance(of, x25519.X25519PublicKey):
        return x25519.X25519PublicKey.from_public_bytes(point)
    return x448.X448PublicKey.from_public_bytes(point)


def _read(info: RecipientInfo, place: int) -> _Agreement:
    fields = info.whole.fields()
    fields.take(tlv.INTEGER)
    originator = fields.take(_CONTEXT_0).fields().maybe(_CONTEXT_1)
    ukm = fields.maybe(_CONTEXT_1)
    fields.take(tlv.SEQUENCE)
    key = fields.take(tlv.SEQUENCE).children()[place].fields()
    key.maybe(tlv.SEQUENCE, _CONTEXT_0)
    if info.parameters is None or info.parameters.tag != tlv.SEQUENCE:
        raise TlvError("it names no key wrap")
    curve, point = _read_point(originator) if originator else (None, None)
    return _Agreement(
        point=point,
        curve=curve,
        ukm=ukm.fields().take(tlv.OCTET_STRING).content if ukm else None,
        wrap=info.parameters,
        wrapped=key.take(tlv.OCTET_STRING).content,
    )


def _read_point(originator: Tlv) -> tuple[str | None, bytes]:
    """The key's curve, as :class:`_Agreement` has it, and its bytes."""
    fields = originator.fields()
    algorithm = fields.take(tlv.SEQUENCE).fields()
    octets = fields.take(tlv.BIT_STRING).content
    if octets[:1] != b"\0":
        raise TlvError("the originator's key isn't whole bytes")
    algorithm.take(tlv.OID)
    curve = algorithm.rest()[:1]
    if not curve or curve[0].tag not in {tlv.OID, tlv.SEQUENCE}:  # a NULL says nothing
        return None, octets[1:]
    parameters = curve[0].tag == tlv.SEQUENCE
    return curves.named(curve[0]) if parameters else curve[0].oid(), octets[1:]


def _read_wrap(wrap: Tlv) -> _Wrap:
    fields = wrap.fields()
    name = fields.take(tlv.OID)
    oid = name.oid()
    bare, with_null = (tlv.build(tlv.SEQUENCE, name.whole, null) for null in (b"", _NULL))
    cipher = BY_OID.get(oid)
    if cipher and not cipher.authenticated:
        iv = fields.take(tlv.OCTET_STRING).content
        if len(iv) != cipher.iv_len:
            raise TlvError("its key wrap has no fitting IV")
        return _Wrap(
            cipher.key_len,
            lambda kek, key: legacy_key_wrap.unwrap_cbc(kek, iv, key),
            [with_null],
            padded=True,
        )
    # Some derive with a NULL that they don't write, and the other way round.
    derived_with = dict.fromkeys([wrap.whole, bare, with_null])
    if oid == legacy_key_wrap.TRIPLE_DES_WRAP:
        return _Wrap(
            legacy_key_wrap.TRIPLE_DES_KEY, legacy_key_wrap.unwrap_triple_des, derived_with
        )
    if oid in key_wrap.KEK_LEN:
        return _Wrap(key_wrap.KEK_LEN[oid], key_wrap.unwrap, derived_with)
    raise envelope_error("unsupported-cipher", f"its key wrap is {oid}")
