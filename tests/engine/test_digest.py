"""Digests that C hashes again, against hashlib."""

from __future__ import annotations

import hashlib

import pytest

from cmstream.certificates import pfx_outline
from cmstream.engine.digest import HASHED_IN_C, hashed_again


def again(name, digest, times):
    for _ in range(times):
        digest = hashlib.new(name, digest).digest()
    return digest


@pytest.mark.parametrize("name", sorted(HASHED_IN_C))
@pytest.mark.parametrize("times", [0, 1, 2, 1000])
def test_c_hashes_as_hashlib_does(name, times):
    first = hashlib.new(name, b"first").digest()
    kept = bytes(first)
    assert hashed_again(name, first, times) == again(name, first, times)
    assert first == kept


def test_every_digest_of_a_pfx_is_hashed_again():
    for name in pfx_outline._DIGESTS.values():
        size = hashlib.new(name).digest_size
        found = pfx_outline.derived(name, 3, size, b"\0x\0\0", (b"salt", 50))
        block = hashlib.new(name).block_size
        whole = bytes([3]) * block + (b"salt" * block)[:block] + (b"\0x\0\0" * block)[:block]
        assert found == again(name, whole, 50)
