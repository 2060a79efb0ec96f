"""The store of accounts: each change is one transaction with its audit entry."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..certificates.recipient import Recipient
from . import (
    audit,
    imports,
    queries,
    sample_limit,
    switches,
    values,
)
from .account import checked_actor
from .account_settings import DEFAULTS, SETTINGS, checked
from .addresses import LONGEST, canonical
from .change import Change, sealing
from .database import create_database, open_database
from .errors import AccessDenied, Conflict, UnusableAccount
from .lookup import Lookups, Seal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType

    from sqlalchemy import Connection
    from typing_extensions import Self

    from .account import (
        Account,
        Actor,
        AuditEntry,
        ImportReport,
        State,
        StoredCertificate,
    )
    from .database import Database


def open_store(url: str, *, notify: Sequence[str] = ()) -> Store:
    """The store at a database's URL, such as ``sqlite:////var/lib/cmstream/accounts.sqlite3`` or
    ``postgresql://user@host/name``. It never creates or upgrades one. ``notify``: the mail
    command, such as ``["sendmail", "-t", "-i"]``, that tells owners what others changed.

    Raises StoreUnavailable: ``no-database``, ``not-migrated``, ``newer-database``,
    ``unsupported-database``, ``permission-denied``, ``store-unavailable``.
    """
    return Store(open_database(url), notify=notify)


def create_store(url: str, *, notify: Sequence[str] = ()) -> Store:
    """The same, but created where it is missing and upgraded where it is old. Raises
    StoreUnavailable."""
    return Store(create_database(url), notify=notify)


class Store:
    """Accounts, their certificates and the server's switches, for several threads and processes.

    A context manager that closes its database. ``by`` is who makes a change, for the audit log;
    the caller has checked that they may. Every method raises StoreUnavailable if the database
    can't be used, NotFound ``no-such-account`` for an address without an account, and Invalid
    ``invalid-address`` for what is none.
    """

    def __init__(self, database: Database, *, notify: Sequence[str] = ()) -> None:
        self.database = database
        self._lookups = Lookups(database)
        self.notify = values.command(notify)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the database's connections. All that is asked later is StoreUnavailable."""
        self.database.close()
        self._lookups.expire()

    @contextmanager
    def _change(self, by: Actor) -> Iterator[Change]:
        """A transaction; when it is committed, the owner is told of what others did. One that
        changes nothing writes no entry, and nobody has to look again."""
        with self.database.write() as connection:
            change = Change(connection, checked_actor(by), [])
            yield change
            if change.entries:
                self.database.count(connection)
        self._committed(change.entries)

    def _committed(self, entries: Sequence[AuditEntry]) -> None:
        if entries:
            self._lookups.expire()
            audit.mail(self.notify, entries)

    @contextmanager
    def together(self) -> Iterator[Store]:
        """The same store, whose changes are one transaction: committed at the end, or not at all if
        anything is raised. A change whose error is caught is undone alone, and so are all of
        another ``together`` inside. Nobody else can write meanwhile; it belongs to one thread."""
        with self.database.joined() as database:
            whole = _Together(database)
            yield whole
        self._committed(whole.entries)

    @contextmanager
    def trial(self) -> Iterator[Store]:
        """The same, and nothing of it stays: it shows what would become of the changes."""
        with suppress(_Undone), self.together() as whole:
            yield whole
            raise _Undone

    def seal_for(self, address: str, *, appended: bool = False) -> Seal:
        """How mail for an address is sealed, or why it is left: from a cache, never more than a
        second behind the database. ``appended``: a mail program puts the message into the mailbox
        itself. Raises UnusableAccount, StoreUnavailable, Invalid ``invalid-address``."""
        return self._lookups.seal_for(address, appended=appended)

    async def seal_for_async(self, address: str, *, appended: bool = False) -> Seal:
        """The same for an event loop: what the cache has comes at once, and a thread asks the
        database for everything else."""
        return await self._lookups.seal_for_async(address, appended=appended)

    # --- accounts ------------------------------------------------------------------------

    def account(self, address: str) -> Account:
        """The account of exactly this address (an alias isn't one)."""
        with self.database.read() as connection:
            return queries.account(connection, canonical(address))

    def accounts(
        self,
        search: str = "",
        *,
        expiring_before: datetime | None = None,
        unprotected: bool = False,
        after: str = "",
        limit: int | None = None,
    ) -> list[Account]:
        """Accounts in the order of their addresses. ``search``: a part of an address, alias,
        domain, or of a certificate's subject, description or fingerprint. ``expiring_before``:
        those whose last certificate in use expires before it. ``unprotected``: those without
        cipher or active certificate. ``after`` and ``limit``: the page that follows an address."""
        with self.database.read() as connection:
            return queries.accounts(
                connection,
                search=values.text(search, "invalid-setting", "what is searched for"),
                expiring_before=expiring_before and values.moment(expiring_before),
                unprotected=unprotected,
                after=values.text(after, "invalid-setting", "an address", LONGEST),
                limit=None if limit is None else values.within(limit),
            )

    def add_account(
        self, address: str, *, by: Actor, need_certificate: bool = False, **settings: Any
    ) -> Account:
        """A new account, with the settings of :meth:`change_account`; encryption is off unless
        ``cipher`` is given, which ``need_certificate`` refuses. Raises Conflict ``address-taken``,
        ``domain-taken``; Invalid; UnusableAccount; AccessDenied if an owner does it."""
        _administrator(by)
        wanted = checked(settings)
        name = canonical(address)
        with self._change(by) as change:
            change.apply_settings(account := change.add(name, DEFAULTS), wanted)
            change.record("add-account", account, **DEFAULTS | wanted)
            added = change.account(name)
            if need_certificate:
                change.require_usable(None, added)
            return added

    def change_account(
        self, address: str, *, by: Actor, need_certificate: bool = False, **settings: Any
    ) -> Account:
        """Change some settings, by the names that :class:`Account` has for them; ``cipher=None``
        switches encryption off, and a list replaces the one before. ``need_certificate``: don't
        switch encryption on while no certificate can be used.

        Raises Conflict ``address-taken``, ``domain-taken``, and ``unreadable-choice`` for what a
        mail program of the account is known not to open with its certificates; Invalid
        ``invalid-setting``, ``invalid-address``, ``invalid-domain``; AccessDenied ``forbidden`` if
        an owner changes aliases or domains, since that is a claim to other people's mail;
        UnusableAccount ``no-usable-certificate`` if ``need_certificate`` refuses it.
        """
        wanted = checked(settings)
        if any(SETTINGS[name].administrators for name in wanted):
            _administrator(by)
        with self._change(by) as change:
            account = change.account(address)
            new = change.apply_settings(account, wanted)
            if new:
                old = {name: getattr(account, name) for name in new}
                change.record("change-account", account, old=old, new=new)
            changed = change.account(address)
            if need_certificate:
                change.require_usable(account.cipher, changed)
            return changed

    def remove_account(self, address: str, *, by: Actor) -> None:
        """Remove an account with its certificates and its owners' access; the audit log keeps
        what was done to it. Mail to it is then not sealed any more."""
        _administrator(by)
        with self._change(by) as change:
            account = change.account(address)
            change.remove(account)
            change.record("remove-account", account)

    # --- certificates --------------------------------------------------------------------

    def certificates(self, address: str) -> list[StoredCertificate]:
        """The account's certificates, the active ones first, in the order they came."""
        with self.database.read() as connection:
            return queries.certificates(connection, queries.account(connection, canonical(address)))

    def certificate(self, address: str, fingerprint: str) -> StoredCertificate:
        """One of them, by its SHA-256 in hex. Raises NotFound ``no-such-certificate``."""
        with self.database.read() as connection:
            account = queries.account(connection, canonical(address))
            return queries.certificate(connection, account, values.fingerprint(fingerprint))

    def preview(
        self, address: str, data: bytes | imports.Upload, password: str | bytes | None = None
    ) -> ImportReport:
        """What an import of this file would do; nothing is stored. ``data``: as
        :meth:`import_certificates` takes it.

        Raises ImportRefused ``too-large``, ``unusable-recipient``; CertificateError with the
        codes of :func:`~cmstream.read_certificates`.
        """
        upload = imports.examined(data, password)
        with self.database.read() as connection:
            return self._examine(connection, address, upload)

    def _examine(
        self,
        connection: Connection,
        address: str,
        upload: imports.Upload,
        *,
        retire_others: bool = False,
        keep: Collection[str] = (),
    ) -> ImportReport:
        account = queries.account(connection, canonical(address))
        held = queries.certificates(connection, account)
        return imports.report(upload, account, held, retire_others=retire_others, keep=keep)

    def import_certificates(
        self,
        address: str,
        data: bytes | imports.Upload,
        *,
        password: str | bytes | None = None,
        by: Actor,
        confirm_mismatch: bool = False,
        description: str = "",
        retire_others: bool = False,
        keep: Collection[str] = (),
    ) -> ImportReport:
        """Take the certificates of a file: DER, PEM, PKCS #7 or PKCS #12, 64 KiB at most, or a
        signed mail, 1 MiB at most. Inside :meth:`together`, give what
        :func:`~cmstream.accounts.imports.read` made of it: reading takes time, and nobody else can
        write meanwhile.

        Everything is read and tried before anything is stored, and stored in one transaction.
        ``confirm_mismatch``: also those for another address. ``retire_others``: the account's
        other certificates are retired by the same transaction, but for those with a fingerprint
        that is in ``keep``. A private key in the file and ``password`` are forgotten.

        Raises as :meth:`preview` does, and ImportRefused ``address-mismatch``; Conflict
        ``too-many-certificates`` if the account would have more than 20 in use, or 200 in all,
        ``unreadable-choice`` if encryption is on and a mail program that the account names is known
        not to open a message for all that would be in use.
        """
        upload = imports.examined(data, password)
        words = values.text(description, "invalid-setting", "a description")
        with self._change(by) as change:
            found = self._examine(
                change.connection, address, upload, retire_others=retire_others, keep=keep
            )
            imports.require_confirmation(found, confirmed=confirm_mismatch)
            account = change.account(found.account)
            before = queries.certificates(change.connection, account)
            for one in found.certificates:
                change.store_certificate(account, one, words)
            taken = {one.recipient.fingerprint for one in found.certificates}
            others = change.retire_all_but(account, taken.union(keep)) if retire_others else ()
            change.set_aside(account)
            if any(one.known != "active" for one in found.certificates):
                change.require_few(account.address)
            change.require_readable(account, before)
        return imports.saved(found, retired=others)

    def describe_certificate(
        self, address: str, fingerprint: str, description: str, *, by: Actor
    ) -> StoredCertificate:
        """Give a certificate another description. Raises NotFound ``no-such-certificate``."""
        words = values.text(description, "invalid-setting", "a description")
        with self._change(by) as change:
            account, held = change.held(address, fingerprint)
            if held.description != words:
                change.update(account, held.fingerprint, description=words)
                change.record(
                    "describe-certificate",
                    account,
                    fingerprint=held.fingerprint,
                    old=held.description,
                    new=words,
                )
            return queries.certificate(change.connection, account, held.fingerprint)

    def retire_certificate(self, address: str, fingerprint: str, *, by: Actor) -> StoredCertificate:
        """Don't use a certificate any more, and keep it. Raises NotFound
        ``no-such-certificate``, Conflict ``last-certificate`` while the account's encryption is
        on and no other is active."""
        return self._set_state(address, fingerprint, "retired", by)

    def activate_certificate(
        self, address: str, fingerprint: str, *, by: Actor
    ) -> StoredCertificate:
        """Use a retired certificate again. Raises NotFound ``no-such-certificate``, Conflict
        ``too-many-certificates``, ``unreadable-choice`` as :meth:`import_certificates` does."""
        return self._set_state(address, fingerprint, "active", by)

    def _set_state(
        self, address: str, fingerprint: str, state: State, by: Actor
    ) -> StoredCertificate:
        with self._change(by) as change:
            account, held = change.held(address, fingerprint)
            before = queries.certificates(change.connection, account)
            if held.state != state:
                if state == "retired":
                    _not_the_last(account, held)
                change.update(account, held.fingerprint, state=state)
                change.set_aside(account)
                action = "retire-certificate" if state == "retired" else "activate-certificate"
                change.record(action, account, fingerprint=held.fingerprint)
                if state == "active":
                    change.require_few(account.address)
                    change.require_readable(account, before)
            return queries.certificate(change.connection, account, held.fingerprint)

    def delete_certificate(self, address: str, fingerprint: str, *, by: Actor) -> None:
        """Forget a certificate. Raises as :meth:`retire_certificate` does."""
        with self._change(by) as change:
            account, held = change.held(address, fingerprint)
            _not_the_last(account, held)
            change.forget(account, held.fingerprint)
            change.set_aside(account)
            change.record("delete-certificate", account, fingerprint=held.fingerprint)

    def last_states(self, address: str) -> dict[str, AuditEntry]:
        """How each of the account's certificates, by fingerprint, last came in use or out of it."""
        with self.database.read() as connection:
            account = queries.account(connection, canonical(address))
            return audit.last_states(connection, account.id)

    # --- the server's switches and the audit log -----------------------------------------

    def switches(self) -> dict[str, str]:
        """The server-wide switches (:data:`~cmstream.accounts.SWITCHES`) as they are now."""
        with self.database.read() as connection:
            return queries.switches(connection)

    def set_switch(self, name: str, value: str, *, by: Actor) -> None:
        """Set a switch. Raises Invalid ``invalid-setting`` for a name or value that isn't in
        :data:`~cmstream.accounts.SWITCHES`, AccessDenied if an owner does it."""
        _administrator(by)
        new = switches.checked(name, value)
        with self._change(by) as change:
            old = queries.switches(change.connection)[name]
            if old != new:
                change.switch(name, new)
                change.record("set-switch", switch=name, old=old, new=new)

    def audit(
        self,
        address: str | None = None,
        *,
        before: int | None = None,
        limit: int = 100,
        unacknowledged: bool = False,
    ) -> list[AuditEntry]:
        """The audit log, the newest entry first: everything, or what bears on an address (which
        may be gone). ``before``: only entries with a smaller number. ``unacknowledged``: only
        what others changed and the owner hasn't seen."""
        name = None if address is None else canonical(address)
        with self.database.read() as connection:
            return audit.entries(
                connection,
                address=name,
                before=before,
                limit=limit,
                unacknowledged=unacknowledged,
            )

    def acknowledge(self, entry: int, *, by: Actor, address: str | None = None) -> AuditEntry:
        """The owner has seen a change that somebody else made. ``address``: their account.

        Raises NotFound ``no-such-entry``, Conflict ``already-acknowledged``, AccessDenied
        ``forbidden`` for anybody but an owner.
        """
        name = None if address is None else canonical(address)
        with self.database.write() as connection:
            return audit.acknowledge(connection, entry, by=by, address=name)

    def claim_test(self, address: str) -> None:
        """Count a test message to an account before it is sent. Raises AccessDenied
        ``too-many-attempts`` after a few within a quarter of an hour."""
        with self.database.write() as connection:
            account = queries.account(connection, canonical(address))
            sample_limit.claim(connection, account.id)

    def confirm_test(self, address: str, *, by: Actor) -> None:
        """The owner could read a sealed test message. Raises AccessDenied ``forbidden`` for anybody
        but an owner; Conflict ``no-usable-certificate`` or with the reason's code where none could
        be sealed now."""
        if by.logged[1] != "owner":
            raise AccessDenied("forbidden", "only the owner can say that the message was readable")
        with self.database.write() as connection:
            account = queries.account(connection, canonical(address))
            seal = sealing(connection, account, queries.switches(connection))
            if isinstance(seal, UnusableAccount):
                raise Conflict(seal.code, str(seal))
            if seal.recipients is None:
                text = f"no test message to {account.address} can be sealed: {seal.reason}"
                raise Conflict(seal.reason.code, text)
            mine = account.id, account.address
            audit.record(connection, by, _READ, account=mine, fingerprints=_fingerprints(seal))

    def tested_at(self, address: str) -> datetime | None:
        """When the owner last said to have read a sealed test message, None if never."""
        with self.database.read() as connection:
            account = queries.account(connection, canonical(address))
            entry = audit.latest(connection, account.id, _READ)
            return None if entry is None else entry.at

    def key_proved(self, address: str) -> bool:
        """Whether the owner has the key that mail is sealed to now: they said to have read a test
        message, and its certificates are still among those in use. False where none is sealed."""
        with self.database.read() as connection:
            account = queries.account(connection, canonical(address))
            entry = audit.latest(connection, account.id, _READ)
            read = {*_read(entry)}
            if not read:
                return False
            seal = sealing(connection, account, queries.switches(connection))
        return isinstance(seal, Seal) and read <= {*_fingerprints(seal)}


def _fingerprints(seal: Seal) -> list[str]:
    return [one.fingerprint for one in seal.recipients or () if isinstance(one, Recipient)]


def _read(entry: AuditEntry | None) -> list[str]:
    """To which certificates a test message was sealed; older entries don't say it."""
    found = [] if entry is None else entry.detail.get("fingerprints", [])
    return found if isinstance(found, list) else []


_READ = "read-test-message"


class _Undone(Exception):  # noqa: N818 - no error
    """Ends a trial."""


class _Together(Store):
    """A store inside one transaction, and the entries of the audit log that were written in it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.entries: list[AuditEntry] = []

    def _committed(self, entries: Sequence[AuditEntry]) -> None:
        self.entries += entries


def _administrator(by: Actor) -> None:
    if checked_actor(by).role != "administrator":
        raise AccessDenied("forbidden", "that is for administrators")


def _not_the_last(account: Account, held: StoredCertificate) -> None:
    """Mail would be refused from now on, or stored in the clear."""
    if account.cipher is not None and held.state == "active" and account.active == 1:
        raise Conflict(
            "last-certificate",
            "it is the only active certificate: import the new one first, or switch off the"
            " account's encryption",
        )
