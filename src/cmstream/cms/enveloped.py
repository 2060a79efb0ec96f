"""Reads what stands around the content of an EnvelopedData (RFC 5652 section 6.1): whom it is for,
and how it is encrypted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..certificates import key_wrap, keys, x509
from ..ciphers import BY_OID
from ..engine.decoder import envelope_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..certificates.recipient import Recipient

MAX_RECIPIENTS = 4096
"""The most RecipientInfos of one message. A mailing list of that size encrypts to each member
alone."""

CONTENT_TYPES = {
    "1.2.840.113549.1.7.3": "enveloped-data",
    "1.2.840.113549.1.9.16.1.23": "authenticated-enveloped-data",
}
_DATA = "1.2.840.113549.1.7.1"
_OTHER_TYPES = {
    _DATA: "data",
    "1.2.840.113549.1.7.2": "signed-data",
    "1.2.840.113549.1.7.5": "digested-data",
    "1.2.840.113549.1.7.6": "encrypted-data",
    "1.2.840.113549.1.9.16.1.9": "compressed-data",
}

_CONTEXT_0, _IMPLICIT_0 = 0xA0, 0x80


_UP_TO_IV, _IV = 26, 16
# id-data, then id-aes128-CBC, id-aes192-CBC or id-aes256-CBC with an IV of 16 bytes.
_USUAL = {
    bytes.fromhex(f"06092a864886f70d010701301d06096086480165030401{arc:02x}0410"): (
        f"2.16.840.1.101.3.4.1.{arc}"
    )
    for arc in (2, 22, 42)
}

NOT_YET = {
    "1.2.840.113549.3.2": "rc2-cbc",
}
"""Ciphers that have a name here, though they can't be decrypted."""

ORI_KEM = "1.2.840.113549.1.9.16.13.3"
"""The OtherRecipientInfo that is a KEMRecipientInfo (RFC 9629 section 3)."""

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
ALGORITHMS = {
    RSA_ENCRYPTION: "rsa-pkcs1v15",
    "1.2.840.113549.1.1.7": "rsa-oaep",
    "1.3.133.16.840.63.0.2": "ecdh-sha1",
    "1.3.132.1.11.0": "ecdh-sha224",
    "1.3.132.1.11.1": "ecdh-sha256",
    "1.3.132.1.11.2": "ecdh-sha384",
    "1.3.132.1.11.3": "ecdh-sha512",
    "1.3.133.16.840.63.0.3": "ecdh-cofactor-sha1",
    "1.3.132.1.14.0": "ecdh-cofactor-sha224",
    "1.3.132.1.14.1": "ecdh-cofactor-sha256",
    "1.3.132.1.14.2": "ecdh-cofactor-sha384",
    "1.3.132.1.14.3": "ecdh-cofactor-sha512",
    "1.2.840.113549.1.9.16.3.19": "ecdh-hkdf-sha256",
    "1.2.840.113549.1.9.16.3.20": "ecdh-hkdf-sha384",
    "1.2.840.113549.1.9.16.3.21": "ecdh-hkdf-sha512",
    "1.2.840.113549.1.9.16.3.6": "des-ede3-wrap",
    "1.2.840.113549.1.9.16.3.9": "pwri-kek",
    **key_wrap.NAMES,
    **{kem.oid: name.lower() for name, kem in keys.ML_KEMS.items()},
}
"""The names of algorithms that encrypt a key."""


def type_name(oid: str) -> str:
    """The name of a content type, or the dotted identifier if it has none here."""
    return _OTHER_TYPES.get(oid) or CONTENT_TYPES.get(oid, oid)


def cipher_name(oid: str) -> str:
    """The name of a cipher, or the dotted identifier if it has none here."""
    return BY_OID[oid].name if oid in BY_OID else NOT_YET.get(oid, oid)


class Name(NamedTuple):
    """How a recipient is named: by the whole Name of the issuer and the whole serial number, or by
    an identifier of the key."""

    issuer: bytes = b""
    serial: bytes = b""
    key_identifier: bytes | None = None

    def is_of(self, recipient: Recipient, key_identifiers: Iterable[bytes]) -> bool:
        """Whether it names this certificate, whose key goes by these identifiers; bytes alone are
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
        """As RFC 4514 writes it, or its bytes if it is no Name."""
        try:
            return x509.name_text(tlv.read(self.issuer))
        except TlvError:
            return f"#{self.issuer.hex()}"


class RecipientInfo(NamedTuple):
    """One RecipientInfo (RFC 5652 section 6.2), as far as all kinds are alike. ``kind``:
    ``key-transport``, ``key-agreement``, ``kek``, ``password``, ``kem`` or ``other``; ``names``:
    one, but for key agreement, which may have several, and a password, which has none.
    ``algorithm``, what encrypts the key, in dotted form, with its ``parameters``;
    ``encrypted_key``: that of key transport alone. ``whole``: all of it, for whoever reads more."""

    kind: str
    names: tuple[Name, ...]
    algorithm: str
    parameters: Tlv | None
    whole: Tlv
    encrypted_key: bytes = b""

    @property
    def how(self) -> str:
        """What encrypts the key, by its name if it has one; for key agreement with the key wrap
        behind a slash."""
        name = ALGORITHMS.get(self.algorithm, self.algorithm)
        if name == "rsa-oaep":
            return name + _oaep_hash(self.parameters)
        if self.kind != "key-agreement" or self.parameters is None:
            return name
        try:
            wrap = self.parameters.fields().take(tlv.OID).oid()
        except TlvError:
            return name
        return f"{name}/{ALGORITHMS.get(wrap) or cipher_name(wrap)}"

    def __str__(self) -> str:
        if self.kind == "other":
            return "a recipient of another kind"
        if self.kind == "kek":
            return f"key-encryption key {(self.names[0].key_identifier or b'').hex()}"
        return " and ".join(map(str, self.names)) or f"a {self.kind} recipient"


_HASH_NAMES = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "2.16.840.1.101.3.4.2.4": "sha224",
}


def _oaep_hash(parameters: Tlv | None) -> str:
    """The hash of RSAES-OAEP-params (RFC 4055 section 4.1), SHA-1 where none is named."""
    try:
        named = parameters and parameters.tag == tlv.SEQUENCE and parameters.fields().maybe(0xA0)
        if not named:
            return "-sha1"
        oid, _ = read_algorithm(named.fields())
    except TlvError:
        return ""
    return f"-{_HASH_NAMES.get(oid, oid)}"


class Envelope(NamedTuple):
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
    try:
        return _envelope(head)
    except TlvError as error:
        check_type(head)
        raise envelope_error("malformed", str(error)) from None


def beside_recipients(head: bytes) -> tuple[Tlv, ...]:
    """What else the head says: of its originator, the content's type, and how it is encrypted.
    Raises TlvError."""
    _, _, at = _beginning(head)
    first = tlv.read(head, at)
    originator = () if first.tag == tlv.SET else (first,)
    infos = tlv.read(head, first.end) if originator else first
    _, at = tlv.beginning(head, infos.end)
    inner = tlv.read(head, at)
    return (*originator, inner, tlv.read(head, inner.end))


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
        raise envelope_error("not-enveloped", f"it is CMS, but {name}, which isn't encrypted")


def _envelope(head: bytes) -> Envelope:
    content_type, version, at = _beginning(head)
    infos = tlv.read(head, at)
    if infos.tag != tlv.SET:  # originatorInfo
        infos = tlv.read(head, infos.end)
    recipients = infos.children()
    if len(recipients) > MAX_RECIPIENTS:
        raise envelope_error("too-many-recipients", f"it is for more than {MAX_RECIPIENTS}")
    _, at = tlv.beginning(head, infos.end)
    return Envelope(content_type, version, recipients, *_content(head, at))


# Comparing bytes with what most programs write is much faster than reading them.
_LENGTH = rb"(?:[\0-\x80]|\x81.|\x82..|\x83...|\x84....)"
_ENVELOPED_DATA = re.escape(bytes.fromhex("06092a864886f70d010703"))
_USUAL_BEGINNING = re.compile(
    rb"\x30%b%b\xa0%b\x30%b\x02\x01([\0-\x7f])" % (_LENGTH, _ENVELOPED_DATA, _LENGTH, _LENGTH),
    re.DOTALL,
)


def _beginning(head: bytes) -> tuple[str, int, int]:
    """Of a ContentInfo: the content type, the version, and where that ends."""
    if usual := _USUAL_BEGINNING.match(head):
        return "enveloped-data", usual[1][0], usual.end()
    _, at = tlv.beginning(head)
    kind = tlv.read(head, at)
    content_type = CONTENT_TYPES.get(kind.oid())
    if content_type is None:
        raise TlvError("an unknown type")
    _, at = tlv.beginning(head, kind.end)
    _, at = tlv.beginning(head, at)
    version = tlv.read(head, at)
    return content_type, int.from_bytes(version.content, "big", signed=True), version.end


def _content(head: bytes, at: int) -> tuple[str, str, Tlv | None]:
    """Of an EncryptedContentInfo: the content's type, the cipher, and its parameters."""
    iv = at + _UP_TO_IV
    usual = _USUAL.get(head[at:iv])
    if usual and len(head) >= iv + _IV:
        return _DATA, usual, Tlv(head, tlv.OCTET_STRING, iv - 2, iv, iv + _IV, iv + _IV)
    inner = tlv.read(head, at)
    return inner.oid(), *_algorithm(tlv.read(head, inner.end).fields())


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
        element, at = tlv.definite(tail, at)
        found.append(tlv.read(element))
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
    return tlv.build(tlv.SEQUENCE, kind.whole, _set(value.whole for value in values.children()))


def _set(members: Iterable[bytes]) -> bytes:
    return tlv.build(tlv.SET, *sorted(members))


# RecipientInfos


def _recipient(info: Tlv) -> RecipientInfo:
    try:
        return _READERS.get(info.tag, _unknown)(info, info.fields())
    except TlvError as error:
        if _is_newer(info):
            return RecipientInfo("other", (), "unknown", None, info)
        raise envelope_error("malformed", f"a RecipientInfo is broken: {error}") from None


def _key_transport(info: Tlv, fields: tlv.Fields) -> RecipientInfo:
    fields.take(tlv.INTEGER)
    name = read_name(fields)
    how = read_algorithm(fields)
    key = fields.octets()
    fields.done()
    return RecipientInfo("key-transport", (name,), *how, info, key)


def _key_agreement(info: Tlv, fields: tlv.Fields) -> RecipientInfo:
    """KeyAgreeRecipientInfo (section 6.2.2), as far as it says for whom it is."""
    fields.take(tlv.INTEGER)
    fields.take(_CONTEXT_0)
    fields.maybe(0xA1)
    how = read_algorithm(fields)
    keys = fields.take(tlv.SEQUENCE).children()
    names = tuple(_agreed_name(key.fields()) for key in keys)
    return RecipientInfo("key-agreement", names, *how, info)


def _agreed_name(fields: tlv.Fields) -> Name:
    if identifier := fields.maybe(_CONTEXT_0):
        return Name(key_identifier=identifier.fields().take(tlv.OCTET_STRING).content)
    return read_name(fields)


def _kek(info: Tlv, fields: tlv.Fields) -> RecipientInfo:
    fields.take(tlv.INTEGER)
    identifier = fields.take(tlv.SEQUENCE).fields().take(tlv.OCTET_STRING).content
    name = Name(key_identifier=identifier)
    return RecipientInfo("kek", (name,), *read_algorithm(fields), info)


def _password(info: Tlv, fields: tlv.Fields) -> RecipientInfo:
    fields.take(tlv.INTEGER)
    fields.maybe(_CONTEXT_0)
    return RecipientInfo("password", (), *read_algorithm(fields), info)


def _other(info: Tlv, fields: tlv.Fields) -> RecipientInfo:
    oid = fields.take(tlv.OID).oid()
    if oid == ORI_KEM:
        return _kem(info, fields.take(tlv.SEQUENCE).fields())
    return RecipientInfo("other", (), oid, None, info)


def _kem(info: Tlv, fields: tlv.Fields) -> RecipientInfo:
    """KEMRecipientInfo (RFC 9629 section 3), as far as it says for whom it is."""
    fields.take(tlv.INTEGER)
    name = read_name(fields)
    return RecipientInfo("kem", (name,), *read_algorithm(fields), info)


def _unknown(*_: object) -> RecipientInfo:
    raise TlvError("its tag stands for none")


def _is_newer(info: Tlv) -> bool:
    """Whether it is of a kind or a version that RFC 5652 doesn't know: such a one must not spoil
    the message for others (section 6.2)."""
    if info.tag not in _READERS:
        return info.tag & _CONTEXT_0 == _CONTEXT_0
    try:
        version = info.fields().take(tlv.INTEGER).integer()
    except TlvError:
        return False
    return version not in _VERSIONS[info.tag]


_READERS = {
    tlv.SEQUENCE: _key_transport,
    0xA1: _key_agreement,
    0xA2: _kek,
    0xA3: _password,
    0xA4: _other,
}
_VERSIONS = {tlv.SEQUENCE: {0, 2}, 0xA1: {3}, 0xA2: {4}, 0xA3: {0}, 0xA4: {0}}


def read_name(fields: tlv.Fields) -> Name:
    """IssuerAndSerialNumber, or [0] SubjectKeyIdentifier. Raises TlvError."""
    if identifier := fields.maybe(_IMPLICIT_0, _CONTEXT_0):
        return Name(key_identifier=identifier.octets())
    inner = fields.take(tlv.SEQUENCE).fields()
    return Name(inner.take(tlv.SEQUENCE).whole, inner.take(tlv.INTEGER).whole)


def read_algorithm(fields: tlv.Fields) -> tuple[str, Tlv | None]:
    """An AlgorithmIdentifier: dotted, with its parameters. Raises TlvError."""
    return _algorithm(fields.take(tlv.SEQUENCE).fields())


def _algorithm(inner: tlv.Fields) -> tuple[str, Tlv | None]:
    """Its parameters are one element at most (RFC 5280 section 4.1.1.2)."""
    which, parameters = inner.take(tlv.OID).oid(), inner.rest()
    if len(parameters) > 1:
        raise TlvError("an algorithm with more than its parameters")
    return which, parameters[0] if parameters else None
