"""AuthEnvelopedData with AES-CCM (RFC 5084), which is read and never written."""

from __future__ import annotations

import io
import os

import pytest

import cmstream
from cmstream.cms import aead
from helpers.authorities import element
from helpers.handmade import (
    AUTHENTICATED,
    CCM,
    algorithm,
    attribute,
    by_ccm,
    envelope,
    ktri,
    number,
)
from helpers.shapes import pieces, pushed

DATA = os.urandom(70_001)


def shapes(sealed, me):
    """What each way of opening gives."""
    yield cmstream.decrypt(sealed, me)
    yield pushed(pieces(sealed, 1000), me)
    yield b"".join(cmstream.decrypt_iter(io.BytesIO(sealed), me))
    yield cmstream.DecryptReader(pieces(sealed, 999), me).read()
    yield b"".join(cmstream.decrypt_iter(pieces(sealed, 999), me, unverified=True))


@pytest.mark.parametrize("key_len", [16, 24, 32])
@pytest.mark.parametrize("nonce_len", aead.CCM_NONCES)
def test_keys_and_nonces(alice, me, key_len, nonce_len):
    key, nonce = os.urandom(key_len), os.urandom(nonce_len)
    data = DATA[: 65_535 if nonce_len == 13 else len(DATA)]
    sealed = by_ccm([ktri(alice, key)], data, key=key, nonce=nonce)
    assert set(shapes(sealed, me)) == {data}
    assert cmstream.inspect(sealed).cipher == f"aes{8 * key_len}-ccm"


@pytest.mark.parametrize("tag_len", aead.CCM_TAGS)
def test_tags(alice, me, tag_len):
    sealed = by_ccm([ktri(alice)], DATA, tag_len=tag_len, written_len=tag_len)
    assert set(shapes(sealed, me)) == {DATA}
    shorter = by_ccm([ktri(alice)], DATA, tag_len=tag_len, written_len=4 if tag_len > 4 else 16)
    for work in (cmstream.decrypt, lambda sealed, me: pushed(pieces(sealed, 999), me)):
        with pytest.raises(cmstream.DecryptionError):
            work(shorter, me)


def test_the_tag_has_twelve_bytes_unless_it_is_said(alice, me):
    assert cmstream.decrypt(by_ccm([ktri(alice)], DATA, written_len=None), me) == DATA
    assert cmstream.decrypt(by_ccm([ktri(alice)], b""), me) == b""


def test_attributes_are_proved(alice, me):
    one = attribute("1.2.840.113549.1.9.3", b"\6\1\x2a")
    sealed = by_ccm([ktri(alice)], DATA, attributes=[one])
    assert cmstream.decrypt(sealed, me) == DATA
    assert pushed(pieces(sealed, 999), me) == DATA
    with pytest.raises(cmstream.DecryptionError):
        cmstream.decrypt(sealed.replace(b"\6\1\x2a", b"\6\1\x2b"), me)


@pytest.mark.parametrize("place", [-1, -13, -20, -60_000])
def test_what_was_changed_gives_nothing(alice, me, place):
    sealed = bytearray(by_ccm([ktri(alice)], DATA))
    sealed[place] ^= 1
    out = io.BytesIO()
    with pytest.raises(cmstream.CmstreamError), cmstream.DecryptWriter(out, me) as writer:
        writer.write(sealed)
    assert out.getvalue() == b""
    with pytest.raises(cmstream.CmstreamError):
        cmstream.decrypt(sealed, me)


@pytest.mark.parametrize(
    ("nonce", "tag"), [(b"", 12), (bytes(6), 12), (bytes(14), 12), (bytes(12), 5), (bytes(12), 18)]
)
def test_parameters_that_cannot_be(alice, me, nonce, tag):
    wrong = algorithm(CCM[32], element(0x30, element(4, nonce), number(tag)))
    sealed = envelope(
        [ktri(alice)], DATA[:50], kind=AUTHENTICATED, cipher=wrong, behind=element(4, bytes(12))
    )
    with pytest.raises(cmstream.EnvelopeError) as caught:
        cmstream.decrypt(sealed, me)
    assert caught.value.code == "malformed"


def test_more_than_is_kept_is_told(alice, me, monkeypatch):
    monkeypatch.setattr(aead, "CCM_MEMORY", len(DATA) - 1)
    with pytest.raises(cmstream.EnvelopeError, match="AES-GCM") as caught:
        cmstream.decrypt(by_ccm([ktri(alice)], DATA), me)
    assert caught.value.code == "too-large"
