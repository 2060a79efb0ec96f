"""Which certificates of a set mail is sealed to: where a person has one that is meant for
encrypting mail, those that are meant for something else are set aside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class Certificate(Protocol):
    """What is asked of a :class:`~cmstream.Recipient`."""

    @property
    def emails(self) -> tuple[str, ...]:
        """Whose mail it is for."""

    @property
    def subject(self) -> str:
        """Its owner's name."""

    def problems(self) -> tuple[Any, ...]:
        """A :class:`~cmstream.Problem` for each thing that is wrong with it now."""


C = TypeVar("C", bound=Certificate)

_STEPS = (
    {"no-key-encipherment", "no-key-agreement", "no-email-protection"},
    {"no-email"},
)
"""What makes a certificate unfit, the worse first: a key that mustn't encrypt, then one of which
nobody says whose mail it is for."""


_COMMON_NAME = re.compile(r"(?:\A|(?<!\\)[,+])CN=.")


def unfit(recipients: Iterable[C]) -> dict[C, Any]:
    """Those to be set aside, each with the :class:`~cmstream.Problem` that makes it unfit.

    A card holds a certificate for signing and another for encrypting (RFC 5280 section 4.2.1.3),
    and mail programs seal to the second alone: some refuse a whole message for a RecipientInfo of
    the first. Somebody else's only certificate stays, and so does what is unfit where nothing is
    fit.
    """
    left = list(dict.fromkeys(recipients))
    aside: dict[C, Any] = {}
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


def _first(one: Certificate, codes: set[str]) -> Any:
    return next((problem for problem in one.problems() if problem.code in codes), None)


def _may_be_one_person(one: Certificate, other: Certificate) -> bool:
    """Whether nothing says that these are two people's. A name without a common name, which may be
    empty or the company's, says nothing of people."""
    ours, theirs = ({mail.casefold() for mail in each.emails} for each in (one, other))
    if not ours or not theirs or ours & theirs:
        return True
    return one.subject == other.subject and _COMMON_NAME.search(one.subject) is not None
