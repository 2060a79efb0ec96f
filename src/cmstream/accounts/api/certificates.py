"""The API's operations on an account's certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from ..http import auth, inputs, views
from ..http.problems import Refusal
from ..imports import MAX_MAIL
from ..values import text
from .operation import Call, Operations
from .parameters import ACCOUNT, CERTIFICATE, IMPORT, PASSWORDS

if TYPE_CHECKING:
    from ..account import StoredCertificate

certificates = Operations("certificates")

_FILE = (
    "application/octet-stream",
    "application/x-pem-file",
    "application/pkix-cert",
    "application/pkcs7-mime",
    "application/x-pkcs12",
    "message/rfc822",
)
_IMPORT = {
    "scope": "certificates:write",
    "query": IMPORT,
    "headers": PASSWORDS,
    "body": _FILE,
    "answer": "ImportReport",
    "refusals": (404, 409, 429),
}


@certificates.operation(
    "GET",
    f"{ACCOUNT}/certificates",
    "listCertificates",
    "The certificates of an account, the active ones first",
    scope="accounts:read",
    answer="Certificates",
    refusals=(404, 422),
)
async def list_certificates(call: Call) -> Response:
    """The certificates of an account."""
    found = await call.run(call.store.certificates, call.path["address"])
    return JSONResponse({"certificates": views.certificates(found)})


@certificates.operation(
    "POST", f"{ACCOUNT}/certificates", "importCertificates", "The same as PUT", **_IMPORT
)
@certificates.operation(
    "PUT",
    f"{ACCOUNT}/certificates",
    "putCertificates",
    "Take the certificates of a file (DER, PEM, PKCS #7, PFX) or of a signed mail: all or none",
    **_IMPORT,
)
async def import_certificates(call: Call) -> Response:
    """Take the certificates of the file that is the body, or tell what would be taken."""
    address, query = call.path["address"], call.query
    if not query["preview"]:
        auth.require_confirmation(call.who)
    # An address without an account is said to be one before anything is read.
    await call.run(call.store.account, address)
    data = await inputs.body(call.request, MAX_MAIL)  # the store says if it may be so long
    password = inputs.password(call.request)
    if query["preview"]:
        return JSONResponse(
            views.report(await call.read(call.store.preview, address, data, password))
        )
    found = await call.read(
        call.store.import_certificates,
        address,
        data,
        password=password,
        by=call.who.actor,
        confirm_mismatch=query["confirm_mismatch"],
        description=query["description"],
        retire_others=query["retire_others"],
    )
    return JSONResponse(views.report(found))


@certificates.operation(
    "GET",
    CERTIFICATE,
    "showCertificate",
    "A certificate, and what is wrong with it",
    scope="accounts:read",
    answer="Certificate",
    refusals=(404, 422),
)
async def show_certificate(call: Call) -> Response:
    """One certificate."""
    found = await call.run(call.store.certificate, *_which(call))
    return await _shown(call, found)


async def _shown(call: Call, found: StoredCertificate) -> Response:
    together = await call.run(call.store.certificates, call.path["address"])
    return JSONResponse(views.certificate(found, together))


def _which(call: Call) -> tuple[str, str]:
    return call.path["address"], call.path["fingerprint"]


@certificates.operation(
    "PATCH",
    CERTIFICATE,
    "changeCertificate",
    "Describe, retire or activate a certificate",
    scope="certificates:write",
    confirmed=True,
    body="CertificateChange",
    answer="Certificate",
    refusals=(404, 409),
)
async def change_certificate(call: Call) -> Response:
    """Describe, retire or activate a certificate."""
    return await _shown(call, await call.run(_changed, call))


def _changed(call: Call) -> StoredCertificate:
    store, given, which, by = call.store, call.body, _which(call), call.who.actor
    if given.get("state", "active") not in {"active", "retired"}:
        raise Refusal(422, "invalid-member", "A state is 'active' or 'retired'.")
    text(given.get("description", ""), "invalid-setting", "a description")
    with store.together() as one:
        found = one.certificate(*which)
        states = {"active": one.activate_certificate, "retired": one.retire_certificate}
        if "state" in given:
            found = states[given["state"]](*which, by=by)
        if "description" in given:
            found = one.describe_certificate(*which, given["description"], by=by)
    return found


@certificates.operation(
    "DELETE",
    CERTIFICATE,
    "deleteCertificate",
    "Forget a certificate",
    scope="certificates:write",
    confirmed=True,
    status=204,
    refusals=(404, 409, 422),
)
async def delete_certificate(call: Call) -> Response:
    """Forget a certificate."""
    await call.run(call.store.delete_certificate, *_which(call), by=call.who.actor)
    return Response(status_code=204)


@certificates.operation(
    "GET",
    f"{CERTIFICATE}.pem",
    "downloadPem",
    "A certificate in PEM",
    scope="accounts:read",
    answer=("application/x-pem-file",),
    refusals=(404, 422),
)
async def download_pem(call: Call) -> Response:
    """One certificate as a file, in PEM."""
    found = await call.run(call.store.certificate, *_which(call))
    return _file(found.recipient.pem, f"{found.fingerprint[:16]}.pem", "application/x-pem-file")


@certificates.operation(
    "GET",
    f"{CERTIFICATE}.der",
    "downloadDer",
    "A certificate in DER",
    scope="accounts:read",
    answer=("application/pkix-cert",),
    refusals=(404, 422),
)
async def download_der(call: Call) -> Response:
    """One certificate as a file, in DER (RFC 8551 names its media type)."""
    found = await call.run(call.store.certificate, *_which(call))
    return _file(found.der, f"{found.fingerprint[:16]}.der", "application/pkix-cert")


def _file(data: bytes, name: str, kind: str) -> Response:
    return Response(data, 200, {"Content-Disposition": f'attachment; filename="{name}"'}, kind)
