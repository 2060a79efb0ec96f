"""The pages that add certificates: choose files, check what they hold, save.

Between the preview and saving, the page itself holds the public certificates, in PEM. Forging them
gains nothing: they are read and checked again like any upload, and the form's token shows that the
signed-in person sends them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ...errors import CmstreamError
from ..errors import (
    Conflict,
    ImportRefused,
    Invalid,
    StoreUnavailable,
)
from . import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from ...certificates.mail_signature import SignatureCheck
    from ...certificates.recipient import Recipient, SetAside
    from ..account import ImportReport
    from ..http.forms import Upload
    from .visit import Visit


LIMIT = 2 << 20
"""Bytes of the form at most: a signed mail may be long."""
MOST_FILES = 20
"""As many as an account has certificates in use."""
MOST_SECONDS = 3.0
"""Seconds after which no further file is read. Whoever makes a PFX decides how long its password
takes, and other people's requests wait meanwhile."""


class Refused(NamedTuple):
    """A file that holds nothing to save, and why, in a sentence. ``said``: it stands at the field
    that it bears on."""

    name: str
    sentence: str
    said: bool = False


class Signed(NamedTuple):
    """What the signature of a mail proves, and which file that is."""

    name: str
    check: SignatureCheck


class Read(NamedTuple):
    """What the files of one form hold together."""

    recipients: list[Recipient]
    set_aside: list[SetAside]
    refused: list[Refused]
    signatures: list[Signed]
    private_key: bool


def _nothing() -> Read:
    return Read([], [], [], [], private_key=False)


def choose(visit: Visit) -> Response:
    """The form for files."""
    return _choose(visit, [])


def _choose(visit: Visit, refused: Sequence[Refused]) -> Response:
    return visit.show(
        "upload.html",
        account=visit.account,
        refused=[one for one in refused if not one.said],
        pfx_password=words.PFX_PASSWORD,
    )


def preview(visit: Visit) -> Response:
    """What the files hold, before anything is saved."""
    form = visit.form
    if not form.uploads:
        form.errors["files"] = "Choose at least one file."
        return _choose(visit, [])
    if len(form.uploads) > MOST_FILES:
        form.errors["files"] = f"These are {len(form.uploads)} files: choose {MOST_FILES} at most."
        return _choose(visit, [])
    found = _read(visit, form.uploads, form.secret("pfx_password") or None)
    if not found.recipients:
        if not all(one.said for one in found.refused):
            form.errors["files"] = "None of the files can be used. Nothing was saved."
        return _choose(visit, found.refused)
    bundle = pem(found.recipients)
    try:
        report = visit.store.preview(visit.account.address, bundle)
    except ImportRefused as error:
        form.errors["files"] = f"{words.sentence(error)} Choose fewer files at once."
        return _choose(visit, found.refused)
    form.values, form.errors = {}, {}
    return _preview(visit, report, bundle, found)


def _preview(visit: Visit, report: ImportReport, bundle: bytes, found: Read) -> Response:
    taken = {one.recipient.fingerprint for one in report.certificates}
    held = visit.store.certificates(visit.account.address)
    return visit.show(
        "preview.html",
        account=visit.account,
        report=report,
        bundle=bundle.decode("ascii"),
        refused=found.refused,
        set_aside=[*found.set_aside, *report.set_aside],
        signatures=found.signatures,
        private_key=found.private_key,
        others=any(one.state == "active" and one.fingerprint not in taken for one in held),
        confirm=visit.unconfirmed,
    )


def _read(visit: Visit, uploads: Sequence[Upload], password: str | None) -> Read:
    """Each file for itself: one that can't be read doesn't block the others, and is named."""
    found = _nothing()
    until = time.monotonic() + MOST_SECONDS
    for upload in uploads:
        if time.monotonic() > until:
            sentence = "It wasn't read, since the files before it took too long: send it alone."
            found.refused.append(Refused(upload.name, sentence))
            continue
        try:
            report = visit.store.preview(visit.account.address, upload.data, password)
        except StoreUnavailable:
            raise
        except CmstreamError as error:
            if locked := words.locked(error, upload.name):
                before = visit.form.errors.get("pfx_password", "")
                visit.form.errors["pfx_password"] = f"{before} {locked}".strip()
            found.refused.append(Refused(upload.name, words.of_file(error), bool(locked)))
            continue
        found.recipients.extend(one.recipient for one in report.certificates)
        found.set_aside.extend(report.set_aside)
        if report.signature:
            found.signatures.append(Signed(upload.name, report.signature))
        if report.private_key_ignored:
            found = found._replace(private_key=True)
    return found


def pem(recipients: Sequence[Recipient]) -> bytes:
    """The public certificates, each once."""
    return b"".join(one.pem for one in dict.fromkeys(recipients))


def saved(visit: Visit) -> Response:
    """The certificates that were shown are taken, in one transaction."""
    form, address = visit.form, visit.account.address
    bundle = form.text("certificates").encode("ascii", "replace")
    try:
        report = visit.store.preview(address, bundle)
    except StoreUnavailable:
        raise
    except CmstreamError as error:
        form.errors["files"] = words.sentence(error)
        return _choose(visit, [])
    if report.needs_confirmation and not form.ticked("confirm_mismatch"):
        form.errors["confirm_mismatch"] = "Tick this if the certificate is meant for this mailbox."
    if not visit.confirm() or form.errors or not _import(visit, bundle):
        form.values.setdefault("switch_on", "")
        return _preview(visit, report, bundle, _nothing())
    done = _switch_on(visit)
    return visit.go("/account/settings" if done == "not-on" else "/account", done=done)


def _import(visit: Visit, bundle: bytes) -> bool:
    form = visit.form
    try:
        visit.store.import_certificates(
            visit.account.address,
            bundle,
            by=visit.by,
            confirm_mismatch=form.ticked("confirm_mismatch"),
            description=form.text("description"),
            retire_others=form.ticked("retire_others"),
        )
    except Invalid as error:
        form.errors["description"] = words.sentence(error)
    except (ImportRefused, Conflict) as error:
        form.errors[""] = words.sentence(error)
    return not form.errors


def _switch_on(visit: Visit) -> str:
    """Encryption is switched on after the certificate is there, and never before."""
    if visit.account.cipher is not None or not visit.form.ticked("switch_on"):
        return "saved"
    try:
        visit.store.change_account(visit.account.address, by=visit.by, cipher="aes256-cbc")
    except Conflict:
        return "not-on"
    return "on"
