"""Which of an account's certificates a message is sealed to."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..certificates.recipient import Recipient
    from .account import StoredCertificate


def sealed_to(recipients: Iterable[Recipient]) -> list[Recipient]:
    """Those of an account's active certificates that a message of now is sealed to, by the rules of
    :meth:`~cmstream.accounts.lookup.Lookups.seal_for`."""
    found = list(dict.fromkeys(recipients))
    return current(found, datetime.now(timezone.utc)) or found


def current(recipients: Iterable[Recipient], moment: datetime) -> list[Recipient]:
    """Those that haven't expired."""
    return [one for one in recipients if one.not_after >= moment]


def readable(held: Iterable[StoredCertificate]) -> Iterator[Recipient]:
    """The active ones; one that this program can't read, an older or newer one could."""
    for one in held:
        if one.state == "active":
            with suppress(CertificateError):
                yield one.recipient
