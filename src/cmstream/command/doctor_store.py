"""What ``cmstream doctor`` asks the certificate store: whether it can be used as this user, and how
a test message for an address is sealed."""

from __future__ import annotations

from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ..accounts import delivery, open_store
from ..accounts.errors import AccountsError, StoreUnavailable
from ..accounts.permission import database_barrier, joining, user
from ..accounts.revision import REVISION
from ..certificates.recipient import Recipient
from ..errors import CmstreamError
from ..scratch import Scratch
from .findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..accounts.lookup import Seal
    from ..accounts.store import Store

_CREATE = "run cmstream account list as the user that the gateway runs as: it creates and upgrades"
_REMEDIES = {
    "no-database": f"check --database, or {_CREATE}",
    "not-migrated": _CREATE,
    "newer-database": "upgrade cmstream here",
}


def look(url: str) -> tuple[Store | None, list[Finding]]:
    """Whether the database can be used, and the store if so."""
    file = _file(url)
    if file is not None and (why := database_barrier(file)):
        share = "let its group use the store: 'cmstream serve --group GROUP' as root"
        remedy = f"run this as the user that the gateway runs as, or {joining(file) or share}"
        return None, [Finding("database", "wrong", why, remedy)]
    try:
        store = open_store(url)
    except StoreUnavailable as error:
        remedy = _REMEDIES.get(error.code, "")
        text = str(error).partition(": check ")[0] if remedy else str(error)
        if error.code == "not-migrated":
            text += f" (this program needs version {REVISION})"
        return None, [Finding("database", "wrong", text, remedy)]
    try:
        return store, _used(store)
    except StoreUnavailable as error:
        store.close()
        return None, [Finding("database", "wrong", f"{user()}: {error}")]


def _file(url: str) -> Path | None:
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        return None
    if address.get_backend_name() != "sqlite" or not address.database:
        return None
    return Path(address.database).absolute()


def _used(store: Store) -> list[Finding]:
    """Raises StoreUnavailable where it can't be read."""
    place, switches = store.database.place, store.switches()
    text = f"{place} can be read by {user()}, version {REVISION}"
    findings = [Finding("database", "ok", text), _written(store)]
    if switches["encryption"] == "off":
        remedy = "cmstream account server --encryption as-accounts-say"
        text = "encryption is switched off for the whole server: all mail is left as it is"
        findings.append(Finding("encryption", "wrong", text, remedy))
    return findings


def _written(store: Store) -> Finding:
    try:
        with store.database.write():
            pass  # one transaction, which changes nothing
    except StoreUnavailable as error:
        return Finding("database", "wrong", f"{user()}: {error}")
    return Finding("database", "ok", f"{store.database.place} can be written by {user()}")


# --- a test message --------------------------------------------------------------------------

_TEXT = """\
From: cmstream doctor <postmaster@{host}>\r
To: {address}\r
Subject: A sealed test message of cmstream\r
Date: {date}\r
Message-ID: {id}\r
MIME-Version: 1.0\r
Content-Type: text/plain; charset=us-ascii\r
Auto-Submitted: auto-generated\r
\r
This message was sealed for {address}.\r
Whoever reads it has the private key of one of its certificates.\r
"""


class Tried(NamedTuple):
    """``sealed``: the sealed message, or None."""

    findings: list[Finding]
    sealed: bytes | None = None


def seal(store: Store, address: str, host: str) -> Tried:
    """A test message for an address, sealed as mail for it is."""
    try:
        found = store.seal_for(address)
    except (AccountsError, ValueError) as error:
        return Tried([Finding("test message", "wrong", str(error))])
    notes = [Finding("test message", "warning", note) for note in found.notes]
    if found.recipients is None or found.policy is None:
        text = f"mail for {address} isn't sealed: {found.reason}"
        return Tried([*notes, Finding("test message", "warning", text)])
    message = Scratch()
    message.write(
        _TEXT.format(host=host, address=address, date=formatdate(), id=make_msgid(domain=host))
        .encode()
    )  # fmt: skip
    try:
        sealed = delivery.sealed(message, found.recipients, found.policy)
    except CmstreamError as error:
        return Tried([*notes, Finding("test message", "wrong", f"{error} [{error.code}]")])
    return Tried([*notes, *_certificates(address, found)], b"".join(sealed.chunks()))


def _certificates(address: str, found: Seal) -> Iterator[Finding]:
    """To which certificates it is sealed."""
    account = found.account.address if found.account else address
    cipher = found.policy.cipher if found.policy else ""
    yield Finding("test message", "ok", f"sealed for {address} (account {account}, {cipher})")
    for one in found.recipients or ():
        if isinstance(one, Recipient):
            yield Finding(
                "test message", "ok",
                f"to {one.subject or 'a certificate without a name'}, {one.key}, "
                f"{one.fingerprint[:16]}…, expires on {one.not_after:%Y-%m-%d}",
            )  # fmt: skip
