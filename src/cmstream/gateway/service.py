"""What all connections of one process share: the store, the engine, the next hop, log and
metrics."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from ..accounts import delivery
from ..accounts.errors import AccountsError, Invalid
from ..accounts.lookup import Reason, Seal
from ..cms.already_encrypted import is_encrypted
from ..gather import Gatherer
from .protocol.envelope import names_domain, with_domain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..accounts.store import Store
    from ..policy import Policy
    from ..recipients.recipients import Recipients
    from ..scratch import Scratch
    from .log import Log
    from .metrics import Metrics
    from .next_hop import NextHop
    from .outcome import Outcome, Told
    from .settings import Settings

INLINE = 256 << 10
"""A longer message is sealed in a thread: it would hold the event loop up."""
TOGETHER_ROOM = 1024
AWAY = frozenset({"store-unavailable", "permission-denied"})
"""Codes of a store that answers nobody."""


class Deferred(NamedTuple):
    """Nothing may be given on for this recipient now. ``code`` and ``why``: for the log."""

    code: str
    why: str


class Service:
    """Made in the event loop of its process; ``await close()`` at the end."""

    def __init__(self, settings: Settings, store: Store, log: Log, metrics: Metrics,
                 next_hop: NextHop | None = None) -> None:  # fmt: skip
        self.settings, self.log, self.metrics = settings, log, metrics
        self.next_hop = next_hop
        self._store = store
        self._gather = Gatherer(workers=0)
        self._threads = asyncio.Semaphore(max(2, os.cpu_count() or 1))
        self._together: dict[Any, Any] = {}

    @property
    def hop(self) -> NextHop:
        """The next hop of those that take mail, who always have one."""
        if self.next_hop is None:
            raise RuntimeError("the gateway was started without --next")
        return self.next_hop

    async def seals(
        self, addresses: Sequence[str], *, appended: bool = False
    ) -> list[Seal | Deferred]:
        """How mail for each address is sealed, or why it must wait. Never raises."""
        found: list[Seal | Deferred] = []
        for one in addresses:
            # A store that is away is asked once for a message, not once for each recipient.
            away = found and isinstance(last := found[-1], Deferred) and last.code in AWAY
            found.append(last if away else await self._seal_for(one, appended))
        return found

    async def _seal_for(self, address: str, appended: bool) -> Seal | Deferred:
        whole = with_domain(address, self.settings.domain)
        try:
            return await self._store.seal_for_async(whole, appended=appended)
        except Invalid:
            if not names_domain(whole) and whole.lower() not in ("", "postmaster"):
                # Whose mailbox the next hop takes it for can't be known here.
                return Deferred("no-domain", f"{address!r} names no domain: give --domain")
            return Seal("leave", Reason("unknown-address", f"no account has {address!r}"))
        except AccountsError as error:
            return Deferred(error.code, str(error))

    async def is_encrypted(self, message: Scratch) -> bool:
        """Whether it is encrypted already, by all of it."""
        if message.held is not None and len(message) <= INLINE:
            return is_encrypted(message.held)
        async with self._threads:
            return await asyncio.to_thread(delivery.is_encrypted, message)

    async def seal(self, message: Scratch, to: Recipients, policy: Policy) -> Scratch | memoryview:
        """The sealed message: bytes for a short one. Raises MessageError where it can't be sealed
        as it is, OSError where the disk is full."""
        if message.held is not None and len(message) <= INLINE:
            return await self._gather.encrypt_message(message.held, to, policy=policy)
        async with self._threads:
            return await asyncio.to_thread(
                delivery.sealed, message, to, policy, 2 * self.settings.memory
            )

    def together(self, seals: Sequence[Seal]) -> tuple[Recipients, Policy] | None:
        """One message for several accounts, remembered. Raises as :func:`delivery.together`."""
        if len(seals) == 1:
            return delivery.together(seals)
        key = tuple((id(one.recipients), id(one.policy)) for one in seals)
        found = self._together.get(key)
        if found is None:
            # What the key names is kept too, or another object could get the same number.
            found = (delivery.together(seals), tuple(seals))
            if len(self._together) >= TOGETHER_ROOM:
                self._together.clear()
            self._together[key] = found
        to: tuple[Recipients, Policy] | None = found[0]
        return to

    def tell(self, outcome: Outcome, connection: Any) -> None:
        """Log and metrics of a message that is done."""
        session = connection.session
        self.metrics.message(connection.listener.place.protocol, outcome)
        self.log.message(
            outcome,
            protocol=connection.listener.place.protocol,
            client=connection.peer,
            queue_id=connection.queue_id,
            sender=session.mail.path if session.mail else b"",
            recipients=session.accepted,
        )

    def tell_refused(
        self, told: Told, connection: Any, sender: bytes, to: str | None = None
    ) -> None:
        """Log and metrics of a recipient who is refused before a message came; or of its sender,
        without ``to``."""
        protocol = connection.listener.place.protocol
        self.metrics.refused(protocol, told, sender=to is None)
        self.log.refused(
            told, to=to, protocol=protocol, client=connection.peer,
            queue_id=connection.queue_id, sender=sender,
        )  # fmt: skip

    async def close(self) -> None:
        """Ends what it uses."""
        self.metrics.flush()
        await self._gather.aclose()
        if self.next_hop is not None:
            self.next_hop.close()
