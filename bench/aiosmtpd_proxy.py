"""The peer of the gateway: a proxy as one writes it with aiosmtpd and aiosmtplib. It takes mail by
LMTP, looks each recipient up, seals with a Gatherer, and gives the mail on by SMTP.

python bench/aiosmtpd_proxy.py HOST:PORT NEXT_HOST:PORT DATABASE
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import aiosmtplib
import uvloop
from aiosmtpd.lmtp import LMTP

from cmstream import Gatherer
from cmstream.accounts import Store, open_store

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


class Handler:
    """Called by aiosmtpd for each message. Connections to the next hop are used again."""

    def __init__(self, store: Store, gather: Gatherer, next_hop: tuple[str, int]) -> None:
        self._store, self._gather, self._next_hop = store, gather, next_hop
        self._idle: list[aiosmtplib.SMTP] = []

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        content: Any = envelope.content
        for recipient in envelope.rcpt_tos:
            seal = self._store.seal_for(recipient)
            sealed = content
            if seal.recipients is not None and seal.policy is not None:
                sealed = await self._gather.encrypt_message(
                    content, seal.recipients, policy=seal.policy
                )
            await self._send(envelope.mail_from or "", recipient, bytes(sealed))
        return "250 2.0.0 OK"

    async def _send(self, sender: str, recipient: str, message: bytes) -> None:
        connection = self._idle.pop() if self._idle else await self._connect()
        await connection.sendmail(sender, [recipient], message)
        self._idle.append(connection)

    async def _connect(self) -> aiosmtplib.SMTP:
        host, port = self._next_hop
        made = aiosmtplib.SMTP(hostname=host, port=port, use_tls=False, start_tls=False)
        await made.connect()
        return made


async def serve(place: str, next_hop: str, database: str) -> None:
    loop = asyncio.get_running_loop()
    with open_store(database) as store:
        async with Gatherer(workers=0) as gather:
            handler = Handler(store, gather, address(next_hop))
            host, port = address(place)
            server = await loop.create_server(
                lambda: LMTP(handler, hostname="peer.example.org", enable_SMTPUTF8=True, loop=loop),
                host, port, backlog=100,
            )  # fmt: skip
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve(*sys.argv[1:]))
