"""Unwraps a content-encryption key with an identity's private key, whatever the kind of
RecipientInfo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import kek_password, kem, key_agreement, key_transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cms.enveloped import RecipientInfo

UNWRAP: dict[str, Callable[[Any, RecipientInfo, int, int], bytes | None]] = {
    "kek": kek_password.unwrap_kek,
    "kem": kem.unwrap,
    "key-agreement": key_agreement.unwrap,
    "key-transport": key_transport.unwrap,
}
"""For each kind of RecipientInfo what gives the content-encryption key for the identity that is
named at a place in it, or None if it doesn't unwrap."""


def tells(info: RecipientInfo) -> bool:
    """Whether everybody may know that a RecipientInfo doesn't unwrap. From RSA's padding, and from
    that of a cipher in the place of a key wrap, an attacker could decrypt the key step by step
    (RFC 3218): where they fail, a random key must go on."""
    return info.kind != "key-transport" and not key_agreement.is_padded(info)
