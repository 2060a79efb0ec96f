"""Replies of SMTP and LMTP that the next hop sends. Any octets, however cut, are read as a plain
reader reads them; and what was read, written again, is read as the same.

An input is one octet of choice and what comes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from unittest import mock

import line_changes

from cmstream.gateway.protocol import replies
from cmstream.gateway.protocol.replies import ProtocolError, Reply, ReplyReader

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

LINE, LINES = 40, 4  # at most, so that short inputs reach both
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([- ])([^\n]*))?")
WITHIN, BETWEEN, MALFORMED = "within a reply", "between replies", "malformed"


def check(data: bytes) -> None:
    size, wire = sum(data[:1]) + 1, data[1:]
    with mock.patch.multiple(replies, LINE_LIMIT=LINE, LINES_LIMIT=LINES):
        found, _ = expected = plainly(wire)
        assert played([wire]) == expected
        assert played([wire[at : at + size] for at in range(0, len(wire), size)]) == expected
        if all(len(line) < LINE - 4 for one in found for line in one.lines):
            assert played([one.octets() for one in found]) == (found, BETWEEN)


def plainly(wire: bytes) -> tuple[list[Reply], str]:
    *lines, rest = wire.split(b"\n")
    found: list[Reply] = []
    texts: list[bytes] = []
    for line in lines:
        parts = _LINE.fullmatch(line.rstrip(b"\r"))
        if not parts or len(line) > LINE or len(texts) == LINES:
            return found, MALFORMED
        texts.append(parts[3] or b"")
        if parts[2] != b"-":
            found.append(Reply(int(parts[1]), tuple(texts)))
            texts = []
    if len(rest) > LINE:
        return found, MALFORMED
    return found, WITHIN if texts or rest else BETWEEN


def played(pieces: list[bytes]) -> tuple[list[Reply], str]:
    reader, found = ReplyReader(), []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (reply := reader.next()) is not None:
                found.append(reply)
    except ProtocolError:
        return found, MALFORMED
    return found, BETWEEN if reader.empty else WITHIN


# --- inputs --------------------------------------------------------------------------------------

_BEGINNINGS = (b"250-", b"250 ", b"250", b"354 ", b"451 4.3.0 ", b"550-", b"199 ", b"2x0 ", b"25",
               b"600 ", b"")  # fmt: skip
_TEXTS = (b"", b"ok", b"x" * (LINE - 5), b"x" * (LINE - 4), b"\xff", b"a\rb", b" ")
_ENDS = (b"\r\n", b"\r\n", b"\n", b"\r\r\n", b"\r", b"")


def line(source: random.Random) -> bytes:
    return source.choice(_BEGINNINGS) + source.choice(_TEXTS) + source.choice(_ENDS)


def seeds() -> Iterator[bytes]:
    for size in (0, 6, 43):
        yield bytes([size]) + b"220 here\r\n250-a\r\n250-b\r\n250 c\r\n" + b"354\n"
        yield bytes([size]) + (b"250 " + b"x" * (LINE - 5) + b"\r\n") * 3
        yield bytes([size]) + b"250-x\r\n" * LINES + b"250 x\r\n"
        yield bytes([size]) + b"199 x\r\n"
        yield bytes([size]) + b"250-x\r\n" * (LINES - 1) + b"250 x\r\n5"


def mutate(data: bytes, source: random.Random) -> bytes:
    """Lines come in or go."""
    new = b"".join(line(source) for _ in range(source.choice((0, 1, 2))))
    return data[:1] + line_changes.changed(data[1:], new, source)
