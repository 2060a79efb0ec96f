"""Limits how often a password is tried: for a name from one network, for a name, from a network.

Attempts are counted in the store, so that the limit holds for all workers and machines. Strangers
reach the limit for a name only from many networks, and the others go on meanwhile: whoever comes
from another network, and whoever has signed in already and gives the password again, which counts
for the session alone.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select

from ..errors import AccessDenied
from ..tables import attempts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

WINDOW = timedelta(minutes=15)
"""Only attempts of the last quarter of an hour count: the window slides."""
BY_NAME_AND_SOURCE = 10
"""Attempts for one name from one address in a window."""
BY_NAME = 100
"""Attempts for one name in a window, from anywhere."""
BY_SOURCE = 50
"""Attempts from one address in a window; many people may stand behind one."""
BY_SESSION = 10
"""Attempts to give the password again in one session in a window."""

_IPV6_SITE = 64


def subjects(name: str, source: str) -> dict[str, int]:
    """Whom an attempt to sign in counts for, each with its limit, the narrowest first. A name isn't
    stored as it was typed: it may be a password in the wrong field."""
    found = {_pair(name, source): BY_NAME_AND_SOURCE, _subject("name", name): BY_NAME}
    if source:
        found[_subject("source", _network(source))] = BY_SOURCE
    return found


def of_session(token: str) -> dict[str, int]:
    """Whom an attempt to give the password again counts for."""
    return {_subject("session", token): BY_SESSION}


def claim(connection: Connection, counted: Mapping[str, int], at: datetime) -> list[int]:
    """Count an attempt before its password is looked at, and give the attempt's numbers. The
    transaction must be the only one that writes. Raises AccessDenied ``too-many-attempts``."""
    # Those from the future were counted while the clock was wrong: nobody has to wait until then.
    gone = (attempts.c.at <= at - WINDOW) | (attempts.c.at > at + WINDOW)
    connection.execute(delete(attempts).where(gone))
    for subject, limit in counted.items():
        _refuse_above(connection, subject, limit, at)
    return [_count(connection, subject, at) for subject in counted]


def forgive(connection: Connection, counted: Mapping[str, int], numbers: list[int]) -> None:
    """The password was right: forget this attempt, and all of the narrowest subject. Those of the
    address stay: whoever has one account could try the others for ever. Those for the name stay
    too, which may be a stranger's."""
    mine = attempts.c.id.in_(numbers) | (attempts.c.subject == next(iter(counted)))
    connection.execute(delete(attempts).where(mine))


def forgive_name(connection: Connection, name: str) -> None:
    """A new password was chosen: forget all attempts for the name, from anywhere."""
    subject = attempts.c.subject
    mine = subject.startswith(_subject("pair", name)) | (subject == _subject("name", name))
    connection.execute(delete(attempts).where(mine))


def _refuse_above(connection: Connection, subject: str, limit: int, at: datetime) -> None:
    mine = attempts.c.subject == subject
    made = connection.execute(select(func.count()).select_from(attempts).where(mine)).scalar_one()
    if made < limit:
        return
    query = select(attempts.c.at).where(mine).order_by(attempts.c.at.desc())
    free = connection.execute(query.offset(limit - 1).limit(1)).scalar_one() + WINDOW
    seconds = max(1, math.ceil((free - at).total_seconds()))
    raise AccessDenied(
        "too-many-attempts",
        f"too many attempts to sign in: try again in {math.ceil(seconds / 60)} minutes",
        retry_after=seconds,
    )


def _count(connection: Connection, subject: str, at: datetime) -> int:
    done = connection.execute(insert(attempts).values(subject=subject, at=at))
    (number,) = done.inserted_primary_key or (0,)
    return int(number)


def _pair(name: str, source: str) -> str:
    return f"{_subject('pair', name)}{_subject('', _network(source))}"


def _subject(kind: str, value: str) -> str:
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kind}:{digest[:32]}"


def _network(source: str) -> str:
    """Of IPv6 the network, since each customer has one with any number of addresses."""
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_SITE), strict=False))
