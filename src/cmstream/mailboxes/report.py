"""Counts what a run did, and why messages stay as they are."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .change import Why

WRONG = {
    "failed", "shared-name", "compressed", "encrypted-by-server", "key-not-proved",
    "malformed-message", "header-too-large", "no-usable-certificate", "decryption-failed",
    "malformed", "truncated", "unreadable", "unsealed-parts", "no-recipient", "unsupported-cipher",
}  # fmt: skip
"""Why messages may be left that ought to have been replaced."""

_NAMED = 20
"""How many single failures are told, and places for each code."""
_ONE_OF_SEVERAL = "for example, "


class Report:
    """Of one run, over ``mailboxes`` of them. ``messages``: those that were looked at;
    ``replaced``: those that were sealed, or opened; ``bytes_before`` and ``bytes_after``: of
    these. ``places``: where messages stay for a reason of :data:`WRONG`, the first ones of each.
    ``account_in_hand``: whose mailbox it is now, empty if there is only one."""

    def __init__(self) -> None:
        self.mailboxes = self.messages = self.replaced = self.gone = 0
        self.octets = self.bytes_before = self.bytes_after = 0
        self.left: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}
        self.failures: list[str] = []
        self.places: dict[str, list[str]] = {}
        self.accounts: dict[str, str] = {}
        self.account_in_hand = ""
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

    def leave(self, why: Why, where: str) -> None:
        """A message stays as it is."""
        self.left[why.code] += 1
        if why.code in WRONG and len(self.places.setdefault(why.code, [])) < _NAMED:
            self.places[why.code].append(self._where(where))
        first = self.reasons.setdefault(why.code, why.message)
        if why.message != first and not first.startswith(_ONE_OF_SEVERAL):
            self.reasons[why.code] = f"{_ONE_OF_SEVERAL}{first}"

    def fail(self, where: str, why: str) -> None:
        """A message couldn't be replaced."""
        self.left["failed"] += 1
        if len(self.failures) < _NAMED:
            self.failures.append(f"{self._where(where)}: {why}")

    def _where(self, place: str) -> str:
        return f"{self.account_in_hand} {place}".strip()

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
            "places": dict(sorted(self.places.items())),
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
