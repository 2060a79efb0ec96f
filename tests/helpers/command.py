"""Runs the command: as a process, or faster in this one, on pipes as a process has them."""

from __future__ import annotations

import os
import pty
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from subprocess import DEVNULL, CompletedProcess, Popen
from subprocess import run as run_program
from unittest import mock

from cmstream.command.cli import main


def run_process(*arguments, given=None, code=0, **options):
    """What came of it, which must have this exit code. ``given``: standard input, else none."""
    done = run_program(
        [sys.executable, "-m", "cmstream", *map(str, arguments)],
        input=given,
        stdin=None if given is not None else DEVNULL,
        capture_output=True,
        check=False,
        timeout=300,
        **options,
    )
    return _checked(done, code)


def run(*arguments, given=b"", code=0, env=()):
    """The same in this process. ``env`` is added to the environment."""
    words, found = [str(one) for one in arguments], {}
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, env))
        for number in (1, 2):
            stack.enter_context(_read(number, found))
        stack.enter_context(_written(given))
        stack.enter_context(_streams())
        try:
            found["code"] = main(words)
        except SystemExit as ending:
            found["code"] = ending.code or 0
    return _checked(CompletedProcess(words, found["code"], found[1], found[2]), code)


IMPATIENT = """
import sys
from cmstream.command import cli, progress
progress._EVERY = 0
sys.exit(cli.main())
"""


def shown_on_a_terminal(*arguments, stream="stderr", code=0, **options):
    """What this stream shows if it is a terminal; the bar moves at every piece."""
    leader, follower = pty.openpty()
    shown = b""
    command = [sys.executable, "-c", IMPATIENT, *map(str, arguments)]
    with Popen(command, **{stream: follower}, **options) as process:
        os.close(follower)
        with suppress(OSError):  # the end, when nobody holds the other side any more
            while piece := os.read(leader, 1 << 16):
                shown += piece
    os.close(leader)
    assert process.returncode == code
    return shown


def _checked(done, code):
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    return done


@contextmanager
def _streams():
    """Python's own over the three descriptors; what they hold is written in the end."""
    names = {"stdin": "r", "stdout": "w", "stderr": "w"}
    with ExitStack() as stack:
        for number, (name, mode) in enumerate(names.items()):
            stream = os.fdopen(number, mode, encoding="utf-8", closefd=False)
            stack.enter_context(stream)
            stack.enter_context(mock.patch.object(sys, name, stream))
        yield


@contextmanager
def _instead(descriptor, number):
    """Puts one descriptor in the place of another."""
    kept = os.dup(number)
    os.dup2(descriptor, number)
    os.close(descriptor)
    try:
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)


@contextmanager
def _read(number, found):
    """Reads what is written to a descriptor."""
    source, sink = os.pipe()

    def read():
        with open(source, "rb") as file:  # noqa: PTH123 - a descriptor
            found[number] = file.read()

    with _working(read), _instead(sink, number):
        yield


@contextmanager
def _written(given):
    """Writes standard input, as far as it is read."""
    source, sink = os.pipe()

    def write():
        with suppress(BrokenPipeError), open(sink, "wb", buffering=0) as file:  # noqa: PTH123
            rest = memoryview(given)
            while rest:
                rest = rest[file.write(rest) :]

    with _working(write), _instead(source, 0):
        yield


@contextmanager
def _working(target):
    thread = threading.Thread(target=target)
    thread.start()
    try:
        yield
    finally:
        thread.join()
