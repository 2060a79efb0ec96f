"""Finds out the form of a sealed message: mail, PEM, bare base64, or DER and BER as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..engine.decoder import envelope_error
from ..errors import MessageError
from ..mail import mime
from ..mail.labels import CMS_TYPES, content_type
from ..mail.openpgp import BEGIN
from ..mail.sealed_part import MIXED

if TYPE_CHECKING:
    from ..engine.decoder import Armour
    from ..engine.gate import Buffer
    from ..errors import EnvelopeError

PEEK_LIMIT = 8 << 10
"""How many bytes of text may stand before a PEM armour."""

_SEQUENCE, _LONG = 0x30, 0x80
_TAG_AND_LENGTH = 2
_ARMOUR = re.compile(rb"(?:\A|[\r\n])[ \t]*-----BEGIN ([^\r\n]*)-----[ \t]*(?:\r\n?|\n)")
_LABELS = {b"CMS", b"PKCS7", b"PKCS #7", b"ENCRYPTED MESSAGE"}
_OPENPGP = "it is OpenPGP, which a program for OpenPGP opens"
_OPENPGP_WITHIN = 64  # of the body's first bytes
_TYPES = CMS_TYPES | {b"application/octet-stream"}


class Start(NamedTuple):
    """Where the encoding begins, in which armour, and the mail's header block before it, if any,
    without byte order marks. ``multipart``: the encoding is in one of the parts behind it."""

    offset: int
    armour: Armour | Literal["quoted-printable", "multipart"]
    head: bytes = b""


def find_start(beginning: Buffer, resume: int, *, final: bool) -> tuple[Start | None, int]:
    """The form of a message by its first bytes; None while more are needed, and what to hand in as
    ``resume`` then (first 0): nothing is searched twice. ``final``: nothing more will come.

    CMS begins with a SEQUENCE of 128 bytes or more, which is no text. Else it is text, behind a
    byte order mark or none: with a header block that says application/pkcs7-mime (or x-pkcs7-mime,
    pkcs7, x-pkcs7, cms, octet-stream) or multipart/mixed, in PEM with any text before it, or bare
    base64. Raises EnvelopeError ``empty``, ``not-enveloped``, ``malformed``, ``too-large``.
    """
    if final and not len(beginning):
        raise envelope_error("empty", "there is nothing in it")
    if len(beginning) < _TAG_AND_LENGTH and not final:
        return None, 0
    if _is_binary(beginning, final=final):
        return Start(0, "binary"), 0
    mark = len(mime.BOM)
    if bytes(beginning[:mark]) == mime.BOM:
        start, further = _text(memoryview(beginning)[mark:], max(resume - mark, 0), final=final)
        return start and start._replace(offset=start.offset + mark), further + mark
    if not final and mime.BOM.startswith(bytes(beginning[:mark])):
        return None, 0
    return _text(beginning, resume, final=final)


def _text(beginning: Buffer, resume: int, *, final: bool) -> tuple[Start | None, int]:
    try:
        end, further = mime.header_end(beginning, resume, final=final)
    except MessageError as error:
        raise envelope_error("too-large", str(error)) from None
    if end is None:
        return None, further
    head = bytes(beginning[:end])
    value, kind = content_type(head.replace(b"\n" + mime.BOM, b"\n"))
    if value or not kind:  # without the field it is text, of course
        return _mail_start(beginning, head, kind, final=final), resume
    return _text_start(beginning, head, final=final), resume


def _is_binary(data: Buffer, *, final: bool) -> bool:
    first = bytes(data[:_TAG_AND_LENGTH])
    return first[0] == _SEQUENCE and (first[1] >= _LONG if len(first) > 1 else final)


def _mail_start(beginning: Buffer, head: bytes, kind: bytes, *, final: bool) -> Start | None:
    if kind == MIXED:
        return Start(len(head), "multipart", head.replace(b"\n" + mime.BOM, b"\n"))
    offset = len(head)
    if kind not in _TYPES:
        if len(beginning) < offset + _OPENPGP_WITHIN and not final:
            return None
        raise _other_type(kind, bytes(beginning[offset : offset + _OPENPGP_WITHIN]))
    head = head.replace(b"\n" + mime.BOM, b"\n")
    encoding = mime.transfer_encoding(head)
    if encoding == b"base64":
        return Start(offset, "base64", head)
    if encoding == b"quoted-printable":
        return Start(offset, "quoted-printable", head)
    if encoding not in {b"7bit", b"8bit", b"binary"}:
        name = encoding.decode("ascii", "replace")
        raise envelope_error("malformed", f"its transfer encoding is {name}, not base64")
    if len(beginning) < offset + _TAG_AND_LENGTH and not final:
        return None
    body = beginning[offset : offset + _TAG_AND_LENGTH]
    binary = len(body) > 0 and _is_binary(body, final=final)
    return Start(offset, "binary" if binary else "base64", head)


def _other_type(kind: bytes, body: bytes) -> EnvelopeError:
    if kind == b"multipart/encrypted" or body.lstrip().startswith(BEGIN):
        return envelope_error("not-enveloped", _OPENPGP)
    name = kind.decode("ascii", "replace")
    return envelope_error("not-enveloped", f"its type is {name}, which isn't S/MIME's")


def _text_start(beginning: Buffer, head: bytes, *, final: bool) -> Start | None:
    """PEM, or where no armour comes bare base64."""
    text = bytes(beginning[:PEEK_LIMIT])
    found = _ARMOUR.search(text)
    if found and found[1] not in _LABELS:
        label = found[1].decode("ascii", "replace")
        what = _OPENPGP if BEGIN in found[0] else f"it is PEM labelled {label}"
        raise envelope_error("not-enveloped", what)
    if found:
        return Start(found.end(), "pem")
    if not final and len(text) < PEEK_LIMIT:
        return None
    if head:
        raise envelope_error("not-enveloped", "it is a mail without the type of a sealed one")
    return Start(0, "base64")
