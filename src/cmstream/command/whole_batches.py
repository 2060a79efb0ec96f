"""Lets a signal end a long run between two batches, not within one."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .endings import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class WholeBatches:
    """``with`` this, a signal waits until the end; a second one doesn't wait."""

    def __init__(self) -> None:
        self._within = False
        self._number: int | None = None

    def __enter__(self) -> None:
        self._within = True

    def __exit__(self, kind: object, *_: object) -> None:
        self._within = False
        if self._number is not None and kind is None:
            raise _ending(self._number)

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Where signals are handled so; where the process gets them otherwise, outside."""
        ours = threading.current_thread() is threading.main_thread()
        before = {one: signal.signal(one, self._handle) for one in (_SIGNALS if ours else ())}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, _: object) -> None:
        first, self._number = self._number is None, number
        if not (first and self._within):
            raise _ending(number)


def _ending(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Stopped(number)
