"""``cmstream account sync``: imports the certificates that a directory holds."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..accounts import imports
from ..accounts.account import Account, Actor
from ..accounts.account_settings import CIPHERS
from ..accounts.addresses import canonical
from ..accounts.errors import NotFound, StoreUnavailable
from ..accounts.people.credentials import now
from ..accounts.sealed_to import readable, sealed_to
from ..errors import CmstreamError
from . import account_tables as shown
from .directory import FILTER, MAIL, Directory, entries
from .endings import Failure
from .managing import as_json, code_of, opened
from .shared import Parser, note, read, say, subcommand, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..accounts.account import ImportReport, StoredCertificate
    from ..accounts.store import Store
    from ..certificates.recipient import Recipient
    from .directory import Entry

_EXAMPLES = """\
examples:
  cmstream account sync ldap --base dc=example,dc=org --dry-run ldap://ldap.example.org
  cmstream account sync ldap --base dc=example,dc=org --bind-file reader ldaps://ldap.example.org

Imports what is new, into the accounts whose addresses an entry has. Certificates that have expired
or aren't for mail are left where a better one is; what others retired or deleted stays so.
--retire-missing retires what the same URL, base and filter added and no longer have, never the last
one that can be used, nor what somebody else has put in use again. The first line of the bind file
is a DN, the second its password.

Exit codes: 64 wrong usage, malformed DN or filter, 65 a certificate or address that can't be used,
66 no such file or base, no certificates, 69 only some entries came, 75 try again, 76 TLS can't be
verified, 77 DN or password refused. After 66 to 77 nothing is retired.
"""


def add_sync(actions: Any) -> Any:
    """Adds it to the actions of ``cmstream account``."""
    text, usage = "import the certificates of a directory", "ldap --base DN [options] URL"
    parser = subcommand(actions, f"sync {usage}", text, _EXAMPLES, None)
    program = parser.prog.partition(" ldap")[0]
    kinds = parser.add_subparsers(required=True, metavar="ldap", parser_class=Parser, prog=program)
    found = subcommand(kinds, usage, "of an LDAP directory", _EXAMPLES, _run)
    add = found.add_argument
    add("url", metavar="URL", type=_url, help="ldaps://HOST, ldap://HOST or ldapi://SOCKET")
    add("--base", required=True, metavar="DN", help="entry below which to search")
    add("--filter", default=FILTER, help="which entries; default: %(default)s")
    add("--address-attribute", default=MAIL, metavar="NAME", help="default: %(default)s")
    add("--bind-file", metavar="FILE", help="DN and password; default: anonymous")
    add("--ca-file", metavar="FILE", help="PEM of the CAs to trust; default: the system's")
    add("--starttls", action=argparse.BooleanOptionalAction,
        help="for ldap://; default: unless the host is this machine")  # fmt: skip
    add("--add", action="store_true", help="add the accounts that don't exist")
    add("--cipher", choices=CIPHERS, help="seal the mail of those that are added, with this cipher")
    add("--confirm-mismatch", action="store_true",
        help="also import certificates for other addresses")  # fmt: skip
    add("--retire-missing", action="store_true", help="retire what the directory no longer has")
    add("--dry-run", action="store_true", help="show what would be done, and change nothing")
    add("--json", action="store_true", help="print JSON")
    return found


def _url(text: str) -> str:
    """Without a slash at its end: a source has one name."""
    found = re.fullmatch(r"(ldap[is]?://[^/?#@]+)/?", text)
    if not found:
        raise ValueError(text)
    return found[1]


def _bind(name: str) -> tuple[str, bytes]:
    dn, password = [*read(name).splitlines(), b"", b""][:2]
    if not dn or not password:  # without one a server takes anybody (RFC 4513 section 5.1.2)
        raise Failure(os.EX_DATAERR, f"{name}: give a DN on line 1, and its password on line 2")
    return dn.decode("utf-8-sig", "replace"), password


@dataclass
class _Sync:
    """A whole run. ``seen``: fingerprints that the directory has, by account; ``unsure``: accounts
    for which it has what can't be read, too; ``unowned``: fingerprints that it has for somebody
    whose address it doesn't give, or not so that it can be read."""

    store: Store
    options: argparse.Namespace
    by: Actor
    done: list[dict[str, Any]] = field(default_factory=list)
    code: int = os.EX_OK
    certificates: int = 0
    seen: dict[str, set[str]] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    unowned: set[str] = field(default_factory=set)
    coming: dict[str, list[Recipient]] = field(default_factory=dict)
    """What a dry run would have imported, by account."""

    @contextmanager
    def _reporting(self, address: str, dn: str, what: str = "") -> Iterator[None]:
        """What can't be imported doesn't stop the others."""
        try:
            yield
        except StoreUnavailable:
            raise
        except CmstreamError as error:
            self.code, text = code_of(error), f"{what}{error}"
            self.unsure |= {address} if what else set()
            problem = {"code": error.code, "message": text}
            self.done.append({"account": address, "entry": dn, "saved": False, "error": problem})
            warn(f"{address}: {dn}: {text} [{error.code}]")

    def take(self, entry: Entry) -> None:
        """Imports what is new of an entry, for each of its addresses that is an account."""
        self.certificates += len(entry.certificates)
        names = []
        for address in entry.addresses:
            with self._reporting(address, entry.dn):
                names.append(canonical(address))
        if not names or len(names) < len(entry.addresses):
            self.unowned |= {one for _, value in entry.certificates for one in _prints(value)}
        for name in names:
            with self._reporting(name, entry.dn):
                self._import(name, entry)

    def _account(self, store: Store, address: str) -> Account | None:
        """One that is still to be added has no number. An alias isn't one: what a directory has for
        it may be another person's."""
        try:
            return store.account(address)
        except NotFound:
            if not self.options.add:
                return None
        if address in self._aliases:
            note(f"{address} is an alias of {self._aliases[address]}: not added")
            return None
        return Account(id=0, address=address, created_at=now())

    @cached_property
    def _aliases(self) -> dict[str, str]:
        return {alias: one.address for one in self.store.accounts() for alias in one.aliases}

    def _read(self, address: str, entry: Entry) -> list[Recipient]:
        """Each value for itself: a broken one doesn't keep the others out."""
        recipients: list[Recipient] = []
        seen = self.seen.setdefault(address, set())
        for attribute, value in entry.certificates:
            seen.add(hashlib.sha256(value).hexdigest())
            with self._reporting(address, entry.dn, f"{attribute}: "):
                found = imports.read(value)
                recipients += found.recipients
                seen |= _all_of(found)
        return recipients

    def _import(self, address: str, entry: Entry) -> None:
        """What mail would be sealed to and the account never had; all of it, or nothing: the next
        run takes an account that is there for one whose cipher somebody chose."""
        account = self._account(self.store, address)
        if not account:
            return
        found = self._read(address, entry)
        if not self._missing(self.store, account, found):
            return
        with self.store.trial() if self.options.dry_run else self.store.together() as store:
            now_there = self._account(store, address)  # others may have changed it meanwhile
            reports = self._import_all(store, now_there, entry.dn, found) if now_there else []
        for report in reports:
            self._tell(entry.dn, report)
        if reports and not account.id and not self.options.cipher:
            note(shown.switched_off(account))

    def _missing(self, store: Store, account: Account, found: list[Recipient]) -> list[Recipient]:
        """What others retired or deleted stays so; what this source lost may come back."""
        used, left = self.coming.get(account.address, []), set()
        if account.id:
            used = [*used, *readable(store.certificates(account.address))]
            last, lost = store.last_states(account.address), ("retire-certificate", self.by.name)
            left = {one for one, entry in last.items() if (entry.action, entry.actor) != lost}
        left |= {one.fingerprint for one in used}
        return [one for one in sealed_to([*found, *used]) if one.fingerprint not in left]

    def _import_all(
        self, store: Store, account: Account, dn: str, found: list[Recipient]
    ) -> list[ImportReport]:
        reports, new, address = [], not account.id, account.address
        held = store.certificates(address) if account.id else []
        for one in self._missing(store, account, found):
            with self._reporting(address, dn):
                account, report = self._import_one(store, account, one, held)
                reports.append(report)
        if new and account.id and self.options.cipher:
            store.change_account(address, by=self.by, cipher=self.options.cipher)
        return reports

    def _import_one(
        self, store: Store, account: Account, one: Recipient, held: list[StoredCertificate]
    ) -> tuple[Account, ImportReport]:
        confirmed = self.options.confirm_mismatch
        upload = imports.Upload((one,), (), private_key_ignored=False)
        report = imports.report(upload, account, held)
        imports.require_confirmation(report, confirmed=confirmed)
        with store.together() as whole:
            if not account.id:
                account = whole.add_account(account.address, by=self.by)
            done = whole.import_certificates(
                account.address, upload, by=self.by, confirm_mismatch=confirmed
            )
        if self.options.dry_run:
            self.coming.setdefault(account.address, []).append(one)
            return account, report
        return account, done

    def _tell(self, dn: str, report: ImportReport) -> None:
        told = shown.report_object(dn, report)
        self.done.append(told | {"entry": told.pop("file")})
        for remark in shown.report_remarks(report):
            warn(f"{report.account}: {dn}: {remark}")
        if not self.options.json:
            say("\n".join(shown.report_lines(dn, report)))

    def retire_missing(self) -> None:
        """Retires what this source added and no longer has; those that expire last come last."""
        for address in (one.address for one in self.store.accounts()):
            if address in self.unsure:
                continue
            held = self.store.certificates(address)
            gone = [one for one in held if one.state == "active" and self._lacks(address, one)]
            last = self.store.last_states(address) if gone else {}
            for one in sorted(gone, key=lambda one: one.not_after):
                by = last[one.fingerprint].actor if one.fingerprint in last else one.added_by
                held = self._retire(address, one, held) if by == self.by.name else held

    def _lacks(self, address: str, one: StoredCertificate) -> bool:
        """Whether the directory has it neither for this account nor for somebody without one."""
        found = self.unowned, self.seen.get(address, ())
        return not any(one.fingerprint in prints for prints in found)

    def _retire(
        self, address: str, one: StoredCertificate, held: list[StoredCertificate]
    ) -> list[StoredCertificate]:
        """Gives what is left. Where that is a stopgap, such as an expired one, it stays."""
        rest, saved = [other for other in held if other is not one], not self.options.dry_run
        coming = self.coming.get(address, [])
        used, after = (sealed_to([*readable(each), *coming]) for each in (held, rest))
        if not after or not {*after} <= {*used}:
            note(f"{address}: {one.fingerprint} is the last one that can be used: not retired")
            return held
        with self._reporting(address, "-"):
            if saved:
                self.store.retire_certificate(address, one.fingerprint, by=self.by)
            self.done.append({"account": address, "saved": saved, "retired": [one.fingerprint]})
            if not self.options.json:
                say(f"{address}\t-\t{'retired' if saved else 'can be retired'}\t{one.fingerprint}")
        return rest


def _all_of(found: imports.Upload) -> set[str]:
    held = {one.fingerprint for one in found.recipients}
    return held | {one.fingerprint for one in found.set_aside}


def _prints(value: bytes) -> set[str]:
    """Fingerprints of what a value may be: a certificate, or a SignedData with some."""
    found = {hashlib.sha256(value).hexdigest()}
    with suppress(CmstreamError):
        found |= _all_of(imports.read(value))
    return found


def _elsewhere(urls: list[str], *, retiring: bool) -> None:
    """What other servers have may be what seems to be missing."""
    if urls:
        text = f"other servers have some of the entries, such as {urls[0]}, and aren't asked"
        if retiring:
            remedy = "nothing is retired: give a base or URL that has all"
            raise Failure(os.EX_UNAVAILABLE, f"{text}: {remedy}")
        note(text)


def _run(options: argparse.Namespace) -> None:
    """The exit code is the directory's, else that of the last that couldn't be imported."""
    if options.cipher and not options.add:
        raise Failure(os.EX_USAGE, "--cipher is for accounts that are added: give --add too")
    directory = Directory(*(getattr(options, one) for one in Directory._fields))
    bind = _bind(options.bind_file) if options.bind_file else ("", b"")
    with opened(options, create=True) as store:
        work = _Sync(store, options, Actor(directory.source, "administrator"))
        elsewhere: list[str] = []
        try:
            for entry in entries(directory, bind, elsewhere):
                work.take(entry)
            if not work.certificates:
                text = f"{directory.source}: it has no certificates, or this DN may not see them"
                raise Failure(os.EX_NOINPUT, text)
            _elsewhere(elsewhere, retiring=options.retire_missing)
            if options.retire_missing:
                work.retire_missing()
        finally:
            if options.json:
                say(as_json(work.done))
    if not work.seen:
        note("no entry has the address of an account: --add adds accounts")
    if work.code:
        failed = sum("error" in one for one in work.done)
        raise Failure(work.code, f"{failed} certificates or addresses weren't imported")
