"""Loads mail servers by smtp-source, and reads what that costs: time until the last message has
arrived, or processor time of one process in between."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Clocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mail_servers import Place, Postfix

SENDER = "carol@example.net"
LONGEST = 300  # seconds that one sample may take


def smtp_source(place: Place, message: Path, to: str, *, count: int, sessions: int,
                lmtp: bool = False) -> None:  # fmt: skip
    """Sends a message so often, over so many connections at a time, which are used again."""
    subprocess.run(
        ["smtp-source", *(["-L"] if lmtp else []), "-d", "-m", str(count), "-s", str(sessions),
         "-F", message, "-f", SENDER, "-t", to, f"inet:{place}"],
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


class Through:
    """A row: seconds until messages have gone through Postfix and what is behind it."""

    def __init__(self, postfix: Postfix, message: Path, to: str, count: int, sessions: int,
                 mailbox: Path | None = None) -> None:  # fmt: skip
        self._postfix, self._message, self._to = postfix, message, to
        self._count, self._sessions, self._mailbox = count, sessions, mailbox
        self._spent = 0.0

    def clocks(self) -> Clocks:
        return Clocks(self._spent, None)

    def __call__(self) -> int:
        empty(self._mailbox)
        delivered = Delivered(self._postfix.folder / "log")
        begun = time.perf_counter()
        smtp_source(self._postfix.place, self._message, self._to, count=self._count,
                    sessions=self._sessions)  # fmt: skip
        delivered.wait(self._count)
        self._spent += time.perf_counter() - begun
        return self._count


class Direct:
    """A row: LMTP without Postfix. Measures seconds, or with ``process`` its processor time."""

    def __init__(self, place: Place, message: Path, to: str, count: int, sessions: int, *,
                 process: int | None = None, mailbox: Path | None = None) -> None:  # fmt: skip
        self._place, self._message, self._to = place, message, to
        self._count, self._sessions, self._mailbox = count, sessions, mailbox
        self._process = process
        self._spent = 0.0

    def clocks(self) -> Clocks:
        if self._process is None:
            return Clocks(self._spent, None)
        cpu = processor_time(self._process)
        return Clocks(cpu, cpu)

    def __call__(self) -> int:
        empty(self._mailbox)
        begun = time.perf_counter()
        smtp_source(self._place, self._message, self._to, count=self._count,
                    sessions=self._sessions, lmtp=True)  # fmt: skip
        self._spent += time.perf_counter() - begun
        return self._count


class Command:
    """A row: the processor time of a program that reads a message and ends."""

    def __init__(self, words: Sequence[Any], message: Path, environment: dict[str, str]) -> None:
        self._words, self._message = list(map(str, words)), message
        self._environment = os.environ | environment

    def clocks(self) -> Clocks:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime
        return Clocks(cpu, cpu)

    def __call__(self) -> int:
        with self._message.open("rb") as message:
            subprocess.run(self._words, stdin=message, stdout=subprocess.DEVNULL, check=True,
                           env=self._environment)  # fmt: skip
        return 1


def empty(mailbox: Path | None) -> None:
    """Dovecot gets slower with each message that a mailbox has."""
    if mailbox is not None and mailbox.exists():
        shutil.rmtree(mailbox, ignore_errors=True)


def processor_time(process: int) -> float:
    """Seconds of all threads of a process, in user and kernel mode, to the nanosecond: its clock,
    whose number clock_getcpuclockid(3) would give."""
    return time.clock_gettime(~process << 3 | 2)
