"""A message through a stream comes out as by encrypt_message, whoever cuts its header block."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cmstream
from helpers.people import identity, person

LINES = [
    b"A: 1\r\n",
    b"A: 1\n",
    b" folded\n",
    b"MIME-Version: 1.0\r\n",
    b"Content-Type: text/plain\r\n",
    b"Content-Type: application/pkcs7-mime\n",
    b"Content-Transfer-Encoding: 8bit\n",
    b"Content-Transfer-Encoding: binary\r\n",
    b"Content-Long: " + b"x" * 4100 + b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"text\n",
    b"\xef\xbb\xbf",
    b"From me\n",
    b"-----BEGIN PGP MESSAGE-----\n",
    b"a" * 1100 + b":\n",
]
BODIES = st.one_of(
    st.just(b""),
    st.integers(1, 9000).map(lambda count: b"x\n" * count),
    st.integers(1, 6000).map(lambda count: b"y\r\n" * count),
)


@given(
    st.lists(st.sampled_from(LINES), min_size=1, max_size=12).map(b"".join),
    BODIES,
    st.lists(st.integers(0, 20_000), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_a_stream_gives_what_encrypt_message_gives(head, body, cuts):
    message, someone = head + body, person()
    ends = sorted({min(cut, len(message)) for cut in cuts} | {len(message)})
    context = cmstream.encryptor(someone.recipient, form="message")
    parts = [message[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    pushed = b"".join([*map(context.update, parts), context.finalize()])
    whole = cmstream.encrypt_message(message, someone.recipient)
    outside, _, _ = pushed.partition(b"\r\n\r\n")
    assert outside == whole.partition(b"\r\n\r\n")[0]
    me = identity(someone)
    assert cmstream.decrypt_message(pushed, me) == cmstream.decrypt_message(whole, me)


POLICIES = [
    cmstream.DEFAULT.clone(cipher=cipher, header_protection=protection)
    for cipher in ("aes256-cbc", "aes256-gcm", "chacha20-poly1305")
    for protection in (None, "baseline", "shy")
]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("sized", [False, True])
def test_what_a_header_block_grows_to_finds_room(policy, sized, alice):
    """A header block of a byte, which becomes one of a hundred, and long ones of folded lines."""
    long = b"Content-Type: text/plain;" + b"\n a=b;" * 1300 + b"\n\n"
    for message in (b"x", b"\n", b"ab", long, long * 2 + b"text\n", long.replace(b"1", b"22")):
        text = message.replace(b"\n", b"\r\n")
        size = len(text) if sized else None
        context = cmstream.encryptor(alice.recipient, form="message", policy=policy, size=size)
        pushed = context.update(text if sized else message) + context.finalize()
        whole = cmstream.encrypt_message(message, alice.recipient, policy=policy)
        opened = [cmstream.decrypt_message(one, identity(alice)) for one in (pushed, whole)]
        assert opened[0] == opened[1]


def test_a_stream_whose_beginning_is_gone_gives_nothing_more(alice, monkeypatch):
    context = cmstream.encryptor(alice.recipient, form="message")
    context.update(b"A: b\r\n\r\ntext")
    small = bytearray(context.bound(0))
    monkeypatch.setattr("cmstream.engine.encoder.NativeEncoder.inside_into", too_small)
    monkeypatch.setattr("cmstream.encryption.streamed_into", nothing)
    with pytest.raises(ValueError, match="too small"):
        context.finalize_into(small)
    with pytest.raises(cmstream.AlreadyFinalized):
        context.finalize()


def too_small(*_):
    raise ValueError("the buffer is too small")


def nothing(*_, **__):
    return None
