"""The pages for people: plain HTML that works without a script, for owners and administrators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from ..http import forms
from . import (
    accounts,
    administration,
    bulk,
    certificates,
    entry,
    help_pages,
    upload,
)
from .visit import page

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send

    from .visit import Visit

_STATIC = Path(__file__).parent / "static"


class _Static(StaticFiles):
    """The sheet, the script and the icon: kept by browsers, and asked for again after an upgrade,
    since the file's tag has changed."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _home(visit: Visit) -> Response:
    return visit.go("/accounts" if visit.administrator else "/account")


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application for unknown paths: machines get problem details, people get a page."""
    if scope["path"].startswith("/api/") or scope["method"] != "GET":
        raise HTTPException(404)
    await page("/", _missing, who="anyone").app(scope, receive, send)


def _missing(_: Visit) -> Response:
    raise HTTPException(404)


_MANY: dict[str, Any] = {"who": "administrator", "limit": forms.MANY, "reads": True}

routes: list[BaseRoute] = [
    Mount("/static", _Static(directory=_STATIC)),
    page("/", _home),
    page("/sign-in", entry.sign_in, entry.signed_in, who="anyone"),
    page("/sign-out", post=entry.sign_out),
    page("/link/{secret}", entry.link, entry.link_used, who="anyone"),
    page("/help", help_pages.index, who="anyone"),
    page("/help/{topic}", help_pages.topic, who="anyone"),
    page("/password", entry.password, entry.password_set),
    page("/account", accounts.overview),
    page("/account/settings", accounts.settings, accounts.settings_saved),
    page("/account/off", accounts.off, accounts.off_saved),
    page("/account/log", accounts.log),
    page("/account/acknowledge", post=accounts.acknowledged),
    page("/account/test", accounts.test),
    page("/account/test/download", post=accounts.test_downloaded),
    page("/account/test/send", post=accounts.test_sent),
    page("/account/test/read", post=accounts.test_read),
    page("/account/upload", upload.choose, upload.preview, limit=upload.LIMIT, reads=True),
    page("/account/save", post=upload.saved, reads=True),
    page("/account/certificate", certificates.certificate),
    page("/account/certificate/file", certificates.file),
    page("/account/certificate/describe", post=certificates.described),
    page("/account/certificate/{action}", certificates.ask, certificates.done),
    page("/accounts", administration.accounts, who="administrator"),
    page("/accounts/add", administration.add, administration.added, who="administrator"),
    page("/accounts/import", bulk.choose, bulk.checked, **_MANY),
    page("/accounts/import/save", post=bulk.saved, **_MANY),
    page(
        "/account/addresses",
        administration.addresses,
        administration.addresses_saved,
        who="administrator",
    ),
    page("/account/owner", administration.owner, administration.owner_link, who="administrator"),
    page("/account/remove", administration.remove, administration.removed, who="administrator"),
    page("/switches", administration.switches, administration.switches_set, who="administrator"),
    page("/log", administration.log, who="administrator"),
]
