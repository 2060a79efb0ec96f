"""Whether one message can be for several recipients, where a protocol has one message for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..accounts.errors import MixedRecipients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..accounts.lookup import Seal
    from ..policy import Policy
    from ..recipients.recipients import Recipients
    from .service import Service


def fits(service: Service, first: Seal, other: Seal) -> bool:
    """Whether a further recipient may get the same message as the first, as far as can be said
    before all are there."""
    if first.action == other.action == "seal" and service.settings.mixed == "together":
        return True
    return _alike(first, other)


def in_common(service: Service, seals: Sequence[Seal]) -> tuple[Recipients, Policy] | None:
    """To whom and how one message for all of them is sealed; None if it is left for all.

    Raises MixedRecipients where they need more than one message, RecipientError where their
    certificates can't be used together."""
    first = seals[0]
    if all(_alike(first, other) for other in seals[1:]):
        if first.recipients is None or first.policy is None:
            return None
        return first.recipients, first.policy
    if service.settings.mixed == "together":
        return service.together(seals)
    raise MixedRecipients("mail for these recipients is sealed in more than one way")


def _alike(first: Seal, other: Seal) -> bool:
    """Whether mail for both becomes the same bytes, but for keys that are drawn by lot."""
    return first.recipients is other.recipients and first.policy == other.policy
