"""Administrators' pages: accounts, their owners, the server's switches, the audit log."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from ..errors import AccountsError, Conflict, Invalid, StoreUnavailable
from ..switches import checked
from . import words
from .accounts import LOG_PAGE, before
from .certificates import Question, ask_first

if TYPE_CHECKING:
    from starlette.responses import Response

    from ..account import Account
    from ..people.links import Purpose
    from .visit import Visit

SOON = timedelta(days=30)
"""So long before its end a certificate counts as expiring soon."""
LIST_PAGE = 100
"""Accounts on one page."""
LINK_MINUTES = 24 * 60
"""An owner's link goes by hand or mail, so it works for a day."""

_FILTERS = (("", "All"), ("unprotected", "Unprotected"), ("expiring", "Expiring soon"))


class Row(NamedTuple):
    """An account as the list shows it."""

    address: str
    state: str
    tone: str
    cipher: str
    active: int
    retired: int
    expires_at: datetime | None


def accounts(visit: Visit) -> Response:
    """The list, as far as it is searched and filtered."""
    search, show, after = visit.query("search").strip(), visit.query("show"), visit.query("after")
    found = visit.store.accounts(
        search[:500],
        unprotected=show == "unprotected",
        expiring_before=datetime.now(timezone.utc) + SOON if show == "expiring" else None,
        after=after,
        limit=LIST_PAGE + 1,
    )
    shown = found[:LIST_PAGE]

    def link(**parameters: str) -> str:
        given = {"search": search, "show": show, **parameters}
        return f"/accounts?{urlencode({k: v for k, v in given.items() if v})}"

    return visit.show(
        "accounts.html",
        accounts=[_row(one) for one in shown],
        search=search,
        show=show,
        after=after,
        filters=[(value, label, link(show=value)) for value, label in _FILTERS],
        more=link(after=shown[-1].address) if len(found) > LIST_PAGE else "",
        off=visit.store.switches()["encryption"] == "off",
    )


def _row(one: Account) -> Row:
    text, tone = _standing(one)
    cipher = words.cipher(one.cipher) if one.cipher else "off"
    return Row(one.address, text, tone, cipher, one.active, one.retired, one.expires_at)


def _standing(one: Account) -> tuple[str, str]:
    now = datetime.now(timezone.utc)
    if one.cipher is None:
        return "encryption is off", "warn"
    if one.active == 0 or one.expires_at is None:
        return ("mail waits", "bad") if one.when_unusable == "error" else ("in the clear", "bad")
    if one.expires_at <= now:
        return "certificate expired", "warn"
    return ("expires soon", "warn") if one.expires_at <= now + SOON else ("encrypted", "good")


# --- a new account, its owner, its end -----------------------------------------------------------


def add(visit: Visit) -> Response:
    """The form for a new account."""
    visit.form.values.setdefault("owner", "yes")
    return _add(visit)


def _add(visit: Visit) -> Response:
    return visit.show("add.html", confirm=visit.unconfirmed)


def added(visit: Visit) -> Response:
    """The account, and its owner's link if one is wanted."""
    form = visit.form
    form.values.setdefault("owner", "")
    if not visit.confirm():
        return _add(visit)
    try:
        account = visit.store.add_account(
            form.text("address"), by=visit.by, aliases=form.lines("aliases")
        )
    except StoreUnavailable:
        raise
    except AccountsError as error:
        form.errors["address"] = words.sentence(error)
        return _add(visit)
    visit.__dict__["account"] = account
    return _link(visit, account.address) if form.ticked("owner") else visit.go("/account")


def owner(visit: Visit) -> Response:
    """What an owner's link means, before it is made."""
    address = visit.account.address
    name = visit.form.text("name") or visit.query("name").strip()
    if name not in [one.name for one in visit.people.owners(address)]:
        name = address
    question = Question(
        title=f"Make a sign-in link for {name}",
        means=(
            f"Whoever has the link chooses the password of {name} and reads and changes {address}.",
            "It works once, within a day. Links that were made before work no more.",
        ),
        button="Make the link",
        action=visit.url("/account/owner"),
        back=visit.url("/account"),
        tone="primary",
        hidden={"name": name},
    )
    return ask_first(visit, question)


def owner_link(visit: Visit) -> Response:
    """A link by which an owner chooses a password, the first time or again."""
    if not visit.confirm():
        return owner(visit)
    return _link(visit, visit.form.text("name") or visit.account.address)


def _link(visit: Visit, name: str) -> Response:
    account, people = visit.account, visit.people
    owners = people.owners(account.address)
    whose = next((one for one in owners if one.name == name), None)
    if whose is None:
        try:
            whose = people.add(account.address, "owner", account=account.address, by=visit.by)
        except Conflict as error:  # the account is there all the same
            visit.form.errors[""] = f"{words.sentence(error)} {words.OTHER_NAME}"
            return owner(visit)
    purpose: Purpose = "set-password" if whose.has_password else "first-sign-in"
    secret = people.add_link(purpose, whose.name, minutes=LINK_MINUTES, by=visit.by)
    return visit.show(
        "link.html",
        account=account,
        name=whose.name,
        link=f"{visit.settings.origin}/link/{secret}",
        until=datetime.now(timezone.utc) + timedelta(minutes=LINK_MINUTES),
    )


def addresses(visit: Visit) -> Response:
    """The form for aliases and domains."""
    visit.fill(_covered(visit))
    return _addresses(visit)


def _covered(visit: Visit) -> dict[str, str]:
    account = visit.account
    return {"aliases": "\n".join(account.aliases), "domains": "\n".join(account.domains)}


def _addresses(visit: Visit) -> Response:
    return visit.show("addresses.html", account=visit.account, confirm=visit.unconfirmed)


def addresses_saved(visit: Visit) -> Response:
    """What the account covers from now on."""
    form = visit.form
    if not visit.still(_covered(visit)) or not visit.confirm():
        return _addresses(visit)
    try:
        visit.store.change_account(
            visit.account.address,
            by=visit.by,
            aliases=form.lines("aliases"),
            domains=form.lines("domains"),
        )
    except StoreUnavailable:
        raise
    except AccountsError as error:
        form.errors["domains" if "domain" in error.code else "aliases"] = words.sentence(error)
        return _addresses(visit)
    return visit.go("/account", done="addresses")


def remove(visit: Visit) -> Response:
    """What removing an account means, before it is done."""
    address = visit.account.address
    question = Question(
        title=f"Remove the account {address}",
        means=(
            f"Mail to {address} is stored as it comes, unless a domain's account covers it.",
            "Its certificates and its owners' access are gone. The audit log stays.",
            "Mail that is encrypted already stays so.",
        ),
        button="Remove the account",
        action=visit.url("/account/remove"),
        back=visit.url("/account"),
    )
    return ask_first(visit, question)


def removed(visit: Visit) -> Response:
    """The account is gone."""
    if not visit.confirm():
        return remove(visit)
    visit.store.remove_account(visit.account.address, by=visit.by)
    return visit.go("/accounts", done="removed")


# --- the whole server ----------------------------------------------------------------------------


def switches(visit: Visit) -> Response:
    """The form of the switches."""
    visit.fill(visit.store.switches())
    return _switches(visit)


def _switches(visit: Visit) -> Response:
    return visit.show("switches.html", switches=words.SWITCHES, confirm=visit.unconfirmed)


def switches_set(visit: Visit) -> Response:
    """Those that differ are set."""
    form = visit.form
    if not visit.still(visit.store.switches()) or not visit.confirm():
        return _switches(visit)
    names = (one["name"] for one in words.SWITCHES if one["choices"] or one["name"] in form.values)
    wanted = {name: form.text(name) for name in names}
    form.errors |= {name: wrong for name, text in wanted.items() if (wrong := _wrong(name, text))}
    if form.errors:
        return _switches(visit)
    with visit.store.together() as store:
        for name, value in wanted.items():
            store.set_switch(name, value, by=visit.by)
    return visit.go("/switches", done="switches")


def _wrong(name: str, value: str) -> str:
    """Why a switch can't have this value, or ""."""
    try:
        checked(name, value)
    except Invalid as error:
        return words.sentence(error)
    return ""


def log(visit: Visit) -> Response:
    """Who changed what, everywhere."""
    found = visit.store.audit(before=before(visit), limit=LOG_PAGE)
    older = f"/log?before={found[-1].id}" if len(found) == LOG_PAGE else ""
    return visit.show("log.html", account=None, log=found, older=older)
