"""The API's operations on accounts: their settings, what becomes of their mail, their audit log.

An owner's caller sees their own account, and of all others that there is no such account.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from ..account_settings import SETTINGS
from ..errors import NotFound
from ..http import inputs, sample, views
from ..http.views import ROOT
from .operation import Call, Operations
from .parameters import ACCOUNT, AUDIT, LIST, SWITCH_ON
from .server import show_audit

accounts = Operations("accounts")


@accounts.operation(
    "GET",
    f"{ROOT}/accounts",
    "listAccounts",
    "Accounts, a page at a time; an owner sees their own",
    scope="accounts:read",
    query=LIST,
    answer="Accounts",
    refusals=(404,),
)
async def list_accounts(call: Call) -> Response:
    """Accounts, a page at a time: an administrator's all, an owner's own."""
    query = call.query
    limit: int = query["limit"]
    if call.who.role == "administrator":
        found = await call.run(
            call.store.accounts,
            query["search"],
            expiring_before=_in_days(query["expiring_within"]),
            unprotected=query["unprotected"],
            after=query["after"],
            limit=limit + 1,
        )
    else:
        found = [await call.run(call.store.account, call.who.account or "")]
    following = None
    if len(found) > limit:
        parameters = {**call.request.query_params, "after": found[limit - 1].address}
        following = f"{ROOT}/accounts?{urlencode(parameters)}"
    return JSONResponse(
        {"accounts": [views.account(one) for one in found[:limit]], "next": following}
    )


def _in_days(days: int | None) -> datetime | None:
    return None if days is None else datetime.now(timezone.utc) + timedelta(days=days)


@accounts.operation(
    "POST",
    f"{ROOT}/accounts",
    "addAccount",
    "Make an account; for administrators",
    scope="accounts:write",
    role="administrator",
    confirmed=True,
    query=SWITCH_ON,
    body="NewAccount",
    answer="Account",
    status=201,
    refusals=(409,),
)
async def add_account(call: Call) -> Response:
    """A new account."""
    settings = {name: value for name, value in call.body.items() if name != "address"}
    return await _added(call, call.body["address"], settings)


async def _added(call: Call, address: str, settings: dict[str, Any]) -> Response:
    found = await call.run(
        call.store.add_account,
        address,
        by=call.who.actor,
        need_certificate=not call.query["without_certificate"],
        **settings,
    )
    headers = {"Location": views.account_path(found.address)}
    return JSONResponse(views.account(found), 201, headers)


@accounts.operation(
    "GET",
    ACCOUNT,
    "showAccount",
    "An account and its settings",
    scope="accounts:read",
    answer="Account",
    refusals=(404, 422),
)
async def show_account(call: Call) -> Response:
    """One account."""
    return JSONResponse(views.account(await call.run(call.store.account, call.path["address"])))


@accounts.operation(
    "PUT",
    ACCOUNT,
    "putAccount",
    "All settings at once; an administrator makes the account with it",
    scope="accounts:write",
    confirmed=True,
    query=SWITCH_ON,
    body="AllSettings",
    answer="Account",
    made=True,
    refusals=(404, 409),
)
async def put_account(call: Call) -> Response:
    """All settings of an account at once, which is made if it isn't there: what isn't given
    becomes its default, but what only administrators change stays when an owner asks."""
    administrator = call.who.role == "administrator"
    defaults = {
        name: one.default
        for name, one in SETTINGS.items()
        if administrator or not one.administrators
    }
    try:
        return await _changed(call, defaults | call.body)
    except NotFound:
        if not administrator:
            raise
        return await _added(call, call.path["address"], call.body)


@accounts.operation(
    "PATCH",
    ACCOUNT,
    "changeAccount",
    "Change some settings",
    scope="accounts:write",
    confirmed=True,
    query=SWITCH_ON,
    body="Settings",
    answer="Account",
    refusals=(404, 409),
)
async def change_account(call: Call) -> Response:
    """Some settings of an account."""
    return await _changed(call, call.body)


async def _changed(call: Call, settings: dict[str, Any]) -> Response:
    found = await call.run(
        call.store.change_account,
        call.path["address"],
        by=call.who.actor,
        need_certificate=not call.query["without_certificate"],
        **settings,
    )
    return JSONResponse(views.account(found))


@accounts.operation(
    "DELETE",
    ACCOUNT,
    "removeAccount",
    "Remove an account, whose mail then isn't sealed any more; for administrators",
    scope="accounts:write",
    confirmed=True,
    status=204,
    refusals=(404, 422),
)
async def remove_account(call: Call) -> Response:
    """Remove an account."""
    await call.run(call.store.remove_account, call.path["address"], by=call.who.actor)
    return Response(status_code=204)


@accounts.operation(
    "GET",
    f"{ACCOUNT}/seal",
    "showSeal",
    "What becomes of mail to an account now; 409 if it is refused",
    scope="accounts:read",
    answer="Seal",
    refusals=(404, 409, 422),
)
async def show_seal(call: Call) -> Response:
    """What becomes of mail to an account now, all switches considered."""
    account = await call.run(call.store.account, call.path["address"])
    return JSONResponse(views.seal(await call.run(call.store.seal_for, account.address)))


@accounts.operation(
    "GET",
    f"{ACCOUNT}/test",
    "testMessage",
    "A sample message, sealed as mail to the account is now",
    scope="accounts:read",
    answer=("message/rfc822",),
    refusals=(404, 409, 422),
)
async def test_message(call: Call) -> Response:
    """A sample message, sealed as mail to the account is now."""
    message = await call.run(sample.sealed, call.store, call.path["address"])
    headers = {"Content-Disposition": 'attachment; filename="test.eml"'}
    return Response(message, 200, headers, "message/rfc822")


@accounts.operation(
    "POST",
    f"{ACCOUNT}/test",
    "sendTestMessage",
    "Send such a message to the account, by the server's mail command",
    scope="accounts:write",
    status=204,
    refusals=(404, 409, 422, 429),
)
async def send_test_message(call: Call) -> Response:
    """Send a sample message to the account."""
    await call.run(sample.send, call.store, call.path["address"])
    return Response(status_code=204)


accounts.operation(
    "GET",
    f"{ACCOUNT}/audit",
    "showAccountAudit",
    "What was done to an account, the newest entry first",
    scope="audit:read",
    query=AUDIT,
    answer="AuditLog",
    refusals=(404, 422),
)(show_audit)


@accounts.operation(
    "POST",
    f"{ACCOUNT}/audit/{{entry:number}}/acknowledgement",
    "acknowledge",
    "The owner has seen what somebody else changed",
    scope="",
    answer="AuditEntry",
    refusals=(404, 409, 422),
)
async def acknowledge(call: Call) -> Response:
    """The owner has seen what somebody else changed: a person does that, no machine."""
    entry, address = call.path["entry"], call.path["address"]
    if entry > inputs.LARGEST:
        raise NotFound("no-such-entry", "the audit log has no such entry")
    found = await call.run(call.store.acknowledge, entry, by=call.who.actor, address=address)
    return JSONResponse(views.entry(found))
