"""The gateway as a whole: its sockets, its processes, and signals."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NoReturn

from . import tls, worker
from .metrics import FOLDER, forget_process
from .sockets import listening, notify, own_file

if TYPE_CHECKING:
    import socket

    from .settings import Settings

AGAIN = 1.0
"""Seconds between the start of a worker and that of the one that takes its place, at least."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_READY = b"r"
"""What a worker tells once it can take mail; no signal has its number."""
_MANY = 4096


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises NoSocket where it can't listen, TlsError for files
    that can't be used."""
    _allow_many_files()
    tls.check(settings)  # here, and not in each of several workers
    with ExitStack() as closing:
        mode, group = int(settings.socket_mode, 8), settings.socket_group
        sockets = []
        for place in settings.listen:
            sockets.append(closing.enter_context(listening(place, mode, group)))
            if place.path:
                closing.enter_context(own_file(place.path))
        health = None
        if settings.health is not None:
            health = closing.enter_context(listening(settings.health))
        if settings.workers == 1:
            worker.run(settings, sockets, health, _ready)
        else:
            folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="cmstream-"))
            os.environ[FOLDER] = folder
            _Workers(settings, sockets, health).run()


def _tell(text: str) -> None:
    sys.stderr.write(f"cmstream: {text}\n")
    sys.stderr.flush()


def _ready() -> None:
    notify("READY=1")
    _tell("the gateway is ready")


def _allow_many_files() -> None:
    """Each connection is one, and many systems begin with 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Workers:
    """Processes that share the sockets; one that ends by itself is replaced."""

    def __init__(self, settings: Settings, sockets: list[socket.socket],
                 health: socket.socket | None) -> None:  # fmt: skip
        self._settings, self._sockets, self._health = settings, sockets, health
        self._running: dict[int, float] = {}
        self._ending = False
        self._able = 0
        self._lifeline, self._alive = os.pipe()
        self._heard, self._told = os.pipe()
        os.set_blocking(self._told, False)

    def run(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, self._pass_on)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only with a handler it wakes anybody
        # A byte for each signal: one that comes right before it is waited for wakes too.
        signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)
        for _ in range(self._settings.workers):
            self._start()
        while self._running:
            self._wait()

    def _wait(self) -> None:
        """For the next worker that is ready, that has ended, or the next signal."""
        select.select([self._heard], [], [])
        told = os.read(self._heard, _MANY)
        before, self._able = self._able, self._able + told.count(_READY)
        if before < self._settings.workers <= self._able and not self._ending:
            _ready()
        while self._running and self._replace():
            pass

    def _start(self) -> None:
        """None is started where the end has begun: nobody would tell it to end."""
        # No signal may come before it is known to whom it must be passed on.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if not self._ending:
            process = os.fork()
            if not process:
                self._work()
            self._running[process] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _work(self) -> NoReturn:
        code = os.EX_SOFTWARE
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(self._alive)
            worker.run(self._settings, self._sockets, self._health, self._tell_ready,
                       self._lifeline)  # fmt: skip
            code = os.EX_OK
        except BaseException as error:  # noqa: BLE001 - a process of its own ends here
            _tell(f"a worker ends: {error}")
        finally:
            os._exit(code)

    def _tell_ready(self) -> None:
        os.write(self._told, _READY)

    def _replace(self) -> bool:
        """Looks for one that has ended, and whether there was one."""
        try:
            process, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            self._running.clear()
            return False
        if not process:
            return False
        started = self._running.pop(process, None)
        forget_process(process)
        if started is not None and not self._ending:
            time.sleep(max(0.0, started + AGAIN - time.monotonic()))
            if not self._ending:
                _tell("a worker has ended, and another one starts")
                self._start()
        return True

    def _pass_on(self, number: int, _: object) -> None:
        self._ending = self._ending or number != signal.SIGHUP
        for process in tuple(self._running):
            with suppress(ProcessLookupError):
                os.kill(process, number)
