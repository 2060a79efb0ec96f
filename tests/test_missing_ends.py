"""Indefinite lengths whose end is missing."""

from __future__ import annotations

import pytest

import cmstream
from helpers import handmade
from helpers.authorities import element
from helpers.handmade import encrypt, ktri, pad
from helpers.shapes import pieces, pushed

TEXT = b"Hello, Alice"


@pytest.mark.parametrize("open_", range(6))
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_element_of_a_known_length_leaves_one_inside_without_its_end(alice, me, open_, size):
    """X.690 section 8.1.5: end-of-contents octets stand within what is around. Where that is over,
    no octet can come that mends it: the message is malformed, not truncated."""
    cipher = element(0x30, handmade.oid(handmade.CIPHERS[32]), element(4, handmade.IV))
    sealed = element(4 if open_ >= 4 else 0x80, encrypt(pad(TEXT)))
    layers = [
        (0x30, handmade.oid(handmade.ENVELOPED)),
        (0xA0, b""),
        (0x30, handmade.number(0) + element(0x31, ktri(alice))),
        (0x30, handmade.oid(handmade.DATA) + cipher),
    ]
    layers += [(0xA0, b"")] * (open_ >= 4) + [(0x24, b"")] * (open_ == 5)
    for depth, (tag, before) in reversed(list(enumerate(layers))):
        inside = before + sealed
        sealed = bytes([tag, 0x80]) + inside if depth == open_ else element(tag, inside)
    code = "malformed" if open_ else "truncated"
    for work in (lambda: cmstream.decrypt(sealed, me), lambda: pushed(pieces(sealed, size), me)):
        with pytest.raises(cmstream.EnvelopeError) as caught:
            work()
        assert caught.value.code == code
