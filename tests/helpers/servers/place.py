"""Where a server of a test listens: an address of the loopback that this process has for itself,
so that no two processes want the same port; and waiting until something is so."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

_ports = count(2525)  # below those that the kernel gives to clients


class Place(NamedTuple):
    host: str
    port: int

    def __str__(self):
        return f"{self.host}:{self.port}"

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(self) == 0


def free() -> Place:
    """One that nobody else has."""
    high, low = divmod(os.getpid() % (1 << 16), 256)
    while (made := Place(f"127.77.{high}.{low}", next(_ports))).answers():
        pass
    return made


def wait(condition, seconds: float = 60, tell=str):
    """What a condition gives as soon as it is true; ``tell`` says what is known if it never is."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, tell()
        time.sleep(0.02)
    return found


@contextmanager
def folder(name: str):
    """A short path that every user can reach; pytest's own are neither. Gone at the end."""
    made = Path(tempfile.mkdtemp(prefix=f"cmstream-{name}-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
