"""What came of a run over an archive, counted by reason."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

LISTED = 10_000
"""The most files that a report names; the counts are of all."""


MISSING = "missing", "the manifest has it, and it isn't there"
ALTERED = "altered", "it isn't what was written: its hash differs"


class Left(NamedTuple):
    """A source that isn't sealed, or a sealed file that isn't as it should be. ``code``: why,
    ``why``: the same for people."""

    name: str
    code: str
    why: str


class Report:
    """``done``: how many files were sealed, verified or opened; ``known``: how many need it no
    more; ``octets`` and ``sealed_octets``: how many bytes those that are done have, and have
    sealed; ``left``: how many weren't done, by code; ``named``: the first of these; ``stopped``:
    somebody stopped the run before its end."""

    def __init__(self, quiet: frozenset[str] = frozenset()) -> None:
        """``quiet``: the codes of what may be left although nothing went wrong."""
        self._quiet = quiet
        self.done = self.known = self.octets = self.sealed_octets = 0
        self.left: Counter[str] = Counter()
        self.named: list[Left] = []
        self.seconds = 0.0
        self.stopped = False

    def leave(self, left: Left) -> None:
        """Counts one that isn't done."""
        self.left[left.code] += 1
        if len(self.named) < LISTED:
            self.named.append(left)

    def count(self, octets: int, sealed_octets: int) -> None:
        """Counts one that is done."""
        self.done += 1
        self.octets += octets
        self.sealed_octets += sealed_octets

    @property
    def failed(self) -> int:
        """How many were left that should have been done."""
        return sum(count for code, count in self.left.items() if code not in self._quiet)

    @property
    def clean(self) -> bool:
        """Whether nothing was left that should have been done."""
        return not self.failed

    def as_document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "done": self.done,
            "known": self.known,
            "octets": self.octets,
            "sealed_octets": self.sealed_octets,
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "left": dict(sorted(self.left.items())),
            "files": [one._asdict() for one in self.named],
        }
