"""A connection of a mail server that asks the gateway as a milter: the message stays with the
server, which is told to change its header fields and to take another body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .milter_message import MilterMessage
from .protocol import milter
from .protocol.milter import MilterSession
from .protocol.replies import ProtocolError, Reply
from .relay import NO_ROOM, NOT_NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .listener import Listener

SILENCE = 7210
"""Seconds between commands of a server. It collects a message first, which may take its client
hours, and only then passes it on; libmilter waits as long."""
PROGRESS = 10
"""Seconds after which a server is told that the message is still worked on. Postfix waits 300."""
REFUSALS = 15
"""Recipients that are refused, at most, before a message goes through: with its 21st error
Postfix throws its client out, and then nobody gets the message."""
HELD_LIMIT = 1 << 20
"""Bytes that a server may send ahead while it should wait for an answer."""

TOO_MANY = Reply.of(452, "4.5.3", "too many recipients: send the others a message of their own")
ANOTHER_GROUP = Reply.of(452, "4.5.3", "mail for this recipient is sealed in another way than for "
                         "the first: send it separately")  # fmt: skip
MIXED = Reply.of(452, "4.5.3", "mail for these recipients is sealed in more than one way: send "
                 "them separately")  # fmt: skip


class MilterConnection(asyncio.Protocol):
    """Takes message after message from one server."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.service = listener.service
        self.loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.session = MilterSession()
        self.message: MilterMessage | None = None
        self.active = self.loop.time()
        self.busy: asyncio.Task[None] | None = None
        self._refusals = 0
        self._paused = False
        self._room = asyncio.Event()
        self._room.set()
        self._handlers: dict[type, Callable[[Any], None]] = {
            milter.Mail: self.on_mail,
            milter.Recipient: self.on_recipient,
            milter.Header: self.on_header,
            milter.Body: self.on_body,
            milter.EndOfMessage: self.on_end,
            milter.Abort: self.on_abort,
            milter.Quit: self.on_quit,
        }

    # --- asyncio's side ------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Asyncio's."""
        self.transport = transport
        if self.listener.enter(self) is not None:
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Asyncio's."""
        self.active = self.loop.time()
        self.session.receive(data)
        if self.busy is None:
            self.advance()
        elif self.session.waiting > HELD_LIMIT and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """Asyncio's."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Asyncio's."""
        self.active = self.loop.time()
        self._room.set()

    def connection_lost(self, _: Exception | None) -> None:
        """asyncio's: a message that wasn't answered is the server's alone."""
        self.listener.leave(self)
        if self.busy is not None:
            self.busy.cancel()
        self.forget()

    # --- for the listener ----------------------------------------------------------------

    def check_time(self, now: float) -> None:
        """Ends it if the server has been silent for too long, or doesn't read; called from time to
        time."""
        settings = self.service.settings
        in_message = self.message is not None and bool(self.message.fields)
        stuck = not self._room.is_set()
        limit = settings.data_timeout if in_message or stuck else SILENCE
        if (self.busy is None or stuck) and now - self.active > limit:
            self.transport.abort()

    def finish_up(self) -> None:
        """Ends it, now or once its message is answered."""
        if self.session.between_messages and self.busy is None:
            self.transport.close()

    # --- the session ---------------------------------------------------------------------

    def advance(self) -> None:
        """Handles what has come, and writes what there is to say."""
        session = self.session
        try:
            while (event := session.next_event()) is not None:
                self._handlers[type(event)](event)
        except ProtocolError as error:
            self.service.log.error(error)
            self.transport.abort()
            return
        self._write()
        if self._paused and self.busy is None:
            self._paused = False
            self.transport.resume_reading()

    def _write(self) -> None:
        if out := self.session.data_to_send():
            self.transport.write(out)

    def _start(self, work: Coroutine[Any, Any, Reply | None]) -> None:
        """Does what takes time; meanwhile the session waits."""
        self.busy = self.loop.create_task(self._run(work))

    async def _run(self, work: Coroutine[Any, Any, Reply | None]) -> None:
        session = self.session
        ticking = self.loop.call_later(PROGRESS, self._tell_progress)
        try:
            reply = await work
        except OSError as error:  # of the temporary file
            self.service.log.error(error)
            reply = NO_ROOM
        except Exception as error:  # noqa: BLE001 - whatever it is, the client tries again
            self.service.log.error(error)
            reply = NOT_NOW
        finally:
            ticking.cancel()
            self.busy = None
        if self.transport.is_closing():
            return
        self.active = self.loop.time()
        if reply is None:
            session.proceed()
        else:
            session.refuse(reply)
        self.advance()
        if self.listener.closing:
            self.finish_up()

    def forget(self) -> None:
        """Forgets the message."""
        message, self.message = self.message, None
        if message is not None and self.busy is None:
            message.close()

    # --- events --------------------------------------------------------------------------

    def on_mail(self, _: milter.Mail) -> None:
        """A message begins."""
        self.forget()
        settings = self.service.settings
        self.message = MilterMessage(settings.memory, settings.size_limit)

    def on_recipient(self, event: milter.Recipient) -> None:
        """RCPT."""
        self._start(self._recipient(address(event.path)))

    def on_header(self, event: milter.Header) -> None:
        """A header field."""
        if self.message is not None:
            self.message.add_field(event)

    def on_body(self, event: milter.Body) -> None:
        """A piece of the body."""
        if self.message is not None:
            self.message.add_body(event.data)
