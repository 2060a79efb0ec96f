"""cmstream's rows of decryption: each way to open a message, and many in one call."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cmstream
import cmstream_encrypt
from engines import Engine, in_turn, one_by_one
from goals import MANY_BACK, MESSAGE_BACK
from samples import identity

if TYPE_CHECKING:
    from engines import Run
    from samples import Column


def engines() -> list[Engine]:
    """All rows. All but the last give the whole message, header included."""
    who = identity()
    return [
        one_by_one(MESSAGE_BACK, lambda data: cmstream.decrypt_message(data, who)),
        Engine("cmstream decryptor, 256 KiB", lambda column: _pushed(column, who)),
        Engine("cmstream DecryptReader", lambda column: _read(column, who)),
        Engine(MANY_BACK, lambda column: _many(column, who)),
        one_by_one("cmstream is_encrypted, without a key", cmstream.is_encrypted),
    ]


def _pushed(column: Column, who: cmstream.Identity) -> Run:
    return cmstream_encrypt.pushed(
        column, lambda _: cmstream.decryptor(who, message=True), cmstream_encrypt.CHUNK
    )


def _read(column: Column, who: cmstream.Identity) -> Run:
    buffer = bytearray(cmstream_encrypt.CHUNK)

    def read(data: bytes) -> None:
        with cmstream.DecryptReader(io.BytesIO(data), who, message=True) as source:
            while source.readinto(buffer):
                pass

    return in_turn(column, column.messages, read)


def _many(column: Column, who: cmstream.Identity) -> Run:
    jobs = [(data, who) for data in column.messages]
    return lambda: len(cmstream.decrypt_many(jobs))
