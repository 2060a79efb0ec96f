"""The gateway's own Received field (RFC 5321, section 4.4), and mail that goes round in circles."""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..scratch import Scratch

_FIELD = re.compile(rb"^received:", re.IGNORECASE | re.MULTILINE)
_HEADER = 256 << 10
"""So many bytes of the beginning are searched."""


def field(client: str | None, hostname: str, protocol: str) -> bytes:
    """The field. ``client``: what it calls itself. ``protocol``: such as ``LMTPS``."""
    name = re.sub(r"[^\w.:\[\]-]", "?", client or "", flags=re.ASCII) or "unknown"
    text = f"Received: from {name}\r\n\tby {hostname} (cmstream) with {protocol};"
    return f"{text}\r\n\t{formatdate()}\r\n".encode()


def goes_round(message: Scratch, limit: int) -> bool:
    """Whether it has more Received fields than a mail that arrives."""
    message.seek(0)
    return too_many(message.read(_HEADER) or b"", limit)


def too_many(start: bytes, limit: int) -> bool:
    """The same, by the beginning of a message."""
    end = start.find(b"\r\n\r\n")
    return len(_FIELD.findall(start[: end if end >= 0 else _HEADER])) > limit
