"""Gathers calls from many tasks or threads into batches for :func:`encrypt_many`."""

from __future__ import annotations

import asyncio
import math
import os
import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from .encryption import encrypt, encrypt_message
from .errors import octets_of, whole_number
from .many import encrypt_many
from .policy import DEFAULT, Policy
from .sealing import Form, check_form

if TYPE_CHECKING:
    from types import TracebackType

    from .encryption import To
    from .engine.gate import AnyBuffer

BATCH_COUNT = 256
BATCH_OCTETS = 16 << 20
"""The most messages, and the most bytes of them, in a batch; a longer message goes alone. A batch
of this size takes some milliseconds, for which its first message waits."""

QUEUE_COUNT = 4096
QUEUE_OCTETS = 256 << 20
"""The most messages, and the most bytes of them, that wait for a worker; further callers wait until
there is room."""

LEAST_SHARE = 32
"""The fewest messages of a batch when it is split among free workers: twice the lanes of C."""


class _Call:
    """One message, and who waits for it: a task of ``loop``, or a thread."""

    __slots__ = ("form", "future", "inside", "loop", "order", "size")

    def __init__(self, order: tuple[AnyBuffer, To, Policy], form: Form) -> None:
        check_form(form)
        self.order, self.form = order, form
        self.size = len(octets_of(order[0], "message or content"))
        self.inside = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: Any = None


class Gatherer:
    """Encrypts in batches, as :func:`encrypt_many` does, what many callers want encrypted at the
    same time. That is up to ten times as fast as one message after the other.

    For asyncio: ``async with Gatherer() as gather``, then ``await gather.encrypt_message(...)`` in
    as many tasks as there are. For threads: ``with Gatherer() as gather``, then
    ``gather.submit(...)``. Both may be used at once, from any number of loops and threads.

    A batch starts at the end of the event loop's turn, or when one of the ``workers`` (threads; by
    default one for each processor) becomes free. Without workers, 0, it runs in the thread that
    asks, an event loop's at the end of its turn: the least work for a processor, for messages
    that are short enough not to hold the loop up. ``wait``: how many seconds a worker that finds
    less than a full batch waits for more, which helps where few messages come at a time. At most
    ``queue`` calls, and 256 MiB of them, wait for a worker; further ones wait until there is room:
    tasks in their ``await``, threads in ``submit``.

    The end of the block, :meth:`close` and :meth:`aclose` wait until all calls made before are
    answered. A process that was forked needs a Gatherer of its own: there the calls raise
    RuntimeError. Raises ValueError for ``queue`` below 1, ``workers`` or ``wait`` below 0, or a
    ``wait`` over :data:`threading.TIMEOUT_MAX`; TypeError for what is no number.
    """

    def __init__(
        self, *, workers: int | None = None, queue: int = QUEUE_COUNT, wait: float = 0.0
    ) -> None:
        workers = os.cpu_count() or 1 if workers is None else whole_number(workers, "workers", 0)
        self._limit, self._wait = whole_number(queue, "queue", 1), _seconds(wait)
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # for workers: there is some, or an end
        self._room = threading.Condition(self._lock)  # for threads in submit: it was let in
        self._queue: deque[_Call] = deque()
        self._octets = 0
        self._outside: deque[_Call] = deque()  # those that wait for room, first come first
        self._waking: set[asyncio.AbstractEventLoop] = set()
        self._closed = False
        self._free = 0
        self._helping: list[int] = []  # the callers' threads that work on a batch
        self._threads = [
            threading.Thread(target=self._serve, name=f"cmstream-{number}", daemon=True)
            for number in range(workers)
        ]
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:  # no more threads: those that run end
            self._threads = [thread for thread in self._threads if thread.ident]
            self.close()
            raise

    # Callers

    async def encrypt_message(
        self, message: AnyBuffer, to: To, *, policy: Policy = DEFAULT
    ) -> memoryview:
        """As :func:`cmstream.encrypt_message`, and raises as it does; the answer is a read-only
        memoryview as :func:`encrypt_many` gives it, with what is said there of holding one. The
        message must not change until then. Raises RuntimeError once closed."""
        return await self._call(message, to, policy, "message")

    async def encrypt(
        self, content: AnyBuffer, to: To, *, policy: Policy = DEFAULT, form: Form = "der"
    ) -> memoryview:
        """The same for content, in ``form`` as :func:`cmstream.encrypt`: DER unless it says
        otherwise."""
        return await self._call(content, to, policy, form)

    def submit(
        self, data: AnyBuffer, to: To, *, policy: Policy = DEFAULT, form: Form = "message"
    ) -> Future[memoryview]:
        """The same for threads, in any ``form``: gives a Future at once, or as soon as there is
        room. What is submitted is a job as in :func:`encrypt_many`, and makes a message unless
        ``form`` says otherwise. Not for an event loop's own thread, which it would block. The
        Future's callbacks run in a worker's thread, which others wait for: what they submit
        doesn't wait for room. Raises RuntimeError once closed."""
        self._check_process()
        call = _Call((data, to, policy), form)
        call.future = future = Future[memoryview]()
        with self._lock:
            self._enter(call)
            self._work.notify()
            own = self._is_at_work()
            if not own:
                self._room.wait_for(lambda: call.inside)
        while not (self._threads or own) and self._work_here():
            pass
        return future

    async def _call(self, data: AnyBuffer, to: To, policy: Policy, form: Form) -> memoryview:
        self._check_process()
        call = _Call((data, to, policy), form)
        call.loop = loop = asyncio.get_running_loop()
        call.future = loop.create_future()
        with self._lock:
            self._enter(call)
            if loop not in self._waking:
                self._waking.add(loop)
                loop.call_soon(self._wake, loop)
        answer: memoryview = await call.future
        return answer

    def _is_at_work(self) -> bool:
        """Whether this thread is a worker or does a worker's part: it runs a callback, and mustn't
        wait for itself."""
        return threading.current_thread() in self._threads or threading.get_ident() in self._helping

    def _check_process(self) -> None:
        """Before any lock is taken: one of the parent's threads may have held it when it forked."""
        if self._process != os.getpid():
            raise RuntimeError(
                "this Gatherer was made before the process forked, and its workers stayed in the "
                "parent: make one in each process"
            )

    def _enter(self, call: _Call) -> None:
        if self._closed:
            raise RuntimeError("this Gatherer is closed")
        self._outside.append(call)
        self._let_in()

    def _let_in(self) -> None:
        """Lets waiting calls in while there is room. Into an empty queue a message of any size may
        go."""
        while self._outside and (
            not self._queue
            or (
                len(self._queue) < self._limit
                and self._octets + self._outside[0].size <= QUEUE_OCTETS
            )
        ):
            call = self._outside.popleft()
            call.inside = True
            self._queue.append(call)
            self._octets += call.size
        self._room.notify_all()

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """At the end of a loop's turn."""
        if not self._threads:
            self._work_in(loop)
            return
        with self._lock:
            self._waking.discard(loop)
            shares = len(self._queue) / LEAST_SHARE, self._octets / BATCH_OCTETS
            self._work.notify(math.ceil(max(shares)))

    # Without workers

    def _work_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """One batch; the next one in the loop's next turn, so that the loop isn't held up."""
        with self._lock:
            self._waking.discard(loop)
        if self._work_here(loop):
            with self._lock:
                if self._queue and loop not in self._waking:
                    self._waking.add(loop)
                    loop.call_soon(self._wake, loop)

    def _work_here(self, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        """Answers one batch in this thread; False where there is none."""
        with self._lock:
            batch = self._next_batch()
            self._let_in()
            self._helping.append(threading.get_ident())
        try:
            _answer(batch, loop)
        finally:
            with self._lock:
                self._helping.remove(threading.get_ident())
                self._room.notify_all()
        return bool(batch)

    # Workers

    def _serve(self) -> None:
        while batch := self._take():
            _answer(batch)
            del batch  # or its messages would stay until the next one comes

    def _take(self) -> list[_Call]:
        """The next batch; an empty one is the end."""
        with self._lock:
            self._free += 1
            batch: list[_Call] = []
            while not batch and not (self._closed and not self._queue):
                self._await_work()
                batch = self._next_batch()  # others may have been faster
            self._free -= 1
            self._let_in()
            return batch

    def _await_work(self) -> None:
        while not self._queue and not self._closed:
            self._work.wait()
        if self._wait and not self._closed:
            self._work.wait_for(lambda: self._closed or len(self._queue) >= BATCH_COUNT, self._wait)

    def _next_batch(self) -> list[_Call]:
        share = max(LEAST_SHARE, -(-len(self._queue) // (self._free or 1)))
        batch: list[_Call] = []
        octets = 0
        while self._queue and len(batch) < min(share, BATCH_COUNT):
            octets += self._queue[0].size
            if batch and octets > BATCH_OCTETS:
                break
            batch.append(self._queue.popleft())
            self._octets -= batch[-1].size
        return batch

    # The end

    def close(self) -> None:
        """Takes no more calls, and waits until those made before are answered. Use :meth:`aclose`
        in the thread of an event loop whose tasks wait for answers. Raises RuntimeError in a
        callback of a Future, which would wait for itself."""
        if self._process != os.getpid():  # forked: the workers, and those who wait, aren't here
            return
        if self._is_at_work():
            raise RuntimeError(
                "a callback runs in a worker's thread, and close() waits for the workers: close "
                "this Gatherer in another thread"
            )
        with self._lock:
            self._closed = True
            self._work.notify_all()
        for thread in self._threads:
            thread.join()
        while not self._threads and self._work_here():
            pass
        with self._lock:
            self._room.wait_for(lambda: not self._helping)

    async def aclose(self) -> None:
        """Like :meth:`close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Gatherer:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Gatherer:  # noqa: PYI034
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.aclose()


def _seconds(wait: Any) -> float:
    """Raises TypeError or ValueError for what a thread can't wait."""
    if not isinstance(wait, int | float):
        raise TypeError(f"wait: give a number of seconds, not {type(wait).__name__}")
    if not 0 <= wait <= threading.TIMEOUT_MAX:  # not a number isn't, either
        raise ValueError(
            f"wait={wait}: must be 0 or more seconds, and {threading.TIMEOUT_MAX:.0f} at most"
        )
    return wait


# Answers


def _answer(batch: list[_Call], here: asyncio.AbstractEventLoop | None = None) -> None:
    """``here``: the event loop in whose thread this runs."""
    wanted = [call for call in batch if _is_wanted(call)]
    ready: dict[asyncio.AbstractEventLoop, list[tuple[Any, Any]]] = {}
    alone = here is not None and len(wanted) == 1
    for call, answer in [(wanted[0], _alone(wanted[0]))] if alone else _sealed(wanted):
        if call.loop is None:
            _settle(call.future, answer)
        else:
            ready.setdefault(call.loop, []).append((call.future, answer))
    for loop, answers in ready.items():
        if loop is here:
            _settle_all(answers)
        else:
            _deliver(loop, answers)


def _is_wanted(call: _Call) -> bool:
    if call.loop is None:
        return bool(call.future.set_running_or_notify_cancel())
    return not call.future.cancelled()


def _sealed(calls: list[_Call]) -> list[tuple[_Call, Any]]:
    """Each call with its answer or its error, one form after the other."""
    done: list[tuple[_Call, Any]] = []
    for form in sorted({call.form for call in calls}):
        some = [call for call in calls if call.form == form]
        try:
            answers: list[Any] = list(
                encrypt_many([call.order for call in some], form=form, return_exceptions=True)
            )
        except BaseException as error:  # noqa: BLE001 - out of memory, say: nobody waits in vain
            answers = [error] * len(some)
        done += zip(some, answers, strict=True)
    return done


def _alone(call: _Call) -> Any:
    """The answer to the only call: a batch of one takes longer than a message by itself."""
    data, to, policy = call.order
    try:
        if call.form == "message":
            return memoryview(encrypt_message(data, to, policy=policy)).toreadonly()
        return memoryview(encrypt(data, to, policy=policy, form=call.form)).toreadonly()
    except BaseException as error:  # noqa: BLE001 - as above
        return error


def _deliver(loop: asyncio.AbstractEventLoop, answers: list[tuple[Any, Any]]) -> None:
    try:
        loop.call_soon_threadsafe(_settle_all, answers)
    except RuntimeError:
        """The loop was closed, and with it went all who waited there."""


def _settle_all(answers: list[tuple[Any, Any]]) -> None:
    for future, answer in answers:
        if not future.done():  # cancelled meanwhile
            _settle(future, answer)


def _settle(future: Any, answer: Any) -> None:
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
