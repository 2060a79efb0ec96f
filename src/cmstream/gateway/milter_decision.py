"""What becomes of a message that a milter was told of, once it is complete: it is left, sealed, or
refused, for all its recipients alike."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import CmstreamError, MessageError
from .outcome import Outcome
from .protocol.replies import Reply
from .recipient_group import RecipientGroup
from .relay import MALFORMED, NOT_NOW, REQUIRED, WHY_REQUIRED
from .service import Deferred

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..policy import Policy
    from ..recipients.recipients import Recipients
    from ..scratch import Scratch
    from .milter_message import MilterMessage
    from .service import Service

MIXED = Reply.of(452, "4.5.3", "mail for these recipients is sealed in more than one way: send "
                 "them separately")  # fmt: skip


class Decision:
    """Of one message for these addresses. ``outcome``: what is told of it. ``refusals``: how many
    recipients were refused. ``mixed``: what the client gets where one message can't be for all."""

    def __init__(self, service: Service, message: MilterMessage, addresses: Sequence[str]) -> None:
        self._service, self._message, self._addresses = service, message, addresses
        self.refusals, self.mixed = 0, MIXED
        self.outcome = Outcome(len(addresses), len(message))

    async def decide(self) -> Scratch | memoryview | Reply | None:
        """The sealed message; None where it is left as it is; or what it is refused with."""
        begun = time.perf_counter()
        try:
            return await self._decide()
        finally:
            self.outcome.seconds = time.perf_counter() - begun

    async def _decide(self) -> Scratch | memoryview | Reply | None:
        """All recipients are looked up anew: what was said at RCPT may be hours old."""
        if self._message.refusal is not None:
            return self._refuse(self._message.refusal, "refused", self._message.refusal.text)
        seals = []
        for seal in await self._service.seals(self._addresses):
            if isinstance(seal, Deferred):
                return self._refuse(NOT_NOW, seal.code, seal.why)
            seals.append(seal)
        if not seals:
            return self._refuse(NOT_NOW, "no-recipients", "the server told of no recipient")
        require = self._service.settings.require
        if require or any(one.action == "seal" for one in seals):
            if await self._service.is_encrypted(self._message.whole()):
                self._leave(["already-encrypted"] * len(seals))
                return None
            if require and any(one.action == "leave" for one in seals):
                return self._refuse(REQUIRED, "left", WHY_REQUIRED)
        group = RecipientGroup(self._service, seals)
        if not group.is_one(refusals=self.refusals):
            return self._refuse(self.mixed, "mixed-recipients", self.mixed.text)
        common = group.seal
        reasons = [one.reason.code for one in seals]
        if common.recipients is None or common.policy is None:
            self._leave(reasons)
            return None
        return await self._seal(reasons, common.recipients, common.policy)

    async def _seal(
        self, reasons: Sequence[str], to: Recipients, policy: Policy
    ) -> Scratch | memoryview | Reply:
        begun = time.perf_counter()
        try:
            sealed = await self._service.seal(self._message.whole(), to, policy)
        except MessageError as error:
            return self._refuse(MALFORMED, error.code, str(error))
        except CmstreamError as error:
            return self._refuse(NOT_NOW, error.code, str(error))
        self.outcome.seal_seconds = time.perf_counter() - begun
        for place, reason in enumerate(reasons):
            self.outcome.tell(place, "sealed", reason)
        return sealed

    def _leave(self, reasons: Sequence[str]) -> None:
        for place, reason in enumerate(reasons):
            self.outcome.tell(place, "left", reason)

    def _refuse(self, reply: Reply, reason: str, detail: str) -> Reply:
        self.outcome.refused(reply, reason, detail, range(len(self.outcome.recipients)))
        return reply
