"""Which of an account's certificates a message is sealed to."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..certificates import fitness
from ..certificates.recipient import Problem
from ..errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..certificates.recipient import Recipient
    from .account import StoredCertificate


_BESIDE = ", and another one is meant for mail. Nothing is sealed to this one."


def sealed_to(recipients: Iterable[Recipient]) -> list[Recipient]:
    """Those of an account's active certificates that a message of now is sealed to, by the rules of
    :meth:`~cmstream.accounts.lookup.Lookups.seal_for`."""
    found = list(dict.fromkeys(recipients))
    aside = unfit(found)
    return current([one for one in found if one not in aside], datetime.now(timezone.utc))


def unfit(recipients: Iterable[Recipient]) -> dict[Recipient, Problem]:
    """Those that aren't meant for encrypting mail, where another one of the account is: each with
    the problem, code ``set-aside``, that says why nothing is sealed to it."""
    return {
        one: Problem("set-aside", f"{str(why).rstrip('.')}{_BESIDE}")
        for one, why in fitness.unfit(recipients).items()
    }


def current(recipients: Sequence[Recipient], moment: datetime) -> list[Recipient]:
    """Those that haven't expired, or all if all have: expiry never makes an account unprotected."""
    return [one for one in recipients if one.not_after >= moment] or list(recipients)


def readable(held: Iterable[StoredCertificate]) -> Iterator[Recipient]:
    """The active ones; one that this program can't read, an older or newer one could."""
    for one in held:
        if one.state == "active":
            with suppress(CertificateError):
                yield one.recipient
