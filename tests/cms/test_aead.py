"""The authenticated ciphers as streams, against `cryptography`'s own one-shot ones."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

import cmstream
from cmstream.cms import aead

ONE_SHOT = {
    "aes256-gcm": (AESGCM, 32),
    "aes192-gcm": (AESGCM, 24),
    "aes128-gcm": (AESGCM, 16),
    "chacha20-poly1305": (ChaCha20Poly1305, 32),
}
NONCE = bytes(range(12))
ciphers = pytest.mark.parametrize("cipher", ONE_SHOT)


def make(kind, cipher, aad=b""):
    return kind(cipher, bytes(range(ONE_SHOT[cipher][1])), NONCE, aad)


def one_shot(cipher, data, aad=b""):
    peer, key_len = ONE_SHOT[cipher]
    return peer(bytes(range(key_len))).encrypt(NONCE, data, aad)


def run(stream, parts):
    out = b""
    for part in parts:
        buffer = bytearray(len(part))
        assert stream.update_into(part, buffer) == len(part)
        out += buffer
    return out


def cut(data, places):
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


@ciphers
@given(st.binary(max_size=3000), st.binary(max_size=100), st.lists(st.integers(0), max_size=8))
@settings(max_examples=60, deadline=None)
def test_however_it_is_cut_it_is_the_one_shot_s_answer(cipher, data, aad, places):
    expected = one_shot(cipher, data, aad)
    stream = make(aead.Encryption, cipher, aad)
    assert run(stream, cut(data, places)) + stream.finish() == expected
    stream = make(aead.Decryption, cipher, aad)
    assert run(stream, cut(expected[:-16], places)) == data
    stream.check(expected[-16:])


@ciphers
@pytest.mark.parametrize("spoilt", ["ciphertext", "tag", "aad", "too-long-tag", "too-short-tag"])
def test_what_was_changed_has_another_tag(cipher, spoilt):
    sealed = one_shot(cipher, b"attack at dawn", b"head")
    text, tag = bytearray(sealed[:-16]), bytearray(sealed[-16:])
    stream = make(aead.Decryption, cipher, b"hood" if spoilt == "aad" else b"head")
    if spoilt in ("ciphertext", "tag"):
        {"ciphertext": text, "tag": tag}[spoilt][3] ^= 1
    run(stream, [bytes(text)])
    end = {"too-long-tag": tag + b"\0", "too-short-tag": tag[:11]}.get(spoilt, tag)
    with pytest.raises(InvalidTag):
        stream.check(bytes(end))


def test_a_shortened_tag_is_for_gcm_alone():
    for cipher in ONE_SHOT:
        sealed = one_shot(cipher, b"x")
        stream = make(aead.Decryption, cipher)
        run(stream, [sealed[:1]])
        if cipher == "chacha20-poly1305":
            with pytest.raises(InvalidTag):
                stream.check(sealed[1:13])
        else:
            stream.check(sealed[1:13])


@ciphers
def test_no_octet_past_the_limit_is_taken(cipher, monkeypatch):
    monkeypatch.setattr(aead, "GCM_LIMIT", 100)
    monkeypatch.setattr(aead, "CHACHA20_LIMIT", 100)
    sealing, opening = make(aead.Encryption, cipher), make(aead.Decryption, cipher)
    run(sealing, [bytes(100)])
    run(opening, [bytes(100)])
    out = bytearray(1)
    with pytest.raises(cmstream.MessageError, match="aes256-cbc") as caught:
        sealing.update_into(b"x", out)
    assert caught.value.code == "too-large"
    with pytest.raises(cmstream.EnvelopeError) as caught:
        opening.update_into(b"x", out)
    assert caught.value.code == "too-large"
    assert out == b"\0"


def test_the_limits_are_the_standards_own():
    assert aead.limit("aes128-gcm") == aead.limit("aes256-gcm") == (2**39 - 256) // 8
    assert aead.limit("chacha20-poly1305") == 274_877_906_880


def test_the_example_of_rfc_8439():
    """Section 2.8.2."""
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        b"future, sunscreen would be it."
    )
    nonce = bytes.fromhex("070000004041424344454647")
    stream = aead.Encryption(
        "chacha20-poly1305", bytes(range(0x80, 0xA0)), nonce,
        bytes.fromhex("50515253c0c1c2c3c4c5c6c7"),
    )  # fmt: skip
    assert run(stream, [text])[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert stream.finish().hex() == "1ae10b594f09e26a7e902ecbd0600691"
