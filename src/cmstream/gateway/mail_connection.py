"""A connection of a client that brings mail by LMTP or SMTP."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from ..scratch import Scratch
from . import received
from .listener import address
from .protocol import server_events as events
from .protocol.replies import Reply
from .protocol.server import ServerSession
from .protocol.server_rules import Limits
from .relay import NO_ROOM, Arrived
from .service import Deferred
from .streaming import Stream, may_begin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..accounts.lookup import Seal
    from .listener import Listener
    from .protocol.envelope import Mail

SENDER_OK = Reply.of(250, "2.1.0", "OK")
RECIPIENT_OK = Reply.of(250, "2.1.5", "OK")
GO_ON = Reply.of(354, "", "end with CRLF . CRLF")
SHUTTING_DOWN = Reply.of(421, "4.3.2", "the gateway is shutting down: try again")
TOO_SLOW = Reply.of(421, "4.4.2", "no command in time: the gateway ends the connection")
SLOWEST = 500
"""Bytes in a second with which the time for a message keeps up; a client that is slower for long
is silent. Postfix has the same number."""
LINGER = 30
"""Seconds that a client has to read the last reply."""
BROKEN = Reply.of(451, "4.3.0", "the gateway has an error: try again")


class MailConnection(asyncio.Protocol):
    """What LMTP and SMTP share: the session, time, back-pressure, the end."""

    lmtp = False

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.service = listener.service
        self.loop = asyncio.get_running_loop()
        self.transport: Any = None
        self._address = ""
        self.active = self.loop.time()
        self.message: Scratch | None = None
        self._of_client: dict[bytes, _Attribute] = {}
        self._of_message: dict[bytes, _Attribute] = {}
        self.busy: asyncio.Task[None] | None = None
        self._paused = self._choked = self._in_content = False
        self._early: list[bytes] | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            events.MailBegin: self.on_mail,
            events.Recipient: self.on_recipient,
            events.DataBegin: self.on_data,
            events.DataChunk: self.on_chunk,
            events.MessageEnd: self.on_end,
            events.Reset: self.on_reset,
            events.StartTls: self.on_start_tls,
            events.XForward: self.on_xforward,
            events.XClient: self.on_xclient,
            events.Quit: self.on_quit,
        }

    # --- asyncio's side

    def connection_made(self, transport: Any) -> None:
        """Asyncio's."""
        self.transport = transport
        self._address = address(transport)  # TLS forgets it when a connection ends
        settings = self.service.settings
        self.session = ServerSession(
            lmtp=self.lmtp,
            hostname=settings.hostname,
            extensions=self.extensions(),
            limits=Limits(
                size=settings.size_limit,
                recipients=settings.recipient_limit,
                commands=settings.command_limit,
            ),
            tls=self.encrypted,
            tls_required=settings.require_tls,
        )
        refusal = self.listener.enter(self)
        if refusal is not None:
            self.session.refuse(refusal)
        else:
            self.session.greet()
        self.proceed()

    def data_received(self, data: bytes) -> None:
        """Asyncio's."""
        if self._early is not None:
            self._early.append(data)
            return
        now = self.loop.time()
        if self._in_content or self.message is not None:
            self.active = min(now, self.active + len(data) / SLOWEST)
        self.session.receive(data)
        if self.session.waits is None:
            self.proceed()
            self._end_with_gateway()
        self.flow()

    def eof_received(self) -> bool:
        """asyncio's: half a message is forgotten, but a reply on its way still goes out."""
        self.session.receive(b"")
        if self.busy is None:
            self.proceed()
        return not self.transport.is_closing() and not self.encrypted

    def connection_lost(self, _: Exception | None) -> None:
        """Asyncio's."""
        self.listener.leave(self)
        self.forget()

    def pause_writing(self) -> None:
        """asyncio's: the client doesn't read its replies."""
        self._choked = True
        self.flow()

    def resume_writing(self) -> None:
        """Asyncio's."""
        self._choked = False
        self.active = self.loop.time()
        self.flow()

    @property
    def stuck(self) -> bool:
        """What has come waits for somebody else than the client."""
        return False

    def flow(self) -> None:
        """Reads from the client, or lets it wait."""
        wait = self._choked or self.stuck or self.session.waits is not None
        handshake = self._early is not None
        if wait == self._paused or handshake or self.transport.is_closing():
            return
        self._paused = wait
        if wait:
            self.transport.pause_reading()
        else:
            self.active = self.loop.time()
            self.transport.resume_reading()

    # --- the session

    def proceed(self) -> None:
        """Handles what has come, and writes what there is to say."""
        session = self.session
        try:
            while (event := session.next_event()) is not None:
                self._handlers[type(event)](event)
        except OSError as error:  # of the temporary file
            self.service.log.error(error)
            self.abandon(NO_ROOM)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client tries again
            self.service.log.error(error)
            self.abandon(BROKEN)
            return
        if out := session.data_to_send():
            self.active = self.loop.time()
            self.transport.write(out)
        self.flow()

    def answer(self, *replies: Reply) -> None:
        """Answers what the session waits for."""
        self.session.answer(*replies)

    def start(self, work: Any) -> None:
        """Does what takes time; meanwhile the session waits."""
        self.busy = self.loop.create_task(self._run(work))

    async def _run(self, work: Any) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, the client tries again
            self.service.log.error(error)
            self.busy = None
            self.abandon(BROKEN)
            return
        self.busy = None
        self.active = self.loop.time()
        if self.transport.is_closing():
            self.forget()  # nobody is left to whom it matters
        else:
            self.proceed()
            self._end_with_gateway()

    def _end_with_gateway(self) -> None:
        if self.listener.closing and self.session.mail is None:
            self.end(SHUTTING_DOWN)

    def abandon(self, reply: Reply) -> None:
        """Something failed of which the session knows nothing: the reply, and the end."""
        self.forget()
        if not self.transport.is_closing():
            self.session.refuse(reply)
            self.proceed()

    def end(self, reply: Reply) -> None:
        """Says why, and ends the connection, unless an answer is still to come."""
        if self.busy is None and not self.transport.is_closing():
            self.abandon(reply)

    def check_time(self, now: float) -> None:
        """Ends it if the client has been silent for too long; called from time to time."""
        if self.busy is not None or self.stuck:
            return
        settings, silent = self.service.settings, now - self.active
        limit = settings.data_timeout if self.message is not None else settings.command_timeout
        if silent > limit:
            self.end(TOO_SLOW)
            if self._choked or silent > limit + LINGER:  # it doesn't read the reply either
                self.transport.abort()

    def forget(self) -> None:
        """Forgets the message."""
        message, self.message = self.message, None
        if message is not None and self.busy is None:
            message.close()

    # --- events

    def on_mail(self, _: events.MailBegin) -> None:
        """MAIL."""
        self._in_content = False
        self.answer(SENDER_OK)

    def on_recipient(self, _: events.Recipient) -> None:
        """RCPT."""
        self.answer(RECIPIENT_OK)

    def on_data(self, _: events.DataBegin) -> None:
        """DATA, or the first BDAT."""
        self.begin_message()
        self.answer(GO_ON)

    def begin_message(self) -> None:
        """Makes room for a message."""
        self._in_content = True
        self.active = self.loop.time()
        settings = self.service.settings
        self.message = Scratch(settings.memory)
        if settings.received:
            protocol = ("LMTP" if self.lmtp else "ESMTP") + ("S" if self.encrypted else "")
            self.message.write(received.field(self.session.client, settings.hostname, protocol))

    def on_chunk(self, event: events.DataChunk) -> None:
        """A piece of the message."""
        if self.message is not None:
            self.message.write(event.data)

    def on_end(self, _: events.MessageEnd) -> None:
        """The whole message is there."""
        self._in_content = False
        self.start(self._finish())

    async def _finish(self) -> None:
        try:
            await self.finish()
        finally:
            self._of_message = {}

    async def finish(self) -> None:
        """Relays the message and answers for it."""
        raise NotImplementedError

    @property
    def mail(self) -> Mail:
        """The sender of the message that has begun."""
        if self.session.mail is None:
            raise AssertionError("no message has begun")
        return self.session.mail

    def taken(self) -> Scratch:
        """The message that has come, from now on somebody else's to close."""
        message, self.message = self.message, None
        if message is None:
            raise AssertionError("no message has come")
        return message

    def on_reset(self, _: events.Reset) -> None:
        """What was begun is forgotten."""
        self._of_message = {}
        self.forget()

    def on_xforward(self, event: events.XForward) -> None:
        """Who the client's client is, for the next message alone, as Postfix has it."""
        self._of_message |= _read(event)

    def on_xclient(self, event: events.XClient) -> None:
        """The same, as if it were ours, until the connection ends."""
        self._of_client |= _read(event)

    @property
    def _attributes(self) -> dict[bytes, _Attribute]:
        return self._of_client | self._of_message

    def on_quit(self, _: events.Quit) -> None:
        """The goodbye has been said."""
        if out := self.session.data_to_send():
            self.transport.write(out)
        self.transport.close()

    def on_start_tls(self, _: events.StartTls) -> None:
        """The handshake takes time; nothing that came before it counts."""
        self.transport.write(self.session.data_to_send())
        self.transport.pause_reading()
        self._paused = False
        self._early = []
        self._of_client, self._of_message = {}, {}
        self.busy = self.loop.create_task(self._start_tls())

    async def _start_tls(self) -> None:
        context = self.listener.tls
        if context is None:
            raise AssertionError("STARTTLS isn't announced without a certificate")
        try:
            self.transport = await self.loop.start_tls(
                self.transport, self, context, server_side=True,
                ssl_handshake_timeout=self.service.settings.tls_timeout,
            )  # fmt: skip
        except (OSError, asyncio.TimeoutError):
            self.busy = None
            if self.transport is not None:
                self.transport.abort()
            return
        self.busy = None
        self.active = self.loop.time()
        self.session.tls_started()
        self.session.extensions = self.extensions()
        # The client's next words may come with the end of the handshake.
        early, self._early = self._early or [], None
        for data in early:
            self.data_received(data)

    def extensions(self) -> Mapping[bytes, bytes]:
        """What is announced: what the next hop has too, and what is the gateway's own."""
        return self.listener.extensions(encrypted=self.encrypted)

    @property
    def encrypted(self) -> bool:
        """Whether the connection is."""
        return self.transport is not None and self.transport.get_extra_info("cipher") is not None

    @property
    def peer(self) -> str:
        """The client's address, for the log."""
        return self._value(b"ADDR") or self._address or "unix"

    @property
    def queue_id(self) -> str:
        """The client's name for the message, where it told us."""
        return self._value(b"IDENT")

    def _value(self, name: bytes) -> str:
        found = self._attributes.get(name)
        return found.value.decode("ascii", "backslashreplace") if found else ""

    def finish_up(self) -> None:
        """The gateway ends: the connection too, as soon as no message is on its way."""
        if self.session.mail is None:
            self.end(SHUTTING_DOWN)

    @property
    def told(self) -> tuple[bytes, ...]:
        """The attributes for XFORWARD, as the client wrote them."""
        return tuple(one.word for one in self._attributes.values())


class _Attribute(NamedTuple):
    """Of XFORWARD or XCLIENT. ``word``: as the client wrote it. ``value``: empty for what it
    doesn't know."""

    word: bytes
    value: bytes


def _read(event: events.XForward | events.XClient) -> dict[bytes, _Attribute]:
    words = {one.partition(b"=")[0].upper(): one for one in event.raw.split()}
    return {name: _Attribute(words[name], value or b"") for name, value in event.attributes.items()}


class LmtpConnection(MailConnection):
    """LMTP (RFC 2033): one reply for each recipient."""

    lmtp = True
    _stream: Stream | None = None
    _may_stream: Seal | None = None

    def on_data(self, event: events.DataBegin) -> None:
        """DATA, or the first BDAT."""
        if self.service.settings.stream:
            self.start(self._begin_stream())
        else:
            super().on_data(event)

    async def _begin_stream(self) -> None:
        """Finds out whether a long message may be given on as it comes: if all recipients are of
        one account."""
        seals = await self.service.seals([one.address for one in self.session.accepted])
        self._may_stream = one_account(seals)
        self.begin_message()
        self.answer(GO_ON)

    def on_chunk(self, event: events.DataChunk) -> None:
        """A piece of the message."""
        message, stream = self.message, self._stream
        if stream is not None:
            stream.write(event.data)
            return
        if message is not None and self._may_stream is not None:
            self._look_whether_to_stream(message, event.data)
        super().on_chunk(event)
        if self._may_stream is not None and message is not None and message.held is None:
            self._go_over_to_stream(message, self._may_stream)

    def _look_whether_to_stream(self, message: Scratch, more: bytes) -> None:
        """By its beginning, when that is about to leave memory."""
        settings = self.service.settings
        if len(message) + len(more) > settings.memory and message.held is not None:
            start = bytes(message.held) + more
            if not may_begin(start, settings):
                self._may_stream = None

    def _go_over_to_stream(self, message: Scratch, seal: Seal) -> None:
        rcpts = list(self.session.accepted)
        self._stream = Stream(
            self.service, self.mail, rcpts, seal, attributes=self.told, room=self.flow
        )
        for chunk in message.chunks():
            self._stream.write(chunk)

    @property
    def stuck(self) -> bool:
        """The next hop is slow."""
        return self._stream is not None and self._stream.full

    def forget(self) -> None:
        """Forgets the message, at the next hop too."""
        stream, self._stream = self._stream, None
        if stream is not None and self.busy is None:
            stream.forget()
        super().forget()

    async def finish(self) -> None:
        """Relays the message; its replies come in the order of the RCPTs."""
        stream, self._stream, self._may_stream = self._stream, None, None
        with closing(self.taken()) as message:
            replies = await (self._relay(message) if stream is None else self._end_stream(stream))
        if not self.transport.is_closing():
            self.answer(*replies)

    async def _end_stream(self, stream: Stream) -> list[Reply]:
        replies = await stream.finish()
        self.service.tell(stream.outcome, self)
        return replies

    async def _relay(self, message: Scratch) -> list[Reply]:
        arrived = Arrived(self.service, self.mail, list(self.session.accepted), message, self.told)
        replies = await arrived.relay()
        self.service.tell(arrived.outcome, self)
        return replies


def one_account(seals: Sequence[Seal | Deferred]) -> Seal | None:
    """What becomes of a message whose recipients are all of one account that is sealed for."""
    first = seals[0]
    if isinstance(first, Deferred) or first.action != "seal":
        return None
    alike = all(
        not isinstance(one, Deferred)
        and one.recipients is first.recipients
        and one.account == first.account
        for one in seals
    )
    return first if alike else None
