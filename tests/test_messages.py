"""Messages: framing, canonical line ends, what passes, in one shot and as streams."""

from __future__ import annotations

import io
import random

import pytest

import cmstream
from cmstream.encryption import SUSPECT_LIMIT
from cmstream.mail import mime
from helpers.opening import open_message

HEAD = b"Received: a\r\n\tb\r\nFrom: b@example.net\r\nTo: a@example.org\r\nSubject: x\r\n"
INNER = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
BODY = "Grüße,\r\nBob\r\n".encode() * 1000
MESSAGE = HEAD + b"MIME-Version: 1.0\r\n" + INNER + BODY
OUTSIDE = HEAD + mime.ENTITY_HEADER[:-2]


def streamed(alice, message, *, cut=1000, **options):
    context = cmstream.encryptor(alice.recipient, form="message", **options)
    pieces = [context.update(message[i : i + cut]) for i in range(0, len(message), cut)]
    return b"".join([*pieces, context.finalize()])


def test_a_message_keeps_its_fields_outside_and_its_entity_inside(alice):
    assert open_message(cmstream.encrypt_message(MESSAGE, alice.recipient), alice.key) == (
        OUTSIDE,
        INNER + BODY,
    )


@pytest.mark.parametrize("cut", [1, 10, 1000, 100_000])
@pytest.mark.parametrize("sized", [True, False])
def test_a_stream_gives_the_same(alice, cut, sized):
    message = MESSAGE[:300] if cut == 1 else MESSAGE
    size = len(message) if sized else None
    sealed = streamed(alice, message, cut=cut, size=size)
    assert open_message(sealed, alice.key) == (OUTSIDE, message[message.index(b"Content-Type") :])


def test_bare_line_feeds_become_crlf(alice):
    mixed = MESSAGE.replace(b"\r\n", b"\n")
    for sealed in (
        cmstream.encrypt_message(mixed, alice.recipient),
        streamed(alice, mixed),
        streamed(alice, mixed, cut=7, size=len(mixed), line_feeds=2000),
    ):
        assert open_message(sealed, alice.key) == (OUTSIDE, INNER + BODY)


def test_a_sized_stream_with_bare_line_feeds_in_the_body_is_refused(alice):
    head_free = MESSAGE.replace(HEAD, HEAD.replace(b"\r\n", b"\n"))
    assert (
        open_message(streamed(alice, head_free, size=len(head_free)), alice.key)[1] == INNER + BODY
    )
    broken = MESSAGE + b"bare\n"
    with pytest.raises(cmstream.SizeMismatchError, match="leave size out"):
        streamed(alice, broken, size=len(broken))


def test_a_wrong_count_of_line_feeds_is_refused(alice):
    message = MESSAGE.replace(b"\r\n", b"\n")
    for line_feeds, what in ((1999, "more"), (2001, "less")):
        with pytest.raises(cmstream.SizeMismatchError, match=what):
            streamed(alice, message, size=len(message), line_feeds=line_feeds)


@pytest.mark.parametrize("size_error", [-1, 1])
def test_a_wrong_size_is_refused(alice, size_error):
    with pytest.raises(cmstream.SizeMismatchError):
        streamed(alice, MESSAGE, size=len(MESSAGE) + size_error)


def test_binary_bodies_stay_octet_for_octet(alice):
    body = random.Random(1).randbytes(50_000) + b"\n\r\r\n\n"
    message = HEAD + b"Content-Transfer-Encoding: binary\r\n\r\n" + body
    for sealed in (
        cmstream.encrypt_message(message, alice.recipient),
        streamed(alice, message),
        streamed(alice, message, size=len(message)),
    ):
        assert open_message(sealed, alice.key)[1].endswith(b"binary\r\n\r\n" + body)


@pytest.mark.parametrize(
    ("message", "outside", "inside"),
    [
        (b"\r\nonly body", b"", b"\r\nonly body"),
        (b"no header at all\nbut text", b"", b"\r\nno header at all\r\nbut text"),
        (b"Subject: x", b"Subject: x\r\n", b"\r\n"),
        (b"Subject: x\n", b"Subject: x\r\n", b"\r\n"),
        (b"Subject: x\n\n", b"Subject: x\r\n", b"\r\n"),
        (b"A: 1\nContent-Type: text/html", b"A: 1\r\n", b"Content-Type: text/html\r\n\r\n"),
        (b"From x Mon\nA: 1\n\nb", b"From x Mon\r\nA: 1\r\n", b"\r\nb"),
        (b"From x\n>From y\nA: 1\n\nb", b"From x\r\nA: 1\r\n", b"\r\nb"),
        (b"A: \xff\x00\n\n\x00\n", b"A: \xff\x00\r\n", b"\r\n\x00\r\n"),
        (b"A: 1\n \n b\n\nx", b"A: 1\r\n \r\n b\r\n", b"\r\nx"),
    ],
)
def test_odd_messages(alice, message, outside, inside):
    expected = outside + mime.ENTITY_HEADER[:-2], inside
    assert open_message(cmstream.encrypt_message(message, alice.recipient), alice.key) == expected
    assert open_message(streamed(alice, message, cut=1), alice.key) == expected


TEXT = b" now on we meet at nine\r\nDear Bob,\r\n\r\nNote: at nine\r\n"


@pytest.mark.parametrize("first", [b"From", b">From", mime.BOM + b"From", b">From x\r\nFrom"])
def test_text_that_begins_as_an_mbox_does_is_sealed(alice, first):
    """In every shape, and in every split."""
    message = first + TEXT
    cuts = range(1, len(message) + 1)
    for sealed in (
        cmstream.encrypt_message(message, alice.recipient),
        *map(bytes, cmstream.encrypt_many([(message, alice.recipient)] * 2)),
        *(streamed(alice, message, cut=cut) for cut in cuts),
        streamed(alice, message, cut=1, size=len(message), line_feeds=0),
        b"".join(cmstream.encrypt_iter(io.BytesIO(message), alice.recipient, form="message")),
    ):
        assert sealed.startswith(mime.ENTITY_HEADER)
        assert open_message(sealed, alice.key)[1] == b"\r\n" + message
        assert cmstream.is_encrypted(sealed)
        assert cmstream.inspect(sealed)
    assert not cmstream.is_encrypted(message)


@pytest.mark.parametrize("first", [b"From", b">From"])
def test_text_above_sealed_mail_is_sealed_with_it(alice, first):
    """It is no header, so that what follows isn't the mail's own."""
    sealed = cmstream.encrypt_message(MESSAGE, alice.recipient)
    message = first + b" now on\r\n\r\n" + sealed
    assert not cmstream.is_encrypted(message)
    assert cmstream.encrypt_message(message, alice.recipient).startswith(mime.ENTITY_HEADER)
    assert streamed(alice, message).startswith(mime.ENTITY_HEADER)


@pytest.mark.parametrize("first", [b"From ", b">From "])
def test_an_endless_first_line_is_sealed_as_it_comes(alice, first):
    message = first + b"x" * (mime.HEADER_LIMIT + 10)
    context = cmstream.encryptor(alice.recipient, form="message")
    given = context.update(message[:100_000])
    assert len(given) > 100_000
    given += context.update(message[100_000:]) + context.finalize()
    for sealed in (given, cmstream.encrypt_message(message, alice.recipient)):
        assert open_message(sealed, alice.key) == (
            mime.ENTITY_HEADER[:-2],
            b"\r\n" + message,
        )


def test_a_header_block_without_end_is_refused(alice):
    message = b"X: " + b"y" * (mime.HEADER_LIMIT + 10)
    for seal in (cmstream.encrypt_message, lambda m, _: streamed(alice, m, cut=1 << 20)):
        with pytest.raises(cmstream.MessageError) as caught:
            seal(message, alice.recipient)
        assert caught.value.code == "header-too-large"


def test_megabytes_of_header(alice):
    head = b"".join(b"X-%d: %s\r\n" % (i, b"v" * 70) for i in range(30_000))
    sealed = streamed(alice, head + b"\r\nbody", cut=100_000)
    assert open_message(sealed, alice.key) == (head + mime.ENTITY_HEADER[:-2], b"\r\nbody")


@pytest.mark.parametrize("cut", [1, 100, 100_000])
def test_what_is_encrypted_already_passes_octet_for_octet(alice, cut):
    sealed = cmstream.encrypt_message(MESSAGE, alice.recipient).replace(b"\r\n", b"\n")
    assert cmstream.is_encrypted(sealed)
    assert cmstream.encrypt_message(sealed, alice.recipient) == sealed
    short = sealed if cut > 1 else cmstream.encrypt_message(HEAD + b"\r\nx", alice.recipient)
    assert streamed(alice, short, cut=cut) == short
    assert streamed(alice, short, cut=cut, size=len(short)) == short
    with pytest.raises(cmstream.SizeMismatchError):
        streamed(alice, short, cut=cut, size=len(short) + 1)


@pytest.mark.parametrize("cut", [1000, 100_000])
def test_what_may_be_encrypted_is_looked_at_up_to_a_megabyte_in_a_stream(alice, cut):
    """What is longer can't be held back: it is sealed, also where it is encrypted already."""
    short = cmstream.encrypt_message(HEAD + b"\r\n" + b"x" * 500_000, alice.recipient)
    long = cmstream.encrypt_message(HEAD + b"\r\n" + b"x" * 1_000_000, alice.recipient)
    assert len(short) < SUSPECT_LIMIT < len(long)
    assert streamed(alice, short, cut=cut) == short
    again = streamed(alice, long, cut=cut)
    assert cmstream.is_encrypted(again)
    _, inner = open_message(again, alice.key)
    body = long.partition(b"\r\n\r\n")[2]
    assert inner.endswith(body)
    suspect = short[:2000] + b"readable\r\n" * 200_000
    assert b"readable" not in streamed(alice, suspect, cut=cut)


def test_by_policy_it_is_refused_or_encrypted_again(alice):
    sealed = cmstream.encrypt_message(MESSAGE, alice.recipient)
    again = cmstream.encrypt_message(
        sealed, alice.recipient, policy=cmstream.Policy(already_encrypted="encrypt")
    )
    _, inner = open_message(again, alice.key)
    assert open_message(inner, alice.key)[1] == INNER + BODY
    policy = cmstream.Policy(already_encrypted="refuse")
    for seal in (
        lambda: cmstream.encrypt_message(sealed, alice.recipient, policy=policy),
        lambda: streamed(alice, sealed, policy=policy),
    ):
        with pytest.raises(cmstream.MessageError) as caught:
            seal()
        assert caught.value.code == "already-encrypted"


def test_nobody_to_encrypt_to_gives_nothing_out():
    sealed_looking = b"Content-Type: text/plain\r\n\r\nsecret"
    with pytest.raises(cmstream.RecipientError):
        cmstream.encrypt_message(sealed_looking, [])


# The empty message


def test_an_empty_message_is_an_error_in_every_shape(alice):
    """There is nothing to seal: a file that should have been written, most likely."""
    to, full = cmstream.Recipients([alice.recipient]), b"Subject: x\r\n\r\nbody\r\n"
    for attempt in (
        lambda: cmstream.encrypt_message(b"", to),
        lambda: cmstream.encrypt(b"", to, form="message"),
        lambda: cmstream.encrypt_many([(full, to), (b"", to)]),
        lambda: cmstream.encrypt_many_into([(b"", to)], bytearray(9000)),
        lambda: cmstream.encryptor(to, form="message").finalize(),
        lambda: cmstream.encryptor(to, form="message", size=0).finalize(),
        lambda: list(cmstream.encrypt_iter(io.BytesIO(), to, form="message")),
        lambda: cmstream.EncryptWriter(io.BytesIO(), to, form="message").close(),
        lambda: cmstream.encrypt_message(
            b"", to, policy=cmstream.DEFAULT.clone(cipher="aes256-gcm")
        ),
    ):
        with pytest.raises(cmstream.MessageError, match="the message is empty") as caught:
            attempt()
        assert caught.value.code == "malformed-message"


def test_an_empty_message_does_not_harm_the_others(alice):
    to, full = cmstream.Recipients([alice.recipient]), b"Subject: x\r\n\r\nbody\r\n"
    answers = cmstream.encrypt_many([(full, to), (b"", to), (full, to)], return_exceptions=True)
    assert [type(one) for one in answers] == [memoryview, cmstream.MessageError, memoryview]
    assert open_message(bytes(answers[2]), alice.key)[1] == b"\r\nbody\r\n"


def test_empty_content_is_encrypted(alice, me):
    to = cmstream.Recipients([alice.recipient])
    for form in ("der", "pem", "smime"):
        (many,) = cmstream.encrypt_many([(b"", to)], form=form)
        for sealed in (cmstream.encrypt(b"", to, form=form), bytes(many)):
            assert cmstream.decrypt(sealed, me) == b""
