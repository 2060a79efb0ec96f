"""The web application: its routes, its middleware and its lifetime."""

from __future__ import annotations

import shlex
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from ...errors import CmstreamError
from .. import open_store, pages
from ..api import (
    api,
    docs,
    openapi,
)
from ..http import problems
from ..http.problems import Refusal
from ..http.readings import Readings
from ..http.settings import Settings
from ..people.people import People
from .middleware import BodyLimit, Hosts, Proxies, RequestContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


BODY_LIMIT = 16 << 20
"""Bytes of any request's body at most. The API takes less, and each page has its own limit."""


def create_app(settings: Settings | None = None) -> Starlette:
    """The application, an ASGI callable, with its settings given or from the environment.

    ``state`` holds ``settings``, and from the start of its lifespan on ``store``, ``people``,
    ``limiter`` and ``readings``: the store is opened once for each process, and never created.
    Raises ValueError for settings that can't be; the lifespan raises what
    :func:`cmstream.accounts.open_store` does.
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
        Middleware(Proxies, trusted_hosts=proxies),
        Middleware(RequestContext, settings=settings),
        Middleware(BodyLimit, limit=BODY_LIMIT),
        Middleware(Hosts, allowed=settings.allowed_hosts),
    ]


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    app.state.limiter = anyio.CapacityLimiter(settings.threads)
    app.state.readings = Readings()
    notify = shlex.split(settings.notify)
    with open_store(settings.database, notify=notify) as store:
        app.state.store, app.state.people = store, People(store)
        yield
