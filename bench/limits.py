"""The processor's own limits, which no engine can beat: the bare cipher, RSA, a memory copy."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cmstream._native import ffi, lib
from cmstream.engine import gate
from cmstream.engine.decoder import NativeDecoder
from cmstream.engine.prepared_recipients import RsaKey
from cmstream_encrypt import long_alone
from engines import Engine, in_turn, rsa_engine
from goals import BARE_GCM, CHAIN, RSA, RSA_BACK, WIDE
from samples import identity, public_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines import Run
    from samples import Column

LANES = 16  # the most messages that C encrypts at once
KEY_OCTETS = 32
TAKE_ONE = ("ifma1", "adx", "portable")
"""RSA's kernels for one number; the fastest that there is comes first among a machine's."""


def encrypting() -> list[Engine]:
    """Each goes through the memory of a whole column, as the engines do."""
    return [
        Engine(CHAIN, _chain),
        Engine(WIDE, _wide),
        Engine(BARE_GCM, _gcm),
        *_rsa(),
        Engine("memory copy", _copy),
    ]


def opening() -> list[Engine]:
    """The same for opening. C has no bare decoding of base64: this row includes the walk through
    BER and writes the ciphertext out."""
    return [
        Engine(RSA_BACK, _rsa_back),
        Engine("bare CBC decryption", _cbc_back),
        Engine("base64 and BER alone", _decoding),
        Engine("memory copy", _copy),
    ]


def pointer(data: Any) -> Any:
    """To the bytes of a buffer, for C."""
    return ffi.from_buffer("uint8_t[]", data)


def content_key() -> Any:
    """An AES-256 key of zeros, for C."""
    return ffi.new("struct content_key *", {"key_len": KEY_OCTETS})


@functools.lru_cache(maxsize=1)
def _memory(column: Column) -> tuple[bytes, bytearray]:
    """All messages one after the other, and a buffer of the same size."""
    joined = b"".join(column.messages)
    return joined, bytearray(len(joined))


def _chain(column: Column) -> Run:
    key, room = content_key(), pointer(bytearray(column.longest))

    def seal(data: bytes) -> None:
        lib.cbc_bare(key, pointer(data), len(data) // 16, room)

    return in_turn(column, column.messages, seal)


def _gcm(column: Column) -> Run | None:
    """A whole message at once, into one buffer for all."""
    room = bytearray(column.longest)

    def seal(data: bytes) -> None:
        context = Cipher(algorithms.AES256(bytes(KEY_OCTETS)), modes.GCM(bytes(12))).encryptor()
        context.update_into(data, room)
        context.finalize()

    return in_turn(column, column.messages, seal) if long_alone(column) else None


def _wide(column: Column) -> Run:
    """All of the column; a mix is cut into pieces of one length."""
    key, (source, room) = content_key(), map(pointer, _memory(column))
    lanes = min(LANES, len(column.messages))
    size = len(source) // lanes if column.mixed else column.longest
    starts = range(0, len(source) - lanes * size + 1, lanes * size)

    def run() -> int:
        for start in starts:
            lib.cbc_bare_wide(key, source + start, size // 16, lanes, room + start)
        return len(column.messages)

    return run


def _copy(column: Column) -> Run:
    source, room = _memory(column)
    view = memoryview(room)

    def run() -> int:
        view[:] = source
        return len(column.messages)

    return run


def _rsa() -> list[Engine]:
    """One number at a time, by the kernel that takes a message which comes alone."""
    names = gate.kernels()["rsa"]
    alone = [row for row, name in enumerate(names) if name in TAKE_ONE]
    if not alone:
        return []
    numbers = public_numbers()
    key = RsaKey(numbers.n, numbers.e)

    def ready(number: bytes) -> tuple[Callable[[], object], bytearray]:
        out = bytearray(key.size)
        pointers = [key.struct, pointer(number), pointer(out)]
        kinds = ["struct rsa_key *[]", "uint8_t *[]", "uint8_t *[]"]
        arrays = [ffi.new(kind, [one]) for kind, one in zip(kinds, pointers, strict=True)]

        def work(_held: object = (key, pointers)) -> None:
            lib.rsa_raw(alone[0], *arrays, 1)

        return work, out

    return [rsa_engine(RSA, ready)]


# Opening


def _rsa_back(column: Column) -> Run:
    """By `cryptography`, which opens messages too; as many at a time as ``decrypt_many`` gets, so
    that a busy machine delays both alike."""
    key, how = identity().key, padding.PKCS1v15()
    wrapped = [key.public_key().encrypt(bytes(KEY_OCTETS), how) for _ in column.messages]

    def run() -> int:
        for one in wrapped:
            key.decrypt(one, how)
        return len(wrapped)

    return run


def _cbc_back(column: Column) -> Run:
    """Of as many bytes as the message's base64 holds."""
    key, room = content_key(), pointer(bytearray(column.longest))

    def work(data: bytes) -> None:
        lib.cbc_bare_decrypt(key, pointer(data), len(data) * 48 // 66 // 16, room)

    return in_turn(column, column.messages, work)


def _decoding(column: Column) -> Run:
    room = bytearray(column.longest)

    def work(data: bytes) -> None:
        text = memoryview(data)[data.index(b"\r\n\r\n") + 4 :]
        opening = NativeDecoder("base64")
        taken, _ = opening.update_into(text, room)
        opening.give_ciphertext()
        opening.update_into(text[taken:], room)
        opening.finish_into(room)

    return in_turn(column, column.messages, work)
