"""Which migration a database must have reached before this program uses it."""

from __future__ import annotations

from pathlib import Path

VERSION_TABLE = "cmstream_version"
"""The table that says which one it has reached."""

_MIGRATIONS = Path(__file__).parent / "migrations" / "versions"
KNOWN = frozenset(path.name[:4] for path in _MIGRATIONS.glob("[0-9]*.py"))
"""All migrations: what an older database may have reached."""
REVISION = max(KNOWN)
"""The newest migration."""
