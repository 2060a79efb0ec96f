"""Makes and hashes the secrets of sessions, tokens and links: 256 random bits each."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timezone

_BYTES = 32


def new(prefix: str = "") -> str:
    """A new secret, to be shown once. ``prefix`` lets people and scanners know what it is."""
    return prefix + secrets.token_urlsafe(_BYTES)


def digest(secret: str) -> bytes:
    """What is stored of it: SHA-256 is enough for what can't be guessed, and looking it up by its
    hash tells nothing by the time it takes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(timezone.utc)
