"""The mbox format taken apart; Python's mailbox module is the second opinion."""

from __future__ import annotations

import contextlib
import mailbox
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cmstream
from cmstream.mail import mbox

FROM = b"From alice@example.org Thu Nov 29 22:33:52 2001\n"


def split(text, size=1 << 20, *, look=False):
    """Each message's From_ line and content, the stream given in pieces."""
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    found = mbox.messages(pieces, (lambda at, n: text[at : at + n]) if look else None)
    return [(one.from_line, b"".join(one.chunks)) for one in found]


def contents(text, *, look=False):
    found = split(text, look=look)
    assert split(text, 1, look=look) == split(text, 7, look=look) == found
    return [content for _, content in found]


def quoted(message, size=1 << 20):
    return b"".join(mbox.quote(message[i : i + size] for i in range(0, len(message), size)))


# What programs write


def test_a_file_of_python(tmp_path):
    sent = [b"Subject: %d\n\nHello\n\nFrom here on: %d\n" % (i, i) for i in range(5)]
    with contextlib.closing(mailbox.mbox(tmp_path / "box")) as box:
        for one in sent:
            box.add(one)
    text = (tmp_path / "box").read_bytes()
    assert b"\n>From here" in text  # mboxo
    assert contents(text) == sent
    # And it reads what is quoted here.
    (tmp_path / "other").write_bytes(b"".join(FROM + quoted(one) + b"\n" for one in sent))
    with contextlib.closing(mailbox.mbox(tmp_path / "other")) as box:
        assert [one.as_bytes() for one in box] == [
            one.replace(b"\nFrom ", b"\n>From ") for one in sent
        ]


PROCMAIL = b"""\
From bounce+1@lists.example.org  Sat Feb  2 04:01:01 2019
Return-Path: <bounce+1@lists.example.org>
Subject: one

text
>From the start
>>From deeper

From bob  Sat Feb 2 04:01 MET 2019
Subject: two

From a sentence that names no date.
It had 12:30 on it. From inside a line in 2019, 12:30.

"""


def test_a_spool_of_procmail():
    first, second = contents(PROCMAIL)
    assert first.endswith(b"text\nFrom the start\n>From deeper\n")
    assert second.startswith(b"Subject: two\n\nFrom a sentence")
    assert second.endswith(b"12:30.\n")
    assert split(PROCMAIL)[1][0] == b"From bob  Sat Feb 2 04:01 MET 2019\n"


@pytest.mark.parametrize(
    "line",
    [
        b"From - Thu Nov 29 22:33:52 2001\r\n",  # Netscape, and what came of it
        b"From \r\n",  # newer ones
        b"From 1622873619@xxx Sat Jun 05 06:13:39 +0000 2021\r\n",  # an export of Gmail's
        b"From alice at example.org  Thu Nov 29 22:33:52 2001\n",  # Mailman's archives
        b'From "a b"@example.org Thu Nov 29 22:33:52 CET 2001\n',
    ],
)
def test_from_lines_of_many_programs(line):
    end = b"\r\n" if line.endswith(b"\r\n") else b"\n"
    message = end.join([b"Subject: x", b"", b"text", b""])
    text = (line + message + end) * 3
    assert split(text) == [(line, message)] * 3


def test_offsets_are_those_of_the_stream():
    text = b"\n\n" + PROCMAIL + FROM
    starts = [one.start for one in mbox.messages([text])]  # content that nobody reads is passed
    assert starts == [2, 2 + PROCMAIL.index(b"From bob"), 2 + len(PROCMAIL)]


@pytest.mark.parametrize("text", [b"", b"\n", b"\r\n\r\n"])
def test_nothing_is_no_messages(text):
    assert split(text) == []


@pytest.mark.parametrize(
    "text",
    [b"Subject: x\n\ny\n", b"From alice\nSubject: x\n", b"From \n\nx\n", b"\0" * 5000,
     b"From " + b"x" * 5000 + b" Thu Nov 29 22:33:52 2001\n"],
)  # fmt: skip
def test_what_is_no_mbox_is_refused(text):
    with pytest.raises(cmstream.MessageError, match=r"at byte 0 ") as caught:
        split(text)
    assert caught.value.code == "malformed-message"


def test_messages_without_a_body_or_a_last_line_end():
    text = FROM + b"\n" + FROM + b"A: 1\n\n" + FROM + b"A: 1\n\n\n" + FROM + b"A: 1\n\nx"
    assert contents(text) == [b"", b"A: 1\n", b"A: 1\n\n", b"A: 1\n\nx"]
    assert contents(FROM) == [b""]
    assert split(FROM[:-1]) == [(FROM[:-1], b"")]


# Content-Length


def counted(body, length=None):
    return FROM + b"Content-Length: %d\n\n%s" % (len(body) if length is None else length, body)


BODY = b"x\n\n" + FROM + b"Subject: copied\n>From \n\n"


def test_a_right_content_length_counts():
    text = counted(BODY) + b"\n" + counted(b"") + counted(BODY)
    wanted = [counted(body)[len(FROM) :] for body in (BODY, b"", BODY)]
    assert contents(text, look=True) == wanted
    assert contents(text + b"\n", look=True) == wanted
    assert len(contents(text)) == 5  # where nobody can look


@pytest.mark.parametrize("wrong", [1, len(BODY) - 1, len(BODY) + 3, 10**12])
def test_a_wrong_one_does_not(wrong):
    text = counted(BODY, wrong) + b"\n" + FROM + b"Subject: last\n\n"
    assert contents(text, look=True) == contents(text)
    assert len(contents(text)) == 3


@pytest.mark.parametrize("value", [b"-1", b"4 4", b"", b"9" * 30, b"4\nContent-Length: 5"])
def test_nor_one_that_is_no_number(value):
    text = FROM + b"Content-Length: " + value + b"\n\nabc\n\n" + FROM
    assert [one[-5:] for one in contents(text, look=True)] == [b"\nabc\n", b""]


# Any text at all

LINES = st.lists(
    st.sampled_from(
        [b"From ", FROM[:-1], b">From x", b">" + FROM[:-1], b">>From ", b"", b"A: 1", b">", b"From"]
    )
)


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.integers(1, 60))
def test_what_is_quoted_comes_back(lines, end, size):
    message = b"".join(line + end for line in lines)
    text = FROM + quoted(message, size) + end + FROM
    assert not re.search(rb"^From ", text[len(FROM) : -len(FROM)], re.MULTILINE)
    assert split(text, size) == [(FROM, message), (FROM, b"")]


@given(LINES, st.integers(1, 60))
def test_pieces_change_nothing(lines, size):
    text = FROM + b"\n".join(lines)
    assert split(text, size) == split(text)
    assert split(text, size, look=True) == split(text, look=True)


def test_a_long_message_takes_constant_memory():
    """Lines that never end, and long ones that begin like a From_ line."""
    source = mbox._Source([])
    most = 0

    def stream():
        nonlocal most
        yield FROM + b"A: 1\n\n"
        for i in range(300):
            most = max(most, len(source.held))
            yield (b"x" * 65536, b"\nFrom 12:30 2019 " + b"y" * 65536, b"\n" * 65536)[i % 3]

    source = mbox._Source(stream())
    source.fill(1)
    source.take_line()
    total = sum(len(piece) for piece in mbox._content(source, None))
    assert total == 5 + 100 * (2 * 65536 + 65536 + 17)
    assert most < 2 * mbox.CHUNK
