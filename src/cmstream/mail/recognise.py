"""Is a message encrypted already? What is inside decides, not the label.

Nothing here raises for any octets: what can't be proved to be encrypted is not, and gets sealed.
"""

from __future__ import annotations

import binascii
import re
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from ..errors import MessageError
from .mime import PEEK_LIMIT, header_end, transfer_encoding

if TYPE_CHECKING:
    from collections.abc import Iterator

    Buffer = bytes | bytearray | memoryview

_FIELD_LIMIT = 16 << 10
_WHITE = b" \t\r\n"
_WS = rb"[ \t\r\n]*"
_TOKEN = rb"([!#-'*+.0-9A-Z^-~-]+)"

_TYPE = re.compile(rb"\ncontent-type[ \t]*:", re.IGNORECASE)
_DISPOSITION = re.compile(rb"\ncontent-disposition[ \t]*:", re.IGNORECASE)
_CLAIM = re.compile(
    rb"\ncontent-type[ \t]*:[^/]{0,200}/(?:(?:x-)?pkcs7-mime|octet-stream|encrypted)", re.IGNORECASE
)
_FIELD_END = re.compile(rb"\n(?![ \t])")
_MEDIA_TYPE = re.compile(_WS + rb"(?:\([^()]*\)" + _WS + rb"){0,9}" + _TOKEN + rb"/" + _TOKEN)
_PARAMETER = re.compile(
    rb";" + _WS + _TOKEN + _WS + rb"=" + _WS + rb'(?:"((?:[^"\\]|\\.)*)"|([^ \t\r\n;"]*))',
    re.DOTALL,
)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_CHARSET = re.compile(rb"[^']*'[^']*'")

_ENVELOPED = {
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03",  # id-envelopedData
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17",  # id-ct-authEnvelopedData
}
_VERSIONS = {b"\0", b"\2", b"\3", b"\4"}
_SEQUENCE, _OID, _CONTEXT_0, _INTEGER = 0x30, 0x06, 0xA0, 0x02
_ENDS_OF_CONTENTS = b"\0\0" * 3
_CONSTRUCTED, _INDEFINITE, _LONGEST_LENGTH = 0x20, 0x80, 8
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

_ARMOUR = b"-----BEGIN PGP MESSAGE-----"
_ARMOUR_END = b"-----END PGP MESSAGE-----"
# The second form is how the same line begins in base64.
_ARMOUR_AHEAD = re.compile(_WS + rb"(?:-----BEGIN PGP MESSAGE-----|LS0tLS1CRUdJTiBQR1Ag)")
_ARMOUR_HEAD = re.compile(rb"[ \t]*\r?\n(?:[A-Za-z]+:[^\n]*\n){0,99}[ \t]*\r?\n")
_ARMOUR_CRC = re.compile(rb"\n=[A-Za-z0-9+/]{4}")
# A packet's tag in the new form (one, two or five octets of length follow) and in the old (one,
# two or four), then the version of the session key.
_SESSION_KEY = re.compile(
    rb"(?:\xc1(?:[\0-\xbf]|[\xc0-\xdf].|\xff.{4})|\x84.|\x85..|\x86.{4})[\2\3\6]"
    rb"|(?:\xc3(?:[\0-\xbf]|[\xc0-\xdf].|\xff.{4})|\x8c.|\x8d..|\x8e.{4})[\4\5\6]",
    re.DOTALL,
)
_VERSION_1 = re.compile(_WS + rb"Version:[ \t]*1" + _WS, re.IGNORECASE)
# Thunderbird puts this sentence before the first part of all that it encrypts.
_PREAMBLE = re.compile(rb"(?:This is an OpenPGP/MIME encrypted message \(RFC \d{4} and 3156\))?")


def is_encrypted(message: bytes | bytearray | memoryview) -> bool:
    """Whether a message (RFC 5322) is encrypted already.

    True for S/MIME whose CMS content type is EnvelopedData or AuthEnvelopedData (RFC 5652, RFC
    5083), whatever its ``smime-type`` or file name says; for PGP/MIME (RFC 3156 section 4); for
    text that is one OpenPGP message in armour (RFC 9580 section 6.2) with nothing but white
    space outside it. Signed or compressed is not encrypted; nor is a message with clear text
    beside the encrypted. Never raises for any octets: what isn't proved is False.
    """
    split = _split(_contiguous(message))
    return split is not None and encrypted_inside(*split, complete=True)


def encrypted_inside(head: bytes, body: bytes | bytearray | memoryview, *, complete: bool) -> bool:
    """As :func:`is_encrypted`, for a header block and the beginning of its body.

    ``head`` needs only the ``Content-*`` fields, so that :attr:`Framing.inside
    <cmstream.mail.mime.Framing.inside>` will do. ``complete`` tells that ``body`` is all of it:
    without that, OpenPGP can't be proved, and S/MIME is by how it begins.
    """
    # The quick way out for ordinary mail.
    if not _CLAIM.search(b"\n" + head) and not _ARMOUR_AHEAD.match(body):
        return False
    value, kind = content_type(head)
    if kind == b"text/plain":
        return complete and _armoured_text(head, body)
    if kind == b"multipart/encrypted":
        return complete and _pgp_mime(value, body)
    named = kind == b"application/octet-stream" and _named_p7m(head, value)
    if named or kind in (b"application/pkcs7-mime", b"application/x-pkcs7-mime"):
        return _enveloped(head, body, complete=complete)
    return False


def _contiguous(message: Buffer) -> memoryview:
    view = memoryview(message)
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())


def _split(message: Buffer) -> tuple[bytes, Buffer] | None:
    try:
        end, _ = header_end(message, 0, final=True)
    except MessageError:
        return None
    return bytes(message[:end]), message[end:]


# Header fields


def _fields(head: bytes, name: re.Pattern[bytes]) -> Iterator[bytes]:
    text = b"\n" + head
    for found in name.finditer(text):
        end = _FIELD_END.search(text, found.end())
        yield text[found.end() : end.start() if end else len(text)]


def content_type(head: bytes) -> tuple[bytes, bytes]:
    """The one Content-Type field and its media type in lower case; an empty one if there are two
    fields, or one that can't be read."""
    values = list(islice(_fields(head, _TYPE), 2))
    if not values:
        return b"", b"text/plain"
    found = _MEDIA_TYPE.match(values[0])
    if found is None or len(values) > 1 or len(values[0]) > _FIELD_LIMIT:
        return b"", b""
    return values[0], b"%b/%b" % (found[1].lower(), found[2].lower())


def _parameters(value: bytes) -> dict[bytes, bytes]:
    """A field's parameters, those in the form of RFC 2231 (segments, percent signs) decoded."""
    found: dict[bytes, bytes] = {}
    for name, quoted, token in _PARAMETER.findall(value[:_FIELD_LIMIT]):
        key, star, rest = name.lower().partition(b"*")
        text = _QUOTED_PAIR.sub(rb"\1", quoted) or token
        if not star:
            found.setdefault(key, text)
            continue
        if not rest or rest.endswith(b"*"):
            text = unquote_to_bytes(_CHARSET.sub(b"", text, count=1))
        found[key] = found.get(key, b"") + text
    return found


def _named_p7m(head: bytes, content_type: bytes) -> bool:
    names = [_parameters(content_type).get(b"name", b"")]
    names += [_parameters(v).get(b"filename", b"") for v in islice(_fields(head, _DISPOSITION), 1)]
    return any(name.strip().lower().endswith(b".p7m") for name in names)


# Transfer encodings


def _decoded(head: bytes, body: Buffer) -> bytes | None:
    """The octets that the transfer encoding stands for, or None for an unknown encoding, and for
    base64 with anything else in it."""
    encoding = transfer_encoding(head)
    if encoding == b"base64":
        return _from_base64(bytes(body))
    if encoding == b"quoted-printable":
        return binascii.a2b_qp(body)
    return bytes(body) if encoding in (b"7bit", b"8bit", b"binary") else None


def _from_base64(text: bytes) -> bytes | None:
    digits = text.translate(None, _WHITE)
    data = digits.rstrip(b"=")
    if digits.endswith(b"===") or len(data) % 4 == 1 or data.translate(None, _BASE64):
        return None
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4))


# S/MIME


def _enveloped(head: bytes, body: Buffer, *, complete: bool) -> bool:
    """Look at the beginning alone first: all of a large body is decoded only if that is right."""
    beginning = bytes(body[:PEEK_LIMIT])
    if transfer_encoding(head) == b"base64":
        beginning = beginning.translate(None, _WHITE)
        beginning = beginning[: len(beginning) // 4 * 4]
    data = _decoded(head, beginning)
    if data is None or _totals(data) is None:
        return False
    return not complete or _nothing_behind(_decoded(head, body))


def _totals(data: bytes) -> set[int] | None:
    """None unless this is a ContentInfo, its type, [0], EnvelopedData or AuthEnvelopedData,
    version, then originatorInfo or recipientInfos (RFC 5652 sections 3 and 6.1, RFC 5083 section
    2.1); else the length of all, as each wrapper of definite length has it."""
    at = 0
    ends: list[int | None] = []
    for tag in (_SEQUENCE, _OID, _CONTEXT_0, _SEQUENCE, _INTEGER):
        tlv = _tlv(data, at)
        if tlv is None or tlv[0] != tag:
            return None
        _, at, end = tlv
        if tag & _CONSTRUCTED:
            ends.append(end)
        elif data[at:end] not in (_ENVELOPED if tag == _OID else _VERSIONS):
            return None
        else:
            at = end or at
    # Each wrapper of indefinite length has two more octets, its end-of-contents.
    totals = {end + 2 * ends[:k].count(None) for k, end in enumerate(ends) if end is not None}
    return totals if len(totals) <= 1 and data[at : at + 1] in (b"\xa0", b"\x31") else None


def _tlv(data: bytes, at: int) -> tuple[int, int, int | None] | None:
    """A tag, where its content begins, and where it ends (None: of indefinite length)."""
    if at + 2 > len(data):
        return None
    tag, first = data[at : at + 2]
    at += 2
    if first < _INDEFINITE:
        return tag, at, at + first
    if first == _INDEFINITE:
        return (tag, at, None) if tag & _CONSTRUCTED else None
    octets = data[at : at + (first & 0x7F)]
    if len(octets) != first & 0x7F or len(octets) > _LONGEST_LENGTH:
        return None
    at += len(octets)
    return tag, at, at + int.from_bytes(octets, "big")


def _nothing_behind(data: bytes | None) -> bool:
    """Whether the value ends where the octets do; white space may follow."""
    totals = _totals(data) if data else None
    if data is None or totals is None:
        return False
    if not totals:
        return data.rstrip(_WHITE).endswith(_ENDS_OF_CONTENTS)
    total = totals.pop()
    return len(data) >= total and not data[total:].strip(_WHITE)


# OpenPGP


def _armoured_text(head: bytes, body: Buffer) -> bool:
    if not _ARMOUR_AHEAD.match(body):
        return False
    text = _decoded(head, body)
    return text is not None and _armoured(text)


def _armoured(text: bytes) -> bool:
    """Whether the text is one armoured OpenPGP message (RFC 9580 section 6.2) that begins with an
    encrypted session key."""
    text = text.strip(_WHITE)
    if not (text.startswith(_ARMOUR) and text.endswith(b"\n" + _ARMOUR_END)):
        return False
    text = text[len(_ARMOUR) : -len(_ARMOUR_END)]
    header = _ARMOUR_HEAD.match(text)
    if header is None:
        return False
    data = _from_base64(_without_checksum(text[header.end() :]))
    return data is not None and _session_key(data)


def _without_checksum(lines: bytes) -> bytes:
    lines = lines.rstrip(_WHITE)
    return lines[:-5] if _ARMOUR_CRC.fullmatch(lines[-6:]) else lines


def _session_key(data: bytes) -> bool:
    """Whether an OpenPGP packet sequence begins with a public-key or symmetric-key encrypted
    session key (RFC 9580 sections 4.2, 5.1 and 5.3), as that of an encrypted message does."""
    return _SESSION_KEY.match(data) is not None


def _pgp_mime(content_type: bytes, body: Buffer) -> bool:
    parameters = _parameters(content_type)
    if parameters.get(b"protocol", b"").lower() != b"application/pgp-encrypted":
        return False
    parts = _two_parts(parameters.get(b"boundary", b""), body)
    if parts is None:
        return False
    (kind, version), (data_kind, data) = parts
    return (
        kind == b"application/pgp-encrypted"
        and _VERSION_1.fullmatch(version) is not None
        and data_kind == b"application/octet-stream"
        and (_session_key(data) or _armoured(data))
    )


def _two_parts(boundary: bytes, body: Buffer) -> list[tuple[bytes, bytes]] | None:
    """Media type and decoded content of a multipart's parts, if it has exactly two and nothing
    before, between or behind them."""
    if not boundary:
        return None
    text = b"\n" + bytes(body)
    line = re.compile(rb"\n--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\r?\Z)")
    marks = list(islice(line.finditer(text), 4))
    if [mark[1] for mark in marks] != [None, None, b"--"]:
        return None
    first, second, last = marks
    preamble, epilogue = text[: first.start()].strip(_WHITE), text[last.end() :].strip(_WHITE)
    if epilogue or not _PREAMBLE.fullmatch(preamble):
        return None
    parts = [_part(text[first.end() : second.start()]), _part(text[second.end() : last.start()])]
    return [part for part in parts if part] if all(parts) else None


def _part(text: bytes) -> tuple[bytes, bytes] | None:
    split = _split(text[text.find(b"\n") + 1 :])
    if split is None:
        return None
    head, body = split
    data = _decoded(head, body)
    return None if data is None else (content_type(head)[1], data)
