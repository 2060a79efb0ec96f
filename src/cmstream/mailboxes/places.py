"""Finds the mailbox that a PLACE names: ``maildir:PATH``, ``mbox:PATH``, ``imaps://HOST/``,
``imap://HOST/``, ``dbox:[CONFIG]``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from .errors import MailboxError
from .mbox_lock import a_moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .journal import Journal, MailboxJournal, Task
    from .mailbox import Mailbox

FORMS = "maildir:PATH, mbox:PATH, imaps://[USER@]HOST[:PORT]/, imap://HOST/ or dbox:[CONFIG]"
_MODULES = {
    "maildir": "maildir",
    "mbox": "mbox_file",
    "imaps": "imap",
    "imap": "imap",
    "dbox": "dbox",
}
"""The module of each kind of place. Each has a function ``opened``, an :class:`Opener`."""
_PORTS = {"imap": 143, "imaps": 993}
_PARTS = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True)
class Access:
    """How to get into a mailbox. ``password``: of the account, or of ``master``, a user who may
    read everybody's mail (``separator``: between the account's name and the master's, where they
    sign in as ``alice*admin``; None for SASL PLAIN's authorization identity). ``certificates``: a
    file with the authorities that sign the server's, None for the system's. ``drafts``: names of
    folders, besides those that the place itself marks, that hold drafts. ``wait``: waits a moment
    while another program has a file to itself; what it raises ends the run."""

    password: str | None = None
    master: str | None = None
    separator: str | None = None
    certificates: str | None = None
    drafts: tuple[str, ...] = ("Drafts",)
    wait: Callable[[Path], object] = a_moment


class Opener(Protocol):
    """What the module of a kind of place has under the name ``opened``."""

    def __call__(self, rest: str, account: str, journal: MailboxJournal, access: Access) -> Mailbox:
        """The mailbox of an account. ``rest``: the whole URL of ``imap`` and ``imaps``, of the
        others what follows the colon. The mailbox closes the journal on exit. Raises MailboxError
        for a place that can't be used."""


def for_account(place: str, account: str) -> str:
    """The place of one account: ``{address}``, ``{local}`` and ``{domain}`` filled in. Raises
    MailboxError ``invalid-place``."""
    kind, colon, rest = place.partition(":")
    if rest.startswith("~"):  # no shell does that behind a colon
        place = f"{kind}:{os.path.expanduser(rest)}"  # noqa: PTH111
    if kind not in _MODULES or not colon or not (rest or kind == "dbox"):
        raise MailboxError("invalid-place", f"{place!r} is no place of a mailbox: give {FORMS}")
    if kind in _PORTS and ":" in rest.rpartition("@")[0]:  # before anything notes or says it
        text = "a password doesn't belong into a URL: use --password-file"
        raise MailboxError("invalid-place", text)
    local, _, domain = account.rpartition("@")
    values = {"address": account, "local": local, "domain": domain}

    def value(part: re.Match[str]) -> str:
        if part[1] not in values:
            known = ", ".join(f"{{{one}}}" for one in values)
            raise MailboxError("invalid-place", f"{place!r}: {part[0]} isn't one of {known}")
        found = values[part[1]]
        if "/" in found or "\0" in found or found in {".", ".."}:
            text = f"{account!r} can't be part of a path: name its place without {part[0]}"
            raise MailboxError("invalid-place", text)
        return found

    return _PARTS.sub(value, place)


def is_template(place: str) -> bool:
    """Whether it names another place for each account."""
    return bool(_PARTS.search(place))


def noted_as(place: str, account: str) -> tuple[str, str]:
    """The account and the place as the journal has them: a path or a server is the same however it
    is written, and a path by whichever of the owner's addresses it is called."""
    kind, _, rest = place.partition(":")
    if kind in {"maildir", "mbox"}:
        return "", f"{kind}:{os.path.realpath(rest)}"
    return account, _server(place) if kind in _PORTS else place


def _server(url: str) -> str:
    """The URL of a server as it is the same for all who mean it; a wrong one is refused when it is
    opened."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        return url
    user, at, _ = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user}{at}{parts.hostname}:{port}/"


def open_mailbox(
    place: str, account: str, journal: Journal, *, task: Task = "seal", access: Access | None = None
) -> Mailbox:
    """The mailbox at a place, which nobody else sweeps until it is closed. ``place``: as
    :func:`for_account` gives it; ``account``: the address of its owner. Raises MailboxError."""
    kind, _, rest = place.partition(":")
    try:
        opened: Opener = import_module(f".{_MODULES[kind]}", __package__).opened
    except ImportError as error:
        text = f"{kind} needs more packages ({error}): pip install 'cmstream[mailbox]'"
        raise MailboxError("needs-package", text) from None
    part = journal.mailbox(*noted_as(place, account), task)
    try:
        whole = place if kind.startswith("imap") else rest
        return opened(whole, account, part, access or Access())
    except BaseException:
        part.close()
        raise
