"""How an operation of the API is written in OpenAPI 3.1: its answers, refusals and credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..http.inputs import LIMIT
from ..http.problems import MEDIA_TYPE
from .schemas import ref

if TYPE_CHECKING:
    from collections.abc import Iterable

Spec = dict[str, Any]

_TITLES = {
    400: "A parameter, a header or the JSON is wrong.",
    401: "No token or session, or one that doesn't work.",
    403: "The caller may not.",
    404: "There is no such thing, or it is somebody else's.",
    408: "The body didn't come in time.",
    409: "The store holds something that excludes it.",
    413: f"The body has more than {LIMIT // 1024} KiB.",
    415: "The body is of a kind that isn't taken.",
    422: "The body is read, and what it says can't be taken.",
    429: "Too many attempts: wait.",
    503: "The store is out of reach: try again.",
}
_ALWAYS = (400, 401, 403, 503)
_BODY = (408, 413, 415, 422)


def json_of(name: str) -> Spec:
    """A body or an answer that is JSON by this schema."""
    return {"application/json": {"schema": ref(name)}}


def binary(*kinds: str) -> Spec:
    """A body or an answer that is a file of one of these media types."""
    return {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}


def query(name: str, schema: Spec) -> Spec:
    """A parameter of the query."""
    return {"name": name, "in": "query", "schema": schema} | _described(schema)


def _described(schema: Spec) -> Spec:
    return {"description": schema["description"]} if schema.get("description") else {}


def path(name: str, schema: Spec) -> Spec:
    return {"name": name, "in": "path", "required": True, "schema": schema} | _described(schema)


def operation(
    name: str,
    summary: str,
    *,
    answer: Spec | None = None,
    status: int = 200,
    parameters: Iterable[Spec] = (),
    body: Spec | None = None,
    refusals: Iterable[int] = (),
    scope: str | None = None,
    **more: Any,
) -> Spec:
    """One operation. ``scope``: what a token needs; "" where a session alone will do, None where
    nobody needs to be known."""
    statuses = {*_ALWAYS, *refusals, *(_BODY if body else ())} - ({403} if scope is None else set())
    done: Spec = {"description": "Done."} | ({"content": answer} if answer else {})
    responses = {str(status): done} | {str(n): _refusal(n) for n in sorted(statuses)}
    found = {"operationId": name, "summary": summary, "responses": responses, **more}
    if parameters:
        found["parameters"] = list(parameters)
    if body:
        found["requestBody"] = {"required": True, "content": body}
    return found | _needs(scope)


def _refusal(status: int) -> Spec:
    return {"description": _TITLES[status], "content": {MEDIA_TYPE: {"schema": ref("Problem")}}}


def _needs(scope: str | None) -> Spec:
    if scope is None:
        return {"security": []}
    person: list[Spec] = [{"session": [], "csrf": []}]
    if not scope:
        return {"security": person}
    words = f"A token needs the scope `{scope}`."
    return {"security": [{"bearer": []}, *person], "description": words}
