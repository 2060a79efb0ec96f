"""Whether Postfix hands mail for each domain of the store to the gateway, for
``cmstream doctor``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .doctor_postfix import clients, sees_all
from .findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..accounts.account import Account
    from .doctor_postfix import Configuration
    from .findings import Status

_CLASSES = {
    "mydestination": ("mailbox_transport", "local_transport"),
    "virtual_mailbox_domains": ("virtual_transport",),
    "relay_domains": ("relay_transport",),
}
"""Where Postfix finds a domain, and the settings that say who gets its mail: the first that is
set."""
_ELSEWHERE = "transport_maps", "mailbox_transport_maps"


def look(found: Configuration, accounts: Iterable[Account]) -> Iterator[Finding]:
    """Each kind of domain whose mail passes the gateway by, or may."""
    # Tables of single addresses aren't read here, and a filter gets mail for all domains.
    if sees_all(found) or any(map(found.value, _ELSEWHERE)):
        return
    handed = {f"{one.service.partition('/')[0]}:{one.place}" for one in clients(found)}
    if not handed:
        return  # doctor_postfix says that nothing is handed over
    sealed = {one for account in accounts if account.cipher for one in _domains(account)}
    ways: dict[str, list[str]] = {}
    for name, transports in _CLASSES.items():
        here = sorted(sealed & {*re.split(r"[,\s]+", found.value(name).lower())})
        setting = next(filter(found.value, transports), transports[0])
        way = ":".join(found.value(setting).partition(":")[::2])
        if here and way in handed:
            ways.setdefault(way, []).extend(here)
        elif here:
            yield _passed_by(found, name, transports[0], here, handed)
    if len(ways) > 1:
        told = ", ".join(f"{_some(domains)} to {way}" for way, domains in sorted(ways.items()))
        text = f"mail is handed to several places, and each must be a gateway's: {told}"
        remedy = "where there is another server, let Postfix hand this mail to the gateway"
        yield Finding("postfix", "warning", text, remedy)


def _domains(account: Account) -> Iterator[str]:
    for address in (account.address, *account.aliases):
        yield address.rpartition("@")[2]
    yield from account.domains


def _some(domains: Sequence[str]) -> str:
    more = f" and {len(domains) - 3} more" if len(domains) > 3 else ""  # noqa: PLR2004
    return ", ".join(domains[:3]) + more


def _passed_by(
    found: Configuration, name: str, setting: str, here: list[str], handed: set[str]
) -> Finding:
    text = (
        f"mail for {_some(here)} isn't handed to the gateway, and stays as it is: {name} has the "
        "domain"
    )
    # An alias may lead this mail to another domain.
    status: Status = "warning" if found.value("virtual_alias_maps") else "wrong"
    if len(handed) == 1:
        remedy = f"postconf -e '{setting} = {min(handed)}'"
    else:
        places = ", ".join(sorted(handed))
        remedy = f"set {setting} to the gateway's place, which is one of {places}"
    return Finding("postfix", status, text, remedy)
