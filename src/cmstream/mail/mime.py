"""Which header fields of a message stay outside, which go in with the body.

Works on bytes with a few compiled expressions: the header block of a message is cut in some
microseconds, and a hostile one in time that grows with its length alone.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import MessageError
from . import fields

HEADER_LIMIT = 4 << 20
"""The most bytes of a header block, its blank line included."""

ABOVE_LIMIT = 4 << 10
"""The most bytes of the lines that stand above the fields of a header block."""

PEEK_LIMIT = 8 << 10
"""How many bytes of the body tell whether a message may be encrypted already."""

VERSION = b"MIME-Version: 1.0\r\n"


def _entity_header(smime_type: bytes) -> bytes:
    return (
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: application/pkcs7-mime; smime-type=%b; name="smime.p7m"\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="smime.p7m"\r\n'
        b"\r\n"
    ) % smime_type


ENTITY_HEADER = _entity_header(b"enveloped-data")
AUTH_ENTITY_HEADER = _entity_header(b"authEnveloped-data")
"""The header of an S/MIME entity with EnvelopedData, or with AuthEnvelopedData (RFC 8551 sections
3.2.2, 3.3 and 3.4), blank line included."""

BOM = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, which some programs write in front of a mail or of a field."""
_BOM = b"(?:" + re.escape(BOM) + rb")?"
_BANNER = b"Microsoft Mail Internet Headers Version 2.0\r\n"

_FIELD = _BOM + fields.NAME + fields.BLANKS + rb":"
_FIRST_FIELD = re.compile(_FIELD)
# What may stand above the fields. "From :" is a field by RFC 822.
_MBOX = rb"From (?![ \t]{0,997}:)[^\r\n]*"
_ABOVE_LINE = rb"(?:>?" + _MBOX + rb"|" + re.escape(_BANNER[:-2]) + rb")\r?\n"
_ABOVE = re.compile(_BOM + rb"(?:" + _ABOVE_LINE + rb")+")
_ABOVE_OPEN = re.compile(_BOM + rb">?" + _MBOX + rb"\r?\Z")
# A carriage return without line feed is a line end to some readers, and none to others.
_NO_FIELD = re.compile(rb"\n(?![ \t]|" + _FIELD + rb")|\r(?!\n)")
_NO_FIELD_SO_FAR = re.compile(rb"\n(?![ \t]|" + _FIELD + rb")|\r(?=[^\n])")
_UNDECIDED = re.compile(
    rb"(?:" + _BOM + rb"(?:" + fields.NAME + fields.BLANKS + rb")?|\xef\xbb?|\r)\Z"
)
_BLANK = re.compile(rb"\r?\n")

# What stands above the fields and would keep a reader from seeing them, behind a line that stays.
_DROPPED = re.compile(rb"(?:(" + _MBOX + rb"\r?\n)|(?!" + _MBOX + rb"))(?:" + _ABOVE_LINE + rb")+")
_MIME_FIELD = re.compile(fields.named(rb"(content-)[!-9;-~]*|mime-version"), re.IGNORECASE)
_TRANSFER_ENCODING = re.compile(
    fields.named(b"content-transfer-encoding") + rb"(?:[ \t\r\n]+|\([^()]*\)){0,20}\"?([^\s;(\"]*)",
    re.IGNORECASE,
)


class Framing(NamedTuple):
    """A header block, cut in two.

    ``outside``: what stands in the clear before the base64 lines, its blank line included.
    ``inside``: the header of the inner entity, blank line included, to be encrypted in front of
    the body. ``canonical``: whether the body's bare line feeds must become CRLF (RFC 8551
    section 3.1.1); False only where the message's own Content-Transfer-Encoding is ``binary``.
    """

    outside: bytes
    inside: bytes
    canonical: bool


def header_end(
    buffer: bytes | bytearray | memoryview,
    start: int,
    *,
    final: bool,
    limit: int = HEADER_LIMIT,
) -> tuple[int | None, int]:
    """Find where the body begins in ``buffer``, the message so far.

    ``start`` is 0 the first time, then what the last call gave as second value: nothing is
    searched twice. ``final``: nothing more will come. Gives the offset of the body's first
    byte, or None while more are needed, and the offset to go on from, also to find the same again.

    The blank line ends the header block and belongs to it. So does the first line that is
    neither a field nor a continuation (RFC 5322 section 2.2), but that one is body, like all
    behind it: nothing is lost, and what isn't a field is sealed. So is all from the first carriage
    return on that has no line feed behind it, since readers disagree on what that is. Mbox
    ``From `` lines, also quoted ones, and the line that Outlook writes above a header block may
    stand on top, :data:`ABOVE_LIMIT` bytes in all, where a field follows directly; else they are
    text, and there is no header. A byte order mark (UTF-8's) may stand in front of the first line,
    and of a field. A line of white space alone continues the field above it.

    Raises :class:`MessageError` (``header-too-large``) past ``limit`` bytes.
    """
    end, resume = _first_no_field(buffer, start, final=final)
    if (resume if end is None else end) > limit:
        raise header_too_large()
    return end, resume


def header_too_large() -> MessageError:
    """The error past :data:`HEADER_LIMIT`."""
    return MessageError(
        "header-too-large",
        f"the message's header block is longer than {HEADER_LIMIT} bytes: "
        "check that this is a mail, or encrypt it as binary content",
    )


def _first_no_field(
    buffer: bytes | bytearray | memoryview, start: int, *, final: bool
) -> tuple[int | None, int]:
    line = 0
    if start or _FIRST_FIELD.match(buffer) or (start := _above(buffer)):
        found = (_NO_FIELD if final else _NO_FIELD_SO_FAR).search(buffer, start)
        if found is None:
            length = len(buffer)
            return (length if final else None), length - (bytes(buffer[-1:]) == b"\r")
        if found[0] == b"\r":
            return found.start(), found.start()
        line = found.end()
    elif not final and _may_be_above(buffer):
        return None, 0
    if not final and _UNDECIDED.match(buffer, line):
        return None, max(line - 1, 0)
    blank = _BLANK.match(buffer, line)
    return (blank.end() if blank else line), max(line - 1, 0)


def _above(buffer: bytes | bytearray | memoryview) -> int:
    """Where the last line feed above the first field is; 0 if the buffer doesn't begin so."""
    found = _ABOVE.match(buffer, 0, ABOVE_LIMIT)
    return found.end() - 1 if found and _FIRST_FIELD.match(buffer, found.end()) else 0


def _may_be_above(buffer: bytes | bytearray | memoryview) -> bool:
    """Whether all of the buffer may turn out to stand above a field that is still to come."""
    found = _ABOVE.match(buffer, 0, ABOVE_LIMIT)
    line = found.end() if found else 0
    if _UNDECIDED.match(buffer, line):
        return True
    if len(buffer) > ABOVE_LIMIT:
        return False
    rest = bytes(buffer[line:])
    return _BANNER.startswith(rest.removeprefix(BOM)) or bool(_ABOVE_OPEN.match(rest))


def frame(head: bytes, entity: bytes = ENTITY_HEADER) -> Framing:
    """Cut a header block, as :func:`header_end` finds it, into what stays outside and what goes
    inside.

    Outside stay all fields but ``Content-*`` and ``MIME-Version``, in their order and byte for
    byte; only line ends become CRLF, and byte order marks and what stands above the fields go,
    but for an mbox ``From `` line on top. The S/MIME entity's own fields, ``entity``, follow.
    Inside go the ``Content-*`` fields. No inner Content-Type is made up: an entity without one is
    US-ASCII text by RFC 2045 section 5.2, and a guess at another charset could make it unreadable.
    """
    text = b"\n" + lines(head)
    outside, inside, kept = [], [], 1
    for name in _MIME_FIELD.finditer(text):
        begin, end = name.start() + 1, _field_end(text, name.end())
        outside.append(text[kept:begin])
        kept = end
        if name[1]:
            inside.append(text[begin:end])
    outside += text[kept:], entity
    inside.append(b"\r\n")
    own = b"".join(inside)
    binary = b"binary" in own.lower() and transfer_encoding(own) == b"binary"
    return Framing(b"".join(outside), own, not binary)


def transfer_encoding(head: bytes) -> bytes:
    """What the first Content-Transfer-Encoding of a header block says (RFC 2045 section 6), in
    lower case; ``7bit`` if there is none."""
    found = _TRANSFER_ENCODING.search(b"\n" + head)
    return found[1].lower() if found else b"7bit"


def lines(head: bytes) -> bytes:
    """The header block with CRLF line ends, also of its last line, and without its blank line, byte
    order marks, and what may stand above the fields but an mbox ``From `` line on top."""
    if BOM in head:
        head = head.removeprefix(BOM).replace(b"\n" + BOM, b"\n")
    if above := _DROPPED.match(head):
        head = (above[1] or b"") + head[above.end() :]
    if head.count(b"\n") != head.count(b"\r\n"):
        head = head.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if head.endswith(b"\n\r\n") or head == b"\r\n":
        return head[:-2]
    return head if head.endswith(b"\n") or not head else head + b"\r\n"


def _field_end(text: bytes, start: int) -> int:
    found = fields.END.search(text, start)
    return found.end() if found else len(text)
