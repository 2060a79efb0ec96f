"""Bounds what reading uploaded files takes: few at the same time, and little of it for one owner.

Whoever makes a PFX decides how long its password takes. So files are read beside everything else,
in threads of their own, and whoever asks for too much is refused.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from ..errors import AccessDenied

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from .auth import Caller

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 2
"""Readings at the same time in a process; others wait."""
OF_A_CALLER = 2
"""Readings of one caller that run or wait, in a process."""
WINDOW = 60.0
"""Seconds in which an owner's readings are counted,"""
SECONDS = 20.0
"""and the time of a processor that they may take in it. A file in PEM takes some milliseconds, a
PFX a second at most. Administrators import many at once: they have no such limit."""


class Readings:
    """The readings of one process. It belongs to the event loop: no other thread calls it."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._open: Counter[str] = Counter()
        self._taken: dict[str, deque[tuple[float, float]]] = {}

    async def run(self, who: Caller, work: Callable[[], T]) -> T:
        """Do it in a thread, in its turn. Raises AccessDenied ``too-many-uploads``."""
        # All tokens and people of an account are one owner.
        name = f"{who.role} {who.account or who.name}"
        self._require_few(name)
        if who.role == "owner":
            self._require_time(name)
        taken: list[float] = []
        self._open[name] += 1
        try:
            work = partial(_timed, work, taken)
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._open[name] -= 1
            self._open += Counter()  # without those that have none
            if who.role == "owner":
                self._taken.setdefault(name, deque()).append((time.monotonic(), sum(taken)))

    def _require_few(self, name: str) -> None:
        if self._open[name] >= OF_A_CALLER:
            raise _too_many(f"{OF_A_CALLER} of your files are being read already", 1)

    def _require_time(self, name: str) -> None:
        now, taken = time.monotonic(), self._taken.get(name, deque())
        while taken and taken[0][0] <= now - WINDOW:
            taken.popleft()
        left = sum(seconds for _, seconds in taken)
        if left <= SECONDS:
            return
        for at, seconds in taken:
            left -= seconds
            if left <= SECONDS:
                raise _too_many("reading your files took long", at + WINDOW - now)


def _too_many(why: str, seconds: float) -> AccessDenied:
    wait = max(1, math.ceil(seconds))
    text = f"{why}: try again in {wait} second{'s' if wait > 1 else ''}"
    return AccessDenied("too-many-uploads", text, retry_after=wait)


def _timed(work: Callable[[], T], taken: list[float]) -> T:
    start = time.thread_time()
    try:
        return work()
    finally:
        taken.append(time.thread_time() - start)


async def read(
    request: Request, who: Caller, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run a function that reads what a caller has uploaded. Raises AccessDenied
    ``too-many-uploads``, and what the function raises."""
    readings: Readings = request.app.state.readings
    return await readings.run(who, partial(function, *args, **kwargs))
