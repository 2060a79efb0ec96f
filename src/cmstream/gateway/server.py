"""The gateway as a whole: its sockets, its processes, and signals."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from . import worker
from .metrics import forget_process
from .sockets import listening, notify

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .settings import Settings

AGAIN = 1.0
"""Seconds between the start of a worker and that of the one that takes its place, at least."""


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises NoSocket where it can't listen."""
    with ExitStack() as closing:
        sockets = [closing.enter_context(listening(place)) for place in settings.listen]
        health = None
        if settings.health is not None:
            health = closing.enter_context(listening(settings.health))
        if settings.workers == 1:
            worker.run(settings, sockets, health, _ready)
        else:
            folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="cmstream-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            _Workers(settings, sockets, health).run()
        for place in settings.listen:
            if place.path:
                with suppress(OSError):
                    os.unlink(place.path)  # noqa: PTH108


def _tell(text: str) -> None:
    sys.stderr.write(f"cmstream: {text}\n")
    sys.stderr.flush()


def _ready() -> None:
    notify("READY=1")
    _tell("the gateway is ready")


class _Workers:
    """Processes that share the sockets; one that ends by itself is replaced."""

    def __init__(self, settings: Settings, sockets: list[socket.socket],
                 health: socket.socket | None) -> None:  # fmt: skip
        self._settings, self._sockets, self._health = settings, sockets, health
        self._running: dict[int, float] = {}
        self._ending = False

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._pass_on)
        channel, told = os.pipe()
        for _ in range(self._settings.workers):
            self._start(lambda: os.write(told, b"r"))
        for _ in range(self._settings.workers):
            os.read(channel, 1)
        _ready()
        while self._running:
            self._wait()

    def _start(self, ready: Callable[[], object]) -> None:
        process = os.fork()
        if process:
            self._running[process] = time.monotonic()
            return
        code = os.EX_SOFTWARE
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            worker.run(self._settings, self._sockets, self._health, ready)
            code = os.EX_OK
        except BaseException as error:  # noqa: BLE001 - a process of its own ends here
            _tell(f"a worker ends: {error}")
        finally:
            os._exit(code)

    def _wait(self) -> None:
        try:
            process, _ = os.waitpid(-1, 0)
        except InterruptedError:
            return
        except ChildProcessError:
            self._running.clear()
            return
        started = self._running.pop(process, None)
        forget_process(process)
        if started is None or self._ending:
            return
        time.sleep(max(0.0, started + AGAIN - time.monotonic()))
        _tell("a worker has ended, and another one starts")
        self._start(lambda: None)

    def _end(self, number: int, _: object) -> None:
        self._ending = True
        self._pass_on(number, _)

    def _pass_on(self, number: int, _: object) -> None:
        for process in tuple(self._running):
            with suppress(ProcessLookupError):
                os.kill(process, number)
