"""What a stream holds back of its beginning, and the states that it goes through."""

from __future__ import annotations

import gc
import io

import pytest

import cmstream
from cmstream.engine.held_back import HeldBack
from cmstream.engine.stream_context import State

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


def find_colon(beginning, resume, *, final):
    """Where a colon stands, or the end where none comes; a stream may not begin with one."""
    at = bytes(beginning).find(b":", resume)
    if at == 0:
        raise ValueError("a colon")
    return (at if at >= 0 else len(beginning) if final else None), len(beginning)


@pytest.mark.parametrize("cut", range(1, 9))
def test_all_is_given_from_the_first_byte(cut):
    held, data, taken = HeldBack(find_colon), memoryview(b"abcd:efg"), 0
    found = None
    while found is None:
        assert len(held) == taken
        found = held.take(data[taken : taken + cut])
        taken += cut
    assert found == (4, data[:taken])
    assert len(held) == 0


def test_what_comes_in_one_piece_is_not_copied():
    data = memoryview(bytearray(b"ab:cd"))
    _, beginning = HeldBack(find_colon).take(data)
    data[0] = 0
    assert beginning[0] == 0


def test_the_end_is_found_without_more():
    held = HeldBack(find_colon)
    assert held.take(memoryview(b"abc")) is None
    assert held.take(memoryview(b""), final=True) == (3, b"abc")


def test_a_message_stream_goes_through_its_states(alice):
    context = cmstream.encryptor(alice.recipient, form="message")
    states = [context._state]
    context.update(MESSAGE)
    states.append(context._state)
    context.update(bytes(9000))
    states.append(context._state)
    context.finalize()
    context.abort()  # does nothing any more
    states.append(context._state)
    assert states == [State.HEAD, State.HEAD, State.BODY, State.ENDED]
    assert context.bound(100) == 0
    with pytest.raises(cmstream.AlreadyFinalized):
        context.update(b"more")


def test_a_decryptor_goes_through_its_states(alice, me):
    sealed = cmstream.encrypt_message(MESSAGE, alice.recipient)
    context = cmstream.decryptor(me, message=True)
    states = [context._state]
    for at in range(0, len(sealed), 100):
        context.update(sealed[at : at + 100])
        states.append(context._state)
    context.finalize()
    assert states == sorted(states, key=list(State).index)
    assert {*states, context._state} == {State.HEAD, State.BODY, State.ENDED}


@pytest.mark.parametrize("started", [b"", MESSAGE])
def test_a_stream_that_was_aborted_takes_nothing(alice, me, started):
    for context in (cmstream.encryptor(alice.recipient, form="message"), cmstream.decryptor(me)):
        context.update(started)
        context.abort()
        assert context._state is State.FAILED
        for call in (context.finalize, lambda: context.update(b"x")):  # noqa: B023 - at once
            with pytest.raises(cmstream.AlreadyFinalized):
                call()


def test_streams_are_freed_as_soon_as_they_are_let_go(alice, me):
    """Keys and buffers don't wait for the collector of circular garbage."""
    gc.collect()
    gc.disable()
    try:
        for cipher in ("aes256-cbc", "aes256-gcm"):
            policy = cmstream.DEFAULT.clone(cipher=cipher)
            sealed = b"".join(
                cmstream.encrypt_iter(io.BytesIO(MESSAGE), alice.recipient, policy=policy)
            )
            assert b"".join(cmstream.decrypt_iter(io.BytesIO(sealed), me)) == MESSAGE
            assert cmstream.decrypt(sealed, me) == MESSAGE
            cmstream.inspect(sealed)
            assert gc.collect() == 0
    finally:
        gc.enable()
