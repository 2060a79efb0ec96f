"""The engine's CBC decryption: every kernel of this machine against NIST's vectors, against
`cryptography`, and between guard pages."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cmstream._native import ffi, lib
from engine.test_engine import content_key, guarded, nist, vector_files


def decrypt(key, iv, source, blocks, target):
    lib.cbc_bare_decrypt(content_key(key, iv), ffi.cast("uint8_t *", source), blocks,
                         ffi.cast("uint8_t *", target))  # fmt: skip


def bare(key, iv, cipher):
    out = bytearray(len(cipher))
    decrypt(key, iv, ffi.from_buffer(cipher), len(cipher) // 16, ffi.from_buffer(out))
    return bytes(out)


def encrypted(source, bits, blocks):
    """A random key, IV and plaintext, and the ciphertext by another implementation."""
    key, iv, plain = (source.randbytes(n) for n in (bits // 8, 16, 16 * blocks))
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return key, iv, plain, encryptor.update(plain)


@pytest.mark.parametrize("name", vector_files(128, 192, 256))
def test_nist_vectors(level, name):
    count = 0
    for key, iv, plain, cipher in nist(name, decryption=True):
        assert bare(key, iv, cipher) == plain
        count += 1
    assert count >= 5


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_against_cryptography(level, bits):
    source = random.Random(bits)
    for blocks in [*range(70), 255, 1024]:
        key, iv, plain, cipher = encrypted(source, bits, blocks)
        assert bare(key, iv, cipher) == plain


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_in_place(level, bits):
    source = random.Random(bits)
    for blocks in [*range(1, 70), 1024]:
        key, iv, plain, cipher = encrypted(source, bits, blocks)
        text = bytearray(cipher)
        decrypt(key, iv, ffi.from_buffer(text), blocks, ffi.from_buffer(text))
        assert text == plain


@pytest.mark.parametrize("blocks", [1, 2, 5, 31, 32, 63, 64])
def test_between_guard_pages(level, blocks):
    key, iv, plain, cipher = encrypted(random.Random(blocks), 256, blocks)
    source, text = guarded(16 * blocks)
    target, out = guarded(16 * blocks)
    ffi.memmove(text, cipher, len(cipher))
    decrypt(key, iv, text, blocks, out)
    assert bytes(ffi.buffer(out, 16 * blocks)) == plain
    del source, target
