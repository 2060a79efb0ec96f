"""Counts what a run did, and why messages stay as they are."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .change import Why

_NAMED = 20
"""How many single failures are told."""
_ONE_OF_SEVERAL = "for example, "


class Report:
    """Of one run, over ``mailboxes`` of them. ``messages``: those that were looked at;
    ``replaced``: those that were sealed, or opened; ``bytes_before`` and ``bytes_after``: of
    these."""

    def __init__(self) -> None:
        self.mailboxes = self.messages = self.replaced = self.gone = 0
        self.octets = self.bytes_before = self.bytes_after = 0
        self.left: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}
        self.failures: list[str] = []
        self.accounts: dict[str, str] = {}
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it was begun."""
        return time.monotonic() - self._begun

    def looked(self, count: int, octets: int) -> None:
        """So many messages were taken, of so many bytes."""
        self.messages += count
        self.octets += octets

    def changed(self, before: int, after: int) -> None:
        """A message was replaced; its bytes."""
        self.replaced += 1
        self.bytes_before += before
        self.bytes_after += after

    def leave(self, why: Why, count: int = 1) -> None:
        """Messages stay as they are."""
        self.left[why.code] += count
        first = self.reasons.setdefault(why.code, why.message)
        if why.message != first and not first.startswith(_ONE_OF_SEVERAL):
            self.reasons[why.code] = f"{_ONE_OF_SEVERAL}{first}"

    def fail(self, where: str, why: str) -> None:
        """A message couldn't be replaced."""
        self.left["failed"] += 1
        if len(self.failures) < _NAMED:
            self.failures.append(f"{where}: {why}")

    def account(self, address: str, why: str) -> None:
        """A whole account stays as it is."""
        self.accounts[address] = why

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "mailboxes": self.mailboxes,
            "messages": self.messages,
            "replaced": self.replaced,
            "gone": self.gone,
            "left": dict(sorted(self.left.items())),
            "reasons": dict(sorted(self.reasons.items())),
            "failures": self.failures,
            "accounts_left": self.accounts,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "seconds": round(self.seconds, 3),
        }


def sized(octets: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if octets < 1024:  # noqa: PLR2004 - of the unit
            return f"{octets:.0f} {unit}" if unit == "bytes" else f"{octets:.1f} {unit}"
        octets /= 1024
    return f"{octets:.1f} TiB"


def timed(seconds: float) -> str:
    """A number of seconds for people."""
    if seconds < 1:
        return "less than a second"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
