"""What an archive is sealed with and opened by, without any certificate: a password, or a
key-encryption key. Each is recipient and identity at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import octets_of
from .key_wrap import OIDS

if TYPE_CHECKING:
    from ..engine.gate import AnyBuffer


@dataclass(frozen=True)
class Password:
    """A password (RFC 5652 section 6.2.4), made by ``Recipient.from_password`` or
    ``Identity.from_password``: it goes wherever a Recipient or an Identity goes.

    Two of the same octets are equal; ``repr`` shows nothing of them. Deriving a key from a password
    takes a good part of a second by design, once for each message that is sealed or opened: it is
    for archives, and too slow for a gateway.
    """

    octets: bytes = field(repr=False)
    kind = "password"

    def place(self, info: Any) -> int | None:
        """0 where a RecipientInfo is a password's, though it may be another one's."""
        return 0 if info.kind == self.kind else None


@dataclass(frozen=True)
class Kek:
    """A key-encryption key that both sides have (RFC 5652 section 6.2.3) and the name by which
    messages call it, made by ``Recipient.from_kek`` or ``Identity.from_kek``: it goes wherever a
    Recipient or an Identity goes.

    Two are equal if key and name are; ``repr`` shows the name alone.
    """

    octets: bytes = field(repr=False)
    key_id: bytes
    kind = "kek"

    def place(self, info: Any) -> int | None:
        """0 where a RecipientInfo is for a key-encryption key of this name."""
        named = info.kind == self.kind and info.names[0].key_identifier == self.key_id
        return 0 if named else None


ArchiveKey = Password | Kek


def password(text: str | bytes) -> Password:
    """The octets of a password: text is encoded in UTF-8, as it stands. Raises ValueError if it is
    empty or can't be encoded, TypeError if it is neither text nor bytes."""
    if not isinstance(text, str | bytes):
        raise TypeError(f"password: give text or bytes, not {type(text).__name__}")
    if not text:
        raise ValueError("password: an empty one protects nothing")
    octets = _encoded(text) if isinstance(text, str) else text
    if octets is None:
        raise ValueError("password: the text has what UTF-8 can't encode: give bytes")
    return Password(octets)


def _encoded(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:  # it holds the password, and must not even be an error's context
        return None


def kek(key: AnyBuffer, key_id: AnyBuffer) -> Kek:
    """Raises ValueError unless the key has 16, 24 or 32 octets and ``key_id`` has any."""
    found = Kek(bytes(octets_of(key, "key")), bytes(octets_of(key_id, "key_id")))
    if len(found.octets) not in OIDS:
        raise ValueError("key: an AES key has 16, 24 or 32 octets")
    if not found.key_id:
        raise ValueError("key_id: give octets by which the key is found again")
    return found
