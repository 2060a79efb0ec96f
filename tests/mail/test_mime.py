"""Framing: no octet of a message is lost, whatever it looks like, and however it comes in."""

from __future__ import annotations

import email
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cmstream.errors import MessageError
from cmstream.mail.mime import (
    ABOVE_LIMIT,
    BOM,
    ENTITY_HEADER,
    HEADER_LIMIT,
    Framing,
    frame,
    header_end,
)

BANNER = b"Microsoft Mail Internet Headers Version 2.0\r\n"
NAMES = [b"X-A", b"From", b"Content-Type", b"content-ID", b"MIME-Version", b"mime-version", b"Y!"]
INNER = [b"Content-Type: text/html\r\n", b"Content-ID: <1@example>\r\n"]


def split(message: bytes) -> tuple[bytes, bytes]:
    end, _ = header_end(message, 0, final=True)
    assert end is not None
    return message[:end], message[end:]


def framed(message: bytes) -> Framing:
    return frame(split(message)[0])


def kept(framing: Framing) -> bytes:
    assert framing.outside.endswith(ENTITY_HEADER)
    return framing.outside[: -len(ENTITY_HEADER)]


def own(framing: Framing) -> bytes:
    assert framing.inside.endswith(b"\r\n")
    return framing.inside[:-2]


def in_pieces(message: bytes, cuts: list[int]) -> tuple[int | None, int]:
    """The header's end, and how many octets it took to see it."""
    buffer, resume, begin = bytearray(), 0, 0
    for cut in [*sorted(cuts), len(message)]:
        buffer += message[begin : max(cut, begin)]
        begin = max(cut, begin)
        end, resume = header_end(buffer, resume, final=False)
        if end is not None:
            return end, len(buffer)
    end, _ = header_end(buffer, resume, final=True)
    return end, len(buffer)


line_ends = st.sampled_from([b"\r\n", b"\n"])
values = st.binary(max_size=20).map(lambda value: re.sub(rb"[\r\n]", b"", value))


@st.composite
def fields(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    """Fields as (name, value with its continuation lines, without the last line end)."""
    found = []
    for _ in range(draw(st.integers(0, 6))):
        name, value = draw(st.sampled_from(NAMES)), draw(values).rstrip(b"\r")
        for more in draw(st.lists(values, max_size=2)):
            value += draw(line_ends) + draw(st.sampled_from([b" ", b"\t"])) + more.rstrip(b"\r")
        found.append((name, draw(st.sampled_from([b"", b" ", b"\t "])) + b":" + value))
    return found


def crlf(text: bytes) -> bytes:
    return re.sub(rb"(?<!\r)\n", b"\r\n", text)


@given(fields(), line_ends, st.binary(max_size=40))
def test_every_field_is_kept_in_order_on_one_side(pairs, line_end, body) -> None:
    block = b"".join(name + value + line_end for name, value in pairs) + line_end
    head, rest = split(block + body)
    assert (head, rest) == (block, body)
    lines = [(name.lower(), crlf(name + value) + b"\r\n") for name, value in pairs]
    inner = b"".join(line for name, line in lines if name.startswith(b"content-"))
    outer = [line for name, line in lines if not name.startswith((b"content-", b"mime-"))]
    assert kept(frame(head)) == b"".join(outer)
    assert own(frame(head)) == inner


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            b"\r",
            b"\n",
            b"\r\n",
            b" ",
            b"\t",
            b":",
            b"a",
            b"From ",
            b"\0",
            b"\xff",
            b"X: 1",
            b"X: 1\r\n",
            BOM,
            BOM[:2],
            BANNER,
            BANNER[:-2],
            b">From ",
        ]
    )
).map(b"".join)


@given(FRAGMENTS | st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
@example(b"From \r\n\r\nx", [4, 5])
@example(b"X: 1\r\n\r\nx", [6, 7])
@example(b"X: 1\r\n\rx", [6, 7])
@example(b"X\t :", [1, 2, 3])
def test_the_header_ends_at_the_same_place_however_it_comes(message, cuts) -> None:
    whole, _ = header_end(message, 0, final=True)
    assert in_pieces(message, cuts)[0] == whole
    assert in_pieces(message, list(range(len(message))))[0] == whole


@given(FRAGMENTS)
def test_frame_takes_all_that_header_end_finds(message) -> None:
    head, _ = split(message)
    framing = frame(head)
    head = re.sub(b"(?m)^" + BOM, b"", head)
    head = re.sub(
        rb"\A(From (?!\s*:).*\n)?(?(1)|(?!From ))(?:(?:>?From (?!\s*:).*|"
        + BANNER[:-2]
        + rb"\r?)\n)+",
        rb"\1",
        head,
    )
    stripped = re.sub(rb"\r?\n\Z", b"", head) if head.endswith((b"\n\n", b"\n\r\n")) else head
    assert kept(framing).replace(b"\r\n", b"\n") in (
        stripped.replace(b"\r\n", b"\n"),
        stripped.replace(b"\r\n", b"\n") + b"\n",
        b"",
    )
    assert bool(kept(framing)) == bool(head.strip(b"\r\n"))
    assert own(framing) == b""


@given(fields())
def test_another_parser_reads_the_outside(pairs) -> None:
    block = b"".join(name + value + b"\r\n" for name, value in pairs if value.startswith(b":"))
    block = re.sub(rb"[^ -~\r\n\t]|\r(?!\n)", b"?", block) + b"\r\n"
    framing = frame(block)
    outer = email.message_from_bytes(framing.outside + b"body")
    assert outer.get_all("MIME-Version") == ["1.0"]
    assert outer.get_all("Content-Transfer-Encoding") == ["base64"]
    assert outer.get_content_type() == "application/pkcs7-mime"
    assert outer.get_param("smime-type") == "enveloped-data"
    assert outer.get_param("name") == outer.get_filename() == "smime.p7m"
    assert outer.get_content_disposition() == "attachment"
    assert outer.get_payload() == "body"
    names = [name for name, value in pairs if value.startswith(b":")]
    wanted = [n.decode() for n in names if not n.lower().startswith((b"content-", b"mime-"))]
    assert outer.keys()[:-4] == wanted


@pytest.mark.parametrize(
    ("message", "outside", "inside", "body"),
    [
        (b"", b"", b"", b""),
        (b"\r\n", b"", b"", b""),
        (b"\nbody\n", b"", b"", b"body\n"),
        (b"no header at all\r\nX: 1\r\n", b"", b"", b"no header at all\r\nX: 1\r\n"),
        (b" continues nothing\r\nX: 1\r\n", b"", b"", b" continues nothing\r\nX: 1\r\n"),
        (b"X: 1", b"X: 1\r\n", b"", b""),
        (b"X: 1\r", b"X: 1\r\n", b"", b"\r"),
        (b"X: 1\n", b"X: 1\r\n", b"", b""),
        (b"X: 1\n\rno blank line", b"X: 1\r\n", b"", b"\rno blank line"),
        (b"X: 1\n2\r\n\r\nz", b"X: 1\r\n", b"", b"2\r\n\r\nz"),
        (b"X: 1\r\n\r\r\nz", b"X: 1\r\n", b"", b"\r\r\nz"),
        (b"X: 1\r\n \r\n 2\r\n\r\nz", b"X: 1\r\n \r\n 2\r\n", b"", b"z"),
        (b"X:\n\t\n\nz", b"X:\r\n\t\r\n", b"", b"z"),
        (b"X: a\rb\r\r\n\r\nz", b"X: a\r\n", b"", b"\rb\r\r\n\r\nz"),
        (
            b"X: a\r\r\nContent-Type: y\r\n\r\nz",
            b"X: a\r\n",
            b"",
            b"\r\r\nContent-Type: y\r\n\r\nz",
        ),
        (
            b"X: 1\r\rtext\r\nContent-ID: 1\r\n\r\n",
            b"X: 1\r\n",
            b"",
            b"\r\rtext\r\nContent-ID: 1\r\n\r\n",
        ),
        (
            b"X: 1\r\nContent-ID:\r\n 1\r\r\n\r\nz",
            b"X: 1\r\n",
            b"Content-ID:\r\n 1\r\n",
            b"\r\r\n\r\nz",
        ),
        (
            b"From a@b\rtext: y\r\nX: 1\r\n\r\nz",
            b"",
            b"",
            b"From a@b\rtext: y\r\nX: 1\r\n\r\nz",
        ),
        (BOM + b"X: 1\r\n\r\nz", b"X: 1\r\n", b"", b"z"),
        (BOM + b"Content-ID: 1\nX: 1\n\nz", b"X: 1\r\n", b"Content-ID: 1\r\n", b"z"),
        (b"X: 1\r\n" + BOM + b"Y: 2\n\nz", b"X: 1\r\nY: 2\r\n", b"", b"z"),
        (b"X: 1\r\n" + BOM + b"text\n\nz", b"X: 1\r\n", b"", BOM + b"text\n\nz"),
        (BOM + b"text\r\nX: 1\r\n\r\n", b"", b"", BOM + b"text\r\nX: 1\r\n\r\n"),
        (BOM + b"From a@b\nX: 1\n\nz", b"From a@b\r\nX: 1\r\n", b"", b"z"),
        (BANNER + b"X: 1\r\n\r\nz", b"X: 1\r\n", b"", b"z"),
        (BOM + BANNER[:-2] + b"\nX: 1\n\nz", b"X: 1\r\n", b"", b"z"),
        (b"Another banner\r\nX: 1\r\n\r\nz", b"", b"", b"Another banner\r\nX: 1\r\n\r\nz"),
        (b"X: \0\xff\xfe\n\n\0", b"X: \0\xff\xfe\r\n", b"", b"\0"),
        (b"X \t: 1\n\n", b"X \t: 1\r\n", b"", b""),
        (b": 1\r\n\r\n", b"", b"", b": 1\r\n\r\n"),
        (b"X\xe9: 1\r\n\r\n", b"", b"", b"X\xe9: 1\r\n\r\n"),
        (b"From a@b Tue\nX: 1\n\nz", b"From a@b Tue\r\nX: 1\r\n", b"", b"z"),
        (b">From a@b Tue\r\nX: 1\r\n\r\nz", b"X: 1\r\n", b"", b"z"),
        (b"From a@b\r\n>From c\r\nFrom d\r\nX: 1\r\n\r\nz", b"From a@b\r\nX: 1\r\n", b"", b"z"),
        (b">From a@b\nFrom c\nContent-X: 1\n\nz", b"", b"Content-X: 1\r\n", b"z"),
        (BANNER + b"From a@b\r\n" + BOM + b"X: 1\r\n\r\nz", b"X: 1\r\n", b"", b"z"),
        (b"From : a@b\r\ntext", b"From : a@b\r\n", b"", b"text"),
        (b">From : a@b\r\ntext", b">From : a@b\r\n", b"", b"text"),
        (b"X: 1\nFrom a@b\n\nz", b"X: 1\r\n", b"", b"From a@b\n\nz"),
        (b"From: a\nFrom a@b\n", b"From: a\r\n", b"", b"From a@b\n"),
        (
            b"Content-Type: text/html\nX: 1\ncontent-id:<1>\n\t2\nMime-Version : 1.0\n (x)\n\nz",
            b"X: 1\r\n",
            b"Content-Type: text/html\r\ncontent-id:<1>\r\n\t2\r\n",
            b"z",
        ),
        (
            b"MIME-Version: 1.0\r\nMIME-VERSION: 1.0\r\nContent-X: 1",
            b"",
            b"Content-X: 1\r\n",
            b"",
        ),
        (b"Contents: 1\r\nX-Content-Y: 2\r\n\r\n", b"Contents: 1\r\nX-Content-Y: 2\r\n", b"", b""),
        (b"X: 1\r\n Content-Type: no\r\n\r\n", b"X: 1\r\n Content-Type: no\r\n", b"", b""),
    ],
)
def test_odd_messages(message, outside, inside, body) -> None:
    framing = framed(message)
    assert (kept(framing), own(framing), split(message)[1]) == (outside, inside, body)


LINES_OF_TEXT = [
    b"From now on we meet at nine\r\nDear Bob\r\n\r\nX: 1\r\n",
    b">From now on we meet at nine\nDear Bob\n",
    b"From now on\n\nX: 1\n\nz",
    b"From now on\r\n more: 1\r\nX: 1\r\n\r\nz",
    b"From now on\r\n>From then on\r\nDear Bob\r\n",
    b">From now on\rX: 1\r\n\r\nz",
    b"From now on\r\r\nX: 1\r\n\r\nz",
    b"From now on",
    b"From now on\r\n",
    b">From ",
    BOM + b"From now on\nDear Bob",
    BANNER + b"Dear Bob",
    BANNER + b" X: 1\r\n\r\n",
    BANNER,
]


@pytest.mark.parametrize("message", LINES_OF_TEXT)
def test_a_line_of_text_above_no_field_is_body(message) -> None:
    assert split(message) == (b"", message)
    for cut in range(len(message)):
        assert in_pieces(message, [cut])[0] == 0


@pytest.mark.parametrize("top", [b"From a@b Tue\r\n", b">From a@b\n" * 9, BOM + b"From " + BANNER])
def test_what_stands_above_the_fields_has_a_limit(top) -> None:
    fields = b"X" * 900 + b": 1\r\n\r\n"
    for least in (0, 1, 2):
        above = top + b"From " + b"x" * (ABOVE_LIMIT - len(top) - 7 + least) + b"\r\n"
        assert len(above) == ABOVE_LIMIT + least
        end = 0 if least else len(above + fields)
        assert split(above + fields)[0] == (above + fields)[:end]
        assert in_pieces(above + fields, list(range(len(above + fields))))[0] == end


def test_an_endless_line_of_text_is_not_held_back() -> None:
    for first in (b"From ", b">From ", b"From a\n" * 9 + b"From "):
        assert in_pieces(first + b"x" * 99_999, list(range(9999))) == (0, ABOVE_LIMIT + 1)
        assert split(first + b"x" * (HEADER_LIMIT + 9))[0] == b""


@pytest.mark.parametrize(
    ("fields", "canonical"),
    [
        (b"", True),
        (b"Content-Transfer-Encoding: binary\r\n", False),
        (b"CONTENT-TRANSFER-ENCODING :\r\n\tBinary ; x=y\r\n", False),
        (b"Content-Transfer-Encoding: (really) binary (yes)\n", False),
        (b'Content-Transfer-Encoding: "binary"\r\n', False),
        (b"Content-Transfer-Encoding: 8bit (not binary)\r\n", True),
        (b"Content-Transfer-Encoding: binary-ish\r\n", True),
        (b"Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: binary\n", True),
        (b"X: 1\r\n Content-Transfer-Encoding: binary\r\n", True),
        (b"X-Content-Transfer-Encoding: binary\r\n", True),
        (b"Content-Description: binary\r\n", True),
    ],
)
def test_line_ends_change_unless_the_encoding_is_binary(fields, canonical) -> None:
    assert frame(fields + b"\r\n").canonical is canonical


def test_the_entity_header_is_one_of_an_enveloped_entity() -> None:
    entity = email.message_from_bytes(ENTITY_HEADER)
    assert entity.keys() == [
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-Disposition",
    ]
    assert frame(b"").outside == ENTITY_HEADER


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind) -> None:
    assert header_end(kind(b"X: 1\r\n\r\nz"), 0, final=True)[0] == 8


def test_the_body_is_not_searched() -> None:
    """The end is known as soon as its line is there."""
    assert in_pieces(b"X: 1\r\n\r\n" + b"z" * 100, list(range(100)))[1] == 8
    assert in_pieces(b"X: 1\r\n\x80z" + b"z" * 100, list(range(100)))[1] == 7


def test_the_header_limit() -> None:
    fits = b"X: " + b"a" * (HEADER_LIMIT - 7) + b"\r\n\r\n"
    assert header_end(fits + b"body", 0, final=True)[0] == HEADER_LIMIT
    for message in (b"X" + fits, b"X: " + b"a" * (HEADER_LIMIT + 1), b"X: 1\n" * HEADER_LIMIT):
        for final in (True, False):
            with pytest.raises(MessageError) as caught:
                header_end(message, 0, final=final)
            assert caught.value.code == "header-too-large"
    assert header_end(b"no field" * HEADER_LIMIT, 0, final=True)[0] == 0


HOSTILE = [
    b"a:\n",
    b"a:\n\n",
    b"\n ",
    b" ",
    b":",
    b"a",
    b"Content-A:\n",
    b"\r",
    b"\xff",
    b"(",
    b"()",
]


@pytest.mark.parametrize(
    "first", [b"X:", b"Content-Transfer-Encoding:", b"Content-Type: binary\nA:"]
)
@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_header_blocks_take_linear_time(first, unit) -> None:
    head = first + unit * ((HEADER_LIMIT - 99) // len(unit))
    begin = time.process_time()
    framed(head)
    assert time.process_time() - begin < 5  # quadratic would take hours


def test_a_header_that_comes_octet_by_octet_takes_linear_time() -> None:
    message = b"X: " + b"y" * 100_000 + b"\n" + b"z" * 900 + b":\n" + b"a" * 50_000
    begin = time.process_time()
    assert in_pieces(message, list(range(len(message))))[0] == 100_906
    assert time.process_time() - begin < 5
