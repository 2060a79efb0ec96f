"""The engine in C: every kernel of this machine against NIST's vectors, against `cryptography`,
and between guard pages."""

from __future__ import annotations

import base64
import mmap
import os
import random
import subprocess
import sys
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from cmstream._native import ffi, lib
from cmstream.engine import gate
from cmstream.engine.encoder import NativeEncoder
from cmstream.engine.mail_text import count_bare_line_feeds
from cmstream.errors import SizeMismatchError


def vector_files(*sizes):
    """NIST's response files for keys of so many bits."""
    names = ("GFSbox", "KeySbox", "VarKey", "VarTxt", "MMT")
    return [f"CBC{name}{bits}.rsp" for bits in sizes for name in names]


VECTORS = vector_files(128, 256)


def nist(name, *, decryption=False):
    """The vectors of a NIST response file: those for encryption, or the others."""
    with cryptography_vectors.open_vector_file(f"ciphers/AES/CBC/{name}", "r") as file:
        halves = file.read().partition("[DECRYPT]")
    for block in halves[2 if decryption else 0].split("COUNT")[1:]:
        fields = dict(line.split(" = ") for line in block.splitlines()[1:] if " = " in line)
        yield tuple(bytes.fromhex(fields[f]) for f in ("KEY", "IV", "PLAINTEXT", "CIPHERTEXT"))


def content_key(key, iv):
    secret = ffi.new("struct content_key *", {"key_len": len(key)})
    ffi.memmove(secret.key, key, len(key))
    ffi.memmove(secret.iv, iv, 16)
    return secret


def bare(key, iv, plain):
    out = bytearray(len(plain))
    source, room = ffi.from_buffer(plain), ffi.from_buffer(out)
    lib.cbc_bare(content_key(key, iv), ffi.cast("uint8_t *", source), len(plain) // 16,
                 ffi.cast("uint8_t *", room))  # fmt: skip
    return bytes(out)


@pytest.mark.parametrize("name", VECTORS)
def test_nist_vectors(level, name):
    count = 0
    for key, iv, plain, cipher in nist(name):
        assert bare(key, iv, plain) == cipher
        count += 1
    assert count >= 5


@pytest.mark.parametrize("bits", [128, 256])
def test_against_cryptography(level, bits):
    source = random.Random(bits)
    for blocks in [*range(1, 20), 255, 1024]:
        key, iv, plain = (source.randbytes(n) for n in (bits // 8, 16, 16 * blocks))
        encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        assert bare(key, iv, plain) == encryptor.update(plain)


def test_every_kernel_gives_its_known_answer(level):
    gate.check_kernels()
    assert gate.kernels()["aes"][-1] == gate.kernels()["base64"][-1] == "portable"


def test_a_lowered_mask_takes_kernels_away():
    gate.restrict_cpu("portable")
    try:
        assert gate.kernels() == {what: ["portable"] for what in ("aes", "base64", "rsa")}
    finally:
        gate.restrict_cpu(None)


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="choose one of portable"):
        gate.restrict_cpu("fastest")


def test_the_environment_lowers_the_mask():
    code = "import cmstream; print(cmstream.kernels()['aes'])"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"CMSTREAM_CPU": "portable"},
        capture_output=True,
        check=True,
    )
    assert run.stdout.strip() == b"['portable']"


def test_a_misnamed_level_is_an_error_when_something_is_to_be_done():
    code = (
        "import cmstream, sys\n"
        "to = cmstream.load_recipients(open(sys.argv[1], 'rb').read())\n"
        "for call in (lambda: cmstream.encrypt(b'', to), lambda: cmstream.inspect(b'0')):\n"
        "    try:\n"
        "        call()\n"
        "    except ValueError as error:\n"
        "        print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, Path(__file__).parents[1] / "samples" / "alice.pem"],
        env=os.environ | {"CMSTREAM_CPU": "nonsense"},
        capture_output=True,
        check=True,
    )
    assert run.stdout.count(b"CMSTREAM_CPU='nonsense': choose one of portable, ") == 2


def guarded(size):
    """A buffer that ends where the readable memory ends."""
    pages = -(-size // mmap.PAGESIZE) + 1
    memory = mmap.mmap(-1, pages * mmap.PAGESIZE)
    start = ffi.cast("uint8_t *", ffi.from_buffer(memory))
    libc = ffi_libc()
    end = (pages - 1) * mmap.PAGESIZE
    assert libc.mprotect(ffi_void(libc, start + end), mmap.PAGESIZE, 0) == 0
    return memory, start + (end - size)


def ffi_libc():
    from cffi import FFI

    plain = FFI()
    plain.cdef("int mprotect(void *, size_t, int);")
    return plain.dlopen(None)


def ffi_void(_libc, pointer):
    from cffi import FFI

    return FFI().cast("void *", int(ffi.cast("uintptr_t", pointer)))


@pytest.mark.parametrize("lines", [1, 2, 3, 7, 64])
def test_base64_between_guard_pages(level, lines):
    source, plain = guarded(48 * lines)
    target, out = guarded(66 * lines)
    data = random.Random(lines).randbytes(48 * lines)
    ffi.memmove(plain, data, len(data))
    lib.base64_bare(plain, lines, out)
    expected = b"".join(
        base64.b64encode(data[i : i + 48]) + b"\r\n" for i in range(0, len(data), 48)
    )
    assert bytes(ffi.buffer(out, 66 * lines)) == expected
    del source, target


@pytest.mark.parametrize("blocks", [1, 2, 5, 64])
def test_cbc_between_guard_pages(level, blocks):
    source, plain = guarded(16 * blocks)
    target, out = guarded(16 * blocks)
    lib.cbc_bare(content_key(bytes(32), bytes(16)), plain, blocks, out)
    expected = bare(bytes(32), bytes(16), bytes(16 * blocks))
    assert bytes(ffi.buffer(out, 16 * blocks)) == expected
    del source, target


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"x", b"\0", b"text" * 20])),
    st.integers(0, 99),
)
@settings(max_examples=200, deadline=None)
def test_bare_line_feeds_are_counted_across_cuts(parts, cut):
    data = b"".join(parts)
    cut = min(cut, len(data))
    expected = data.count(b"\n") - data.count(b"\r\n")
    first, last = count_bare_line_feeds(data[:cut])
    second, last = count_bare_line_feeds(data[cut:], last)
    assert first + second == expected
    assert last == (data[-1] if data else 0)


def seal_with(key, data, **plan):
    """A Seal with a key of our choosing, so that kernels can be compared octet for octet."""
    seal = NativeEncoder(f"aes{8 * len(key)}-cbc")
    ffi.memmove(seal._key.key, key, len(key))
    ffi.memmove(seal._key.iv, bytes(16), 16)
    seal.plan(infos=b"\x30\x00", version=0, **plan)
    out = bytearray(seal.bound(len(data)))
    count = seal.update_into(data, out)
    return bytes(out[: count + seal.finish_into(memoryview(out)[count:])])


@pytest.mark.parametrize("size", [0, 47, 5000, 70_000])
def test_every_kernel_seals_alike(level, size):
    key = bytes(range(32))
    data = random.Random(size).randbytes(size)
    for options in ({"size": size}, {"size": None}, {"size": None, "line_ends": "canonical"}):
        for armour in (False, True):
            here = seal_with(key, data, base64=armour, **options)
            gate.restrict_cpu("portable")
            assert seal_with(key, data, base64=armour, **options) == here
            gate.restrict_cpu(level)


@pytest.mark.parametrize("size", [1, 160, 300, 1000, 17_000])
def test_a_bare_line_feed_is_found_wherever_it_stands(level, size):
    plain = b"x\r\n" * (size // 3) + b"x" * (size % 3)
    options = {"size": size, "base64": True, "line_ends": "strict"}
    seal_with(bytes(32), plain, **options)
    for at in {*range(min(size, 330)), *range(size // 2, size // 2 + 60), size - 1} - {size}:
        if plain[at - 1 : at] != b"\r" and at < size:
            spoilt = plain[:at] + b"\n" + plain[at + 1 :]
            with pytest.raises(SizeMismatchError, match="bare LF"):
                seal_with(bytes(32), spoilt, **options)


@pytest.mark.parametrize("size", [1000, 70_000])
def test_canonical_text_of_known_size(level, size):
    """Line feeds at every step's edges, after whatever the encrypted text ended in."""
    key, source = bytes(range(32)), random.Random(size)
    for _ in range(10):
        text = bytes(source.choices(b"\r\n\nx", k=size))
        canonical = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        options = {"size": len(canonical), "base64": True, "line_ends": "canonical"}
        lines = seal_with(key, text, **options)
        assert lines == seal_with(key, canonical, size=len(canonical), base64=True)
