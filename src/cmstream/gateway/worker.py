"""One process of the gateway: its event loop, from the first connection to the last."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

from ..accounts import open_store
from . import heap, tls
from .health import serve_health
from .listener import Listener
from .log import Log
from .mail_connection import LmtpConnection
from .metrics import Metrics
from .milter_connection import MilterConnection
from .next_hop import NextHop
from .seal_connection import SealConnection
from .service import Service
from .smtp_connection import SmtpConnection

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from .settings import Place, Settings

_CONNECTIONS: Mapping[str, Any] = {
    "lmtp": LmtpConnection,
    "lmtps": LmtpConnection,
    "smtp": SmtpConnection,
    "smtps": SmtpConnection,
    "milter": MilterConnection,
    "seal": SealConnection,
}
TICK = 1.0
"""Seconds between two looks at the time limits."""
ASK = 60
"""Seconds between two looks at what the next hop announces, when it has nothing to do."""


def run(settings: Settings, sockets: list[socket.socket], health: socket.socket | None,
        ready: Callable[[], object], lifeline: int | None = None) -> None:  # fmt: skip
    """Serves until SIGTERM or SIGINT, then ends what has been begun. ``ready`` is called once it
    can take mail. ``lifeline``: a pipe of the process that started this one; its end is the end of
    both."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what it asks for is being done
    heap.keep()
    with contextlib.suppress(ImportError):  # faster, where it is installed
        import uvloop  # noqa: PLC0415

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_Worker(settings).serve(sockets, health, ready, lifeline))


class _Worker:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = Log(settings)
        self._log.adopt()
        self._contexts: list[tls.Renewed] = []
        self._ending = asyncio.Event()

    async def serve(self, sockets: list[socket.socket], health: socket.socket | None,
                    ready: Callable[[], object], lifeline: int | None) -> None:  # fmt: skip
        settings = self._settings
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        if lifeline is not None:
            loop.add_reader(lifeline, self._cut_off, lifeline)
        with open_store(settings.database) as store:
            service = Service(settings, store, self._log, Metrics(), self._next_hop())
            listeners = [Listener(place, service, self._tls(place)) for place in settings.listen]
            await self._ask(service)
            servers = [
                await _listen(listener, sock)
                for listener, sock in zip(listeners, sockets, strict=True)
            ]
            tasks = [loop.create_task(self._tick(service, listeners))]
            if service.next_hop is not None:
                tasks.append(loop.create_task(self._keep_asking(service.next_hop)))
            if health is not None:
                tasks.append(loop.create_task(serve_health(health, service)))
            ready()
            await self._ending.wait()
            await self._drain(servers, listeners)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await service.close()
        # The loop's handlers go with it, and another signal would kill what is at its end anyway.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

    def _next_hop(self) -> NextHop | None:
        settings = self._settings
        if settings.next_hop is None:
            return None
        context = tls.for_next_hop(settings)
        if context is not None:
            self._contexts.append(context)
        return NextHop(settings.next_hop, settings, context)

    def _tls(self, place: Place) -> tls.Renewed | None:
        settings = self._settings
        if not settings.tls.certificate or place.protocol in ("milter", "seal"):
            return None
        context = tls.Renewed(tls.server_context, settings.tls)
        self._contexts.append(context)
        return context

    def _cut_off(self, lifeline: int) -> None:
        """The process that started this one has been killed."""
        asyncio.get_running_loop().remove_reader(lifeline)
        self._ending.set()

    def _reload(self) -> None:
        """SIGHUP: new files for the log, new certificates for TLS."""
        self._log.reopen()
        for context in self._contexts:
            try:
                context.reload()
            except tls.TlsError as error:  # noqa: PERF203
                self._log.warning(f"TLS stays as it was: {error}")

    async def _ask(self, service: Service) -> None:
        """Learns what the next hop has; one that doesn't answer doesn't hold the end up."""
        if service.next_hop is None:
            return
        waits = [
            asyncio.ensure_future(one) for one in (service.next_hop.ask(), self._ending.wait())
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        await asyncio.wait(waits)
        if service.next_hop.features is None and service.next_hop.trouble:
            self._log.warning(f"{service.next_hop.trouble}: mail is put off until it is there")

    async def _tick(self, service: Service, listeners: list[Listener]) -> None:
        """Time limits, and idle connections."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            try:
                for listener in listeners:
                    listener.check_time(loop.time())
                if service.next_hop is not None:
                    service.next_hop.sweep()
            except Exception as error:  # noqa: BLE001 - without it nothing would ever time out
                self._log.error(error)

    async def _keep_asking(self, next_hop: NextHop) -> None:
        """What the next hop announces: soon where it wasn't there, else from time to time."""
        while True:
            await asyncio.sleep(TICK if next_hop.features is None else ASK)
            await next_hop.ask()

    async def _drain(self, servers: list[Any], listeners: list[Listener]) -> None:
        """Takes no new connections, and waits for the transactions that have been begun."""
        loop = asyncio.get_running_loop()
        for server in servers:
            server.close()
        for listener in listeners:
            listener.close()
        end = loop.time() + self._settings.drain_timeout
        while any(listener.connections for listener in listeners) and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for listener in listeners:
            for connection in tuple(listener.connections):
                connection.transport.abort()


async def _listen(listener: Listener, sock: socket.socket) -> Any:
    loop = asyncio.get_running_loop()
    made = _CONNECTIONS[listener.place.protocol]
    context = listener.tls if listener.place.tls else None
    server: Any = loop.create_unix_server if listener.place.path else loop.create_server
    seconds = listener.service.settings.tls_timeout
    options = {} if context is None else {"ssl_handshake_timeout": seconds}
    sock.setblocking(False)
    return await server(lambda: made(listener), sock=sock, ssl=context, **options)
