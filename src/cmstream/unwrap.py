"""From RecipientInfos to the content-encryption key: whose identity fits, and by which of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import agreement, transport
from ._opening import envelope_error
from .errors import NoRecipientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .enveloped import Envelope, RecipientInfo
    from .identity import Identity

_NAMED_AT_MOST = 20
"""Recipients that an error's sentence names; ``recipients`` has all."""

_UNWRAP = {
    "key-agreement": agreement.unwrap,
    "key-transport": transport.unwrap,
}
"""For each kind: the content-encryption key for the identity that is named at this place, or None
if it doesn't unwrap."""


def content_key(envelope: Envelope, identities: Sequence[Identity], key_len: int) -> bytes:
    """The content-encryption key of ``key_len`` octets, for the first of the identities that the
    message is for, by the first RecipientInfo that names it: one operation with a private key,
    however often we are named. A second try by another would tell whether the first one failed.

    A key that doesn't unwrap, or to another length, becomes a random one (RFC 3218 section 2.3.2):
    the content then fails as with any wrong key. Raises NoRecipientError; EnvelopeError
    ``unsupported-cipher`` for an algorithm that isn't known, ``malformed``.
    """
    identity, info, place = _ours(envelope, identities)
    random = os.urandom(key_len)
    key = _UNWRAP[info.kind](identity, info, place, key_len)
    return key if key is not None and len(key) == key_len else random


def _ours(
    envelope: Envelope, identities: Sequence[Identity]
) -> tuple[Identity, RecipientInfo, int]:
    """The first identity that is named in its own kind of RecipientInfo, and where that is."""
    found: dict[int, tuple[RecipientInfo, int]] = {}
    for info in envelope.recipients():
        for index, identity in enumerate(identities):
            if index not in found and info.kind == identity.kind:
                place = identity.place(info)
                if place is not None:
                    found[index] = info, place
        if 0 in found:
            break
    if not found:
        raise _no_recipient(envelope, identities)
    first = min(found)
    return identities[first], *found[first]


def _no_recipient(envelope: Envelope, identities: Iterable[Identity]) -> Exception:
    infos = list(envelope.recipients())
    for info in infos:
        if any(identity.place(info) is not None for identity in identities):
            return envelope_error(
                "unsupported-cipher", f"its key comes by {info.kind}, which this key can't do"
            )
    texts = tuple(map(str, infos))
    more = len(texts) - _NAMED_AT_MOST
    text = "; ".join(texts[:_NAMED_AT_MOST]) + (f"; and {more} more" if more > 0 else "")
    return NoRecipientError(
        f"the message isn't for this identity, but for: {text or 'nobody'}", texts
    )
