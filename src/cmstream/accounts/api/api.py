"""The HTTP API under ``/api/v1``, and the server's health: each resource with its methods.

An owner's caller sees their own account, and of all others that there is no such account.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from ..account import SWITCHES
from ..account_settings import SETTINGS
from ..addresses import canonical
from ..clients import CLIENTS
from ..errors import AccountsError, NotFound
from ..http import (
    auth,
    inputs,
    sample,
    views,
)
from ..http.problems import Refusal
from ..http.resources import Resource
from ..http.views import ROOT
from ..values import text
from . import api_people

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

    from ..http.auth import Caller
    from ..store import Store

PAGE, LARGEST_PAGE = 100, 1000
_SETTINGS: dict[str, type | tuple[type, ...]] = {
    "cipher": (str, type(None)),
    "encrypt_on_append": bool,
    "when_unusable": str,
    "clients": list,
    "aliases": list,
    "domains": list,
}
_MAX_DAYS = 36_500


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def _own(request: Request, scope: str) -> tuple[Caller, str]:
    """The caller and the address in the path, whose account they may see."""
    who = await auth.require(request, scope)
    address: str = request.path_params["address"]
    if not who.owns(address):
        raise _no_account(address)
    return who, address


def _no_account(address: str) -> NotFound:
    """What the store says of an address without an account."""
    try:
        name = canonical(address)
    except AccountsError:
        name = address[:200]
    return NotFound("no-such-account", f"there is no account {name}")


async def health(request: Request) -> Response:
    """Whether the store answers."""
    await auth.call(request, _store(request).switches)
    return JSONResponse({"status": "ok"})


# --- accounts --------------------------------------------------------------------------------


async def list_accounts(request: Request) -> Response:
    """Accounts, a page at a time: an administrator's all, an owner's own."""
    inputs.parameters(request, "search", "expiring_within", "unprotected", "after", "limit")
    who = await auth.require(request, "accounts:read")
    days = inputs.number(request, "expiring_within", None, 0, _MAX_DAYS)
    limit = inputs.number(request, "limit", PAGE, 1, LARGEST_PAGE) or PAGE
    wanted: dict[str, Any] = {
        "expiring_before": _in_days(days),
        "unprotected": inputs.flag(request, "unprotected"),
        "after": inputs.words(request, "after"),
        "limit": limit + 1,
    }
    search = inputs.words(request, "search")
    if who.role == "administrator":
        found = await auth.call(request, _store(request).accounts, search, **wanted)
    else:
        found = [await auth.call(request, _store(request).account, who.account or "")]
    following = _following(request, found[limit - 1].address) if len(found) > limit else None
    return JSONResponse(
        {"accounts": [views.account(one) for one in found[:limit]], "next": following}
    )


def _in_days(days: int | None) -> datetime | None:
    return None if days is None else datetime.now(timezone.utc) + timedelta(days=days)


def _following(request: Request, last: str) -> str:
    return f"{ROOT}/accounts?{urlencode({**request.query_params, 'after': last})}"


async def add_account(request: Request) -> Response:
    """A new account."""
    inputs.parameters(request)
    who = await auth.require(request, "accounts:write", "administrator")
    auth.require_confirmation(who)
    given = await inputs.members(request, {"address": str, **_SETTINGS}, "address")
    address = given.pop("address")
    return await _added(request, who, address, given)


async def _added(request: Request, who: Caller, address: str, given: dict[str, Any]) -> Response:
    store = _store(request)
    found = await auth.call(request, store.add_account, address, by=who.actor, **given)
    headers = {"Location": views.account_path(found.address)}
    return JSONResponse(views.account(found), 201, headers)


async def show_account(request: Request) -> Response:
    """One account."""
    inputs.parameters(request)
    _, address = await _own(request, "accounts:read")
    found = await auth.call(request, _store(request).account, address)
    return JSONResponse(views.account(found))


async def put_account(request: Request) -> Response:
    """All settings of an account at once, which is made if it isn't there: what isn't given
    becomes its default, but an owner's aliases and domains stay."""
    inputs.parameters(request)
    who, address = await _own(request, "accounts:write")
    auth.require_confirmation(who)
    given = await inputs.members(request, _SETTINGS, "cipher")
    defaults = {
        name: one.default
        for name, one in SETTINGS.items()
        if who.role == "administrator" or not one.administrators
    }
    try:
        found = await auth.call(
            request, _store(request).change_account, address, by=who.actor, **defaults | given
        )
    except NotFound:
        if who.role != "administrator":
            raise
        return await _added(request, who, address, given)
    return JSONResponse(views.account(found))


async def change_account(request: Request) -> Response:
    """Some settings of an account."""
    inputs.parameters(request)
    who, address = await _own(request, "accounts:write")
    auth.require_confirmation(who)
    given = await inputs.members(request, _SETTINGS)
    found = await auth.call(request, _store(request).change_account, address, by=who.actor, **given)
    return JSONResponse(views.account(found))


async def remove_account(request: Request) -> Response:
    """Remove an account."""
    inputs.parameters(request)
    who, address = await _own(request, "accounts:write")
    auth.require_confirmation(who)
    await auth.call(request, _store(request).remove_account, address, by=who.actor)
    return Response(status_code=204)


async def show_seal(request: Request) -> Response:
    """What becomes of mail to an account now, all switches considered."""
    inputs.parameters(request)
    _, address = await _own(request, "accounts:read")
    account = await auth.call(request, _store(request).account, address)
    found = await auth.call(request, _store(request).seal_for, account.address)
    return JSONResponse(views.seal(found))


async def test_message(request: Request) -> Response:
    """A sample message, sealed as mail to the account is now."""
    inputs.parameters(request)
    _, address = await _own(request, "accounts:read")
    message = await auth.call(request, sample.sealed, _store(request), address)
    headers = {"Content-Disposition": 'attachment; filename="test.eml"'}
    return Response(message, 200, headers, "message/rfc822")


# --- certificates ----------------------------------------------------------------------------


async def list_certificates(request: Request) -> Response:
    """The certificates of an account."""
    inputs.parameters(request)
    _, address = await _own(request, "accounts:read")
    found = await auth.call(request, _store(request).certificates, address)
    return JSONResponse({"certificates": [views.certificate(one) for one in found]})


async def import_certificates(request: Request) -> Response:
    """Take the certificates of the file that is the body, or tell what would be taken."""
    known = ("preview", "confirm_mismatch", "retire_others", "description")
    inputs.parameters(request, *known)
    preview, confirmed, retire = (inputs.flag(request, name) for name in known[:3])
    description = inputs.words(request, "description")
    who, address = await _own(request, "certificates:write")
    if not preview:
        auth.require_confirmation(who)
    # An address without an account is said to be one before anything is read.
    await auth.call(request, _store(request).account, address)
    data, password = await inputs.body(request), inputs.password(request)
    if preview:
        found = await auth.call(request, _store(request).preview, address, data, password)
    else:
        found = await auth.call(
            request,
            _store(request).import_certificates,
            address,
            data,
            password=password,
            by=who.actor,
            confirm_mismatch=confirmed,
            description=description,
            retire_others=retire,
        )
    return JSONResponse(views.report(found))


async def show_certificate(request: Request) -> Response:
    """One certificate."""
    inputs.parameters(request)
    _, address = await _own(request, "accounts:read")
    fingerprint = request.path_params["fingerprint"]
    found = await auth.call(request, _store(request).certificate, address, fingerprint)
    return JSONResponse(views.certificate(found))


async def download_certificate(request: Request) -> Response:
    """One certificate as a file, in DER or PEM (RFC 8551 names DER's media type)."""
    inputs.parameters(request)
    _, address = await _own(request, "accounts:read")
    fingerprint = request.path_params["fingerprint"].lower()
    found = await auth.call(request, _store(request).certificate, address, fingerprint)
    pem = request.url.path.endswith(".pem")
    data = found.recipient.pem if pem else found.der
    name = f"{fingerprint[:16]}.{'pem' if pem else 'der'}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    kind = "application/x-pem-file" if pem else "application/pkix-cert"
    return Response(data, 200, headers, kind)


async def change_certificate(request: Request) -> Response:
    """Describe, retire or activate a certificate."""
    inputs.parameters(request)
    who, address = await _own(request, "certificates:write")
    given = await inputs.members(request, {"description": str, "state": str})
    auth.require_confirmation(who)
    found = await auth.call(request, _changed, request, who, address, given)
    return JSONResponse(views.certificate(found))


def _changed(request: Request, who: Caller, address: str, given: dict[str, Any]) -> Any:
    store, fingerprint = _store(request), request.path_params["fingerprint"]
    states = {"active": store.activate_certificate, "retired": store.retire_certificate}
    if given.get("state", "active") not in states:
        raise Refusal(422, "invalid-member", "A state is 'active' or 'retired'.")
    text(given.get("description", ""), "invalid-setting", "a description")
    found = store.certificate(address, fingerprint)
    if "state" in given:
        found = states[given["state"]](address, fingerprint, by=who.actor)
    if "description" in given:
        found = store.describe_certificate(address, fingerprint, given["description"], by=who.actor)
    return found


async def delete_certificate(request: Request) -> Response:
    """Forget a certificate."""
    inputs.parameters(request)
    who, address = await _own(request, "certificates:write")
    auth.require_confirmation(who)
    fingerprint = request.path_params["fingerprint"]
    await auth.call(request, _store(request).delete_certificate, address, fingerprint, by=who.actor)
    return Response(status_code=204)


# --- switches and the audit log --------------------------------------------------------------


async def show_switches(request: Request) -> Response:
    """The server-wide switches."""
    inputs.parameters(request)
    await auth.require(request, "accounts:read", "administrator")
    return JSONResponse(await auth.call(request, _store(request).switches))


async def change_switches(request: Request) -> Response:
    """Set some of them."""
    inputs.parameters(request)
    who = await auth.require(request, "switches:write", "administrator")
    auth.require_confirmation(who)
    store = _store(request)
    given = await inputs.members(request, dict.fromkeys(SWITCHES, str))
    if wrong := sorted(name for name, value in given.items() if value not in SWITCHES[name]):
        known = ", ".join(map(repr, SWITCHES[wrong[0]]))
        raise Refusal(422, "invalid-setting", f"{wrong[0]} is one of {known}.")
    for name, value in given.items():
        await auth.call(request, store.set_switch, name, value, by=who.actor)
    return JSONResponse(await auth.call(request, store.switches))


async def list_clients(request: Request) -> Response:
    """The mail programs that an account may name, and what is known of them."""
    inputs.parameters(request)
    await auth.require(request, "accounts:read")
    return JSONResponse({"clients": [views.client(one) for one in CLIENTS.values()]})


async def show_audit(request: Request) -> Response:
    """The audit log, the newest entry first: the whole server's, or an account's."""
    inputs.parameters(request, "before", "limit", "unacknowledged")
    if "address" in request.path_params:
        _, address = await _own(request, "audit:read")
    else:
        address = None
        await auth.require(request, "audit:read", "administrator")
    limit = inputs.number(request, "limit", PAGE, 1, LARGEST_PAGE) or PAGE
    found = await auth.call(
        request,
        _store(request).audit,
        address,
        before=inputs.number(request, "before", None, 1, inputs.LARGEST),
        limit=limit,
        unacknowledged=inputs.flag(request, "unacknowledged"),
    )
    return JSONResponse({"entries": [views.entry(one) for one in found]})


async def acknowledge(request: Request) -> Response:
    """The owner has seen what somebody else changed: a person does that, no machine."""
    inputs.parameters(request)
    who, address = await _own(request, "audit:read")
    auth.require_person(who)
    entry = request.path_params["entry"]
    if entry > inputs.LARGEST:
        raise NotFound("no-such-entry", "the audit log has no such entry")
    found = await auth.call(
        request, _store(request).acknowledge, entry, by=who.actor, address=address
    )
    return JSONResponse(views.entry(found))


_ACCOUNT = f"{ROOT}/accounts/{{address:address}}"
_CERTIFICATE = f"{_ACCOUNT}/certificates/{{fingerprint:fingerprint}}"

routes: list[Route] = [
    Resource("/health", GET=health),
    *api_people.routes,
    Resource(f"{ROOT}/accounts", GET=list_accounts, POST=add_account),
    Resource(f"{_ACCOUNT}/seal", GET=show_seal),
    Resource(f"{_ACCOUNT}/test", GET=test_message),
    Resource(
        f"{_ACCOUNT}/certificates",
        GET=list_certificates,
        PUT=import_certificates,
        POST=import_certificates,
    ),
    Resource(f"{_CERTIFICATE}.pem", GET=download_certificate),
    Resource(f"{_CERTIFICATE}.der", GET=download_certificate),
    Resource(
        _CERTIFICATE, GET=show_certificate, PATCH=change_certificate, DELETE=delete_certificate
    ),
    Resource(f"{_ACCOUNT}/audit", GET=show_audit),
    Resource(f"{_ACCOUNT}/audit/{{entry:number}}/acknowledgement", POST=acknowledge),
    Resource(
        _ACCOUNT,
        GET=show_account,
        PUT=put_account,
        PATCH=change_account,
        DELETE=remove_account,
    ),
    Resource(f"{ROOT}/audit", GET=show_audit),
    Resource(f"{ROOT}/clients", GET=list_clients),
    Resource(f"{ROOT}/switches", GET=show_switches, PATCH=change_switches),
]
