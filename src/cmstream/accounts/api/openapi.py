"""The API's description (OpenAPI 3.1), as data; a test holds it against the routes."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from ..http.auth import CSRF_HEADER
from ..http.inputs import (
    LARGEST,
    LIMIT,
    PASSWORD_BASE64_HEADER,
    PASSWORD_HEADER,
)
from ..http.resources import Resource
from ..http.views import ROOT
from .operations import (
    Spec,
    binary,
    json_of,
    operation,
    path,
    query,
)
from .schemas import (
    ADDRESS,
    LINE,
    SCHEMAS,
    flag,
    number,
    text,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_ABOUT = f"""\
Which mailbox's mail is sealed, to whom and how.

Machines send a token, `Authorization: Bearer …`, and may do what its scopes say. People have the
cookie of a session, and send the session's token in `{CSRF_HEADER}` with whatever changes
something; certificates change only within five minutes after the password was given again.
Owners see their own account; of every other the answer is 404.

Refusals are problem details (RFC 9457) with a `code`, the same as on the command line. Bodies have
at most {LIMIT // 1024} KiB. 503 means that the store is out of reach: try again after `Retry-After`
seconds.
"""
# --- what operations share -------------------------------------------------------------------

_FINGERPRINT = text(
    "SHA-256 of the certificate, hexadecimal.", pattern="^[0-9a-fA-F]{64}$", minLength=64,
    maxLength=64,
)  # fmt: skip
_FLAG: Spec = {"type": "boolean"}
_LIMIT = query("limit", number("How many at most.", minimum=1, maximum=1000, default=100))
_SOME_LINE = {**LINE, "pattern": "^[ -~]*$"}
_FILE = binary(
    "application/octet-stream", "application/x-pem-file", "application/pkix-cert",
    "application/pkcs7-mime", "application/x-pkcs12",
)  # fmt: skip
_IMPORT = (
    query("preview", flag("Only tell what would be taken.")),
    query("confirm_mismatch", flag("Take certificates for another address too.")),
    query("retire_others", flag("Retire all other certificates of the account.")),
    query("description", {**_SOME_LINE, "description": "In the owner's words."}),
    {
        "name": PASSWORD_HEADER,
        "in": "header",
        "description": "The password of a PFX, in UTF-8.",
        "schema": {"type": "string"},
    },
    {
        "name": PASSWORD_BASE64_HEADER,
        "in": "header",
        "description": "The same in base64, for a password that a header can't carry.",
        "schema": {"type": "string", "pattern": "^([A-Za-z0-9+/]{4})*$"},
    },
)
_AUDIT = (
    query("before", number("Entries with a smaller number.", minimum=1, maximum=LARGEST)),
    _LIMIT,
    query("unacknowledged", flag("What others changed and the owner hasn't seen.")),
)


def _import(name: str, summary: str) -> Spec:
    return operation(
        name,
        summary,
        scope="certificates:write",
        parameters=_IMPORT,
        body=_FILE,
        answer=json_of("ImportReport"),
        refusals=(404, 409),
    )


def _download(name: str, summary: str, kind: str) -> Spec:
    return operation(name, summary, scope="accounts:read", answer=binary(kind), refusals=(404, 422))


_ACCOUNT = f"{ROOT}/accounts/{{address}}"
_CERTIFICATE = f"{_ACCOUNT}/certificates/{{fingerprint}}"

_SERVER: dict[str, Spec] = {
    "/health": {
        "get": operation("health", "Whether the store answers", answer=json_of("Health"))
        | {"tags": ["server"]}
    },
    "/metrics": {
        "get": operation(
            "metrics",
            "Figures for Prometheus; a server without a proxy needs no token on the loopback",
            scope="metrics",
            answer={"text/plain": {"schema": {"type": "string"}}},
        )
    },
    f"{ROOT}/switches": {
        "get": operation(
            "showSwitches",
            "The server-wide switches, which override what accounts say",
            scope="accounts:read",
            answer=json_of("Switches"),
        ),
        "patch": operation(
            "changeSwitches",
            "Set some switches",
            scope="switches:write",
            body=json_of("SwitchChange"),
            answer=json_of("Switches"),
        ),
    },
    f"{ROOT}/clients": {
        "get": operation(
            "listClients",
            "The mail programs that an account may name, and what they open",
            scope="accounts:read",
            answer=json_of("Clients"),
        )
    },
    f"{ROOT}/audit": {
        "get": operation(
            "showAudit",
            "The whole audit log, the newest entry first",
            scope="audit:read",
            parameters=_AUDIT,
            answer=json_of("AuditLog"),
        )
    },
}

_ACCOUNTS: dict[str, Spec] = {
    f"{ROOT}/accounts": {
        "get": operation(
            "listAccounts",
            "Accounts, a page at a time; an owner sees their own",
            scope="accounts:read",
            parameters=(
                query(
                    "search",
                    {
                        **_SOME_LINE,
                        "description": "A part of an address, a domain, "
                        "or of a certificate's subject, description or fingerprint.",
                    },
                ),
                query(
                    "expiring_within",
                    number("Days in which the last certificate expires.", minimum=0, maximum=36500),
                ),
                query("unprotected", flag("Only those whose mail isn't sealed.")),
                query("after", {**_SOME_LINE, "description": "The page before ended with it."}),
                _LIMIT,
            ),
            answer=json_of("Accounts"),
            refusals=(404,),
        ),
        "post": operation(
            "addAccount",
            "Make an account; for administrators",
            scope="accounts:write",
            body=json_of("NewAccount"),
            answer=json_of("Account"),
            status=201,
            refusals=(409,),
        ),
    },
    _ACCOUNT: {
        "get": operation(
            "showAccount",
            "An account and its settings",
            scope="accounts:read",
            answer=json_of("Account"),
            refusals=(404, 422),
        ),
        "put": operation(
            "putAccount",
            "All settings at once; an administrator makes the account with it",
            scope="accounts:write",
            body=json_of("AllSettings"),
            answer=json_of("Account"),
            refusals=(404, 409),
        ),
        "patch": operation(
            "changeAccount",
            "Change some settings",
            scope="accounts:write",
            body=json_of("Settings"),
            answer=json_of("Account"),
            refusals=(404, 409),
        ),
        "delete": operation(
            "removeAccount",
            "Remove an account, whose mail then isn't sealed any more; for administrators",
            scope="accounts:write",
            status=204,
            refusals=(404, 422),
        ),
        "parameters": [path("address", ADDRESS)],
    },
    f"{_ACCOUNT}/seal": {
        "get": operation(
            "showSeal",
            "What becomes of mail to an account now; 409 if it is refused",
            scope="accounts:read",
            answer=json_of("Seal"),
            refusals=(404, 409, 422),
        ),
        "parameters": [path("address", ADDRESS)],
    },
    f"{_ACCOUNT}/test": {
        "get": operation(
            "testMessage",
            "A sample message, sealed as mail to the account is now",
            scope="accounts:read",
            answer=binary("message/rfc822"),
            refusals=(404, 409, 422),
        ),
        "parameters": [path("address", ADDRESS)],
    },
    f"{_ACCOUNT}/audit": {
        "get": operation(
            "showAccountAudit",
            "What was done to an account, the newest entry first",
            scope="audit:read",
            parameters=_AUDIT,
            answer=json_of("AuditLog"),
            refusals=(404, 422),
        ),
        "parameters": [path("address", ADDRESS)],
    },
    f"{_ACCOUNT}/audit/{{entry}}/acknowledgement": {
        "post": operation(
            "acknowledge",
            "The owner has seen what somebody else changed",
            scope="",
            answer=json_of("AuditEntry"),
            refusals=(404, 409, 422),
        ),
        "parameters": [
            path("address", ADDRESS),
            path("entry", number("The entry's number.", minimum=1, maximum=LARGEST)),
        ],
    },
}
_ACCOUNTS[_ACCOUNT]["put"]["responses"]["201"] = {
    "description": "Made.",
    "content": json_of("Account"),
}

_CERTIFICATES: dict[str, Spec] = {
    f"{_ACCOUNT}/certificates": {
        "get": operation(
            "listCertificates",
            "The certificates of an account, the active ones first",
            scope="accounts:read",
            answer=json_of("Certificates"),
            refusals=(404, 422),
        ),
        "put": _import(
            "putCertificates",
            "Take the certificates of a file (DER, PEM, PKCS #7 or PFX): all of them or none",
        ),
        "post": _import("importCertificates", "The same as PUT"),
        "parameters": [path("address", ADDRESS)],
    },
    _CERTIFICATE: {
        "get": operation(
            "showCertificate",
            "A certificate, and what is wrong with it",
            scope="accounts:read",
            answer=json_of("Certificate"),
            refusals=(404, 422),
        ),
        "patch": operation(
            "changeCertificate",
            "Describe, retire or activate a certificate",
            scope="certificates:write",
            body=json_of("CertificateChange"),
            answer=json_of("Certificate"),
            refusals=(404, 409),
        ),
        "delete": operation(
            "deleteCertificate",
            "Forget a certificate",
            scope="certificates:write",
            status=204,
            refusals=(404, 409, 422),
        ),
    },
    f"{_CERTIFICATE}.pem": {
        "get": _download("downloadPem", "A certificate in PEM", "application/x-pem-file")
    },
    f"{_CERTIFICATE}.der": {
        "get": _download("downloadDer", "A certificate in DER", "application/pkix-cert")
    },
}
for _found in list(_CERTIFICATES.values())[1:]:
    _found["parameters"] = [path("address", ADDRESS), path("fingerprint", _FINGERPRINT)]

_ID = path("id", number("The token's number.", minimum=1, maximum=LARGEST))
_NAME = path("name", text("The person's name.", minLength=1, maxLength=200, pattern="^[^/]+$"))
_PEOPLE: dict[str, Spec] = {
    f"{ROOT}/session": {
        "get": operation("showSession", "Who has signed in", scope="", answer=json_of("Session")),
        "post": operation(
            "signIn",
            "Sign in; the answer sets the session's cookie",
            body=json_of("SignIn"),
            answer=json_of("Session"),
            refusals=(403, 429),
        ),
        "delete": operation("signOut", "Sign out", scope="", status=204),
    },
    f"{ROOT}/session/confirmation": {
        "post": operation(
            "confirm",
            "Give the password again, which holds for five minutes",
            scope="",
            body=json_of("Confirmation"),
            answer=json_of("Session"),
            refusals=(429,),
        )
    },
    f"{ROOT}/people": {
        "get": operation(
            "listPeople", "Who may sign in; for administrators", scope="", answer=json_of("People")
        ),
        "post": operation(
            "addPerson",
            "Let somebody sign in; they choose their password by a link",
            scope="",
            body=json_of("NewPerson"),
            answer=json_of("Person"),
            status=201,
            refusals=(404, 409),
        ),
    },
    f"{ROOT}/people/{{name}}": {
        "delete": operation(
            "removePerson",
            "Let somebody sign in no more",
            scope="",
            status=204,
            refusals=(404, 409, 422),
        ),
        "parameters": [_NAME],
    },
    f"{ROOT}/people/{{name}}/link": {
        "post": operation(
            "addLink",
            "A link by which somebody chooses their password, once",
            scope="",
            answer=json_of("Link"),
            status=201,
            refusals=(404, 422),
        ),
        "parameters": [_NAME],
    },
    f"{ROOT}/tokens": {
        "get": operation(
            "listTokens",
            "Tokens without their secrets: an administrator's all, an owner's own",
            scope="",
            answer=json_of("Tokens"),
        ),
        "post": operation(
            "addToken",
            "Make a token; an owner's is bound to their account",
            scope="",
            body=json_of("NewToken"),
            answer=json_of("CreatedToken"),
            status=201,
            refusals=(404,),
        ),
    },
    f"{ROOT}/tokens/{{id}}": {
        "delete": operation(
            "revokeToken", "Revoke a token at once", scope="", status=204, refusals=(404,)
        ),
        "parameters": [_ID],
    },
}

_TAGS = {"server": _SERVER, "accounts": _ACCOUNTS, "certificates": _CERTIFICATES, "people": _PEOPLE}
for _tag, _paths in _TAGS.items():
    for _methods in _paths.values():
        for _method in _methods.keys() - {"parameters"}:
            _methods[_method]["tags"] = [_tag]

DOCUMENT: Spec = {
    "openapi": "3.1.0",
    "info": {"title": "cmstream", "version": version("cmstream"), "description": _ABOUT},
    "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
    "paths": {**_SERVER, **_ACCOUNTS, **_CERTIFICATES, **_PEOPLE},
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
