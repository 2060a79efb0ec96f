"""One route for each path with all its methods, so that a 405 names every one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response


class Resource(Route):
    """The route of a path whose methods are answered by one function each; HEAD is GET's.

    ``operations``: the functions by method.
    """

    def __init__(self, path: str, **operations: Callable[[Request], Awaitable[Response]]) -> None:
        super().__init__(path, self._answer)
        self.methods = None  # all of them come here
        self.operations = operations

    async def _answer(self, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        if method not in self.operations:
            allowed = sorted({*self.operations, *(["HEAD"] if "GET" in self.operations else [])})
            message = f"Only {', '.join(allowed)} can be done here."
            raise HTTPException(405, message, {"Allow": ", ".join(allowed)})
        return await self.operations[method](request)
