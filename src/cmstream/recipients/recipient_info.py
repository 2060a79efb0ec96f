"""What writes a RecipientInfo (RFC 5652 section 6.2), and the parts that its kinds share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pyasn1.type import base, tag, univ

from ..errors import RecipientError

if TYPE_CHECKING:
    from ..certificates.recipient import Recipient
    from ..policy import Policy


class RecipientInfoEncoder(Protocol):
    """Writes one RecipientInfo, for one recipient or several that share it, again for each
    content-encryption key. Safe to share between threads."""

    @property
    def encoded_len(self) -> int:
        """The length of the encoded RecipientInfo in bytes, the same for every key."""

    @property
    def envelope_version(self) -> int:
        """The CMSVersion that the EnvelopedData must have at least (RFC 5652 section 6.1): 0 for
        key transport by issuer and serial number, 3 for a password or another kind, else 2."""

    def encode(self, content_key: bytes) -> bytes:
        """The encoded RecipientInfo. Raises RecipientError ``unusable-recipient``."""


def unusable(recipient: Recipient, why: str, problems: tuple[str, ...] = ()) -> RecipientError:
    """The error for somebody who can't be encrypted to."""
    return RecipientError(
        "unusable-recipient",
        f"can't encrypt to {recipient.subject} ({recipient.fingerprint[:16]}…): {why}",
        fingerprint=recipient.fingerprint,
        problems=problems,
    )


# Names


def by_identifier(recipient: Recipient, policy: Policy) -> bool:
    """Whether a recipient is named by its key's identifier: where the policy wants it and the
    certificate has one."""
    return policy.recipient_id == "ski" and recipient.key_identifier is not None


def issuer_and_serial(recipient: Recipient) -> univ.Sequence:
    """IssuerAndSerialNumber, byte for byte as in the certificate: readers compare bytes."""
    return sequence(univ.Any(recipient.issuer_der), univ.Any(recipient.serial_der))


def recipient_identifier(recipient: Recipient, policy: Policy) -> Any:
    """A RecipientIdentifier (RFC 5652 section 6.2.1)."""
    if by_identifier(recipient, policy):
        return implicit(0, univ.OctetString(recipient.key_identifier))
    return issuer_and_serial(recipient)


# ASN.1


def sequence(*parts: Any) -> univ.Sequence:
    """A SEQUENCE of these."""
    whole = univ.Sequence()
    for position, part in enumerate(parts):
        whole.setComponentByPosition(position, part)
    return whole


def algorithm(oid: str, *parameters: Any) -> univ.Sequence:
    """An AlgorithmIdentifier (RFC 5280 section 4.1.1.2)."""
    return sequence(univ.ObjectIdentifier(oid), *parameters)


def explicit(number: int, value: Any) -> Any:
    """``[number] EXPLICIT``"""
    outer = tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, number)
    return value.subtype(explicitTag=outer, **_kept(value))


def implicit(number: int, value: Any) -> Any:
    """``[number] IMPLICIT``"""
    # The library itself sees to it that a SEQUENCE stays constructed.
    instead = tag.Tag(tag.tagClassContext, tag.tagFormatSimple, number)
    return value.subtype(implicitTag=instead, **_kept(value))


def _kept(value: Any) -> dict[str, bool]:
    """The argument by which the library keeps the value of a tagged copy."""
    return {"cloneValueFlag": True} if isinstance(value, base.ConstructedAsn1Type) else {}
