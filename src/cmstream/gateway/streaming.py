"""A long message that is given on while it comes in (the setting ``stream``).

Nobody knows its length before its end, so what goes out is BER. Whatever fails in the middle ends
the connection to the next hop, where half a message then never becomes a whole one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ..cms.already_encrypted import may_be_encrypted
from ..encryption import encryptor
from ..errors import CmstreamError, MessageError
from ..mail.mime import header_end
from . import received
from .outcome import Outcome
from .protocol.conversation import Content
from .relay import MALFORMED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ..accounts.lookup import Seal
    from .protocol.envelope import Mail, Rcpt
    from .protocol.replies import Reply
    from .service import Service
    from .settings import Settings

FULL = 1 << 20
"""Sealed bytes that wait for a slow next hop before the client has to wait too."""


class Stream:
    """One message on its way. ``room`` is called when a client that was told to wait may go on."""

    def __init__(self, service: Service, mail: Mail, rcpts: Sequence[Rcpt], seal: Seal, *,
                 attributes: Sequence[bytes], room: Callable[[], None]) -> None:  # fmt: skip
        if seal.recipients is None or seal.policy is None:
            raise ValueError(f"it isn't sealed: {seal.reason}")
        self._context = encryptor(seal.recipients, form="message", policy=seal.policy)
        self._sealed: deque[Any] = deque()
        self._waiting = 0
        self._more = asyncio.Event()
        self._room = room
        self._ended = False
        self._failed: CmstreamError | None = None
        self._begun = time.perf_counter()
        self.outcome = Outcome(len(rcpts), 0)
        self.outcome.tell_all("sealed", seal.reason.code)
        content = Content(None, self._pieces)
        self._delivery = asyncio.get_running_loop().create_task(
            service.hop.deliver(mail, rcpts, content, attributes)
        )
        self._delivery.add_done_callback(lambda _: room())

    @property
    def full(self) -> bool:
        """The client should wait."""
        return self._waiting > FULL and not self._delivery.done()

    def write(self, data: Any) -> None:
        """Takes a piece of the message."""
        self.outcome.length += len(data)
        if self._failed is None and not self._delivery.done():
            try:
                self._put(self._context.update(data))
            except CmstreamError as error:
                self._fail(error)

    async def finish(self) -> list[Reply]:
        """The message has come whole: one reply for each recipient."""
        if self._failed is None:
            try:
                self._put(self._context.finalize())
                self._ended = True
                self._more.set()
            except CmstreamError as error:
                self._fail(error)
        self.outcome.seconds = time.perf_counter() - self._begun
        if self._failed is not None:
            return self._refused(self._failed)
        replies = await self._delivery
        for place, reply in enumerate(replies):
            self.outcome.answered(place, reply)
        return replies

    def _refused(self, error: CmstreamError) -> list[Reply]:
        self.outcome.tell_all("refused", error.code, str(error))
        return [MALFORMED] * len(self.outcome.recipients)

    def forget(self) -> None:
        """The message won't come whole: the next hop must not get it."""
        self._delivery.cancel()

    def _fail(self, error: CmstreamError) -> None:
        self._failed = error
        self.forget()

    def _put(self, piece: Any) -> None:
        self._sealed.append(piece)
        self._waiting += len(piece)
        self._more.set()

    async def _pieces(self) -> AsyncIterator[Any]:
        """The sealed message, as it comes."""
        while True:
            while self._sealed:
                piece = self._sealed.popleft()
                self._waiting -= len(piece)
                if self._waiting <= FULL:
                    self._room()
                yield piece
            if self._ended:
                return
            self._more.clear()
            await self._more.wait()


def may_begin(start: bytes, settings: Settings) -> bool:
    """Whether a message that begins so may be given on before its end. Not one that may be
    encrypted already, which all of it must show, nor one whose header can't be told."""
    if settings.received and received.too_many(start, settings.hop_limit):
        return False
    try:
        end, _ = header_end(start, 0, final=False)
    except MessageError:
        return False
    return end is not None and not may_be_encrypted(start[:end], start[end:])
