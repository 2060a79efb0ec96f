"""What C does for the text of mail: line ends, the fields that stay outside, and base64."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .gate import OCTETS, ffi, lib

if TYPE_CHECKING:
    from .gate import Buffer


_OCTET = ffi.typeof("uint8_t *")


def count_bare_line_feeds(data: Buffer, last: int = 0) -> tuple[int, int]:
    """How many line feeds in ``data`` have no carriage return before them, and its last byte;
    ``last`` is the byte that stood before it."""
    octet = ffi.new(_OCTET, last)
    source = ffi.from_buffer(OCTETS, data)
    return lib.canon_count(source, len(source), octet), octet[0]


def outer_fields(head: bytes) -> bytes | None:
    """A header block's fields that stay outside, as C cuts it; None where it leaves that to
    :func:`cmstream.mail.mime.frame`."""
    header = ffi.new("struct header *")
    source = ffi.from_buffer(OCTETS, head)
    if not lib.header_cut(source, len(source), header) or header.special:
        return None
    out = bytearray(header.outside_len)
    with ffi.from_buffer(OCTETS, out, require_writable=True) as room:
        lib.header_outside(source, header, room)
    return bytes(out)


def unbase64(digits: bytes) -> bytearray | None:
    """The octets of base64 in whole groups of four characters, without white space and padding;
    None where there is anything else."""
    groups, rest = divmod(len(digits), 4)
    out = bytearray(3 * groups)
    with ffi.from_buffer(OCTETS, out, require_writable=True) as room:
        decoded = lib.base64_groups(ffi.from_buffer(OCTETS, digits), groups, room)
    return out if decoded and not rest else None


class Lines:
    """Line ends of a text that comes in pieces, for ciphers that aren't C's."""

    def __init__(self) -> None:
        self._last = ffi.new("uint8_t *")

    def count_bare(self, piece: Buffer) -> int:
        """How many of the next piece's line feeds have no carriage return before them."""
        with ffi.from_buffer(OCTETS, piece) as source:
            return int(lib.canon_count(source, len(source), self._last))

    def canonical(self, piece: memoryview, room: bytearray) -> memoryview:
        """The next piece with a carriage return before each of those, a copy in ``room`` for twice
        as many bytes; the piece itself where there are none."""
        before = self._last[0]
        if not self.count_bare(piece):
            return piece
        self._last[0] = before
        with (
            ffi.from_buffer(OCTETS, piece) as source,
            ffi.from_buffer(OCTETS, room, require_writable=True) as copy,
        ):
            count = lib.canon_copy(source, len(source), self._last, copy)
        return memoryview(room)[:count]
