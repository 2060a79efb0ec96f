"""Loads mail servers by smtp-source, and reads what that costs: time until the last message has
arrived, or processor time of one process in between."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from measure import Clocks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mail_servers import Place

SENDER = "carol@example.net"
LONGEST = 300  # seconds that one sample may take


class Load(NamedTuple):
    """A message that is sent again and again. ``sessions``: over so many connections at a time,
    which are used again. ``mailbox``: a folder that is emptied before, since Dovecot gets slower
    with each message in it."""

    place: Place
    to: str
    count: int
    sessions: int = 10
    lmtp: bool = False
    mailbox: Path | None = None

    def send(self, message: Path) -> None:
        """By smtp-source, until the last reply has come."""
        words = [*(["-L"] if self.lmtp else []), "-d", "-m", self.count, "-s", self.sessions]
        subprocess.run(
            ["smtp-source", *map(str, words), "-F", message, "-f", SENDER, "-t", self.to,
             f"inet:{self.place}"],
            check=True, timeout=LONGEST,
        )  # fmt: skip


class Delivered:
    """Counts what Postfix says it has delivered, by the lines that its log has got since."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("rb")
        self._log.seek(0, os.SEEK_END)

    def wait(self, count: int) -> None:
        """Until so many messages more have been delivered. Raises RuntimeError when one wasn't."""
        end, rest = time.monotonic() + LONGEST, b""
        while count > 0:
            *lines, rest = (rest + self._log.read()).split(b"\n")
            for line in lines:
                count -= b"status=sent" in line
                if b"status=deferred" in line or b"status=bounced" in line:
                    raise RuntimeError(line.decode())
            if time.monotonic() > end:
                raise RuntimeError(f"{self._log.name}: {count} messages are missing")
            time.sleep(0.002)


class Sending:
    """A row: seconds until all replies have come; with ``log``, Postfix's, until all messages have
    been delivered; or with ``process`` that one's processor time."""

    def __init__(self, load: Load, message: Path, *, log: Path | None = None,
                 process: int | None = None) -> None:  # fmt: skip
        self._load, self._message, self._log, self._process = load, message, log, process
        self._spent = 0.0

    def clocks(self) -> Clocks:
        if self._process is None:
            return Clocks(self._spent, None)
        cpu = processor_time(self._process)
        return Clocks(cpu, cpu)

    def __call__(self) -> int:
        load = self._load
        if load.mailbox is not None and load.mailbox.exists():
            shutil.rmtree(load.mailbox, ignore_errors=True)
        delivered = Delivered(self._log) if self._log else None
        begun = time.perf_counter()
        load.send(self._message)
        if delivered:
            delivered.wait(load.count)
        self._spent += time.perf_counter() - begun
        return load.count


class Command:
    """A row: the processor time of a program that reads a message and ends."""

    def __init__(self, words: Sequence[Any], message: Path) -> None:
        self._words, self._message = [str(word) for word in words], message

    def clocks(self) -> Clocks:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime
        return Clocks(cpu, cpu)

    def __call__(self) -> int:
        with self._message.open("rb") as message:
            subprocess.run(self._words, stdin=message, stdout=subprocess.DEVNULL, check=True)
        return 1


def processor_time(process: int) -> float:
    """Seconds of all threads of a process, in user and kernel mode, to the nanosecond: its clock,
    whose number clock_getcpuclockid(3) would give."""
    return time.clock_gettime(~process << 3 | 2)
