"""Reads and checks what a request of the API holds: its body, its JSON, its parameters."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

import anyio
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect

from .problems import Refusal, too_large

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

LIMIT = 64 << 10
"""Bytes of a body at most."""
TIMEOUT = 30
"""Seconds in which a body must have come."""
PASSWORD_HEADER, PASSWORD_BASE64_HEADER = "X-PFX-Password", "X-PFX-Password-Base64"
LARGEST = 2**31 - 1
"""The largest number of an entry: what both databases take."""

_FORMS = ("multipart/form-data",)


class _Address(Convertor[str]):
    """An address in a path: its local part may hold slashes, its domain none, and no ``@`` either:
    with one, a path of many would be tried by the square of their number."""

    regex = ".+@[^/@]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _Fingerprint(_Address):
    """A SHA-256 in hex."""

    regex = "[0-9a-fA-F]{64}"


class _Number(Convertor[int]):
    """A number of few digits: Python refuses to read thousands of them."""

    regex = "[0-9]{1,10}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("address", _Address())
register_url_convertor("number", _Number())
register_url_convertor("fingerprint", _Fingerprint())


# --- bodies ----------------------------------------------------------------------------------


async def body(request: Request, limit: int = LIMIT) -> bytes:
    """The body as it is, refused as soon as it turns out to be too long, and at once if its
    declared length says so.

    Raises Refusal: 413 ``too-large``, 408 ``too-slow``, 400 ``cut-short``, 415.
    """
    _require_plain(request)
    declared = request.headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()) or int(declared[:_DIGITS]) > limit:
        raise too_large(limit)
    found = bytearray()
    try:
        with anyio.fail_after(TIMEOUT):
            async for chunk in request.stream():
                found += chunk
                if len(found) > limit:
                    raise too_large(limit)
    except TimeoutError:
        text = f"The body didn't come within {TIMEOUT} s."
        raise Refusal(408, "too-slow", text, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Refusal(400, "cut-short", "The connection ended before the body did.") from None
    return bytes(found)


_DIGITS = 20


def _require_plain(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _FORMS:
        raise Refusal(415, "unsupported-media-type", "Send the file itself as the body, no form.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refusal(415, "unsupported-media-type", "Send the body without a content coding.")


async def members(request: Request, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The members of the JSON object (RFC 8259) in the body, as far as names, required members and
    types of the JSON Schema go; the store checks the values.

    Raises Refusal: 415 for another media type, 400 ``malformed-json``, 422 ``unknown-member``,
    ``missing-member``, ``invalid-member``; and as :func:`body` does.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Refusal(415, "unsupported-media-type", "Send JSON: Content-Type: application/json")
    found = _parsed(await body(request))
    known = schema["properties"]
    if unknown := sorted(found.keys() - known.keys()):
        raise Refusal(422, "unknown-member", f"There is no member {unknown[0][:80]!r} here.")
    for name in schema.get("required", ()):
        if name not in found:
            raise Refusal(422, "missing-member", f"The member {name!r} is missing.")
    for name, value in found.items():
        if not _is(value, known[name]):
            raise Refusal(422, "invalid-member", f"The member {name!r} is of another type.")
    return found


_TYPES: dict[str, type] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "array": list,
    "null": type(None),
}


def _is(value: Any, schema: Mapping[str, Any]) -> bool:
    """JSON's true is no number, whatever Python says."""
    kinds = schema["type"]
    return type(value) in [_TYPES[one] for one in ([kinds] if isinstance(kinds, str) else kinds)]


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        text = data.decode("utf-8")
        found = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_each_once)
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        text = "The body isn't JSON in UTF-8, or has a member twice."
        raise Refusal(400, "malformed-json", text) from None
    if not isinstance(found, dict):
        raise Refusal(422, "invalid-member", "The body is JSON, but no object.")
    return found


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Whoever looked at the body before may have read the other one."""
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a member twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def password(request: Request) -> str | None:
    """The password of a PFX: its UTF-8 bytes in the header, or base64 of them for one that a
    header can't carry. Raises Refusal ``invalid-header``."""
    coded = request.headers.get(PASSWORD_BASE64_HEADER)
    plain = request.headers.get(PASSWORD_HEADER)
    if coded is None:
        return None if plain is None else _text(plain.encode("latin-1"))
    try:
        return base64.b64decode(coded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        message = f"{PASSWORD_BASE64_HEADER} isn't base64 of UTF-8."
        raise Refusal(400, "invalid-header", message) from None


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


# --- parameters ------------------------------------------------------------------------------


def parameters(request: Request, *known: str) -> None:
    """Refuses a parameter that isn't known, and one that comes twice: a mistyped ``?preview``
    would store something. Raises Refusal ``unknown-parameter``."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known or names.count(name) > 1:
            message = f"The parameter {name[:80]!r} isn't known here, or comes twice."
            raise Refusal(400, "unknown-parameter", message)


def parameter(request: Request, name: str, schema: Mapping[str, Any]) -> Any:
    """A parameter's value by its JSON Schema; without one, its default. Raises Refusal
    ``invalid-parameter``."""
    value = request.query_params.get(name)
    if schema["type"] == "boolean":
        return _flag(name, value)
    if schema["type"] == "integer":
        return schema.get("default") if value is None else _number(name, value, schema)
    return _line(name, value or "", schema["maxLength"])


def _flag(name: str, value: str | None) -> bool:
    """Whether ``?name`` stands in the URL, as it is or as ``true``, ``1``, ``false``, ``0``."""
    if value is None or value in {"false", "0"}:
        return False
    if value in {"", "true", "1"}:
        return True
    raise _invalid(name, "true or false")


def _number(name: str, value: str, schema: Mapping[str, Any]) -> int:
    least, most = schema["minimum"], schema["maximum"]
    digits = value.isascii() and value.isdigit() and len(value) < _DIGITS
    if not digits or not least <= int(value) <= most:
        raise _invalid(name, f"a number from {least} to {most}")
    return int(value)


def _line(name: str, value: str, most: int) -> str:
    if len(value) > most or not value.isprintable():
        raise _invalid(name, f"a line of at most {most} printable characters")
    return value


def _invalid(name: str, wanted: str) -> Refusal:
    return Refusal(400, "invalid-parameter", f"The parameter {name!r} is {wanted}.")
