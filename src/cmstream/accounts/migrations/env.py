"""What Alembic runs: the migrations, in the transaction that the caller has begun."""

from __future__ import annotations

from alembic import context

from cmstream.accounts.revision import VERSION_TABLE
from cmstream.accounts.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
