"""The pages of one certificate: its facts, and what can be done with it after a question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response

from ...errors import CmstreamError
from ..errors import (
    AccountsError,
    Invalid,
    NotFound,
    StoreUnavailable,
)
from ..sealed_to import unfit
from . import words

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ...certificates.recipient import Problem, Recipient
    from ..account import StoredCertificate
    from .visit import Visit


class Shown(NamedTuple):
    """A stored certificate as pages show it. ``recipient`` is None if it can't be read."""

    fingerprint: str
    name: str
    state: str
    state_in_words: str
    tone: str
    recipient: Recipient | None
    problems: tuple[Problem, ...]
    expired: bool
    added_at: datetime
    added_by: str
    mismatch_confirmed: bool
    description: str
    set_aside: bool = False

    @property
    def usable(self) -> bool:
        """Whether mail is sealed for it."""
        return self.state == "active" and self.recipient is not None and not self.set_aside


def shown(held: StoredCertificate) -> Shown:
    """How a certificate stands, in words."""
    try:
        recipient, problems = held.recipient, held.recipient.problems()
    except CmstreamError:
        recipient, problems = None, ()
    expired = any(one.code == "expired" for one in problems)
    text, tone = _state(held.state, readable=recipient is not None, expired=expired)
    name = held.description or (words.who(recipient) if recipient else "Unreadable")
    return Shown(
        held.fingerprint, name, held.state, text, tone, recipient, problems, expired,
        held.added_at, held.added_by, held.mismatch_confirmed, held.description,
    )  # fmt: skip


def all_shown(held: Iterable[StoredCertificate]) -> list[Shown]:
    """The same of all of an account's: some aren't used beside others."""
    found = [shown(one) for one in held]
    aside = unfit(one.recipient for one in found if one.usable and one.recipient)
    return [
        one._replace(
            set_aside=True,
            state_in_words="not used",
            tone="warn",
            problems=(*one.problems, aside[one.recipient]),
        )
        if one.usable and one.recipient in aside
        else one
        for one in found
    ]


def _state(state: str, *, readable: bool, expired: bool) -> tuple[str, str]:
    if state == "retired":
        return "retired", ""
    if not readable:
        return "can't be used", "bad"
    return ("in use, expired", "warn") if expired else ("in use", "good")


@dataclass(frozen=True)
class Question:
    """What is asked before it is done: what it means, in sentences, and where it goes."""

    title: str
    means: tuple[str, ...]
    button: str
    action: str
    back: str
    tone: str = "danger"
    hidden: dict[str, str] = field(default_factory=dict)


def ask_first(visit: Visit, question: Question) -> Response:
    """A page that says what will happen, with the button that does it."""
    return visit.show("confirm.html", question=question, confirm=visit.unconfirmed)


def certificate(visit: Visit) -> Response:
    """Its facts and its forms."""
    fingerprint = _held(visit).fingerprint
    together = all_shown(visit.store.certificates(visit.account.address))
    one = next(one for one in together if one.fingerprint == fingerprint)
    visit.form.values.setdefault("description", one.description)
    return visit.show("certificate.html", account=visit.account, one=one, confirm=visit.unconfirmed)


def _held(visit: Visit) -> StoredCertificate:
    try:
        return visit.store.certificate(visit.account.address, visit.query("fingerprint"))
    except (NotFound, Invalid) as error:
        raise HTTPException(404) from error


def file(visit: Visit) -> Response:
    """The certificate itself, in DER."""
    held = _held(visit)
    headers = {"Content-Disposition": f'attachment; filename="{held.fingerprint[:16]}.cer"'}
    return Response(held.der, headers=headers, media_type="application/pkix-cert")


def described(visit: Visit) -> Response:
    """Another description."""
    held, form = _held(visit), visit.form
    if not visit.confirm():
        return certificate(visit)
    try:
        visit.store.describe_certificate(
            visit.account.address, held.fingerprint, form.text("description"), by=visit.by
        )
    except Invalid as error:
        form.errors["description"] = words.sentence(error)
        return certificate(visit)
    return visit.go("/account/certificate", done="described", fingerprint=held.fingerprint)


# --- retire, use again, delete -------------------------------------------------------------------

_ACTIONS = {
    "retire": (
        "Retire {name}",
        "Retire it",
        (
            "New mail isn't sealed for this certificate any more.",
            "Older mail still needs its private key: keep that.",
            "The certificate stays here, and you can use it again.",
        ),
    ),
    "activate": (
        "Use {name} again",
        "Use it again",
        ("New mail is sealed for this certificate too: whoever has its private key can read it.",),
    ),
    "delete": (
        "Delete {name}",
        "Delete it",
        (
            "The certificate is taken out of the store, and new mail isn't sealed for it.",
            "Older mail still needs its private key: keep that.",
            "To have it back you must upload it again.",
        ),
    ),
}
_DONE = {"retire": "retired", "activate": "activated", "delete": "deleted"}


def ask(visit: Visit) -> Response:
    """What the action means, before it is done."""
    action = _action(visit)
    one = shown(_held(visit))
    title, button, means = _ACTIONS[action]
    here = {"fingerprint": one.fingerprint}
    question = Question(
        title=title.format(name=one.name),
        means=means,
        button=button,
        action=visit.url(f"/account/certificate/{action}", **here),
        back=visit.url("/account/certificate", **here),
        tone="primary" if action == "activate" else "danger",
    )
    return ask_first(visit, question)


def done(visit: Visit) -> Response:
    """The action, by whoever knows the password; the last certificate in use stays while
    encryption is on."""
    action, held = _action(visit), _held(visit)
    if not visit.confirm():
        return ask(visit)
    store = visit.store
    act = {
        "retire": store.retire_certificate,
        "activate": store.activate_certificate,
        "delete": store.delete_certificate,
    }[action]
    try:
        act(visit.account.address, held.fingerprint, by=visit.by)
    except StoreUnavailable:
        raise
    except AccountsError as error:
        visit.form.errors[""] = words.sentence(error)
        return ask(visit)
    return visit.go("/account", done=_DONE[action])


def _action(visit: Visit) -> str:
    action = str(visit.request.path_params["action"])
    if action not in _ACTIONS:
        raise HTTPException(404)
    return action
