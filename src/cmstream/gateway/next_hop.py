"""The next hop: connections to it that are used again, and transactions over them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

from .protocol import conversation
from .protocol.conversation import Content, Lost, Step
from .protocol.replies import ProtocolError, Reply, ReplyReader

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Iterable, Sequence

    from .protocol.conversation import Features
    from .protocol.envelope import Mail, Rcpt
    from .settings import Place, Settings

T = TypeVar("T")

TIMED_OUT = Reply.of(451, "4.4.2", "the next hop took too long: try again")
BUSY = Reply.of(451, "4.3.2", "no connection to the next hop became free: try again")
WRITE_HIGH = 1 << 20
REPLIES_LIMIT = 1 << 16
"""More replies than this that nobody waits for are nonsense, and would fill the memory."""


class Unreachable(Exception):  # noqa: N818 - what is so, not what went wrong
    """There is no connection to the next hop."""


class Connection(asyncio.Protocol):
    """One connection: it takes the steps of conversations, one conversation at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader = ReplyReader()
        self._replies: list[Reply] = []
        self._wanted = 0
        self._answer: asyncio.Future[list[Reply]] | None = None
        self._room: asyncio.Future[None] | None = None
        self._full = False
        self._why = conversation.LOST
        self.transport: Any = None
        self._seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.closed = False
        self.used = False
        self.heard = False
        self.features: Features = {}
        self.idle_since = 0.0
        self.dirty = False

    @property
    def quiet(self) -> bool:
        """Nothing has come that nobody asked for."""
        return not self._replies and self._reader.empty

    async def run(self, steps: Generator[Step, list[Reply], Any], seconds: float) -> Any:
        """Takes the steps of a conversation; gives what it gives. After ``seconds`` the connection
        is ended and Lost thrown into it; with a message that is still coming, they begin anew with
        each of its pieces."""
        self._seconds, self.heard = seconds, False
        self._start_clock()
        try:
            step = next(steps)
            while True:
                try:
                    replies = await self._take(step)
                except Lost as lost:  # noqa: PERF203
                    step = steps.throw(lost)
                else:
                    step = steps.send(replies)
        except StopIteration as end:
            return end.value
        except BaseException:
            self.abort()  # whatever was begun must not look complete
            raise
        finally:
            self._stop_clock()

    def _start_clock(self) -> None:
        self._timer = self._loop.call_later(self._seconds, self._time_out)

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def _take(self, step: Step) -> list[Reply]:
        self._require_open()
        if self._replies and step.send != ():
            # One too many: nobody knows any more which reply belongs to what.
            self.abort()
            raise Lost((), conversation.ODD)
        self._wanted = step.replies
        if isinstance(step.send, AsyncIterator):
            await self._write_all(step.send)
        else:
            await self._write(step.send)
        if len(self._replies) < step.replies:
            self._require_open()
            self._answer = self._loop.create_future()
            await self._answer
        replies = self._replies[: step.replies]
        del self._replies[: step.replies]
        return replies

    async def _write(self, pieces: Iterable[bytes]) -> None:
        written = 0
        for piece in pieces:
            if self._full:
                await self._drained()
            elif written >= WRITE_HIGH:  # others have their turn, however fast this next hop is
                written = 0
                await asyncio.sleep(0)
                self._require_open()
            self.transport.write(piece)
            written += len(piece)

    async def _write_all(self, pieces: AsyncIterator[bytes]) -> None:
        """How long the client takes for a piece doesn't count."""
        self._stop_clock()
        async for piece in pieces:
            self._start_clock()
            self._require_open()
            if self._full:
                await self._drained()
            self.transport.write(piece)
            self._stop_clock()
        self._start_clock()

    def _require_open(self) -> None:
        if self.closed:
            raise self._lost()

    def _lost(self) -> Lost:
        replies, self._replies = self._replies, []
        return Lost(replies, self._why)

    async def _drained(self) -> None:
        self._room = self._loop.create_future()
        try:
            await self._room
        finally:
            self._room = None
        self._require_open()

    def _time_out(self) -> None:
        self._why = TIMED_OUT
        self.abort()
        self.connection_lost(None)

    def abort(self) -> None:
        """Ends it at once."""
        self.closed = True
        if self.transport is not None:
            self.transport.abort()

    def quit(self) -> None:
        """Ends it politely."""
        if not self.closed:
            self.closed = True
            self.transport.write(b"QUIT\r\n")
            self.transport.close()

    # --- asyncio's side

    def connection_made(self, transport: Any) -> None:
        """Asyncio's."""
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH)

    def data_received(self, data: bytes) -> None:
        """asyncio's: cuts replies out."""
        self._reader.feed(data)
        self.heard = True
        try:
            while (reply := self._reader.next()) is not None:
                self._replies.append(reply)
            odd = len(self._replies) > self._wanted + REPLIES_LIMIT
        except ProtocolError:
            odd = True
        if odd:
            self.abort()
            self.connection_lost(None)
            return
        answer = self._answer
        if answer is not None and len(self._replies) >= self._wanted:
            self._answer = None
            if not answer.done():
                answer.set_result(self._replies)

    def connection_lost(self, _: Exception | None) -> None:
        """Asyncio's."""
        self.closed = True
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(self._lost())
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def pause_writing(self) -> None:
        """asyncio's: the next hop is slow."""
        self._full = True

    def resume_writing(self) -> None:
        """Asyncio's."""
        self._full = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)


def _leaves(reply: Reply) -> bool:
    """It ends the connection, for a reason of its own."""
    return reply.code == 421


def _took_nothing(connection: Connection, replies: Sequence[Reply]) -> bool:
    """It had ended before a single reply came, as one does that was idle for too long, or ends
    with a 421 to everything."""
    if all(map(_leaves, replies)):
        return True
    return connection.closed and not connection.heard and replies[0] is conversation.LOST


class Transaction:
    """One over which MAIL and each RCPT are answered as they come (SMTP)."""

    def __init__(self, next_hop: NextHop, mail: Mail, attributes: Sequence[bytes]) -> None:
        self._next_hop, self._mail, self._attributes = next_hop, mail, attributes
        self._connection: Connection | None = None

    async def begin(self) -> Reply:
        """MAIL; its reply."""
        try:
            while True:
                connection = await self._next_hop.connect()
                used, connection.used = connection.used, True
                reply = await self._begin(connection)
                if not (used and connection.closed):
                    return reply
        except Unreachable as error:
            return Reply.of(451, "4.4.1", str(error))

    async def _begin(self, connection: Connection) -> Reply:
        self._connection = connection
        if conversation.lacks(connection.features, self._mail):
            return conversation.CHANGED
        await self._next_hop.prepare(connection, self._attributes)
        return await self._command(conversation.mail_line(self._mail, None, connection.features))

    async def recipient(self, rcpt: Rcpt) -> Reply:
        """RCPT; its reply."""
        if self._connection and conversation.lacks(self._connection.features, rcpt):
            return conversation.CHANGED
        return await self._command(conversation.rcpt_line(rcpt))

    async def finish(self, content: Content) -> Reply:
        """The message; the reply to it."""
        connection = self._connection
        if connection is None:
            return conversation.LOST
        steps = conversation.finish(connection.features, False, [conversation.TAKEN], content)
        replies: list[Reply] = await self._ask(steps) or [conversation.LOST]
        self._connection = None
        connection.dirty = replies[0].kind != 2
        self._next_hop.release(connection)
        return replies[0]

    async def _command(self, line: bytes) -> Reply:
        steps = conversation.command(line)
        return conversation.final(await self._ask(steps) or conversation.LOST)

    async def _ask(self, steps: Generator[Step, list[Reply], T]) -> T | None:
        """None where the connection has ended."""
        connection = self._connection
        if connection is None or connection.closed:
            steps.close()
            return None
        try:
            answer: T = await connection.run(steps, self._next_hop.limit)
        except Lost:
            return None
        return answer

    def forget(self) -> None:
        """Gives up what was begun."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.dirty = True
            self._next_hop.release(connection)


class NextHop:
    """The server that takes what the gateway has sealed, or left. For one event loop."""

    def __init__(self, place: Place, settings: Settings, tls: ssl.SSLContext | None = None) -> None:
        self.place, self._settings, self._tls = place, settings, tls
        self.features: Features | None = None
        """What it announced last; None: it was never reached."""
        self.trouble = ""
        """Why it couldn't be reached, the last time that it was asked and wasn't there."""
        self._idle: deque[Connection] = deque()
        self._free = asyncio.Semaphore(settings.next_connections)

    @property
    def limit(self) -> float:
        """Seconds that it has for a transaction, or for a command of one."""
        return self._settings.next_timeout

    async def deliver(self, mail: Mail, rcpts: Sequence[Rcpt], content: Content,
                      attributes: Sequence[bytes] = ()) -> list[Reply]:  # fmt: skip
        """Gives a message on, in one transaction; one reply for each recipient, in their order.
        Never raises for what the next hop does: then the replies are temporary failures. Raises
        OSError where the content can't be read."""
        end = asyncio.get_running_loop().time() + self.limit
        try:
            await self._turn()
        except asyncio.TimeoutError:
            return [BUSY] * len(rcpts)
        try:
            while True:
                connection = await self.connect(fresh=content.length is None)
                used, connection.used = connection.used, True
                replies = await self._over(
                    connection, mail, rcpts, content, attributes=attributes, end=end
                )
                if not used or not _took_nothing(connection, replies):
                    return replies
                self.close()  # those that are as old have most likely ended too
        except Unreachable as error:
            return [Reply.of(451, "4.4.1", str(error))] * len(rcpts)
        finally:
            self._free.release()

    async def _turn(self) -> None:
        """Waits until one more connection may be used. Raises asyncio.TimeoutError."""
        if self._free.locked():
            await asyncio.wait_for(self._free.acquire(), self.limit)
        else:
            await self._free.acquire()

    async def _over(
        self, connection: Connection, mail: Mail, rcpts: Sequence[Rcpt], content: Content, *,
        attributes: Sequence[bytes], end: float,
    ) -> list[Reply]:  # fmt: skip
        """``end``: when time is over, unless the message is still coming."""
        if not await self.prepare(connection, attributes):
            connection.heard = False  # of this message
            return [conversation.LOST] * len(rcpts)
        lmtp, features = self.place.lmtp, connection.features
        steps = conversation.transaction(features, lmtp, mail, rcpts, content)
        left = end - asyncio.get_running_loop().time()
        seconds = self.limit if content.length is None else max(0.0, left)
        replies: list[Reply] = await connection.run(steps, seconds)
        connection.dirty = any(one.kind != 2 for one in replies)
        if all(map(_leaves, replies)):
            connection.abort()
        self.release(connection)
        return replies

    async def prepare(self, connection: Connection, attributes: Sequence[bytes]) -> bool:
        """Makes a connection ready for the next transaction; False where it has ended, also since
        the next hop didn't forget the last one: its recipients would get this message too."""
        try:
            if connection.dirty:
                reply = await connection.run(conversation.command(b"RSET\r\n"), self.limit)
                if reply.kind != 2:
                    connection.abort()
                    return False
                connection.dirty = False
            if attributes and b"XFORWARD" in connection.features:
                steps = conversation.xforward(connection.features, attributes)
                await connection.run(steps, self.limit)
        except Lost:
            return False
        return True

    # --- connections

    async def connect(self, *, fresh: bool = False) -> Connection:
        """One that is idle, or a new one. Raises Unreachable."""
        while self._idle and not fresh:
            connection = self._idle.pop()
            if not connection.closed and connection.quiet:
                return connection
            connection.abort()  # it has said something unasked: that it ends, most likely
        try:
            return await asyncio.wait_for(self._open(), self._settings.next_connect_timeout)
        except (OSError, ProtocolError, Lost, asyncio.TimeoutError) as error:
            why = getattr(error, "strerror", None) or str(error) or "no answer in time"
            raise Unreachable(f"the next hop {self.place} can't be reached: {why}") from None

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        place, name, limit = self.place, self._settings.hostname, self._settings.next_timeout
        tls = self._tls if place.tls else None
        server = place.host if tls else None

        def made() -> Connection:
            return Connection(loop)

        if place.path:
            _, connection = await loop.create_unix_connection(made, place.path, ssl=tls)
        else:
            _, connection = await loop.create_connection(
                made, place.host, place.port, ssl=tls, server_hostname=server
            )
        try:
            connection.features = await connection.run(conversation.greet(place.lmtp, name), limit)
            await self._start_tls(connection)
        except BaseException:
            connection.abort()
            raise
        self._learn(connection)
        return connection

    async def _start_tls(self, connection: Connection) -> None:
        wanted, limit = self._settings.next_starttls, self._settings.next_timeout
        if wanted == "never" or self.place.tls or self.place.path:
            return  # a Unix socket has no name that a certificate could prove
        if b"STARTTLS" not in connection.features:
            if wanted == "must":
                raise ProtocolError("it doesn't announce STARTTLS")
            return
        await connection.run(conversation.start_tls(), limit)
        if not connection.quiet:  # whoever put that in wants it to count as said under TLS
            raise ProtocolError("it goes on in the clear after STARTTLS")
        if self._tls is None:
            raise AssertionError("there is no TLS context")
        loop = asyncio.get_running_loop()
        connection.transport = await loop.start_tls(
            connection.transport, connection, self._tls, server_hostname=self.place.host
        )
        connection.features = await connection.run(
            conversation.announced(self.place.lmtp, self._settings.hostname), limit
        )

    def _learn(self, connection: Connection) -> None:
        features = dict(connection.features)
        if not self._settings.next_chunking:
            features.pop(b"CHUNKING", None)
        self.features = connection.features = features

    def release(self, connection: Connection) -> None:
        """It is free for the next transaction."""
        if connection.closed:
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)

    def sweep(self) -> None:
        """Ends connections that have been idle for too long; to be called from time to time."""
        oldest = asyncio.get_running_loop().time() - self._settings.next_idle
        while self._idle and (self._idle[0].closed or self._idle[0].idle_since < oldest):
            self._idle.popleft().quit()

    async def ask(self) -> Features | None:
        """What it announces now; what it announced last where it can't be reached."""
        try:
            self.release(await self.connect())
        except Unreachable as error:
            self.trouble = str(error)
        return self.features

    def close(self) -> None:
        """Ends all idle connections."""
        while self._idle:
            self._idle.pop().quit()
