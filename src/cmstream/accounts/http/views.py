"""Turns the store's values into the JSON of the API."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...errors import CmstreamError
from ..account_settings import SETTINGS
from ..sealed_to import readable, unfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...certificates.recipient import Problem, Recipient
    from ..account import (
        Account,
        AuditEntry,
        Examined,
        ImportReport,
        StoredCertificate,
    )
    from ..clients import Client, Finding
    from ..lookup import Seal
    from ..people.people import Person, Session, Token

ROOT = "/api/v1"


def moment(value: datetime | None) -> str | None:
    """RFC 3339, in UTC, to the second."""
    if value is None:
        return None
    return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def account_path(address: str) -> str:
    """Where an account is."""
    return f"{ROOT}/accounts/{quote(address, safe='@')}"


def account(found: Account) -> dict[str, Any]:
    """An account, its settings, and how many certificates it has."""
    return {
        "address": found.address,
        **{name: getattr(found, name) for name in SETTINGS},
        "created_at": moment(found.created_at),
        "protected": found.protected,
        "certificates": {
            "active": found.active,
            "retired": found.retired,
            "expires_at": moment(found.expires_at),
        },
    }


def problems(found: Sequence[Problem]) -> list[dict[str, str]]:
    """What is wrong, with code and sentence."""
    return [{"code": one.code, "detail": str(one)} for one in found]


def _recipient(found: Recipient) -> dict[str, Any]:
    return {
        "subject": found.subject,
        "issuer": found.issuer,
        "serial": f"{found.serial:x}",
        "emails": found.emails,
        "not_before": moment(found.not_before),
        "not_after": moment(found.not_after),
        "key": found.key,
    }


def certificate(found: StoredCertificate, together: Iterable[StoredCertificate]) -> dict[str, Any]:
    """A stored certificate; of one that this program can't read only what the store knows.
    ``together``: all of the account's, since it may be set aside because of another one."""
    return _certificate(found, unfit(readable(together)))


def certificates(found: Sequence[StoredCertificate]) -> list[dict[str, Any]]:
    """All of an account's certificates."""
    aside = unfit(readable(found))
    return [_certificate(one, aside) for one in found]


def _certificate(found: StoredCertificate, aside: Mapping[Recipient, Problem]) -> dict[str, Any]:
    held = {
        "fingerprint": found.fingerprint,
        "state": found.state,
        "description": found.description,
        "mismatch_confirmed": found.mismatch_confirmed,
        "added_at": moment(found.added_at),
        "added_by": found.added_by,
    }
    try:
        recipient = found.recipient
    except CmstreamError as error:
        problem = {"code": error.code, "detail": str(error)}
        return {**held, "set_aside": False, "problems": [problem]}
    why = (aside[recipient],) if found.state == "active" and recipient in aside else ()
    return {
        **held,
        "set_aside": bool(why),
        **_recipient(recipient),
        "problems": problems((*recipient.problems(), *why)),
    }


def report(found: ImportReport) -> dict[str, Any]:
    """What an upload holds and what became of it."""
    return {
        "account": found.account,
        "saved": found.saved,
        "needs_confirmation": found.needs_confirmation,
        "private_key_ignored": found.private_key_ignored,
        "retired": found.retired,
        "signature": found.signature
        and {"verified": found.signature.verified, "detail": str(found.signature)},
        "findings": findings(found.findings),
        "certificates": [_examined(one) for one in found.certificates],
        "set_aside": [
            {"subject": one.subject, "fingerprint": one.fingerprint, "reason": one.reason}
            for one in found.set_aside
        ],
    }


def findings(found: Sequence[Finding]) -> list[dict[str, str]]:
    """What speaks against a choice for the mail programs of an account."""
    return [{"level": one.level, "client": one.client, "detail": str(one)} for one in found]


def client(found: Client) -> dict[str, Any]:
    """A mail program and what is known of it."""
    return {
        "id": found.id,
        "name": found.name,
        "version": found.version,
        "source": found.source,
        "opens": sorted(found.opens),
        "fails": sorted(found.fails),
        "depends": dict(found.depends),
        "opens_beside": sorted(found.opens_beside),
        "fails_beside": sorted(found.fails_beside),
        "ski": found.ski,
        "header_protection": found.header_protection,
    }


def seal(found: Seal) -> dict[str, Any]:
    """What becomes of mail to an account now."""
    return {
        "action": found.action,
        "code": found.reason.code,
        "detail": str(found.reason),
        "cipher": found.policy.cipher if found.policy else None,
        "header_protection": found.policy.header_protection if found.policy else None,
        "notes": found.notes,
    }


def _examined(found: Examined) -> dict[str, Any]:
    return {
        "fingerprint": found.recipient.fingerprint,
        **_recipient(found.recipient),
        "known": found.known,
        "problems": problems(found.problems),
    }


def entry(found: AuditEntry) -> dict[str, Any]:
    """An entry of the audit log."""
    values = {name: value for name, value in asdict(found).items() if name != "account_id"}
    return {
        **values,
        "at": moment(found.at),
        "acknowledged_at": moment(found.acknowledged_at),
        "needs_acknowledgement": found.needs_acknowledgement,
    }


def session(found: Session) -> dict[str, Any]:
    """Who has signed in, with the token for what changes something; never the cookie's secret."""
    return {
        "name": found.person.name,
        "role": found.person.role,
        "account": found.person.account,
        "csrf": found.csrf,
        "expires_at": moment(found.expires_at),
        "confirmed_until": moment(found.confirmed_until),
    }


def person(found: Person) -> dict[str, Any]:
    """Somebody who may sign in."""
    return {
        "name": found.name,
        "role": found.role,
        "account": found.account,
        "has_password": found.has_password,
        "created_at": moment(found.created_at),
    }


def token(found: Token) -> dict[str, Any]:
    """A token without its secret."""
    return {
        "id": found.id,
        "name": found.name,
        "role": found.role,
        "account": found.account,
        "scopes": found.scopes,
        "created_at": moment(found.created_at),
        "expires_at": moment(found.expires_at),
        "revoked_at": moment(found.revoked_at),
        "used_at": moment(found.used_at),
    }
