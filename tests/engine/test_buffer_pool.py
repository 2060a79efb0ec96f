"""Memory for answers: large ones get their memory back, and nobody's answer changes."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import cmstream
from cmstream.engine import buffer_pool
from cmstream.engine.buffer_pool import LARGE, filled

COUNTS = pytest.mark.skipif(
    not buffer_pool._COUNTS, reason="references aren't counted exactly here"
)


def all_of(octet, count=None):
    def fill(view):
        view[:] = bytes([octet]) * len(view)
        return len(view) if count is None else count

    return fill


@pytest.fixture(autouse=True)
def nothing_kept():
    buffer_pool._kept.clear()
    yield
    buffer_pool._kept.clear()


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1, buffer_pool.KEPT_LIMIT + 1])
def test_an_answer_is_what_was_filled(size):
    for octet in (1, 2):
        assert filled(size, all_of(octet)) == bytes([octet]) * size


def test_an_answer_is_right_where_python_must_clear_its_memory_first(monkeypatch):
    monkeypatch.setattr(buffer_pool, "_uncleared", lambda: None)
    for size in (0, 10, LARGE, LARGE + 1):
        assert filled(size, all_of(3)) == b"\3" * size


@COUNTS
def test_a_large_secret_answer_is_its_own():
    first, second = (filled(LARGE, all_of(octet), secret=True) for octet in (1, 2))
    assert (first, second) == (b"\1" * LARGE, b"\2" * LARGE)
    assert not buffer_pool._kept


@pytest.mark.parametrize("size", [0, 10, 77_000, LARGE + 1])
def test_a_secret_answer_is_what_was_filled(size):
    assert filled(size, all_of(3), secret=True) == b"\3" * size
    assert filled(size, all_of(4, size // 2), secret=True) == b"\4" * (size // 2)


@pytest.mark.parametrize("size", [0, 10, 77_000])
def test_a_secret_that_fails_harms_none_that_follows(size):
    def fail(view):
        view[:] = b"\5" * len(view)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        filled(size, fail, secret=True)
    assert filled(size, all_of(6), secret=True) == b"\6" * size


def test_an_interruption_is_no_end():
    def fail(_):
        raise InterruptedError("by a signal")

    with pytest.raises(InterruptedError, match="by a signal"):
        filled(LARGE, fail, secret=True)


def test_the_count_cuts():
    assert filled(10, all_of(7, 3)) == b"\7" * 3
    assert filled(2 * LARGE, all_of(7, LARGE)) == b"\7" * LARGE
    assert filled(2 * LARGE, all_of(8, 5)) == b"\10" * 5


def test_an_answer_that_is_held_never_changes():
    held = [filled(LARGE + 100 * i, all_of(i)) for i in range(6)]
    for i, answer in enumerate(held):
        assert answer == bytes([i]) * (LARGE + 100 * i)
    part = memoryview(filled(LARGE, all_of(9)))[5:10]
    for i in range(3):
        filled(LARGE, all_of(i))
    assert part == b"\11" * 5


@COUNTS
def test_the_memory_of_an_answer_let_go_is_used_again():
    assert len(filled(LARGE + 4096, all_of(1))) == LARGE + 4096
    (store,) = buffer_pool._kept
    answer = filled(LARGE, all_of(2))
    assert list(buffer_pool._kept) == [store]
    assert answer == b"\2" * LARGE
    assert sys.getrefcount(answer) == 3  # the store, the name, the argument


@COUNTS
def test_the_shortest_that_is_long_enough_is_used_again():
    sizes = [LARGE + 4096, LARGE + 100]
    held = [filled(size, all_of(1)) for size in sizes]
    long, short = buffer_pool._kept
    assert filled(LARGE + 200, all_of(2))  # both are held
    buffer_pool._kept.clear()
    buffer_pool._kept.extend([long, short])
    held.clear()
    for size, store in ((LARGE + 100, short), (LARGE + 4096, long)):
        assert filled(size, all_of(3)) == b"\3" * size
        assert buffer_pool._kept[-1] is store
    filled(LARGE + 5000, all_of(4))
    assert buffer_pool._kept[-1] not in (long, short)


@COUNTS
def test_little_is_kept():
    held = [filled(LARGE, all_of(i)) for i in range(5)]
    assert len(buffer_pool._kept) == buffer_pool.KEPT_ANSWERS < len(held)
    buffer_pool._kept.clear()
    filled(buffer_pool.KEPT_LIMIT + 1, all_of(1))
    filled(LARGE - 1, all_of(1))
    assert not buffer_pool._kept


def test_a_failure_leaves_nothing():
    def fail(view):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        filled(LARGE, fail)
    assert not buffer_pool._kept


@COUNTS
def test_an_answer_is_held_before_others_look(monkeypatch):
    """Another thread may look for memory as soon as some is kept."""

    class Kept(type(buffer_pool._kept)):
        def append(self, store):
            super().append(store)
            if not others:
                others.append(b"")
                others[0] = filled(LARGE, all_of(2))

    others = []
    monkeypatch.setattr(buffer_pool, "_kept", Kept(maxlen=buffer_pool.KEPT_ANSWERS))
    assert filled(LARGE, all_of(1)) == b"\1" * LARGE
    assert others == [b"\2" * LARGE]


@pytest.mark.parametrize("cipher", ["aes128-cbc", "aes128-gcm"])
@pytest.mark.parametrize("unverified", [False, True])
def test_no_memory_of_plaintext_is_kept(alice, me, cipher, unverified):
    policy = cmstream.Policy(cipher=cipher)
    sealed = cmstream.encrypt(b"secret! " * (LARGE // 4), alice.recipient, policy=policy)
    buffer_pool._kept.clear()
    context = cmstream.decryptor(me, unverified=unverified)
    assert len(context.update(sealed) + context.finalize()) == 2 * LARGE
    assert list(buffer_pool._kept) == []


@pytest.fixture(params=["counting", "lending"])
def slab(request, monkeypatch):
    """A slab that notices by counting references that nobody holds it, and one as it is without
    exact counts."""
    if request.param == "lending":
        if not buffer_pool._LENDS:
            pytest.skip("this Python doesn't say when a view is released")
        monkeypatch.setattr(buffer_pool, "_COUNTS", False)
    elif not buffer_pool._COUNTS:
        pytest.skip("references aren't counted exactly here")
    return buffer_pool.Slab(4096)


def fill_up(slab):
    """An answer that needs all of it."""
    _, view, used = slab.open()
    slab.close(len(slab))
    return view[used:]


def test_a_slab_is_used_again_once_nobody_holds_it(slab):
    answer = fill_up(slab)
    part = memoryview(answer)[5:10].cast("B")
    assert not slab.usable(1)
    del answer
    assert not slab.usable(1)
    part.release()
    assert slab.usable(len(slab))
    first, second = fill_up(slab), fill_up(slab)
    del first
    assert not slab.usable(1)
    del second
    assert slab.usable(len(slab))


def test_a_slab_that_never_tells_is_not_used_again(slab, monkeypatch):
    monkeypatch.setattr(buffer_pool, "_COUNTS", False)
    monkeypatch.setattr(buffer_pool, "_LENDS", False)
    fill_up(slab)
    assert not slab.usable(1)


def test_answers_in_lent_slabs_never_change(monkeypatch, alice):
    if not buffer_pool._LENDS:
        pytest.skip("this Python doesn't say when a view is released")
    monkeypatch.setattr(buffer_pool, "_COUNTS", False)
    to = cmstream.Recipients([alice.recipient])

    def work(_):
        held, copies = [], []
        for round_ in range(12):
            answers = cmstream.encrypt_many([(bytes(3000 * i), to) for i in range(20)], form="der")
            held += answers[round_::7]
            copies += map(bytes, answers[round_::7])
        return held == copies

    with ThreadPoolExecutor(2) as threads:
        assert all(threads.map(work, range(2)))


@COUNTS
def test_memory_that_is_used_again_forgets_the_hash_of_the_old_answer():
    answer = filled(LARGE, all_of(1))
    hash(answer)
    place = id(answer)
    del answer
    again = filled(LARGE, all_of(2))
    assert id(again) == place
    assert hash(again) == hash(bytes([2]) * LARGE)
