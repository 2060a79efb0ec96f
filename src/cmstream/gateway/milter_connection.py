"""A connection of a mail server that asks the gateway as a milter: the message stays with the
server, which is told to change its header fields and to take another body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..scratch import Scratch
from .header_changes import changes
from .milter_decision import MIXED, Decision
from .milter_message import MilterMessage
from .protocol import milter
from .protocol.milter import MilterSession
from .protocol.replies import ProtocolError, Reply
from .recipient_group import REFUSALS, TOO_MANY, RecipientGroup, why_refused
from .relay import NO_ROOM, NOT_NOW, REQUIRED
from .service import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from ..accounts.lookup import Seal
    from ..engine.gate import Buffer
    from .listener import Listener

SILENCE = 7210
"""Seconds between commands of a server. It collects a message first, which may take its client
hours, and only then passes it on; libmilter waits as long."""
PROGRESS = 10
"""Seconds after which a server is told that the message is still worked on. Postfix waits 300."""
HELD_LIMIT = 1 << 20
"""Bytes that a server may send ahead while it should wait for an answer."""

NEVER = Reply.of(554, "5.5.3", "mail for these recipients is sealed in more than one way: send "
                 "each a message of its own")  # fmt: skip


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
        """Asyncio's: a message that wasn't answered is the server's alone."""
        self.listener.leave(self)
        if self.busy is not None:
            self.busy.cancel()
        self.forget()

    # --- for listener and log -------------------------------------------------------------

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

    @property
    def peer(self) -> str:
        """The address of the server's client."""
        return self._macro(b"client_addr") or "unknown"

    @property
    def queue_id(self) -> str:
        """The server's name for the message."""
        return self._macro(b"i")

    def _macro(self, name: bytes) -> str:
        return self.session.macros.get(name, b"").decode("ascii", "backslashreplace")

    # --- the session ---------------------------------------------------------------------

    def advance(self) -> None:
        """Handles what has come, and writes what there is to say."""
        session = self.session
        try:
            while (event := session.next_event()) is not None:
                self._handlers[type(event)](event)
        except ProtocolError as error:
            self.service.log.warning(f"no milter protocol: {error}", client=self.peer)
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
        self._ticking = self.loop.call_later(PROGRESS, self._tell_progress)
        try:
            reply = await work
        except OSError as error:  # of the temporary file
            self.service.log.error(error)
            reply = NO_ROOM
        except Exception as error:  # noqa: BLE001 - whatever it is, the client tries again
            self.service.log.error(error)
            reply = NOT_NOW
        finally:
            self._ticking.cancel()
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
        self._group = RecipientGroup(self.service)

    def on_recipient(self, event: milter.Recipient) -> None:
        """RCPT."""
        self._start(self._recipient(event.address))

    def on_header(self, event: milter.Header) -> None:
        """A header field."""
        if self.message is not None:
            self.message.add_field(event)

    def on_body(self, event: milter.Body) -> None:
        """A piece of the body."""
        if self.message is not None:
            self._add_body(self.message, event.data)

    def _add_body(self, message: MilterMessage, data: bytes) -> None:
        try:
            message.add_body(data)
        except OSError as error:  # of the temporary file: no reply is wanted yet
            self.service.log.error(error)
            message.refusal = NO_ROOM

    def on_end(self, event: milter.EndOfMessage) -> None:
        """The message is there."""
        message = self.message
        if message is None:
            raise ProtocolError("a message ends that never began")
        if event.data:
            self._add_body(message, event.data)
        self._start(self._finish(message))

    def on_abort(self, event: milter.Abort) -> None:
        """What was begun is forgotten."""
        if event.next_client:
            self._refusals = 0
        self.forget()

    def on_quit(self, _: milter.Quit) -> None:
        """The server says goodbye."""
        self.transport.close()

    # --- recipients ----------------------------------------------------------------------

    async def _recipient(self, address: str) -> Reply | None:
        """What RCPT is refused with, or None."""
        (seal,) = await self.service.seals([address])
        refusal = self._refusal(seal)
        if refusal is not None:
            sender = self.session.mail.path if self.session.mail else b""
            self.service.tell_refused(why_refused(seal, refusal), self, sender, address)
        return refusal

    def _refusal(self, seal: Seal | Deferred) -> Reply | None:
        """What RCPT is refused with, or None where the recipient is taken into the group. A message
        that would need more refusals than its client is allowed is refused at its end instead, for
        all; so is one that came from a program on the server's machine, where Postfix would try all
        of it again for ever. One who is too many is refused however many were: what is kept of them
        has an end."""
        refusal = self._against(seal)
        if refusal is None:
            return None
        if refusal in (NOT_NOW, REQUIRED):
            return refusal
        if refusal is TOO_MANY and not self.session.submitted:
            return refusal
        self._refusals += 1
        if self._refusals <= REFUSALS and not self.session.submitted:
            return refusal
        if self.message is not None:
            self.message.refusal = self.message.refusal or self._mixed
        return None

    @property
    def _mixed(self) -> Reply:
        return NEVER if self.session.submitted else MIXED

    def _against(self, seal: Seal | Deferred) -> Reply | None:
        room = len(self.session.accepted) < self.service.settings.recipient_limit
        refusal = self._group.refusal(seal, refusals=self._refusals, room=room)
        if refusal is None and not isinstance(seal, Deferred):
            self._group.add(seal)
        return refusal

    # --- the message ---------------------------------------------------------------------

    async def _finish(self, message: MilterMessage) -> Reply | None:
        """What the message is refused with; None once it is as it should be."""
        addresses = [one.address for one in self.session.accepted]
        decision = Decision(self.service, message, addresses)
        decision.refusals, decision.mixed = self._refusals, self._mixed
        try:
            found = await decision.decide()
            if isinstance(found, Reply):
                return found
            if found is not None:
                await self._change(message.fields, found)
        except BaseException as error:  # also where the server has gone
            decision.outcome.failed = type(error).__name__
            raise
        finally:
            self.message = None
            message.close()
            self.service.tell(decision.outcome, self)
        self._refusals = 0
        return None

    async def _change(self, old: list[milter.Header], sealed: Scratch | memoryview) -> None:
        """Makes the server's message the sealed one."""
        session = self.session
        pieces = sealed.chunks() if isinstance(sealed, Scratch) else iter((sealed,))
        block, body = _cut(pieces)
        changed, added = changes(old, block)
        for name, number, value in changed:
            session.change_header(name, number, value)
        for name, value in added:
            session.add_header(name, value)
        session.replace_body(body)
        count = len(block) + len(_BLANK) + len(body)
        for piece in pieces:
            self._write()
            await self._room.wait()
            session.replace_body(piece)
            count += len(piece)
        if count != len(sealed):
            raise OSError(f"only {count} of {len(sealed)} bytes came back from a temporary file")
        if isinstance(sealed, Scratch):
            sealed.close()

    def _tell_progress(self) -> None:
        if self.session.deciding:
            self.session.progress()
            self._write()
        self._ticking = self.loop.call_later(PROGRESS, self._tell_progress)


def _cut(pieces: Iterator[Buffer]) -> tuple[bytes, memoryview]:
    """The header block of a sealed message, and how its body begins."""
    start = bytearray()
    end = -1
    while end < 0:
        seen = max(len(start) - 3, 0)
        start += next(pieces)
        end = start.find(b"\r\n" + _BLANK, seen)
    body = end + 2 + len(_BLANK)
    return bytes(start[: end + 2]), memoryview(start)[body:]


_BLANK = b"\r\n"
