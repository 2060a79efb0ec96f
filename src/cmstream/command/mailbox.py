"""``cmstream mailbox``: seals the mail that is in mailboxes already, or opens it again."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..accounts.errors import NotFound, UnusableAccount
from ..errors import CmstreamError, KeyUnavailableError
from ..mailboxes import places
from ..mailboxes.change import Opening, Sealing, require_key
from ..mailboxes.errors import MailboxError
from ..mailboxes.journal import Journal, default_place
from ..mailboxes.mbox_lock import EVERY
from ..mailboxes.pace import Pace, step_back
from ..mailboxes.report import WRONG, Report
from ..mailboxes.sweep import Sweep
from .database import add_database
from .endings import Failure
from .identities import add_keys, identities
from .mailbox_report import DONE, Bar, as_text, counted
from .managing import as_json, code_of, opened
from .shared import Parser, add_password, ask, note, password, say, subcommand, warn
from .whole_batches import WholeBatches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..accounts.store import Store
    from ..mailboxes.change import Changing
    from ..mailboxes.journal import Task

_SEAL_EXAMPLES = """\
examples:
  cmstream mailbox seal --dry-run --for alice@example.org maildir:/var/vmail/alice/Maildir
  cmstream mailbox seal --for alice@example.org maildir:/var/vmail/alice/Maildir
  cmstream mailbox seal --accounts 'maildir:/var/vmail/{domain}/{local}/Maildir'
  cmstream mailbox seal --for alice@example.org imaps://imap.example.org/ --master admin \\
      --password-file admin.pw
  cmstream mailbox seal --watch --for alice@example.org maildir:/var/vmail/alice/Maildir

Each message is sealed as the store says for its owner, and takes the place of the old one with its
flags, keywords and date. The mail server and mail programs may go on working. A run that was
stopped in any way is finished by the next one: nothing is lost, and nothing is sealed twice.

Before the first message is replaced it must be known that the owner has the key: they said on their
page to have read a test message, or you give --yes-the-owner-has-the-key.

PLACE: maildir:PATH, mbox:PATH, imaps://[USER@]HOST[:PORT]/, imap://HOST/ (STARTTLS), dbox:[CONFIG]
(Dovecot's own formats). {address}, {local} and {domain} stand for parts of the account's address.

Exit codes: 0 all was done that could be; 64 wrong usage; 65 messages were left that ought to have
been replaced; 66 no such mailbox or database; 67 no such account; 75 try again; 77 nobody knows
whether the owner has the key, or the mailbox may not be used.
"""

_OPEN_EXAMPLES = """\
examples:
  cmstream mailbox open --for alice@example.org --pfx alice.pfx maildir:/var/vmail/alice/Maildir
  cmstream mailbox open --for alice@example.org -k alice.key.pem imaps://imap.example.org/

The way back: each sealed message that the key opens takes the place of the sealed one, with its
flags, keywords and date. It has the same guarantees as cmstream mailbox seal.
"""

_FOR_ALL = {"journal-unavailable", "needs-package"}
_OF_A_SERVER = {"untrusted-certificate", "no-such-host", "no-uidplus", "unsupported-server"}
"""What is so for all accounts; the latter if all of them are on one server."""
_REFUSALS = 3
"""So many accounts that a server lets nobody into end the run, if there was no other."""
_EVERY = 1.0
"""Seconds between two looks at all mailboxes that are watched."""

_CODES = {
    "key-not-proved": os.EX_NOPERM,
    "permission-denied": os.EX_NOPERM,
    "sign-in-failed": os.EX_NOPERM,
    "no-such-mailbox": os.EX_NOINPUT,
    "no-such-host": os.EX_NOHOST,
    "invalid-place": os.EX_USAGE,
    "needs-package": os.EX_USAGE,
    "untrusted-certificate": os.EX_PROTOCOL,
    "no-uidplus": os.EX_PROTOCOL,
    "unsupported-server": os.EX_PROTOCOL,
}
"""The exit codes of a mailbox that can't be used; 75 for all others."""


# --- the arguments ---------------------------------------------------------------------------


def add_command(commands: Any) -> None:
    """Adds it to the command."""
    text = "seal the mail that is in a mailbox already, or open it again"
    parser = subcommand(commands, "mailbox", text, _SEAL_EXAMPLES, None)
    actions = parser.add_subparsers(required=True, metavar="ACTION", parser_class=Parser)
    text = "seal what is in mailboxes, as the certificate store says"
    usage = "seal (--for ADDRESS [--for ...] | --accounts) [options] PLACE"
    seal = subcommand(actions, usage, text, _SEAL_EXAMPLES, _seal)
    who = seal.add_mutually_exclusive_group(required=True).add_argument
    _add_for(who)
    who("--accounts", action="store_true",
        help="all accounts of the store that are protected; PLACE names another place for "
        "each")  # fmt: skip
    seal.add_argument("--yes-the-owner-has-the-key", dest="proved", action="store_true",
        help="you know that the owner can open sealed mail")  # fmt: skip
    seal.add_argument("--watch", action="store_true",
        help="go on, and seal what mail programs file from now on, if the account's setting says "
        "so")  # fmt: skip
    add_database(seal)
    add_password(seal, "the IMAP account or of --master")
    _add_common(seal)

    text = "open what is sealed in a mailbox, with its owner's key"
    usage = "open --for ADDRESS (--pfx PFX | -k KEY [-c CERT]) [options] PLACE"
    open_ = subcommand(actions, usage, text, _OPEN_EXAMPLES, _open)
    _add_for(open_.add_argument, required=True)
    add_keys(open_)
    for source, metavar in (("file", "FILE"), ("env", "NAME")):
        open_.add_argument(f"--imap-password-{source}", metavar=metavar,
            help=f"as --password-{source}, of the IMAP account or of --master")  # fmt: skip
    _add_common(open_)


def _add_for(add: Any, **options: Any) -> None:
    add("--for", dest="addresses", action="append", metavar="ADDRESS",
        help="address of the mailbox's owner; may be given several times", **options)  # fmt: skip


def _add_common(parser: Any) -> None:
    add = parser.add_argument
    add("--dry-run", action="store_true",
        help="replace nothing; say what would be done, the sizes and the time")  # fmt: skip
    add("--drafts", action="store_true", help="also folders for drafts")
    add("--drafts-folder", action="append", default=[], metavar="NAME",
        help="a folder of this name holds drafts, besides Drafts; may be given several "
        "times")  # fmt: skip
    add("--master", metavar="USER",
        help="sign in at the IMAP server as this user, who may use all mailboxes")  # fmt: skip
    add("--master-separator", metavar="TEXT",
        help="what stands between the owner's address and USER where the server takes both as one "
        "name: with *, alice@example.org*admin; default: by SASL PLAIN")  # fmt: skip
    add("--ca-file", metavar="FILE", help="authorities that sign the IMAP server's certificate")
    add("--limit-rate", type=_rate, metavar="BYTES",
        help="read at most so many bytes a second; 500K, 2M")  # fmt: skip
    add("--between", type=_hours, metavar="HH:MM-HH:MM", help="work only within these hours")
    add("--journal", metavar="FILE",
        help="file that records progress; always use the same; default: "
        f"{default_place()}")  # fmt: skip
    add("--json", action="store_true", help="print the report as JSON")
    add("place", metavar="PLACE", help=places.FORMS)


def _rate(text: str) -> int:
    found = re.fullmatch(r"(\d{1,12})([KMG]?)i?B?", text, re.IGNORECASE)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r}: give bytes a second, such as 500K or 2M")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2].upper()]


def _hours(text: str) -> tuple[dt.time, dt.time]:
    try:
        begin, end = (dt.time.fromisoformat(one) for one in text.split("-"))
    except ValueError:
        begin = end = dt.time()
    if begin == end or begin.second or end.second:
        raise argparse.ArgumentTypeError(f"{text!r}: give two times, such as 22:00-06:00")
    return begin, end


# --- the runs --------------------------------------------------------------------------------


def _seal(options: argparse.Namespace) -> None:
    with opened(options) as store:
        accounts = options.addresses or [
            one.address for one in store.accounts() if one.cipher is not None
        ]
        if not accounts:
            text = "no account of the store has encryption on: see cmstream account list, and"
            raise Failure(os.EX_NOUSER, f"{text} whether --database names the right one")
        _check_places(options, several=len(accounts) > 1 or options.accounts)
        if options.watch and options.dry_run:
            raise Failure(os.EX_USAGE, "--watch seals: leave it out for a --dry-run")

        def changing(address: str) -> Changing:
            _check_account(store, address, options)
            if options.watch:
                _check_appended(store, address)
            proved = options.proved or options.dry_run
            return Sealing(store, address, appended=options.watch, proved=proved)

        _run(options, "seal", accounts, changing, _secret(options.place, options))


def _check_account(store: Store, address: str, options: argparse.Namespace) -> None:
    try:
        seal = store.seal_for(address)
    except UnusableAccount:
        return  # the report says it
    if seal.reason.code == "unknown-address":
        raise NotFound("no-such-account", f"{seal.reason}: create it with cmstream account add")
    if options.proved:
        return
    try:
        require_key(store, address)
    except MailboxError as error:
        if not options.dry_run:
            raise
        what = "leave this account" if options.accounts else "end here"
        warn(f"a real run would {what}: {error} [{error.code}]")


def _check_appended(store: Store, address: str) -> None:
    """A watch that seals nothing must not look like one that does."""
    with suppress(UnusableAccount):  # the report says it
        if store.seal_for(address, appended=True).reason.code == "not-on-append":
            warn(
                f"{address}: what mail programs file stays readable: switch it on with "
                f"cmstream account set {address} --encrypt-on-append yes [not-on-append]"
            )


def _open(options: argparse.Namespace) -> None:
    _check_places(options, several=len(options.addresses) > 1)
    changing = Opening(identities(options))
    named = argparse.Namespace(
        password_file=options.imap_password_file, password_env=options.imap_password_env
    )
    _run(options, "open", options.addresses, lambda _: changing, _secret(options.place, named))


def _check_places(options: argparse.Namespace, *, several: bool) -> None:
    with _mapped():
        places.for_account(options.place, "somebody@example.org")
    each = places.is_template(options.place) or options.place.startswith("dbox:")
    if options.place.startswith("imap"):
        each = each or bool(options.master)
    if several and not each:
        text = f"{options.place} is one place for all accounts: PLACE must contain {{local}} or "
        or_master = "; or give --master" if options.place.startswith("imap") else ""
        raise Failure(
            os.EX_USAGE, f"{text}{{address}}, which stand for parts of each address{or_master}"
        )


def _run(
    options: argparse.Namespace,
    task: Task,
    accounts: list[str],
    changing: Callable[[str], Changing],
    secret: str | None,
) -> None:
    report = Report()
    runs = _Runs(options, task, report, secret)
    path = Path(options.journal or default_place())
    try:
        with _mapped(), Journal(path) as journal, closing(runs), runs.whole.handled():
            alone = len(accounts) == 1
            for address in accounts:
                runs.one(journal, address, changing, alone=alone)
            while runs.watched:
                runs.watch(alone=alone)
    except BaseException:
        if report.messages or report.accounts:
            runs.tell(stopped=True)
        raise
    runs.tell()
    if wrong := WRONG & report.left.keys():
        number = sum(report.left[code] for code in wrong)
        raise Failure(os.EX_DATAERR, f"{counted(number)} couldn't be {DONE[task]}")
    if runs.left:
        raise Failure(_code(runs.left[0]), f"accounts left: {len(runs.left)}")


class _Runs:
    """The sweeps over the mailboxes of some accounts."""

    def __init__(
        self, options: argparse.Namespace, task: Task, report: Report, secret: str | None
    ) -> None:
        self._options, self._task, self._report = options, task, report
        self._bar, self.whole = Bar(), WholeBatches()
        self._pace = Pace(options.limit_rate, options.between, self._waits)
        self._watches = getattr(options, "watch", False)
        self.left: list[CmstreamError] = []
        self.watched: dict[str, tuple[Sweep, ExitStack]] = {}
        self._access = places.Access(
            password=secret,
            master=options.master,
            separator=options.master_separator,
            certificates=options.ca_file,
            drafts=("Drafts", *options.drafts_folder),
            wait=self._waits_for,
        )
        self._told_of: set[Path] = set()
        step_back()

    def one(
        self,
        journal: Journal,
        address: str,
        changing: Callable[[str], Changing],
        *,
        alone: bool,
    ) -> None:
        """One account; what is wrong with it alone ends the run only if there is no other."""
        with self._leaving(address, alone=alone), ExitStack() as stack:
            change = changing(address)
            place = places.for_account(self._options.place, address)
            mailbox = stack.enter_context(
                places.open_mailbox(place, address, journal, task=self._task, access=self._access)
            )
            self._report.mailboxes += 1
            self._bar.expect(mailbox)
            sweep = Sweep(
                mailbox, change, self._report, self._pace,
                drafts=self._options.drafts, dry=self._options.dry_run, watching=self._watches,
                whole=self.whole, told=self._bar.show,
            )  # fmt: skip
            sweep.run()
            if self._watches:
                self.watched[address] = sweep, stack.pop_all()

    def watch(self, *, alone: bool) -> None:
        """Once over what is new in the mailboxes that stay open. Those of several accounts are
        looked at in turn."""
        for address, (sweep, stack) in list(self.watched.items()):
            with self._leaving(address, alone=alone):
                sweep.watch(*([] if alone else [0]))
                continue
            del self.watched[address]
            stack.close()
        if not alone:
            time.sleep(_EVERY)

    @contextmanager
    def _leaving(self, address: str, *, alone: bool) -> Iterator[None]:
        self._report.account_in_hand = "" if alone else address
        try:
            yield
        except MailboxError as error:
            refused = error.code == "sign-in-failed" and not self._report.messages
            if refused and len(self.left) + 1 >= _REFUSALS:
                raise
            if alone or error.code in _FOR_ALL or (error.code in _OF_A_SERVER and self._is_one):
                raise
            self._report.account(address, f"{error} [{error.code}]")
            self.left.append(error)
            if self._watches:  # its report comes at the end, which may be months away
                warn(f"{address} isn't watched: {error} [{error.code}]")

    @property
    def _is_one(self) -> bool:
        """Whether all accounts are on the same server."""
        return not places.is_template(self._options.place)

    def _waits(self, seconds: float) -> None:
        """Says that nothing happens before the hours of ``--between``."""
        self._bar.end()
        until = dt.datetime.now().astimezone() + dt.timedelta(seconds=seconds)
        note(f"waiting until {until:%H:%M}, as --between says")

    def _waits_for(self, path: Path) -> None:
        """Waits while another program has an mbox file locked, and says so once."""
        if path not in self._told_of:
            self._told_of.add(path)
            self._bar.end()
            note(f"waiting: another program has {path} locked")
        self.whole.wait(EVERY)

    def close(self) -> None:
        """Closes the mailboxes that were watched."""
        for _, stack in self.watched.values():
            stack.close()

    def tell(self, *, stopped: bool = False) -> None:
        """Prints the report."""
        self._bar.end()
        facts = self._report.as_dict() | {"task": self._task, "dry_run": self._options.dry_run}
        facts["stopped"] = stopped
        if self._options.json:
            say(as_json(facts))
        else:
            say(as_text(facts))


@contextmanager
def _mapped() -> Iterator[None]:
    """Turns errors of a mailbox into endings of the command."""
    try:
        yield
    except CmstreamError as error:
        raise Failure(_code(error), f"{error} [{error.code}]") from None


def _code(error: CmstreamError) -> int:
    """The exit code for an error of a mailbox, the store or a key."""
    if isinstance(error, MailboxError):
        return _CODES.get(error.code, os.EX_TEMPFAIL)
    return os.EX_TEMPFAIL if isinstance(error, KeyUnavailableError) else code_of(error)


def _secret(name: str, options: argparse.Namespace) -> str | None:
    """The password for an IMAP server; asked for where there is a terminal."""
    if not name.startswith("imap"):
        return None
    secret = password(options)
    found = ask(name) if secret is None else secret
    try:
        return found.decode() if isinstance(found, bytes) else found
    except UnicodeDecodeError:
        raise Failure(os.EX_USAGE, "the password isn't UTF-8") from None
