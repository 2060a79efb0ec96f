"""The HTTP API under ``/api/v1``, and the server's health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

from . import auth

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def health(request: Request) -> Response:
    """Whether the store answers."""
    await auth.call(request, request.app.state.store.switches)
    return JSONResponse({"status": "ok"})


routes = [Route("/health", health)]
