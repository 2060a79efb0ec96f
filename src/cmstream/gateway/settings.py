"""What the gateway is told: where it listens, where mail goes, its limits."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOLS = ("lmtp", "smtp", "lmtps", "smtps", "milter", "seal")
"""Those of ``--listen``; with an s at the end, TLS from the first byte on."""
NEXT = ("lmtp", "smtp", "lmtps", "smtps")

MiB = 1 << 20


@dataclass(frozen=True)
class Place:
    """A protocol and where it is spoken: ``host`` and ``port``, or the ``path`` of a Unix socket,
    or the ``name`` of a socket that systemd opened."""

    protocol: str
    host: str = ""
    port: int = 0
    path: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str, protocols: tuple[str, ...] = PROTOCOLS) -> Place:
        """Reads ``PROTOCOL:PLACE``. The place is ``HOST:PORT``, ``inet:HOST:PORT``,
        ``inet6:[HOST]:PORT``, ``unix:PATH`` or ``systemd:NAME``. Raises ValueError."""
        protocol, _, place = text.partition(":")
        if protocol not in protocols:
            raise ValueError(f"{text}: it must begin with one of {', '.join(protocols)}, and a ':'")
        kind, _, rest = place.partition(":")
        if kind == "unix":
            if not rest.startswith("/"):
                raise ValueError(f"{text}: give the whole path of the socket: unix:/run/…")
            return cls(protocol, path=rest)
        if kind == "systemd":
            return cls(protocol, name=rest or protocol)
        host, _, port = (rest if kind in ("inet", "inet6") else place).rpartition(":")
        if not host or host.startswith("/") or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text}: give HOST:PORT, unix:PATH or systemd:NAME")
        return cls(protocol, host=host.strip("[]"), port=int(port))

    @property
    def tls(self) -> bool:
        """TLS from the first byte on."""
        return self.protocol in ("lmtps", "smtps")

    @property
    def lmtp(self) -> bool:
        """LMTP rather than SMTP."""
        return self.protocol in ("lmtp", "lmtps")

    def __str__(self) -> str:
        if self.path:
            return f"{self.protocol}:unix:{self.path}"
        if self.name:
            return f"{self.protocol}:systemd:{self.name}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.protocol}:{host}:{self.port}"


@dataclass(frozen=True)
class Tls:
    """Files of one side's TLS. ``ca``: whose certificates the other side must show, or nothing."""

    certificate: str = ""
    key: str = ""
    ca: str = ""


@dataclass(frozen=True)
class Settings:
    """Everything that ``cmstream gateway`` is told. Sizes in bytes, times in seconds."""

    listen: tuple[Place, ...]
    database: str
    next_hop: Place | None = None
    hostname: str = field(default_factory=socket.gethostname)
    workers: int = 1

    # What becomes of mail
    require: bool = False
    """Mail that would be left in the clear gets a temporary failure."""
    mixed: Literal["together", "split"] = "together"
    """One message for all who are sealed for, or one for each account, where a protocol has only
    one message for all recipients (SMTP and milter)."""
    domain: str = ""
    """That of recipients who have none."""
    received: bool = False
    """Add a Received field, and refuse mail that has more than ``hop_limit`` of them."""
    hop_limit: int = 100
    stream: bool = False
    """Give long messages on as they come in: BER, which some programs can't read."""

    # Limits
    memory: int = MiB
    """A longer message waits in an encrypted temporary file."""
    size_limit: int = 1024 * MiB
    recipient_limit: int = 1000
    connection_limit: int = 1000
    client_limit: int = 500
    """Connections of one client address."""
    command_limit: int = 200
    """Commands without a message."""
    command_timeout: float = 300
    data_timeout: float = 180
    """Between two pieces of a message."""
    tls_timeout: float = 30
    drain_timeout: float = 30
    """How long running transactions may take after SIGTERM."""

    # The next hop
    next_connect_timeout: float = 30
    next_timeout: float = 300
    """For one whole transaction of ordinary size. Shorter than the sender's time for the reply to
    a message, which is 600 at Postfix."""
    next_connections: int = 100
    next_idle: float = 10
    """How long a connection that isn't needed stays open."""
    next_chunking: bool = True

    # Who may connect, and is trusted to say what
    socket_mode: str = "660"
    """Of the Unix sockets that it makes, in octal digits as chmod(1) has them."""
    socket_group: str = ""
    announce_chunking: bool | None = None
    """By default with LMTP alone: Exim tries refused recipients again at once only where it isn't
    announced."""
    xforward: bool = False
    xclient: bool = False
    tls: Tls = Tls()
    require_tls: bool = False
    next_tls: Tls = Tls()
    next_starttls: Literal["never", "may", "must"] = "never"

    # Seen from outside
    health: Place | None = None
    log_format: Literal["text", "json"] = "text"
    log_file: Path | None = None

    def check(self) -> None:
        """Raises ValueError, with the option to change, for what doesn't fit together."""
        mail = [one for one in self.listen if one.protocol in NEXT]
        if mail and self.next_hop is None:
            raise ValueError(f"--listen {mail[0]}: name the server that gets the mail with --next")
        for one in mail:
            if self.next_hop is not None and self.next_hop.lmtp and not one.lmtp:
                raise ValueError(
                    f"--listen {one} --next {self.next_hop}: LMTP has a reply for each recipient "
                    "and SMTP one for all: use lmtp on both sides, or smtp"
                )
            if (one.tls or self.require_tls) and not self.tls.certificate:
                raise ValueError(f"--listen {one}: name a certificate with --tls-certificate")
        hop = self.next_hop
        if hop in mail:
            raise ValueError(f"--next {hop}: the gateway listens there itself: name another server")
        if hop is not None and hop.path and (hop.tls or self.next_starttls == "must"):
            raise ValueError(
                f"--next {hop}: a Unix socket has no name that a certificate could prove: use it "
                "without TLS"
            )
        numbers = {
            name: value for name, value in vars(self).items() if isinstance(value, (int, float))
        }
        for name, value in numbers.items():
            if not isinstance(value, bool) and value <= 0:
                raise ValueError(f"--{name.replace('_', '-')}: give a number above 0")
