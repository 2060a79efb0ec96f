"""An account's pages: what is protected and how, the choices, the test message, the log."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response

from ...errors import CmstreamError
from ..account_settings import SETTINGS
from ..clients import CLIENTS, judge
from ..errors import AccountsError, Conflict, StoreUnavailable, UnusableAccount
from ..http import inputs, sample
from ..sealed_to import sealed_to
from . import help_pages, words
from .certificates import Question, all_shown, ask_first
from .stages import steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...certificates.recipient import Recipient
    from ..account import Account, AuditEntry
    from ..setting import Setting
    from .certificates import Shown
    from .visit import Visit

_IN_FORM = [one for one in SETTINGS.values() if one.options]
"""The settings that an owner sees and changes."""

_APPEND = "encrypt_on_append"
"""It does nothing unless something on the server seals what mail programs save."""

_FIELDS, _SERVERS = "header_protection", "as-server-says"
"""What that value means, a switch decides."""

LOG_PAGE = 50
"""Entries of the audit log on one page."""


class State(NamedTuple):
    """How an account stands, in words, with the tone and the picture for it."""

    tone: str
    icon: str
    title: str
    sentence: str


def overview(visit: Visit) -> Response:
    """What is protected and how."""
    account, own = visit.account, visit.me.role == "owner"
    certificates = all_shown(visit.store.certificates(account.address))
    waiting = visit.store.audit(account.address, unacknowledged=True)
    creation, changes = _foreign(waiting, visit.me.name if own else None)
    switches = visit.store.switches()
    owners = visit.people.owners(account.address) if visit.administrator else []
    return visit.show(
        "account.html",
        account=account,
        own=own,
        creation=creation,
        changes=changes,
        steps=steps(account, certificates, visit.store.tested_at(account.address)) if own else [],
        state=state(account, certificates, switches),
        settings=[_summary(one, account, switches) for one in _IN_FORM],
        certificates=certificates,
        programs=_programs(account),
        owners=owners,
        switches=switches,
        with_detail=_with_detail(account.address, switches["recipient_delimiter"]),
        remarks=remarks(account, [one.recipient for one in certificates if one.usable], switches),
    )


def _foreign(
    log: list[AuditEntry], person: str | None
) -> tuple[list[AuditEntry], list[AuditEntry]]:
    """What others did, the newest first: to make the account, and since. To make it is what one
    administrator does at once: to add it and its owner, and to make the owner's link. Anybody else
    who may sign in is a change. ``person``: the owner that it was made for, None for any."""
    whose = {} if person is None else {"person": person}
    making: list[tuple[str, dict[str, str]]] = [
        ("add-account", {}),
        ("add-person", whose),
        ("add-link", {"purpose": "first-sign-in", **whose}),
    ]
    creation: list[AuditEntry] = []
    for one, (action, detail) in zip(reversed(log), making, strict=False):
        maker = (creation or [one])[-1]
        by_maker = (one.actor, one.role) == (maker.actor, maker.role)
        if one.action != action or not by_maker or not detail.items() <= one.detail.items():
            break
        creation.insert(0, one)
    return creation, log[: len(log) - len(creation)]


def _programs(account: Account) -> list[tuple[str, str]]:
    """The help pages for the mail programs of the account, each with its title."""
    known = (CLIENTS[name].help for name in account.clients if name in CLIENTS)
    return [(name, help_pages.TOPICS[name].title) for name in dict.fromkeys(known) if name]


def _with_detail(address: str, delimiters: str) -> str:
    """An example of an address with a detail, "" where addresses have none."""
    local, _, domain = address.rpartition("@")
    return f"{local}{delimiters[0]}news@{domain}" if delimiters and local[0] != '"' else ""


class Line(NamedTuple):
    """A setting in the summary. ``overridden``: a switch of the whole server decides it."""

    label: str
    text: str
    overridden: bool


def _summary(one: Setting, account: Account, switches: dict[str, str]) -> Line:
    if one.name == _APPEND and switches["append_sealed_by"] == "none":
        return Line(one.label, words.UNSEALED_APPEND, overridden=False)
    switch = switches.get(one.name)
    if one.name == _FIELDS and not switch and account.header_protection == _SERVERS:
        return Line(one.label, words.as_server_says(account.header_fields(switches)), False)
    value = one.read([switch]) if switch else getattr(account, one.name)
    return Line(one.label, words.setting(one, value), bool(switch))


def remarks(
    account: Account, recipients: Sequence[Recipient | None], switches: dict[str, str]
) -> list[str]:
    """What the mail programs that the account is read with will have trouble with."""
    keys = [one.key for one in sealed_to(one for one in recipients if one)]
    cipher = account.cipher or "aes256-cbc"
    fields = account.header_fields(switches)
    protection = None if fields == "none" else fields
    found = judge(account.clients, cipher=cipher, keys=keys, header_protection=protection)
    return [str(one) for one in found]


def state(account: Account, certificates: list[Shown], switches: dict[str, str]) -> State:
    """How the account stands, by the same rules that seal its mail."""
    if switches["encryption"] == "off":
        return State("bad", "off", "Not encrypted", "Encryption is off for the whole server.")
    if account.cipher is None:
        text = "New mail is stored as it comes. Whoever runs the server can read it."
        return State("warn", "off", "Not encrypted", text)
    usable = [one for one in certificates if one.usable]
    if not usable:
        return _unusable(switches["when_unusable"] or account.when_unusable)
    cipher = words.cipher(account.cipher)
    if all(one.expired for one in usable):
        text = "It is still used, so that no mail goes unencrypted into the mailbox. Add a new one."
        return State("warn", "warn", "Encrypted, with an expired certificate", text)
    text = (
        f"New mail is sealed ({cipher}) before it goes into your mailbox."
        " Whoever has the private key can open it there, and nobody else."
    )
    return State("good", "good", "Encrypted", text)


def _unusable(when: str) -> State:
    if when == "error":
        text = (
            "Encryption is on and there is no certificate to use: mail waits in the mail server's"
            " queue, as it came. Add one."
        )
        return State("bad", "bad", "Mail is held back", text)
    text = "There is no certificate to use, and mail is delivered in the clear, as was chosen."
    return State("bad", "bad", "Not encrypted", text)


# --- the choices ---------------------------------------------------------------------------------


def settings(visit: Visit) -> Response:
    """The form of the account's choices."""
    visit.fill(_chosen(visit.account))
    return _settings(visit)


def _chosen(account: Account) -> dict[str, list[str]]:
    chosen = {one.name: one.texts(getattr(account, one.name)) for one in _IN_FORM}
    return chosen | {
        "encrypted": [account.cipher or ""],
        "cipher": [account.cipher or "aes256-cbc"],
    }


def _in_form(visit: Visit) -> list[Setting]:
    """Those that do something on this server, with what is in use for them."""
    switches = visit.store.switches()
    return [
        _as_here(one, switches)
        for one in _IN_FORM
        if one.name != _APPEND or switches["append_sealed_by"] in words.APPEND_SEALED_BY
    ]


def _as_here(one: Setting, switches: dict[str, str]) -> Setting:
    """A setting with what the server's switches make of it."""
    if one.name == _APPEND:
        return replace(one, hint=words.APPEND_SEALED_BY[switches["append_sealed_by"]])
    if one.name != _FIELDS:
        return one
    now = one.say(switches["header_protection"] or switches["default_header_protection"])
    options = (
        each._replace(hint=f"That is now: {now}.") if each.value == _SERVERS else each
        for each in one.options
    )
    return replace(one, options=tuple(options))


def _settings(visit: Visit) -> Response:
    return visit.show(
        "settings.html",
        account=visit.account,
        # The mail programs come first: then the page can say which cipher they can't open.
        fields=sorted(_in_form(visit), key=lambda one: not one.many),
        parted=words.parted,
        programs=[(name, one.title) for name, one in help_pages.TOPICS.items() if one.program],
        confirm=visit.unconfirmed,
        unusable="without_certificate" in visit.form.errors,
    )


def settings_saved(visit: Visit) -> Response:
    """The choices are kept, unless a mail program that was named can't read them."""
    form, account = visit.form, visit.account
    if not visit.still(_chosen(account)):
        return _settings(visit)
    shown = _in_form(visit)
    form.values |= {one.name: form.many(one.name) for one in shown}
    given = {one.name: one.read(form.many(one.name)) for one in shown}
    if given["cipher"] is None:
        form.errors["cipher"] = "Choose a cipher."
    if form.errors or not visit.confirm():
        return _settings(visit)
    try:
        sure = form.ticked("without_certificate")
        visit.store.change_account(account.address, by=visit.by, need_certificate=not sure, **given)
    except StoreUnavailable:
        raise
    except UnusableAccount as error:
        form.errors["without_certificate"] = words.sentence(error)
        return _settings(visit)
    except AccountsError as error:
        form.errors["cipher"] = words.sentence(error)
        return _settings(visit)
    return visit.go("/account", done="settings")


def off(visit: Visit) -> Response:
    """What switching off means, before it is done."""
    address = visit.account.address
    question = Question(
        title=f"Switch encryption off for {address}",
        means=(
            "New mail is stored as it comes. Whoever runs the server or breaks in can read it.",
            "Mail that is encrypted already stays so: keep your private key.",
            "Your certificates stay here. You can switch encryption on again at any time.",
        ),
        button="Switch encryption off",
        action=visit.url("/account/off"),
        back=visit.url("/account"),
    )
    return ask_first(visit, question)


def off_saved(visit: Visit) -> Response:
    """Encryption is off, by whoever knows the password."""
    if not visit.confirm():
        return off(visit)
    visit.store.change_account(visit.account.address, by=visit.by, cipher=None)
    return visit.go("/account", done="off")


# --- the log -------------------------------------------------------------------------------------


def log(visit: Visit) -> Response:
    """Who changed what on the account."""
    account = visit.account
    found = visit.store.audit(account.address, before=before(visit), limit=LOG_PAGE)
    older = visit.url("/account/log", before=str(found[-1].id)) if len(found) == LOG_PAGE else ""
    return visit.show("log.html", account=account, log=found, older=older)


def before(visit: Visit) -> int | None:
    """Where the page of the log begins."""
    text = visit.query("before")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None  # noqa: PLR2004 - digits of 2^63


def acknowledged(visit: Visit) -> Response:
    """The owner knows of changes that somebody else made."""
    entries = visit.form.many("entry")
    if not entries or not all(map(_is_number, entries)):
        raise HTTPException(404)
    for entry in entries:
        with suppress(Conflict):  # of another window
            visit.store.acknowledge(int(entry), by=visit.by, address=visit.account.address)
    return visit.go("/account", done="seen")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < len(str(inputs.LARGEST))


# --- the test message ----------------------------------------------------------------------------


class Missing(NamedTuple):
    """Why no message can be sealed, and the step that changes it, if the reader can take one."""

    sentence: str
    path: str = ""
    label: str = ""


def _missing(visit: Visit) -> Missing | None:
    """What a sealed message needs and isn't there."""
    account = visit.account
    if visit.store.switches()["encryption"] == "off":
        return Missing("Encryption is off for the whole server.")
    if not any(one.usable for one in all_shown(visit.store.certificates(account.address))):
        sentence = "There is no certificate to use: add one first."
        return Missing(sentence, "/account/upload", "Add certificates")
    if account.cipher is None:
        sentence = "Encryption is off: switch it on first."
        return Missing(sentence, "/account/settings", "Switch encryption on")
    return None


def test(visit: Visit) -> Response:
    """Download a sealed message, or have it sent, once one can be sealed."""
    fields = visit.account.header_fields(visit.store.switches())
    return visit.show(
        "test.html",
        account=visit.account,
        missing=_missing(visit),
        subject="" if fields == "none" else sample.SUBJECT,
        mail=bool(visit.store.notify),
        programs=_programs(visit.account),
    )


def _sealed(visit: Visit) -> bytes | None:
    try:
        return sample.sealed(visit.store, visit.account.address)
    except StoreUnavailable:
        raise
    except CmstreamError as error:
        visit.form.errors[""] = words.sentence(error)
        return None


def test_downloaded(visit: Visit) -> Response:
    """The message as a file that mail programs open."""
    message = _sealed(visit)
    if message is None:
        return test(visit)
    headers = {"Content-Disposition": 'attachment; filename="test.eml"'}
    return Response(message, headers=headers, media_type="message/rfc822")


def test_sent(visit: Visit) -> Response:
    """The message by mail, through the server's own mail command."""
    if not visit.store.notify:
        raise HTTPException(404)
    try:
        sample.send(visit.store, visit.account.address)
    except StoreUnavailable:
        raise
    except CmstreamError as error:
        visit.form.errors[""] = words.sentence(error)
        return test(visit)
    return visit.go("/account/test", done="sent")


def test_read(visit: Visit) -> Response:
    """The owner could read the message."""
    try:
        visit.store.confirm_test(visit.account.address, by=visit.by)
    except Conflict as error:
        visit.form.errors[""] = words.sentence(error)
        return test(visit)
    return visit.go("/account", done="read")
