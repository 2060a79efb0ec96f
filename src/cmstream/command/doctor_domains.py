"""Whether Postfix hands mail for each domain of the store to the gateway, for
``cmstream doctor``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .doctor_postfix import clients, same, sees_all
from .findings import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ..accounts.account import Account
    from .doctor_postfix import Configuration
    from .findings import Status

_CLASSES = {
    "mydestination": "local_transport",
    "virtual_mailbox_domains": "virtual_transport",
    "relay_domains": "relay_transport",
}
"""Where Postfix finds a domain, and the setting that says who gets its mail."""
_ELSEWHERE = "transport_maps", "mailbox_transport_maps"


def look(found: Configuration, accounts: Iterable[Account]) -> Iterator[Finding]:
    """Each kind of domain whose mail passes the gateway by, or may."""
    # Tables of single addresses aren't read here, and a filter gets mail for all domains.
    if sees_all(found) or any(map(found.value, _ELSEWHERE)):
        return
    queue = found.value("queue_directory")
    handed = {same(one.place, queue): f"{one.service.partition('/')[0]}:{one.place}".rstrip(":")
              for one in clients(found)}  # fmt: skip
    if not handed:
        return  # doctor_postfix says that nothing is handed over
    sealed = {one for account in accounts if account.cipher for one in _domains(account)}
    ways: dict[str, list[str]] = {}
    for name in _CLASSES:
        here = sorted(sealed & {*re.split(r"[,\s]+", found.value(name).lower())})
        setting = _decides(found, name)
        transport, _, place = found.value(setting).partition(":")
        speaks = found.services.get(f"{transport}/unix") == "lmtp"
        if here and speaks and same(place, queue) in handed:
            ways.setdefault(same(place, queue), []).extend(here)
        elif here:
            yield _passed_by(found, name, setting, here, handed.values())
    if ways and len(handed) > 1:
        told = ", ".join(f"{_some(names)} to {handed[place]}" for place, names in ways.items())
        text = f"mail is handed to several places: is a gateway where it must be? {told}"
        remedy = "where there is another server, let Postfix hand this mail to the gateway"
        yield Finding("postfix", "warning", text, remedy)


def _decides(found: Configuration, name: str) -> str:
    """The setting that says who gets the mail of a kind of domain. Only Postfix's own local(8) asks
    for mailbox_transport."""
    setting = _CLASSES[name]
    transport = found.value(setting).partition(":")[0]
    local = found.services.get(f"{transport}/unix", transport) == "local"
    return "mailbox_transport" if local else setting


def _domains(account: Account) -> Iterator[str]:
    for address in (account.address, *account.aliases):
        yield address.rpartition("@")[2]
    yield from account.domains


def _some(domains: Sequence[str]) -> str:
    more = f" and {len(domains) - 3} more" if len(domains) > 3 else ""  # noqa: PLR2004
    return ", ".join(domains[:3]) + more


def _passed_by(
    found: Configuration, name: str, setting: str, here: list[str], handed: Collection[str]
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
