"""What C leaves to others when it takes one message by itself, and what it leaves behind."""

from __future__ import annotations

import pytest

from cmstream.engine.encoder import room_in, source_of
from cmstream.engine.gate import ffi, lib
from cmstream.engine.prepared_recipients import PreparedRecipients
from cmstream.sealing import MESSAGE

MAIL = b"Subject: x\r\n\r\n" + b"third flower pot\r\n" * 500
INFOS = b"\x04\x02\x01\x02"


def prepared(infos=INFOS, cipher="aes256-cbc"):
    return PreparedRecipients(infos, 2, cipher, [])


def streamed(single, to, room):
    known = to.struct, MESSAGE.struct, 0, len(MAIL)
    return lib.seal_one_as_stream(single, *known, *source_of(MAIL), *room_in(bytearray(room)))


@pytest.mark.parametrize("to", [prepared(bytes(5000)), prepared(cipher="aes256-gcm")])
def test_c_leaves_many_recipients_and_other_modes_to_others(to):
    single, octets = ffi.new("struct seal_single *"), ffi.from_buffer("uint8_t[]", MAIL)
    planned = lib.seal_plan_one(single, octets, len(MAIL), to.struct, MESSAGE.struct)
    assert planned == lib.SEAL_NEEDS_LOOK
    assert streamed(single, to, 40_000) == lib.SEAL_NEEDS_HEAD


def test_what_one_call_could_not_seal_leaves_no_key():
    """Two calls leave the same: nothing of a key, which is random."""
    to = prepared()
    assert streamed(ffi.new("struct seal_single *"), to, 40_000) > len(MAIL)
    assert streamed(ffi.new("struct seal_single *"), to, 40_000) > len(MAIL)
    left = set()
    for _ in range(2):
        single = ffi.new("struct seal_single *")
        assert streamed(single, to, 100) == lib.SEAL_NO_ROOM
        left.add(bytes(ffi.buffer(single)))
    assert len(left) == 1
