"""A connection of ``cmstream seal``, or of another program that speaks the protocol ``seal:``."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from ..scratch import Scratch
from .listener import address
from .protocol.seal import END, Answer, ProtocolError, Reader, Request, chunk
from .seal_request import SealRequest

if TYPE_CHECKING:
    from .listener import Listener

PIECE = 64 << 10
"""Bytes that are written before the client must have taken some."""


class SealConnection(asyncio.Protocol):
    """Requests one after the other; while one is worked on, nothing more is read."""

    def __init__(self, listener: Listener) -> None:
        self.listener, self.service = listener, listener.service
        self.loop = asyncio.get_running_loop()
        self.transport: Any = None
        self._reader = Reader(Request.read)
        self._request: Request | None = None
        self._message = Scratch(self.service.settings.memory)
        self._length = 0
        self._busy: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._active = self.loop.time()
        self._over = False

    # --- asyncio's side

    def connection_made(self, transport: Any) -> None:
        """Asyncio's."""
        self.transport = transport
        transport.set_write_buffer_limits(high=PIECE)
        refusal = self.listener.enter(self)
        if refusal is not None:
            self._abandon(refusal.text)

    def data_received(self, data: bytes) -> None:
        """Asyncio's."""
        self._active = self.loop.time()
        if self._over:
            return
        self._reader.receive(data)
        if self._busy is None:
            self._proceed()

    def eof_received(self) -> bool:
        """A client that has sent all may close its side, and still reads its answers."""
        self._over = True
        return self._busy is not None

    def connection_lost(self, _: Exception | None) -> None:
        """Asyncio's."""
        self._over = True
        self.listener.leave(self)
        self._free()
        if self._busy is None:
            self._message.close()

    def pause_writing(self) -> None:
        """Asyncio's: the client doesn't read as fast as it is written to."""
        self._active = self.loop.time()
        self._room = self.loop.create_future()

    def resume_writing(self) -> None:
        """Asyncio's."""
        self._active = self.loop.time()
        self._free()

    def _free(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # --- the listener's side

    def check_time(self, now: float) -> None:
        """Ends a connection whose client is silent, or takes nothing, for too long."""
        settings = self.service.settings
        resting = self._reader.between and self._busy is None
        limit = settings.command_timeout if resting else settings.data_timeout
        waits_for_client = self._busy is None or self._room is not None
        if waits_for_client and now - self._active > limit:
            self.transport.abort()

    def finish_up(self) -> None:
        """The gateway ends: the connection too, once the request that has begun is answered."""
        if self._busy is None and self._reader.between:
            self.transport.close()

    # --- requests

    def _proceed(self) -> None:
        """Handles what has come, up to the end of a request."""
        try:
            while self._busy is None and (event := self._reader.next_event()) is not None:
                self._handle(event)
        except ProtocolError as error:
            self._abandon(str(error))
        except OSError as error:
            self._abandon(f"the gateway has no room for the message ({error.strerror}): try again")

    def _handle(self, event: Request | Answer | bytes) -> None:
        if isinstance(event, Request):
            self._request = event
            self._begin()
        elif isinstance(event, bytes) and event:
            self._take(event)
        else:
            self.transport.pause_reading()
            self._busy = self.loop.create_task(self._answer())

    def _begin(self) -> None:
        self._message.close()
        self._message = Scratch(self.service.settings.memory)
        self._length = 0

    def _take(self, piece: bytes) -> None:
        """What is too long is read to its end, and not kept."""
        before, self._length = self._length, self._length + len(piece)
        limit = self.service.settings.size_limit
        if self._length <= limit:
            self._message.write(piece)
        elif before <= limit:
            length = self._length
            self._begin()
            self._length = length

    def _abandon(self, why: str) -> None:
        """Tells why, and ends the connection: what follows isn't to be understood."""
        self._over = True
        if not self.transport.is_closing():
            self.transport.write(Answer(os.EX_TEMPFAIL, [why]).octets() + END)
            self.transport.close()

    # --- answers

    async def _answer(self) -> None:
        try:
            await self._work()
        except Exception as error:  # noqa: BLE001 - the client gets no end, and tries again
            self.service.log.error(error)
            self.transport.abort()
        finally:
            self._busy = None
            self._message.close()
        self._active = self.loop.time()
        if self.transport.is_closing():
            return
        self._proceed()
        if self._busy is None:
            self._rest()

    def _rest(self) -> None:
        """There is no more to do before the client goes on."""
        if self._over or (self.listener.closing and self._reader.between):
            self.transport.close()
        else:
            self.transport.resume_reading()

    async def _work(self) -> None:
        if self._request is None:
            raise AssertionError("there is no request")
        request = SealRequest(self.service, self._request, self._message, self._length)
        answer, content = await request.answer()
        self.service.metrics.message(self.listener.place.protocol, request.outcome)
        self.service.log.message(
            request.outcome, protocol=self.listener.place.protocol, client=self.peer,
            queue_id="", sender=b"", recipients=request.recipients,
        )  # fmt: skip
        await self._write(answer, content)

    async def _write(self, answer: Answer, content: Scratch | memoryview | None) -> None:
        """As fast as the client reads."""
        if not isinstance(content, Scratch):
            await self._put(answer.octets() + chunk(bytes(content or b"")) + END)
            return
        try:
            await self._put(answer.octets())
            for piece in content.chunks():
                await self._put(chunk(piece))
                if self.transport.is_closing():
                    return
            await self._put(END)
        finally:
            content.close()

    async def _put(self, octets: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(octets)
        if self._room is not None:
            await self._room

    @property
    def peer(self) -> str:
        """The client's address, for the log."""
        return address(self.transport) or "unix"
