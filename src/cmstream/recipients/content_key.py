"""Finds the content-encryption key of a message: the identity that fits, and its RecipientInfo."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..certificates.archive_keys import Kek, Password
from ..engine.decoder import decryption_error, envelope_error
from ..errors import NoRecipientError
from . import (
    kek_password,
    kem,
    key_agreement,
    key_transport,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..certificates.archive_keys import ArchiveKey
    from ..cms.enveloped import Envelope, RecipientInfo
    from .identity import Identity

_NAMED_AT_MOST = 20
"""Recipients that an error's sentence names; ``recipients`` has all."""

_UNWRAP: dict[str, Callable[[Any, RecipientInfo, int, int], bytes | None]] = {
    "kek": kek_password.unwrap_kek,
    "kem": kem.unwrap,
    "key-agreement": key_agreement.unwrap,
    "key-transport": key_transport.unwrap,
}
"""For each kind of RecipientInfo what gives the content-encryption key for the identity that is
named at a place in it, or None if it doesn't unwrap."""


def content_key(
    envelope: Envelope, identities: Sequence[Identity | ArchiveKey], key_len: int
) -> bytes:
    """The content-encryption key of ``key_len`` bytes, for the first of the identities that the
    message is for, by the first RecipientInfo that names it. That is one operation with a private
    key, even if several RecipientInfos fit: a second one would show that the first had failed. No
    RecipientInfo names a password. So passwords are tried, on all that the message has for them,
    if none of the identities is named.

    Where RSA gives no key, or one of another length, a random key goes on (RFC 3218 section 2.3.2):
    the content then fails as with any wrong key. All other kinds show a wrong key, from which
    nothing can be learned (RFC 3394); it is a DecryptionError at once, before any content comes
    out. Raises NoRecipientError; EnvelopeError ``unsupported-cipher`` for an unknown algorithm,
    ``malformed``.
    """
    ours = _ours(envelope, identities)
    random = os.urandom(key_len)
    if ours is None:
        key = _by_password(envelope, identities, key_len)
    else:
        identity, info, place = ours
        key = _UNWRAP[info.kind](identity, info, place, key_len)
        if info.kind == "key-transport" and (key is None or len(key) != key_len):
            key = random
    if key is None or len(key) != key_len:
        raise decryption_error()
    return key


def _ours(
    envelope: Envelope, identities: Sequence[Identity | ArchiveKey]
) -> tuple[Identity | ArchiveKey, RecipientInfo, int] | None:
    """The first identity that is named in its own kind of RecipientInfo, and where that is."""
    first = identities[0]
    if envelope.infos and first.kind == "key-transport":
        usual = key_transport.usual(first, envelope.infos[0])
        if usual is not None:
            return first, usual, 0
    found: dict[int, tuple[RecipientInfo, int]] = {}
    for info in envelope.recipients():
        for index, identity in enumerate(identities):
            if index not in found and info.kind == identity.kind in _UNWRAP:
                place = identity.place(info)
                if place is not None:
                    found[index] = info, place
        if 0 in found:
            break
    if not found:
        return None
    index = min(found)
    return identities[index], *found[index]


def _by_password(
    envelope: Envelope, identities: Sequence[Identity | ArchiveKey], key_len: int
) -> bytes | None:
    """The same by a password. Raises NoRecipientError if none was given, or the message has
    none."""
    passwords = [one for one in identities if isinstance(one, Password)]
    every = envelope.recipients() if passwords else ()
    infos = [info for info in every if info.kind == Password.kind]
    if not infos:
        raise _no_recipient(envelope, identities)
    found = [kek_password.unwrap_password(one, infos, key_len) for one in passwords]
    return next((key for key in found if key is not None), None)


def _no_recipient(envelope: Envelope, identities: Iterable[Identity | ArchiveKey]) -> Exception:
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
        f"the message {_fits_none(identities)}; it is for: {text or 'nobody'}", texts
    )


def _fits_none(identities: Iterable[Identity | ArchiveKey]) -> str:
    found = dict.fromkeys(map(_called, identities))
    if found == {_PASSWORD: None}:
        return "has no password recipient"
    return f"isn't for {' or '.join(list(found)[:_NAMED_AT_MOST])}"


_PASSWORD = "a password"  # noqa: S105 - none


def _called(identity: Identity | ArchiveKey) -> str:
    if isinstance(identity, Password):
        return _PASSWORD
    if isinstance(identity, Kek):
        return f"key-encryption key {identity.key_id.hex()}"
    recipient = identity.recipient
    return f"{recipient.subject or '(empty)'} ({recipient.fingerprint[:16]}…)"
