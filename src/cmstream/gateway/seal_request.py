"""What the gateway answers to one request of ``cmstream seal``: what that says without it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ..accounts import answers
from ..accounts.addresses import canonical
from ..accounts.lookup import Seal
from ..errors import CmstreamError
from .outcome import Outcome
from .protocol.envelope import Rcpt, with_domain
from .protocol.seal import Answer
from .service import Deferred

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..scratch import Scratch
    from .protocol.seal import Request
    from .service import Service

_ACTIONS = {os.EX_OK: "sealed", os.EX_TEMPFAIL: "deferred"}


class Told(NamedTuple):
    """An answer, and the message that comes with it, or None."""

    answer: Answer
    content: Scratch | memoryview | None = None


class SealRequest:
    """A request whose message has come wholly."""

    def __init__(self, service: Service, request: Request, message: Scratch, length: int) -> None:
        self._service, self._request, self._message = service, request, message
        self._length = length
        self._sentences: list[str] = []
        self._begun = time.perf_counter()
        self.outcome = Outcome(len(request.addresses), length)

    async def answer(self) -> Told:
        """Never raises: whatever goes wrong, the client tries again."""
        try:
            code, content = await self._decide()
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, CmstreamError | OSError):
                self._service.log.error(error)
            code, sentence = answers.failure(error)
            self.outcome.tell_all(_ACTIONS.get(code, "refused"), getattr(error, "code", "failed"))
            content = None
            self._sentences.append(sentence)
        self.outcome.seconds = time.perf_counter() - self._begun
        return Told(Answer(code, self._sentences), content)

    async def _decide(self) -> tuple[int, Scratch | memoryview | None]:
        """The code, and what comes out. Raises CmstreamError, OSError."""
        service, limit = self._service, self._service.settings.size_limit
        if self._length > limit:
            return self._refuse("too-large", f"the message is longer than {limit} bytes")
        if len(self._request.addresses) > service.settings.recipient_limit:
            return self._defer("too-many-recipients", "these are too many addresses for one call")
        domain = service.settings.domain
        addresses = [with_domain(one, domain) for one in self._request.addresses]
        for address in addresses:
            canonical(address)
        found = await service.seals(addresses, appended=self._request.append)
        seals = [one for one in found if isinstance(one, Seal)]
        for one in found:
            if isinstance(one, Deferred):
                return self._defer(one.code, one.why)
        return await self._seal(seals)

    async def _seal(self, seals: Sequence[Seal]) -> tuple[int, Scratch | memoryview | None]:
        service, message = self._service, self._message
        self._sentences += answers.notes(seals)
        to = service.together(seals)
        if to is None:
            for place, one in enumerate(seals):
                self.outcome.tell(place, "left", one.reason.code)
            return self._leave(answers.why_left(seals))
        if await service.is_encrypted(message):
            self.outcome.tell_all("left", "already-encrypted")
            return self._leave(answers.ALREADY)
        self._sentences += answers.warnings(message, seals, *to)
        begun = time.perf_counter()
        sealed = await service.seal(message, *to)
        self.outcome.seal_seconds = time.perf_counter() - begun
        self.outcome.tell_all("sealed", "enabled")
        return os.EX_OK, sealed

    # --- what isn't sealed

    def _leave(self, why: str) -> tuple[int, Scratch | None]:
        require = self._request.require or self._service.settings.require
        code, sentence = answers.unchanged(why, require=require)
        self._sentences.append(sentence)
        if code:
            for place, (_, reason, *_rest) in enumerate(self.outcome.recipients):
                self.outcome.tell(place, "deferred", reason)
            return code, None
        return code, self._message

    def _refuse(self, code: str, sentence: str) -> tuple[int, None]:
        self.outcome.tell_all("refused", code)
        self._sentences.append(f"{sentence} [{code}]")
        return os.EX_DATAERR, None

    def _defer(self, code: str, sentence: str) -> tuple[int, None]:
        self.outcome.tell_all("deferred", code)
        self._sentences.append(f"{sentence} [{code}]")
        return os.EX_TEMPFAIL, None

    @property
    def recipients(self) -> list[Rcpt]:
        """Whom the message is for, as the log names them."""
        return [Rcpt(one.encode(errors="replace"), (), one) for one in self._request.addresses]
