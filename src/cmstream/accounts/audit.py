"""Writes and reads the audit log: each change adds an entry, in the same transaction.

The database refuses to change or delete an entry (triggers of the first migration), except that
its owner acknowledges it once.
"""

from __future__ import annotations

import json
import logging
import subprocess
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from . import change_words, owner_mail, tables, values
from .account import AuditEntry
from .errors import AccessDenied, Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from .account import Actor

_log = logging.getLogger(__name__)
_audit = tables.audit


def record(
    connection: Connection,
    by: Actor,
    action: str,
    *,
    account: tuple[int, str] | None = None,
    fingerprint: str | None = None,
    **detail: object,
) -> AuditEntry:
    """Write an entry. ``account``: number and address of the one that is changed, or None for the
    whole server. ``detail``: what JSON takes; never a key, a password or plaintext."""
    number, address = account or (None, None)
    at = datetime.now(timezone.utc)
    name, role = by.logged
    columns = {
        "at": at,
        "actor": values.shown(name),
        "role": role,
        "account_id": number,
        "address": address,
        "action": action,
        "fingerprint": fingerprint,
    }
    done = connection.execute(insert(_audit).values(**columns, detail=json.dumps(detail)))
    (key,) = done.inserted_primary_key or (0,)
    return AuditEntry(id=key, **columns, detail=detail, acknowledged_at=None)  # type: ignore[arg-type]


def entries(
    connection: Connection,
    *,
    address: str | None = None,
    before: int | None = None,
    limit: int = 100,
    unacknowledged: bool = False,
) -> list[AuditEntry]:
    """The newest first. ``address``: of an account, or of one that is gone; whoever has an
    address now doesn't see what was done to an earlier account of that name."""
    query = select(_audit).order_by(_audit.c.id.desc()).limit(values.within(limit))
    if address is not None:
        number = _number(connection, address)
        one = _audit.c.address == address if number is None else _audit.c.account_id == number
        query = query.where(one)
    if before is not None:
        query = query.where(_audit.c.id < values.within(before))
    if unacknowledged:
        query = query.where(
            _audit.c.acknowledged_at.is_(None),
            _audit.c.account_id.is_not(None),
            _audit.c.role != "owner",
        )
    return [_entry(row) for row in connection.execute(query)]


def latest(connection: Connection, account: int, action: str) -> AuditEntry | None:
    """What was last done of this kind to an account, None if it never was."""
    mine = _audit.c.account_id == account, _audit.c.action == action
    query = select(_audit).where(*mine).order_by(_audit.c.id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _entry(row)


def last_states(connection: Connection, account: int) -> dict[str, AuditEntry]:
    """By fingerprint: how each certificate of an account last came in use or out of it."""
    where = _audit.c.account_id == account, _audit.c.action.in_(_STATES)
    query = select(_audit).where(*where).order_by(_audit.c.id)
    return {row.fingerprint: _entry(row) for row in connection.execute(query)}


_STATES = [f"{one}-certificate" for one in ("import", "activate", "retire", "delete")]


def is_of_the_making(connection: Connection, entry: AuditEntry) -> bool:
    """Whether an entry is of the making of its account, with its first person and the link for
    them. Once anything else was done to the account, nothing is."""
    mine = _audit.c.account_id == entry.account_id
    query = (
        select(_audit.c.action, func.count().label("times")).where(mine).group_by(_audit.c.action)
    )
    done = {row.action: row.times for row in connection.execute(query)}
    return done.keys() <= _MAKING and done["add-person"] == 1


_MAKING = {"add-account", "add-person", "add-link"}


def _number(connection: Connection, address: str) -> int | None:
    """Of the account that has the address now."""
    accounts = tables.accounts.c
    found: int | None = connection.execute(
        select(accounts.id).where(accounts.address == address)
    ).scalar_one_or_none()
    return found


def acknowledge(
    connection: Connection, number: int, *, by: Actor, address: str | None = None
) -> AuditEntry:
    """The owner says to have seen it. ``address``: the account whose entry it must be."""
    if by.logged[1] != "owner":
        raise AccessDenied("forbidden", "a change is acknowledged by the account's owner alone")
    where = _audit.c.id == values.within(number)
    row = connection.execute(select(_audit).where(where)).one_or_none()
    entry = None if row is None else _entry(row)
    theirs = entry and entry.account_id
    if entry is None or (address is not None and theirs != _number(connection, address)):
        raise NotFound("no-such-entry", f"the audit log has no entry {number} of this account")
    if not entry.needs_acknowledgement:
        raise Conflict("already-acknowledged", f"entry {number} needs no acknowledgement any more")
    at = datetime.now(timezone.utc)
    connection.execute(update(_audit).where(where).values(acknowledged_at=at))
    row = connection.execute(select(_audit).where(where)).one()
    return _entry(row)


def _entry(row: Row[Any]) -> AuditEntry:
    columns = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    return AuditEntry(**columns | {"detail": json.loads(columns["detail"])})


# --- mail to the owner -----------------------------------------------------------------------


def mail(command: Sequence[str], entries: Sequence[AuditEntry]) -> None:
    """Tell owners by mail what others changed, each by one message: the command gets it on its
    standard input and finds the address in its To field, as ``sendmail -t -i`` does. That an
    account was made is no news by itself. A failure is logged and changes nothing."""
    accounts: dict[str | None, list[AuditEntry]] = {}
    for entry in entries:
        if entry.needs_acknowledgement:
            accounts.setdefault(entry.address, []).append(entry)
    for foreign in accounts.values() if command else ():
        if any(entry.action != "add-account" for entry in foreign):
            _send(command, foreign)


def _send(command: Sequence[str], foreign: Sequence[AuditEntry]) -> None:
    try:
        owner_mail.send(command, _message(foreign))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _log.error(
            "the owner of %s wasn't told by mail: %s", foreign[0].address, owner_mail.why(error)
        )


def _message(foreign: Sequence[AuditEntry]) -> bytes:
    lines = [
        f"Somebody else changed how the mail to {foreign[0].address} is encrypted:",
        "",
        *(f"- {entry.at:%Y-%m-%d %H:%M} UTC, {_words(entry)}" for entry in foreign),
        "",
        "Please sign in and look at it. Whoever adds a certificate can read the mail to come.",
    ]
    subject = "The encryption of your mail was changed"
    return owner_mail.message(foreign[0].address or "", subject, lines)


def _words(entry: AuditEntry) -> str:
    which = f", certificate {entry.fingerprint}" if entry.fingerprint else ""
    return f"{entry.actor} ({entry.role}) {change_words.change(entry, before=True)}{which}"
