"""Base64 that comes in pieces: however it is cut, the answer is the same."""

from __future__ import annotations

import pytest

from cmstream.mail import transfer
from cmstream.mail.unproved import UnprovedError

GOOD = [
    (b"QUFBQUFB", b"AAAAAA"),
    (b"QUFB\r\nQUFB\r\nQQ==\r\n", b"AAAAAAA"),
    (b" QUFB\n QUFB\n QU\n", b"AAAAAAA"),
    (b"\tQUFBQUE=", b"AAAAA"),
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


@pytest.mark.parametrize("text", WORDS)
def test_lines_that_make_words_are_not(text):
    assert {read(pieces) for pieces in cut(text)} == {"refused"}
