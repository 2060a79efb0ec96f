"""Runs batches in processes of this machine, one for each processor; also in this one alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from ..decryption import processors
from ..errors import RecipientWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

T = TypeVar("T")

_TERMINALS = {signal.SIGINT, signal.SIGHUP}
"""Signals that a terminal sends to all processes of a command."""


class Died(NamedTuple):
    """The answer for a batch whose worker was killed, or ended in the middle."""

    why: str


class Executor(Protocol):
    """What runs a function for each of many batches."""

    @property
    def free(self) -> bool:
        """Whether one more batch may be given now."""

    @property
    def busy(self) -> bool:
        """Whether answers are still to come."""

    def submit(self, batch: Any) -> None:
        """Gives it a batch."""

    def answers(self) -> list[tuple[Any, Any]]:
        """Waits, and gives batches with their answers, or with Died. Raises what the function
        raises."""

    def close(self) -> None:
        """Ends it; what is still running may not end."""


class Here(Generic[T]):
    """Runs them in this process."""

    def __init__(self, work: Callable[[T], Any]) -> None:
        self._work = work
        self._waiting: deque[T] = deque()

    @property
    def free(self) -> bool:
        """As Executor says."""
        return not self._waiting

    @property
    def busy(self) -> bool:
        """As Executor says."""
        return bool(self._waiting)

    def submit(self, batch: T) -> None:
        """As Executor says."""
        self._waiting.append(batch)

    def answers(self) -> list[tuple[T, Any]]:
        """As Executor says."""
        batch = self._waiting.popleft()
        return [(batch, self._work(batch))]

    def close(self) -> None:
        """Nothing is left to be done."""


class Processes(Generic[T]):
    """Runs them in processes, which end when this one does, however it does: with it ends the pipe
    at which they look."""

    def __init__(self, work: Callable[[T], Any], count: int) -> None:
        self._work, self._count = work, count
        self._running: dict[Future[Any], T] = {}
        self._theirs, self._ours = multiprocessing.Pipe(duplex=False)
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        # A fork would take over threads' locks: those of a bucket's library, for instance.
        context = multiprocessing.get_context("spawn")
        with _held_back():  # for the process that watches over semaphores
            return ProcessPoolExecutor(
                self._count, mp_context=context, initializer=_begin, initargs=(self._theirs,)
            )

    @property
    def free(self) -> bool:
        """As Executor says."""
        return len(self._running) <= self._count  # one waits, so that no process does

    @property
    def busy(self) -> bool:
        """As Executor says."""
        return bool(self._running)

    def submit(self, batch: T) -> None:
        """As Executor says."""
        try:
            with _held_back():
                future = self._pool.submit(self._work, batch)
        except BrokenProcessPool as error:
            future = Future()
            future.set_exception(error)
        except BrokenPipeError:
            raise ChildProcessError(
                "another process can't be started: give --processes 1"
            ) from None
        self._running[future] = batch

    def answers(self) -> list[tuple[T, Any]]:
        """As Executor says."""
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        found: list[tuple[T, Any]] = []
        broken = False
        for future in done:
            batch = self._running.pop(future)
            try:
                found.append((batch, future.result()))
            except BrokenProcessPool:
                broken = True
                found.append((batch, Died("its process was killed")))
        if broken:  # the pool ends all its processes, and none comes back
            found += [(batch, Died("its process was killed")) for batch in self._running.values()]
            self._running.clear()
            self._pool.shutdown(wait=True)
            self._pool = self._start()
        return found

    def close(self) -> None:
        """As Executor says."""
        if self._running:
            self._ours.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._ours.close()
        self._theirs.close()


@contextmanager
def _held_back() -> Iterator[None]:
    """What a terminal sends comes after the block, in this process and in what is started in it. It
    goes to all of them, and Python, which is just starting, would print where it was."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(pipe: Connection) -> None:
    """In a worker. What is to be known of the recipients, whoever started it says."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # whoever started it gets it, too, and ends it
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _wait_for_another)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERMINALS)
    warnings.simplefilter("ignore", RecipientWarning)
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()


def _wait_for_another(number: int, _: object) -> None:
    """Whoever started the worker has the interrupt of a terminal, too, and may wait for what the
    worker does; the second one ends it without a word."""
    signal.signal(number, signal.SIG_DFL)


def _end_with(pipe: Connection) -> None:
    pipe.poll(None)  # nothing is ever sent
    os._exit(1)


def local(work: Callable[[Any], Any], count: int | None) -> Executor:
    """What runs ``work`` in so many processes, by default one for each processor."""
    count = count if count is not None else processors()
    return Here(work) if count == 1 else Processes(work, count)
