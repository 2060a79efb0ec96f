"""What ``cmstream doctor`` finds: one line for each check."""

from __future__ import annotations

from typing import Literal, NamedTuple

Status = Literal["ok", "warning", "wrong"]

GROWTH = 1.4
"""A sealed message is at most so much longer than a long message."""


class Finding(NamedTuple):
    """``check``: what was looked at; ``text``: what is so; ``remedy``: what to do, or nothing."""

    check: str
    status: Status
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        told = f"{self.text}: {self.remedy}" if self.remedy else self.text
        return f"{self.status:<8} {self.check}: {' '.join(told.split())}"
