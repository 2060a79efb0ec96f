"""Figures for Prometheus: what the store holds, and what the web application did.

Figures of the store are counted at each scrape, so all workers tell the same. What the workers
themselves count is added up over all of them where ``PROMETHEUS_MULTIPROC_DIR`` names a folder
that they share (prometheus-client's multi-process mode); ``cmstream serve`` sees to it.
"""

from __future__ import annotations

import ipaddress
import os
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

from .. import figures
from ..http import auth
from .operation import Call, Operations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from ..figures import Figures

metrics = Operations("server")

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


def _local(request: Request) -> bool:
    if not request.app.state.settings.local:
        return False  # a proxy needn't say that it is one
    forwarded = {"x-forwarded-for", "forwarded", "via", "x-real-ip"} & set(request.headers)
    try:
        return not forwarded and ipaddress.ip_address(auth.source(request)).is_loopback
    except ValueError:
        return False


@metrics.operation(
    "GET",
    "/metrics",
    "metrics",
    "Figures for Prometheus; a server without a proxy needs no token on the loopback",
    scope="metrics",
    role="administrator",
    unless=_local,
    answer=("text/plain",),
)
async def show(call: Call) -> Response:
    """The figures. The loopback gets them as it is where the server is for its own machine; others
    need a token with the scope ``metrics``, and so does what a proxy passes on."""
    counted = await call.run(figures.count, call.store.database)
    text = generate_latest(_workers()) + generate_latest(_of_store(counted))
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _workers() -> CollectorRegistry:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return _own
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _of_store(counted: Figures) -> CollectorRegistry:
    """The same in all workers, since it is counted now."""
    registry = CollectorRegistry()
    text = "Accounts, by whether their mail is sealed."
    _gauge(registry, "cmstream_accounts", text, "state", counted.accounts)
    text = "Certificates, by their state."
    _gauge(registry, "cmstream_certificates", text, "state", counted.certificates)
    text = "Accounts with a cipher whose last certificate in use expires within so many days."
    expiring = {str(days): number for days, number in counted.expiring.items()}
    _gauge(registry, "cmstream_accounts_expiring", text, "days", expiring)
    text = "Changes by others that owners haven't acknowledged."
    Gauge("cmstream_changes_unacknowledged", text, registry=registry).set(counted.unacknowledged)
    text = "Whether encryption is switched off for the whole server."
    Gauge("cmstream_switched_off", text, registry=registry).set(counted.switched_off)
    text = "Transactions that changed something, ever."
    Counter("cmstream_store_changes", text, registry=registry).inc(counted.changes)
    Info("cmstream", "This program.", registry=registry).info({"version": version("cmstream")})
    return registry


def _gauge(
    registry: CollectorRegistry, name: str, text: str, label: str, values: Mapping[str, int]
) -> None:
    gauge = Gauge(name, text, (label,), registry=registry)
    for value, number in values.items():
        gauge.labels(value).set(number)
