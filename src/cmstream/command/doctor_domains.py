"""Whether Postfix hands mail for each domain of the store to the gateway, for
``cmstream doctor``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .doctor_postfix import clients, sees_all
from .findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    """Each kind of domain whose mail passes the gateway by."""
    # Tables of single addresses aren't read here, and a filter gets mail for all domains.
    if sees_all(found) or any(map(found.value, _ELSEWHERE)):
        return
    handed = {one.service for one in clients(found)}
    if not handed:
        return  # doctor_postfix says that nothing is handed over
    sealed = {one for account in accounts if account.cipher for one in _domains(account)}
    for name, transports in _CLASSES.items():
        here = sorted(sealed & {*re.split(r"[,\s]+", found.value(name).lower())})
        setting = next(filter(found.value, transports), transports[0])
        if here and f"{found.value(setting).partition(':')[0]}/unix" not in handed:
            yield _passed_by(found, name, transports[0], here)


def _domains(account: Account) -> Iterator[str]:
    for address in (account.address, *account.aliases):
        yield address.rpartition("@")[2]
    yield from account.domains


def _passed_by(found: Configuration, name: str, setting: str, here: list[str]) -> Finding:
    more = f" and {len(here) - 3} more" if len(here) > 3 else ""  # noqa: PLR2004
    text = (
        f"mail for {', '.join(here[:3])}{more} isn't handed to the gateway, and stays as it is: "
        f"{name} has the domain"
    )
    places = sorted({f"{one.service.partition('/')[0]}:{one.place}" for one in clients(found)})
    # An alias may lead this mail to another domain.
    status: Status = "warning" if found.value("virtual_alias_maps") else "wrong"
    return Finding("postfix", status, text, f"postconf -e '{setting} = {places[0]}'")
