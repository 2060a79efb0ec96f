"""``cmstream account``: manages accounts, their settings and their certificates."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..accounts.account_settings import CIPHERS, SETTINGS
from ..accounts.clients import CLIENTS
from ..accounts.errors import NotFound, UnusableAccount
from ..accounts.http.settings import Settings
from ..accounts.people.credentials import now
from ..accounts.people.links import MINUTES
from ..accounts.people.people import People
from . import account_tables as shown
from .account_backup import add_backup, add_restore
from .account_import import run as _import
from .account_remind import add_remind
from .account_server import add_server
from .account_sync import add_sync
from .database import add_database
from .endings import Failure
from .managing import actor, as_json, opened
from .shared import (
    Parser,
    add_password,
    note,
    say,
    subcommand,
    warn,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..accounts.account import Account
    from ..accounts.store import Store

_EXAMPLES = """\
examples:
  cmstream account add alice@example.org
  cmstream account import alice@example.org alice.pem
  cmstream account set alice@example.org --cipher aes256-cbc
  cmstream account import --add --cipher aes256-cbc certificates/
  cmstream account set alice@example.org --aliases a.smith@example.org,ali@example.org
  cmstream account list --expiring 30
  cmstream account link alice@example.org --public-url https://keys.example.org

Each action creates the database if there is none, and upgrades an old one. To import many
certificates, give a folder whose files are named by addresses (alice@example.org.pem), or a CSV
file with the columns address and file. In a folder, a file of another name is for the one address
that its certificate names. A file that can't be imported is reported, and the others are imported.

Owners are mailed what these commands change in their accounts if CMSTREAM_NOTIFY is set here too,
as for serve: to a command that sends a mail, such as '/usr/sbin/sendmail -t -i'.

Exit codes: 64 wrong usage, 65 a value or certificate that can't be used (at least one of several),
66 no such file or database, or permission is denied, 67 no such account or person, 73 the default
database's folder can't be made, 75 try again.
"""


def add_command(commands: Any) -> None:
    """Adds it to the command."""
    text = "manage whose mail is sealed, and with which certificates"
    parser = subcommand(commands, "account ACTION", text, _EXAMPLES, None)
    actions = parser.add_subparsers(
        required=True, metavar="ACTION", parser_class=Parser, prog=parser.prog
    )
    for add in (_add_list, _add_show, _add_add, _add_import, _add_set, _add_disable, _add_remove):
        add_database(add(actions))
    add_database(_add_link(actions))
    for add in (add_server, add_backup, add_restore, add_remind, add_sync):
        add_database(add(actions))


# --- looking ---------------------------------------------------------------------------------


def _add_list(actions: Any) -> Any:
    text = "list accounts, one on each line"
    parser = subcommand(actions, "list [options]", text, _EXAMPLES, _list)
    parser.add_argument("--search", default="", metavar="TEXT",
        help="only accounts with TEXT in an address, alias, domain or certificate")  # fmt: skip
    parser.add_argument("--expiring", type=int, metavar="DAYS",
        help="only accounts whose last certificate in use expires within DAYS")  # fmt: skip
    parser.add_argument(
        "--unprotected", action="store_true", help="only accounts whose mail isn't sealed"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _list(options: argparse.Namespace) -> None:
    before = None
    if options.expiring is not None:
        if not 0 <= options.expiring <= 36500:  # noqa: PLR2004 - a hundred years
            raise Failure(os.EX_USAGE, "--expiring: from 0 to 36500 days")
        before = now() + timedelta(days=options.expiring)
    with opened(options, create=True) as store:
        found = store.accounts(
            options.search, expiring_before=before, unprotected=options.unprotected
        )
    if options.json:
        say(as_json([shown.account_object(one) for one in found]))
    elif found:
        say("\n".join(map(shown.account_line, found)))


def _add_show(actions: Any) -> Any:
    text = "show an account with its certificates"
    parser = subcommand(actions, "show [--json] ADDRESS", text, _EXAMPLES, _show)
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _show(options: argparse.Namespace) -> None:
    with opened(options, create=True) as store:
        account = store.account(options.address)
        held = store.certificates(options.address)
        owners = [person.name for person in People(store).owners(options.address)]
        switches = store.switches()
    if options.json:
        say(as_json(shown.account_object(account, held, owners)))
    else:
        say(shown.account_text(account, held, owners, switches))


# --- changing --------------------------------------------------------------------------------


def _add_settings(parser: Any) -> None:
    for name, one in SETTINGS.items():
        option, text = f"--{name.replace('_', '-')}", one.help[:1].lower() + one.help[1:-1]
        if one.many:
            text += "; separated by commas, replaces the earlier list"
            parser.add_argument(option, metavar="LIST", help=text)
        else:
            means = [f"{o.value}: {o.short}" for o in one.options if o.short]
            text += f" ({', '.join(means)})" if means else ""
            parser.add_argument(option, choices=one.words, help=text)


def _add_confirmation(parser: Any) -> None:
    parser.add_argument("--without-certificate", action="store_true",
        help="switch encryption on although no certificate can be used: all mail waits "
        "then")  # fmt: skip


@contextmanager
def _switching_on() -> Iterator[None]:
    """Says what to do where encryption can't be switched on yet."""
    try:
        yield
    except UnusableAccount as error:
        remedy = "import one first (cmstream account import), or confirm with --without-certificate"
        raise Failure(os.EX_DATAERR, f"{error}: {remedy} [{error.code}]") from None


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """What was given, as the store takes it."""
    given = {name: getattr(options, name) for name in SETTINGS}
    return {
        name: SETTINGS[name].read(text.split(",") if SETTINGS[name].many else [text])
        for name, text in given.items()
        if text is not None
    }


def _add_add(actions: Any) -> Any:
    text = "add an account; its mail is sealed once it has a cipher and a certificate"
    parser = subcommand(actions, "add ADDRESS [options]", text, _EXAMPLES, _add)
    parser.add_argument("address", metavar="ADDRESS")
    _add_settings(parser)
    _add_confirmation(parser)
    return parser


def _add(options: argparse.Namespace) -> None:
    needed = not options.without_certificate
    with opened(options, create=True) as store, _switching_on():
        account = store.add_account(
            options.address, by=actor(), need_certificate=needed, **_settings(options)
        )
    say(shown.account_line(account))
    if account.cipher is None:
        note(shown.switched_off(account))


def _add_import(actions: Any) -> Any:
    text = "import certificates: one file, a folder, or the files that a CSV file lists"
    usage = "import [options] (ADDRESS FILE | FOLDER | CSV)"
    parser = subcommand(actions, usage, text, _EXAMPLES, _import)
    add = parser.add_argument
    add(
        "what",
        metavar="ADDRESS",
        help="address of the account; to import many, a folder or a CSV file",
    )
    add("file", metavar="FILE", nargs="?", help="DER, PEM, PKCS #7, PFX, or another file that "
        "cmstream cert show reads; - is standard input")  # fmt: skip
    add("--add", action="store_true", help="add the accounts that don't exist")
    add("--cipher", choices=CIPHERS, help="also seal their mail from now on, with this cipher")
    add("--description", default="", metavar="TEXT", help="a note on the certificates, for people")
    add("--confirm-mismatch", action="store_true",
        help="also import certificates for other addresses")  # fmt: skip
    add(
        "--retire-others",
        action="store_true",
        help="retire the certificates that the account had before",
    )
    add("--dry-run", action="store_true", help="show what would be imported, and change nothing")
    add("--json", action="store_true", help="print JSON")
    add_password(parser)
    return parser


def _add_set(actions: Any) -> Any:
    text = "change an account's settings, or the state of its certificates"
    parser = subcommand(actions, "set ADDRESS [options]", text, _EXAMPLES, _set)
    add = parser.add_argument
    add("address", metavar="ADDRESS")
    _add_settings(parser)
    _add_confirmation(parser)
    for name, text in (
        ("retire", "stop using this certificate, but keep it"),
        ("activate", "use this certificate again"),
        ("delete", "remove this certificate"),
    ):
        add(f"--{name}", action="append", default=[], metavar="SHA256", help=text)
    return parser


def _set(options: argparse.Namespace) -> None:
    settings, by = _settings(options), actor()
    if not (settings or options.retire or options.activate or options.delete):
        raise Failure(os.EX_USAGE, "say what to change (see cmstream account set --help)")
    with opened(options, create=True) as whole, _switching_on(), whole.together() as store:
        store.account(options.address)
        for fingerprint in options.activate:
            store.activate_certificate(options.address, fingerprint, by=by)
        for fingerprint in options.retire:
            store.retire_certificate(options.address, fingerprint, by=by)
        for fingerprint in options.delete:
            store.delete_certificate(options.address, fingerprint, by=by)
        if settings:
            needed = not options.without_certificate
            store.change_account(options.address, by=by, need_certificate=needed, **settings)
        account = store.account(options.address)
        say(shown.account_line(account))
    for name in settings.get("clients", ()):
        if name not in CLIENTS:
            known = ", ".join(CLIENTS)
            warn(f"{name} is no mail program that is known, so it isn't checked; known are {known}")


def _add_disable(actions: Any) -> Any:
    text = "stop sealing an account's mail: new mail is stored unencrypted"
    parser = subcommand(actions, "disable ADDRESS", text, _EXAMPLES, _disable)
    parser.add_argument("address", metavar="ADDRESS")
    return parser


def _disable(options: argparse.Namespace) -> None:
    with opened(options, create=True) as store:
        account = store.change_account(options.address, by=actor(), cipher=None)
    say(shown.account_line(account))


def _add_remove(actions: Any) -> Any:
    text = "remove an account, its certificates and its owners' access: new mail isn't sealed"
    parser = subcommand(actions, "remove ADDRESS", text, _EXAMPLES, _remove)
    parser.add_argument("address", metavar="ADDRESS")
    return parser


def _remove(options: argparse.Namespace) -> None:
    with opened(options, create=True) as store:
        store.remove_account(options.address, by=actor())


# --- people ----------------------------------------------------------------------------------


def _add_link(actions: Any) -> Any:
    text = "print a link to choose a password with; it works once"
    parser = subcommand(actions, "link [options] NAME", text, _EXAMPLES, _link)
    add = parser.add_argument
    add("name", metavar="NAME", help="name of a person, or an account's address for its owner")
    add("--administrator", action="store_true", help="a person who is new becomes an administrator")
    add(
        "--minutes", type=int, default=MINUTES, help="how long the link works; default: %(default)s"
    )
    add("--public-url", default=os.environ.get("CMSTREAM_PUBLIC_URL"), metavar="URL",
        help="URL at which people reach the pages; default: $CMSTREAM_PUBLIC_URL")  # fmt: skip
    return parser


def _link(options: argparse.Namespace) -> None:
    if not options.public_url:
        raise Failure(os.EX_USAGE, "give --public-url, the URL at which people reach the pages")
    try:
        origin = Settings(public_url=options.public_url).origin
    except ValueError as error:
        raise Failure(os.EX_USAGE, str(error)) from None
    with opened(options, create=True) as store:
        name = _somebody(store, options)
        people = People(store)
        secret = people.add_link("set-password", name, minutes=options.minutes, by=actor())
        until = people.link(secret).expires_at
    say(f"{origin}/link/{secret}")
    note(f"it works once, until {until:%Y-%m-%d %H:%M} UTC")


def _somebody(store: Store, options: argparse.Namespace) -> str:
    """The person's name; made if need be."""
    people = People(store)
    try:
        return people.person(options.name).name
    except NotFound:
        if options.administrator:
            return people.add(options.name, "administrator", by=actor()).name
        owned: Account = store.account(options.name)
        return people.add(owned.address, "owner", account=owned.address, by=actor()).name
