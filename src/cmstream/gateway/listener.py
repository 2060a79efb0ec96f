"""One place where the gateway listens: who may connect, and what is announced there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .protocol.conversation import HANDED_ON
from .protocol.replies import Reply
from .settings import NEXT

if TYPE_CHECKING:
    import ssl

    from .service import Service
    from .settings import Place

TOO_MANY = Reply.of(421, "4.3.2", "too many connections: try again later")
TOO_MANY_OF_YOURS = Reply.of(421, "4.7.0", "too many connections from your address: try later")

NOT_YET = Reply.of(421, "4.4.1", "the next hop can't be reached: try again later")


def address(transport: Any) -> str:
    """Who has connected; nothing for a Unix socket, whose clients are the machine's own servers."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


class Listener:
    """Shared by the connections of one ``--listen`` in one process."""

    def __init__(self, place: Place, service: Service, tls: ssl.SSLContext | None = None) -> None:
        self.place, self.service, self.tls = place, service, tls
        self.connections: dict[Any, str] = {}
        self.closing = False
        self._clients: Counter[str] = Counter()

    def enter(self, connection: Any) -> Reply | None:
        """A client has connected: None, or why it can't stay. Each that enters must leave."""
        client = address(connection.transport)
        settings = self.service.settings
        self._clients[client] += 1
        # Kept, since TLS forgets the address when a connection ends.
        self.connections[connection] = client
        self.service.metrics.connected(self.place.protocol, 1)
        if self.closing or len(self.connections) > settings.connection_limit:
            return TOO_MANY
        next_hop = self.service.next_hop if self.place.protocol in NEXT else None
        if next_hop is not None and next_hop.features is None:
            # What it has isn't known: a client told of too little would bounce mail.
            return NOT_YET
        if client and self._clients[client] > settings.client_limit:
            return TOO_MANY_OF_YOURS
        return None

    def leave(self, connection: Any) -> None:
        """It has ended."""
        client = self.connections.pop(connection, None)
        if client is None:
            return
        self.service.metrics.connected(self.place.protocol, -1)
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    def check_time(self, now: float) -> None:
        """Ends silent connections."""
        for connection in tuple(self.connections):
            connection.check_time(now)

    def close(self) -> None:
        """Ends connections that have nothing to wait for; the others end when they are done."""
        self.closing = True
        for connection in tuple(self.connections):
            connection.finish_up()

    def extensions(self, *, encrypted: bool) -> dict[bytes, bytes]:
        """What EHLO and LHLO announce: our own, and of the others only what the next hop has too:
        whatever it lacks would bounce there."""
        settings = self.service.settings
        next_hop = self.service.next_hop
        theirs = (next_hop.features if next_hop else None) or {}
        found = {b"PIPELINING": b""}
        found |= dict.fromkeys(sorted(HANDED_ON & theirs.keys()), b"")
        found[b"SIZE"] = str(self._size(theirs)).encode()
        chunking = settings.announce_chunking
        if self.place.lmtp if chunking is None else chunking:
            found[b"CHUNKING"] = b""
        if self.tls is not None and not self.place.tls and not encrypted:
            found[b"STARTTLS"] = b""
        if settings.xforward:
            found[b"XFORWARD"] = b"NAME ADDR PORT PROTO HELO IDENT SOURCE"
        if settings.xclient:
            found[b"XCLIENT"] = b"NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
        return found

    def _size(self, theirs: Any) -> int:
        """The most that a message may have: ours, or what the next hop takes once it is sealed."""
        limit = self.service.settings.size_limit
        size = theirs.get(b"SIZE", b"").split()[:1]
        if size and size[0].isdigit() and int(size[0]):
            limit = min(limit, int(size[0]))
        return limit
