"""Limits how often an account has a test message sent, so that nobody fills a mailbox with it."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from .errors import AccessDenied
from .tables import attempts

if TYPE_CHECKING:
    from sqlalchemy import Connection

WINDOW = timedelta(minutes=15)
MOST = 3
"""Messages to one account in a window."""


def claim(connection: Connection, account: int) -> None:
    """Count a message before it is sent. The transaction must be the only one that writes. Raises
    AccessDenied ``too-many-attempts``."""
    subject, at = f"test:{account}", datetime.now(timezone.utc)
    mine = attempts.c.subject == subject
    connection.execute(delete(attempts).where(mine, attempts.c.at <= at - WINDOW))
    query = select(attempts.c.at).where(mine).order_by(attempts.c.at)
    sent = connection.execute(query).scalars().all()
    if len(sent) >= MOST:
        seconds = max(1, math.ceil((sent[0] + WINDOW - at).total_seconds()))
        raise AccessDenied(
            "too-many-attempts",
            f"{MOST} test messages were sent already: try again in {math.ceil(seconds / 60)} "
            "minutes, or download one",
            retry_after=seconds,
        )
    connection.execute(insert(attempts).values(subject=subject, at=at))
