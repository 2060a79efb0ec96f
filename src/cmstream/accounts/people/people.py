"""Manages people, their sign-in and links, and the tokens of programs."""

from __future__ import annotations

import unicodedata
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from .. import (
    audit,
    queries,
    tables,
    values,
)
from ..addresses import canonical
from ..errors import (
    AccessDenied,
    Conflict,
    Invalid,
    NotFound,
    StoreUnavailable,
)
from . import (
    credentials,
    limits,
    links,
    passwords,
    sessions,
    tokens,
)
from .links import Link, Purpose
from .sessions import (
    Person,
    Session,
    person,
    persons,
)
from .tokens import OWNER_SCOPES, SCOPES, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from ..account import (
        Account,
        Actor,
        AuditEntry,
        Role,
    )
    from ..store import Store

__all__ = ["OWNER_SCOPES", "SCOPES", "Link", "People", "Person", "Session", "Token"]

_people = tables.people


class _Known(NamedTuple):
    """A person and the stored password."""

    person: Person
    password_hash: str | None


class People:
    """The people, sessions, tokens and links of a store, for several threads and processes.

    ``by`` is who makes a change, for the audit log; the caller has checked that they may. A change
    that bears on an account stands in the account's own log. Secrets are 256 random bits, stored as
    SHA-256; passwords are hashed by argon2id (RFC 9106). ``now`` tells the time. Every method
    raises StoreUnavailable if the database can't be used.
    """

    def __init__(self, store: Store, *, now: Callable[[], datetime] = credentials.now) -> None:
        self._database, self._notify = store.database, store.notify
        self._now = now

    @contextmanager
    def _recording(self) -> Iterator[tuple[Connection, Callable[..., None]]]:
        """A transaction, and how to record what it does; when it is committed, owners are told of
        what others did."""
        entries: list[AuditEntry] = []
        with self._database.write() as connection:
            yield connection, partial(_record, connection, entries)
        audit.mail(self._notify, entries)

    # --- people ----------------------------------------------------------------------------

    def add(
        self,
        name: str,
        role: Role,
        *,
        account: str | None = None,
        password: str | None = None,
        by: Actor,
    ) -> Person:
        """A new person, who without a password needs a link. An owner owns one ``account``, by its
        address; an administrator none.

        Raises Conflict ``name-taken``; Invalid ``invalid-name``, ``invalid-password``,
        ``invalid-setting``; NotFound ``no-such-account``.
        """
        name = _checked_name(name)
        if (role == "owner") != (account is not None) or role not in {"owner", "administrator"}:
            raise Invalid("invalid-setting", "an owner owns one account, an administrator none")
        stored = None if password is None else _hashed(password, name, account or "")
        with self._recording() as (connection, record):
            if _known(connection, name):
                raise Conflict("name-taken", f"there is a person {name!r} already")
            owned = _account(connection, account)
            connection.execute(
                insert(_people).values(
                    name=name,
                    role=role,
                    account_id=owned.id if owned else None,
                    password_hash=stored,
                    created_at=self._now(),
                )
            )
            found = _existing(connection, name)
            record(by, "add-person", found, person=name, person_role=role)
            return found

    def person(self, name: str) -> Person:
        """One of them. Raises NotFound ``no-such-person``."""
        with self._database.read() as connection:
            return _existing(connection, _folded(name))

    def everyone(self) -> list[Person]:
        """All of them, in the order of their names."""
        with self._database.read() as connection:
            return [person(row) for row in connection.execute(persons().order_by(_people.c.name))]

    def owners(self, account: str) -> list[Person]:
        """Those who own the account of an address."""
        query = persons().where(tables.accounts.c.address == canonical(account))
        with self._database.read() as connection:
            return [person(row) for row in connection.execute(query.order_by(_people.c.name))]

    def remove(self, name: str, *, by: Actor) -> None:
        """Remove a person with all sessions and links. Raises NotFound ``no-such-person``,
        Conflict ``last-administrator``."""
        with self._recording() as (connection, record):
            found = _existing(connection, _folded(name))
            if found.role == "administrator" and _is_last(connection, found):
                raise Conflict("last-administrator", "add another administrator before")
            record(by, "remove-person", found, person=found.name)
            connection.execute(delete(_people).where(_people.c.id == found.id))

    def set_password(self, name: str, password: str, *, by: Actor) -> Person:
        """Set somebody's password; all their sessions end and their links die. Raises NotFound
        ``no-such-person``, Invalid ``invalid-password``."""
        found = self.person(name)
        stored = _hashed(password, found.name, found.account or "")
        with self._recording() as (connection, record):
            found = _existing(connection, found.name)
            _store_password(connection, found, stored)
            record(by, "set-password", found, person=found.name)
            return _existing(connection, found.name)

    # --- sessions --------------------------------------------------------------------------

    def sign_in(
        self, name: str, password: str, *, source: str = "", before: str | None = None
    ) -> Session:
        """A new session, with a new secret. ``source``: the address of whoever asks, for the limits
        (:mod:`~cmstream.accounts.people.limits`). ``before``: the secret of a session that this one
        takes the place of.

        Raises AccessDenied: ``sign-in-failed``, the same and after the same time for a name that
        isn't there; ``too-many-attempts``, with ``retry_after``.
        """
        name = _folded(name)
        counted = limits.subjects(name, source)
        known, numbers = self._proved(name, password, counted)
        renewed = _renewed(known, password)
        with self._database.write() as connection:
            self._still(connection, known)
            limits.forgive(connection, counted, numbers)
            if renewed:
                where = _people.c.id == known.person.id
                connection.execute(update(_people).where(where).values(password_hash=renewed))
            if before:
                sessions.end(connection, before)
            return sessions.begin(connection, known.person, self._now())

    def session(self, token: str) -> Session | None:
        """The session of a secret; None if there is none or it is over: after 30 minutes without
        use, after 12 hours in any case."""
        at = self._now()
        with self._database.read() as connection:
            found = sessions.find(connection, token, at)
        if found is None:
            return None
        session, stale = found
        if stale:
            self._note(lambda connection: sessions.touch(connection, token, at))
        return session

    def sign_out(self, token: str) -> None:
        """End a session, if there is one of this secret."""
        with self._database.write() as connection:
            sessions.end(connection, token)

    def sign_out_everywhere(self, name: str, *, by: Actor) -> None:
        """End all of a person's sessions. Raises NotFound ``no-such-person``."""
        with self._recording() as (connection, record):
            found = _existing(connection, _folded(name))
            sessions.end_all(connection, found)
            record(by, "end-sessions", found, person=found.name)

    def confirm(self, session: Session, password: str) -> Session:
        """The password again, which holds for 5 minutes. Attempts are counted for the session:
        what strangers try for its person's name makes no difference. Raises AccessDenied as
        :meth:`sign_in` does, and ``not-signed-in`` if the session is over."""
        counted = limits.of_session(session.token)
        known, numbers = self._proved(session.person.name, password, counted)
        at = self._now()
        with self._database.write() as connection:
            self._still(connection, known)
            limits.forgive(connection, counted, numbers)
            sessions.confirm(connection, session.token, at)
            found = sessions.find(connection, session.token, at)
        if found is None or found[0].person.id != known.person.id:
            raise AccessDenied("not-signed-in", "the session is over: sign in again")
        return found[0]

    def change_password(self, session: Session, old: str, new: str) -> Session:
        """A person's own change: all sessions end, and a new one takes this one's place. Raises
        AccessDenied as :meth:`confirm` does, Invalid ``invalid-password``."""
        mine = self.confirm(session, old).person
        stored = _hashed(new, mine.name, mine.account or "")
        with self._recording() as (connection, record):
            found = _existing(connection, mine.name)
            if sessions.find(connection, session.token, self._now()) is None:
                raise AccessDenied("not-signed-in", "the session is over: sign in again")
            _store_password(connection, found, stored)
            record(found.actor, "set-password", found, person=found.name)
            return sessions.begin(connection, found, self._now())

    # --- tokens ----------------------------------------------------------------------------

    def add_token(
        self,
        name: str,
        *,
        scopes: Iterable[str],
        account: str | None = None,
        expires_at: datetime | None = None,
        by: Actor,
    ) -> tuple[str, Token]:
        """A new token and its secret, which is told this once. ``account``: the address of the one
        account that it is for; without, it is an administrator's. ``scopes``: of :data:`SCOPES`.

        Raises Invalid ``invalid-name``, ``invalid-setting``; NotFound ``no-such-account``;
        AccessDenied ``forbidden`` if an owner wants one without an account.
        """
        role: Role = "administrator" if account is None else "owner"
        if role == "administrator" and by.role != "administrator":
            raise AccessDenied("forbidden", "an owner's token is for the own account")
        wanted, at = tokens.checked_scopes(scopes, role), self._now()
        if expires_at is not None and expires_at <= at:
            raise Invalid("invalid-setting", "the token would be expired already")
        with self._recording() as (connection, record):
            owned = _account(connection, account)
            secret, token = tokens.add(
                connection,
                name,
                scopes=wanted,
                role=tokens.STAND_IN if owned and by.role == "administrator" else role,
                account_id=owned.id if owned else None,
                created_at=at,
                expires_at=expires_at,
            )
            record(by, "add-token", token, token=token.name, scopes=list(wanted))
            return secret, token

    def token(self, secret: str) -> Token | None:
        """The token of a secret; None if there is none, or it is revoked or expired."""
        at = self._now()
        with self._database.read() as connection:
            found = tokens.find(connection, secret, at)
        if found is None:
            return None
        token, stale = found
        if stale:
            self._note(lambda connection: tokens.touch(connection, token.id, at))
        return token

    def tokens(self, account: str | None = None) -> list[Token]:
        """All tokens, or those of an account, revoked and expired ones too, without secrets."""
        address = None if account is None else canonical(account)
        with self._database.read() as connection:
            return tokens.everyone(connection, address)

    def revoke_token(self, number: int, *, account: str | None = None, by: Actor) -> Token:
        """Make a token dead at once. ``account``: the account whose token it must be. Raises
        NotFound ``no-such-token``."""
        with self._recording() as (connection, record):
            token = tokens.by_number(connection, number)
            if account is not None and token.account != canonical(account):
                raise NotFound("no-such-token", f"there is no token {number}")
            if token.revoked_at is None:
                tokens.revoke(connection, number, self._now())
                record(by, "revoke-token", token, token=token.name)
            return tokens.by_number(connection, number)

    # --- links -----------------------------------------------------------------------------

    def add_link(
        self, purpose: Purpose, name: str, *, minutes: int = links.MINUTES, by: Actor
    ) -> str:
        """The secret of a link by which a person chooses a password; it works once, and earlier
        ones of the person no more. Raises NotFound ``no-such-person``, Invalid
        ``invalid-setting``."""
        if not 1 <= minutes <= links.MOST_MINUTES:
            raise Invalid("invalid-setting", f"a link lasts 1 to {links.MOST_MINUTES} minutes")
        with self._recording() as (connection, record):
            found = _existing(connection, _folded(name))
            until = self._now() + timedelta(minutes=minutes)
            secret = links.add(connection, purpose, found, until)
            record(by, "add-link", found, person=found.name, purpose=purpose)
            return secret

    def link(self, secret: str) -> Link:
        """What a link is for; it isn't used by that, since programs look at links too. Raises
        AccessDenied ``link-invalid`` if it was used, is too old, was replaced, or never
        was one."""
        with self._database.read() as connection:
            return self._link(connection, secret)

    def use_link(self, secret: str, password: str) -> Session:
        """Choose the password, end all other sessions and sign in, all at once. Raises AccessDenied
        ``link-invalid``; Invalid ``invalid-password``, and then the link still works."""
        whose = self.link(secret).person
        stored = _hashed(password, whose.name, whose.account or "")
        with self._recording() as (connection, record):
            whose = self._link(connection, secret).person
            links.use(connection, secret, self._now())
            _store_password(connection, whose, stored)
            limits.forgive_name(connection, whose.name)
            record(whose.actor, "use-link", whose, person=whose.name)
            found = _existing(connection, whose.name)
            return sessions.begin(connection, found, self._now())

    def needs_administrator(self) -> bool:
        """Whether no administrator could sign in."""
        with self._database.read() as connection:
            return _administrators(connection, with_password=True) == 0

    # --- what they share -------------------------------------------------------------------

    def _proved(
        self, name: str, password: str, counted: Mapping[str, int]
    ) -> tuple[_Known, list[int]]:
        """The person whose password this is, and the numbers of the attempt, which counts for
        these. Whether the name is there makes no difference in what is done."""
        with self._database.write() as connection:
            numbers = limits.claim(connection, counted, self._now())
            known = _known(connection, name)
        right = passwords.matches(known and known.password_hash, password)
        if known is None or not right:
            raise _failed()
        return known, numbers

    def _still(self, connection: Connection, known: _Known) -> None:
        """Hashing takes time, in which the password may have been changed."""
        if _known(connection, known.person.name) != known:
            raise _failed()

    def _link(self, connection: Connection, secret: str) -> Link:
        found = links.find(connection, secret, self._now())
        if found is None:
            text = (
                "the link works no more: it was used, is too old, or a newer one took its place. "
                "Ask an administrator for a new one; administrators get theirs by the command "
                "'cmstream account link NAME'"
            )
            raise AccessDenied("link-invalid", text)
        return found

    def _note(self, write: Callable[[Connection], None]) -> None:
        """Write down a use; that it can't be written is no reason to refuse."""
        with suppress(StoreUnavailable), self._database.write() as connection:
            write(connection)


def _failed() -> AccessDenied:
    return AccessDenied("sign-in-failed", "name or password is wrong")


def _folded(name: str) -> str:
    """One form of a name, which for an address is the address's; "" for a text that is longer than
    any name: normalising takes time by the square of a run of combining marks."""
    if len(name) > values.MAX_TEXT:
        return ""
    if "@" in name:
        with suppress(Invalid):
            return canonical(name)
    return unicodedata.normalize("NFKC", name.strip()).casefold()


def _checked_name(name: str) -> str:
    folded = values.text(_folded(name), "invalid-name", "a name")
    if not folded:
        raise Invalid("invalid-name", f"a name has 1 to {values.MAX_TEXT} characters")
    return folded


def _hashed(password: str, *about: str) -> str:
    passwords.check(password, *about)
    return passwords.hashed(password)


def _renewed(known: _Known, password: str) -> str | None:
    """The password hashed by today's parameters, if the stored one isn't."""
    stored = known.password_hash
    return passwords.hashed(password) if stored and passwords.outdated(stored) else None


def _known(connection: Connection, name: str) -> _Known | None:
    if not name.isprintable() or len(name) > values.MAX_TEXT:
        return None  # no database has to take it
    row = connection.execute(persons().where(_people.c.name == name)).one_or_none()
    return None if row is None else _Known(person(row), row.password_hash)


def _existing(connection: Connection, name: str) -> Person:
    known = _known(connection, name)
    if known is None:
        raise NotFound("no-such-person", f"there is no person {name!r}")
    return known.person


def _account(connection: Connection, address: str | None) -> Account | None:
    return None if address is None else queries.account(connection, canonical(address))


def _administrators(connection: Connection, *, with_password: bool = False) -> int:
    query = select(func.count()).select_from(_people).where(_people.c.role == "administrator")
    if with_password:
        query = query.where(_people.c.password_hash.is_not(None))
    return int(connection.execute(query).scalar_one())


def _is_last(connection: Connection, who: Person) -> bool:
    """Whether without this administrator there is none, or none who can sign in."""
    last = who.has_password and _administrators(connection, with_password=True) == 1
    return last or _administrators(connection) == 1


def _store_password(connection: Connection, who: Person, stored: str) -> None:
    connection.execute(update(_people).where(_people.c.id == who.id).values(password_hash=stored))
    sessions.end_all(connection, who)
    links.drop(connection, who)


def _record(
    connection: Connection,
    entries: list[AuditEntry],
    by: Actor,
    action: str,
    what: Person | Token,
    **detail: Any,
) -> None:
    """In the log of the account, if it bears on one. Nobody is alarmed by the way in that a new
    account's owner gets first."""
    which = (what.account_id, what.account) if what.account_id and what.account else None
    entry = audit.record(connection, by, action, account=which, **detail)
    first = action == "add-person" or not getattr(what, "has_password", True)
    if not (first and which and audit.is_of_the_making(connection, entry)):
        entries.append(entry)
