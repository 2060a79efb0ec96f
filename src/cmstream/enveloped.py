"""What stands in an EnvelopedData before its content (RFC 5652 section 6.1): whom it is for, and
how it is encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from . import tlv, x509
from ._opening import envelope_error
from .tlv import Tlv, TlvError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .certificates import Recipient

MAX_RECIPIENTS = 4096
"""RecipientInfos of one message. A mailing list of that size seals for each member alone."""

CONTENT_TYPES = {
    "1.2.840.113549.1.7.3": "enveloped-data",
    "1.2.840.113549.1.9.16.1.23": "authenticated-enveloped-data",
}
_OTHER_TYPES = {
    "1.2.840.113549.1.7.1": "data",
    "1.2.840.113549.1.7.2": "signed-data",
    "1.2.840.113549.1.7.5": "digested-data",
    "1.2.840.113549.1.7.6": "encrypted-data",
    "1.2.840.113549.1.9.16.1.9": "compressed-data",
}

_CONTEXT_0, _IMPLICIT_0 = 0xA0, 0x80
_SEGMENTED = tlv.OCTET_STRING | 0x20


class Cipher(NamedTuple):
    """A content-encryption algorithm: its name, octets of its key, and of its IV or nonce, 0 where
    that may have several lengths; and whether it is authenticated, thus for AuthEnvelopedData."""

    name: str
    key_len: int
    iv_len: int
    authenticated: bool = False


CIPHERS = {
    "2.16.840.1.101.3.4.1.2": Cipher("aes128-cbc", 16, 16),
    "2.16.840.1.101.3.4.1.22": Cipher("aes192-cbc", 24, 16),
    "2.16.840.1.101.3.4.1.42": Cipher("aes256-cbc", 32, 16),
    "1.2.840.113549.3.7": Cipher("des-ede3-cbc", 24, 8),
    "2.16.840.1.101.3.4.1.6": Cipher("aes128-gcm", 16, 0, authenticated=True),
    "2.16.840.1.101.3.4.1.26": Cipher("aes192-gcm", 24, 0, authenticated=True),
    "2.16.840.1.101.3.4.1.46": Cipher("aes256-gcm", 32, 0, authenticated=True),
    "1.2.840.113549.1.9.16.3.18": Cipher("chacha20-poly1305", 32, 12, authenticated=True),
}

NOT_YET = {
    "2.16.840.1.101.3.4.1.7": "aes128-ccm",
    "2.16.840.1.101.3.4.1.27": "aes192-ccm",
    "2.16.840.1.101.3.4.1.47": "aes256-ccm",
    "1.2.840.113549.3.2": "rc2-cbc",
}
"""Ciphers that have a name, and aren't opened."""

ALGORITHMS = {
    "1.2.840.113549.1.1.1": "rsa-pkcs1v15",
    "1.2.840.113549.1.1.7": "rsa-oaep",
}
"""What encrypts a key, as far as it has a name here."""


def cipher_name(oid: str) -> str:
    """As far as it has one."""
    return CIPHERS[oid].name if oid in CIPHERS else NOT_YET.get(oid, oid)


class Name(NamedTuple):
    """How a recipient is named: by the whole Name of the issuer and the whole serial number, or by
    an identifier of the key."""

    issuer: bytes = b""
    serial: bytes = b""
    key_identifier: bytes | None = None

    def is_of(self, recipient: Recipient, key_identifiers: Iterable[bytes]) -> bool:
        """Whether it names this certificate, whose key goes by these identifiers; octets alone are
        compared."""
        if self.key_identifier is not None:
            return self.key_identifier in key_identifiers
        return (self.issuer, self.serial) == (recipient.issuer_der, recipient.serial_der)

    def __str__(self) -> str:
        if self.key_identifier is not None:
            return f"key identifier {self.key_identifier.hex()}"
        if not self.issuer:
            return "nobody named"
        return f"serial {self.serial_number:x} of {self.issuer_text or '(empty)'}"

    @property
    def serial_number(self) -> int:
        """The value of the serial number."""
        return int.from_bytes(tlv.read(self.serial).content, "big", signed=True)

    @property
    def issuer_text(self) -> str:
        """As RFC 4514 writes it, or its octets if it is no Name."""
        try:
            return x509.name_text(tlv.read(self.issuer))
        except TlvError:
            return f"#{self.issuer.hex()}"


class RecipientInfo(NamedTuple):
    """One RecipientInfo (RFC 5652 section 6.2). ``kind``: ``key-transport``, ``key-agreement``,
    ``kek``, ``password`` or ``other``; ``names``: one, but for key agreement, which may have
    several, and a password, which has none. The key encrypted, its algorithm in dotted form, and
    the parameters are those of key transport."""

    kind: str
    names: tuple[Name, ...]
    algorithm: str
    parameters: Tlv | None = None
    encrypted_key: bytes = b""

    def __str__(self) -> str:
        if self.kind == "other":
            return "a recipient of another kind"
        return " and ".join(map(str, self.names)) or f"a {self.kind} recipient"


@dataclass(frozen=True)
class Envelope:
    """``content_type``: of the CMS, in words; ``inner_type`` and ``cipher``: dotted. ``recipients``
    are read when they are asked for."""

    content_type: str
    version: int
    infos: tuple[Tlv, ...]
    inner_type: str
    cipher: str
    parameters: Tlv | None

    def recipients(self) -> Iterator[RecipientInfo]:
        """Raises EnvelopeError ``malformed``."""
        return map(_recipient, self.infos)


def read_head(head: bytes) -> Envelope:
    """The head of a ContentInfo, up to its encrypted content. Raises EnvelopeError
    ``not-enveloped``, ``malformed``, ``too-many-recipients``."""
    check_type(head)
    try:
        return _envelope(head)
    except TlvError as error:
        raise envelope_error("malformed", str(error)) from None


def check_type(head: bytes) -> None:
    """Raises EnvelopeError ``not-enveloped`` where the beginning of a ContentInfo says that it is
    something else."""
    try:
        _, at = tlv.beginning(head)
        kind = tlv.read(head, at).oid()
    except TlvError:
        return  # too short, or too broken, to say
    if kind not in CONTENT_TYPES:
        name = _OTHER_TYPES.get(kind, kind)
        raise envelope_error(
            "not-enveloped", f"it is CMS, but {name}, which isn't encrypted to you"
        )


def _envelope(head: bytes) -> Envelope:
    _, at = tlv.beginning(head)
    kind = tlv.read(head, at)
    _, at = tlv.beginning(head, kind.end)
    _, at = tlv.beginning(head, at)
    version = tlv.read(head, at)
    infos = tlv.read(head, version.end)
    if infos.tag != tlv.SET:  # originatorInfo
        infos = tlv.read(head, infos.end)
    recipients = infos.children()
    if len(recipients) > MAX_RECIPIENTS:
        raise envelope_error("too-many-recipients", f"it is for more than {MAX_RECIPIENTS}")
    _, at = tlv.beginning(head, infos.end)
    inner = tlv.read(head, at)
    cipher = tlv.read(head, inner.end).fields()
    return Envelope(
        content_type=CONTENT_TYPES[kind.oid()],
        version=int.from_bytes(version.content, "big", signed=True),
        infos=recipients,
        inner_type=inner.oid(),
        cipher=cipher.take(tlv.OID).oid(),
        parameters=next(iter(cipher.rest()), None),
    )


def read_tail(tail: bytes) -> tuple[bytes, bytes]:
    """What follows the encrypted content of an AuthEnvelopedData (RFC 5083 section 2.1): what the
    tag proves besides the content, and the tag. Raises EnvelopeError ``malformed``.

    The former is authAttrs as section 2.2 has it, DER with the tag of a SET OF; lengths and the
    order of what these SETs hold are brought into DER where they aren't, a value's own are not.
    """
    try:
        return _tail(tail)
    except TlvError as error:
        raise envelope_error("malformed", f"behind its content: {error}") from None


def _tail(tail: bytes) -> tuple[bytes, bytes]:
    at, found = 0, []
    while at < len(tail) and tail[at]:  # else the ends of what is around
        found.append(tlv.read(tail, at))
        at = found[-1].end
    attributes = b""
    if found and found[0].tag == _AUTHENTICATED_ATTRIBUTES:
        attributes = _set(map(_attribute, found.pop(0).children()))
    if not found or found[0].tag != tlv.OCTET_STRING:
        raise TlvError("it has no tag")
    return attributes, found[0].content


_AUTHENTICATED_ATTRIBUTES = 0xA1


def _attribute(attribute: Tlv) -> bytes:
    fields = attribute.fields()
    kind, values = fields.take(tlv.OID), fields.take(tlv.SET)
    fields.done()
    return tlv.build(tlv.SEQUENCE, _definite(kind), _set(map(_definite, values.children())))


def _set(members: Iterable[bytes]) -> bytes:
    return tlv.build(tlv.SET, *sorted(members))


def _definite(element: Tlv) -> bytes:
    """With lengths as DER has them."""
    if not element.tag & tlv.CONSTRUCTED:
        return tlv.build(element.tag, element.content)
    return tlv.build(element.tag, *map(_definite, element.children()))


# RecipientInfos


def _recipient(info: Tlv) -> RecipientInfo:
    try:
        return _READERS.get(info.tag, _unknown)(info.fields())
    except TlvError as error:
        raise envelope_error("malformed", f"a RecipientInfo is broken: {error}") from None


def _key_transport(fields: tlv.Fields) -> RecipientInfo:
    fields.take(tlv.INTEGER)
    name = _name(fields)
    algorithm = fields.take(tlv.SEQUENCE).fields()
    oid, parameters = algorithm.take(tlv.OID).oid(), next(iter(algorithm.rest()), None)
    key = fields.maybe(tlv.OCTET_STRING, _SEGMENTED)
    if key is None:
        raise TlvError("it has no encrypted key")
    fields.done()
    return RecipientInfo("key-transport", (name,), oid, parameters, key.octets())


def _name(fields: tlv.Fields) -> Name:
    """IssuerAndSerialNumber, or [0] SubjectKeyIdentifier."""
    if identifier := fields.maybe(_IMPLICIT_0, _CONTEXT_0):
        return Name(key_identifier=identifier.octets())
    inner = fields.take(tlv.SEQUENCE).fields()
    return Name(inner.take(tlv.SEQUENCE).whole, inner.take(tlv.INTEGER).whole)


def _key_agreement(fields: tlv.Fields) -> RecipientInfo:
    """KeyAgreeRecipientInfo (section 6.2.2), as far as it says for whom it is."""
    fields.take(tlv.INTEGER)
    fields.take(_CONTEXT_0)
    fields.maybe(0xA1)
    oid = fields.take(tlv.SEQUENCE).fields().take(tlv.OID).oid()
    keys = fields.take(tlv.SEQUENCE).children()
    return RecipientInfo("key-agreement", tuple(_agreed_name(key.fields()) for key in keys), oid)


def _agreed_name(fields: tlv.Fields) -> Name:
    if identifier := fields.maybe(_CONTEXT_0):
        return Name(key_identifier=identifier.fields().take(tlv.OCTET_STRING).content)
    return _name(fields)


def _kek(fields: tlv.Fields) -> RecipientInfo:
    fields.take(tlv.INTEGER)
    identifier = fields.take(tlv.SEQUENCE).fields().take(tlv.OCTET_STRING).content
    oid = fields.take(tlv.SEQUENCE).fields().take(tlv.OID).oid()
    return RecipientInfo("kek", (Name(key_identifier=identifier),), oid)


def _password(fields: tlv.Fields) -> RecipientInfo:
    fields.take(tlv.INTEGER)
    fields.maybe(_CONTEXT_0)
    oid = fields.take(tlv.SEQUENCE).fields().take(tlv.OID).oid()
    return RecipientInfo("password", (), oid)


def _other(fields: tlv.Fields) -> RecipientInfo:
    return RecipientInfo("other", (), fields.take(tlv.OID).oid())


def _unknown(_: tlv.Fields) -> RecipientInfo:
    raise TlvError("its tag stands for none")


_READERS = {
    tlv.SEQUENCE: _key_transport,
    0xA1: _key_agreement,
    0xA2: _kek,
    0xA3: _password,
    0xA4: _other,
}
