"""Which certificates of a set mail is sealed to: where a person has one that is meant for
encrypting mail, those that are meant for something else are set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .recipient import Problem, Recipient

_STEPS = (
    {"no-key-encipherment", "no-key-agreement", "no-email-protection"},
    {"no-email"},
)
"""What makes a certificate unfit, the worse first: a key that mustn't encrypt, then one of which
nobody says whose mail it is for."""


def unfit(recipients: Iterable[Recipient]) -> dict[Recipient, Problem]:
    """Those to be set aside, each with what makes it unfit.

    A card holds a certificate for signing and another for encrypting (RFC 5280 section 4.2.1.3),
    and mail programs seal to the second alone: some refuse a whole message for a RecipientInfo of
    the first. Somebody else's only certificate stays, and so does what is unfit where nothing is
    fit.
    """
    left = list(dict.fromkeys(recipients))
    aside: dict[Recipient, Problem] = {}
    for codes in _STEPS:
        problems = {one: _first(one, codes) for one in left}
        fit = [one for one, problem in problems.items() if problem is None]
        aside |= {
            one: problem
            for one, problem in problems.items()
            if problem is not None and any(_may_be_one_person(one, other) for other in fit)
        }
        left = [one for one in left if one not in aside]
    return aside


def _first(one: Recipient, codes: set[str]) -> Problem | None:
    return next((problem for problem in one.problems() if problem.code in codes), None)


def _may_be_one_person(one: Recipient, other: Recipient) -> bool:
    """Whether nothing says that these are two people's."""
    ours, theirs = ({mail.casefold() for mail in each.emails} for each in (one, other))
    return not ours or not theirs or bool(ours & theirs) or one.subject == other.subject
