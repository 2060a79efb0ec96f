"""Reads a message from a file as a mail server has stored it: plain, or compressed with gzip."""

from __future__ import annotations

import os
import stat
import zlib
from typing import TYPE_CHECKING

from ..scratch import CHUNK, Scratch
from .errors import LeftAlone

if TYPE_CHECKING:
    from collections.abc import Iterator

_SERVERS = {
    b"CRYPTED\x03\x07": ("encrypted-by-server", "the server's own encryption (mail_crypt)"),
    b"\x28\xb5\x2f\xfd": ("compressed", "zstd"),
    b"Dovecot-LZ4\x0d\x2a\x9b\xc5": ("compressed", "lz4"),
    b"\xfd7zXZ\x00": ("compressed", "xz"),
    **{b"BZh%d1AY&SY" % level: ("compressed", "bzip2") for level in range(1, 10)},
}
_FIRST = frozenset(magic[:1] for magic in _SERVERS)
_GZIP = b"\x1f\x8b"
_LONGEST = 4 << 30
"""Bytes that a compressed message may have: one of nothing but zeros shrinks a thousandfold."""


def read(fd: int) -> Scratch:
    """The message in a file that was opened. Raises LeftAlone, OSError."""
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        raise LeftAlone("not-a-file", "it is no regular file")
    wanted = min(about.st_size + 1, CHUNK)
    first = os.read(fd, wanted)
    if first[:2] == _GZIP:
        return _expanded(_pieces(fd, first))
    if first[:1] in _FIRST:
        _refuse(first)
    message = Scratch()
    message.write(first)
    while len(first) == wanted:  # a shorter one was the last
        first = os.read(fd, wanted)
        message.write(first)
    return message


def _pieces(fd: int, first: bytes) -> Iterator[bytes]:
    piece = first
    while piece:
        yield piece
        piece = os.read(fd, CHUNK)


def _refuse(first: bytes) -> None:
    for magic, (code, what) in _SERVERS.items():
        if first.startswith(magic):
            raise LeftAlone(code, f"it is stored by {what}, which only the server can read")


def _expanded(pieces: Iterator[bytes]) -> Scratch:
    """What gzip members (RFC 1952) hold, one behind the other."""
    message, member = Scratch(), zlib.decompressobj(wbits=31)
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if member.eof:
                    member = zlib.decompressobj(wbits=31)
                message.write(member.decompress(rest, CHUNK))
                rest = member.unconsumed_tail or member.unused_data
                if len(message) > _LONGEST:
                    raise LeftAlone("compressed", "it is longer than 4 GiB once it is expanded")
        message.write(member.flush())
    except zlib.error as error:
        raise LeftAlone("compressed", f"its gzip form is damaged ({error})") from None
    if not member.eof:
        raise LeftAlone("compressed", "its gzip form is cut off")
    return message
