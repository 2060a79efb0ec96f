"""bound(n) of an encrypting stream: n bytes never give more, and it asks for hardly more than they
can give."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cmstream
from cmstream.mail import mime
from helpers.people import person

FORMS = ["der", "pem", "smime", "message"]
KIB = 1 << 10
SIZES = [0, 1, 15, 16, 47, 48, 1000, 8191, 8192, 16_368, 16_384, 70_000, 200_001, 1 << 20]
HEADS = [
    b"",
    b"\n",
    b"A: 1",
    b"A: 1\n\n",
    b"Subject: x\nContent-Type: text/plain\n\n",
    b"Subject: x\nContent-Transfer-Encoding: binary\n\n",
    b"Content-A:\n\n\n" * 300,
    b"A:\n" * 3000 + b"\n",
    b"\xef\xbb\xbfA: 1\n\n",
    b"Content-Type: application/pkcs7-mime\n\nMIIB",
    b"Content-Type: text/plain\n \n\n\t\n" * 40 + b"\n",
]
BODIES = {"line feeds": b"\n", "lines": b"line\n", "CRLF": b"a line\r\n", "none": b"x"}


def limit(form: str, size: int) -> float:
    if form == "der":
        return size + size / 64 + KIB
    return (2.8 if form == "message" else 1.4) * size + KIB


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({min(one, len(data)) for one in cuts} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def check(context: cmstream.Encryptor, data: bytes, parts: list[bytes]) -> None:
    """Every call stays within its bound, and all that is left within the bound before it."""
    left, promised, written = len(data), [], 0
    for part in parts:
        promised.append((written, context.bound(left)))
        room = bytearray(context.bound(len(part)))
        written += context.update_into(part, room)
        left -= len(part)
    promised.append((written, context.bound(0)))
    written += context.finalize_into(bytearray(context.bound(0)))
    for before, bound in promised:
        assert written - before <= bound


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes256-gcm", "chacha20-poly1305"])
def test_the_bound_is_hardly_more_than_what_comes(alice, form, size, cipher):
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    context = cmstream.encryptor(alice.recipient, form=form, policy=policy)
    assert context.bound(size) <= limit(form, size)
    context.update(b"A: 1\r\n\r\n" + bytes(50_000))  # of which some waits
    assert context.bound(size) - context.bound(0) <= limit(form, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", FORMS[:-1])
@pytest.mark.parametrize("sized", [False, True])
def test_of_content_it_is_what_comes(alice, form, size, sized):
    context = cmstream.encryptor(alice.recipient, form=form, size=size if sized else None)
    bound = context.bound(size)
    assert len(context.update(bytes(size)) + context.finalize()) == bound


@given(
    st.binary(max_size=70_000),
    st.lists(st.integers(0, 70_000), max_size=6),
    st.sampled_from(FORMS[:-1]),
    st.sampled_from(["aes128-cbc", "aes128-gcm"]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_content_stays_within_it_however_it_is_cut(data, cuts, form, cipher, sized):
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    size = len(data) if sized else None
    context = cmstream.encryptor(person().recipient, form=form, size=size, policy=policy)
    check(context, data, cut(data, cuts))


@given(
    st.sampled_from(HEADS),
    st.tuples(st.sampled_from(sorted(BODIES)), st.integers(1, 40_000)),
    st.lists(st.integers(0, 50_000), max_size=6),
    st.tuples(
        st.sampled_from(["aes256-cbc", "aes256-gcm"]), st.sampled_from([None, "baseline", "shy"])
    ),
    st.sampled_from(["unknown", "size", "line feeds"]),
)
@settings(max_examples=150, deadline=None)
def test_messages_stay_within_it(head, body, cuts, kind, known):
    policy = cmstream.DEFAULT.clone(cipher=kind[0], header_protection=kind[1])
    text = (BODIES[body[0]] * body[1])[: body[1]]
    options = {}
    if known != "unknown":
        options["size"] = len(head + text)
    if known == "line feeds" and b"binary" not in head:
        options["line_feeds"] = body_line_feeds(head + text)
    context = cmstream.encryptor(person().recipient, form="message", policy=policy, **options)
    try:
        check(context, head + text, cut(head + text, cuts))
    except cmstream.SizeMismatchError:
        assert known == "size"
        assert body_line_feeds(head + text)


def body_line_feeds(message: bytes) -> int:
    end, _ = mime.header_end(message, 0, final=True)
    body = message[end:]
    return body.count(b"\n") - body.count(b"\r\n")


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes256-gcm"])
def test_too_small_a_buffer_changes_nothing(alice, cipher):
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    data = b"A: 1\r\n\r\n" + b"line\r\n" * 5000
    for form in FORMS:
        context = cmstream.encryptor(alice.recipient, form=form, size=len(data), policy=policy)
        with pytest.raises(ValueError, match="too small"):
            context.update_into(data, bytearray(len(data) // 2))
        sealed = context.update(data)
        with pytest.raises(ValueError, match="too small"):
            context.finalize_into(bytearray(context.bound(0) - 1))
        sealed += context.finalize()
        assert len(sealed) == len(cmstream.encrypt(data, alice.recipient, policy=policy, form=form))
