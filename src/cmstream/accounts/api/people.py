"""The API's operations on people: sessions, who may sign in, and the tokens of machines.

People and tokens are changed by people alone, who give their password again; a machine's token
can't make another one.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from ..errors import Invalid, NotFound
from ..http import auth, inputs, views
from ..http.views import ROOT
from ..people.links import MINUTES
from .operation import Call, Operations
from .schemas import SCHEMAS

if TYPE_CHECKING:
    from ..people.links import Purpose

_DAYS = SCHEMAS["NewToken"]["properties"]["days"]

people = Operations("people")


# --- the session -----------------------------------------------------------------------------


@people.operation(
    "GET", f"{ROOT}/session", "showSession", "Who has signed in", scope="", answer="Session"
)
async def show_session(call: Call) -> Response:
    """Who has signed in."""
    return JSONResponse(views.session(call.session))


@people.operation(
    "POST",
    f"{ROOT}/session",
    "signIn",
    "Sign in; the answer sets the session's cookie",
    body="SignIn",
    answer="Session",
    refusals=(403, 429),
)
async def sign_in(call: Call) -> Response:
    """A new session, under a new secret, in place of the one that the browser had."""
    auth.require_same_origin(call.request)
    given = call.body
    session = await call.run(
        call.people.sign_in,
        _name(given["name"]),
        given["password"],
        source=auth.source(call.request),
        before=auth.cookie(call.request),
    )
    response = JSONResponse(views.session(session))
    auth.set_cookie(call.request, response, session)
    return response


@people.operation("DELETE", f"{ROOT}/session", "signOut", "Sign out", scope="", status=204)
async def sign_out(call: Call) -> Response:
    """End the session."""
    await call.run(call.people.sign_out, call.session.token)
    response = Response(status_code=204)
    auth.clear_cookie(call.request, response)
    return response


@people.operation(
    "POST",
    f"{ROOT}/session/confirmation",
    "confirm",
    "Give the password again, which holds for five minutes",
    scope="",
    body="Confirmation",
    answer="Session",
    refusals=(429,),
)
async def confirm(call: Call) -> Response:
    """The password again."""
    given = call.body
    found = await call.run(call.people.confirm, call.session, given["password"])
    return JSONResponse(views.session(found))


# --- people ----------------------------------------------------------------------------------


@people.operation(
    "GET",
    f"{ROOT}/people",
    "listPeople",
    "Who may sign in; for administrators",
    scope="",
    role="administrator",
    answer="People",
)
async def list_people(call: Call) -> Response:
    """Who may sign in."""
    found = await call.run(call.people.everyone)
    return JSONResponse({"people": [views.person(one) for one in found]})


@people.operation(
    "POST",
    f"{ROOT}/people",
    "addPerson",
    "Let somebody sign in; they choose their password by a link",
    scope="",
    role="administrator",
    confirmed=True,
    body="NewPerson",
    answer="Person",
    status=201,
    refusals=(404, 409),
)
async def add_person(call: Call) -> Response:
    """Let somebody sign in, once they have chosen a password."""
    given = call.body
    name, role = _name(given["name"]), given["role"]
    account = given.get("account")
    found = await call.run(call.people.add, name, role, account=account, by=call.who.actor)
    return JSONResponse(views.person(found), 201)


@people.operation(
    "DELETE",
    f"{ROOT}/people/{{name}}",
    "removePerson",
    "Let somebody sign in no more",
    scope="",
    role="administrator",
    confirmed=True,
    status=204,
    refusals=(404, 409, 422),
)
async def remove_person(call: Call) -> Response:
    """Let somebody sign in no more."""
    name = _name(call.path["name"])
    await call.run(call.people.remove, name, by=call.who.actor)
    return Response(status_code=204)


@people.operation(
    "POST",
    f"{ROOT}/people/{{name}}/link",
    "addLink",
    "A link by which somebody chooses their password, once",
    scope="",
    role="administrator",
    confirmed=True,
    answer="Link",
    status=201,
    refusals=(404, 422),
)
async def add_link(call: Call) -> Response:
    """A link by which somebody chooses a password."""
    name = _name(call.path["name"])
    person = await call.run(call.people.person, name)
    purpose: Purpose = "set-password" if person.has_password else "first-sign-in"
    secret = await call.run(call.people.add_link, purpose, name, by=call.who.actor)
    url = f"{call.request.app.state.settings.origin}/link/{secret}"
    return JSONResponse({"url": url, "minutes": MINUTES}, 201)


def _name(value: str) -> str:
    """A name that every database takes, if only to say that it has none such."""
    if not value.isprintable():
        raise Invalid("invalid-name", "a name has printable characters alone")
    return value


# --- tokens ----------------------------------------------------------------------------------


@people.operation(
    "GET",
    f"{ROOT}/tokens",
    "listTokens",
    "Tokens without their secrets: an administrator's all, an owner's own",
    scope="",
    answer="Tokens",
)
async def list_tokens(call: Call) -> Response:
    """Tokens: an administrator's all, an owner's own."""
    found = await call.run(call.people.tokens, call.who.account)
    return JSONResponse({"tokens": [views.token(one) for one in found]})


@people.operation(
    "POST",
    f"{ROOT}/tokens",
    "addToken",
    "Make a token; an owner's is bound to their account",
    scope="",
    confirmed=True,
    body="NewToken",
    answer="CreatedToken",
    status=201,
    refusals=(404,),
)
async def add_token(call: Call) -> Response:
    """A new token, whose secret is shown this once."""
    given = call.body
    account = given.get("account", call.who.account)
    if account is not None and not call.who.owns(account):
        raise NotFound("no-such-account", f"there is no account {account[:200]}")
    secret, token = await call.run(
        call.people.add_token,
        given["name"],
        scopes=_scopes(given["scopes"]),
        account=account,
        expires_at=_expiry(given.get("days")),
        by=call.who.actor,
    )
    return JSONResponse({"secret": secret, **views.token(token)}, 201)


def _scopes(given: list[Any]) -> list[str]:
    if not all(isinstance(one, str) for one in given):
        raise Invalid("invalid-setting", "scopes: a list of texts")
    return given


def _expiry(days: int | None) -> datetime | None:
    if days is None:
        return None
    least, most = _DAYS["minimum"], _DAYS["maximum"]
    if not least <= days <= most:
        raise Invalid("invalid-setting", f"a token works for {least} to {most} days")
    return datetime.now(timezone.utc) + timedelta(days=days)


@people.operation(
    "DELETE",
    f"{ROOT}/tokens/{{id:number}}",
    "revokeToken",
    "Revoke a token at once",
    scope="",
    confirmed=True,
    status=204,
    refusals=(404,),
)
async def revoke_token(call: Call) -> Response:
    """Revoke a token; an owner only those of the own account."""
    number = call.path["id"]
    if number > inputs.LARGEST:
        raise NotFound("no-such-token", "there is no such token")
    await call.run(call.people.revoke_token, number, account=call.who.account, by=call.who.actor)
    return Response(status_code=204)
