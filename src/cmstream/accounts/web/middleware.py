"""The middleware: what holds for every request, whatever it asks for."""

from __future__ import annotations

import logging
import secrets
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ..api import metrics
from ..http import problems
from ..http.problems import Refusal, too_large

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ..http.settings import Settings

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


class RequestContext:
    """Gives every request an id, the security headers, a line in the log, a place in the metrics,
    and an answer even if an exception was not foreseen.

    The log has the route's template and not the path, which may hold a one-time link. Of an
    exception it has the places in the code and not the text, which may quote what was sent.
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


class Proxies:
    """Believes what trusted proxies say of whom they speak for. Of another one that passes requests
    on, the log tells once: all who come through it count as one person for the limits."""

    def __init__(self, app: ASGIApp, trusted_hosts: list[str]) -> None:
        self.app: Any = ProxyHeadersMiddleware(app, trusted_hosts)  # type: ignore[arg-type]
        self._told = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer, _ = scope.get("client") or ("", 0)
        strange = not self._told and peer and peer not in self.app.trusted_hosts
        if strange and any(name in _FORWARDED for name, _ in scope.get("headers", ())):
            self._told = True
            _LOG.warning(_STRANGE_PROXY, peer)
        await self.app(scope, receive, send)


_FORWARDED = (b"x-forwarded-for", b"forwarded")
_STRANGE_PROXY = (
    "%s passes on requests of others and isn't trusted: if it is your reverse proxy, name it with"
    " --trusted-proxies, or all who come through it count as one person, whose wrong passwords keep"
    " the others out"
)


class BodyLimit:
    """Refuses a body of more than ``limit`` bytes, whether its length is declared or not."""

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
    """Refuses requests for other host names: a stranger's DNS may lead to this server. Ports
    aren't compared, since proxies change them."""

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self.app = app
        self.allowed = {name.strip("[]").lower() for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = "*" in self.allowed or _host(scope) in self.allowed
        if scope["type"] == "http" and not named:
            raise Refusal(400, "unknown-host", _STRANGE_HOST)
        await self.app(scope, receive, send)


_STRANGE_HOST = (
    "The server doesn't answer to this host name: set its public URL to it, or add it to"
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
