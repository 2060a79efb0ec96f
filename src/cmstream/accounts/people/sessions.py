"""People and their sessions: the rows of both, and how long a session lasts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, or_, select, update

from ..account import Actor, Role
from ..tables import accounts, people, sessions
from . import credentials

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

IDLE = timedelta(minutes=30)
"""A session ends when it hasn't been used for this time,"""
LIFETIME = timedelta(hours=12)
"""and after this time in any case."""
CONFIRMATION = timedelta(minutes=5)
"""How long a password that was given again is enough."""
TOUCH = timedelta(minutes=1)
"""The last use is written at most once in this time, or every request would write."""


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in. ``account``: the address of the account that an owner owns, None
    for administrators. ``has_password``: False until a link was used to choose one."""

    id: int
    name: str
    role: Role
    account: str | None
    account_id: int | None
    has_password: bool
    created_at: datetime

    @property
    def actor(self) -> Actor:
        """The person as the audit log names it."""
        return Actor(self.name, self.role)


@dataclass(frozen=True)
class Session:
    """A person who has signed in, as it is at this moment.

    ``token``: the secret for the cookie. ``csrf``: what a form must send along. ``confirmed``:
    whether the password was given again in the last minutes, until ``confirmed_until``.
    """

    person: Person
    token: str = field(repr=False)
    csrf: str = field(repr=False)
    created_at: datetime
    expires_at: datetime
    confirmed_until: datetime | None
    confirmed: bool

    @property
    def actor(self) -> Actor:
        """The person as the audit log names it."""
        return self.person.actor


def persons() -> Select[Any]:
    """The query for people, with the address of what they own."""
    joined = people.outerjoin(accounts, people.c.account_id == accounts.c.id)
    return select(people, accounts.c.address).select_from(joined)


def person(row: Row[Any]) -> Person:
    """One of its rows."""
    return Person(
        id=row.id,
        name=row.name,
        role=row.role,
        account=row.address,
        account_id=row.account_id,
        has_password=row.password_hash is not None,
        created_at=row.created_at,
    )


def begin(connection: Connection, who: Person, at: datetime) -> Session:
    """A session under a secret that nobody has seen before; those that are over are cleared."""
    connection.execute(
        delete(sessions).where(or_(sessions.c.expires_at <= at, sessions.c.seen_at <= at - IDLE))
    )
    token, csrf, end = credentials.new(), credentials.new(), at + LIFETIME
    connection.execute(
        insert(sessions).values(
            token_hash=credentials.digest(token),
            person_id=who.id,
            csrf=csrf,
            created_at=at,
            seen_at=at,
            expires_at=end,
        )
    )
    return Session(who, token, csrf, at, end, None, confirmed=False)


def find(connection: Connection, token: str, at: datetime) -> tuple[Session, bool] | None:
    """The session of a secret, unless it is over, and whether its use is to be written down."""
    held = sessions.c
    query = persons().add_columns(
        held.csrf, held.created_at.label("begun_at"), held.seen_at, held.expires_at,
        held.confirmed_at,
    )  # fmt: skip
    query = query.join(sessions, held.person_id == people.c.id)
    query = query.where(held.token_hash == credentials.digest(token))
    row = connection.execute(query).one_or_none()
    if row is None or at >= row.expires_at or at >= row.seen_at + IDLE:
        return None
    until = row.confirmed_at and row.confirmed_at + CONFIRMATION
    session = Session(
        person=person(row),
        token=token,
        csrf=row.csrf,
        created_at=row.begun_at,
        expires_at=row.expires_at,
        confirmed_until=until,
        confirmed=until is not None and at < until,
    )
    return session, at >= row.seen_at + TOUCH


def touch(connection: Connection, token: str, at: datetime) -> None:
    """It was used now."""
    where = sessions.c.token_hash == credentials.digest(token)
    connection.execute(update(sessions).where(where).values(seen_at=at))


def confirm(connection: Connection, token: str, at: datetime) -> None:
    """The password was given again now."""
    where = sessions.c.token_hash == credentials.digest(token)
    connection.execute(update(sessions).where(where).values(confirmed_at=at, seen_at=at))


def end(connection: Connection, token: str) -> None:
    """It is over."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == credentials.digest(token)))


def end_all(connection: Connection, who: Person) -> None:
    """All of a person's are over."""
    connection.execute(delete(sessions).where(sessions.c.person_id == who.id))
