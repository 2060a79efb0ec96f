"""How long a database is waited for."""

from __future__ import annotations

WAIT = 5.0
"""Seconds that a statement waits for another process's lock, or for a connection."""

_MILLISECONDS = round(WAIT * 1000)
BOUNDS: dict[str, object] = {
    "connect_timeout": max(2, round(WAIT)),  # the least that libpq takes
    "tcp_user_timeout": _MILLISECONDS,
    "application_name": "cmstream",
    "options": f"-c lock_timeout={_MILLISECONDS} -c statement_timeout={2 * _MILLISECONDS}",
}
"""Parameters of libpq, for PostgreSQL: nothing is waited for without end."""
