"""The web application: what is served, and what holds for every request."""

from __future__ import annotations

import logging
import secrets
import shlex
import time
import traceback
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ...errors import CmstreamError
from .. import open_store, pages
from ..api import (
    api,
    docs,
    metrics,
    openapi,
)
from ..http import problems
from ..http.problems import Refusal, too_large
from ..http.settings import Settings
from ..people.people import People

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT = 16 << 20
"""Octets of any request's body; what the API takes is far less, and what a page takes is its own
to say (``max_body_size`` of its Route)."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_TWO_YEARS = 63_072_000
_LOG = logging.getLogger("cmstream.web")


def create_app(settings: Settings | None = None) -> Starlette:
    """The application, an ASGI callable, with its settings given or from the environment.

    ``state`` holds ``settings``, and from the start of its lifespan on ``store``, ``people`` and
    ``limiter``: the store is opened once for each process, and never created. Raises ValueError for
    settings that can't be; the lifespan raises what :func:`cmstream.accounts.open_store` does.
    """
    chosen = Settings.from_environment() if settings is None else settings
    app = Starlette(
        routes=[
            *api.routes,
            *openapi.routes,
            *docs.routes,
            *pages.routes,
        ],
        middleware=_middleware(chosen),
        exception_handlers={
            HTTPException: problems.answer,
            Refusal: problems.answer,
            CmstreamError: problems.answer,
        },
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.router.default = pages.nowhere
    app.state.settings = chosen
    return app


def _middleware(settings: Settings) -> list[Middleware]:
    proxies = list(settings.trusted_proxies)
    return [
        Middleware(ProxyHeadersMiddleware, trusted_hosts=proxies),
        Middleware(RequestContext, settings=settings),
        Middleware(BodyLimit, limit=BODY_LIMIT),
        Middleware(Hosts, allowed=settings.allowed_hosts),
    ]


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    app.state.limiter = anyio.CapacityLimiter(settings.threads)
    notify = shlex.split(settings.notify)
    with open_store(settings.database, notify=notify) as store:
        app.state.store, app.state.people = store, People(store)
        yield


class RequestContext:
    """What surrounds every request: an id, the security headers, one line in the log, the metrics,
    and an answer even when something unforeseen happens.

    The log has the route's template instead of the path, which may hold a one-time link, and of
    an exception the places instead of its text, which may quote what was sent.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.headers = dict(_HEADERS)
        if settings.secure:
            self.headers["Strict-Transport-Security"] = f"max-age={_TWO_YEARS}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["cmstream.request"] = secrets.token_hex(8)
        start, status = time.perf_counter(), 0

        async def sender(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(scope, message)
            await send(message)

        try:
            await self.app(scope, receive, sender)
        except Exception as error:
            if not isinstance(error, Refusal):
                _log_unforeseen(scope, error)
            if status:  # too late for another answer: the server closes the connection
                raise
            await _apology(scope, error)(scope, receive, sender)
        finally:
            _record(scope, status, time.perf_counter() - start)

    def _add_headers(self, scope: Scope, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in self.headers.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        headers["X-Request-ID"] = scope["cmstream.request"]


class BodyLimit:
    """No body is longer than ``limit`` octets, whether its length is declared or not."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit:
                raise too_large(self.limit)
            return message

        await self.app(scope, counted, send)


class Hosts:
    """Only these names of the server are answered to, whatever a stranger's DNS says; of ports
    nothing is held, since proxies change them."""

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self.app = app
        self.allowed = {name.strip("[]").lower() for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = "*" in self.allowed or _host(scope) in self.allowed
        if scope["type"] == "http" and not named:
            raise Refusal(400, "unknown-host", _STRANGE_HOST)
        await self.app(scope, receive, send)


_STRANGE_HOST = (
    "This server isn't known by that name: its public URL must have it, or the setting"
    " CMSTREAM_HOSTS."
)


def _host(scope: Scope) -> str | None:
    with suppress(ValueError, KeyError):  # the lifespan has no headers
        return urlsplit(f"//{Headers(scope=scope).get('host', '')}").hostname
    return None


def _apology(scope: Scope, error: Exception) -> Response:
    """The answer to an exception that no handler took; a page's own words may fail too."""
    with suppress(Exception):
        return problems.answer(Request(scope), error)
    return problems.problem_of(error).response(scope["cmstream.request"])


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "")
    metrics.count(scope["method"], route, status, seconds)
    who = getattr(scope.get("cmstream.caller"), "name", "-")
    words = (scope["cmstream.request"], scope["method"], route or "-", status, seconds * 1000, who)
    _LOG.info("%s %s %s %d %.1f ms %r", *words)


def _log_unforeseen(scope: Scope, error: Exception) -> None:
    places = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("%s %s\n%s", scope["cmstream.request"], type(error).__name__, places)
