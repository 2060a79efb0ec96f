"""Tokens by which programs use the API: their scopes, their expiry, their revocation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from .. import values
from ..account import Actor, Role
from ..errors import Invalid, NotFound
from ..tables import accounts, tokens
from . import credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Row, Select

OWNER_SCOPES = ("accounts:read", "accounts:write", "certificates:write", "audit:read")
"""What a token that is bound to one account may do with that account."""
SCOPES = (*OWNER_SCOPES, "switches:write", "metrics")
"""What an administrator's token may do, with all accounts and the server."""

STAND_IN = "owner, by administrator"
"""The stored role of a token that an administrator made for one account. It isn't the name of any
other role, so that nobody takes it for more than an owner's."""

PREFIX = "cmstream_"
TOUCH = timedelta(minutes=1)
"""The last use is written at most once in this time."""


@dataclass(frozen=True)
class Token:
    """A machine's right to call the API, without its secret. ``account``: the address that it is
    bound to, None for all. ``role``: what it may do. ``by_administrator``: whether an administrator
    made it, not the owner of the account, as whose it then isn't logged."""

    id: int
    name: str
    role: Role
    account: str | None
    account_id: int | None
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    by_administrator: bool

    @property
    def actor(self) -> Actor:
        """Who makes a change with the token."""
        return Actor(self.name, self.role, self.account if self.by_administrator else None)

    def works(self, at: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


def checked_scopes(scopes: Iterable[str], role: Role) -> tuple[str, ...]:
    """The scopes in their order. Raises Invalid ``invalid-setting`` for none, and for one that the
    role doesn't have."""
    wanted, known = set(scopes), SCOPES if role == "administrator" else OWNER_SCOPES
    if not wanted or wanted - set(known):
        raise Invalid("invalid-setting", f"scopes of such a token: {', '.join(known)}")
    return tuple(scope for scope in known if scope in wanted)


def add(
    connection: Connection, name: str, *, scopes: tuple[str, ...], **columns: Any
) -> tuple[str, Token]:
    """A new one and its secret; its other columns are given by their names."""
    words = values.text(name.strip(), "invalid-name", "a token's name")
    if not words:
        raise Invalid("invalid-name", "give the token a name that says what uses it")
    secret = credentials.new(PREFIX)
    done = connection.execute(
        insert(tokens).values(
            token_hash=credentials.digest(secret),
            name=words,
            scopes=json.dumps(scopes),
            **columns,
        )
    )
    (number,) = done.inserted_primary_key or (0,)
    return secret, by_number(connection, number)


def find(connection: Connection, secret: str, at: datetime) -> tuple[Token, bool] | None:
    """The token of a secret if it works, and whether its use is to be written down."""
    where = tokens.c.token_hash == credentials.digest(secret)
    row = connection.execute(_query().where(where)).one_or_none()
    found = None if row is None else _token(row)
    if found is None or not found.works(at):
        return None
    return found, found.used_at is None or at >= found.used_at + TOUCH


def by_number(connection: Connection, number: int) -> Token:
    """One of them. Raises NotFound ``no-such-token``."""
    row = connection.execute(_query().where(tokens.c.id == number)).one_or_none()
    if row is None:
        raise NotFound("no-such-token", f"there is no token {number}")
    return _token(row)


def everyone(connection: Connection, address: str | None) -> list[Token]:
    """All of them, or those of an account, the oldest first."""
    query = _query().order_by(tokens.c.id)
    if address is not None:
        query = query.where(accounts.c.address == address)
    return [_token(row) for row in connection.execute(query)]


def touch(connection: Connection, number: int, at: datetime) -> None:
    """It was used now."""
    connection.execute(update(tokens).where(tokens.c.id == number).values(used_at=at))


def revoke(connection: Connection, number: int, at: datetime) -> None:
    """It is dead from now on."""
    connection.execute(update(tokens).where(tokens.c.id == number).values(revoked_at=at))


def _query() -> Select[Any]:
    joined = tokens.outerjoin(accounts, tokens.c.account_id == accounts.c.id)
    return select(tokens, accounts.c.address).select_from(joined)


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        role="owner" if row.role == STAND_IN else row.role,
        account=row.address,
        account_id=row.account_id,
        scopes=tuple(json.loads(row.scopes)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
        by_administrator=row.role != "owner",
    )
