"""What the database holds about one address, asked for in SQL that SQLite and PostgreSQL both take.

SQLAlchemy takes ten times as long to import as one lookup takes, so that nothing here needs it.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .account import SWITCHES, Account, StoredCertificate
from .account_settings import STORED, from_columns
from .addresses import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .addresses import Key


class Ask(Protocol):
    """Runs a statement, whose parameters are written ``:name``, and gives all rows."""

    def __call__(self, statement: str, **values: object) -> Sequence[Sequence[Any]]: ...


class Record(NamedTuple):
    """What the database held at one moment, as far as one address goes."""

    switches: Mapping[str, str]
    account: Account | None = None
    certificates: Sequence[StoredCertificate] = ()


_COUNTER = "SELECT counter FROM changes WHERE id = 1"
_SWITCHES = "SELECT name, value FROM switches"
_OWNERS = """
SELECT 'account', address, address FROM accounts WHERE address IN (:exact, :base)
UNION ALL
SELECT 'alias', aliases.address, accounts.address FROM aliases
JOIN accounts ON aliases.account_id = accounts.id WHERE aliases.address IN (:exact, :base)
UNION ALL
SELECT 'domain', domains.domain, accounts.address FROM domains
JOIN accounts ON domains.account_id = accounts.id WHERE domains.domain = :domain
"""
_SETTINGS = ("id", "address", *STORED, "created_at")
_ACCOUNT = f"SELECT {', '.join(_SETTINGS)} FROM accounts WHERE address = :address"  # noqa: S608 - names of ours
_ALIASES = "SELECT address FROM aliases WHERE account_id = :id ORDER BY address"
_DOMAINS = "SELECT domain FROM domains WHERE account_id = :id ORDER BY domain"
CERTIFICATE = (
    "fingerprint", "der", "description", "state", "mismatch_confirmed", "not_after", "added_at",
    "added_by", "set_aside",
)  # fmt: skip
"""The columns that :func:`certificate` takes, in this order."""
_CERTIFICATES = f"""
SELECT {", ".join(CERTIFICATE)} FROM certificates WHERE account_id = :id ORDER BY state, id
"""  # noqa: S608 - names of ours


def counter(ask: Ask) -> int:
    """How many transactions there have been that may change an answer."""
    ((found,),) = ask(_COUNTER)
    return int(found)


def read(ask: Ask, exact: str) -> Record:
    """All that decides how mail for an address in canonical form is sealed."""
    switches = switches_of(ask(_SWITCHES))
    address = _owner(ask, keys(exact, switches["recipient_delimiter"]))
    if address is None:
        return Record(switches)
    ((number, *rest),) = ask(_ACCOUNT, address=address)
    held = [certificate(*row) for row in ask(_CERTIFICATES, id=number)]
    return Record(switches, _account(ask, [number, *rest], held), held)


def _owner(ask: Ask, asked: Sequence[Key]) -> str | None:
    """The address of the account that the first matching key leads to."""
    addresses = [key.value for key in asked if key.kind == "account"]
    leads = ask(_OWNERS, exact=addresses[0], base=addresses[-1], domain=asked[-1].value)
    found = {(kind, value): owner for kind, value, owner in leads}
    return next((found[key] for key in asked if key in found), None)


def _account(ask: Ask, row: Sequence[Any], held: Sequence[StoredCertificate]) -> Account:
    values = from_columns(dict(zip(_SETTINGS, row, strict=True)))
    values["created_at"] = _moment(values["created_at"])
    active = [one for one in held if one.state == "active"]
    return Account(
        **values,
        aliases=tuple(one for (one,) in ask(_ALIASES, id=values["id"])),
        domains=tuple(one for (one,) in ask(_DOMAINS, id=values["id"])),
        active=len(active),
        retired=len(held) - len(active),
        expires_at=max((one.not_after for one in active if not one.set_aside), default=None),
    )


def switches_of(rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """All of them by name; one that was never set has its default."""
    stored: dict[str, str] = {name: value for name, value in rows}  # noqa: C416 - rows
    return {name: stored.get(name, values[0]) for name, values in SWITCHES.items()}


def certificate(
    fingerprint: str, der: Any, description: str, state: Any, confirmed: Any, *rest: Any
) -> StoredCertificate:
    not_after, added_at, added_by, aside = rest
    return StoredCertificate(
        fingerprint=fingerprint,
        der=bytes(der),
        description=description,
        state=state,
        mismatch_confirmed=bool(confirmed),
        not_after=_moment(not_after),
        added_at=_moment(added_at),
        added_by=added_by,
        set_aside=bool(aside),
    )


def _moment(stored: Any) -> datetime:
    """SQLite has text in UTC without its zone; PostgreSQL's driver gives a moment in some zone."""
    if isinstance(stored, datetime):
        return stored.astimezone(timezone.utc)
    return datetime.fromisoformat(stored).replace(tzinfo=timezone.utc)
