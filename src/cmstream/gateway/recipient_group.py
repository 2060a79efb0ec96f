"""The recipients of one message who can all get the same bytes, where a protocol has one message
and one reply for all of them (SMTP, milter)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..accounts import delivery
from ..errors import CmstreamError
from .outcome import ANOTHER_COPY, Told
from .protocol.replies import Reply
from .relay import NOT_NOW, REQUIRED, WHY_REQUIRED
from .service import Deferred

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..accounts.lookup import Seal
    from .service import Service

ANOTHER = Reply.of(452, "4.5.3", "this recipient needs another copy of the message: send it again "
                   "for the recipients that are left")  # fmt: skip
TOO_MANY = Reply.of(452, "4.5.3", "too many recipients: send the others a message of their own")
REFUSALS = 15
"""How often a session is told to come back: each counts as an error of the client, and some servers
end a session after 20."""


class RecipientGroup:
    """Takes recipients as they come; the first decides what becomes of the message. ``seals``: of
    recipients who are in it already."""

    def __init__(self, service: Service, seals: Iterable[Seal] = ()) -> None:
        self._service = service
        self._seals: list[Seal] = []
        self._kinds: list[Any] = []
        for one in seals:
            self.add(one)

    def refusal(self, seal: Seal | Deferred, *, refusals: int, room: bool = True) -> Reply | None:
        """What a recipient is told who can't have this message now; None for one who can.
        ``room``: whether one more may be taken."""
        if isinstance(seal, Deferred):
            return NOT_NOW
        if seal.action == "leave" and self._service.settings.require:
            return REQUIRED
        if not room:
            return TOO_MANY
        return None if self.takes(seal, refusals=refusals) else ANOTHER

    def takes(self, seal: Seal, *, refusals: int = 0) -> bool:
        """Whether this recipient can get what the others get. ``refusals``: how often the session
        was told to come back; beyond the limit who can open a common message gets it."""
        if not self._seals:
            return True
        first = self._seals[0]
        if seal.action != first.action:
            return False
        if _alike(seal, first):
            return True
        return self._may_join(refusals) and (
            self._is_like_another(seal) or self._opens_for_all([*self._seals, seal])
        )

    def is_one(self, *, refusals: int = 0) -> bool:
        """Whether all who are in it can get one message."""
        if len(self._seals) == 1:
            return True
        return self._may_join(refusals) and self._opens_for_all(self._seals)

    def is_of(self, seals: Iterable[Seal]) -> bool:
        """Whether it holds these and no others."""
        held, given = ({(id(one.recipients), one.policy) for one in each}
                       for each in (self._seals, seals))  # fmt: skip
        return held == given

    def _may_join(self, refusals: int) -> bool:
        return self._service.settings.mixed == "together" or refusals >= REFUSALS

    def _is_like_another(self, seal: Seal) -> bool:
        """Whether it can change nothing for those who are in: all policies are the same, and keys
        and mail programs are like somebody's. To look at all again with each recipient would take
        time by the square of their number."""
        return all(seal.policy == one[0] for one in self._kinds) and _kind(seal) in self._kinds

    def _opens_for_all(self, seals: list[Seal]) -> bool:
        """Whether every account's mail programs can open one message for all of them."""
        try:
            to = self._service.together(seals)
        except CmstreamError:
            return False
        return to is not None and not delivery.mixed_key_warnings(seals, *to)

    def add(self, seal: Seal) -> None:
        """One more."""
        if not any(_alike(seal, one) for one in self._seals):
            self._seals.append(seal)
            if (kind := _kind(seal)) not in self._kinds:
                self._kinds.append(kind)

    @property
    def seal(self) -> Seal:
        """What becomes of the message for all of them; there is at least one."""
        first = self._seals[0]
        to = self._service.together(self._seals)
        if to is None or len(self._seals) == 1:
            return first
        return replace(first, recipients=to[0], policy=to[1])


def why_refused(seal: Seal | Deferred, refusal: Reply) -> Told:
    """What the log has of a recipient who is told to come back."""
    if isinstance(seal, Deferred):
        return Told("deferred", seal.code, seal.why)
    if refusal is REQUIRED:
        return Told("deferred", seal.reason.code, WHY_REQUIRED)
    return Told("deferred", "recipient-limit" if refusal is TOO_MANY else ANOTHER_COPY)


def _kind(seal: Seal) -> Any:
    clients = seal.account.clients if seal.account else ()
    return seal.policy, {getattr(one, "key", "") for one in seal.recipients or ()}, clients


def _alike(seal: Seal, other: Seal) -> bool:
    """Whether mail for both becomes the same."""
    return seal.recipients is other.recipients and seal.policy == other.policy
