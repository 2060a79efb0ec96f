"""Finds the content-encryption key of a message: the identity that fits, and its RecipientInfo."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..certificates.archive_keys import Kek, Password
from ..engine.decoder import decryption_error, envelope_error
from ..errors import NoRecipientError
from . import kek_password, key_transport, unnamed
from .unwrapping import UNWRAP, tells

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..certificates.archive_keys import ArchiveKey
    from ..cms.enveloped import Envelope, RecipientInfo
    from .identity import Identity

_NAMED_AT_MOST = 20
"""Recipients that an error's sentence names; ``recipients`` has all."""


def content_keys(
    envelope: Envelope, identities: Sequence[Identity | ArchiveKey], key_len: int
) -> list[bytes]:
    """The content-encryption key of ``key_len`` bytes, for the first of the identities that the
    message is for, by the first RecipientInfo that names it. That is one operation with a private
    key, even if several RecipientInfos fit: a second one would show that the first had failed.

    No RecipientInfo names a password, or a key without a certificate. They are tried if none of the
    identities is named: always on all that the message has for them. All keys of the right length
    count: where RSA hides that it has failed, every 250th of somebody else's gives one by chance.

    Where RSA gives no key, or one of another length, a random key goes on (RFC 3218 section 2.3.2):
    the content then fails as with any wrong key. All other kinds show a wrong key, from which
    nothing can be learned (RFC 3394); it is a DecryptionError at once, before any content comes
    out. Raises NoRecipientError; EnvelopeError ``unsupported-cipher`` for an unknown algorithm,
    ``malformed``, ``too-many-recipients``; KeyUnavailableError.
    """
    ours = _ours(envelope, identities)
    random = os.urandom(key_len)
    if ours is None:
        found, telling = _by_trying(envelope, identities, key_len)
    else:
        identity, info, place = ours
        found, telling = [UNWRAP[info.kind](identity, info, place, key_len)], tells(info)
    keys = [key for key in dict.fromkeys(found) if key is not None and len(key) == key_len]
    if not keys and telling:
        raise decryption_error()
    return keys or [random]


def usual_key(identity: Identity, encrypted_key: bytes, key_len: int) -> bytes:
    """The same by RSA with PKCS #1 v1.5, for the encrypted key of the RecipientInfo that was
    found."""
    random = os.urandom(key_len)
    key = key_transport.decrypted(identity, encrypted_key)
    if key is None or len(key) != key_len:
        return random
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
            if index not in found and info.kind == identity.kind in UNWRAP:
                place = identity.place(info)
                if place is not None:
                    found[index] = info, place
        if 0 in found:
            break
    if not found:
        return None
    index = min(found)
    return identities[index], *found[index]


def _by_trying(
    envelope: Envelope, identities: Sequence[Identity | ArchiveKey], key_len: int
) -> tuple[list[bytes | None], bool]:
    """The keys by what nothing names, and whether a wrong one may show. Raises NoRecipientError if
    there is nothing to try."""
    tried = unnamed.candidates(envelope, identities)
    passwords = [one for one in identities if isinstance(one, Password)]
    every = envelope.recipients() if passwords else ()
    infos = [info for info in every if info.kind == Password.kind]
    if not infos and not tried:
        raise _no_recipient(envelope, identities)
    by_password = (
        [kek_password.unwrap_password(one, infos, key_len) for one in passwords] if infos else []
    )
    return [*unnamed.unwrapped(tried, key_len), *by_password], all(tells(o.info) for o in tried)


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
    if recipient is None:
        return f"a key without a certificate ({identity.key_name})"
    return f"{recipient.subject or '(empty)'} ({recipient.fingerprint[:16]}…)"
