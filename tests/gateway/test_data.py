"""Dots of DATA: taken out, put in, and what looks like an end and is none."""

from __future__ import annotations

import re
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.gateway.protocol.data import LookAlikes, Stuffer, Unstuffer

LOOKALIKES = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
]
NASTY = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"a", b"\0", b"..", b"\r\n.\r", b"x" * 90]
    )
).map(b"".join)


def plain_unstuffed(wire):
    """Line by line, as RFC 5321 section 4.5.2 has it: the content, and where the message ends."""
    content, at = b"", 0
    while True:
        end = wire.find(b"\r\n", at)
        line = wire[at:] if end < 0 else wire[at : end + 2]
        if line == b".\r\n":
            return content, end + 2
        content += line[1:] if line[:1] == b"." else line
        if end < 0:
            return content, -1
        at = end + 2


def plain_stuffed(content):
    lines = content.split(b"\r\n")
    if lines[-1]:
        lines.append(b"")
    return b"\r\n".join(b"." + line if line[:1] == b"." else line for line in lines) + b".\r\n"


def unstuffed(wire, *cuts):
    """What the pieces give; each stands behind two other bytes, which must not matter."""
    dots, content = Unstuffer(), b""
    for start, stop in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        piece, end = dots.feed(b".\r" + wire[start:stop], 2)
        content += piece
        if end >= 0:
            return content, start + end - 2
    return content, -1


def every_cut(wire):
    """All ways to cut in one place, and into single bytes."""
    return [*((at,) for at in range(len(wire) + 1)), tuple(range(1, len(wire)))]


@pytest.mark.parametrize("length", range(7))
def test_each_short_message_at_each_cut(length):
    for letters in product(b"\r\n.a", repeat=length):
        wire = bytes(letters) + b"\r\n.\r\nQUIT\r\n"
        expected = plain_unstuffed(wire)
        assert all(unstuffed(wire, *cuts) == expected for cuts in every_cut(wire)), wire


def test_two_cuts():
    wire = b"..\r\n.\r.\r\n..\r\n.\n\r\n.a\r\n\r\n.\r\n.\r\n"
    expected = plain_unstuffed(wire)
    cuts = [(a, b) for a, b in combinations(range(len(wire) + 1), 2)]
    assert all(unstuffed(wire, *one) == expected for one in cuts)


@given(NASTY, st.lists(st.integers(0, 300), max_size=6))
def test_any_message_at_any_cuts(message, cuts):
    wire = message + b"\r\n.\r\n.\r\n"
    cuts = sorted({min(cut, len(wire)) for cut in cuts})
    assert unstuffed(wire, *cuts) == plain_unstuffed(wire)


def test_without_an_end_nothing_is_lost():
    for wire in (b"a\r\n.\r", b"a\r\n.", b"a\r\n", b"a\r", b".", b".\r"):
        dots = Unstuffer()
        first, end = dots.feed(wire)
        assert end < 0
        assert first + dots.feed(b"z\r\n.\r\n")[0] == plain_unstuffed(wire + b"z\r\n.\r\n")[0]


@pytest.mark.parametrize("count", range(47, 54))
@pytest.mark.parametrize("rest", [b"\r\n.a\r\n.\r\n", b"\r\n.\r\n", b".\r\n.\r\n"])
def test_many_dots(count, rest):
    wire = b"." * count + rest
    assert unstuffed(wire) == plain_unstuffed(wire)
    content = plain_unstuffed(wire)[0]
    assert Stuffer().feed(content) + b".\r\n" == plain_stuffed(content)


@pytest.mark.parametrize("lookalike", LOOKALIKES)
def test_a_lookalike_ends_nothing(lookalike):
    wire = b"a" + lookalike + b"MAIL FROM:<>\r\n.\r\n"
    kept = lookalike.replace(b"\r\n.", b"\r\n")  # this dot alone begins a line
    assert unstuffed(wire) == (b"a" + kept + b"MAIL FROM:<>\r\n", len(wire))


def test_one_message_after_the_other():
    dots, wire = Unstuffer(), b"a\r\n.\r\n.\r\n..b\r\n.\r\nc"
    content, end = dots.feed(wire)
    assert content == b"a\r\n"
    content, end = dots.feed(wire, end)
    assert content == b""
    content, end = dots.feed(wire, end)
    assert content == b".b\r\n"
    assert dots.feed(wire, end) == (b"c", -1)
    assert dots.feed(b"") == (b"", -1)


def stuffed(content, cuts=()):
    dots = Stuffer()
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    return b"".join(map(dots.feed, pieces)) + dots.finish()


@pytest.mark.parametrize("length", range(7))
def test_each_short_message_is_stuffed(length):
    for letters in product(b"\r\n.a", repeat=length):
        content = bytes(letters)
        expected = plain_stuffed(content)
        assert all(stuffed(content, cuts) == expected for cuts in every_cut(content)), content


@given(NASTY, st.lists(st.integers(0, 300), max_size=6))
def test_what_is_stuffed_comes_back(content, cuts):
    cuts = sorted({min(cut, len(content)) for cut in cuts})
    wire = stuffed(content, cuts)
    assert wire == plain_stuffed(content)
    whole = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert unstuffed(wire) == (whole, len(wire))


def has_lookalike(content, cuts=()):
    known = LookAlikes()
    for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True):
        known.feed(content[start:stop])
    return known.finish()


def plain_lookalike(content):
    """Looks around each dot."""
    text = b"\r\n" + content + b"\r\n"
    for at in (at for at, byte in enumerate(text) if byte == ord(".")):
        left = text[:at].rstrip(b"\0")
        right = text[at + 1 :].lstrip(b"\0")
        if left[-1:] in (b"\r", b"\n") and right[:1] in (b"\r", b"\n"):
            nulls = len(left) + len(right) + 1 < len(text)
            if nulls or not (left.endswith(b"\r\n") and right.startswith(b"\r\n")):
                return True
    return False


def sloppy_ends(wire):
    """How many ends of messages there are to programs that take other line ends, too."""
    patterns = (rb"\r\n|\n", rb"\r\n|\r", rb"\r\n|\r|\n", rb"\r*\n", rb"\r+\n|\r|\n")
    return {
        (b"\n" + re.sub(pattern, b"\n", text)).replace(b"\n", b"\n\n").count(b"\n.\n")
        for pattern in patterns
        for text in (wire, wire.replace(b"\0", b""))
    }


@pytest.mark.parametrize("lookalike", [*LOOKALIKES, b"\r\n\0.\r\n", b"\n\0\0.\0\0\0\n"])
@pytest.mark.parametrize("around", [b"", b"a"])
def test_a_lookalike_is_known(lookalike, around):
    content = around + lookalike + around
    assert all(has_lookalike(content, cuts) for cuts in every_cut(content))
    helped = lookalike.startswith(b"\r\n.")  # by the dot that is put in
    assert (sloppy_ends(plain_stuffed(content)) == {1}) == helped


@pytest.mark.parametrize(
    "content",
    [b"", b"a", b".", b"a\r\n.\r\n", b".\r\n", b"\r\n.", b"\n..\n", b"\n.a\n", b"a.\n", b"\n\0a.\n",
     b"\r\n.\r\n.\r\n"],
)  # fmt: skip
def test_what_is_no_lookalike(content):
    assert not any(has_lookalike(content, cuts) for cuts in every_cut(content))
    assert sloppy_ends(plain_stuffed(content)) == {1}


@pytest.mark.parametrize("content", [b"a\n.", b"a\r.", b".\n", b".\ra", b"\n.\r", b"\0.", b".\0"])
def test_its_beginning_and_its_end_are_line_ends(content):
    assert all(has_lookalike(content, cuts) for cuts in every_cut(content))


@pytest.mark.parametrize("length", range(7))
def test_no_short_message_is_two_to_anybody(length):
    for letters in product(b"\r\n.\0" if length < 6 else b"\r\n.", repeat=length):
        content = bytes(letters)
        known = has_lookalike(content)
        assert known == plain_lookalike(content), content
        assert known or sloppy_ends(plain_stuffed(content)) == {1}, content


@given(NASTY, st.lists(st.integers(0, 300), max_size=6))
def test_lookalikes_at_any_cuts(content, cuts):
    cuts = sorted({min(cut, len(content)) for cut in cuts})
    assert has_lookalike(content, cuts) == plain_lookalike(content)


def test_found_says_what_is_known_so_far():
    known = LookAlikes()
    known.feed(b"a\n.")
    assert not known.found
    known.feed(b"\n")
    assert known.found
    assert known.finish()
