"""Certificates know whether nothing is sealed to them beside others of their account."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op

from cmstream.accounts.sealed_to import unfit
from cmstream.certificates.recipient import Recipient
from cmstream.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

revision = "0004"
down_revision = "0003"

_held = sa.table("certificates", *map(sa.column, ("id", "account_id", "der", "state", "set_aside")))


def upgrade() -> None:
    column = sa.Column("set_aside", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("certificates", column)
    columns = _held.c
    several = (
        sa.select(columns.account_id)
        .where(columns.state == "active")
        .group_by(columns.account_id)
        .having(sa.func.count() > 1)
    )
    query = sa.select(columns.account_id, columns.id, columns.der)
    query = query.where(columns.state == "active", columns.account_id.in_(several))
    query = query.order_by(columns.account_id).execution_options(yield_per=500)
    rows = op.get_bind().execute(query)
    aside = [one for _, found in groupby(rows, itemgetter(0)) for one in _set_aside(found)]
    for number in aside:
        op.execute(sa.update(_held).where(columns.id == number).values(set_aside=True))


def _set_aside(rows: Iterable[Any]) -> Iterator[int]:
    """The numbers of those of one account's certificates."""
    read = {}
    for _, number, der in rows:
        with suppress(CertificateError):  # nor can it be sealed to
            read[Recipient.from_der(bytes(der))] = number
    return map(read.__getitem__, unfit(read))
