"""Whether somebody answers where Postfix hands mail over, for ``cmstream doctor``."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .doctor_postfix import MILTER, PLACE, clients, same
from .findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..gateway.settings import Place
    from .doctor_postfix import Configuration
    from .findings import Status

PATIENCE = 10.0
"""Seconds that a gateway has to greet."""


class Handover(NamedTuple):
    """``place``: as Postfix writes it; ``greets``: whether a gateway speaks first there."""

    place: str
    greets: bool


def look(found: Configuration, next_hop: Place | None = None) -> Iterator[Finding]:
    """Each place at which Postfix hands mail over, and whether it can, and whether that is the
    gateway's ``next_hop``."""
    queue = found.value("queue_directory")
    handovers = sorted(set(_handovers(found)))
    behind = next_hop and same(_place(next_hop), queue)
    past = [one for one in handovers if same(one.place, queue) == behind]
    for one in handovers:
        if one in past:
            text = f"mail goes past the gateway, to the next server itself, at {one.place}"
            # Some domains may be meant to.
            status: Status = "wrong" if past == handovers else "warning"
            yield Finding("gateway", status, text, "let Postfix hand it to the gateway")
            continue
        try:
            said = _greeting(one, queue)
        except (ValueError, PermissionError):
            continue  # no place that can be tried, or Postfix's alone
        except OSError as error:
            why = error.strerror or str(error)
            text = f"nobody answers at {one.place}, where Postfix hands mail over ({why})"
            yield Finding("gateway", "wrong", text, "start cmstream gateway there")
            continue
        if one.greets and not said.startswith("220"):
            text = f"at {one.place}, where Postfix hands mail over, it says {said!r}"
            yield Finding("gateway", "wrong", text, "see the gateway's log")
        else:
            yield Finding("gateway", "ok", f"somebody answers at {one.place}")


def _handovers(found: Configuration) -> Iterator[Handover]:
    for service, program, place, _ in clients(found):
        if place:
            wrapped = found.value(f"{program}_tls_wrappermode", service) == "yes"
            yield Handover(place, not wrapped)
    for service in found.of("smtpd"):
        if place := found.value("smtpd_proxy_filter", service):
            yield Handover(place, greets=True)
    for name in ("smtpd_milters", "non_smtpd_milters"):
        for one in MILTER.findall(found.value(name)):
            yield Handover(re.split(r"[,\s]+", one.strip("{} "))[0], greets=False)


def _place(place: Place) -> str:
    """As Postfix writes it."""
    return f"unix:{place.path}" if place.path else f"{place.host}:{place.port}"


def _greeting(handover: Handover, folder: str) -> str:
    """What is said there first. Raises OSError, and ValueError for what isn't one place."""
    with _connected(handover.place, folder) as connection:
        return connection.recv(512).decode(errors="replace").strip() if handover.greets else ""


def _connected(place: str, folder: str) -> socket.socket:
    if named := PLACE.fullmatch(place):
        return socket.create_connection((named[1] or named[2], named[3]), PATIENCE)
    kind, _, path = place.partition(":")
    if kind != "unix":
        raise ValueError(place)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    try:
        connection.connect(str(Path(folder, path)))
    except OSError:
        connection.close()
        raise
    return connection
