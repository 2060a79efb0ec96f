"""Configuration for the programs around the gateway, with its own places filled in."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..accounts.addresses import DELIMITERS
from . import units
from .protocol.seal import DEFAULT_SOCKET
from .settings import Place, Settings, Tls

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILES = {
    "postfix": "postfix.sh",
    "dovecot": "dovecot.conf",
    "exim": "exim.conf",
    "opensmtpd": "smtpd.conf",
    "systemd": "systemd.sh",
}
NAMES = tuple(_FILES)
_PORTS = {"lmtp": 10024, "lmtps": 10024, "milter": 10025, "smtp": 10026, "smtps": 10026}
"""Where the units print a socket for which only systemd's name is known."""
_QUEUE = "/var/spool/postfix/"
_LOOPBACK = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def printed(name: str, settings: Settings) -> str:
    """What the program ``name``, one of NAMES, is to be told. Raises ValueError where it can't
    hand mail to any of the places where the gateway listens."""
    values = {"postfix": _postfix, "dovecot": _dovecot, "systemd": _systemd}.get(name, _by_lmtp)
    return units.rendered(_FILES[name], settings=settings, **values(name, settings))


def _listening(settings: Settings, *protocols: str) -> Place | None:
    """Where a program on this machine reaches the gateway by one of these protocols."""
    found = (one for one in settings.listen if one.protocol in protocols)
    return next(map(_reached, found), None)


def _reached(place: Place) -> Place:
    if place.name:
        return _of_unit(place)
    return replace(place, host=_LOOPBACK.get(place.host, place.host))


def _of_unit(place: Place) -> Place:
    if place.protocol == "seal":
        return Place("seal", path=DEFAULT_SOCKET)
    return Place(place.protocol, host="127.0.0.1", port=_PORTS[place.protocol])


def _address(place: Place) -> str:
    """HOST:PORT, in brackets where the host is an address of IPv6."""
    return str(replace(place, protocol="")).removeprefix(":")


def _is_here(place: Place) -> bool:
    try:
        return ipaddress.ip_address(place.host).is_loopback
    except ValueError:  # a name
        return False


def _missing(name: str, *ways: str) -> ValueError:
    return ValueError(f"--print {name}: it hands mail over by {' or '.join(ways)}: add a --listen")


# --- one program each ------------------------------------------------------------------------


def _postfix(name: str, settings: Settings) -> dict[str, Any]:
    lmtp, smtp = _listening(settings, "lmtp", "lmtps"), _listening(settings, "smtp")
    milter = _listening(settings, "milter")
    if not (lmtp or smtp or milter):
        raise _missing(name, "lmtp", "smtp", "milter")
    hop = settings.next_hop
    back = hop if hop and hop.protocol == "smtp" and hop.port else None
    # A server on this machine that isn't told of as Dovecot's puts the mail into the queue again.
    refilled = bool(lmtp and not smtp and back and _is_here(_reached(back)))
    outside = [one for one in (lmtp, milter) if one and one.path and _QUEUE not in one.path]
    return {
        "lmtp": lmtp and _postfix_place(lmtp),
        "smtp": smtp and _postfix_place(smtp),
        "filter": smtp and smtp.port and _postfix_filter(smtp),
        "milter": milter and _postfix_place(milter),
        "refilled": refilled,
        "filters": refilled or bool(smtp),
        "back": back and _address(_reached(back)),
        "hop": hop,
        "outside": outside,
        "tls": bool(lmtp and lmtp.tls) or settings.require_tls,
        "wrapped": bool(lmtp and lmtp.tls),
        # After the gateway has given up on the next hop, never before.
        "seconds": max(600, round(settings.next_timeout) + 300),
    }


def _postfix_place(place: Place) -> str:
    """Postfix's programs live below its queue, and see paths from there."""
    if place.path:
        return f"unix:{place.path.removeprefix(_QUEUE)}"
    return f"inet:{_address(place)}"


def _postfix_filter(place: Place) -> str:
    """As a destination of Postfix's smtp client, which knows no Unix sockets and looks no mail
    server up for what stands in brackets."""
    return f"[{place.host}]:{place.port}"


def _dovecot(name: str, settings: Settings) -> dict[str, Any]:
    hop = settings.next_hop
    if hop is None or not hop.lmtp:
        raise ValueError(f"--print {name}: it takes mail by LMTP: name it with --next lmtp:PLACE")
    # Debian's own lines name this socket without the folder: Dovecot starts only if ours do too.
    listener = re.sub("^(/var)?/run/dovecot/", "", hop.path)
    return {"hop": _reached(hop), "listener": listener, "delimiters": DELIMITERS}


def _by_lmtp(name: str, settings: Settings) -> dict[str, Any]:
    lmtp = _listening(settings, "lmtp")
    if lmtp is None:
        raise _missing(name, "lmtp")
    target = lmtp.path or _address(lmtp)
    seconds = max(600, round(settings.next_timeout) + 300)
    return {"lmtp": lmtp, "target": target, "seconds": seconds}


# --- systemd ---------------------------------------------------------------------------------


def _systemd(name: str, settings: Settings) -> dict[str, Any]:
    del name
    sockets = dict(zip(_names(settings), map(_unit_place, settings.listen), strict=True))
    named = tuple(
        Place(place.protocol, name=one) for one, place in zip(sockets, settings.listen, strict=True)
    )
    store = units.database(settings.database)
    kept = store.writes
    if settings.log_file:
        kept.add(settings.log_file.absolute().parent)
    if store.usual:
        kept.discard(units.STATE)
    program = units.program()
    options = _options(replace(settings, listen=named, database=store.url))
    return {
        "sockets": sockets,
        "program": program[0],
        "lines": [" ".join(map(units.word, [*program, "gateway"])), *map(units.word, options)],
        "store": store,
        "writes": [units.word(str(one)) for one in sorted(kept)],
        "home": program[0].startswith(("/home/", "/root/")),
        "rights": "",
        "seconds": round(settings.drain_timeout) + 15,
    }


def _names(settings: Settings) -> list[str]:
    """A name for each socket, by which systemd passes it."""
    names: list[str] = []
    for place in settings.listen:
        wanted = place.name or place.protocol
        same = sum(one.partition("-")[0] == wanted for one in names)
        names.append(f"{wanted}-{same + 1}" if wanted in names else wanted)
    return names


def _unit_place(place: Place) -> Place:
    return _of_unit(place) if place.name else place


_ELSEWHERE = {"listen", "next_hop", "tls", "next_tls", "health", "announce_chunking",
              "next_chunking", "next_connect_timeout", "next_idle", "tls_timeout"}  # fmt: skip


def _options(settings: Settings) -> Iterator[str]:
    """The options that lead to these settings."""
    for one in settings.listen:
        yield f"--listen={one}"
    if settings.next_hop:
        yield f"--next={settings.next_hop}"
    usual = Settings((), "")
    for field in fields(Settings):
        value = getattr(settings, field.name)
        if field.name in _ELSEWHERE or value == getattr(usual, field.name):
            continue
        option = f"--{field.name.replace('_', '-')}"
        yield option if value is True else f"{option}={value}"
    yield from _files("--tls-{}", settings.tls, "client-ca")
    yield from _files("--next-{}", settings.next_tls, "ca")
    if settings.health:
        yield f"--health={_address(settings.health)}"
    if settings.announce_chunking is not None:
        yield f"--announce-chunking={'yes' if settings.announce_chunking else 'no'}"
    if not settings.next_chunking:
        yield "--no-next-chunking"


def _files(option: str, tls: Tls, ca: str) -> Iterator[str]:
    for name, file in (("certificate", tls.certificate), ("key", tls.key), (ca, tls.ca)):
        if file:
            yield f"{option.format(name)}={Path(file).absolute()}"
