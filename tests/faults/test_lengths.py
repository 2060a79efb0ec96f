"""Lengths around 2^31 and 2^32 for real, as sparse files and streams: nothing is cut, and no count
goes round. CMSTREAM_LENGTHS=all runs every shape with every length, and takes 9 GB of memory."""

from __future__ import annotations

import io
import mmap
import os

import pytest

import cmstream

pytestmark = pytest.mark.slow
EVERY = os.environ.get("CMSTREAM_LENGTHS") == "all"
SIZES = [(1 << 31) - 1, (1 << 31) + 17, (1 << 32) - 1, (1 << 32) + 17]
KEY = cmstream.Recipient.from_kek(bytes(32), b"1")
PIECE = 1 << 20
END = b"the end"


def source(path, size):
    """A sparse file that ends with a mark."""
    with path.open("wb") as file:
        file.truncate(size - len(END))
        file.seek(0, io.SEEK_END)
        file.write(END)
    return path


class Check:
    """A sink that knows what must come, and gives all to ``then``."""

    def __init__(self, size):
        self.size, self.count = size, 0

    def write(self, data):
        data = memoryview(data)
        begin, self.count = self.count, self.count + len(data)
        zeros = max(0, min(len(data), self.size - len(END) - begin))
        for at in range(0, zeros, PIECE):
            some = data[at : min(at + PIECE, zeros)]
            assert some == ZEROS[: len(some)], begin + at
        start = begin + zeros - (self.size - len(END))
        assert data[zeros:] == END[start : start + len(data) - zeros]
        return len(data)


ZEROS = memoryview(bytes(PIECE))


def read(path):
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            yield piece


def push(path, size, check, *, declared):
    """Where the length is declared, DER says it in front."""
    seal, unseal = cmstream.encryptor(KEY, size=size if declared else None), cmstream.decryptor(KEY)
    first = True
    for piece in read(path):
        sealed = seal.update(piece)
        if first and declared:
            assert sealed[1] in {0x84, 0x85}
            octets = sealed[1] & 15
            assert int.from_bytes(sealed[2 : 2 + octets], "big") > size
        first = False
        check.write(unseal.update(sealed))
    check.write(unseal.update(seal.finalize()))
    check.write(unseal.finalize())


def into(path, size, check):
    """All of it in one call each way."""
    seal, unseal = cmstream.encryptor(KEY, size=size), cmstream.decryptor(KEY)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        out = mmap.mmap(-1, seal.bound(size))
        count = seal.update_into(data, out)
    count += seal.finalize_into(memoryview(out)[count:])
    plain = mmap.mmap(-1, unseal.bound(count))
    with memoryview(out)[:count] as sealed:
        got = unseal.update_into(sealed, plain)
    out.close()
    check.write(memoryview(plain)[:got])
    check.write(unseal.finalize())


def one_shot(path, size, check):
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        sealed = cmstream.encrypt(data, KEY)
    check.write(cmstream.decrypt(sealed, KEY))


def many(path, size, check):
    """Beside short ones."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        sealed = cmstream.encrypt_many([(b"a", KEY), (data, KEY), (b"b", KEY)], form="der")
    assert [cmstream.decrypt(bytes(sealed[at]), KEY) for at in (0, 2)] == [b"a", b"b"]
    (opened,) = cmstream.decrypt_many([(sealed[1], KEY)], form="content")
    check.write(opened)


def reader(path, size, check):
    with path.open("rb", buffering=0) as file:
        opened = cmstream.DecryptReader(cmstream.EncryptReader(file, KEY), KEY)
        while piece := opened.read(PIECE):
            check.write(piece)


def writer(path, size, check):
    with (
        cmstream.DecryptWriter(check, KEY) as plain,
        cmstream.EncryptWriter(plain, KEY, size=size) as sealed,
    ):
        for piece in read(path):
            sealed.write(piece)


def iterators(path, size, check):
    with path.open("rb", buffering=0) as file:
        for piece in cmstream.decrypt_iter(cmstream.encrypt_iter(file, KEY), KEY):
            check.write(piece)


def armour(path, size, check):
    """In lines of base64, a third longer."""
    seal, unseal = cmstream.encryptor(KEY, form="pem", size=size), cmstream.decryptor(KEY)
    for piece in read(path):
        check.write(unseal.update(seal.update(piece)))
    check.write(unseal.update(seal.finalize()))
    check.write(unseal.finalize())


def authenticated(path, size, check):
    policy = cmstream.DEFAULT.clone(cipher="aes256-gcm")
    seal = cmstream.encryptor(KEY, size=size, policy=policy)
    unseal = cmstream.decryptor(KEY, unverified=True)
    for piece in read(path):
        check.write(unseal.update(seal.update(piece)))
    check.write(unseal.update(seal.finalize()))
    check.write(unseal.finalize())


SHAPES = {
    "push": lambda *given: push(*given, declared=True),
    "push, BER": lambda *given: push(*given, declared=False),
    "into": into,
    "one-shot": one_shot,
    "many": many,
    "reader": reader,
    "writer": writer,
    "iterators": iterators,
    "base64": armour,
    "authenticated": authenticated,
}
ALWAYS = {("push", SIZES[3]), ("one-shot", SIZES[1])}


@pytest.mark.parametrize(
    ("shape", "size"),
    [(shape, size) for shape in SHAPES for size in SIZES if EVERY or (shape, size) in ALWAYS],
)
def test_all_of_it_comes_back(shape, size, tmp_path):
    check = Check(size)
    SHAPES[shape](source(tmp_path / "sparse", size), size, check)
    assert check.count == size
