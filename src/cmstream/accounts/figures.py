"""Counts what the store holds, for monitoring."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, func, select

from . import queries, tables

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from .database import Database

HORIZONS = (0, 7, 30, 90)
"""Days within which the last certificate in use of an account expires; 0: it has expired."""


@dataclass(frozen=True)
class Figures:
    """The store at one moment.

    ``accounts``: how many are ``protected`` (a cipher and an active certificate),
    ``unprotected`` (a cipher and none) and ``disabled``. ``certificates``: by their state.
    ``expiring``: accounts with a cipher whose last certificate in use expires within so many days.
    ``unacknowledged``: changes that others made and the owner hasn't seen. ``switched_off``:
    whether encryption is off for the whole server. ``changes``: transactions so far.
    """

    accounts: dict[str, int]
    certificates: dict[str, int]
    expiring: dict[int, int]
    unacknowledged: int
    switched_off: bool
    changes: int


def count(database: Database) -> Figures:
    """Count. Raises StoreUnavailable."""
    now = datetime.now(timezone.utc)
    with database.read() as connection:
        return Figures(
            accounts=_accounts(connection),
            certificates=_certificates(connection),
            expiring={days: _expiring(connection, now, days) for days in HORIZONS},
            unacknowledged=_unacknowledged(connection),
            switched_off=queries.switches(connection)["encryption"] == "off",
            changes=int(connection.execute(select(tables.changes.c.counter)).scalar_one()),
        )


_held, _owners = tables.certificates.c, tables.accounts.c
_ends = select(_held.account_id, func.max(_held.not_after).label("end"))
_active_until = _ends.where(*queries.IN_USE).group_by(_held.account_id).subquery()
_joined = tables.accounts.outerjoin(_active_until, _owners.id == _active_until.c.account_id)


def _accounts(connection: Connection) -> dict[str, int]:
    state = case(
        (_owners.cipher.is_(None), "disabled"),
        (_active_until.c.account_id.is_(None), "unprotected"),
        else_="protected",
    )
    query = select(state, func.count()).select_from(_joined).group_by(state)
    found = dict.fromkeys(("protected", "unprotected", "disabled"), 0)
    return found | {str(name): int(number) for name, number in connection.execute(query)}


def _certificates(connection: Connection) -> dict[str, int]:
    query = select(_held.state, func.count()).group_by(_held.state)
    found = dict.fromkeys(("active", "retired"), 0)
    return found | {str(name): int(number) for name, number in connection.execute(query)}


def _expiring(connection: Connection, now: datetime, days: int) -> int:
    soon = and_(_owners.cipher.is_not(None), _active_until.c.end < now + timedelta(days=days))
    query = select(func.count()).select_from(_joined).where(soon)
    return int(connection.execute(query).scalar_one())


def _unacknowledged(connection: Connection) -> int:
    log = tables.audit.c
    query = select(func.count()).where(
        log.acknowledged_at.is_(None), log.account_id.is_not(None), log.role != "owner"
    )
    return int(connection.execute(query).scalar_one())
