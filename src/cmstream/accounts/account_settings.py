"""The settings of an account: the one list, from which everything that handles settings is made.

The table's columns, the checks, the API's JSON, the command's options and the pages' forms are made
from it. To add a setting, add a field here and a migration that makes its column.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..policy import CIPHER_CHOICES
from . import values
from .addresses import LONGEST, canonical, canonical_domain
from .clients import CLIENTS
from .setting import Choice, Flag, Names, Option, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

WhenUnusable = Literal["error", "clear"]
HeaderProtection = Literal["as-server-says", "none", "baseline", "shy"]

CIPHERS = CIPHER_CHOICES
"""What an account's cipher may be; None instead means that encryption is off."""
WHEN_UNUSABLE: tuple[str, ...] = get_args(WhenUnusable)
HEADER_PROTECTIONS: tuple[str, ...] = get_args(HeaderProtection)


def _client(name: str) -> str:
    return values.text(name, "invalid-setting", "a client's name")


def _who_shows() -> str:
    """Which mail programs show a sealed subject, as far as is known."""
    shown, hidden = (
        ", ".join(one.name for one in CLIENTS.values() if one.header_protection is known)
        for known in (True, False)
    )
    return (
        f"The sealed subject is shown by: {shown}. Others show [...] in its place: {hidden}. Of "
        "the rest it isn't known: send yourself a test message first."
    )


def _setting(one: Setting) -> Any:
    return field(default=one.default, metadata={"setting": one})


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """How the mail of an account is sealed, and which mail is its own.

    ``cipher``: a name that :class:`~cmstream.Policy` knows, or None: encryption is off.
    ``encrypt_on_append``: whether what a mail program puts into the mailbox itself is sealed too.
    ``when_unusable``: what happens to mail when no certificate can be used: ``error``, or
    ``clear``. ``header_protection``: which header fields are sealed too (RFC 9788): those of the
    policy ``baseline`` or ``shy``, ``none``, or as the server's switch says. ``clients``: the mail
    programs that it is read with. ``aliases``, ``domains``: further addresses, and domains whose
    unknown addresses are its own; in their canonical form.
    """

    cipher: str | None = _setting(
        Choice(
            default=None,
            choices=CIPHERS,
            none="encryption is off",
            help="How mail is encrypted.",
            label="Cipher",
            legend="Cipher",
            options=tuple(Option(one, one) for one in CIPHERS),
        )
    )
    encrypt_on_append: bool = _setting(
        Flag(
            default=False,
            yes="encrypted too",
            no="stay as they are",
            help="Whether mail that a mail program saves itself (drafts, sent mail) is sealed too.",
            label="Drafts and sent mail",
            legend="Drafts and sent mail",
            options=(
                Option(
                    "yes",
                    "Encrypt them too",
                    "And whatever else you put into the mailbox yourself. Some programs can't edit"
                    " a draft that is encrypted.",
                ),
            ),
        )
    )
    when_unusable: WhenUnusable = _setting(  # noqa: RUF009 - a field
        Choice(
            default="error",
            choices=WHEN_UNUSABLE,
            help="What happens to mail when no certificate can be used.",
            label="Without a usable certificate",
            legend="If no certificate can be used",
            options=(
                Option(
                    "error",
                    "Let mail wait",
                    "Mail servers try again for some days, then the sender is told. Meanwhile it"
                    " waits in the mail server's queue as it came, readable to whoever runs it."
                    " Nothing goes into the mailbox unencrypted.",
                    "mail waits",
                ),
                Option(
                    "clear",
                    "Deliver it unencrypted",
                    "No mail is late, but whoever runs the server can read it.",
                    "mail is delivered unencrypted",
                ),
            ),
        )
    )
    header_protection: HeaderProtection = _setting(  # noqa: RUF009 - a field
        Choice(
            default="as-server-says",
            choices=HEADER_PROTECTIONS,
            help="Which header fields are sealed too (RFC 9788).",
            label="The subject and other header fields",
            legend="The subject and other header fields",
            hint=_who_shows(),
            options=(
                Option(
                    "as-server-says",
                    "As the server's administrator chose",
                    "",
                    "as the server says",
                ),
                Option(
                    "none",
                    "Leave them readable",
                    "Whoever runs the server can read the subject of each message.",
                    "readable",
                ),
                Option(
                    "baseline",
                    "Hide the subject",
                    "The server keeps [...] in its place. Addresses and dates stay readable.",
                    "subject hidden",
                ),
                Option(
                    "shy",
                    "Hide the subject, names and the time zone",
                    "Of the senders and recipients only the addresses stay readable.",
                    "subject, names and time zone hidden",
                ),
            ),
        )
    )
    clients: tuple[str, ...] = _setting(
        Names(
            canonical=_client,
            ordered=True,
            help="The mail programs that the owner reads mail with.",
            label="Read with",
            legend="Mail programs you read it with",
            hint="Then this page can say if one of them can't read your choice.",
            options=tuple(Option(one.id, one.name) for one in CLIENTS.values()),
        )
    )
    aliases: tuple[str, ...] = _setting(
        Names(
            canonical=canonical,
            longest=LONGEST,
            own_table=True,
            administrators=True,
            help="Further addresses; for administrators to change.",
            label="Aliases",
        )
    )
    domains: tuple[str, ...] = _setting(
        Names(
            canonical=canonical_domain,
            longest=LONGEST,
            own_table=True,
            administrators=True,
            help="Domains whose mail is this account's where no other account has the address; "
            "for administrators to change.",
            label="Domains",
        )
    )


SETTINGS: dict[str, Setting] = {
    one.name: replace(one.metadata["setting"], name=one.name) for one in fields(AccountSettings)
}
"""The settings by their names."""

STORED = {name: one for name, one in SETTINGS.items() if not one.own_table}
"""Those that are columns of the table of accounts."""

DEFAULTS: dict[str, Any] = {name: one.default for name, one in STORED.items()}
"""The values of these in a new account: nothing is sealed before somebody asks for it."""


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Each setting in its canonical form. Raises Invalid; TypeError for a name that isn't one."""
    if unknown := sorted(given.keys() - SETTINGS.keys()):
        raise TypeError(f"an account has no setting {', '.join(unknown)}")
    return {name: SETTINGS[name].check(value) for name, value in given.items()}


def to_columns(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that are columns, as the table has them."""
    return {name: STORED[name].store(value) for name, value in given.items() if name in STORED}


def from_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table with its settings as values."""
    return {name: STORED[name].load(one) if name in STORED else one for name, one in row.items()}
