"""Takes the signer's certificate out of a signed mail (RFC 8551 section 3.5), and checks that the
mail was signed with its key.

The certificates that come with a signature aren't signed themselves: whoever passes a mail on can
put others beside them, with any name. So only the one whose key has signed is proved. Where the
signed attributes name another one for sealing mail (SMIMEEncryptionKeyPreference, section 2.5.3),
that one is taken, and nothing is proved of it. Whether the issuer is to be trusted isn't asked.
"""

from __future__ import annotations

import quopri
import re
from contextlib import suppress
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING, NamedTuple

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..errors import CertificateError
from . import mail_signature, text_forms, x509

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

    from .mail_signature import SignatureCheck, Signer

MAX_HEAD = 64 << 10
"""Bytes of a header block at most,"""
MAX_FIELD = 2 << 10
"""of its Content-Type,"""
MAX_DEPTH = 4
"""levels of multiparts around the signature, as mailing lists add them,"""
MAX_ENTITIES = 100
"""parts that are looked at in all,"""
MAX_PARAMETERS = 20
"""parameters of a Content-Type, which Python's parser takes the square of their number for,"""
MAX_NAMESAKES = 5
"""certificates with the name of the signer,"""
MAX_CERTIFICATES = 100
"""and certificates beside it."""

_SIGNATURES = {"application/pkcs7-signature", "application/x-pkcs7-signature"}
_OPAQUE = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_ENVELOPED = {"1.2.840.113549.1.7.3", "1.2.840.113549.1.9.16.1.23"}
"""EnvelopedData (RFC 5652 section 6) and AuthEnvelopedData (RFC 5083)."""
_CONTEXT_0, _CONTEXT_1 = 0xA0, 0xA1


class SignedMail(NamedTuple):
    """What a signed mail holds: the signer's own certificates in DER, the others, and what can be
    said of the signature."""

    own: tuple[bytes, ...]
    others: tuple[bytes, ...]
    check: SignatureCheck


class _Found(NamedTuple):
    """A SignedData in BER or DER, and what it signs where that stands beside it."""

    cms: bytes
    content: bytes | None


class _Entity(NamedTuple):
    """A MIME entity: its header as Python's library reads it, and its body as it stands."""

    head: Message
    body: bytes


def is_signed(data: bytes) -> bool:
    """Whether a file is a mail with a signature, as far as its MIME parts tell."""
    return _find(data, MAX_DEPTH, iter(range(MAX_ENTITIES))) is not None


def is_encrypted(data: bytes, depth: int = MAX_DEPTH) -> bool:
    """Whether a file is a mail that is encrypted, or has an encrypted part."""
    entity = _entity(data)
    if entity is None:
        return False
    kind = entity.head.get_content_type()
    if kind in _OPAQUE:
        return _content_type(_decoded(entity)) in _ENVELOPED
    if kind == "multipart/encrypted":  # RFC 1847 section 2.2
        return True
    parts = [entity.body] if kind == "message/rfc822" else _parts(entity)
    return depth > 0 and any(is_encrypted(part, depth - 1) for part in parts)


def read(data: bytes) -> SignedMail | None:
    """The certificates of a signed mail; None for what is none, or has no signature that can be
    read. Raises CertificateError ``not-a-certificate`` if the signer's isn't among them."""
    found = _find(data, MAX_DEPTH, iter(range(MAX_ENTITIES)))
    try:
        return None if found is None else _signed(found)
    except TlvError:
        return None


# --- MIME ------------------------------------------------------------------------------------

_BLANK = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"(?:From [^\n]{0,998}\r?\n)?[!-9;-~]{1,76}:")


def _find(data: bytes, depth: int, left: Iterator[int]) -> _Found | None:
    entity = _entity(data) if next(left, None) is not None else None
    if entity is None:
        return None
    kind = entity.head.get_content_type()
    if kind in _OPAQUE:
        cms = _decoded(entity)
        return _Found(cms, None) if _content_type(cms) == _SIGNED_DATA else None
    if depth == 0:
        return None
    if kind == "message/rfc822":
        return _find(entity.body, depth - 1, left)
    if kind == "multipart/signed":
        return _detached(list(_parts(entity)))
    inner = (_find(part, depth - 1, left) for part in _parts(entity))
    return next((one for one in inner if one), None)


def _entity(data: bytes) -> _Entity | None:
    """The mail or part of it, None for what doesn't begin with a header."""
    if not _FIELD.match(data):
        return None
    end = _BLANK.search(data, 0, MAX_HEAD)
    if end is None:
        return None
    head = BytesHeaderParser().parsebytes(data[: end.start()] + b"\n\n")
    looked_at = [str(head.get(name, "")) for name in _LOOKED_AT]
    if any(len(one) > MAX_FIELD or one.count(";") > MAX_PARAMETERS for one in looked_at):
        return None
    return _Entity(head, data[end.end() :])


_LOOKED_AT = ("Content-Type", "Content-Transfer-Encoding")


def _parts(entity: _Entity) -> Iterator[bytes]:
    """The parts of a multipart (RFC 2046 section 5.1.1), whose line ends are as they came."""
    boundary = ""
    if entity.head.get_content_maintype() == "multipart":
        with suppress(UnicodeError):  # of a parameter in a strange character set (RFC 2231)
            boundary = entity.head.get_boundary("")
    if not boundary:
        return
    mark = re.escape(boundary.encode("ascii", "replace"))
    line = re.compile(rb"(?:\A|\r?\n)--" + mark + rb"(--)?[ \t]*(?:\r?\n|\Z)")
    begin = None
    for number, found in enumerate(line.finditer(entity.body)):
        if begin is not None:
            yield entity.body[begin : found.start()]
        if found[1] or number == text_forms.MAX_PARTS:
            return
        begin = found.end()


def _detached(parts: list[bytes]) -> _Found | None:
    """The signature beside its content (RFC 8551 section 3.5.3)."""
    if len(parts) != 2:  # noqa: PLR2004 - RFC 1847 section 2.1
        return None
    entity = _entity(parts[1])
    if entity is None or entity.head.get_content_type() not in _SIGNATURES:
        return None
    return _Found(_decoded(entity), parts[0])


def _decoded(entity: _Entity) -> bytes:
    coding = str(entity.head.get("Content-Transfer-Encoding", "")).strip().lower()
    if coding == "base64":
        return text_forms.octets_of(entity.body)
    return quopri.decodestring(entity.body) if coding == "quoted-printable" else entity.body


# --- SignedData ------------------------------------------------------------------------------


def _content_type(cms: bytes) -> str:
    """Of a ContentInfo, as dotted numbers; "" for what is none."""
    try:
        return tlv.read(cms).fields().take(tlv.OID).oid()
    except TlvError:
        return ""


def _signed(found: _Found) -> SignedMail | None:
    """RFC 5652 section 5.1. None without a signer: such files hold certificates alone."""
    info = tlv.read(found.cms).fields()
    if info.take(tlv.OID).oid() != _SIGNED_DATA:
        return None
    signed = info.take(_CONTEXT_0).fields().take(tlv.SEQUENCE).fields()
    signed.take(tlv.INTEGER)
    signed.take(tlv.SET)
    inside = signed.take(tlv.SEQUENCE).fields()
    kind = inside.take(tlv.OID)
    held = inside.maybe(_CONTEXT_0)
    wrapper = signed.maybe(_CONTEXT_0)
    signed.maybe(_CONTEXT_1)
    signers = signed.take(tlv.SET).children(mail_signature.MAX_SIGNERS)
    ders = [one.whole for one in (wrapper.children(MAX_CERTIFICATES) if wrapper else ())]
    if not signers or not ders:
        return None
    content = found.content if held is None else _octets(held)
    if held is not None and found.content is not None:
        content = None  # of two texts, people see the other one
    return _of_signer(ders, list(map(mail_signature.signer, signers)), kind.content, content)


def _octets(wrapper: Tlv) -> bytes | None:
    """What is signed, in one piece or in segments."""
    held = wrapper.fields().maybe(tlv.OCTET_STRING, tlv.OCTET_STRING | tlv.CONSTRUCTED)
    return None if held is None else held.octets()


def _of_signer(
    ders: list[bytes], signers: list[Signer], kind: bytes, content: bytes | None
) -> SignedMail:
    certificates = {der: one for der in dict.fromkeys(ders) if (one := _parsed(der))}
    tried = [
        (signer, der, mail_signature.check(signer, certificates[der], kind, content))
        for signer in signers
        for der in _namesakes(signer, certificates)
    ]
    for signer, der, check in sorted(tried, key=lambda one: not one[2].verified):
        own, said = _taken(signer, der, check, certificates)
        return SignedMail((own,), tuple(one for one in dict.fromkeys(ders) if one != own), said)
    raise CertificateError(
        "not-a-certificate",
        "the mail is signed, but the signer's certificate isn't in it: ask the sender for the "
        "certificate, or for a signed mail with it",
    )


def _parsed(der: bytes) -> x509.Certificate | None:
    try:
        return x509.parse(der)
    except TlvError:
        return None


def _namesakes(signer: Signer, certificates: dict[bytes, x509.Certificate]) -> list[bytes]:
    """The certificates that the signer may mean."""
    return [der for der, one in certificates.items() if signer.names(one)][:MAX_NAMESAKES]


def _taken(
    signer: Signer, der: bytes, check: SignatureCheck, certificates: dict[bytes, x509.Certificate]
) -> tuple[bytes, SignatureCheck]:
    """The signer's own certificate, or the one that the signer wants mail to be sealed to; and what
    is known of it."""
    if not check.verified or signer.prefers(certificates[der]):
        return der, check
    preferred = [one for one, parsed in certificates.items() if signer.prefers(parsed)]
    if len(preferred) != 1:
        return der, check
    return preferred[0], mail_signature.ANOTHER
