"""Which reminders owners got before their last certificate expires."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "reminders",
        sa.Column(
            "account_id",
            sa.Integer,
            sa.ForeignKey("accounts.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("days", sa.Integer, primary_key=True, autoincrement=False),
    )
