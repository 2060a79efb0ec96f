"""RecipientInfos (RFC 5652 section 6.2): what a content-encryption key is wrapped in."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from pyasn1.codec.der import encoder
from pyasn1.type import tag, univ

from . import _core
from .certificates import Recipient
from .errors import RecipientError, RecipientWarning
from .policy import DEFAULT, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
_RSAES_OAEP = "1.2.840.113549.1.1.7"
_MGF1 = "1.2.840.113549.1.1.8"
_SHA256 = "2.16.840.1.101.3.4.2.1"

_PADDINGS: dict[str, padding.AsymmetricPadding] = {
    "pkcs1v15": padding.PKCS1v15(),
    "oaep-sha256": padding.OAEP(padding.MGF1(SHA256()), SHA256(), None),
}


class _Template(NamedTuple):
    """A KeyTransRecipientInfo up to the octets of its encrypted key."""

    prefix: bytes
    version: int
    key: rsa.RSAPublicKey
    transport: str
    recipient: Recipient

    @property
    def key_octets(self) -> int:
        return (self.key.key_size + 7) // 8

    def fill(self, content_key: bytes) -> bytes:
        try:
            return self.prefix + self.key.encrypt(content_key, _PADDINGS[self.transport])
        except ValueError as error:
            raise _unusable(self.recipient, "its RSA key can't encrypt") from error


class Recipients:
    """Who can open a message: certificates, checked once, with their RecipientInfos prepared.

    Takes :class:`Recipient` objects; the same certificate twice counts once. Immutable, and safe
    to share between threads. Wherever recipients are asked for, a list of Recipient does too;
    a gateway that keeps a Recipients object in its cache saves the preparation.

    Raises :class:`RecipientError` ``no-recipients`` when there are none.
    """

    def __init__(self, recipients: Iterable[Recipient]) -> None:
        every = tuple(recipients)
        if not all(isinstance(one, Recipient) for one in every):
            raise TypeError("to: give Recipient objects, as load_recipients makes them")
        self._recipients = tuple({r.fingerprint: r for r in every}.values())
        self._prepared: dict[Policy, tuple[_Template, ...]] = {}
        self._addressees: dict[tuple[Policy, bool], _core.Addressees] = {}
        self._latest: tuple[Policy, bool, _core.Addressees] | None = None
        self._latest_templates: tuple[Policy, tuple[_Template, ...]] | None = None
        if not self._recipients:
            raise RecipientError(
                "no-recipients", "there is nobody to encrypt to: give at least one certificate"
            )

    def __iter__(self) -> Iterator[Recipient]:
        return iter(self._recipients)

    def __len__(self) -> int:
        return len(self._recipients)

    def __repr__(self) -> str:
        return f"Recipients({list(self._recipients)!r})"

    def check(self, policy: Policy = DEFAULT) -> None:
        """Raises RecipientError ``unusable-recipient`` if the policy refuses one of them now, or
        one can't be encrypted to at all. Problems that the policy warns of are warned of here,
        once for each policy."""
        self._templates(policy)

    def wrap(self, content_key: bytes, policy: Policy = DEFAULT) -> bytes:
        """The encoded RecipientInfos, sorted as DER sorts a SET OF, without the SET's own tag and
        length."""
        templates = self._templates(policy)
        return b"".join(sorted([template.fill(content_key) for template in templates]))

    def room(self, policy: Policy = DEFAULT) -> int:
        """How many octets :meth:`wrap` will give."""
        templates = self._templates(policy)
        return sum(len(t.prefix) + t.key_octets for t in templates)

    def addressees(self, policy: Policy = DEFAULT) -> _core.Addressees:
        """What C needs to encrypt to all of them. Raises as :meth:`check` does."""
        latest = self._latest
        # A policy's hash takes longer than all else here, and it's nearly always the same object.
        if latest and latest[0] is policy and latest[1] is _core.wraps_rsa and not policy.refuse:
            return latest[2]
        templates = self._templates(policy)
        kind = policy, _core.wraps_rsa
        prepared = self._addressees.get(kind)
        if prepared is None:
            prepared = self._addressees[kind] = _addressees(templates, policy)
        self._latest = *kind, prepared
        return prepared

    def _templates(self, policy: Policy) -> tuple[_Template, ...]:
        latest = self._latest_templates
        if latest and latest[0] is policy and not policy.refuse:
            return latest[1]
        templates = self._prepared.get(policy)
        if templates is None:
            templates = tuple(_template(r, policy) for r in self._recipients)
            self._warn(policy)
            self._prepared[policy] = templates
        if policy.refuse:
            for recipient in self._recipients:
                _refuse(recipient, policy)
        self._latest_templates = policy, templates
        return templates

    def _warn(self, policy: Policy) -> None:
        for recipient in self._recipients:
            for problem in recipient.problems():
                if problem.code in policy.warn - policy.refuse:
                    text = f"{recipient.subject} ({recipient.fingerprint[:16]}…): {problem}"
                    warnings.warn(text, RecipientWarning, stacklevel=5)


def _addressees(templates: tuple[_Template, ...], policy: Policy) -> _core.Addressees:
    infos, holes = b"", []
    for template in sorted(templates, key=lambda template: template.prefix):
        infos += template.prefix
        holes.append((len(infos), template))
        infos += bytes(template.key_octets)
    # The CMSVersion of the EnvelopedData around them (RFC 5652 section 6.1).
    version = 2 if any(template.version for template in templates) else 0
    alone = policy.header_protection is not None
    return _core.Addressees(infos, version, policy.cipher, _engine_holes(holes), alone=alone)


def _engine_holes(holes: list[tuple[int, _Template]]) -> list[tuple[int, _core.RsaKey, str]] | None:
    """The keys as C takes them; None if it can't do all of them."""
    # Where two differ in the encrypted key alone, only that says which comes first in the SET.
    told_apart = len({template.prefix for _, template in holes}) == len(holes)
    if not told_apart or not _core.wraps_rsa:
        return None
    try:
        return [(at, _engine_key(template.key), template.transport) for at, template in holes]
    except ValueError:
        return None


def _engine_key(key: rsa.RSAPublicKey) -> _core.RsaKey:
    numbers = key.public_numbers()
    return _core.RsaKey(numbers.n, numbers.e)


def as_recipients(to: Recipients | Recipient | Iterable[Recipient]) -> Recipients:
    """What the caller gave as ``to``, prepared."""
    if isinstance(to, Recipients):
        return to
    return Recipients([to] if isinstance(to, Recipient) else to)


def _unusable(recipient: Recipient, why: str, problems: tuple[str, ...] = ()) -> RecipientError:
    return RecipientError(
        "unusable-recipient",
        f"can't encrypt to {recipient.subject} ({recipient.fingerprint[:16]}…): {why}",
        fingerprint=recipient.fingerprint,
        problems=problems,
    )


def _refuse(recipient: Recipient, policy: Policy) -> None:
    refused = [p for p in recipient.problems() if p.code in policy.refuse]
    if refused:
        why = "; ".join(map(str, refused))
        codes = tuple(problem.code for problem in refused)
        raise _unusable(recipient, f"the policy refuses it: {why}", codes)


def _template(recipient: Recipient, policy: Policy) -> _Template:
    key = recipient.public_key
    if not isinstance(key, rsa.RSAPublicKey):
        raise _unusable(recipient, f"a {recipient.key} key needs key agreement; use an RSA key")
    transport = "oaep-sha256" if recipient.oaep_only else policy.key_transport
    by_identifier = policy.recipient_id == "ski" and recipient.key_identifier is not None
    key_octets = (key.key_size + 7) // 8

    info = _sequence(
        univ.Integer(2 if by_identifier else 0),
        _key_identifier(recipient) if by_identifier else _issuer_and_serial(recipient),
        _algorithm(transport),
        univ.OctetString(bytes(key_octets)),
    )
    prefix = encoder.encode(info)[:-key_octets]
    return _Template(prefix, 2 if by_identifier else 0, key, transport, recipient)


def _issuer_and_serial(recipient: Recipient) -> univ.Sequence:
    # Both as they stand in the certificate: a reader compares octets.
    return _sequence(univ.Any(recipient.issuer_der), univ.Any(recipient.serial_der))


def _key_identifier(recipient: Recipient) -> Any:
    implicit_0 = tag.Tag(tag.tagClassContext, tag.tagFormatSimple, 0)
    octets: Any = univ.OctetString(recipient.key_identifier)
    return octets.subtype(implicitTag=implicit_0)


def _algorithm(transport: str) -> univ.Sequence:
    if transport == "pkcs1v15":
        return _sequence(univ.ObjectIdentifier(_RSA_ENCRYPTION), univ.Null(""))
    # RFC 4055 section 2.1 wants both forms of the hash's parameters read, and its own constants
    # write NULL, as OpenSSL and Bouncy Castle do.
    sha256 = _sequence(univ.ObjectIdentifier(_SHA256), univ.Null(""))
    mgf1 = _sequence(univ.ObjectIdentifier(_MGF1), sha256)
    parameters = _sequence(_explicit(0, sha256), _explicit(1, mgf1))
    return _sequence(univ.ObjectIdentifier(_RSAES_OAEP), parameters)


def _sequence(*parts: Any) -> univ.Sequence:
    sequence = univ.Sequence()
    for position, part in enumerate(parts):
        sequence.setComponentByPosition(position, part)
    return sequence


def _explicit(number: int, value: Any) -> Any:
    explicit = tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, number)
    return value.subtype(explicitTag=explicit, cloneValueFlag=True)
