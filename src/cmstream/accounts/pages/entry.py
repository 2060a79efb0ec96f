"""The pages to sign in and out, to use a one-time link and to change the own password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from ..errors import AccessDenied, Invalid, WeakPassword
from ..http import auth
from ..people import passwords
from .words import sentence, wrong_password

if TYPE_CHECKING:
    from starlette.responses import Response

    from ..people.links import Link
    from ..people.people import Session
    from .visit import Visit

_LONGEST_SECRET = 128


def sign_in(visit: Visit) -> Response:
    """The form; whoever is signed in already goes on."""
    if visit.who is not None:
        return visit.go("/")
    visit.form.values["next"] = visit.query("next")
    return visit.show("sign_in.html")


def signed_in(visit: Visit) -> Response:
    """A new session, or what is wrong; the same for a wrong name and a wrong password."""
    form = visit.form
    where = auth.source(visit.request)
    try:
        session = visit.people.sign_in(
            form.text("name"),
            form.secret("password"),
            source=where,
            before=visit.who.session.token if visit.who and visit.who.session else None,
        )
    except AccessDenied as error:
        form.errors["name"] = sentence(error)
        busy = error.code == "too-many-attempts"
        response = visit.show("sign_in.html", 429 if busy else 401)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response
    return _enter(visit, session, _local(form.text("next")))


def _enter(visit: Visit, session: Session, target: str) -> Response:
    response = RedirectResponse(target, 303)
    auth.set_cookie(visit.request, response, session)
    return response


def _local(target: str) -> str:
    """A page of this server, and nothing that leads elsewhere."""
    plain = target.startswith("/") and not target.startswith("//")
    return target if plain and "\\" not in target and target.isprintable() else "/"


def sign_out(visit: Visit) -> Response:
    """The session ends here and in the store."""
    visit.people.sign_out(visit.session.token)
    response = RedirectResponse("/sign-in?done=signed-out", 303)
    auth.clear_cookie(visit.request, response)
    return response


def link(visit: Visit) -> Response:
    """The form of a one-time link; it is used up only when the password is set, since mail
    scanners open links too."""
    return _welcome(visit, visit.people.link(_secret(visit)))


def link_used(visit: Visit) -> Response:
    """The password is set and its owner signed in."""
    whose, new = visit.people.link(_secret(visit)), _new_password(visit)
    if new is None:
        return _welcome(visit, whose)
    try:
        session = visit.people.use_link(_secret(visit), new)
    except AccessDenied:
        raise
    except (Invalid, WeakPassword) as error:
        visit.form.errors["new"] = sentence(error)
        return _welcome(visit, whose)
    return _enter(visit, session, "/")


def _secret(visit: Visit) -> str:
    return str(visit.request.path_params["secret"])[:_LONGEST_SECRET]


def password(visit: Visit) -> Response:
    """The form for another password."""
    return _welcome(visit)


def password_set(visit: Visit) -> Response:
    """Another password, by whoever knows the present one; all other sessions end."""
    form, new = visit.form, _new_password(visit)
    if new is None:
        return _welcome(visit)
    try:
        session = visit.people.change_password(visit.session, form.secret("password"), new)
    except AccessDenied as error:
        form.errors["password"] = wrong_password(error)
        return _welcome(visit)
    except (Invalid, WeakPassword) as error:
        form.errors["new"] = sentence(error)
        return _welcome(visit)
    return _enter(visit, session, "/password?done=password")


def _new_password(visit: Visit) -> str | None:
    form = visit.form
    new = form.secret("new")
    if not new:
        form.errors["new"] = "Choose a password."
    elif new != form.secret("repeat"):
        form.errors["repeat"] = "The two passwords differ: type the same one twice."
    return None if form.errors else new


def _welcome(visit: Visit, link: Link | None = None) -> Response:
    """``link``: the one that led here, None for somebody who is signed in."""
    return visit.show("welcome.html", link=link, shortest=passwords.SHORTEST)
