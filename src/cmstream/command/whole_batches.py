"""Lets a signal end a long run between two batches, not within one."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .endings import Stopped, heeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class WholeBatches:
    """``with`` this, a signal waits until the end; a second one doesn't wait, unless it is SIGHUP,
    which a shell and its closing terminal both send. ``tell`` is called when one waits."""

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self._tell = tell
        self._within = False
        self._number: int | None = None

    def __enter__(self) -> None:
        self._within = True

    def __exit__(self, kind: object, *_: object) -> None:
        self._within = False
        if self._number is not None and kind is None:
            raise _ending(self._number)

    def asked(self) -> bool:
        """Whether a signal waits."""
        return self._number is not None

    def wait(self, seconds: float) -> None:
        """Waits for somebody else, where nothing is begun: a signal ends it."""
        if self._number is not None:
            raise _ending(self._number)
        time.sleep(seconds)

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Where signals are handled so; where the process gets them otherwise, outside."""
        ours = threading.current_thread() is threading.main_thread()
        signals = heeded(_SIGNALS) if ours else ()
        before = {one: signal.signal(one, self._handle) for one in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                if signal.getsignal(number) == self._handle:
                    signal.signal(number, handler)

    def _handle(self, number: int, _: object) -> None:
        first, self._number = self._number is None, number
        if number == signal.SIGHUP:
            signal.signal(number, signal.SIG_IGN)  # another one may come up to the end
        if not (self._within and (first or number == signal.SIGHUP)):
            raise _ending(number)
        if first:
            self._tell()


def _ending(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Stopped(number)
