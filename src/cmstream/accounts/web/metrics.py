"""Figures for Prometheus: what the store holds, and what the web application did.

Figures of the store are counted at each scrape, so all workers tell the same. What the workers
themselves count is added up over all of them where ``PROMETHEUS_MULTIPROC_DIR`` names a folder
that they share (prometheus-client's multi-process mode); ``cmstream serve`` sees to it.
"""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response
from starlette.routing import Route

from . import auth

if TYPE_CHECKING:
    from starlette.requests import Request

_own = CollectorRegistry()
_requests = Counter(
    "cmstream_http_requests",
    "Requests that were answered.",
    ("method", "route", "status"),
    registry=_own,
)
_seconds = Histogram(
    "cmstream_http_request_seconds",
    "How long requests took.",
    ("route",),
    registry=_own,
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def count(method: str, route: str, status: int, seconds: float) -> None:
    """One request was answered. ``route`` is its template: labels are few."""
    _requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
    _seconds.labels(route).observe(seconds)


async def show(request: Request) -> Response:
    """The figures. The loopback gets them as it is; others need a token with the scope
    ``metrics``, and so does what a proxy on the loopback passes on."""
    if not _local(request):
        await auth.require(request, "metrics", "administrator")
    figures = await auth.call(request, _of_store, request)
    return Response(generate_latest(_workers()) + figures, media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _local(request: Request) -> bool:
    forwarded = {"x-forwarded-for", "forwarded", "via", "x-real-ip"} & set(request.headers)
    try:
        return not forwarded and ipaddress.ip_address(auth.source(request)).is_loopback
    except ValueError:
        return False


def _workers() -> CollectorRegistry:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return _own
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _of_store(request: Request) -> bytes:
    del request
    return b""


routes = [Route("/metrics", show)]
