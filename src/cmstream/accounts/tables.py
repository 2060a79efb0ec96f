"""The tables of the database, for SQLAlchemy. A change here needs a migration; a test checks it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from .account_settings import STORED
from .setting import Choice, Flag

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from .setting import Setting


class Utc(TypeDecorator[datetime]):
    """A moment in UTC, aware in Python whatever the database makes of time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(timezone.utc)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            return value.replace(tzinfo=timezone.utc)
        return value.astimezone(timezone.utc)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# Numbers of what is gone aren't given out again: the audit log still names them.
_NUMBERED: dict[str, Any] = {"sqlite_autoincrement": True}


def _account(*, nullable: bool = False) -> Column[int]:
    key = ForeignKey("accounts.id", ondelete="CASCADE")
    return Column("account_id", Integer, key, nullable=nullable, index=True)


def _setting(one: Setting) -> Column[Any]:
    kind = Boolean if isinstance(one, Flag) else Text
    return Column(one.name, kind, nullable=isinstance(one, Choice) and bool(one.none))


accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("address", Text, nullable=False, unique=True),
    *(_setting(one) for one in STORED.values()),
    Column("created_at", Utc, nullable=False),
    **_NUMBERED,
)

aliases = Table("aliases", metadata, Column("address", Text, primary_key=True), _account())

domains = Table("domains", metadata, Column("domain", Text, primary_key=True), _account())

certificates = Table(
    "certificates",
    metadata,
    Column("id", Integer, primary_key=True),
    _account(),
    Column("fingerprint", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("description", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("set_aside", Boolean, nullable=False, default=False),
    Column("mismatch_confirmed", Boolean, nullable=False),
    Column("not_after", Utc, nullable=False),
    Column("subject", Text, nullable=False),
    Column("added_at", Utc, nullable=False),
    Column("added_by", Text, nullable=False),
    UniqueConstraint("account_id", "fingerprint"),
    **_NUMBERED,
)

people = Table(
    "people",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password_hash", Text),
    Column("role", Text, nullable=False),
    _account(nullable=True),
    Column("created_at", Utc, nullable=False),
    **_NUMBERED,
)


def _person(*, nullable: bool = False) -> Column[int]:
    key = ForeignKey("people.id", ondelete="CASCADE")
    return Column("person_id", Integer, key, nullable=nullable, index=True)


sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    _person(),
    Column("csrf", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False, index=True),
    Column("confirmed_at", Utc),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    _account(nullable=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc),
    Column("revoked_at", Utc),
    Column("used_at", Utc),
    **_NUMBERED,
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("at", Utc, nullable=False),
    Index("ix_attempts_subject_at", "subject", "at"),
)

links = Table(
    "links",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("purpose", Text, nullable=False),
    _person(nullable=True),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
)

# No foreign key: what was done to an account outlives it.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Utc, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("account_id", Integer, index=True),
    Column("address", Text, index=True),
    Column("action", Text, nullable=False),
    Column("fingerprint", Text),
    Column("detail", Text, nullable=False),
    Column("acknowledged_at", Utc),
    **_NUMBERED,
)

reminders = Table(
    "reminders",
    metadata,
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("expires_at", Utc, primary_key=True),
    Column("days", Integer, primary_key=True, autoincrement=False),
)

switches = Table(
    "switches",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("counter", Integer, nullable=False),
)
