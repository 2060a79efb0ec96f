"""Which migration a database must have reached before this program uses it."""

from __future__ import annotations

from pathlib import Path

VERSION_TABLE = "cmstream_version"
"""The table that says which one it has reached."""

_MIGRATIONS = Path(__file__).parent / "migrations" / "versions"
REVISION = max(path.name[:4] for path in _MIGRATIONS.glob("[0-9]*.py"))
"""The newest migration."""
