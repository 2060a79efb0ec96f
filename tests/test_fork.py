"""A process that forks: nothing in the child waits for threads that stayed in the parent, and no
memory of answers is shared."""

from __future__ import annotations

import io
import os
import signal
import threading

import pytest

import cmstream
from cmstream.engine import buffer_pool

if not hasattr(os, "fork"):
    pytest.skip("no fork here", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
MESSAGE = b"Subject: x\r\n\r\n" + b"third flower pot\r\n" * 9


def in_child(work):
    """Runs it in a forked process, and gives what it raised, in words; "" for nothing."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(60)  # a wait without an end ends so
        text = ""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told by the parent
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as told:  # noqa: PTH123
        text = told.read().decode()
    _, status = os.waitpid(child, 0)
    assert status == 0, "the child waited for ever"
    return text


def test_a_gatherer_of_the_parent_says_so(alice, me):
    with cmstream.Gatherer(workers=1) as gather:
        assert cmstream.decrypt(bytes(gather.submit(MESSAGE, alice.recipient).result()), me)
        told = in_child(lambda: gather.submit(MESSAGE, alice.recipient).result(30))
        assert told.startswith("RuntimeError: this Gatherer was made before the process forked")
        assert "make one in each process" in told
        assert in_child(gather.close) == ""
        with gather._lock:  # as a worker holds it
            assert "make one" in in_child(lambda: gather.submit(MESSAGE, alice.recipient))
            assert in_child(gather.close) == ""
        assert bytes(gather.submit(MESSAGE, alice.recipient).result(60))

    def anew():
        with cmstream.Gatherer(workers=1) as own:
            sealed = bytes(own.submit(MESSAGE, alice.recipient).result(30))
        assert b"third flower pot" in cmstream.decrypt(sealed, me)

    assert in_child(anew) == ""


def seal(alice, me, count=20):
    answers = cmstream.encrypt_many([(MESSAGE, alice.recipient)] * count)
    assert all(b"flower" in cmstream.decrypt(bytes(one), me) for one in answers)
    return answers


def test_many_are_sealed_though_a_thread_held_the_pool(alice, me):
    held, free = threading.Event(), threading.Event()
    seal(alice, me)
    (pool,) = [one for one in buffer_pool._pools if one._kept]

    def hold():
        with pool._lock:
            held.set()
            free.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    try:
        assert in_child(lambda: seal(alice, me)) == ""
    finally:
        free.set()
        thread.join()


@pytest.mark.parametrize("size", [100, 3 << 20, 5 << 20])
def test_answers_stay_as_they_are_whatever_the_other_process_seals(alice, me, size):
    data = os.urandom(size)
    answers = [*cmstream.encrypt_many([(data, alice.recipient)] * 2, form="der"),
               cmstream.encrypt(data, alice.recipient)]  # fmt: skip
    before = [bytes(one) for one in answers]

    def overwrite():
        for _ in range(3):
            kept = cmstream.encrypt_many([(bytes(size), alice.recipient)] * 2, form="der")
            assert cmstream.decrypt(bytes(kept[0]), me) == bytes(size)
            cmstream.encrypt(bytes(size), alice.recipient)
        assert [bytes(one) for one in answers] == before

    assert in_child(overwrite) == ""
    assert [bytes(one) for one in answers] == before


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes256-gcm", "chacha20-poly1305"])
def test_only_one_process_goes_on_with_a_stream(alice, me, cipher):
    """Two that encrypt with one key and one nonce give away what both say."""
    sink, policy = io.BytesIO(), cmstream.Policy(cipher=cipher)
    context = cmstream.encryptor(alice.recipient, form="message", policy=policy)
    writer = cmstream.EncryptWriter(sink, alice.recipient, policy=policy)
    sealed = context.update(MESSAGE * 1000)
    writer.write(MESSAGE * 1000)
    for call in (
        lambda: context.update(b"x"),
        lambda: context.update_into(b"x", bytearray(9999)),
        context.finalize,
        lambda: writer.write(bytes(1 << 20)),
        writer.close,
    ):
        assert in_child(call).startswith("RuntimeError: this stream was made before the process")
    assert in_child(context.abort) == in_child(writer.abort) == ""
    writer.close()
    assert cmstream.decrypt(sink.getvalue(), me) == MESSAGE * 1000
    opened = cmstream.decrypt_message(sealed + context.finalize(), me)
    assert opened.endswith((MESSAGE * 999)[-5000:])
