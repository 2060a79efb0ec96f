"""Keeps a run from being in the way of the mail server: a rate, hours, and low priority."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 60.0
"""Seconds between two looks at the clock, which may be set meanwhile."""


class Pace:
    """``rate``: the most bytes a second that are read, on average since the beginning. ``between``:
    when it may work, local time; the end may be on the next day. ``told``: is called with the
    seconds when a wait for these hours begins."""

    def __init__(
        self,
        rate: int | None = None,
        between: tuple[dt.time, dt.time] | None = None,
        told: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._rate, self._between, self._told = rate, between, told
        self._begun, self._octets = time.monotonic(), 0

    def wait(self) -> None:
        """Returns when the next batch may be taken."""
        if (late := self._late()) > 0:
            self._told(late)
        while (seconds := self.pause()) > 0:
            time.sleep(min(seconds, _LONGEST))

    def spent(self, octets: int) -> None:
        """So many bytes were read."""
        self._octets += octets

    def pause(self) -> float:
        """Seconds until the next batch may be taken."""
        if self._rate is None:
            return self._late()
        return max(self._late(), self._octets / self._rate - (time.monotonic() - self._begun))

    def _late(self) -> float:
        return until(dt.datetime.now().astimezone(), self._between) if self._between else 0.0


def until(now: dt.datetime, between: tuple[dt.time, dt.time]) -> float:
    """Seconds until the hours begin; 0 within them."""
    begin, end = between
    here = now.time().replace(microsecond=0)
    within = begin <= here < end if begin < end else here >= begin or here < end
    if within:
        return 0.0
    start = now.replace(hour=begin.hour, minute=begin.minute, second=0, microsecond=0)
    if start <= now:
        start += dt.timedelta(days=1)
    return (start - now).total_seconds()


def step_back() -> None:
    """Gives this process low priority for the processor, and the disk's idle class where there is
    ``ionice``."""
    os.nice(10)
    if program := shutil.which("ionice"):
        subprocess.run([program, "-c3", "-p", str(os.getpid())], check=False, capture_output=True)
