"""Base64 that comes in pieces: however it is cut, the answer is the same."""

from __future__ import annotations

import base64
import random

import pytest

from cmstream.engine.mail_text import unbase64
from cmstream.mail import transfer
from cmstream.mail.unproved import UnprovedError
from helpers.already import noise

GOOD = [
    (b"QUFBQUFB", b"AAAAAA"),
    (b"QUFB\r\nQUFB\r\nQQ==\r\n", b"AAAAAAA"),
    (b" QUFB\n QUFB\n QU\n", b"AAAAAAA"),
    (b"\tQUFBQUE=", b"AAAAA"),
]
ELSE = [
    b"QUFB-UFB",
    b"QUF\0",
    b"QU\vFB",
    b"QUFB\fQUFB",
    b"Q===",
    b"QU=FB",
    b"QUFBQ",
    b"=QUF",
    b"QUFB====",
    b"QUF\xc1",
]
WORDS = [b"QUFB QUFBQUFB", b"QUFB QU QUFB", b" QUFB\n QUFBQQ==", b"QUFB\nQU\nQQ==\n", b"QU FB\nQ U"]


def read(pieces):
    try:
        return b"".join(transfer.from_base64(pieces))
    except UnprovedError:
        return "refused"


def cut(text):
    """In one piece, in two, in three, and octet by octet."""
    places = range(len(text) + 1)
    yield [text]
    yield [bytes([octet]) for octet in text]
    for first in places:
        yield from ([text[:first], text[first:second], text[second:]] for second in places[first:])


@pytest.mark.parametrize(("text", "octets"), GOOD)
def test_lines_of_one_length_are_read(text, octets):
    assert {read(pieces) for pieces in cut(text)} == {octets}


@pytest.mark.parametrize("text", ELSE)
def test_something_else_is_not(text):
    assert {read(pieces) for pieces in cut(text)} == {"refused"}


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("groups", [*range(40), 333])
def test_groups_are_decoded_wherever_something_else_stands(groups):
    octets = random.Random(groups).randbytes(3 * groups)
    digits = base64.b64encode(octets)
    assert unbase64(digits) == octets
    for at in range(len(digits)):
        assert unbase64(digits[:at] + b"*" + digits[at + 1 :]) is None
    for other in (b"=", b" ", b"\n", b"A"):
        assert unbase64(digits + other) is None


@pytest.mark.parametrize("text", WORDS)
def test_lines_that_make_words_are_not(text):
    assert {read(pieces) for pieces in cut(text)} == {"refused"}


@pytest.mark.parametrize("more", range(-4, 5))
@pytest.mark.parametrize("blocks", [1, 2])
def test_padding_may_stand_anywhere_in_what_is_looked_at_together(blocks, more):
    octets = noise((blocks * transfer._BLOCK + transfer._OVERLAP) // 4 * 3 + more)
    text = base64.b64encode(octets)
    for size in (len(text), 1000, 4099):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert read(pieces) == octets
    assert read([text[:-8] + b"=" + text[-7:]]) == "refused"


@pytest.mark.parametrize("at", [1000, transfer._BLOCK - 20, 2 * transfer._BLOCK - 100, 150_000])
def test_words_are_seen_wherever_the_pieces_end(at):
    text = base64.b64encode(noise(150_000))
    words = b"thecodeofthesafeisfoursevenoneoneandthekey"
    text = text[:at] + words + text[at + len(words) :]
    for size in (len(text), at + 20, 64, 777):
        assert read([text[cut : cut + size] for cut in range(0, len(text), size)]) == "refused"
