"""From RecipientInfos to the content-encryption key: whose identity fits, and RSA's way back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from . import tlv
from ._opening import envelope_error
from .enveloped import ALGORITHMS, RSA_ENCRYPTION, Envelope, RecipientInfo
from .errors import NoRecipientError
from .tlv import Tlv, TlvError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .identity import Identity

_NAMED_AT_MOST = 20
"""Recipients that an error's sentence names; ``recipients`` has all."""

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "1.3.14.3.2.26": hashes.SHA1,
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
    "2.16.840.1.101.3.4.2.4": hashes.SHA224,
}
_MGF1 = "1.2.840.113549.1.1.8"
_SPECIFIED = "1.2.840.113549.1.1.9"


def content_key(envelope: Envelope, identities: Sequence[Identity], key_len: int) -> bytes:
    """The content-encryption key of ``key_len`` octets, for the first of the identities that the
    message is for, by the first RecipientInfo that names it: one operation with a private key,
    however often we are named. A second try by another would tell whether the first one failed.

    A key that doesn't unwrap, or to another length, becomes a random one (RFC 3218 section 2.3.2):
    the content then fails as with any wrong key. Raises NoRecipientError; EnvelopeError
    ``unsupported-cipher`` for a key transport that isn't known.
    """
    identity, info = _ours(envelope, identities)
    how = _padding(info)
    random = os.urandom(key_len)
    try:
        key = bytes(identity.key.decrypt(info.encrypted_key, how))
    except ValueError:  # wrong padding, on releases that tell
        key = random
    except UnsupportedAlgorithm as error:
        raise envelope_error("unsupported-cipher", f"its key transport: {error}") from None
    return key if len(key) == key_len else random


def _ours(envelope: Envelope, identities: Sequence[Identity]) -> tuple[Identity, RecipientInfo]:
    """The first identity that is named by key transport, and where it is named first."""
    if envelope.infos and (usual := _usual(envelope.infos[0], identities[0])):
        return identities[0], usual
    found: dict[int, RecipientInfo] = {}
    for info in envelope.recipients():
        for index, identity in enumerate(identities):
            if index not in found and info.kind == "key-transport" and _names(info, identity):
                found[index] = info
        if 0 in found:
            break
    if not found:
        raise _no_recipient(envelope, identities)
    first = min(found)
    return identities[first], found[first]


def _usual(info: Tlv, identity: Identity) -> RecipientInfo | None:
    """As it would be read, if it is what most programs write for this identity: only the encrypted
    key differs from message to message, and reading the rest takes longer than all else here."""
    known = identity.usual_info
    if info.tag != tlv.SEQUENCE or not info.data.startswith(known, info.body):
        return None
    try:
        key = tlv.read(info.data, info.body + len(known), info.stop)
    except TlvError:
        return None
    if key.tag != tlv.OCTET_STRING or key.end != info.stop:
        return None
    return RecipientInfo("key-transport", (), RSA_ENCRYPTION, None, key.content)


def _names(info: RecipientInfo, identity: Identity) -> bool:
    return any(name.is_of(identity.recipient, identity.key_identifiers) for name in info.names)


def _no_recipient(envelope: Envelope, identities: Iterable[Identity]) -> Exception:
    infos = list(envelope.recipients())
    for info in infos:
        if any(_names(info, identity) for identity in identities):
            return envelope_error(
                "unsupported-cipher", f"its key comes by {info.kind}, which isn't supported yet"
            )
    texts = tuple(map(str, infos))
    more = len(texts) - _NAMED_AT_MOST
    text = "; ".join(texts[:_NAMED_AT_MOST]) + (f"; and {more} more" if more > 0 else "")
    return NoRecipientError(
        f"the message isn't for this identity, but for: {text or 'nobody'}", texts
    )


# Paddings


def _padding(info: RecipientInfo) -> padding.AsymmetricPadding:
    name = ALGORITHMS.get(info.algorithm)
    if name == "rsa-pkcs1v15":
        return padding.PKCS1v15()
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
