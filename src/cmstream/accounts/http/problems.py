"""Turns errors into the API's answers: problem details (RFC 9457) with status, code, sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from ...errors import CmstreamError
from ..errors import (
    AccessDenied,
    Conflict,
    NotFound,
    StoreUnavailable,
    UnusableAccount,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5
"""Seconds after which a caller may ask again when the store is out of reach."""

_STATUS_OF_KIND: tuple[tuple[type[CmstreamError], int], ...] = (
    (StoreUnavailable, 503),
    (NotFound, 404),
    (Conflict, 409),
    (UnusableAccount, 409),
    (AccessDenied, 403),
)
"""Everything else is an upload or a value that can't be taken: 422."""
_STATUS_OF_CODE = {
    "too-large": 413,
    "address-mismatch": 409,
    "sign-in-failed": 401,
    "not-signed-in": 401,
    "too-many-attempts": 429,
    "too-many-uploads": 429,
}


_OUT_OF_REACH = "The store of accounts is out of reach: try again a little later."
"""Where it is stands in the log alone."""


class Refusal(Exception):  # noqa: N818
    """A request that is refused, with what the answer to it says. ``more``: further members of the
    problem details; ``headers``: further header fields of the answer."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(status, code, detail, more, headers or {})


def too_large(limit: int) -> Refusal:
    """The refusal of a body of more than ``limit`` bytes."""
    detail = f"The body has more than {limit // 1024} KiB: certificates are far smaller."
    return Refusal(413, "too-large", detail, headers={"Connection": "close"})


@dataclass(frozen=True)
class Problem:
    """What went wrong with a request (RFC 9457 section 3.1). ``code`` is one of the documented
    short names and the end of the problem's ``type``; ``detail`` is a sentence for people."""

    status: int
    code: str
    detail: str
    more: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase

    def body(self, request_id: str = "") -> dict[str, Any]:
        """The members of the JSON object."""
        body = {
            "type": f"urn:cmstream:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.more,
        }
        return {**body, "request": request_id} if request_id else body

    def response(self, request_id: str = "") -> Response:
        """The answer to send."""
        text = json.dumps(self.body(request_id), ensure_ascii=False)
        return Response(text, self.status, self.headers, MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """What to answer when a request ends with an exception; one that nobody foresaw is a 500, and
    its text, which might quote a secret, is kept from the answer."""
    if isinstance(error, Refusal):
        return error.problem
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, CmstreamError):
        return _of_code(error)
    return Problem(500, "internal-error", "Something went wrong here, not with the request.")


def answer(request: Request, error: Exception) -> Response:
    """The problem details for an exception: the application's exception handler. A page shows
    them to people, in its own way."""
    page: Callable[[Problem], Response] | None = request.scope.get("cmstream.page")
    if page is not None:
        return page(problem_of(error))
    return problem_of(error).response(request.scope.get("cmstream.request", ""))


def _of_http(error: HTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "-").replace("'", "")
    detail = _SENTENCES.get(error.detail, error.detail)
    return Problem(status, code, detail, headers=dict(error.headers or {}))


_SENTENCES = {"Not Found": "There is nothing at this address."}


def _of_code(error: CmstreamError) -> Problem:
    status = _status(error)
    headers = {}
    wait = getattr(error, "retry_after", None)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        wait = RETRY_AFTER
    if wait is not None:
        headers["Retry-After"] = str(wait)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="cmstream"'
    found = {name: getattr(error, name, None) for name in ("fingerprint", "problems", "account")}
    more = {name: value for name, value in found.items() if value}
    detail = _OUT_OF_REACH if isinstance(error, StoreUnavailable) else str(error)
    return Problem(status, error.code, detail, more, headers)


def _status(error: CmstreamError) -> int:
    if error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    return next((status for kind, status in _STATUS_OF_KIND if isinstance(error, kind)), 422)
