"""The three steps from nothing to sealed mail that can be read, each with its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ..account import Account
    from .certificates import Shown


class Step(NamedTuple):
    """A step: its state, what to do in a sentence, and the links that lead on, the first of them
    the button."""

    title: str
    state: Literal["done", "next", "later"]
    sentence: str
    links: tuple[tuple[str, str], ...] = ()


def steps(account: Account, held: Sequence[Shown], tested: datetime | None) -> list[Step]:
    """The three steps as they stand; none if all are done. ``tested``: when the owner last said to
    have read a test message."""
    usable = [one for one in held if one.usable]
    newest = max((one.added_at for one in usable), default=None)
    done = (
        bool(usable),
        bool(usable) and account.cipher is not None,
        newest is not None and tested is not None and tested >= newest,
    )
    if all(done):
        return []
    # Nobody knows whether an owner has a certificate already: the first two are open together.
    following = max(1, done.index(False))
    plan = (_get(), _add(has_one=bool(usable)), _try())
    return [
        _as(step, "done" if finished else "next" if number <= following else "later")
        for number, (step, finished) in enumerate(zip(plan, done, strict=True))
    ]


def _as(step: Step, state: Literal["done", "next", "later"]) -> Step:
    return step._replace(state=state, links=step.links if state == "next" else ())


def _get() -> Step:
    return Step(
        "Get a certificate",
        "next",
        "Your organisation gives you one, or a certification authority does. If your mail program"
        " has one already, go on to the next step.",
        (("/help/certificate", "Where to get one"),),
    )


def _add(*, has_one: bool) -> Step:
    if has_one:
        return Step(
            "Add it here",
            "next",
            "The certificate is here. Switch encryption on, and new mail is sealed to it.",
            (("/account/settings", "Switch encryption on"),),
        )
    return Step(
        "Add it here",
        "next",
        "Take the certificate out of your mail program and add the file. You see what is in it"
        " before anything is saved.",
        (("/account/upload", "Add your certificate"), ("/help", "How to take it out")),
    )


def _try() -> Step:
    return Step(
        "Try it",
        "next",
        "Open a sealed test message with your mail program, and say whether you could read it.",
        (("/account/test", "Get a test message"), ("/help", "How to read sealed mail")),
    )
