"""The first tables, and an audit log that the database itself keeps append-only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBERED: dict[str, Any] = {"sqlite_autoincrement": True}


def upgrade() -> None:
    _accounts()
    _people()
    _log()
    if op.get_context().dialect.name == "postgresql":
        op.execute(_POSTGRESQL_FUNCTION)
        op.execute(_POSTGRESQL_ROWS)
        op.execute(_POSTGRESQL_TRUNCATE)
    else:
        for statement in _SQLITE:
            op.execute(statement)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _account(*, nullable: bool = False) -> sa.Column[int]:
    key = sa.ForeignKey("accounts.id", ondelete="CASCADE")
    return sa.Column("account_id", sa.Integer, key, nullable=nullable, index=True)


def _person(*, nullable: bool = False) -> sa.Column[int]:
    key = sa.ForeignKey("people.id", ondelete="CASCADE")
    return sa.Column("person_id", sa.Integer, key, nullable=nullable, index=True)


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("address", sa.Text, nullable=False, unique=True),
        _text("cipher", nullable=True),
        sa.Column("encrypt_on_append", sa.Boolean, nullable=False),
        _text("when_unusable"),
        _text("clients"),
        _time("created_at"),
        **_NUMBERED,
    )
    op.create_table("aliases", sa.Column("address", sa.Text, primary_key=True), _account())
    op.create_table("domains", sa.Column("domain", sa.Text, primary_key=True), _account())
    op.create_table(
        "certificates",
        sa.Column("id", sa.Integer, primary_key=True),
        _account(),
        _text("fingerprint"),
        sa.Column("der", sa.LargeBinary, nullable=False),
        _text("description"),
        _text("state"),
        sa.Column("mismatch_confirmed", sa.Boolean, nullable=False),
        _time("not_after"),
        _text("subject"),
        _time("added_at"),
        _text("added_by"),
        sa.UniqueConstraint("account_id", "fingerprint"),
        **_NUMBERED,
    )


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        _text("password_hash", nullable=True),
        _text("role"),
        _account(nullable=True),
        _time("created_at"),
        **_NUMBERED,
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.LargeBinary, primary_key=True),
        _person(),
        _text("csrf"),
        _time("created_at"),
        _time("seen_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, index=True),
        _time("confirmed_at", nullable=True),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("token_hash", sa.LargeBinary, nullable=False, unique=True),
        _text("name"),
        _text("role"),
        _account(nullable=True),
        _text("scopes"),
        _time("created_at"),
        _time("expires_at", nullable=True),
        _time("revoked_at", nullable=True),
        _time("used_at", nullable=True),
        **_NUMBERED,
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("subject"),
        _time("at"),
    )
    op.create_index("ix_attempts_subject_at", "attempts", ["subject", "at"])
    op.create_table(
        "links",
        sa.Column("token_hash", sa.LargeBinary, primary_key=True),
        _text("purpose"),
        _person(nullable=True),
        _time("expires_at"),
        _time("used_at", nullable=True),
    )


def _log() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        _time("at"),
        _text("actor"),
        _text("role"),
        sa.Column("account_id", sa.Integer, index=True),
        sa.Column("address", sa.Text, index=True),
        _text("action"),
        _text("fingerprint", nullable=True),
        _text("detail"),
        _time("acknowledged_at", nullable=True),
        **_NUMBERED,
    )
    op.create_table("switches", sa.Column("name", sa.Text, primary_key=True), _text("value"))
    changes = op.create_table(
        "changes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("counter", sa.Integer, nullable=False),
    )
    op.bulk_insert(changes, [{"id": 1, "counter": 0}])


_KEPT = ("id", "at", "actor", "role", "account_id", "address", "action", "fingerprint", "detail")
_CHANGED = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in _KEPT)
_REFUSE = "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"

_SQLITE = (
    f"""
CREATE TRIGGER audit_update BEFORE UPDATE ON audit
    WHEN {_CHANGED} OR OLD.acknowledged_at IS NOT NULL OR NEW.acknowledged_at IS NULL
    {_REFUSE}
""",
    f"CREATE TRIGGER audit_delete BEFORE DELETE ON audit {_REFUSE}",
    # INSERT OR REPLACE deletes without running the trigger above.
    f"""
CREATE TRIGGER audit_replace BEFORE INSERT ON audit
    WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
    {_REFUSE}
""",  # noqa: S608 - constants
)

_POSTGRESQL_FUNCTION = """
CREATE FUNCTION cmstream_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.acknowledged_at IS NULL AND NEW.acknowledged_at IS NOT NULL
            AND to_jsonb(NEW) - 'acknowledged_at' = to_jsonb(OLD) - 'acknowledged_at'
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only';
END
$$
"""
_POSTGRESQL_ROWS = """
CREATE TRIGGER audit_rows BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION cmstream_audit_is_append_only()
"""
_POSTGRESQL_TRUNCATE = """
CREATE TRIGGER audit_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION cmstream_audit_is_append_only()
"""
