"""What a header block says of its body, and whether every reader takes it for the same.

A label that is written in two ways, or in a way that readers take apart differently, is no label:
:func:`strict_label` gives None for it.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from . import fields
from .mime import BOM

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELD_LIMIT = 16 << 10
_WS = rb"[ \t\r\n]*"
_TOKEN = rb"[!#-'*+.0-9A-Z^-~-]+"

_TYPE = re.compile(fields.named(b"content-type"), re.IGNORECASE)
_MEDIA_TYPE = re.compile(
    _WS + rb"(?:\([^()]*\)" + _WS + rb"){0,9}(" + _TOKEN + rb")/(" + _TOKEN + rb")"
)

# Of a header block with a label: fields as RFC 5322 has them today, and one blank line at its end.
_BLOCK = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:From [^\r\n]*\r?\n)?"
    rb"(?:" + fields.NAME + rb":[^\r\n]*\r?\n(?:[ \t]+[^\r\n \t][^\r\n]*\r?\n)*)*\r?\n"
)
_VALUE = re.compile(rb"[ \t]*([^\r\n;]*[^\r\n; \t])[ \t]*(;.*)?", re.DOTALL)
_PRINTABLE = re.compile(rb"[\t -~]*")
_PARAMETER = re.compile(
    rb";[ \t]*(" + _TOKEN + rb')=(?:"((?:[^"\\]|\\[ -~])*)"|(' + _TOKEN + rb"))[ \t]*"
)
_PARAMETERS = re.compile(rb"(?:;[ \t]*(?:" + _PARAMETER.pattern[7:] + rb")?)*")
_LONGEST_VALUE = 1000
_PAIR = re.compile(rb"\\(.)")
_ONCE = {b"content-type", b"content-transfer-encoding", b"content-disposition", b"mime-version"}
_ENCODINGS = {b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable"}

CMS_TYPES = {
    b"application/pkcs7-mime",
    b"application/x-pkcs7-mime",
    b"application/pkcs7",
    b"application/x-pkcs7",
    b"application/cms",
}
"""The media types of CMS: RFC 8551's, and what some programs write."""


def content_type(head: bytes) -> tuple[bytes, bytes]:
    """The one Content-Type field and its media type in lower case, however it is written; an empty
    one if there are two fields, or one that can't be read."""
    values = list(islice(_values(head), 2))
    if not values:
        return b"", b"text/plain"
    found = _MEDIA_TYPE.match(values[0])
    if found is None or len(values) > 1 or len(values[0]) > _FIELD_LIMIT:
        return b"", b""
    return values[0], b"%b/%b" % (found[1].lower(), found[2].lower())


def _values(head: bytes) -> Iterator[bytes]:
    text = b"\n" + head
    for found in _TYPE.finditer(text):
        end = fields.END.search(text, found.end())
        yield text[found.end() : end.start() if end else len(text)]


class Label(NamedTuple):
    """What a body is: its media type in lower case, the parameters of its Content-Type by their
    names in lower case, its transfer encoding, its disposition with its parameters, its file names,
    and the names of all fields, empty for a line that is none."""

    kind: bytes
    parameters: dict[bytes, bytes]
    encoding: bytes
    disposition: tuple[bytes, dict[bytes, bytes]]
    file_names: tuple[bytes, ...]
    names: tuple[bytes, ...]


def strict_label(head: bytes) -> Label | None:
    """The label of a header block that is written as RFC 5322 and RFC 2045 have it, so that no
    reader takes it for another: no white space before a colon, no comment, nothing doubled."""
    if not _BLOCK.fullmatch(head):
        return None
    told: dict[bytes, bytes] = {}
    names = []
    for field in fields.split(head.removeprefix(BOM)):
        names.append(field.name)
        if field.name in _ONCE and field.name in told:
            return None
        told[field.name] = field.value
    return _label(told, tuple(names))


def _label(told: dict[bytes, bytes], names: tuple[bytes, ...]) -> Label | None:
    kind = _parsed(told.get(b"content-type", b" text/plain"))
    encoding = _parsed(told.get(b"content-transfer-encoding", b" 7bit"))
    disposition = _parsed(told.get(b"content-disposition", b" attachment"))
    if kind is None or encoding is None or disposition is None or encoding[1]:
        return None
    if encoding[0] not in _ENCODINGS or not re.fullmatch(_TOKEN + b"/" + _TOKEN, kind[0]):
        return None
    file_names = (*_named(kind[1], b"name"), *_named(disposition[1], b"filename"))
    return Label(kind[0], kind[1], encoding[0], disposition, file_names, names)


def _parsed(value: bytes) -> tuple[bytes, dict[bytes, bytes]] | None:
    """A field's value in lower case, and its parameters; None where readers may disagree."""
    text = re.sub(rb"\r?\n(?=[ \t])", b"", value).rstrip(b"\r\n")
    found = _VALUE.fullmatch(text)
    if len(text) > _LONGEST_VALUE or not _PRINTABLE.fullmatch(text) or found is None:
        return None
    rest = found[2] or b""
    if not _PARAMETERS.fullmatch(rest):
        return None
    parameters: dict[bytes, bytes] = {}
    for name, quoted, token in _PARAMETER.findall(rest):
        if name.lower() in parameters:
            return None
        parameters[name.lower()] = token or _PAIR.sub(rb"\1", quoted)
    return found[1].lower(), parameters


def _named(parameters: dict[bytes, bytes], name: bytes) -> tuple[bytes, ...]:
    """The values of a parameter, also in the form of RFC 2231, percent signs left as they are."""
    segments = (value for key, value in parameters.items() if key.startswith(name + b"*"))
    return parameters.get(name, b""), b"".join(segments)
