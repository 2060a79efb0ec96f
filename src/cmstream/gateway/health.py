"""Health, readiness and figures by HTTP, for whoever watches over the gateway."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .next_hop import Unreachable
from .service import Deferred

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractContextManager

    from starlette.requests import Request

    from .service import Service

FRESH = 2.0
"""Seconds for which an answer about readiness holds: however many ask, mail goes before."""
LIMIT = 5.0
"""Seconds that the store and the next hop have to answer."""
_NOBODY = "nobody@readiness.invalid"
"""Looked up as mail would be; no account can have it (RFC 6761, section 6.4)."""


async def serve_health(sock: socket.socket, service: Service) -> None:
    """Answers on a socket that listens, until it is cancelled.

    ``GET /health``: 200, the process lives. ``/ready``: 200 where the store and the next hop
    answer, else 503, and which of them doesn't. ``/metrics``: the figures.
    """
    readiness = Readiness(service)

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> Response:
        found = await readiness.ask()
        good = all(one == "ok" for one in found.values())
        return JSONResponse(found, 200 if good else 503)

    async def metrics(_: Request) -> Response:
        body, kind = service.metrics.render()
        return Response(body, media_type=kind)

    routes = [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]
    server = _Server(
        uvicorn.Config(
            Starlette(routes=routes), http="h11", ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, proxy_headers=False, limit_concurrency=64,
            timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
    serving = asyncio.ensure_future(server.serve(sockets=[sock]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


class _Server(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Signals are the gateway's own."""
        return nullcontext()


class Readiness:
    """Whether the gateway can take mail now."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = asyncio.Lock()
        self._found: dict[str, str] = {}
        self._asked = float("-inf")

    async def ask(self) -> dict[str, str]:
        """For ``store`` and ``next_hop``: ok, or why not. A gateway without a next hop has none."""
        async with self._lock:
            if time.monotonic() - self._asked > FRESH:
                store, hop = await asyncio.gather(
                    _in_time(self._store()), _in_time(self._next_hop())
                )
                self._found = {"store": store} | ({"next_hop": hop} if hop else {})
                self._asked = time.monotonic()
            return self._found

    async def _store(self) -> str:
        (answer,) = await self._service.seals([_NOBODY])
        return answer.code if isinstance(answer, Deferred) else "ok"

    async def _next_hop(self) -> str:
        hop = self._service.next_hop
        if hop is None:
            return ""
        try:
            hop.release(await hop.connect())
        except Unreachable:
            return "unreachable"
        return "ok"


async def _in_time(asked: Any) -> str:
    try:
        return str(await asyncio.wait_for(asked, LIMIT))
    except asyncio.TimeoutError:
        return "too-slow"
