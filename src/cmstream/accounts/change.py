"""A transaction that changes the store: its rows and its audit entries."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, insert, select, update

from . import (
    account_settings,
    audit,
    imports,
    queries,
    tables,
    values,
)
from .addresses import canonical
from .clients import judge
from .errors import Conflict, UnusableAccount
from .lookup import SealingRules
from .record import Record
from .sealed_to import readable, sealed_to, unfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from .account import (
        Account,
        Actor,
        AuditEntry,
        Examined,
        StoredCertificate,
    )
    from .clients import Finding
    from .lookup import Seal

_accounts, _certificates = tables.accounts.c, tables.certificates.c


class Change(NamedTuple):
    """The transaction's connection, who makes it, and what it has written to the audit log."""

    connection: Connection
    by: Actor
    entries: list[AuditEntry]

    def record(
        self,
        action: str,
        account: Account | None = None,
        *,
        fingerprint: str | None = None,
        **detail: object,
    ) -> None:
        """An entry of the audit log."""
        which = None if account is None else (account.id, account.address)
        entry = audit.record(
            self.connection, self.by, action, account=which, fingerprint=fingerprint, **detail
        )
        self.entries.append(entry)

    # --- accounts ------------------------------------------------------------------------

    def account(self, address: str) -> Account:
        """The account of an address as it is now."""
        return queries.account(self.connection, canonical(address))

    def add(self, address: str, columns: Mapping[str, Any]) -> Account:
        """A new account without aliases and domains."""
        self._free([address], but=None)
        now = datetime.now(timezone.utc)
        row = {"address": address, "created_at": now, **account_settings.to_columns(columns)}
        self.connection.execute(insert(tables.accounts).values(row))
        return self.account(address)

    def apply_settings(self, account: Account, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Store those settings that differ and give them, by name."""
        wanted = {**settings, "aliases": _aliases(account, settings)}
        new = {name: value for name, value in wanted.items() if value != getattr(account, name)}
        if new.keys() & {"cipher", "clients"}:
            self._require_readable(account, new)
        if columns := account_settings.to_columns(new):
            where = _accounts.id == account.id
            self.connection.execute(update(tables.accounts).where(where).values(**columns))
        if "aliases" in new:
            self._free(new["aliases"], but=account)
            self._swap("aliases", account, new["aliases"])
        if "domains" in new:
            self._free_domains(new["domains"], account)
            self._swap("domains", account, new["domains"])
        return new

    def _require_readable(self, account: Account, new: Mapping[str, Any]) -> None:
        """Refuses what a mail program of the account is known not to open."""
        cipher, clients = (new.get(one, getattr(account, one)) for one in ("cipher", "clients"))
        if cipher is None:
            return
        held = queries.certificates(self.connection, account)
        _refuse(judge(clients, cipher=cipher, keys=_keys(held)))

    def require_usable(self, before: str | None, account: Account) -> None:
        """Refuses encryption that was just switched on where no certificate can be used: no mail
        would come any more. ``before``: the account's cipher before."""
        if before is not None or account.cipher is None:
            return
        switches = queries.switches(self.connection) | {"encryption": "as-accounts-say"}
        seal = sealing(self.connection, account, switches)
        if isinstance(seal, UnusableAccount):
            means = "all its mail would wait in the mail server, and go back to its senders at last"
        elif seal.reason.code == "no-usable-certificate":
            means = "its mail would still be stored unencrypted"
        else:
            return
        message = f"no certificate of {account.address} can be used: {means}"
        raise UnusableAccount(message, account=account.address)

    def remove(self, account: Account) -> None:
        """The account with all that hangs on it."""
        self.connection.execute(delete(tables.accounts).where(_accounts.id == account.id))

    def _free(self, names: Sequence[str], but: Account | None) -> None:
        """Refuses an address that another account has, as its own or as an alias."""
        alias = tables.aliases.c
        for name, owner, what in (
            (_accounts.address, _accounts.id, "is the address of an account already"),
            (alias.address, alias.account_id, "is another account's alias already"),
        ):
            query = select(name).where(name.in_(names))
            if but is not None:
                query = query.where(owner != but.id)
            for taken in self.connection.execute(query).scalars():
                raise Conflict("address-taken", f"{taken} {what}")

    def _free_domains(self, names: Sequence[str], but: Account) -> None:
        held = tables.domains.c
        query = select(held.domain).where(held.domain.in_(names), held.account_id != but.id)
        for taken in self.connection.execute(query).scalars():
            raise Conflict("domain-taken", f"{taken} belongs to another account")

    def _swap(self, kind: str, account: Account, names: Sequence[str]) -> None:
        table = tables.metadata.tables[kind]
        column = next(iter(table.primary_key)).name
        self.connection.execute(delete(table).where(table.c.account_id == account.id))
        if names:
            new = [{column: name, "account_id": account.id} for name in names]
            self.connection.execute(insert(table), new)

    # --- certificates --------------------------------------------------------------------

    def held(self, address: str, fingerprint: str) -> tuple[Account, StoredCertificate]:
        """An account, and one of its certificates."""
        account = self.account(address)
        digits = values.fingerprint(fingerprint)
        return account, queries.certificate(self.connection, account, digits)

    def update(self, account: Account, fingerprint: str, **columns: object) -> StoredCertificate:
        """Set columns of a certificate, and give it as it is then."""
        self.connection.execute(
            update(tables.certificates).where(*_which(account, fingerprint)).values(**columns)
        )
        return queries.certificate(self.connection, account, fingerprint)

    def require_few(self, address: str) -> None:
        """Refuses, after some were added or put in use, more certificates than an account has."""
        now = self.account(address)
        for count, most, which in (
            (now.active, imports.MAX_ACTIVE, "in use: retire"),
            (now.active + now.retired, imports.MAX_HELD, "in all: delete"),
        ):
            if count > most:
                message = f"an account has at most {most} certificates {which} some before"
                raise Conflict("too-many-certificates", message)

    def require_readable(self, account: Account, before: Sequence[StoredCertificate]) -> None:
        """Refuses, after some certificates were put in use, a set of them by which a mail program
        of the account can't open its mail any more. ``before``: the account's certificates before.
        What was so already is no reason."""
        if account.cipher is None:
            return
        held = queries.certificates(self.connection, account)
        old, new = (
            judge(account.clients, cipher=account.cipher, keys=_keys(one)) for one in (before, held)
        )
        _refuse(finding for finding in new if finding not in old)

    def set_aside(self, account: Account) -> None:
        """Store, after some were added, put in use or taken out of it, which active certificates
        nothing is sealed to beside the others."""
        held = queries.certificates(self.connection, account)
        aside = {one.fingerprint for one in unfit(readable(held))}
        for one in held:
            if one.set_aside != (one.fingerprint in aside):
                self.update(account, one.fingerprint, set_aside=not one.set_aside)

    def forget(self, account: Account, fingerprint: str) -> None:
        """Delete a certificate."""
        where = _which(account, fingerprint)
        self.connection.execute(delete(tables.certificates).where(*where))

    def store_certificate(self, account: Account, one: Examined, description: str) -> None:
        """Store a certificate, or activate the one that is there."""
        found, codes = one.recipient, [problem.code for problem in one.problems]
        mismatch = "address-mismatch" in codes
        if one.known is None:
            row = {
                "account_id": account.id,
                "fingerprint": found.fingerprint,
                "der": found.der,
                "description": description,
                "state": "active",
                "mismatch_confirmed": mismatch,
                "not_after": found.not_after,
                "subject": values.shown(found.subject),
                "added_at": datetime.now(timezone.utc),
                "added_by": self.by.logged[0],
            }
            self.connection.execute(insert(tables.certificates).values(row))
            action = "import-certificate"
        elif one.known == "retired":
            self.update(account, found.fingerprint, state="active", mismatch_confirmed=mismatch)
            action = "activate-certificate"
        else:
            return
        self.record(
            action, account, fingerprint=found.fingerprint, subject=found.subject, problems=codes
        )

    def retire_all_but(self, account: Account, taken: set[str]) -> tuple[str, ...]:
        """Retire the account's other active certificates, and give their fingerprints."""
        active = [
            one.fingerprint
            for one in queries.certificates(self.connection, account)
            if one.state == "active" and one.fingerprint not in taken
        ]
        for fingerprint in active:
            self.update(account, fingerprint, state="retired")
            self.record("retire-certificate", account, fingerprint=fingerprint)
        return tuple(active)

    # --- switches ------------------------------------------------------------------------

    def switch(self, name: str, value: str) -> None:
        """Store the value of a server-wide switch."""
        table = tables.switches
        self.connection.execute(delete(table).where(table.c.name == name))
        self.connection.execute(insert(table).values(name=name, value=value))


def sealing(
    connection: Connection, account: Account, switches: Mapping[str, str]
) -> Seal | UnusableAccount:
    """How mail that arrives for an account would be sealed now, from the database itself."""
    found = Record(dict(switches), account, queries.certificates(connection, account))
    moment = datetime.now(timezone.utc).timestamp()
    return SealingRules().answer(account.address, found, appended=False, at=moment).seal


def _aliases(account: Account, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Its own address isn't an alias of it."""
    wanted = settings.get("aliases", account.aliases)
    return tuple(name for name in wanted if name != account.address)


def _keys(held: Sequence[StoredCertificate]) -> list[str]:
    return [one.key for one in sealed_to(readable(held))]


def _refuse(findings: Iterable[Finding]) -> None:
    if refusals := [str(finding) for finding in findings if finding.level == "refuse"]:
        raise Conflict("unreadable-choice", " ".join(refusals))


def _which(account: Account, fingerprint: str) -> tuple[Any, ...]:
    return _certificates.account_id == account.id, _certificates.fingerprint == fingerprint
