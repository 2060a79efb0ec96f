"""An operation of the API, declared once: the description, the checks and the routes read it.

A declaration stands above the function that does the work::

    @accounts.operation("GET", "/accounts", "listAccounts", "Accounts, a page at a time",
                        scope="accounts:read", answer="Accounts")
    async def list_accounts(call: Call) -> Response: ...

Before the function runs, the caller, the scope, the query and the body were checked by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..addresses import canonical
from ..errors import AccountsError, NotFound
from ..http import auth, inputs, readings
from ..http.application import ApplicationRequest
from ..http.resources import Resource
from .schemas import SCHEMAS, Schema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from ..account import Role
    from ..http.auth import Caller
    from ..people.people import Session

    Handler = Callable[["Call"], Awaitable[Response]]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Call(ApplicationRequest):
    """A request that was checked. ``caller``: None where nobody needs to be known. ``query``: the
    parameters of the query, each with its default if it isn't there. ``body``: the members of the
    JSON object; empty if the operation takes none."""

    caller: Caller | None
    query: dict[str, Any]
    body: dict[str, Any]

    @property
    def who(self) -> Caller:
        """The caller."""
        if self.caller is None:
            raise auth.not_signed_in()
        return self.caller

    @property
    def session(self) -> Session:
        """The session of the person who asks."""
        return auth.require_person(self.who)

    @property
    def path(self) -> dict[str, Any]:
        """The parameters of the path."""
        return self.request.path_params

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function of the store in a thread."""
        return await auth.call(self.request, function, *args, **kwargs)

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that reads the caller's file, in its turn."""
        return await readings.read(self.request, self.who, function, *args, **kwargs)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What one method does at one path.

    ``scope``: what a token needs; "" where only people may, None where nobody needs to be known.
    ``role``: which callers may. ``confirmed``: a person must have given the password again.
    ``query``: schemas of the query's parameters by name; ``headers`` likewise. ``body``: a schema's
    name, or media types of a file. ``answer`` likewise, and ``status``, the answer's. ``made``: it
    may also answer 201. ``refusals``: statuses beside those that every operation can answer.
    ``unless``: of which requests the caller needn't be known after all.
    """

    tag: str
    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    scope: str | None = None
    role: Role = "owner"
    confirmed: bool = False
    query: dict[str, Schema] = field(default_factory=dict)
    headers: dict[str, Schema] = field(default_factory=dict)
    body: str | tuple[str, ...] | None = None
    answer: str | tuple[str, ...] | None = None
    status: int = 200
    made: bool = False
    refusals: tuple[int, ...] = ()
    unless: Callable[[Request], bool] | None = None

    async def __call__(self, request: Request) -> Response:
        """Check the request and do it. Raises Refusal."""
        inputs.parameters(request, *self.query)
        caller = await self._caller(request)
        query = {name: inputs.parameter(request, name, one) for name, one in self.query.items()}
        if caller is not None and self.confirmed:
            auth.require_confirmation(caller)
        is_json = isinstance(self.body, str)
        body = await inputs.members(request, SCHEMAS[str(self.body)]) if is_json else {}
        return await self.handler(Call(request, caller, query, body))

    async def _caller(self, request: Request) -> Caller | None:
        """Whoever asks, and may see the account in the path."""
        if self.scope is None or (self.unless and self.unless(request)):
            return None
        caller = await auth.require(request, self.scope, self.role)
        address = request.path_params.get("address")
        if address is not None and not caller.owns(address):
            raise _no_account(address)
        if not self.scope:
            auth.require_person(caller)
        return caller


def _no_account(address: str) -> NotFound:
    """What the store says of an address without an account."""
    try:
        name = canonical(address)
    except AccountsError:
        name = address[:200]
    return NotFound("no-such-account", f"there is no account {name}")


class Operations(list[Operation]):
    """The operations on one subject; ``tag`` is its name in the description."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag = tag

    def operation(
        self, method: str, path: str, name: str, summary: str, **more: Any
    ) -> Callable[[Handler], Handler]:
        """Declares what the function below it does; the names are those of :class:`Operation`."""

        def declare(handler: Handler) -> Handler:
            self.append(
                Operation(
                    tag=self.tag,
                    method=method,
                    path=path,
                    name=name,
                    summary=summary,
                    handler=handler,
                    **more,
                )
            )
            return handler

        return declare

    @property
    def routes(self) -> list[Resource]:
        """A route for each path."""
        paths: dict[str, dict[str, Operation]] = {}
        for one in self:
            paths.setdefault(one.path, {})[one.method] = one
        return [Resource(path, **methods) for path, methods in paths.items()]
