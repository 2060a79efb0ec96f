"""What can't be beaten: the bare cipher and a memory copy; and the pieces of a job."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import cmstream
from cmstream._native import ffi, lib
from cmstream.engine import gate
from cmstream.engine.decoder import NativeDecoder
from engines import Engine, in_turn
from goals import BARE_GCM, RSA_BACK
from ours import jobs, long_alone
from samples import identity, recipients

if TYPE_CHECKING:
    from engines import Run
    from samples import Column

LANES = 16  # the most messages that the engine has under way at once
STRETCH = 32 << 10  # octets of each in one go, so that all stay in the cache
LINES = 1024  # of base64, in the cache too
KEYS = 64  # encrypted in one go
KEY_OCTETS = 32


def engines() -> list[Engine]:
    """Limits go through the memory of a whole column, as the engines do; pieces stay in the
    cache, so that what memory takes shows as the rest."""
    return [
        Engine("bare CBC chain", _chain),
        Engine("bare wide kernel", _wide),
        Engine(BARE_GCM, _gcm),
        Engine("memory copy", _copy),
        Engine("piece RSA", _rsa),
        Engine("piece AES", _wide_in_cache),
        Engine("piece base64", _base64),
        Engine("piece Python", _Python),
    ]


def opening() -> list[Engine]:
    """The same for the way back. C has no bare decoding of base64: here that comes with the walk
    through BER, and the ciphertext is written out."""
    return [
        Engine(RSA_BACK, _rsa_back),
        Engine("bare CBC decryption", _cbc_back),
        Engine("base64 and BER alone", _decoding),
        Engine("memory copy", _copy),
    ]


def _source(octets: Any) -> Any:
    return ffi.from_buffer("uint8_t[]", octets)


def _key() -> Any:
    return ffi.new("struct content_key *", {"key_len": KEY_OCTETS})


@functools.lru_cache(maxsize=1)
def _memory(column: Column) -> tuple[bytes, bytearray]:
    """All messages one behind the other, and as much room."""
    joined = b"".join(column.messages)
    return joined, bytearray(len(joined))


def _chain(column: Column) -> Run:
    key, room = _key(), _source(bytearray(column.longest))

    def seal(data: bytes) -> None:
        lib.cbc_bare(key, _source(data), len(data) // 16, room)

    return in_turn(column, column.messages, seal)


def _gcm(column: Column) -> Run | None:
    """All of a message at once, into memory that is used again."""
    room = bytearray(column.longest)

    def seal(data: bytes) -> None:
        context = Cipher(algorithms.AES256(bytes(KEY_OCTETS)), modes.GCM(bytes(12))).encryptor()
        context.update_into(data, room)
        context.finalize()

    return in_turn(column, column.messages, seal) if long_alone(column) else None


def _wide(column: Column) -> Run:
    """All of the column; what is mixed is cut into stretches of one length."""
    key, (source, room) = _key(), map(_source, _memory(column))
    lanes = min(LANES, len(column.messages))
    size = len(source) // lanes if column.mixed else column.longest
    starts = range(0, len(source) - lanes * size + 1, lanes * size)

    def run() -> int:
        for start in starts:
            lib.cbc_bare_wide(key, source + start, size // 16, lanes, room + start)
        return len(column.messages)

    return run


def _wide_in_cache(column: Column) -> Run:
    lanes = min(LANES, len(column.messages))
    size = min(STRETCH, column.longest)
    key, room = _key(), _source(bytearray(lanes * size))
    times = column.octets // (lanes * size)

    def run() -> int:
        for _ in range(times):
            lib.cbc_bare_wide(key, room, size // 16, lanes, room)
        return len(column.messages)

    return run


def _copy(column: Column) -> Run:
    source, room = _memory(column)
    view = memoryview(room)

    def run() -> int:
        view[:] = source
        return len(column.messages)

    return run


def _rsa(column: Column) -> Run:
    """One key for each message; by `cryptography` where C has no row."""
    (recipient,) = recipients()
    public: Any = recipient.public_key
    count = min(KEYS, len(column.messages))

    def wrap() -> int:
        for _ in range(count):
            public.encrypt(bytes(KEY_OCTETS), padding.PKCS1v15())
        return count

    if not gate.wraps_rsa:
        return wrap
    numbers = public.public_numbers()
    key = gate.RsaKey(numbers.n, numbers.e)
    keys = ffi.new("struct rsa_key *[]", [key.struct] * count)
    ins = [ffi.new("uint8_t[]", (numbers.n // 3).to_bytes(key.size, "big")) for _ in range(count)]
    outs = [ffi.new("uint8_t[]", key.size) for _ in range(count)]
    places = ffi.new("uint8_t *[]", ins), ffi.new("uint8_t *[]", outs)

    def run(_held: object = (key, ins, outs)) -> int:
        lib.rsa_raw(0, keys, *places, count)
        return count

    return run


def _base64(column: Column) -> Run:
    lines = column.octets // 48
    source, room = _source(bytes(LINES * 48)), _source(bytearray(LINES * 66))

    def run() -> int:
        for start in range(0, lines, LINES):
            lib.base64_bare(source, min(LINES, lines - start), room)
        return len(column.messages)

    return run


class _Python:
    """``encrypt_many`` by a clock that stands still in C."""

    def __init__(self, column: Column) -> None:
        self._jobs, self._watch = jobs(column), _Watch()

    def __call__(self) -> int:
        gate.lib = self._watch
        try:
            cmstream.encrypt_many(self._jobs)
        finally:
            gate.lib = lib
        return len(self._jobs)

    def clock(self) -> float:
        return time.perf_counter() - self._watch.seconds


class _Watch:
    """Stands for the library and adds up the seconds in its functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        thing = getattr(lib, name)
        return functools.partial(self._timed, thing) if callable(thing) else thing

    def _timed(self, function: Any, *arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            self.seconds += time.perf_counter() - start


# The way back


def _rsa_back(column: Column) -> Run:
    """By `cryptography`, as it is done when messages are opened; in one go as many as
    ``decrypt_many`` is given, so that a busy machine delays both alike."""
    key, how = identity().key, padding.PKCS1v15()
    wrapped = [key.public_key().encrypt(bytes(KEY_OCTETS), how) for _ in column.messages]

    def run() -> int:
        for one in wrapped:
            key.decrypt(one, how)
        return len(wrapped)

    return run


def _cbc_back(column: Column) -> Run:
    """Of as many octets as the message's base64 holds."""
    key, room = _key(), _source(bytearray(column.longest))

    def work(data: bytes) -> None:
        lib.cbc_bare_decrypt(key, _source(data), len(data) * 48 // 66 // 16, room)

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
