"""Puts ciphers into words, as people choose them."""

from __future__ import annotations

from typing import NamedTuple

from .. import ciphers
from ..policy import CIPHER_CHOICES


class Cipher(NamedTuple):
    """A cipher as people choose it."""

    value: str
    label: str
    hint: str


_CIPHERS = {
    "aes256-cbc": ("AES-256", "Recommended. Nearly every mail program reads it."),
    "aes128-cbc": ("AES-128", "Strong enough too, and for old devices that lack AES-256."),
    "auto": (
        "The account's certificates decide",
        "The strongest cipher that all of them name, AES-256 if they name none.",
    ),
    "aes256-gcm": (
        "AES-256 with a seal against changes (GCM)",
        "Also shows whether somebody changed the mail. Few mail programs read it yet.",
    ),
    "aes128-gcm": (
        "AES-128 with a seal against changes (GCM)",
        "Shows changes as well, with a shorter key. Few mail programs read it yet.",
    ),
    "chacha20-poly1305": (
        "ChaCha20-Poly1305",
        "Shows changes as well. Hardly any mail program reads it.",
    ),
}
"""The label and the hint of each cipher; one without gets its title, and a hint by its kind."""
_HINT = "Strong enough too. Not every mail program reads it."
_AUTHENTICATED_HINT = "Shows changes as well. Few mail programs read it yet."


def _in_words(name: str) -> Cipher:
    if name in _CIPHERS:
        return Cipher(name, *_CIPHERS[name])
    one = ciphers.BY_NAME[name]
    return Cipher(name, one.title, _AUTHENTICATED_HINT if one.authenticated else _HINT)


# "auto" comes before the ciphers that few mail programs read.
CIPHERS = tuple(
    map(_in_words, sorted(CIPHER_CHOICES, key=lambda name: name in ciphers.AUTHENTICATED))
)
BY_NAME = {one.value: one for one in CIPHERS}
USUAL = ("aes256-cbc", "aes128-cbc")
"""The ciphers that forms show; the others are behind a word."""
