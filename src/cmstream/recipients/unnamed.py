"""Tries private keys without a certificate, since no RecipientInfo can name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa

from ..certificates.keys import ML_KEMS
from ..engine.decoder import envelope_error
from ..errors import EnvelopeError
from .identity import Identity
from .unwrapping import UNWRAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..certificates.archive_keys import ArchiveKey
    from ..cms.enveloped import Envelope, RecipientInfo

MAX_CANDIDATES = 100
"""The most operations with private keys for one message; 4096 bits of RSA take half a second so."""


class Candidate(NamedTuple):
    """A key, and a place in a RecipientInfo that may be for it."""

    identity: Identity
    info: RecipientInfo
    place: int


def candidates(envelope: Envelope, identities: Sequence[Identity | ArchiveKey]) -> list[Candidate]:
    """What the keys without a certificate can be tried on. Raises EnvelopeError
    ``too-many-recipients``, ``malformed``."""
    unnamed = [one for one in identities if isinstance(one, Identity) and not one.certificates]
    found = [
        Candidate(one, info, place)
        for info in (envelope.recipients() if unnamed else ())
        for one in unnamed
        if _may_be_for(info, one)
        for place in range(len(info.names))
    ]
    if len(found) > MAX_CANDIDATES:
        raise envelope_error(
            "too-many-recipients",
            f"{len(found)} of its recipients may be this key, and {MAX_CANDIDATES} are tried at "
            "most: give the key's certificate, by which it is found",
        )
    return found


def _may_be_for(info: RecipientInfo, identity: Identity) -> bool:
    if info.kind != identity.kind:
        return False
    if isinstance(identity.public_key, rsa.RSAPublicKey):
        return len(info.encrypted_key) == (identity.public_key.key_size + 7) // 8
    return info.kind != "kem" or info.algorithm == ML_KEMS[identity.key_name].oid


def unwrapped(tried: Sequence[Candidate], key_len: int) -> list[bytes]:
    """All content-encryption keys of ``key_len`` bytes that come out. Each candidate is tried,
    whatever the others gave. Raises the first EnvelopeError if none could be tried."""
    results = [_attempt(one, key_len) for one in tried]
    errors = [one for one in results if isinstance(one, EnvelopeError)]
    if errors and len(errors) == len(results):
        raise errors[0]
    return [one for one in results if isinstance(one, bytes) and len(one) == key_len]


def _attempt(one: Candidate, key_len: int) -> bytes | EnvelopeError | None:
    try:
        return UNWRAP[one.info.kind](one.identity, one.info, one.place, key_len)
    except EnvelopeError as error:  # a form that isn't supported: the next one may be
        return error
