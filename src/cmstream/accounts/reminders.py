"""Reminds owners by mail before the last certificate in use expires, each time once."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from . import owner_mail, queries, tables
from .errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from .account import Account
    from .store import Store

_sent = tables.reminders


@dataclass(frozen=True)
class Reminder:
    """What an owner is told: ``days``, the smallest number of those asked for that the certificate
    is within. ``due``: all of them that hadn't been told of before. ``error``: why the mail
    couldn't be sent, or nothing. ``owned``: whether somebody can sign in for the account."""

    account: Account
    expires_at: datetime
    days: int
    due: tuple[int, ...]
    error: str = ""
    owned: bool = False

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What the database keeps of it."""
        key = {"account_id": self.account.id, "expires_at": self.expires_at}
        return [{**key, "days": days} for days in self.due]


def due(connection: Connection, before: Sequence[int], now: datetime) -> list[Reminder]:
    """The reminders that are to be sent. An account whose mail isn't sealed gets none."""
    accounts = queries.accounts(
        connection,
        search="",
        expiring_before=now + timedelta(days=max(before)),
        unprotected=False,
        after="",
        limit=None,
    )
    told = _told(connection)
    found = (_due(one, before, now, told) for one in accounts)
    return [one for one in found if one is not None]


def _told(connection: Connection, account: Account | None = None) -> set[tuple[int, datetime, int]]:
    """The reminders that were sent: to all, or to one account."""
    columns = _sent.c
    query = select(columns.account_id, columns.expires_at, columns.days)
    if account is not None:
        query = query.where(columns.account_id == account.id)
    return {(number, moment, days) for number, moment, days in connection.execute(query)}


def _due(
    account: Account,
    before: Sequence[int],
    now: datetime,
    told: set[tuple[int, datetime, int]],
) -> Reminder | None:
    """A later reminder takes the place of the earlier ones that were missed."""
    end = account.expires_at
    if end is None or account.cipher is None:
        return None
    within = [days for days in sorted(before) if end - now <= timedelta(days=days)]
    new = tuple(days for days in within if (account.id, end, days) not in told)
    return Reminder(account, end, within[0], new) if within and within[0] in new else None


def remind(
    store: Store, command: Sequence[str], before: Sequence[int], page: str = ""
) -> list[Reminder]:
    """Send what is due, each reminder once even where several processes do so at the same time. One
    that can't be sent is due again. ``before``: days, of which 0 is the end itself. ``page``: the
    URL at which owners sign in. Raises StoreUnavailable."""
    now = datetime.now(timezone.utc)
    with store.database.read() as connection:
        found = due(connection, before, now)
    claimed = (_claim(store, one.account.address, before, now) for one in found)
    return [_sent_or_not(store, command, one, now, page) for one in claimed if one is not None]


def _claim(store: Store, address: str, before: Sequence[int], now: datetime) -> Reminder | None:
    """Store as sent, just before it is, what is still due to an account: whoever is killed in the
    middle loses no more than this one."""
    with suppress(NotFound), store.database.write() as connection:
        account = queries.account(connection, address)
        one = _due(account, before, now, _told(connection, account))
        if one is not None:
            connection.execute(insert(_sent), one.rows)
            one = replace(one, owned=_owned(connection, account))
        return one
    return None


def _owned(connection: Connection, account: Account) -> bool:
    """Whether somebody can sign in for the account."""
    query = select(tables.people.c.id).where(tables.people.c.account_id == account.id).limit(1)
    return connection.execute(query).first() is not None


def _sent_or_not(
    store: Store, command: Sequence[str], one: Reminder, now: datetime, page: str
) -> Reminder:
    try:
        owner_mail.send(command, _message(one, now, page))
    except BaseException as error:
        _forget(store, one)
        if not isinstance(error, (OSError, ValueError, subprocess.SubprocessError)):
            raise
        return replace(one, error=owner_mail.why(error))
    return one


def _forget(store: Store, unsent: Reminder) -> None:
    with store.database.write() as connection:
        for row in unsent.rows:
            where = [_sent.c[name] == value for name, value in row.items()]
            connection.execute(delete(_sent).where(*where))


def _message(one: Reminder, now: datetime, page: str) -> bytes:
    address, day = one.account.address, f"{one.expires_at:%Y-%m-%d}"
    over = one.expires_at <= now
    when = f"expired on {day}" if over else f"expires on {day}"
    means = (
        "Until a new one is added, mail is still sealed for the expired certificate, and mail"
        " programs may warn of it."
    )
    lines = [
        f"The certificate for which the mail to {address} is encrypted {when}.",
        "",
        f"Please get a new one, and {_add_it(one, page)}.",
        "Keep the old private key: older mail needs it.",
        means,
    ]
    title = "Your certificate has expired" if over else f"Your certificate expires on {day}"
    return owner_mail.message(address, title, lines)


def _add_it(one: Reminder, page: str) -> str:
    if not one.owned:
        return "send it to your administrator, who adds it"
    return f"sign in at {page} and add it" if page else "sign in and add it"
