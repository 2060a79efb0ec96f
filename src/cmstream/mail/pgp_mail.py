"""Mail whose content is one encrypted OpenPGP message: PGP/MIME (RFC 3156 section 4), and armour
as the text of a mail. Everything else in such a mail raises UnprovedError."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from ..errors import MessageError
from . import fields
from .labels import Label, strict_label
from .mime import header_end
from .openpgp import check_armour, check_packets
from .transfer import decoded
from .unproved import UnprovedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Buffer = bytes | bytearray | memoryview

# Of these the letters of an armour mean themselves.
_CHARSET = re.compile(
    rb"utf-8|us-ascii|ascii|iso-8859-\d{1,2}|windows-\d{3,4}|koi8-[ru]|gb2312|gbk|gb18030|big5"
    rb"|euc-(?:jp|kr)|shift_jis",
    re.IGNORECASE,
)
_BOUNDARY = re.compile(rb"[A-Za-z0-9'()+_,./:=?-]{1,70}")
_BEGINNING = 16 << 10
_END = 1 << 10
# RFC 2046 section 5.1.1: readers pass it over; one line of any words is allowed.
_PREAMBLE = re.compile(rb"\s*(?!--)[ -~]{0,100}\s*")
_VERSION_1 = re.compile(rb"\s*Version:[ \t]*1\s*", re.IGNORECASE)
_PART_FIELDS = {
    b"content-type",
    b"content-transfer-encoding",
    b"content-disposition",
    b"content-description",
    b"",  # the blank line
}
_LONGEST_HEAD = 600
_DESCRIPTION = re.compile(
    fields.named(b"content-description")
    + rb"[ \t]*(?:(?:open)?pgp|gpg|/?mime|versions?|identification|encrypted|message|data|file"
    + rb"| )*\r?\n(?![ \t])",
    re.IGNORECASE,
)
_DISPOSITIONS = {b"inline", b"attachment"}
_PART_PARAMETERS = {b"name", b"filename", b"charset"}
# Of such words programs make the names of the files; others would be somebody's text.
_PLAIN_NAME = re.compile(
    rb"(?=.{0,40}\Z)(?:[\d_.-]|(?:open)?pgp|gpg|mime|smime|enc|encrypted|msg|message|e?mail"
    rb"|noname|unnamed|untitled|versions?|identification|att|attachment|data|file|part|asc|txt|dat"
    rb"|bin|exch|html?|eml|utf|us|ascii|iso|windows)*",
    re.IGNORECASE,
)


def check_inline(label: Label, body: Iterable[Buffer]) -> None:
    """A text that is one armour."""
    if not _CHARSET.fullmatch(label.parameters.get(b"charset", b"us-ascii")):
        raise UnprovedError("a charset in which armour may be something else")
    if any(b"*" in name for name in label.parameters):
        raise UnprovedError("a parameter in another form")
    check_armour(decoded(label.encoding, body))


def check_pgp_mime(label: Label, body: Iterable[Buffer]) -> None:
    """The two parts of RFC 3156, and nothing but white space around them."""
    boundary = label.parameters.get(b"boundary", b"")
    protocol = label.parameters.get(b"protocol", b"").lower()
    if any(b"*" in name for name in label.parameters) or not _BOUNDARY.fullmatch(boundary):
        raise UnprovedError("a boundary that readers may take for another")
    if protocol != b"application/pgp-encrypted" or label.encoding not in {b"7bit", b"8bit"}:
        raise UnprovedError("another protocol, or an encoding of the whole")
    parts = _Parts(b"--" + boundary, iter(body))
    data = decoded(parts.encoding, parts.data())
    first = next(data, b"") or next(data, b"")
    check = check_packets if first[:1] > b"\x7f" else check_armour
    check(chain((first,), data))


class _Parts:
    """What stands before the data of the second part is read at once; the data comes in pieces."""

    def __init__(self, mark: bytes, pieces: Iterator[Buffer]) -> None:
        self._mark, self._pieces = mark, pieces
        self._held = b""
        while len(self._held) < _BEGINNING:
            piece = next(pieces, None)
            if piece is None:
                break
            self._held += piece
        preamble, version, begin = self._two_marks()
        if not _PREAMBLE.fullmatch(preamble):
            raise UnprovedError("a preamble of more than a line")
        self._check_version(version)
        label, end = _part(self._held[begin:])
        if label.kind != b"application/octet-stream":
            raise UnprovedError("a second part of another type")
        self.encoding = label.encoding
        self._held = self._held[begin + end :]

    def _two_marks(self) -> tuple[bytes, bytes, int]:
        """What stands before the first, what between the two, and where the second ends."""
        line = re.compile(rb"(?:\A|\r?\n)" + re.escape(self._mark) + rb"[ \t]*\r?\n")
        first = line.search(self._held)
        second = line.search(self._held, first.end() - 1) if first else None
        if not first or not second or self._held.count(self._mark, 0, second.end()) != 2:  # noqa: PLR2004
            raise UnprovedError("no two parts")
        return self._held[: first.start()], self._held[first.end() : second.start()], second.end()

    def _check_version(self, part: bytes) -> None:
        label, end = _part(part)
        text = b"".join(decoded(label.encoding, [part[end:]]))
        if label.kind != b"application/pgp-encrypted" or not _VERSION_1.fullmatch(text):
            raise UnprovedError("a first part that doesn't say its version")

    def data(self) -> Iterator[bytes]:
        """Up to the last mark, behind which there is nothing. The mark may stand nowhere else, not
        even at the beginning of a longer line, where some readers see it."""
        for piece in self._pieces:
            self._held += piece
            ready, found = len(self._held) - _END, self._held.find(self._mark)
            if ready > 0:
                if 0 <= found < ready:
                    raise UnprovedError("a mark within the second part")
                yield self._held[:ready]
                self._held = self._held[ready:]
        end = re.compile(rb"\r?\n" + re.escape(self._mark) + rb"--[ \t]*(?:\r?\n\s*)?\Z")
        found_end = end.search(self._held)
        if not found_end or self._held.count(self._mark) != 1:
            raise UnprovedError("no last mark, or something behind it")
        yield self._held[: found_end.start()]


def _part(text: bytes) -> tuple[Label, int]:
    """The label of a part, and where its header block ends."""
    try:
        end, _ = header_end(text, 0, final=True, limit=_LONGEST_HEAD)
    except MessageError:
        raise UnprovedError("a part with a long header") from None
    head = text[:end]
    label = strict_label(head)
    if label is None or not _PART_FIELDS.issuperset(label.names):
        raise UnprovedError("a part with other fields")
    if len(set(label.names)) < len(label.names):
        raise UnprovedError("a part with a field twice, or a line that is none")
    described = b"content-description" in label.names
    if described and not _DESCRIPTION.search(b"\n" + head):
        raise UnprovedError("a part with a description of its own")
    disposition, placed = label.disposition
    told = [*label.parameters.items(), *placed.items()]
    if disposition not in _DISPOSITIONS or not all(
        name in _PART_PARAMETERS and _PLAIN_NAME.fullmatch(value) for name, value in told
    ):
        raise UnprovedError("a part with other parameters")
    return label, end or 0
