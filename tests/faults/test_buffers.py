"""Every kind of memory that Python lends, in every shape: mapped files, read-only and writable
memory, arrays of wide items, memory of ctypes; and memory with gaps is refused."""

from __future__ import annotations

import array
import ctypes
import io
import mmap

import pytest

import cmstream

CONTENT = b"Subject: x\r\n\r\n" + bytes(range(256)) * 40 + b"12"
FORM = {"form": "der"}


def mapped(data, folder, access=mmap.ACCESS_READ):
    path = folder / "mapped"
    path.write_bytes(data)
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 0, access=access)


def wide(data):
    return array.array("I", data) if not len(data) % 4 else memoryview(data)


KINDS = {
    "bytes": lambda data, _: data,
    "bytearray": lambda data, _: bytearray(data),
    "read-only memoryview": lambda data, _: memoryview(bytearray(data)).toreadonly(),
    "in the middle of memory": lambda data, _: memoryview(b"abc" + data + b"de")[3:-2],
    "mmap to read": mapped,
    "mmap to write": lambda data, folder: mapped(data, folder, mmap.ACCESS_WRITE),
    "mmap, anonymous copy": lambda data, folder: mapped(data, folder, mmap.ACCESS_COPY),
    "array of wide items": lambda data, _: wide(data),
    "memory of two dimensions": lambda data, _: (
        memoryview(data).cast("B", (2, len(data) // 2)) if not len(data) % 2 else data
    ),
    "ctypes": lambda data, _: (ctypes.c_char * len(data)).from_buffer_copy(data),
}


def pushed(context, data):
    return context.update(data) + context.finalize()


def into(context, data):
    out = mmap.mmap(-1, context.bound(len(memoryview(data).cast("B"))) + 1)
    count = context.update_into(data, out)
    return out[:count] + context.finalize()


def written(make, who, data):
    sink = io.BytesIO()
    with make(sink, who) as out:
        out.write(data)
    return sink.getvalue()


SEALING = {
    "encrypt": cmstream.encrypt,
    "encryptor": lambda data, to: pushed(cmstream.encryptor(to), data),
    "update_into": lambda data, to: into(cmstream.encryptor(to), data),
    "EncryptWriter": lambda data, to: written(cmstream.EncryptWriter, to, data),
    "encrypt_iter": lambda data, to: b"".join(cmstream.encrypt_iter([data], to)),
    "encrypt_many": lambda data, to: cmstream.encrypt_many([(data, to)], **FORM)[0],
    "encrypt_many, lanes": lambda data, to: cmstream.encrypt_many([(data, to)] * 9, **FORM)[8],
}
OPENING = {
    "decrypt": cmstream.decrypt,
    "decryptor": lambda data, who: pushed(cmstream.decryptor(who), data),
    "update_into": lambda data, who: into(cmstream.decryptor(who), data),
    "DecryptWriter": lambda data, who: written(cmstream.DecryptWriter, who, data),
    "decrypt_iter": lambda data, who: b"".join(cmstream.decrypt_iter([data], who)),
    "decrypt_many": lambda data, who: cmstream.decrypt_many([(data, who)], form="content")[0],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SEALING)
def test_sealing(kind, shape, tmp_path, alice, me):
    sealed = SEALING[shape](KINDS[kind](CONTENT, tmp_path), alice.recipient)
    assert cmstream.decrypt(bytes(sealed), me) == CONTENT


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail(kind, tmp_path, alice, me):
    given = KINDS[kind](CONTENT, tmp_path)
    assert not cmstream.is_encrypted(given)
    with cmstream.Gatherer(workers=1) as gather:
        sealed = [
            cmstream.encrypt_message(given, alice.recipient),
            cmstream.encrypt_many([(given, alice.recipient)])[0],
            gather.submit(given, alice.recipient).result(),
        ]
    assert (
        len({cmstream.decrypt_message(KINDS[kind](bytes(one), tmp_path), me) for one in sealed})
        == 1
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", OPENING)
def test_opening(kind, shape, tmp_path, alice, me):
    sealed = cmstream.encrypt(CONTENT, alice.recipient)
    given = KINDS[kind](sealed, tmp_path)
    assert OPENING[shape](given, [me]) == CONTENT
    assert bytes(memoryview(given).cast("B")) == sealed
    assert cmstream.inspect([given]).content_octets


@pytest.mark.parametrize("shape", [*SEALING, *OPENING])
@pytest.mark.parametrize("step", [2, -1])
def test_memory_with_gaps_is_refused(shape, step, alice, me):
    """Before anything comes out of it."""
    strided = memoryview(bytearray(CONTENT))[::step]
    works = [(table[shape], who) for table, who in ((SEALING, alice.recipient), (OPENING, [me]))
             if shape in table]  # fmt: skip
    for work, who in works:
        with pytest.raises((TypeError, BufferError), match="contiguous"):
            work(strided, who)


def test_output_into_mapped_memory(tmp_path, alice, me):
    out = mapped(bytes(1 << 16), tmp_path, mmap.ACCESS_WRITE)
    context = cmstream.encryptor(alice.recipient, size=len(CONTENT))
    count = context.update_into(CONTENT, out)
    count += context.finalize_into(memoryview(out)[count:])
    out.flush()
    assert cmstream.decrypt((tmp_path / "mapped").read_bytes()[:count], me) == CONTENT
    frozen = mapped(bytes(1 << 16), tmp_path)
    with pytest.raises((TypeError, ValueError, BufferError)):
        cmstream.encryptor(alice.recipient).update_into(CONTENT, frozen)
