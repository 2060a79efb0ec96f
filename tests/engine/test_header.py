"""The header block as C cuts it, against the rules in Python."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cmstream
from cmstream import MessageError
from cmstream._native import ffi, lib
from cmstream.cms.already_encrypted import is_encrypted_body, may_be_encrypted
from cmstream.engine import gate
from cmstream.mail import mime
from mail.test_mime import BANNER, in_pieces

FRAGMENTS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"A: b\r\n", b"Subject: x\n", b"content-",
    b"Content-", b"Content-Type", b"CONTENT-TYPE: text/plain\r\n",
    b"MIME-Version: 1.0\r\n", b"mime-VERSION \t:",
    b"Mime-Versions: 2\n", b"From ", b">From ", b">>From ", b"From: me\r\n", b"\r\n\r\n", b"\n\n",
    b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding:\r\n binary\r\n",
    b"content-transfer-encoding: (x) Binary\n", b"\0", b"\xff", b"x" * 997, b"y" * 999,
    b" " * 998, b"(", b")", b";", b'"', b"/", b"pkcs7-mime", b"application/x-pkcs7-mime", b"1",
    b"Content-Type: multipart/encrypted; x=\r\n\ty\r\n", b"octet-stream", b"Content-ID: 1\r\n 2\n",
    b"-----BEGIN PGP MESSAGE-----\r\n", b"LS0tLS1CRUdJTiBQR1Ag", b"X-Content-Type: y\r\n",
    mime.BOM, b"Microsoft Mail Internet Headers Version 2.0\r\n", b"Subject: x\r", b"\r\r",
]  # fmt: skip
BLOCKS = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=24).map(b"".join)


def cut(message):
    """What C makes of it: the header, and the texts it writes into exactly their room."""
    header = lib_header(message)
    if header is None:
        return None
    texts = []
    for write, size in ((lib.header_outside, header.outside_len),
                        (lib.header_inside, header.inside_len)):  # fmt: skip
        room = ffi.new("uint8_t[]", size + 1)
        room[size] = 0xA5
        write(ffi.from_buffer("uint8_t[]", message), header, room)
        assert room[size] == 0xA5
        texts.append(bytes(ffi.buffer(room, size)))
    return header, *texts


def lib_header(message):
    header = ffi.new("struct header *")
    good = lib.header_cut(ffi.from_buffer("uint8_t[]", message), len(message), header)
    return header if good else None


def check(message):
    header = lib_header(message)
    try:
        end, _ = mime.header_end(message, 0, final=True)
    except MessageError:
        assert header is None
        return
    head, body = message[:end], message[end:]
    framing = mime.frame(head)
    assert header.end == end
    armoured = lib.header_armoured(ffi.from_buffer("uint8_t[]", body), len(body))
    if is_encrypted_body(head, [body]):
        assert may_be_encrypted(head, body)
        assert header.suspect or armoured
    if header.special:
        return
    assert framing.canonical
    _, outside, inside = cut(message)
    assert outside + mime.ENTITY_HEADER == framing.outside
    assert inside == framing.inside


@given(BLOCKS)
@settings(max_examples=3000, deadline=None)
def test_c_and_python_cut_alike(message):
    check(message)


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\n", b"\r\n", b"\r", b"A", b"A:", b"A: b", b"A: b\r", b"Content-Type: x", b"From x",
        b"From x\n y\nContent-A: 1", b">From x\r\nA: 1\r\n\r\nbody", b" folded\r\nA: 1\r\n",
        b"Content-A: 1\n\n", b"Content-A: 1\r\n 2\r\n\r\n", b"A: 1\nno field\nB: 2\n\n",
        b"x" * 998 + b":", b"x" * 999 + b":", b"x" + b" " * 998 + b":", b"x" + b" " * 999 + b":",
    ],
)  # fmt: skip
def test_edges(message):
    check(message)


LINES = [
    b"From a b", b">From c", b"From : d", b">From \t:", BANNER[:-2], b"X: 1", b" more", b"text",
    b"", mime.BOM + b"X: 1", mime.BOM + b"From a", b"Content-A: 1",
]  # fmt: skip
ENDS = [b"\n", b"\r\n", b"\r"]


def test_what_stands_above_the_fields_is_the_same_in_every_split():
    """All blocks of two lines, with each line end, and a third line behind them."""
    ended = [line + end for line in LINES for end in ENDS]
    for two in itertools.product(ended, ended):
        for last in LINES:
            message = b"".join(two) + last
            check(message)
            end, _ = mime.header_end(message, 0, final=True)
            assert in_pieces(message, list(range(len(message))))[0] == end
        assert all(in_pieces(message, [cut])[0] == end for cut in range(len(message)))


@pytest.mark.parametrize("over", [-1, 0, 1])
@pytest.mark.parametrize("behind", [b"X: 1\r\n\r\nz", b"text", b"", b"\r\n"])
def test_the_limit_above_the_fields(over, behind):
    for first in (b"", b">From x\n", mime.BOM, BANNER):
        fill = b"From " + b"x" * (mime.ABOVE_LIMIT + over - len(first) - 6) + b"\n"
        check(first + fill + behind)
    assert lib.ABOVE_LIMIT == mime.ABOVE_LIMIT


@pytest.mark.parametrize("before", range(28))
def test_a_field_across_the_limit_is_a_field(before):
    """A From with a colon is one, and no line above: also where the colon is behind the limit."""
    above = b"From " + b"x" * (mime.ABOVE_LIMIT - before - 6) + b"\n"
    message = above + b"From" + b" " * 20 + b": y\r\n\r\nz"
    check(message)
    assert lib_header(message).end == len(message) - 1
    assert all(in_pieces(message, [cut])[0] == len(message) - 1 for cut in range(len(message)))


def test_a_long_header_block_is_refused():
    line = b"A: " + b"b" * 60 + b"\r\n"
    fits = (line * (mime.HEADER_LIMIT // len(line)))[: mime.HEADER_LIMIT - 4]
    for message in (fits + b"\r\n\r\n", fits + b"xyz\r\n\r\n", fits * 2, fits + b"\r\n\r\nbody"):
        check(message)
    assert lib.HEADER_LIMIT == mime.HEADER_LIMIT


def test_what_only_python_decides_is_said():
    for field in (
        b"Content-Transfer-Encoding: binary\r\n",
        b"content-transfer-ENCODING: (a) x\r\n",
    ):
        assert lib_header(b"A: b\r\n" + field + b"\r\n").special
    many = b"".join(b"Content-%d: x\r\n" % i for i in range(lib.HEADER_MOST))
    assert not lib_header(many + b"\r\n").special
    assert lib_header(many + b"Content-Z: y\r\n\r\n").special


def test_a_batch_seals_as_a_stream_does(alice):
    source = random.Random(5)
    for _ in range(300):
        head = b"".join(source.choices(FRAGMENTS, k=source.randrange(12)))
        message = head + b"\r\n\r\n" + b"line\n" * source.randrange(3)
        answers = [b""]
        for split in (len(message), source.randrange(len(message) + 1)):
            stream = cmstream.encryptor(alice.recipient, form="message", size=None)
            answers.append(stream.update(message[:split]) + stream.update(message[split:]))
            answers[-1] += stream.finalize()
        whole = cmstream.encrypt_message(message, alice.recipient)
        if cmstream.is_encrypted(message):
            assert whole == message
            continue
        (before, _, _), (other, _, _) = (
            a.partition(mime.ENTITY_HEADER) for a in (whole, answers[1])
        )
        assert before == other


def test_the_kernel_choice_is_no_matter(level):
    assert gate.kernels()["aes"]
    check(b"Subject: x\nContent-Type: y\r\n\n")
