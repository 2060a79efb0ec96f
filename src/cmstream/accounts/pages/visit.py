"""A request for a page with all that its handler needs, and the answers to it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

import jinja2
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from ..errors import AccessDenied, Invalid, NotFound
from ..http import auth, forms, readings
from ..http.application import ApplicationRequest
from . import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from ..account import Account, Actor
    from ..http.auth import Caller
    from ..http.forms import Form
    from ..http.problems import Problem
    from ..people.people import Session

Who = Literal["anyone", "owner", "administrator"]

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("cmstream.accounts.pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_templates.filters.update(words.FILTERS)

_TITLES = {
    400: "That can't be read",
    401: "Please sign in",
    403: "That isn't allowed",
    404: "There is no such page",
    405: "That isn't possible here",
    409: "That conflicts with what is stored",
    413: "That is too much at once",
    429: "Too much at once",
    500: "Something went wrong",
    503: "Not available just now",
}
_TITLES_OF_CODES = {"link-invalid": "The link works no more"}
_SENTENCES = {
    404: "The address may be mistyped, or the page was removed.",
    405: "Go to the start page and try from there.",
    413: "Certificates are small files. Choose fewer files, or smaller ones.",
    500: "It isn't your fault. Try again. If it happens again, tell your administrator.",
    503: "The store of accounts is out of reach. Nothing was changed; try again in a moment.",
}


@dataclass
class Visit(ApplicationRequest):
    """A request for a page, with all that its handler needs. Handlers run in a thread."""

    who: Caller | None
    form: Form

    @property
    def me(self) -> Caller:
        """Who is signed in."""
        if self.who is None:
            raise HTTPException(401)
        return self.who

    @property
    def session(self) -> Session:
        """Of whoever is signed in."""
        if self.me.session is None:
            raise HTTPException(401)
        return self.me.session

    @property
    def by(self) -> Actor:
        """Who makes the change."""
        return self.me.actor

    @property
    def administrator(self) -> bool:
        """Whether an administrator asks."""
        return self.who is not None and self.who.role == "administrator"

    def query(self, name: str) -> str:
        """A parameter of the page's address, "" if there is none."""
        return self.request.query_params.get(name, "")

    @cached_property
    def account(self) -> Account:
        """The account that the page is about: the one in its address, or the owner's own.
        Whatever somebody may not see doesn't exist: 404."""
        address = self.query("address") or self.me.account or ""
        if not address or not self.me.owns(address):
            raise HTTPException(404)
        try:
            return self.store.account(address)
        except (NotFound, Invalid) as error:
            raise HTTPException(404) from error

    def url(self, path: str, **parameters: str) -> str:
        """A page's address; administrators' name the account."""
        if self.administrator and f"{path}/".startswith("/account/"):
            parameters = {"address": self.account.address, **parameters}
        return f"{path}?{urlencode(parameters)}" if parameters else path

    # --- the password again ------------------------------------------------------------------

    @property
    def unconfirmed(self) -> bool:
        """Whether the password must be given again before something of weight changes."""
        return not self.session.confirmed

    def confirm(self) -> bool:
        """Take the password of the form, if it is needed; what is wrong goes to its errors."""
        if not self.unconfirmed:
            return True
        password = self.form.secret("password")
        if not password:
            self.form.errors["password"] = words.PASSWORD_NEEDED
            return False
        try:
            session = self.people.confirm(self.session, password)
        except AccessDenied as error:
            self.form.errors["password"] = words.wrong_password(error)
            return False
        self.who = replace(self.me, session=session)
        return True

    # --- what others changed meanwhile -------------------------------------------------------

    def fill(self, values: Mapping[str, Any]) -> None:
        """Show what is stored in a form that saves all of it at once."""
        self.form.values = {**values, "was": _digest(values)}

    def still(self, values: Mapping[str, Any]) -> bool:
        """Whether what the form was filled with is still stored. Otherwise saving it would undo
        what somebody else, or another window, has saved since: then it is filled anew."""
        if self.form.text("was") in ("", _digest(values)):
            return True
        self.fill(values)
        self.form.errors[""] = words.CHANGED_MEANWHILE
        return False

    # --- answers -----------------------------------------------------------------------------

    def show(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page. A form with errors is shown with 422, what was typed in its place."""
        if self.form.errors and status == 200:  # noqa: PLR2004
            status = 422
        text = _templates.get_template(template).render(**self._frame(), **context)
        response = HTMLResponse(text, status)
        forms.keep_token(self.request, response)
        return response

    def go(self, path: str, done: str = "", **parameters: str) -> Response:
        """On to another page, after a form (POST, redirect, GET)."""
        if done:
            parameters["done"] = done
        return RedirectResponse(self.url(path, **parameters), 303)

    def _frame(self) -> dict[str, Any]:
        return {
            "me": self.who,
            "administrator": self.administrator,
            "csrf": forms.token(self.request, self.who),
            "form": self.form,
            "here": self.request.url.path,
            "navigation": self._navigation(),
            "done": words.DONE.get(self.query("done"), ""),
            "url": self.url,
        }

    def _navigation(self) -> list[tuple[str, str]]:
        if self.administrator:
            return [
                ("/accounts", "Accounts"),
                ("/switches", "Switches"),
                ("/log", "Audit log"),
                ("/help", "Help"),
            ]
        return [
            ("/account", "Overview"),
            ("/account/upload", "Add certificates"),
            ("/account/log", "Changes"),
            ("/help", "Help"),
        ]

    def show_problem(self, problem: Problem) -> Response:
        """The page for a refusal or an error; all look alike."""
        self.form.errors = {}
        response = self.show(
            "error.html",
            problem.status,
            number=problem.status,
            title=_TITLES_OF_CODES.get(problem.code) or _TITLES.get(problem.status, problem.title),
            sentence=_SENTENCES.get(problem.status) or words.sentence(problem.detail),
            request_id=self.request.scope.get("cmstream.request", ""),
        )
        headers = {k: v for k, v in problem.headers.items() if k != "WWW-Authenticate"}
        response.headers.update(headers)
        return response


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def page(
    path: str,
    get: Callable[[Visit], Response] | None = None,
    post: Callable[[Visit], Response] | None = None,
    *,
    who: Who = "owner",
    limit: int = forms.SMALL,
    reads: bool = False,
) -> Route:
    """A page's route. ``who``: whom it is for; it doesn't exist for others. ``limit``: bytes of
    its form at most. ``reads``: its form has certificates or files to read."""

    async def endpoint(request: Request) -> Response:
        visit = Visit(request, None, forms.Form())
        request.scope["cmstream.page"] = visit.show_problem
        visit.who = await _person(request)
        if who != "anyone" and visit.who is None:
            return RedirectResponse(_sign_in(request), 303)
        if who == "administrator" and not visit.administrator:
            raise HTTPException(404)
        handler = post if request.method == "POST" else get
        if handler is None:
            raise HTTPException(405)
        if request.method == "POST":
            visit.form = await forms.read(request, limit)
            forms.require_token(request, visit.who, visit.form)
            if reads:
                return await readings.read(request, visit.me, handler, visit)
        return await auth.call(request, handler, visit)

    return Route(path, endpoint, methods=["GET", "POST"])


async def _person(request: Request) -> Caller | None:
    """Pages are for sessions; a token is of no use here."""
    found = await auth.caller(request)
    return found if found is not None and found.session is not None else None


def _sign_in(request: Request) -> str:
    if request.method != "GET" or request.url.path == "/":
        return "/sign-in"
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?next={quote(target, safe='')}"
