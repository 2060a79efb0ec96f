"""Finds out who sends a request and whether they may: tokens for machines, sessions for people."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import urlsplit

import anyio.to_thread

from ..addresses import canonical
from ..errors import AccountsError
from .problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from ..account import Actor, Role
    from ..people.people import Session
    from .settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110 section 9.2.1)."""

_LONGEST_SECRET = 128


@dataclass(frozen=True)
class Caller:
    """Who sent a request: a machine with a token, or a person with a session.

    ``account`` is the address whose owner it is, None for administrators. ``scopes`` are those of
    the token; None for a person, who may do all that the role may. ``actor`` is who makes a change.
    """

    name: str
    role: Role
    account: str | None
    actor: Actor
    scopes: frozenset[str] | None = None
    session: Session | None = None

    def may(self, scope: str) -> bool:
        """Whether the token's scopes have this one; the empty one has everybody."""
        return self.scopes is None or not scope or scope in self.scopes

    def owns(self, address: str) -> bool:
        """Whether the caller may see the account of an address, in whichever form it is written:
        administrators see all, owners their own."""
        if self.role == "administrator":
            return True
        try:
            return self.account is not None and canonical(address) == self.account
        except AccountsError:
            return False


async def call(request: Request, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function of the store in a thread, as many at the same time as the settings say."""
    work: Callable[[], T] = partial(function, *args, **kwargs)
    return await anyio.to_thread.run_sync(work, limiter=request.app.state.limiter)


# --- cookies ---------------------------------------------------------------------------------


def cookie_name(settings: Settings) -> str:
    """The session cookie's name: over TLS one that only this host can set (RFC 6265bis
    section 4.1.3.2)."""
    return "__Host-cmstream" if settings.secure else "cmstream"


def set_cookie(request: Request, response: Response, session: Session) -> None:
    """Give a new session's secret to the browser, out of reach of scripts and other sites."""
    settings: Settings = request.app.state.settings
    response.set_cookie(
        cookie_name(settings),
        session.token,
        path="/",
        secure=settings.secure,
        httponly=True,
        samesite="lax",
    )


def clear_cookie(request: Request, response: Response) -> None:
    """Take the session's cookie away."""
    settings: Settings = request.app.state.settings
    response.delete_cookie(
        cookie_name(settings), path="/", secure=settings.secure, httponly=True, samesite="lax"
    )


def cookie(request: Request) -> str | None:
    """The secret in the session's cookie, whatever it is worth."""
    secret = request.cookies.get(cookie_name(request.app.state.settings), "")
    return secret if 0 < len(secret) <= _LONGEST_SECRET else None


def source(request: Request) -> str:
    """Where a request comes from, for the login limits: the address of the client, or what a
    trusted proxy says that it is."""
    return request.client.host if request.client else ""


# --- who -------------------------------------------------------------------------------------


async def caller(request: Request) -> Caller | None:
    """Who sent the request, None if it doesn't say; asked once for each request.

    An ``Authorization`` field counts before a cookie. Raises Refusal, 401, for a token that is
    unknown, expired or revoked.
    """
    if "cmstream.caller" not in request.scope:
        request.scope["cmstream.caller"] = await _identify(request)
    found: Caller | None = request.scope["cmstream.caller"]
    return found


async def _identify(request: Request) -> Caller | None:
    header = request.headers.get("authorization")
    if header is not None:
        return await _machine(request, header)
    secret = cookie(request)
    if secret is None:
        return None
    session = await call(request, request.app.state.people.session, secret)
    if session is None:
        return None
    person = session.person
    return Caller(person.name, person.role, person.account, person.actor, session=session)


async def _machine(request: Request, header: str) -> Caller:
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    token = None
    if scheme.lower() == "bearer" and 0 < len(secret) <= _LONGEST_SECRET:
        token = await call(request, request.app.state.people.token, secret)
    if token is None:
        raise unauthorized("invalid-token", "The token is unknown, expired or revoked.")
    return Caller(
        token.name, token.role, token.account, token.actor, scopes=frozenset(token.scopes)
    )


def unauthorized(code: str, detail: str) -> Refusal:
    """The refusal of a request that doesn't say who sends it (RFC 6750 section 3)."""
    challenge = 'Bearer realm="cmstream"'
    if code == "invalid-token":
        challenge += ', error="invalid_token"'
    return Refusal(401, code, detail, headers={"WWW-Authenticate": challenge})


def not_signed_in() -> Refusal:
    """The refusal where nobody has said who they are."""
    return unauthorized("not-signed-in", "Sign in, or send a token: Authorization: Bearer …")


# --- whether ---------------------------------------------------------------------------------


async def require(request: Request, scope: str, role: Role = "owner") -> Caller:
    """The caller, who has the scope and at least the role; a person's request that changes
    something comes from this site's own page and has the session's CSRF token in its header.

    Raises Refusal: 401 ``not-signed-in``, 403 ``scope-needed``, ``forbidden``, ``csrf``,
    ``foreign-origin``.
    """
    found = await caller(request)
    if found is None:
        raise not_signed_in()
    if found.session is not None and request.method not in SAFE:
        require_same_origin(request)
        require_csrf(found, request.headers.get(CSRF_HEADER, ""))
    if not found.may(scope):
        raise Refusal(403, "scope-needed", f"The token lacks the scope {scope!r}.", scope=scope)
    if role == "administrator" and found.role != "administrator":
        raise Refusal(403, "forbidden", "That is for administrators.")
    return found


def require_csrf(who: Caller, value: str) -> None:
    """Raises Refusal ``csrf`` unless the value, from a header or a form, is the session's."""
    expected = who.session.csrf if who.session else ""
    if not expected or not hmac.compare_digest(expected.encode(), value.encode()):
        raise Refusal(403, "csrf", f"The session's token is missing: send it in {CSRF_HEADER}.")


def require_same_origin(request: Request) -> None:
    """Raises Refusal ``foreign-origin`` if a browser says that another site's page sent this."""
    settings: Settings = request.app.state.settings
    origin = request.headers.get("origin")
    own = {settings.origin, _own_origin(request)}
    if origin is not None and origin not in own:
        raise Refusal(403, "foreign-origin", "The request comes from another site's page.")
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Refusal(403, "foreign-origin", "The request comes from another site's page.")


def _own_origin(request: Request) -> str:
    """The origin of the page at the address that the request itself names; which hosts there are
    was checked before."""
    parts = urlsplit(str(request.url))
    return f"{parts.scheme}://{parts.netloc}"


def require_person(who: Caller) -> Session:
    """The person's session. Raises Refusal ``person-needed`` for a machine."""
    if who.session is None:
        raise Refusal(403, "person-needed", "That is for people who have signed in.")
    return who.session


def require_confirmation(who: Caller) -> None:
    """Raises Refusal ``confirmation-needed`` if a person hasn't given the password again in the
    last minutes; a machine has none."""
    if who.session is not None and not who.session.confirmed:
        raise Refusal(403, "confirmation-needed", "Give your password again to change this.")
