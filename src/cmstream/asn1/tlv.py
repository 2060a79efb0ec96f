"""A small bounded reader of BER (ITU-T X.690) for files from anywhere.

It finds where elements begin and end and leaves their bytes as they stand. Definite and
indefinite lengths, lengths longer than need be, and strings in segments are all read, since
real certificates and PKCS #12 files have them. Whatever the input, the only exception is
:class:`TlvError`, and the work is linear in the length of the input.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OID = 0x06
SEQUENCE = 0x30
SET = 0x31
CONSTRUCTED = 0x20
"""The bit of a tag that tells of elements inside."""
SEGMENTED = OCTET_STRING | CONSTRUCTED

_END_OF_CONTENTS = 0
_INDEFINITE = -1
_LONG_TAG = 0x1F
_NO_LENGTH, _RESERVED_LENGTH = 0x80, 0xFF  # X.690 section 8.1.3

MAX_DEPTH = 32
"""Levels of nesting. A certificate in a PKCS #12 file needs about a dozen."""
MAX_ELEMENTS = 20_000
"""Elements side by side. A certificate list of this length would be 10 MB and more."""
MAX_FIELDS = 100
"""Elements of a SEQUENCE whose ASN.1 type names them. The longest types have about ten."""
MAX_OID_OCTETS = 64
"""Bytes of an object identifier. The longest in use have about 20."""


class TlvError(Exception):
    """The input isn't what it should be. ``code`` is ``"truncated"`` when it ends too early,
    else ``"corrupt"``."""

    def __init__(self, message: str, *, truncated: bool = False) -> None:
        super().__init__(message)
        self.code = "truncated" if truncated else "corrupt"


class Tlv(NamedTuple):
    """One element: where its bytes stand in ``data``.

    ``data[start:end]`` is the whole element, ``data[body:stop]`` its content; the two ends
    differ by the end-of-contents bytes of an indefinite length.
    """

    data: bytes
    tag: int
    start: int
    body: int
    stop: int
    end: int

    @property
    def whole(self) -> bytes:
        """The element as it stands: identifier, length, content."""
        return self.data[self.start : self.end]

    @property
    def content(self) -> bytes:
        """The content bytes, without interpretation."""
        return self.data[self.body : self.stop]

    def children(self, most: int = MAX_ELEMENTS) -> tuple[Tlv, ...]:
        """The elements inside, at most so many. Raises TlvError if this isn't constructed or they
        don't fit."""
        if not self.tag & CONSTRUCTED:
            raise TlvError(f"tag {self.tag:#04x} can't have elements inside")
        found: list[Tlv] = []
        position = self.body
        while position != self.stop:
            if len(found) == most:
                raise TlvError(f"more than {most} elements side by side")
            child = self._child(position)
            found.append(child)
            position = child.end
        return tuple(found)

    def _child(self, position: int) -> Tlv:
        try:
            return read(self.data, position, self.stop)
        except TlvError as error:
            # The outer length was all there, so an inner one that passes it is a lie.
            raise TlvError(f"inside tag {self.tag:#04x}: {error}") from error

    def octets(self) -> bytes:
        """The value of an OCTET STRING, its segments joined (X.690 section 8.7)."""
        if not self.tag & CONSTRUCTED:
            return self.content
        parts: list[bytes] = []
        _join(self.data, self.start, self.end, 0, parts)
        return b"".join(parts)

    def integer(self) -> int:
        """The value of an INTEGER. Raises TlvError if it is empty or longer than need be."""
        content = self.content
        if self.tag != INTEGER or not content:
            raise TlvError("an integer is missing or empty")
        if len(content) > 1 and (content[0], content[1] >> 7) in {(0, 0), (0xFF, 1)}:
            raise TlvError("an integer has bytes that it doesn't need")
        return int.from_bytes(content, "big", signed=True)

    def oid(self) -> str:
        """The value of an OBJECT IDENTIFIER in dotted form (X.690 section 8.19)."""
        content = self.content
        if self.tag != OID or not content or len(content) > MAX_OID_OCTETS or content[-1] & 0x80:
            raise TlvError("an object identifier is missing or malformed")
        return _dotted(content)

    def fields(self) -> Fields:
        """The elements inside, to be taken one by one."""
        return Fields(self)


@lru_cache(maxsize=1024)
def _dotted(content: bytes) -> str:
    """The same few identifiers come again and again."""
    arcs, value = [], 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


class Fields:
    """The elements of a SEQUENCE, taken in order as its ASN.1 type names them."""

    def __init__(self, parent: Tlv) -> None:
        self._left = list(reversed(parent.children(MAX_FIELDS)))

    def take(self, tag: int) -> Tlv:
        """The next element, which must have this tag."""
        found = self.maybe(tag)
        if found is None:
            got = f"{self._left[-1].tag:#04x}" if self._left else "nothing"
            raise TlvError(f"tag {tag:#04x} was expected, {got} found")
        return found

    def maybe(self, *tags: int) -> Tlv | None:
        """The next element if it has one of these tags, else None."""
        if self._left and self._left[-1].tag in tags:
            return self._left.pop()
        return None

    def octets(self) -> bytes:
        """The content of the next element, an OCTET STRING, whole or in segments."""
        found = self.maybe(SEGMENTED) or self.take(OCTET_STRING)
        return found.octets()

    def rest(self) -> tuple[Tlv, ...]:
        """All elements that weren't taken."""
        return tuple(reversed(self._left))

    def done(self) -> None:
        """Raises TlvError if an element is left."""
        if self._left:
            raise TlvError(f"tag {self._left[-1].tag:#04x} is one too many")


def build(tag: int, *contents: bytes) -> bytes:
    """An element around these contents, with its shortest definite length."""
    content = b"".join(contents)
    octets = (len(content).bit_length() + 7) // 8
    length = len(content).to_bytes(octets or 1, "big")
    if len(content) >= _NO_LENGTH:
        length = bytes([_NO_LENGTH | octets]) + length
    return bytes([tag]) + length + content


def read(data: bytes, position: int = 0, limit: int | None = None) -> Tlv:
    """The element at ``position``; it must end before ``limit`` (default: the end of data).

    Bytes after it are the caller's business (``end`` tells where they begin). Raises TlvError.
    """
    limit = len(data) if limit is None else limit
    tag, body, length = _header(data, position, limit)
    if tag == _END_OF_CONTENTS:
        raise TlvError("an end without a beginning")
    if length != _INDEFINITE:
        stop = body + length
        return Tlv(data, tag, position, body, stop, stop)
    end = _find_end(data, body, limit)
    return Tlv(data, tag, position, body, end - 2, end)


def beginning(data: bytes, position: int = 0) -> tuple[int, int]:
    """The tag of an element and where its content begins, though its end may be missing. Raises
    TlvError."""
    if position + 2 > len(data):
        raise TlvError("the data ends within an element's header", truncated=True)
    first = data[position + 1]
    octets = first & 0x7F if first & 0x80 else 0
    return data[position], position + 2 + octets


def read_only(data: bytes, tag: int = SEQUENCE) -> Tlv:
    """The one element that ``data`` consists of. Raises TlvError if there is more, or another."""
    found = read(data)
    if found.tag != tag:
        raise TlvError(f"tag {tag:#04x} was expected, {found.tag:#04x} found")
    if found.end != len(data):
        raise TlvError(f"{len(data) - found.end} bytes too many")
    return found


def definite(
    data: bytes, position: int = 0, limit: int | None = None, depth: int = 0
) -> tuple[bytes, int]:
    """The element at ``position`` with lengths as DER has them, its own and those inside, and where
    it ended. Looks at each byte once, however deep. Raises TlvError."""
    limit = len(data) if limit is None else limit
    tag, at, length = _header(data, position, limit)
    if tag == _END_OF_CONTENTS:
        raise TlvError("an end without a beginning")
    if not tag & CONSTRUCTED:
        return build(tag, data[at : at + length]), at + length
    if depth == MAX_DEPTH:
        raise TlvError(f"nested more than {MAX_DEPTH} deep")
    stop = limit if length == _INDEFINITE else at + length
    parts = []
    while at != stop and not (length == _INDEFINITE and data[at] == _END_OF_CONTENTS):
        part, at = definite(data, at, stop, depth + 1)
        parts.append(part)
    return build(tag, *parts), _behind_end(data, at, stop) if length == _INDEFINITE else stop


def _join(data: bytes, position: int, limit: int, depth: int, parts: list[bytes]) -> int:
    """Adds the bytes of a string and of the segments inside to ``parts``; gives where it ends.
    Looks at each byte once, as :func:`definite` does."""
    tag, at, length = _header(data, position, limit)
    if depth and tag & ~CONSTRUCTED != OCTET_STRING:
        raise TlvError("a string in segments has something else inside")
    if not tag & CONSTRUCTED:
        parts.append(data[at : at + length])
        return at + length
    if depth == MAX_DEPTH:
        raise TlvError(f"string segments nested more than {MAX_DEPTH} deep")
    stop = limit if length == _INDEFINITE else at + length
    while at != stop and not (length == _INDEFINITE and data[at] == _END_OF_CONTENTS):
        at = _join(data, at, stop, depth + 1, parts)
    return _behind_end(data, at, stop) if length == _INDEFINITE else stop


def _behind_end(data: bytes, position: int, limit: int) -> int:
    """Where end-of-contents bytes end."""
    tag, end, length = _header(data, position, limit)
    if tag != _END_OF_CONTENTS or length:
        raise TlvError("end-of-contents bytes with a length")
    return end


def _header(data: bytes, position: int, limit: int) -> tuple[int, int, int]:
    """Identifier byte, where the content begins, its length (or _INDEFINITE)."""
    if position + 2 > limit:
        raise TlvError("the data ends within an element's header", truncated=True)
    tag, first = data[position], data[position + 1]
    body = position + 2
    if tag & _LONG_TAG == _LONG_TAG:
        raise TlvError("a tag number above 30, which no certificate has")
    if first == _NO_LENGTH:
        if not tag & CONSTRUCTED:
            raise TlvError("an indefinite length of something that isn't constructed")
        return tag, body, _INDEFINITE
    length = first
    if first & 0x80:
        body += first & 0x7F
        length = int.from_bytes(data[position + 2 : min(body, limit)], "big")
    if first == _RESERVED_LENGTH or body > limit or length > limit - body:
        raise TlvError("an element is longer than what is there", truncated=True)
    return tag, body, length


def _find_end(data: bytes, position: int, limit: int) -> int:
    """Where an element of indefinite length ends, its end-of-contents bytes included."""
    depth = 1
    for _ in range(MAX_ELEMENTS):
        tag, position, length = _header(data, position, limit)
        if length == _INDEFINITE:
            depth += 1
        elif tag == _END_OF_CONTENTS:
            depth -= 1
        if tag == _END_OF_CONTENTS and length:
            raise TlvError("end-of-contents bytes with a length")
        if depth == 0:
            return position
        if depth > MAX_DEPTH:
            raise TlvError(f"nested more than {MAX_DEPTH} deep")
        position += max(length, 0)
    raise TlvError(f"more than {MAX_ELEMENTS} elements in an indefinite length")
