"""What a ServerSession tells its application. Those marked *waits* want an answer first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .envelope import Mail, Rcpt


@dataclass(slots=True)
class MailBegin:
    """MAIL: a message begins. *Waits*; 2xx accepts the sender."""

    mail: Mail


@dataclass(slots=True)
class Recipient:
    """RCPT. *Waits*; 2xx puts it among the session's ``accepted``."""

    rcpt: Rcpt


@dataclass(slots=True)
class DataBegin:
    """DATA, or the first BDAT. *Waits*; 354 goes on (and isn't sent to a BDAT), everything else
    refuses the message, of which no Reset tells again."""


@dataclass(slots=True)
class DataChunk:
    """Some of the content, its dots taken out, in pieces as they come."""

    data: bytes


@dataclass(slots=True)
class MessageEnd:
    """The message is whole. *Waits*: for one reply, in LMTP for one for each recipient in
    ``accepted``."""


@dataclass(slots=True)
class Reset:
    """The message that had begun is to be forgotten, with what XFORWARD told of it. ``reason``:
    for logs."""

    reason: str


@dataclass(slots=True)
class StartTls:
    """What is to be sent now is the last in the clear. Send it, do the handshake, and call the
    session's ``tls_started``."""


@dataclass(slots=True)
class XForward:
    """What the client knows of the client before it, as far as the next message goes.
    ``attributes``: by name, None for what isn't known. ``raw``: what stood behind the command, to
    be handed on."""

    attributes: dict[bytes, bytes | None]
    raw: bytes


@dataclass(slots=True)
class XClient:
    """The client speaks for another, as XForward has it. The session begins anew."""

    attributes: dict[bytes, bytes | None]
    raw: bytes


@dataclass(slots=True)
class Quit:
    """The session is over: close the connection once everything is sent. ``reason``: for logs."""

    reason: str


Event: TypeAlias = (
    MailBegin | Recipient | DataBegin | DataChunk | MessageEnd | Reset
    | StartTls | XForward | XClient | Quit
)  # fmt: skip
