"""The API's part on people: sessions, who may sign in, and the tokens of machines.

People and tokens are changed by people alone, who give their password again; a machine's token
can't make another one.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from ..errors import Invalid, NotFound
from ..http import auth, inputs, views
from ..http.resources import Resource
from ..http.views import ROOT
from ..people.links import MINUTES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

    from ..http.auth import Caller
    from ..people.links import Purpose
    from ..people.people import People, Session

_LONGEST_LIFE = 3650


def _people(request: Request) -> People:
    people: People = request.app.state.people
    return people


async def _person(request: Request, *, administrator: bool = False) -> tuple[Caller, Session]:
    """The person who has signed in."""
    who = await auth.require(request, "", "administrator" if administrator else "owner")
    return who, auth.require_person(who)


async def _administrator(request: Request) -> Caller:
    """An administrator who has given the password again."""
    who, _ = await _person(request, administrator=True)
    auth.require_confirmation(who)
    return who


# --- the session -----------------------------------------------------------------------------


async def show_session(request: Request) -> Response:
    """Who has signed in."""
    inputs.parameters(request)
    _, session = await _person(request)
    return JSONResponse(views.session(session))


async def sign_in(request: Request) -> Response:
    """A new session, under a new secret, in place of the one that the browser had."""
    inputs.parameters(request)
    auth.require_same_origin(request)
    given = await inputs.members(request, {"name": str, "password": str}, "name", "password")
    session = await auth.call(
        request,
        _people(request).sign_in,
        _name(given["name"]),
        given["password"],
        source=auth.source(request),
        before=auth.cookie(request),
    )
    response = JSONResponse(views.session(session))
    auth.set_cookie(request, response, session)
    return response


async def sign_out(request: Request) -> Response:
    """End the session."""
    inputs.parameters(request)
    _, session = await _person(request)
    await auth.call(request, _people(request).sign_out, session.token)
    response = Response(status_code=204)
    auth.clear_cookie(request, response)
    return response


async def confirm(request: Request) -> Response:
    """The password again."""
    inputs.parameters(request)
    _, session = await _person(request)
    given = await inputs.members(request, {"password": str}, "password")
    found = await auth.call(
        request,
        _people(request).confirm,
        session,
        given["password"],
        source=auth.source(request),
    )
    return JSONResponse(views.session(found))


# --- people ----------------------------------------------------------------------------------


async def list_people(request: Request) -> Response:
    """Who may sign in."""
    inputs.parameters(request)
    await _person(request, administrator=True)
    found = await auth.call(request, _people(request).everyone)
    return JSONResponse({"people": [views.person(one) for one in found]})


async def add_person(request: Request) -> Response:
    """Let somebody sign in, once they have chosen a password."""
    inputs.parameters(request)
    who = await _administrator(request)
    known = {"name": str, "role": str, "account": str}
    given = await inputs.members(request, known, "name", "role")
    name, role = _name(given["name"]), given["role"]
    account = given.get("account")
    found = await auth.call(
        request, _people(request).add, name, role, account=account, by=who.actor
    )
    return JSONResponse(views.person(found), 201)


async def remove_person(request: Request) -> Response:
    """Let somebody sign in no more."""
    inputs.parameters(request)
    who = await _administrator(request)
    name = _name(request.path_params["name"])
    await auth.call(request, _people(request).remove, name, by=who.actor)
    return Response(status_code=204)


async def add_link(request: Request) -> Response:
    """A link by which somebody chooses a password."""
    inputs.parameters(request)
    who = await _administrator(request)
    name = _name(request.path_params["name"])
    people = _people(request)
    person = await auth.call(request, people.person, name)
    purpose: Purpose = "set-password" if person.has_password else "first-sign-in"
    secret = await auth.call(request, people.add_link, purpose, name, by=who.actor)
    url = f"{request.app.state.settings.origin}/link/{secret}"
    return JSONResponse({"url": url, "minutes": MINUTES}, 201)


def _name(value: str) -> str:
    """A name that every database takes, if only to say that it has none such."""
    if not value.isprintable():
        raise Invalid("invalid-name", "a name has printable characters alone")
    return value


# --- tokens ----------------------------------------------------------------------------------


async def list_tokens(request: Request) -> Response:
    """Tokens: an administrator's all, an owner's own."""
    inputs.parameters(request)
    who, _ = await _person(request)
    found = await auth.call(request, _people(request).tokens, who.account)
    return JSONResponse({"tokens": [views.token(one) for one in found]})


async def add_token(request: Request) -> Response:
    """A new token, whose secret is shown this once."""
    inputs.parameters(request)
    who, _ = await _person(request)
    auth.require_confirmation(who)
    known = {"name": str, "scopes": list, "account": str, "days": int}
    given = await inputs.members(request, known, "name", "scopes")
    account = given.get("account", who.account)
    if account is not None and not who.owns(account):
        raise NotFound("no-such-account", f"there is no account {account[:200]}")
    secret, token = await auth.call(
        request,
        _people(request).add_token,
        given["name"],
        scopes=_scopes(given["scopes"]),
        account=account,
        expires_at=_expiry(given.get("days")),
        by=who.actor,
    )
    return JSONResponse({"secret": secret, **views.token(token)}, 201)


def _scopes(given: list[Any]) -> list[str]:
    if not all(isinstance(one, str) for one in given):
        raise Invalid("invalid-setting", "scopes: a list of texts")
    return given


def _expiry(days: int | None) -> datetime | None:
    if days is None:
        return None
    if not 1 <= days <= _LONGEST_LIFE:
        raise Invalid("invalid-setting", f"a token works for 1 to {_LONGEST_LIFE} days")
    return datetime.now(timezone.utc) + timedelta(days=days)


async def revoke_token(request: Request) -> Response:
    """Revoke a token; an owner only those of the own account."""
    inputs.parameters(request)
    who, _ = await _person(request)
    auth.require_confirmation(who)
    number = request.path_params["id"]
    if number > inputs.LARGEST:
        raise NotFound("no-such-token", "there is no such token")
    people = _people(request)
    await auth.call(request, people.revoke_token, number, account=who.account, by=who.actor)
    return Response(status_code=204)


routes: list[Route] = [
    Resource(f"{ROOT}/session", GET=show_session, POST=sign_in, DELETE=sign_out),
    Resource(f"{ROOT}/session/confirmation", POST=confirm),
    Resource(f"{ROOT}/people", GET=list_people, POST=add_person),
    Resource(f"{ROOT}/people/{{name}}", DELETE=remove_person),
    Resource(f"{ROOT}/people/{{name}}/link", POST=add_link),
    Resource(f"{ROOT}/tokens", GET=list_tokens, POST=add_token),
    Resource(f"{ROOT}/tokens/{{id:number}}", DELETE=revoke_token),
]
