"""The API's operations on the whole server: health, switches, known mail programs, audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from ..clients import CLIENTS
from ..http import views
from ..http.views import ROOT
from .operation import Call, Operations
from .parameters import AUDIT

if TYPE_CHECKING:
    from starlette.responses import Response

server = Operations("server")


@server.operation("GET", "/health", "health", "Whether the store answers", answer="Health")
async def health(call: Call) -> Response:
    """Whether the store answers."""
    await call.run(call.store.switches)
    return JSONResponse({"status": "ok"})


@server.operation(
    "GET",
    f"{ROOT}/switches",
    "showSwitches",
    "The server-wide switches, which override what accounts say",
    scope="accounts:read",
    role="administrator",
    answer="Switches",
)
async def show_switches(call: Call) -> Response:
    """The server-wide switches."""
    return JSONResponse(await call.run(call.store.switches))


@server.operation(
    "PATCH",
    f"{ROOT}/switches",
    "changeSwitches",
    "Set some switches",
    scope="switches:write",
    role="administrator",
    confirmed=True,
    body="SwitchChange",
    answer="Switches",
)
async def change_switches(call: Call) -> Response:
    """Set some switches: all that were given, or none if one of the values can't be."""
    return JSONResponse(await call.run(_switched, call))


def _switched(call: Call) -> dict[str, str]:
    with call.store.together() as store:
        for name, value in sorted(call.body.items()):
            store.set_switch(name, value, by=call.who.actor)
    return call.store.switches()


@server.operation(
    "GET",
    f"{ROOT}/clients",
    "listClients",
    "The mail programs that an account may name, and what they open",
    scope="accounts:read",
    answer="Clients",
)
async def list_clients(_: Call) -> Response:
    """The mail programs that an account may name, and what is known of them."""
    return JSONResponse({"clients": [views.client(one) for one in CLIENTS.values()]})


@server.operation(
    "GET",
    f"{ROOT}/audit",
    "showAudit",
    "The whole audit log, the newest entry first",
    scope="audit:read",
    role="administrator",
    query=AUDIT,
    answer="AuditLog",
)
async def show_audit(call: Call) -> Response:
    """The audit log, the newest entry first: the whole server's, or that of the account in the
    path."""
    found = await call.run(call.store.audit, call.path.get("address"), **call.query)
    return JSONResponse({"entries": [views.entry(one) for one in found]})
