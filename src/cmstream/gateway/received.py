"""The gateway's own Received field (RFC 5321, section 4.4), and mail that goes round in circles."""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..scratch import Scratch
    from .mail_connection import MailConnection

_FIELD = re.compile(rb"^received:", re.IGNORECASE | re.MULTILINE)
_HEADER = 256 << 10
"""So many bytes of the beginning are searched."""


def field(connection: MailConnection, hostname: str) -> bytes:
    """The field, one line of its own for who gave it and one for who took it."""
    client = re.sub(r"[^\w.:\[\]-]", "?", connection.session.client or "", flags=re.ASCII)
    protocol = "LMTP" if connection.lmtp else "ESMTP"
    if connection.encrypted:
        protocol += "S"
    text = f"Received: from {client or 'unknown'}\r\n\tby {hostname} (cmstream) with {protocol};"
    return f"{text}\r\n\t{formatdate()}\r\n".encode()


def goes_round(message: Scratch, limit: int) -> bool:
    """Whether it has more Received fields than a mail that arrives."""
    message.seek(0)
    start = message.read(_HEADER) or b""
    end = start.find(b"\r\n\r\n")
    return len(_FIELD.findall(start[: end if end >= 0 else len(start)])) > limit
