"""The Gatherer: every caller gets its own answer, whatever the others do; bounds, and the end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import subprocess
import sys
import threading
import time

import pytest

import cmstream
from cmstream import gather
from helpers.opening import open_cms, open_message

PLAIN = b"Subject: x\r\n\r\n"


@pytest.fixture
def to(alice):
    return cmstream.Recipients([alice.recipient])


@pytest.fixture
def gate(monkeypatch):
    """Holds every batch up until it is opened; tells what the batches were."""
    real, opened, batches = gather.encrypt_many, threading.Event(), []

    def held(orders, **options):
        batches.append([bytes(data) for data, _, _ in orders])
        assert opened.wait(20)
        return real(orders, **options)

    monkeypatch.setattr(gather, "encrypt_many", held)
    held.open, held.batches = opened.set, batches
    yield held
    opened.set()


def until(truth):
    end = time.monotonic() + 20
    while not truth():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_every_task_gets_its_own_answer(alice, to):
    async def main():
        async with cmstream.Gatherer() as many:
            messages = [PLAIN + b"%d\r\n" % i * (i % 40) for i in range(500)]
            answers = await asyncio.gather(*[many.encrypt_message(m, to) for m in messages])
            return messages, answers

    messages, answers = asyncio.run(main())
    for message, answer in zip(messages, answers, strict=True):
        assert open_message(bytes(answer), alice.key)[1] == message[len(PLAIN) - 2 :]


def test_every_thread_gets_its_own_answer(alice, to):
    with cmstream.Gatherer(workers=3) as many:
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            contents = [b"%d" % i * (i % 300) for i in range(400)]
            futures = list(threads.map(lambda c: many.submit(c, to, form="der"), contents))
        answers = [future.result(20) for future in futures]
    for content, answer in zip(contents, answers, strict=True):
        assert open_cms(bytes(answer), alice.key).content == content


def test_forms_and_policies_may_be_mixed(alice, to):
    async def main():
        async with cmstream.Gatherer(workers=1) as many:
            policy = cmstream.DEFAULT.clone(cipher="aes128-cbc")
            return await asyncio.gather(
                many.encrypt(b"one", to),
                many.encrypt_message(PLAIN + b"two\r\n", to, policy=policy),
                many.encrypt(b"three", to, form="pem", policy=policy),
            )

    der, message, pem = map(bytes, asyncio.run(main()))
    assert open_cms(der, alice.key)[:2] == (b"one", "aes256-cbc")
    assert open_message(message, alice.key)[1] == b"\r\ntwo\r\n"
    assert pem.startswith(b"-----BEGIN CMS-----")


def test_errors_go_to_their_callers(alice, to):
    async def main():
        async with cmstream.Gatherer() as many:
            return await asyncio.gather(
                many.encrypt_message(PLAIN, to),
                many.encrypt_message(PLAIN, []),
                many.encrypt_message(b"A: " + b"b" * (5 << 20), to),
                many.encrypt_message(42, to),
                many.encrypt(b"", to, form="cms"),
                many.encrypt_message(PLAIN, to),
                return_exceptions=True,
            )

    first, *errors, last = asyncio.run(main())
    codes = [getattr(error, "code", type(error).__name__) for error in errors]
    assert codes == ["no-recipients", "header-too-large", "TypeError", "ValueError"]
    for answer in (first, last):
        assert open_message(bytes(answer), alice.key)[1] == b"\r\n"


def test_whatever_happens_nobody_waits_in_vain(monkeypatch, to):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(gather, "encrypt_many", fail)
    with cmstream.Gatherer() as many:
        futures = [many.submit(PLAIN, to) for _ in range(3)]
        for future in futures:
            with pytest.raises(MemoryError):
                future.result(20)


def test_calls_of_one_turn_are_one_batch(gate, to):
    async def main():
        async with cmstream.Gatherer(workers=1) as many:
            calls = [asyncio.ensure_future(many.encrypt(b"%d" % i, to)) for i in range(40)]
            await asyncio.sleep(0.05)
            gate.open()
            await asyncio.gather(*calls)

    asyncio.run(main())
    assert gate.batches == [[b"%d" % i for i in range(40)]]


def test_what_comes_meanwhile_is_the_next_batch(gate, to):
    with cmstream.Gatherer(workers=1) as many:
        first = many.submit(b"0", to, form="der")
        until(lambda: gate.batches)
        others = [many.submit(b"%d" % i, to, form="der") for i in range(1, 20)]
        gate.open()
        for future in (first, *others):
            future.result(20)
    assert gate.batches == [[b"0"], [b"%d" % i for i in range(1, 20)]]


def test_batches_are_bounded_and_shared(monkeypatch, gate, to):
    monkeypatch.setattr(gather, "BATCH_COUNT", 10)
    monkeypatch.setattr(gather, "BATCH_OCTETS", 1000)
    sizes = [10] * 12 + [600, 600, 2000, 1]
    with cmstream.Gatherer(workers=1) as many:
        many.submit(b"", to, form="der")
        until(lambda: gate.batches)
        for size in sizes:
            many.submit(bytes(size), to, form="der")
        gate.open()
    lengths = [list(map(len, batch)) for batch in gate.batches]
    assert lengths == [[0], [10] * 10, [10, 10, 600], [600], [2000], [1]]


def test_a_worker_may_wait_for_more(gate, to):
    gate.open()
    with cmstream.Gatherer(workers=1, wait=2) as many:
        futures = [many.submit(b"%d" % i, to, form="der") for i in range(2)]
        time.sleep(0.05)
        futures.append(many.submit(b"2", to, form="der"))
        for future in futures:
            future.result(20)
    assert gate.batches == [[b"0", b"1", b"2"]]


def test_those_without_room_wait_and_are_answered(gate, alice, to):
    entered = []

    def call(many, i):
        future = many.submit(b"%d" % i, to, form="der")
        entered.append(i)
        return future.result(20)

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        many = cmstream.Gatherer(workers=1, queue=2)
        calls = [threads.submit(call, many, 0)]
        until(lambda: gate.batches)
        calls += [threads.submit(call, many, i) for i in range(1, 6)]
        until(lambda: len(entered) == 3 and len(many._outside) == 3)
        closing = threading.Thread(target=many.close)
        closing.start()
        until(lambda: many._closed)
        with pytest.raises(RuntimeError, match="closed"):
            many.submit(b"", to)
        gate.open()
        closing.join(20)
        contents = [open_cms(bytes(call.result(20)), alice.key).content for call in calls]
    assert contents == [b"%d" % i for i in range(6)]


def test_tasks_without_room_are_answered_at_the_end(alice, to):
    async def main():
        async with cmstream.Gatherer(workers=1, queue=3) as many:
            calls = [asyncio.ensure_future(many.encrypt(b"%d" % i, to)) for i in range(50)]
            await asyncio.sleep(0)
            assert len(many._queue) <= 3
        return await asyncio.gather(*calls)

    answers = asyncio.run(main())
    assert [open_cms(bytes(a), alice.key).content for a in answers] == [
        b"%d" % i for i in range(50)
    ]


def test_a_cancelled_task_is_left_out(gate, alice, to):
    async def main():
        async with cmstream.Gatherer(workers=1) as many:
            first = asyncio.ensure_future(many.encrypt(b"first", to))
            await asyncio.to_thread(until, lambda: gate.batches)
            calls = [asyncio.ensure_future(many.encrypt(b"%d" % i, to)) for i in range(3)]
            await asyncio.sleep(0)
            calls[1].cancel()
            await asyncio.sleep(0)
            first.cancel()  # under way already: its answer is dropped
            gate.open()
            return await asyncio.gather(first, *calls, return_exceptions=True)

    first, zero, one, two = asyncio.run(main())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(one, asyncio.CancelledError)
    assert gate.batches == [[b"first"], [b"0", b"2"]]
    assert open_cms(bytes(zero), alice.key).content == b"0"
    assert open_cms(bytes(two), alice.key).content == b"2"


def test_a_cancelled_future_is_left_out(gate, to):
    with cmstream.Gatherer(workers=1) as many:
        first = many.submit(b"first", to, form="der")
        until(lambda: gate.batches)
        second, third = (many.submit(b"%d" % i, to, form="der") for i in (2, 3))
        assert second.cancel()
        gate.open()
        assert third.result(20)
        assert first.result(20)
    assert gate.batches == [[b"first"], [b"3"]]


def test_a_loop_that_is_gone_harms_nobody(gate, to):
    many = cmstream.Gatherer(workers=1)

    async def leave():
        task = asyncio.ensure_future(many.encrypt(b"x", to))
        await asyncio.to_thread(until, lambda: gate.batches)
        task.cancel()

    asyncio.run(leave())
    future = many.submit(b"y", to, form="der")
    gate.open()
    assert future.result(20)
    many.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", -1), ("queue", 0), ("wait", -1), ("wait", math.nan), ("wait", math.inf),
        ("wait", 2 * threading.TIMEOUT_MAX),
    ],
)  # fmt: skip
def test_absurd_bounds_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}: must be . or more"):
        cmstream.Gatherer(**{name: value})


@pytest.mark.parametrize("name", ["workers", "queue", "wait"])
def test_a_bound_that_is_no_number_is_a_wrong_call(name):
    for wrong in ("1", 1.5, [], None)[: 3 if name == "workers" else 4]:
        if (name, wrong) != ("wait", 1.5):
            with pytest.raises(TypeError, match=f"{name}: give a .*number.*, not "):
                cmstream.Gatherer(**{name: wrong})


def test_data_that_is_no_bytes_is_refused_in_the_callers_words(to):
    with cmstream.Gatherer(workers=1) as many:
        with pytest.raises(TypeError, match="message or content: give bytes, not text"):
            many.submit("text", to)
        with pytest.raises(TypeError, match="NoneType isn't bytes-like"):
            asyncio.run(many.encrypt(None, to))


def test_the_end_does_not_wait_for_more(to):
    with cmstream.Gatherer(workers=1, wait=3600) as many:
        future = many.submit(PLAIN, to)
        until(lambda: not many._free or many._queue)
    assert future.done()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_callback_may_submit_and_must_not_close(monkeypatch, gate, to, workers):
    """It runs in the thread that all wait for: a worker's, or another caller's."""
    many = cmstream.Gatherer(workers=workers, queue=2)
    futures, refused = [], []

    def again(_):
        futures.extend(many.submit(PLAIN + b"%d" % i, to) for i in range(3))
        with pytest.raises(RuntimeError, match="in another thread") as caught:
            many.close()
        refused.append(caught.value)

    with monkeypatch.context() as others_first:
        others_first.setattr(many, "_work_here", lambda: False)
        many.submit(PLAIN, to).add_done_callback(again)
    gate.open()
    threading.Thread(target=many.submit, args=(PLAIN, to), daemon=True).start()
    until(lambda: refused)
    assert all(one.result(20) for one in futures)
    many.close()


@pytest.mark.parametrize("count", [1, 3, 600])
def test_without_workers_the_loop_s_own_thread_seals(alice, to, count):
    messages = [PLAIN + b"%d\r\n" % i * (i % 40) for i in range(count)]
    threads = set()

    async def main():
        async with cmstream.Gatherer(workers=0) as many:
            threads.update(threading.enumerate())
            der = many.encrypt(b"content", to)
            return await asyncio.gather(*(many.encrypt_message(m, to) for m in messages), der)

    before = set(threading.enumerate())
    *answers, der = asyncio.run(main())
    assert threads <= before
    for message, answer in zip(messages, answers, strict=True):
        assert open_message(bytes(answer), alice.key)[1] == message[len(PLAIN) - 2 :]
    assert open_cms(bytes(der), alice.key).content == b"content"


def test_without_workers_a_thread_seals_for_itself(alice, to):
    with cmstream.Gatherer(workers=0) as many:
        future = many.submit(PLAIN + b"text\r\n", to)
        assert future.done()
        assert open_message(bytes(future.result()), alice.key)[1] == b"\r\ntext\r\n"
    with pytest.raises(RuntimeError, match="closed"):
        many.submit(PLAIN, to)


def test_without_workers_errors_and_cancelled_calls_hurt_nobody(alice, to):
    async def main():
        async with cmstream.Gatherer(workers=0) as many:
            bad = asyncio.ensure_future(many.encrypt_message(b"", to))
            gone = asyncio.ensure_future(many.encrypt_message(PLAIN, to))
            good = asyncio.ensure_future(many.encrypt_message(PLAIN + b"text\r\n", to))
            await asyncio.sleep(0)
            gone.cancel()
            return await asyncio.gather(bad, gone, good, return_exceptions=True)

    bad, gone, good = asyncio.run(main())
    assert isinstance(bad, cmstream.MessageError)
    assert isinstance(gone, asyncio.CancelledError)
    assert open_message(bytes(good), alice.key)[1] == b"\r\ntext\r\n"


def test_without_workers_the_end_waits_for_all_answers(alice, to):
    async def main():
        async with cmstream.Gatherer(workers=0) as many:
            tasks = [asyncio.create_task(many.encrypt(b"%d" % n, to)) for n in range(1000)]
            await asyncio.sleep(0)  # they have called
        assert all(task.done() for task in tasks)
        return await asyncio.gather(*tasks)

    answers = asyncio.run(main())
    assert open_cms(bytes(answers[-1]), alice.key).content == b"999"


def test_without_workers_the_end_waits_for_other_threads(gate, to):
    many = cmstream.Gatherer(workers=0)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        answer = threads.submit(many.submit, PLAIN, to)
        until(lambda: gate.batches)
        end = threads.submit(many.close)
        with pytest.raises(concurrent.futures.TimeoutError):
            end.result(0.2)
        gate.open()
        end.result(20)
        assert answer.result(20).done()


def test_an_unused_one_closes():
    async def main():
        async with cmstream.Gatherer():
            pass

    asyncio.run(main())
    with cmstream.Gatherer():
        pass


def test_workers_that_found_nothing_go_on(to):
    with cmstream.Gatherer(workers=4, wait=0.01) as many:
        for _ in range(10):
            many.submit(PLAIN, to).result(20)
        assert all(thread.is_alive() for thread in many._threads)


TOO_MANY = """
import resource, threading, cmstream
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
threading.stack_size(64 << 20)
cmstream.Gatherer(workers=1).close()
for _ in range(3):
    try:
        cmstream.Gatherer(workers=100)
    except RuntimeError as error:
        print(error, threading.active_count())
cmstream.Gatherer(workers=1).close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no such limit elsewhere")
def test_one_that_gets_too_few_threads_keeps_none():
    done = subprocess.run(
        [sys.executable, "-c", TOO_MANY], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.splitlines() == ["can't start new thread 1"] * 3
    assert done.returncode == 0
