"""The protocol ``seal:``, both sides. Any octets, however cut, are read as a plain reader reads
them; and what was read, written again, is read as the same.

An input is two octets of choices and what comes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from unittest import mock

import line_changes

from cmstream.gateway.protocol import seal
from cmstream.gateway.protocol.seal import END, Answer, ProtocolError, Reader, Request, chunk

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

LIMIT = 200  # of a header, so that short inputs reach it
_HEADERS = {
    Request: re.compile(rb"seal/1(?:\n(?:for [^\n]*|append|require))*"),
    Answer: re.compile(rb"seal/1 (?:0|64|65|75)(?:\n[^\n]*)*"),
}


def check(data: bytes) -> None:
    if len(data) < 2:
        return
    side = Answer if data[0] & 1 else Request
    size, wire = data[1] + 1, data[2:]
    with mock.patch.object(seal, "HEADER_LIMIT", LIMIT):
        expected = plainly(side, wire)
        assert played(side, [wire]) == expected
        assert played(side, [wire[at : at + size] for at in range(0, len(wire), size)]) == expected
        check_written(side, expected[0])


# --- a plain reader ------------------------------------------------------------------------------


def allow(truth: object) -> None:
    if not truth:
        raise ProtocolError


def plainly(side: type, wire: bytes) -> tuple[list[Any], str]:
    """Headers and messages by turns, each message with whether all of it is there; and how it
    ended."""
    found: list[Any] = []
    try:
        while wire:
            header, end, wire = wire.partition(b"\n\n")
            # A line feed at the end may be the first of the two that end the header.
            allow(len(header) <= LIMIT + (not end and header[-1:] == b"\n"))
            if not end:
                return found, "within"
            found += [_header(side, header), (b"", False)]
            while not found[-1][1]:
                digits, end, rest = wire.partition(b"\n")
                allow(re.fullmatch(rb"[0-9]{1,12}" if end else rb"[0-9]{0,12}", digits))
                if not end:
                    return found, "within"
                piece, wire = rest[: int(digits)], rest[int(digits) :]
                found[-1] = (found[-1][0] + piece, int(digits) == 0)
    except ProtocolError:
        return found, "malformed"
    return found, "between"


def _header(side: type, header: bytes) -> tuple[Any, ...]:
    allow(_HEADERS[side].fullmatch(header))
    first, *lines = header.split(b"\n")
    if side is Answer:
        return int(first[7:]), lines
    addresses = [line[4:] for line in lines if line[:4] == b"for "]
    allow(addresses)
    return addresses, b"append" in lines, b"require" in lines


# --- the reader ----------------------------------------------------------------------------------


def played(side: type, pieces: list[bytes]) -> tuple[list[Any], str]:
    reader, found = Reader(side.read), []
    try:
        for piece in pieces:
            reader.receive(piece)
            while (event := reader.next_event()) is not None:
                if isinstance(event, bytes):
                    found[-1] = (found[-1][0] + event, not event)
                else:
                    found += [_told(event), (b"", False)]
    except ProtocolError:
        return found, "malformed"
    return found, "between" if reader.between else "within"


def _told(header: Request | Answer) -> tuple[Any, ...]:
    if isinstance(header, Answer):
        return header.code, list(map(_octets, header.sentences))
    return list(map(_octets, header.addresses)), header.append, header.require


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def check_written(side: type, found: list[Any]) -> None:
    """Of an answer's sentences white space alone may change."""
    for header, (message, _) in zip(found[::2], found[1::2], strict=True):
        expected = header
        if side is Answer:
            code, lines = header
            octets = Answer(code, map(_string, lines)).octets()
            expected = code, [line for one in lines if (line := b" ".join(one.split()))]
        else:
            addresses, append, require = header
            octets = Request(map(_string, addresses), append=append, require=require).octets()
        if len(octets) <= LIMIT:
            again = played(side, [octets + chunk(message[:9]) + chunk(message[9:]) + END])
            assert again == ([expected, (message, True)], "between")


def _string(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


# --- inputs --------------------------------------------------------------------------------------

_LINES = (b"seal/1", b"seal/1 0", b"seal/1 75", b"for a@b.example", b"for ", b"for \xff", b"append",
          b"require", b"", b"warning: a  b", b" ", b"\r", b"x" * 150)  # fmt: skip
_LENGTHS = (b"0", b"5", b"000000000003", b"1" * 13, b"999999999999", b"-1", b"5\r", b"")


def seeds() -> Iterator[bytes]:
    for choice, header in enumerate(
        (
            b"seal/1\nfor a@b.example\nfor \xff\nappend\n\n",
            b"seal/1 0\nwarning: a\n\n",
            b"seal/1\nfor " + b"x" * (LIMIT - 11) + b"\n\n",
            b"seal/1 75\n" + b"x" * (LIMIT - 10) + b"\n\n",
            b"seal/1\nfor a\nrequire\n\n",
            b"seal/1 70\n\n",
            b"seal/1\nfor a\nother\n\n",
            b"seal/1 64\n" + b"x" * (LIMIT - 9) + b"\n\n",
            b"seal/1\nappend\n\n",
        )
    ):
        yield bytes([choice, 4]) + (header + b"000000000005\nHello1\n\n" + END) * 2
        yield bytes([choice, 0]) + header + END + header[:-1]


def mutate(data: bytes, source: random.Random) -> bytes:
    """Lines come in or go."""
    new = b"".join(
        source.choice(source.choice((_LINES, _LENGTHS))) + b"\n"
        for _ in range(source.choice((0, 1, 2)))
    )
    return data[:2] + line_changes.changed(data[2:], new, source)
