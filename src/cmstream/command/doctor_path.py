"""What ``cmstream doctor`` asks the gateway, by its socket, and the next hop: whether they answer,
what the next hop announces and what that means, and whether it takes a message."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..accounts.permission import barrier
from ..gateway.next_hop import NextHop, Unreachable
from ..gateway.protocol.conversation import Content
from ..gateway.protocol.envelope import NULL, EnvelopeError, Mail, parse_rcpt
from ..gateway.protocol.seal import DEFAULT_SOCKET, END, Answer, Request, chunk
from ..gateway.tls import for_next_hop
from .endings import Failure
from .findings import GROWTH, Finding
from .seal_client import FORMS, VARIABLE, Gateway

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..gateway.protocol.replies import Reply
    from ..gateway.settings import Settings
    from .findings import Status

# --- the gateway's socket --------------------------------------------------------------------

PATIENCE = 10.0
"""Seconds that a gateway has to answer."""
_NOBODY = "nobody@doctor.invalid"
_PROBE = b"From: postmaster\r\nSubject: cmstream doctor\r\n\r\nIs anybody there?\r\n"


def look_at_socket(named: str | None) -> Finding:
    """Whether a gateway answers at its socket. ``named``: a place, or None for the usual one."""
    place = named or os.environ.get(VARIABLE) or DEFAULT_SOCKET
    place = place.removeprefix("seal:")
    if place == DEFAULT_SOCKET and not named and not Path(place).exists():
        text = f"no gateway has {place}: cmstream seal asks the database itself, and takes longer"
        return Finding("socket", "ok", text)
    try:
        gateway = Gateway(place, PATIENCE)
    except ValueError:
        return Finding("socket", "wrong", f"{place} is no place of a socket", f"give {FORMS}")
    except OSError as error:
        path = place.removeprefix("unix:")
        why = barrier(Path(path), os.R_OK | os.W_OK) if path.startswith("/") else ""
        text = why or f"nobody answers at {place} ({error.strerror or error})"
        remedy = "add this user to the socket's group" if why else "start cmstream gateway there"
        return Finding("socket", "wrong", text, remedy)
    try:
        return _asked(gateway)
    except Failure as failure:
        return Finding("socket", "wrong", str(failure))
    finally:
        gateway.close()


def _asked(gateway: Gateway) -> Finding:
    """A message for nobody: it must come back as it is."""
    request = Request([_NOBODY], append=False, require=False)
    gateway.send(request.octets() + chunk(_PROBE) + END)
    events = list(gateway.events())
    answers = [one for one in events if isinstance(one, Answer)]
    body = b"".join(one for one in events if isinstance(one, bytes))
    if answers[0].code == 0 and body == _PROBE:
        return Finding("socket", "ok", f"the gateway at {gateway.place} answers")
    why = " ".join(answers[0].sentences) if answers[0].code else "it gives back another message"
    return Finding("socket", "wrong", f"the gateway at {gateway.place} can't work: {why}")


# --- the next hop ----------------------------------------------------------------------------

_WITHOUT: dict[bytes, tuple[Status, str]] = {
    b"8BITMIME": ("warning", "senders change 8-bit mail to quoted-printable before it is sealed"),
    b"PIPELINING": ("warning", "each command waits for its reply, which takes longer"),
    b"CHUNKING": (
        "warning",
        "mail that isn't sealed and has a line with a lone dot and a bare CR or LF is refused",
    ),
    b"SMTPUTF8": ("ok", "mail to or from addresses that aren't ASCII is refused"),
    b"DSN": (
        "ok",
        "a sender who asks for a report learns that a server handed mail on, no more",
    ),
}
"""What it means where something isn't announced: the gateway announces only what the next hop has,
since that would bounce what it lacks."""


def look_at_next_hop(settings: Settings, longest: int | None) -> tuple[bool, list[Finding]]:
    """Whether it answers, and what that means. ``longest``: bytes of a message that the server
    before the gateway takes; 0 for any, None if that isn't known. Raises TlsError."""
    try:
        features = asyncio.run(_features(_hop(settings)))
    except Unreachable as error:
        place = settings.next_hop
        path = place.path if place else ""
        why = barrier(Path(path), os.R_OK | os.W_OK) if path else ""
        remedy = "let the gateway's user connect" if why else "start it, or check --next"
        return False, [Finding("next hop", "wrong", why or str(error), remedy)]
    return True, [*_meaning(settings, features, longest)]


def _meaning(
    settings: Settings, features: Mapping[bytes, bytes], longest: int | None
) -> Iterator[Finding]:
    said = ", ".join(name.decode("ascii", "backslashreplace") for name in sorted(features))
    yield Finding("next hop", "ok", f"{settings.next_hop} announces {said or 'nothing'}")
    for name, (status, meaning) in _WITHOUT.items():
        if name not in features:
            text = f"without {name.decode()}, {meaning}"
            yield Finding("next hop", status, text)
    size = features.get(b"SIZE", b"").strip()
    limit = int(size) if size.isdigit() else 0
    if limit and longest is not None and (not longest or longest * GROWTH > limit):
        text = (
            f"it takes {limit} bytes, and the longest message that Postfix takes is longer when "
            "it is sealed"
        )
        remedy = "raise its limit, or lower message_size_limit in front of the gateway"
        yield Finding("next hop", "warning", text, remedy)


def deliver(settings: Settings, address: str, sealed: bytes) -> Finding:
    """Gives a test message to the next hop. Raises TlsError."""
    try:
        rcpt = parse_rcpt(f"TO:<{address}>".encode())
    except EnvelopeError as error:
        return Finding("delivery", "wrong", f"{address}: {error}")
    content = Content(len(sealed), lambda: iter((sealed,)))

    async def give() -> list[Reply]:
        hop = _hop(settings)
        try:
            return await hop.deliver(Mail(NULL), [rcpt], content)
        finally:
            hop.close()

    (reply,) = asyncio.run(give())
    good = reply.kind == 2  # noqa: PLR2004
    text = f"the next hop {'took' if good else 'refused'} the test message: {reply.text}"
    return Finding("delivery", "ok" if good else "wrong", text)


async def _features(hop: NextHop) -> Mapping[bytes, bytes]:
    try:
        connection = await hop.connect()
        hop.release(connection)
        return connection.features
    finally:
        hop.close()


def _hop(settings: Settings) -> NextHop:
    place = settings.next_hop
    if place is None:
        raise ValueError("there is no next hop")
    return NextHop(place, settings, for_next_hop(settings))
