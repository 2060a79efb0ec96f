"""Reads the forms that browsers send, in memory alone, and checks their CSRF token."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from . import auth
from .problems import Refusal, too_large

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from .auth import Caller
    from .settings import Settings

SMALL = 1 << 20
"""Bytes of a form at most, unless its page says otherwise."""
MANY = 8 << 20
"""Bytes of a form with a whole folder of certificates at most."""
MOST_FILES = 1000
TIMEOUT = 120
"""Seconds in which a form must have come."""

_FIELD = "csrf"
_DIGITS = 20


class Upload(NamedTuple):
    """A file of a form: the field that it came in, its name without folders, its bytes."""

    field: str
    name: str
    data: bytes


@dataclass
class Form:
    """What a person sent, and what is wrong with it: a sentence for each field, for the page that
    shows the form again. ``values``: the last of each field's texts, or whatever a page puts
    there to be shown first."""

    values: dict[str, Any] = field(default_factory=dict)
    texts: list[tuple[str, str]] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The text of a field without white space around it, "" if there is none."""
        return str(self.values.get(name, "")).strip()

    def secret(self, name: str) -> str:
        """The same for a password, which keeps its white space."""
        return str(self.values.get(name, ""))

    def ticked(self, name: str) -> bool:
        """Whether a checkbox was ticked."""
        return self.values.get(name) == "yes"

    def many(self, name: str) -> list[str]:
        """All texts that came under one name."""
        return [text for key, text in self.texts if key == name]

    def lines(self, name: str) -> list[str]:
        """The lines of a field, those that are empty left out."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]


class _InMemory(MultiPartParser):
    """Starlette's parser, which never writes to a file here: a PFX has a private key in it."""

    spool_max_size = 0  # SpooledTemporaryFile takes this for 'never'


async def read(request: Request, limit: int) -> Form:
    """The form in a request's body. Raises Refusal: ``malformed-form``, ``unsupported-form``,
    ``too-large`` for more than ``limit`` bytes, ``too-slow``, ``cut-short``."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if options.get(b"charset", b"utf-8").lower() != b"utf-8":  # Python knows some that are no text
        raise Refusal(415, "unsupported-form", "Send the form in UTF-8, as a browser does.")
    try:
        with anyio.fail_after(TIMEOUT):
            found = await _parsed(request, kind, _bounded(request, limit))
    except TimeoutError:
        text = f"The form didn't come within {TIMEOUT} s."
        raise Refusal(408, "too-slow", text, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Refusal(400, "cut-short", "The connection ended before the form did.") from None
    except MultiPartException as error:
        raise Refusal(400, "malformed-form", "The form can't be read: send it again.") from error
    form = Form()
    for name, value in found.multi_items():
        if isinstance(value, UploadFile):
            await _take(form, name, value)
        else:
            form.values[name] = value
            form.texts.append((name, value))
    return form


async def _bounded(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    length = request.headers.get("content-length", "")
    seen = int(length[:_DIGITS]) if length.isascii() and length.isdigit() else 0
    if seen > limit:
        raise too_large(limit)
    seen = 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen > limit:
            raise too_large(limit)
        yield chunk


async def _parsed(request: Request, kind: bytes, body: AsyncGenerator[bytes, None]) -> FormData:
    if kind == b"multipart/form-data":
        parser = _InMemory(request.headers, body, max_files=MOST_FILES, max_part_size=MANY)
        return await parser.parse()
    if kind == b"application/x-www-form-urlencoded":
        return await FormParser(request.headers, body).parse()
    raise Refusal(415, "unsupported-form", "Send the form as a browser does.")


async def _take(form: Form, name: str, file: UploadFile) -> None:
    """A field without a chosen file comes as one without a name."""
    data = await file.read()
    await file.close()
    if file.filename or data:
        plain = (file.filename or "file").replace("\\", "/").rpartition("/")[2]
        form.uploads.append(Upload(name, plain[:200], data))


# --- tokens --------------------------------------------------------------------------------------


def _cookie(settings: Settings) -> str:
    return "__Host-cmstream-form" if settings.secure else "cmstream-form"


def token(request: Request, who: Caller | None) -> str:
    """The token for the page's forms: the session's; before there is one, that of a cookie."""
    if who is not None and who.session is not None:
        return who.session.csrf
    given: str = request.scope.setdefault("cmstream.form", _given(request) or secrets.token_hex(32))
    return given


def _given(request: Request) -> str:
    value = request.cookies.get(_cookie(request.app.state.settings), "")
    return value if len(value) == 64 and value.isalnum() else ""  # noqa: PLR2004 - hex of 256 bits


def keep_token(request: Request, response: Response) -> None:
    """Give the browser the cookie that belongs to a form before the sign-in."""
    value = request.scope.get("cmstream.form")
    if value and value != _given(request):
        settings: Settings = request.app.state.settings
        response.set_cookie(
            _cookie(settings), value, secure=settings.secure, httponly=True, samesite="strict"
        )


def require_token(request: Request, who: Caller | None, form: Form) -> None:
    """Raises Refusal unless the form is from this site's own page."""
    auth.require_same_origin(request)
    sent = form.secret(_FIELD)
    session = who.session if who else None
    expected = session.csrf if session else _given(request)
    data = sent.encode("utf-8", "surrogatepass")
    if not expected or not hmac.compare_digest(expected.encode(), data):
        sentence = "The form is older than your session. Open the page again and repeat it."
        raise Refusal(403, "csrf", sentence)
