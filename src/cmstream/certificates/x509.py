"""What a certificate says (RFC 5280), read from its octets as they stand.

The library's own certificate class refuses, or fails later on, much that people really have:
names that aren't DER, Latin-1 strings, odd serial numbers, keys marked for RSAES-OAEP. Here one
tolerant reader serves them all, and only the public key goes to the library. An extension that
can't be read costs what it would have said, not the certificate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..ciphers import WRITTEN

MAX_SERIAL_OCTETS = 64
"""Octets of a serial number; RFC 5280 allows 20, and a few authorities write one or two more."""

_KEY_USAGE = "2.5.29.15"
_SUBJECT_ALT_NAME = "2.5.29.17"
_BASIC_CONSTRAINTS = "2.5.29.19"
_EXTENDED_KEY_USAGE = "2.5.29.37"
_SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
_SMIME_CAPABILITIES = "1.2.840.113549.1.9.15"

_CAPABILITIES = {
    **{one.oid: one.name for one in WRITTEN},
    "1.2.840.113549.1.1.1": "pkcs1v15",
}
_RSAES_OAEP, _MGF1 = "1.2.840.113549.1.1.7", "1.2.840.113549.1.1.8"
_OAEP_HASHES = {
    "2.16.840.1.101.3.4.2.1": "oaep-sha256",
    "2.16.840.1.101.3.4.2.2": "oaep-sha384",
    "2.16.840.1.101.3.4.2.3": "oaep-sha512",
}

_EMAIL_ADDRESS = "1.2.840.113549.1.9.1"
_SMTP_UTF8_MAILBOX = "1.3.6.1.5.5.7.8.9"  # RFC 9598 section 3
_BOOLEAN = 0x01
_UTF8_STRING = 0x0C
_IA5_STRING = 0x16
_RFC822_NAME = 0x81
_CONTEXT_0, _CONTEXT_1, _CONTEXT_2, _CONTEXT_3 = 0xA0, 0x81, 0x82, 0xA3

# T61String should be ITU T.61, but whoever writes one today means Latin-1.
_CHARSETS = {
    _UTF8_STRING: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    _IA5_STRING: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_SHORT_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.42": "givenName",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    _EMAIL_ADDRESS: "emailAddress",
}


@dataclass(frozen=True)
class Certificate:
    """What a TBSCertificate says (RFC 5280 section 4.1).

    ``key_usage``: the numbers of the bits set (section 4.2.1.3), ``purposes``: the extended key
    usages in dotted form; both None without the extension, and empty with a broken one.
    ``key_identifier``: None in both cases. ``capabilities``: the S/MIME capabilities (RFC 4262)
    that :class:`~cmstream.Policy` has a name for, in their order; None in both cases.
    ``subject_text`` and ``issuer_text`` are RFC 4514; ``emails`` has the addresses of the
    subjectAltName, then those of the subject, each once.
    """

    serial: Tlv
    issuer: Tlv
    subject: Tlv
    subject_text: str
    issuer_text: str
    not_before: datetime
    not_after: datetime
    public_key: Tlv
    emails: tuple[str, ...]
    key_usage: frozenset[int] | None
    purposes: frozenset[str] | None
    key_identifier: bytes | None
    is_ca: bool
    capabilities: tuple[str, ...] | None


# Controls, line and paragraph separators, and what turns the direction of the text after it.
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
# An address without white space or control characters: more isn't ours to judge.
_ADDRESS = re.compile(rf"[^\s{_UNSEEN}\ufffd]+@[^\s{_UNSEEN}\ufffd@]+")


def parse(der: bytes) -> Certificate:
    """Read one certificate. Raises TlvError if the octets aren't exactly one."""
    outer = tlv.read_only(der).fields()
    fields = outer.take(tlv.SEQUENCE).fields()
    outer.take(tlv.SEQUENCE)
    outer.take(tlv.BIT_STRING)
    outer.done()
    fields.maybe(_CONTEXT_0)
    serial = _serial(fields.take(tlv.INTEGER))
    fields.take(tlv.SEQUENCE)
    issuer = fields.take(tlv.SEQUENCE)
    not_before, not_after = _validity(fields.take(tlv.SEQUENCE))
    subject = fields.take(tlv.SEQUENCE)
    public_key = fields.take(tlv.SEQUENCE)
    fields.maybe(_CONTEXT_1)
    fields.maybe(_CONTEXT_2)
    extensions = _extensions(fields.maybe(_CONTEXT_3))
    fields.done()
    return Certificate(
        serial=serial,
        issuer=issuer,
        subject=subject,
        subject_text=name_text(subject),
        issuer_text=name_text(issuer),
        not_before=not_before,
        not_after=not_after,
        public_key=public_key,
        emails=_emails(extensions.get(_SUBJECT_ALT_NAME), subject),
        key_usage=_key_usage(extensions.get(_KEY_USAGE)),
        purposes=_purposes(extensions.get(_EXTENDED_KEY_USAGE)),
        key_identifier=_key_identifier(extensions.get(_SUBJECT_KEY_IDENTIFIER)),
        is_ca=_is_ca(extensions.get(_BASIC_CONSTRAINTS)),
        capabilities=_capabilities(extensions.get(_SMIME_CAPABILITIES)),
    )


def _serial(element: Tlv) -> Tlv:
    if len(element.content) > MAX_SERIAL_OCTETS:
        raise TlvError(f"a serial number of more than {MAX_SERIAL_OCTETS} octets")
    element.integer()
    return element


def _extensions(wrapper: Tlv | None) -> dict[str, bytes]:
    """The values by dotted OID."""
    found: dict[str, bytes] = {}
    for extension in wrapper.fields().take(tlv.SEQUENCE).children() if wrapper else ():
        fields = extension.fields()
        oid = fields.take(tlv.OID).oid()
        fields.maybe(_BOOLEAN)
        if oid in found:
            raise TlvError(f"the extension {oid} is there twice")
        found[oid] = fields.take(tlv.OCTET_STRING).content
        fields.done()
    return found


def _key_usage(value: bytes | None) -> frozenset[int] | None:
    if value is None:
        return None
    try:
        content = tlv.read_only(value, tlv.BIT_STRING).content
    except TlvError:
        return frozenset()  # nobody can tell what it allows
    bits = "".join(f"{octet:08b}" for octet in content[1:])
    return frozenset(number for number, bit in enumerate(bits) if bit == "1")


def _purposes(value: bytes | None) -> frozenset[str] | None:
    if value is None:
        return None
    try:
        return frozenset(purpose.oid() for purpose in tlv.read_only(value).children())
    except TlvError:
        return frozenset()


def _key_identifier(value: bytes | None) -> bytes | None:
    """A malformed one is none: sealing names a recipient by issuer and serial number then."""
    try:
        return None if value is None else tlv.read_only(value, tlv.OCTET_STRING).content or None
    except TlvError:
        return None


def _is_ca(value: bytes | None) -> bool:
    try:
        flag = tlv.read_only(value).fields().maybe(_BOOLEAN) if value is not None else None
    except TlvError:
        return False
    return flag is not None and any(flag.content)


def _capabilities(value: bytes | None) -> tuple[str, ...] | None:
    """SMIMECapabilities (RFC 8551 section 2.5.2), the most preferred first."""
    if value is None:
        return None
    try:
        names = map(_capability, tlv.read_only(value).children())
        return tuple(dict.fromkeys(filter(None, names)))
    except TlvError:
        return None  # nobody should go without mail for wishes that can't be read


def _capability(element: Tlv) -> str:
    """The name of one, or ""."""
    fields = element.fields()
    oid, parameters = fields.take(tlv.OID).oid(), fields.rest()
    if oid == _RSAES_OAEP:
        return _oaep(parameters[0].children()) if parameters else ""
    return _CAPABILITIES.get(oid, "")


def own_oaep(public_key: Tlv) -> str:
    """The OAEP that the parameters of an RSA key allow alone (RFC 4055 section 4.1), or "" where
    they say nothing, or name one that :class:`~cmstream.Policy` has no name for."""
    try:
        _, parameters = _algorithm(public_key.fields().take(tlv.SEQUENCE))
        there = parameters and parameters[0].tag == tlv.SEQUENCE
        return _oaep(parameters[0].children()) if there else ""
    except TlvError:
        return ""


def _oaep(parameters: tuple[Tlv, ...]) -> str:
    """The name for RSAES-OAEP-params (RFC 4055 section 4.1) with one hash in both places, or "":
    what is left out means SHA-1."""
    # The octets that RFC 3560 section 5 prints have no tags around the algorithms.
    bare = [p if p.tag == tlv.SEQUENCE else p.fields().take(tlv.SEQUENCE) for p in parameters]
    match [_algorithm(one) for one in bare]:
        case [(hash_oid, _), (generator, [mask])] if generator == _MGF1:
            same = _algorithm(mask)[0] == hash_oid
            return _OAEP_HASHES.get(hash_oid, "") if same else ""
    return ""


def _algorithm(element: Tlv) -> tuple[str, tuple[Tlv, ...]]:
    """An AlgorithmIdentifier: its object identifier and its parameters."""
    fields = element.fields()
    return fields.take(tlv.OID).oid(), fields.rest()


def _validity(element: Tlv) -> tuple[datetime, datetime]:
    times = [_time(child) for child in element.children()]
    match times:
        case [not_before, not_after]:
            return not_before, not_after
    raise TlvError("a validity needs a beginning and an end")


_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_PIVOT_YEAR = 50
_TIMES = {
    _UTC_TIME: re.compile(rb"(\d\d)" + rb"(\d\d)" * 5 + b"Z"),
    _GENERALIZED_TIME: re.compile(rb"(\d{4})" + rb"(\d\d)" * 5 + b"Z"),
}


def _time(element: Tlv) -> datetime:
    """UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 writes them."""
    pattern = _TIMES.get(element.tag)
    match = pattern.fullmatch(element.content) if pattern else None
    if not match:
        raise TlvError("a date that isn't one")
    year, month, day, hour, minute, second = map(int, match.groups())
    if element.tag == _UTC_TIME:
        year += 2000 if year < _PIVOT_YEAR else 1900
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        raise TlvError("a date that isn't in the calendar") from None


def _attributes(name: Tlv) -> list[list[tuple[str, Tlv]]]:
    """A Name as relative distinguished names, each a list of type and value."""
    found = []
    for relative in name.children():
        pairs = []
        for attribute in relative.children():
            fields = attribute.fields()
            oid = fields.take(tlv.OID).oid()
            (value, *more) = fields.rest() or (None,)
            if value is None or more:
                raise TlvError("a part of a name needs one value")
            pairs.append((oid, value))
        found.append(pairs)
    return found


def name_text(name: Tlv) -> str:
    """A Name as RFC 4514 writes it, the last part first."""
    return ",".join(
        "+".join(_attribute_text(oid, value) for oid, value in relative)
        for relative in reversed(_attributes(name))
    )


def _attribute_text(oid: str, value: Tlv) -> str:
    if oid not in _SHORT_NAMES or value.tag not in _CHARSETS:
        return f"{_SHORT_NAMES.get(oid, oid)}=#{value.whole.hex()}"
    text = re.sub(r'[,+"\\<>;]', r"\\\g<0>", _text(value))
    text = re.sub(r"^[ #]| \Z", r"\\\g<0>", text)
    # A name must not bring line breaks, terminal controls or turned text into a report.
    text = re.sub(rf"[{_UNSEEN}]", _hex_pairs, text)
    return f"{_SHORT_NAMES[oid]}={text}"


def _hex_pairs(match: re.Match[str]) -> str:
    return "".join(f"\\{octet:02X}" for octet in match[0].encode())


def _text(value: Tlv) -> str:
    return value.content.decode(_CHARSETS[value.tag], "replace")


def _emails(alternatives: bytes | None, subject: Tlv) -> tuple[str, ...]:
    found = [*map(_alternative_email, _alternative_names(alternatives)), *_subject_emails(subject)]
    unique: dict[str, str] = {}
    for address in filter(_ADDRESS.fullmatch, found):
        unique.setdefault(address.casefold(), address)
    return tuple(unique.values())


def _alternative_names(value: bytes | None) -> tuple[Tlv, ...]:
    """Each GeneralName (RFC 5280 section 4.2.1.6); none where they can't be told apart."""
    try:
        return tlv.read_only(value).children() if value is not None else ()
    except TlvError:
        return ()


def _subject_emails(subject: Tlv) -> list[str]:
    return [
        _text(value)
        for relative in _attributes(subject)
        for oid, value in relative
        if oid == _EMAIL_ADDRESS and value.tag in _CHARSETS
    ]


def _alternative_email(name: Tlv) -> str:
    """The address in a GeneralName, or "" if it holds none that can be read."""
    if name.tag == _RFC822_NAME:
        return name.content.decode("ascii", "replace")
    if name.tag != _CONTEXT_0:
        return ""
    try:
        return _smtp_utf8_mailbox(name)
    except TlvError:
        return ""


def _smtp_utf8_mailbox(name: Tlv) -> str:
    """An otherName's address. Some authorities write another kind of string than UTF8String."""
    fields = name.fields()
    if fields.take(tlv.OID).oid() != _SMTP_UTF8_MAILBOX:
        return ""
    value = fields.take(_CONTEXT_0).fields().maybe(*_CHARSETS)
    return _text(value) if value else ""
