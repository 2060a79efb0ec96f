"""What a stream says of a wrong argument: what it must be. The stream is as before."""

from __future__ import annotations

import array
import io

import pytest

import cmstream
from cmstream.streams import CHUNK
from helpers.people import identity

MESSAGE = b"Subject: x\r\n\r\n" + b"some text\r\n" * 20
GCM = cmstream.DEFAULT.clone(cipher="aes128-gcm")
STREAMS = {
    "content": {"form": "der"},
    "message": {"form": "message"},
    "authenticated": {"form": "message", "policy": GCM},
}


@pytest.fixture(params=[*STREAMS, "opening"])
def stream(request, alice):
    if request.param == "opening":
        return cmstream.decryptor(identity(alice), message=True)
    return cmstream.encryptor(alice.recipient, **STREAMS[request.param])


@pytest.fixture
def whole(stream, alice):
    """What goes into the stream, and whether what came out is right."""
    if isinstance(stream, cmstream.Encryptor):
        me = identity(alice)
        return MESSAGE, lambda out: cmstream.decrypt(out, me).endswith(b"some text\r\n" * 20)
    sealed = cmstream.encrypt_message(MESSAGE, alice.recipient)
    return sealed, lambda out: out.endswith(b"some text\r\n" * 20)


@pytest.mark.parametrize("wrong", [-1, -(1 << 70), 1 << 63, 1 << 70])
def test_bound_of_an_impossible_number(stream, wrong):
    with pytest.raises(ValueError, match=f"n={wrong}: a number of bytes is from 0 to"):
        stream.bound(wrong)
    stream.abort()
    with pytest.raises(ValueError, match="a number of bytes"):
        stream.bound(wrong)


@pytest.mark.parametrize("wrong", [1.0, "1", None, b"x"])
def test_bound_of_what_is_no_number(stream, wrong):
    with pytest.raises(TypeError, match=f"give a number of bytes, not {type(wrong).__name__}"):
        stream.bound(wrong)


WRONG_BUFFERS = [
    (bytes, ValueError, "the buffer is read-only: give"),
    (lambda n: memoryview(bytearray(n)).toreadonly(), ValueError, "the buffer is read-only: give"),
    (lambda n: memoryview(bytearray(2 * n))[::2], TypeError, "memoryview isn't contiguous"),
    (lambda _: None, TypeError, "buffer: NoneType isn't"),
    (lambda n: "x" * n, TypeError, "buffer: str isn't"),
]


@pytest.mark.parametrize(("make", "kind", "words"), WRONG_BUFFERS)
def test_a_wrong_buffer_is_an_error_without_harm(stream, whole, make, kind, words):
    data, is_right = whole
    room = stream.bound(len(data))
    with pytest.raises(kind, match=words):
        stream.update_into(data, make(room))
    out = bytearray(room)
    written = out[: stream.update_into(data, out)]
    with pytest.raises(kind, match=words):
        stream.finalize_into(make(room))
    assert is_right(bytes(written + out[: stream.finalize_into(out)]))


def test_wrong_data_is_an_error_without_harm(stream, whole):
    data, is_right = whole
    room = bytearray(stream.bound(len(data)))
    for wrong, words in (("text", "not text"), (None, "NoneType"), (memoryview(data)[::2], "cont")):
        for call in (stream.update, lambda wrong: stream.update_into(wrong, room)):
            with pytest.raises(TypeError, match=f"data: .*{words}"):
                call(wrong)
    assert is_right(stream.update(data) + stream.finalize())


def test_a_buffer_counts_in_bytes(stream, whole):
    data, is_right = whole
    room = array.array("I", bytes(-(-stream.bound(len(data)) // 4) * 4))
    written = bytes(memoryview(room).cast("B")[: stream.update_into(data, room)])
    end = memoryview(room).cast("B")[: stream.finalize_into(room)]
    assert is_right(written + bytes(end))


def test_a_buffer_is_let_go_of(stream, whole):
    data, _ = whole
    room = bytearray(stream.bound(len(data)))
    stream.update_into(data, room)
    room += b"x"  # BufferError while anybody holds it
    stream.finalize_into(room)
    room += b"x"
    with pytest.raises(cmstream.AlreadyFinalized):
        stream.update_into(data, room)
    room += b"x"


@pytest.mark.parametrize("line_feeds", [None, 1])
def test_a_short_message_that_breaks_its_promise(alice, line_feeds):
    data = MESSAGE.replace(b"\r\n", b"\n") + b"more\n"
    context = cmstream.encryptor(
        alice.recipient, form="message", size=len(data), line_feeds=line_feeds
    )
    context.update(data)
    with pytest.raises(cmstream.SizeMismatchError):
        context.finalize()
    with pytest.raises(cmstream.AlreadyFinalized):
        context.finalize()


@pytest.mark.parametrize("size", [len(MESSAGE), CHUNK - 1, CHUNK, CHUNK + 1])
@pytest.mark.parametrize("line", [b"line\n", b"line\r\n"])
def test_a_short_file_and_a_long_one_give_the_same(alice, size, line):
    message = (MESSAGE + line * (size // len(line)))[: size - 1] + b"."
    source = io.BytesIO(b"before" + message)
    source.seek(6)
    with cmstream.EncryptReader(source, alice.recipient, form="message") as reader:
        sealed = reader.read()
    whole = cmstream.encrypt_message(message, alice.recipient)
    assert len(sealed) == len(whole)
    assert source.tell() == 6 + len(message)
    me = identity(alice)
    assert cmstream.decrypt_message(sealed, me) == cmstream.decrypt_message(whole, me)


def test_a_source_that_has_nothing_yet_is_not_at_its_end(alice):
    class Slow:
        def read(self, _):
            return None

    with pytest.raises(TypeError, match="data: NoneType"):
        list(cmstream.encrypt_iter(Slow(), alice.recipient))
