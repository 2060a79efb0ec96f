"""What a stream says of a wrong argument: what it must be. The stream is as before."""

from __future__ import annotations

import array
import errno
import io
import zipfile

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

    me = identity(alice)
    for read in (
        lambda: list(cmstream.encrypt_iter(Slow(), alice.recipient)),
        lambda: cmstream.EncryptReader(Slow(), alice.recipient).read(),
        lambda: list(cmstream.decrypt_iter(Slow(), me)),
        lambda: cmstream.inspect(Slow()),
    ):
        with pytest.raises(BlockingIOError, match="nothing now: make it one that waits"):
            read()


@pytest.mark.parametrize(
    "wrong", ["text", b"bytes", bytearray(3), memoryview(b"bytes"), None, 7, io, [1], ["text"]]
)
def test_what_is_no_source_says_what_one_is(alice, wrong):
    whole = isinstance(wrong, bytes | bytearray | memoryview)
    with pytest.raises(TypeError, match=r"^source: "):
        b"".join(cmstream.encrypt_iter(wrong, alice.recipient))
    with pytest.raises(TypeError, match=r"^(source|sealed): "):
        b"".join(cmstream.decrypt_iter(wrong, identity(alice)))
    with pytest.raises(cmstream.EnvelopeError if whole else TypeError, match=r"sealed|source"):
        cmstream.inspect(wrong)
    if not isinstance(wrong, list):
        with pytest.raises(TypeError, match=r"^source: "):
            cmstream.EncryptReader(wrong, alice.recipient)


def test_what_is_no_sink_says_so_at_once(alice):
    for wrong in (None, "out.p7m", bytearray()):
        with pytest.raises(TypeError, match=r"sink: .* has no write.*: give a file"):
            cmstream.EncryptWriter(wrong, alice.recipient)
        with pytest.raises(TypeError, match="sink: "):
            cmstream.DecryptWriter(wrong, identity(alice))


WRONG_NUMBERS = [(-1, ValueError), (1 << 63, ValueError), ("5", TypeError), (5.0, TypeError)]


@pytest.mark.parametrize("form", ["der", "message"])
@pytest.mark.parametrize(("wrong", "kind"), WRONG_NUMBERS)
def test_a_wrong_number_of_bytes_is_refused_at_once(alice, form, wrong, kind):
    words = f"{'=' if kind is ValueError else ': give '}.*a number of bytes"
    for name in ("size", "line_feeds"):
        with pytest.raises(kind, match=f"{name}{words}".replace("a number of bytes", "number")):
            cmstream.encryptor(alice.recipient, form=form, **{name: wrong})
    with pytest.raises(kind, match="spool_limit"):
        cmstream.decryptor(identity(alice), spool_limit=wrong)


def test_a_wrong_number_of_jobs_or_threads_is_refused(alice):
    for wrong, kind in ((0, ValueError), ("5", TypeError), (1.5, TypeError)):
        with pytest.raises(kind, match="in_flight"):
            cmstream.encrypt_many_iter([], in_flight=wrong)
        with pytest.raises(kind, match="workers"):
            cmstream.decrypt_many([], workers=wrong)


@pytest.mark.parametrize(("make", "kind", "words"), WRONG_BUFFERS)
def test_a_wrong_buffer_for_many(alice, make, kind, words):
    with pytest.raises(kind, match=words):
        cmstream.encrypt_many_into([(MESSAGE, alice.recipient)], make(9999))


def test_is_encrypted_takes_bytes_alone():
    for wrong, words in (("text", "not text"), (None, "NoneType"), (io.BytesIO(), "BytesIO")):
        with pytest.raises(TypeError, match=f"message: .*{words}"):
            cmstream.is_encrypted(wrong)


def test_a_zip_file_may_be_written_into_a_writer(alice):
    sink = io.BytesIO()
    with cmstream.EncryptWriter(sink, alice.recipient) as out, zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", b"text" * 1000)
    opened = cmstream.decrypt(sink.getvalue(), identity(alice))
    assert zipfile.ZipFile(io.BytesIO(opened)).read("a.txt") == b"text" * 1000


def test_a_key_is_no_list_of_identities(alice):
    for wrong in (b"key", bytearray(b"key"), "key"):
        with pytest.raises(TypeError, match=f"identities: {type(wrong).__name__} is no Identity"):
            cmstream.decrypt(b"", wrong)


@pytest.mark.parametrize("wrong", [None, {"cipher": "aes256-gcm"}, ["aes256-gcm"], "aes256-gcm"])
def test_what_is_no_policy_says_so(alice, wrong):
    for call in (
        lambda: cmstream.encrypt(b"x", alice.recipient, policy=wrong),
        lambda: cmstream.encrypt_many([(b"x", alice.recipient, wrong)]),
        lambda: cmstream.Recipients([alice.recipient]).check(wrong),
    ):
        with pytest.raises(TypeError, match=r"policy: .* is no Policy: give one"):
            call()


@pytest.mark.parametrize("name", ["refuse", "warn", "forbid"])
def test_what_is_no_set_of_names(name):
    for wrong in (None, 5, b"expired"):
        with pytest.raises(TypeError, match=f"{name}: give a set of names, not "):
            cmstream.Policy(**{name: wrong})
    for wrong in ([[]], [1, "no-such", None], "expired"):
        with pytest.raises(ValueError, match=f"{name}: "):
            cmstream.Policy(**{name: wrong})


@pytest.mark.parametrize("taken", [0, -1])
def test_a_sink_that_cannot_count_is_an_error(alice, taken):
    class Sink:
        write = staticmethod(lambda _: taken)

    with pytest.raises(OSError, match=f"the sink says that it took {taken} of "):  # noqa: SIM117
        with cmstream.EncryptWriter(Sink(), alice.recipient) as out:
            out.write(MESSAGE)


def test_a_file_beyond_its_end_is_empty(alice):
    source = io.BytesIO(b"text")
    source.seek(100)
    with cmstream.EncryptReader(source, alice.recipient) as reader:
        assert cmstream.decrypt(reader.read(), identity(alice)) == b""


def test_a_file_that_cannot_tell_its_end_is_read_to_it(alice):
    class Endless(io.BytesIO):
        def seek(self, offset, whence=io.SEEK_SET):
            if whence == io.SEEK_END:
                raise OSError(errno.EINVAL, "no end")
            return super().seek(offset, whence)

    source = Endless(b"behind" + MESSAGE)
    source.seek(6)
    sealed = b"".join(cmstream.encrypt_iter(source, alice.recipient))
    assert cmstream.decrypt(sealed, identity(alice)) == MESSAGE
    assert cmstream.inspect(sealed).encoding == "BER"
