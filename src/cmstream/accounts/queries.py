"""Queries for accounts, certificates and switches: rows become the values of account.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, func, or_, select

from . import record, tables
from .account import Account, StoredCertificate
from .account_settings import from_columns
from .errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Select, Table

_accounts, _held = tables.accounts, tables.certificates
_aliases, _domains = tables.aliases, tables.domains

_active = func.count(_held.c.id).filter(_held.c.state == "active").label("active")
_retired = func.count(_held.c.id).filter(_held.c.state == "retired").label("retired")
IN_USE = (_held.c.state == "active", _held.c.set_aside.is_(False))
"""What holds of a certificate that mail is sealed to."""
_expires = func.max(_held.c.not_after).filter(*IN_USE).label("expires_at")

_certificates = select(*(_held.c[name] for name in record.CERTIFICATE))


def _query() -> Select[Any]:
    return (
        select(_accounts, _active, _retired, _expires)
        .outerjoin_from(_accounts, _held)
        .group_by(_accounts.c.id)
        .order_by(_accounts.c.address)
    )


def account(connection: Connection, address: str) -> Account:
    """The account of an address in canonical form. Raises NotFound ``no-such-account``."""
    found = _read(connection, _query().where(_accounts.c.address == address))
    if not found:
        raise NotFound("no-such-account", f"there is no account {address}")
    return found[0]


def accounts(
    connection: Connection,
    *,
    search: str,
    expiring_before: datetime | None,
    unprotected: bool,
    after: str,
    limit: int | None,
) -> list[Account]:
    """Those that meet all conditions, in the order of their addresses."""
    query = _query().where(_accounts.c.address > after).limit(limit)
    if search:
        query = query.where(_mentions(search))
    if unprotected:
        query = query.having(or_(_accounts.c.cipher.is_(None), _active == 0))
    if expiring_before is not None:
        query = query.having(_expires < expiring_before)
    return _read(connection, query)


def _mentions(search: str) -> ColumnElement[bool]:
    digits = search.replace(":", "").replace(" ", "") or search
    columns = _held.c
    within: list[tuple[Table, ColumnElement[bool]]] = [
        (_aliases, _aliases.c.address.icontains(search, autoescape=True)),
        (_domains, _domains.c.domain.icontains(search, autoescape=True)),
        (
            _held,
            or_(
                columns.subject.icontains(search, autoescape=True),
                columns.description.icontains(search, autoescape=True),
                columns.fingerprint.icontains(digits, autoescape=True),
            ),
        ),
    ]
    elsewhere = [
        exists().where(table.c.account_id == _accounts.c.id, condition).correlate(_accounts)
        for table, condition in within
    ]
    return or_(_accounts.c.address.icontains(search, autoescape=True), *elsewhere)


def _read(connection: Connection, query: Select[Any]) -> list[Account]:
    found = connection.execute(query).all()
    numbers = None if len(found) > _FEW else [row.id for row in found]
    aliases = _names(connection, _aliases.c.address, _aliases.c.account_id, numbers)
    domains = _names(connection, _domains.c.domain, _domains.c.account_id, numbers)
    return [_account(row, aliases.get(row.id, ()), domains.get(row.id, ())) for row in found]


_FEW = 200
"""Up to this many accounts, only their aliases and domains are read; for more, all are."""


def _names(
    connection: Connection, name: Any, owner: Any, numbers: Iterable[int] | None
) -> dict[int, tuple[str, ...]]:
    query = select(owner, name).order_by(name)
    names: dict[int, tuple[str, ...]] = {}
    for number, one in connection.execute(
        query if numbers is None else query.where(owner.in_(numbers))
    ):
        names[number] = (*names.get(number, ()), one)
    return names


def _account(row: Row[Any], aliases: tuple[str, ...], domains: tuple[str, ...]) -> Account:
    values = from_columns(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's public name
    return Account(**values, aliases=aliases, domains=domains)


def certificates(connection: Connection, owner: Account) -> list[StoredCertificate]:
    """The active ones first, then in the order they came."""
    query = _certificates.where(_held.c.account_id == owner.id)
    query = query.order_by(_held.c.state, _held.c.id)
    return [record.certificate(*row) for row in connection.execute(query)]


def certificate(connection: Connection, owner: Account, fingerprint: str) -> StoredCertificate:
    """One of them. Raises NotFound ``no-such-certificate``."""
    where = _held.c.account_id == owner.id, _held.c.fingerprint == fingerprint
    row = connection.execute(_certificates.where(*where)).one_or_none()
    if row is None:
        message = f"{owner.address} has no certificate {fingerprint}"
        raise NotFound("no-such-certificate", message)
    return record.certificate(*row)


def switches(connection: Connection) -> dict[str, str]:
    """All of them; one that was never set has its default."""
    columns = tables.switches.c
    return record.switches_of(connection.execute(select(columns.name, columns.value)).all())
