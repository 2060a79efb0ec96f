"""What is told of one message afterwards: to the log and to the metrics. Never its content."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .protocol.replies import Reply


ANOTHER_COPY = "another-copy"
"""The reason of one who is told to come back for a message of their own, which is usual."""


class Told(NamedTuple):
    """Of one recipient. ``action``: sealed, left, deferred or refused; ``reason``: the store's
    code, the error's or the gateway's own; ``detail``: a sentence, or nothing; ``reply``: the next
    hop's."""

    action: str
    reason: str
    detail: str = ""
    reply: Reply | None = None


def unmet(reply: Reply) -> str:
    """The action for a reply that isn't a good one."""
    return "refused" if reply.kind == 5 else "deferred"


class Outcome:
    """Of one message."""

    def __init__(self, count: int, length: int) -> None:
        self.length = length
        self.recipients: list[Told] = [Told("deferred", "interrupted")] * count
        self.failed = ""
        self.seconds = self.seal_seconds = self.next_seconds = 0.0

    def tell(self, place: int, action: str, reason: str, detail: str = "") -> None:
        """What becomes of one recipient's mail, and why."""
        self.recipients[place] = Told(action, reason, detail)

    def tell_all(self, action: str, reason: str, detail: str = "") -> None:
        """The same for all."""
        self.recipients = [Told(action, reason, detail)] * len(self.recipients)

    def refused(self, reply: Reply, reason: str, detail: str, places: Iterable[int]) -> None:
        """Why these get nothing now, or never, as our own reply has it."""
        for place in places:
            self.tell(place, unmet(reply), reason, detail)

    def answered(self, place: int, reply: Reply) -> None:
        """What the next hop said of it."""
        self.recipients[place] = self.recipients[place]._replace(reply=reply)
