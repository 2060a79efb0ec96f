"""One-time links by which people choose a password, the first time or again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import delete, insert, update

from ..tables import links, people
from . import credentials
from .sessions import Person, person, persons

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

Purpose = Literal["first-sign-in", "set-password"]

MINUTES = 15
"""How long a link works if nothing else is said,"""
MOST_MINUTES = 7 * 24 * 60
"""and at most."""


@dataclass(frozen=True)
class Link:
    """What a link that still works is for."""

    purpose: Purpose
    person: Person
    expires_at: datetime


def add(connection: Connection, purpose: Purpose, who: Person, until: datetime) -> str:
    """A new link's secret; the person's earlier links are dead."""
    drop(connection, who)
    secret = credentials.new()
    connection.execute(
        insert(links).values(
            token_hash=credentials.digest(secret),
            purpose=purpose,
            person_id=who.id,
            expires_at=until,
        )
    )
    return secret


def find(connection: Connection, secret: str, at: datetime) -> Link | None:
    """The link of a secret, unless it is used or too old."""
    held = links.c
    query = persons().add_columns(held.purpose, held.expires_at)
    query = query.join(links, held.person_id == people.c.id)
    query = query.where(
        held.token_hash == credentials.digest(secret), held.used_at.is_(None), held.expires_at > at
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Link(row.purpose, person(row), row.expires_at)


def use(connection: Connection, secret: str, at: datetime) -> None:
    """It works no more."""
    where = links.c.token_hash == credentials.digest(secret)
    connection.execute(update(links).where(where).values(used_at=at))


def drop(connection: Connection, who: Person) -> None:
    """All of a person's that weren't used are dead."""
    mine = links.c.person_id == who.id, links.c.used_at.is_(None)
    connection.execute(delete(links).where(*mine))
