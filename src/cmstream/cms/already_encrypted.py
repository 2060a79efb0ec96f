"""Is a message encrypted already? All of it is read, and what is inside decides, not the label.

Whatever can't be proved to be unreadable without a key, to its last byte and for every reader, is
not encrypted, and gets sealed: in doubt a mail is sealed twice, which does little harm.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..ciphers import BY_OID
from ..engine.decoder import NativeDecoder
from ..errors import EnvelopeError, MessageError, octets_of
from ..mail import fields
from ..mail.labels import CMS_TYPES, Label, strict_label
from ..mail.mime import PEEK_LIMIT, header_end
from ..mail.openpgp import BEGIN
from ..mail.pgp_mail import check_inline, check_pgp_mime
from ..mail.readable import Ciphertext, check_no_text, check_random
from ..mail.transfer import decoded
from ..mail.unproved import UnprovedError
from . import enveloped
from .textless import Textless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..engine.gate import AnyBuffer, Buffer
    from .enveloped import Envelope, Name, RecipientInfo

CHUNK = 64 << 10
_CLAIM = re.compile(
    fields.named(b"content-type") + rb"[^/]{0,200}/(?:(?:x-)?pkcs7|cms|octet-stream|encrypted)",
    re.IGNORECASE,
)
# The second form is how the same line begins in base64.
_ARMOUR_AHEAD = re.compile(rb"[ \t\r\n]*(?:" + BEGIN + rb"|LS0tLS1CRUdJTiBQR1Ag)")


def is_encrypted(message: AnyBuffer) -> bool:
    """Whether a message (RFC 5322) is encrypted already.

    True for S/MIME whose content is CMS EnvelopedData or AuthEnvelopedData (RFC 5652, RFC 5083),
    whatever its ``smime-type`` or file name says; for PGP/MIME (RFC 3156 section 4); for text that
    is one OpenPGP message in armour (RFC 9580 section 6.2) with nothing but white space outside
    it. All of it is read: CMS to its end, OpenPGP packet by packet. Nobody may be able to read any
    of it without a key. So a message is not encrypted where clear text stands beside or within the
    encrypted content, where readers may disagree on its label (comments, doubled fields or
    parameters), where its base64 is in uneven lines, or where its content, a key or another value
    doesn't look random. What may be readable are the message's header fields, the names of the
    certificates' issuers, one line before the first part of PGP/MIME, and the header lines of an
    armour.

    Signed or compressed is not encrypted, nor is signed around encrypted (triple-wrapped, RFC
    2634): whoever sees such a mail sees its signer. Never raises, whatever the bytes: what isn't
    proved is False, and the mail is then sealed twice at worst. TypeError for what isn't
    bytes-like.
    """
    if isinstance(message, memoryview) and not message.c_contiguous:
        message = message.tobytes()
    view = octets_of(message, "message")
    try:
        end, _ = header_end(view, 0, final=True)
    except MessageError:
        return False
    return is_encrypted_body(bytes(view[:end]), pieces(view[end or 0 :]))


def pieces(body: Buffer) -> Iterator[Buffer]:
    """A body in memory, as :func:`is_encrypted_body` takes it."""
    return (body[start : start + CHUNK] for start in range(0, len(body), CHUNK))


def may_be_encrypted(head: bytes, body: Buffer) -> bool:
    """Whether a message is worth a look, by its label and how its body begins."""
    return bool(_CLAIM.search(b"\n" + head) or _ARMOUR_AHEAD.match(body))


def is_encrypted_body(head: bytes, body: Iterable[Buffer]) -> bool:
    """As :func:`is_encrypted`, for a header block and all of its body in pieces, in constant
    memory."""
    source = iter(body)
    first = next(source, b"")
    while len(first) < PEEK_LIMIT and (more := next(source, None)) is not None:
        first = bytes(first) + bytes(more)
    if not may_be_encrypted(head, first):
        return False
    label = strict_label(head)
    try:
        return label is not None and _check(label, _after(first, source))
    except (UnprovedError, EnvelopeError, TlvError):
        return False


def _after(first: Buffer, rest: Iterator[Buffer]) -> Iterator[Buffer]:
    yield first
    yield from rest


def _check(label: Label, body: Iterable[Buffer]) -> bool:
    if label.kind == b"text/plain":
        check_inline(label, body)
    elif label.kind == b"multipart/encrypted":
        check_pgp_mime(label, body)
    elif label.kind in CMS_TYPES or (label.kind == b"application/octet-stream" and _is_p7m(label)):
        if any(name.startswith(b"boundary") for name in label.parameters):
            raise UnprovedError("a boundary where there are no parts")
        _check_cms(decoded(label.encoding, body))
    else:
        return False
    return True


def _is_p7m(label: Label) -> bool:
    names = map(unquote_to_bytes, label.file_names)
    return any(name.strip().lower().endswith(b".p7m") for name in names)


# --- CMS -------------------------------------------------------------------------------------

_VERSIONS = {0, 2, 3, 4}
# Octets of a head besides its recipients: no originator's certificates.
_MOST_BEFORE, _MOST_AFTER = 48, 128
_LONGEST_OID = 40  # dotted
_LONGEST_NAME, _LONGEST_TEXT, _LONGEST_ID = 600, 128, 64
_ALL_NAMES = 4096  # bytes of all issuers, and of all keys with names of their own
_SHORT_SERIAL = 10  # octets of an INTEGER that counts, and isn't random
_SHORTEST_WORD, _LETTERS = 3, frozenset(b" ,." + string.ascii_letters.encode())
_ATTRIBUTES = 0xA1
_SHORTEST_KEY = 16
_RECIPIENT, _RECIPIENT_KEY = 2500, 400  # bytes besides names, for each, and for each name
_ELEMENTS, _KEY_ELEMENTS = 40, 10
_LONGEST_PARAMETERS = 64
_LONGEST_TAIL, _LONGEST_TAG = 512, 16
_SHORTEST_CONTENT = 8


def _check_cms(pieces: Iterable[bytes]) -> None:
    """To its end. Raises UnprovedError, EnvelopeError, TlvError."""
    decoder = NativeDecoder("binary")
    content, values = Ciphertext(), Textless()
    envelope: Envelope | None = None
    out = bytearray(decoder.bound(CHUNK))
    for piece in pieces:
        at = 0
        while at < len(piece):
            part = memoryview(piece)[at : at + CHUNK]
            taken, count = decoder.update_into(part, out)
            content.add(memoryview(out)[:count])
            at += taken
            if decoder.waits:
                envelope = enveloped.read_head(decoder.head)
                _check_head(envelope, decoder.head, values)
                decoder.keep_tail()
                decoder.give_ciphertext()
    decoder.finish_into(out)
    if envelope is None:
        raise UnprovedError("it has no content")
    content.end()
    values.add_content(content)
    _check_content(envelope, len(content))
    _check_tail(envelope, decoder.tail, values)


def _check_head(envelope: Envelope, head: bytes, values: Textless) -> None:
    infos = envelope.infos
    if not infos or envelope.version not in _VERSIONS:
        raise UnprovedError("nobody can open it, or by a version that isn't one")
    before, after = head[: infos[0].start], head[infos[-1].end :]
    if len(before) > _MOST_BEFORE or len(after) > _MOST_AFTER:
        raise UnprovedError("more stands before its content than it needs")
    if max(len(envelope.inner_type), len(envelope.cipher)) > _LONGEST_OID:
        raise UnprovedError("a type that no program knows")
    check_no_text(before)
    check_no_text(after)
    names = set()
    for recipient in envelope.recipients():
        _check_recipient(recipient, values)
        names |= _readable_names(recipient)
    if sum(map(len, names)) > _ALL_NAMES:
        raise UnprovedError("more names than the recipients of a mail have")
    for element in enveloped.beside_recipients(head):
        values.add(element)
    values.check()


def _check_recipient(recipient: RecipientInfo, values: Textless) -> None:
    if recipient.kind == "other":
        raise UnprovedError("a recipient of an unknown kind")
    known = _readable_names(recipient)
    rest = len(recipient.whole.whole)
    for name in recipient.names:
        _check_name(name)
        rest -= len(name.issuer)
    if rest > _RECIPIENT + _RECIPIENT_KEY * len(recipient.names):
        raise UnprovedError("a recipient that is longer than any")
    known |= {name.serial for name in recipient.names if _counts(name.serial)}
    if recipient.kind == "key-transport":
        if len(recipient.encrypted_key) < _SHORTEST_KEY:
            raise UnprovedError("a key that is too short to be encrypted")
        check_random(recipient.encrypted_key)
    values.add(recipient.whole, known, most=_ELEMENTS + _KEY_ELEMENTS * len(recipient.names))


def _readable_names(recipient: RecipientInfo) -> set[bytes]:
    """Names that people choose, and everybody may read: of issuers, and of key-encryption keys."""
    names = {name.issuer for name in recipient.names if name.issuer}
    if recipient.kind == "kek":
        names |= {name.key_identifier or b"" for name in recipient.names}
    return names


def _counts(serial: bytes) -> bool:
    """Whether a serial number, an INTEGER, is one that counts, and no part of a text."""
    value = serial[2:]
    if not 0 < len(serial) <= _SHORT_SERIAL:
        return False
    letters = sum(octet in _LETTERS for octet in value)
    return len(value) < _SHORTEST_WORD or 4 * letters < 3 * len(value)


def _check_name(name: Name) -> None:
    issuer, serial, identifier = (part or b"" for part in name)
    if max(len(serial), len(identifier)) > _LONGEST_ID or len(issuer) > _LONGEST_NAME:
        raise UnprovedError("a name that is longer than any")
    for relative in tlv.read_only(issuer).children() if issuer else ():
        for attribute in relative.children():
            fields = attribute.fields()
            kind = fields.take(tlv.OID)
            texts = fields.rest()
            if len(kind.content) > _SHORTEST_KEY or len(texts) != 1:
                raise UnprovedError("a name that isn't one")
            if len(texts[0].content) > _LONGEST_TEXT:
                raise UnprovedError("a name with a long text")


def _check_content(envelope: Envelope, length: int) -> None:
    cipher = BY_OID.get(envelope.cipher)
    parameters = envelope.parameters
    if parameters is not None and len(parameters.whole) > _LONGEST_PARAMETERS:
        raise UnprovedError("parameters that are longer than any")
    if cipher is None:
        if length < _SHORTEST_CONTENT:
            raise UnprovedError("content that is too short")
    elif not cipher.authenticated:
        block = cipher.iv_len
        if not length or length % block or not _is_iv(parameters, block):
            raise UnprovedError("content or an IV that the cipher doesn't make")


def _is_iv(parameters: Tlv | None, length: int) -> bool:
    return (
        parameters is not None
        and parameters.tag == tlv.OCTET_STRING
        and len(parameters.content) == length
    )


def _check_tail(envelope: Envelope, tail: bytes, values: Textless) -> None:
    """What stands behind the content: attributes, a tag, ends."""
    authenticated = envelope.content_type == "authenticated-enveloped-data"
    if len(tail) > _LONGEST_TAIL:
        raise UnprovedError("long attributes")
    tags, at = [], 0
    while at < len(tail) and tail[at]:
        element = tlv.read(tail, at)
        tags.append(element.tag)
        if element.tag == tlv.OCTET_STRING and len(element.content) > _LONGEST_TAG:
            raise UnprovedError("a tag that is longer than any")
        values.add(element)
        at = element.end
    values.check()
    if any(tail[at:]) or (not authenticated and not {_ATTRIBUTES}.issuperset(tags)):
        raise UnprovedError("something else behind its content")
    if authenticated:
        enveloped.read_tail(tail)
