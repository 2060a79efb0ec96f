"""The file shapes: writer, reader, iterator."""

from __future__ import annotations

import io
import shutil

import pytest

import cmstream
from cmstream.encryption import SUSPECT_LIMIT
from helpers.opening import dearmour, open_cms, open_message

DATA = bytes(range(256)) * 3000
MESSAGE = b"Subject: x\r\n\r\n" + b"some text\n" * 50_000


class Unseekable(io.RawIOBase):
    """What a pipe looks like."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._file.readinto(buffer)


class Reluctant:
    """A raw sink that takes a little at a time."""

    def __init__(self):
        self.taken = bytearray()

    def write(self, data):
        part = bytes(data[:1000])
        self.taken += part
        return len(part)


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_writer(alice, size):
    sink = io.BytesIO()
    with cmstream.EncryptWriter(sink, alice.recipient, size=size) as out:
        shutil.copyfileobj(io.BytesIO(DATA), out, 10_000)
    assert not sink.closed
    assert open_cms(sink.getvalue(), alice.key).content == DATA


def test_writer_to_a_sink_that_takes_a_little_at_a_time(alice):
    sink = Reluctant()
    with cmstream.EncryptWriter(sink, [alice.recipient], form="pem") as out:
        assert out.write(DATA) == len(DATA)
    assert open_cms(dearmour(bytes(sink.taken)), alice.key).content == DATA


def test_an_exception_in_the_block_leaves_no_end(alice):
    sink = io.BytesIO()
    with (
        pytest.raises(RuntimeError, match="upload"),
        cmstream.EncryptWriter(sink, alice.recipient) as out,
    ):
        out.write(DATA)
        raise RuntimeError("upload broke")
    with pytest.raises(cmstream.AlreadyFinalized):
        out.write(b"more")
    out.close()
    with pytest.raises(Exception):  # noqa: B017 - whatever the parser says of it
        open_cms(sink.getvalue(), alice.key)


def test_a_writer_that_is_dropped_writes_no_end(alice):
    sink = io.BytesIO()
    out = cmstream.EncryptWriter(sink, alice.recipient, size=len(DATA))
    out.write(DATA)
    before = sink.getvalue()
    del out
    assert sink.getvalue() == before


def test_a_failing_sink_fails_the_stream(alice):
    class Full:
        def write(self, _):
            raise OSError("disk full")

    out = cmstream.EncryptWriter(Full(), alice.recipient)
    with pytest.raises(OSError, match="full"):
        out.write(DATA)


def test_a_sink_that_fails_once_gets_no_end(alice, me):
    class Once(io.BytesIO):
        failed = False

        def write(self, data):
            if self.tell() and not self.failed:
                self.failed = True
                raise OSError("disk full")
            return super().write(data)

    sealed = cmstream.encrypt(3 * DATA, alice.recipient)
    for make, data in (
        (lambda sink: cmstream.EncryptWriter(sink, alice.recipient), 3 * DATA),
        (lambda sink: cmstream.DecryptWriter(sink, me), sealed),
    ):
        out = make(Once())
        with pytest.raises(OSError, match="full"):
            for at in range(0, len(data), 10_000):
                out.write(data[at : at + 10_000])
        with pytest.raises(cmstream.AlreadyFinalized):
            out.write(data)
        with pytest.raises(cmstream.AlreadyFinalized):
            out.close()


def test_a_sink_that_takes_nothing_now_is_an_error(alice):
    class Busy(io.RawIOBase):
        def writable(self):
            return True

        def write(self, _):
            return None

    with (
        pytest.raises(BlockingIOError, match="takes nothing now"),
        cmstream.EncryptWriter(Busy(), alice.recipient) as out,
    ):
        out.write(DATA)


@pytest.mark.parametrize("read", [1000, 1 << 20, -1])
def test_reader(alice, read):
    reader = cmstream.EncryptReader(io.BytesIO(DATA), alice.recipient)
    sealed = b"".join(iter(lambda: reader.read(read), b""))
    assert sealed[1] != 0x80
    assert open_cms(sealed, alice.key).content == DATA
    reader.close()


def test_reader_of_a_pipe_and_of_chunks(alice):
    for source in (Unseekable(DATA), [DATA[:7], DATA[7:]]):
        sealed = cmstream.EncryptReader(source, alice.recipient).read()
        assert sealed[1] == 0x80
        assert open_cms(sealed, alice.key).content == DATA


def test_a_reader_starts_where_its_source_stands(alice):
    source = io.BytesIO(DATA)
    source.seek(1000)
    sealed = b"".join(cmstream.encrypt_iter(source, alice.recipient))
    assert open_cms(sealed, alice.key).content == DATA[1000:]


@pytest.mark.parametrize("make", [io.BytesIO, Unseekable, lambda data: [data]])
def test_a_message_through_the_iterator(alice, make):
    sealed = b"".join(cmstream.encrypt_iter(make(MESSAGE), alice.recipient, form="message"))
    assert open_message(sealed, alice.key)[1] == b"\r\n" + b"some text\r\n" * 50_000
    assert (dearmour(sealed)[1] == 0x80) is not (make is io.BytesIO)


def test_messages_of_every_length_are_measured_rightly(alice):
    for head in (b"", b"A: 1\n\n", b"A: 1", b"A: 1\r\n\r", b"text\n", b"A: 1\ntext\n"):
        for body in (b"", b"\n", b"\r\n", b"x\ny"):
            message = head + body or b"x"
            pulled = b"".join(
                cmstream.encrypt_iter(io.BytesIO(message), alice.recipient, form="message")
            )
            whole = cmstream.encrypt_message(message, alice.recipient)
            assert open_message(pulled, alice.key) == open_message(whole, alice.key)


@pytest.fixture(scope="module")
def long_sealed(alice):
    """A sealed message that is longer than a stream holds back."""
    message = b"Subject: long\r\n\r\n" + b"some text\r\n" * 200_000
    sealed = cmstream.encrypt_message(message, alice.recipient)
    assert len(sealed) > 2 * SUSPECT_LIMIT
    return sealed


def encrypted_message(source, to, **policy):
    policy = cmstream.Policy(**policy)
    return b"".join(cmstream.encrypt_iter(source, to, form="message", policy=policy))


def test_a_long_message_in_a_file_passes_if_it_is_encrypted_already(alice, long_sealed):
    source = io.BytesIO(b"before" + long_sealed)
    source.seek(6)
    assert encrypted_message(source, alice.recipient) == long_sealed
    with cmstream.EncryptReader(io.BytesIO(long_sealed), alice.recipient, form="message") as reader:
        assert reader.read() == long_sealed
    again = encrypted_message(io.BytesIO(long_sealed), alice.recipient, already_encrypted="encrypt")
    assert open_message(again, alice.key)[1].endswith(long_sealed.partition(b"\r\n\r\n")[2])
    with pytest.raises(cmstream.MessageError) as caught:
        encrypted_message(io.BytesIO(long_sealed), alice.recipient, already_encrypted="refuse")
    assert caught.value.code == "already-encrypted"
    with pytest.raises(cmstream.RecipientError):
        encrypted_message(io.BytesIO(long_sealed), [])


@pytest.mark.parametrize("policy", ["pass", "refuse"])
def test_a_long_message_in_a_file_that_only_says_so_is_encrypted(alice, long_sealed, policy):
    suspect = long_sealed + b"a readable end\r\n"
    again = encrypted_message(io.BytesIO(suspect), alice.recipient, already_encrypted=policy)
    assert b"a readable end" not in again
    assert open_message(again, alice.key)[1].endswith(b"a readable end\r\n")


def test_a_file_that_is_no_longer_what_was_proved_does_not_pass(alice, long_sealed):
    source = io.BytesIO(long_sealed)
    pieces = cmstream.encrypt_iter(source, alice.recipient, form="message")
    source.getbuffer()[len(long_sealed) // 2 :][:22] = b"words that can be read"
    with pytest.raises(cmstream.SizeMismatchError):
        list(pieces)


@pytest.mark.parametrize("fields", [0, 300_000])
def test_a_file_is_read_from_where_it_was_alone(alice, long_sealed, fields):
    class Rewound(io.BytesIO):
        def seek(self, offset, whence=io.SEEK_SET):
            assert (offset, whence) == (0, io.SEEK_SET)
            return super().seek(offset)

    head = b"X-Long: y\r\n" * (fields // 11)
    assert encrypted_message(Rewound(head + long_sealed), alice.recipient) == head + long_sealed
    again = encrypted_message(Rewound(head + long_sealed + b"end"), alice.recipient)
    assert open_message(again, alice.key)[1].endswith(b"end")


@pytest.mark.parametrize("length", [3, 300_000])
def test_a_file_that_gives_no_bytes_is_a_wrong_call(alice, length):
    class Blocked(io.BytesIO):
        def read(self, size=-1):
            return super().read(size) if not self.tell() else None

    for source, kind, words in (
        (io.StringIO("x" * length), TypeError, "source: give bytes, not text"),
        (Blocked(b"x" * length), BlockingIOError, "nothing now: make it one that waits"),
    ):
        with pytest.raises(kind, match=words):
            cmstream.encrypt_iter(source, alice.recipient, form="message")


@pytest.mark.parametrize("change", [lambda old: old + b"more", lambda old: old[:-1]])
@pytest.mark.parametrize("form", ["der", "message"])
def test_a_file_of_another_length_meanwhile_is_an_error(alice, long_sealed, form, change):
    source = io.BytesIO(long_sealed)
    pieces = cmstream.encrypt_iter(source, alice.recipient, form=form)
    source.seek(0)
    source.truncate()
    source.write(change(long_sealed))
    source.seek(0)
    with pytest.raises(cmstream.SizeMismatchError):
        list(pieces)


def test_closing_a_reader_before_its_end_wipes_its_keys(alice):
    with cmstream.EncryptReader(io.BytesIO(DATA), alice.recipient) as reader:
        reader.read(10)
    with pytest.raises(ValueError, match="closed"):
        reader.read(10)


def test_a_reader_that_failed_has_no_end(alice, me):
    """Whoever reads on mustn't take it for the message's."""
    for policy in (cmstream.DEFAULT, cmstream.Policy(cipher="aes128-gcm")):
        sealed = bytearray(cmstream.encrypt(DATA, alice.recipient, policy=policy))
        with cmstream.DecryptReader([bytes(sealed[:-1])], me, unverified=True) as reader:
            with pytest.raises(cmstream.EnvelopeError, match="too early"):
                shutil.copyfileobj(reader, io.BytesIO())
            for _ in range(2):
                with pytest.raises(cmstream.AlreadyFinalized):
                    reader.read(10)


@pytest.mark.parametrize("reader", [cmstream.EncryptReader, cmstream.DecryptReader])
def test_a_reader_whose_arguments_were_refused_closes(reader):
    """Python closes it when it is collected, and from 3.13 on prints what goes wrong there."""
    refused = reader.__new__(reader)
    with pytest.raises((ValueError, cmstream.CmstreamError)):
        refused.__init__(io.BytesIO(), [])
    refused.close()
    assert refused.closed
