"""The API's description in OpenAPI 3.1, made from the declared operations."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from ..http.auth import CSRF_HEADER
from ..http.inputs import LIMIT
from ..http.problems import MEDIA_TYPE
from ..http.resources import Resource
from ..imports import MAX_MAIL
from .api import OPERATIONS
from .parameters import IN_PATH
from .schemas import SCHEMAS, ref

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from .operation import Operation

Spec = dict[str, Any]

_ABOUT = f"""\
Which mailbox's mail is sealed, to whom and how.

Machines send a token, `Authorization: Bearer …`, and may do what its scopes say. People have the
cookie of a session, and send the session's token in `{CSRF_HEADER}` with whatever changes
something; certificates change only within five minutes after the password was given again.
Owners see their own account; of every other the answer is 404.

Refusals are problem details (RFC 9457) with a `code`, the same as on the command line. Bodies have
at most {LIMIT // 1024} KiB, signed mails {MAX_MAIL // 1024} KiB. 503 means that the store is out of
reach: try again after `Retry-After` seconds.
"""


def _paths() -> dict[str, Spec]:
    """The operations by their paths, with the parameters that stand in the path."""
    found: dict[str, Spec] = {}
    for one in OPERATIONS:
        path = _CONVERTER.sub(r"{\1}", one.path)
        found.setdefault(path, {})[one.method.lower()] = _operation(one)
        if names := re.findall(r"{(\w+)}", path):
            found[path]["parameters"] = [_parameter("path", n, IN_PATH[n], True) for n in names]
    return found


_CONVERTER = re.compile(r"{(\w+):\w+}")


def _operation(one: Operation) -> Spec:
    spec: Spec = {
        "tags": [one.tag],
        "operationId": one.name,
        "summary": one.summary,
        "responses": _responses(one),
        **_security(one.scope),
    }
    parameters = [
        _parameter(place, name, schema)
        for place, schemas in (("query", one.query), ("header", one.headers))
        for name, schema in schemas.items()
    ]
    if parameters:
        spec["parameters"] = parameters
    if one.body:
        spec["requestBody"] = {"required": True, "content": _content(one.body)}
    return spec


def _parameter(place: str, name: str, schema: Spec, required: bool = False) -> Spec:
    needed = {"required": True} if required else {}
    description = schema["description"]
    return {"name": name, "in": place, **needed, "schema": schema, "description": description}


def _content(body: str | tuple[str, ...]) -> Spec:
    """JSON by a schema's name, or files by their media types."""
    if isinstance(body, str):
        return {"application/json": {"schema": ref(body)}}
    return {kind: {"schema": _FILES.get(kind, _BINARY)} for kind in body}


_BINARY: Spec = {"type": "string", "format": "binary"}
_FILES: dict[str, Spec] = {"text/plain": {"type": "string"}}


def _responses(one: Operation) -> Spec:
    content = {"content": _content(one.answer)} if one.answer else {}
    found: Spec = {str(one.status): {"description": "Done.", **content}}
    if one.made:
        found["201"] = {"description": "Made.", **content}
    statuses = {*_ALWAYS, *one.refusals, *(_BODY if one.body else ())}
    if one.scope is None and 403 not in one.refusals:  # noqa: PLR2004 - forbidden
        statuses.discard(403)
    problem = {MEDIA_TYPE: {"schema": ref("Problem")}}
    found |= {str(n): {"description": _TITLES[n], "content": problem} for n in sorted(statuses)}
    return found


_TITLES = {
    400: "A parameter, a header or the JSON is wrong.",
    401: "No token or session, or one that doesn't work.",
    403: "The caller may not.",
    404: "There is no such thing, or it is somebody else's.",
    408: "The body didn't come in time.",
    409: "The store holds something that excludes it.",
    413: f"The body has more than {LIMIT // 1024} KiB, or a mail {MAX_MAIL // 1024} KiB.",
    415: "The body is of a kind that isn't taken.",
    422: "The body is read, and what it says can't be taken.",
    429: "Too many attempts or uploads: wait.",
    503: "The store is out of reach: try again.",
}
_ALWAYS = (400, 401, 403, 503)
_BODY = (408, 413, 415, 422)


def _security(scope: str | None) -> Spec:
    if scope is None:
        return {"security": []}
    person: list[Spec] = [{"session": [], "csrf": []}]
    if not scope:
        return {"security": person}
    words = f"A token needs the scope `{scope}`."
    return {"security": [{"bearer": []}, *person], "description": words}


DOCUMENT: Spec = {
    "openapi": "3.1.0",
    "info": {"title": "cmstream", "version": version("cmstream"), "description": _ABOUT},
    "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
    "paths": _paths(),
    "components": {
        "schemas": SCHEMAS,
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "session": {"type": "apiKey", "in": "cookie", "name": "cmstream"},
            "csrf": {"type": "apiKey", "in": "header", "name": CSRF_HEADER},
        },
    },
}


async def show(request: Request) -> Response:
    """The document. It is no secret: anybody may read it."""
    del request
    return JSONResponse(DOCUMENT, headers={"Cache-Control": "no-cache"})


routes = [Resource("/openapi.json", GET=show)]
