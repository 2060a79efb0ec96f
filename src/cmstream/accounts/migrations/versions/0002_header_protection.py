"""Accounts choose which header fields are sealed too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    column = sa.Column(
        "header_protection", sa.Text, nullable=False, server_default="as-server-says"
    )
    op.add_column("accounts", column)
