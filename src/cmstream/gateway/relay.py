"""What becomes of a message that has come whole: it is sealed for each recipient as the store says,
given on, and the next hop's replies are put in the order of the recipients.

Nothing here answers for a message that the next hop hasn't taken."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..accounts.errors import AccountsError
from ..errors import CmstreamError, MessageError
from ..scratch import Scratch
from . import received
from .outcome import Outcome
from .protocol.conversation import Content
from .protocol.data import LookAlikes
from .protocol.replies import Reply
from .service import Deferred

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from ..accounts.lookup import Seal
    from ..policy import Policy
    from ..recipients.recipients import Recipients
    from .next_hop import Transaction
    from .protocol.envelope import Mail, Rcpt
    from .service import Service

    Give = Callable[[Content, "Group"], Awaitable[list[Reply]]]

NOT_NOW = Reply.of(451, "4.3.0", "this mail can't be sealed now: try again")
MALFORMED = Reply.of(554, "5.6.0", "this mail can't be sealed as it is")
WHY_REQUIRED = "the gateway requires sealing"
REQUIRED = Reply.of(451, "4.7.1", "nobody seals mail for this recipient, and the gateway requires "
                    "it: try again")  # fmt: skip
LOOP = Reply.of(554, "5.4.6", "the mail has passed too many servers: it goes round in circles")
NO_ROOM = Reply.of(452, "4.3.1", "no room for a mail of this length now: try again")

ROOM = 16 << 20
"""Bytes of one message's copies that are sealed at a time, each for an account of its own."""


@dataclass
class Group:
    """Recipients whose mail goes on in one transaction. ``to``: to whom and how it is sealed, or
    None where it is left as it is."""

    to: tuple[Recipients, Policy] | None
    why: str
    places: list[int] = field(default_factory=list)


class Arrived:
    """A message and its envelope, on their way through the gateway."""

    def __init__(self, service: Service, mail: Mail, rcpts: Sequence[Rcpt], message: Scratch,
                 attributes: Sequence[bytes] = ()) -> None:  # fmt: skip
        self._service, self._mail, self._rcpts = service, mail, rcpts
        self._message, self._attributes = message, attributes
        self._sealed: list[Scratch] = []
        self.outcome = Outcome(len(rcpts), len(message))

    async def relay(self) -> list[Reply]:
        """One reply for each recipient, in their order."""
        return await self._done(self._relay)

    async def relay_together(self, seal: Seal | Deferred, transaction: Transaction) -> Reply:
        """One message for all, over a transaction that has the recipients already; one reply."""

        async def work() -> list[Reply]:
            replies, groups = await self._grouped([seal] * len(self._rcpts))
            for group in groups:  # one, unless nobody gets it
                content = await self._content(group, replies)
                if content is not None:
                    await self._give_on(group, content, replies, self._over(transaction))
            return [replies[0] or NOT_NOW]

        return (await self._done(work))[0]

    async def _done(self, work: Callable[[], Awaitable[list[Reply]]]) -> list[Reply]:
        begun = time.perf_counter()
        try:
            replies = self._goes_round() or await work()
        except OSError as error:
            self.outcome.failed = _why(error)
            replies = [NO_ROOM] * len(self._rcpts)
        finally:
            self._close()
        self.outcome.seconds = time.perf_counter() - begun
        return replies

    def _goes_round(self) -> list[Reply]:
        settings = self._service.settings
        if not (settings.received and received.goes_round(self._message, settings.hop_limit)):
            return []
        self.outcome.tell_all("refused", "mail-loop")
        return [LOOP] * len(self._rcpts)

    def _over(self, transaction: Transaction) -> Give:
        async def give(content: Content, group: Group) -> list[Reply]:
            return [await transaction.finish(content)] * len(group.places)

        return give

    async def _by_next_hop(self, content: Content, group: Group) -> list[Reply]:
        rcpts = [self._rcpts[place] for place in group.places]
        return await self._service.hop.deliver(self._mail, rcpts, content, self._attributes)

    async def _relay(self) -> list[Reply]:
        seals = await self._service.seals([one.address for one in self._rcpts])
        replies, groups = await self._grouped(seals)
        # The last ones may take as long again as the next hop has; the sender waits for all.
        late = time.monotonic() + self._service.settings.next_timeout / 2
        count = max(1, ROOM // max(1, len(self._message)))
        for start in range(0, len(groups), count):
            if start and time.monotonic() > late:  # the sender won't wait for the others
                break
            await self._relay_to(groups[start : start + count], replies)
        return [NOT_NOW if one is None else one for one in replies]

    async def _relay_to(self, groups: Sequence[Group], replies: list[Reply | None]) -> None:
        """All is sealed before any goes on: what fails here fails for nobody else, and the message
        is read by one at a time."""
        contents = await self._contents(groups, replies)
        given = [
            self._give_on(group, content, replies)
            for group, content in zip(groups, contents, strict=True)
            if content is not None
        ]
        if len(given) == 1:
            await given[0]
        else:
            await asyncio.gather(*given)
        self._close()

    def _close(self) -> None:
        for one in self._sealed:
            one.close()
        self._sealed.clear()

    async def _grouped(
        self, seals: Sequence[Seal | Deferred]
    ) -> tuple[list[Reply | None], list[Group]]:
        """One group for each account, and one for all whose mail is left."""
        replies: list[Reply | None] = [None] * len(seals)
        groups: dict[Any, Group] = {}
        encrypted: bool | None = None
        for place, seal in enumerate(seals):
            if isinstance(seal, Deferred):
                replies[place] = NOT_NOW
                self.outcome.tell(place, "deferred", seal.code, seal.why)
                continue
            to: tuple[Recipients, Policy] | None = None
            why = seal.reason.code
            if seal.recipients is not None and seal.policy is not None:
                if encrypted is None:
                    encrypted = await self._service.is_encrypted(self._message)
                to = seal.recipients, seal.policy
                if encrypted:
                    to, why = None, "already-encrypted"
            if to is None and self._service.settings.require and why != "already-encrypted":
                replies[place] = REQUIRED
                self.outcome.tell(place, "deferred", why, WHY_REQUIRED)
                continue
            key = seal.account.id if to is not None and seal.account is not None else None
            groups.setdefault(key, Group(to, why)).places.append(place)
            self.outcome.tell(place, "sealed" if to else "left", why)
        return replies, list(groups.values())

    async def _contents(
        self, groups: Sequence[Group], replies: list[Reply | None]
    ) -> list[Content | None]:
        if self._message.held is None or len(groups) == 1:
            return [await self._content(group, replies) for group in groups]
        return await asyncio.gather(*(self._content(group, replies) for group in groups))

    async def _content(self, group: Group, replies: list[Reply | None]) -> Content | None:
        """What a group is given; None, and the reply is there, where it can't be had."""
        try:
            return await self.content(group.to)
        except MessageError as error:
            self._refuse(group, replies, MALFORMED, error)
        except (CmstreamError, AccountsError) as error:
            self._refuse(group, replies, NOT_NOW, error)
        return None

    async def _give_on(
        self, group: Group, content: Content, replies: list[Reply | None], give: Give | None = None
    ) -> None:
        """Hands a group's mail to the next hop."""
        begun = time.perf_counter()
        try:
            given = await (give or self._by_next_hop)(content, group)
        except OSError as error:  # the file can't be read
            self.outcome.failed = _why(error)
            given = [NO_ROOM] * len(group.places)
        self.outcome.next_seconds += time.perf_counter() - begun
        for place, reply in zip(group.places, given, strict=True):
            replies[place] = reply
            self.outcome.answered(place, reply)

    def _refuse(
        self, group: Group, replies: list[Reply | None], reply: Reply, error: CmstreamError
    ) -> None:
        for place in group.places:
            replies[place] = reply
        self.outcome.refused(reply, error.code, str(error), group.places)

    async def content(self, to: tuple[Recipients, Policy] | None) -> Content:
        """What is given on. Raises MessageError, OSError."""
        if to is None:
            return Content(len(self._message), self._left, await self._has_lookalike())
        begun = time.perf_counter()
        sealed = await self._service.seal(self._message, *to)
        self.outcome.seal_seconds += time.perf_counter() - begun
        if isinstance(sealed, Scratch):
            self._sealed.append(sealed)
            return Content(len(sealed), sealed.chunks)
        return Content(len(sealed), (sealed,).__iter__)

    async def _has_lookalike(self) -> bool:
        if self._message.held is not None:
            return _has_lookalike(self._left())
        return await asyncio.to_thread(_has_lookalike, self._left())

    def _left(self) -> Any:
        held = self._message.held
        return iter((held,)) if held is not None else self._message.chunks()


def _why(error: OSError) -> str:
    return f"{type(error).__name__}: {error.strerror}"


def _has_lookalike(chunks: Iterable[Any]) -> bool:
    found = LookAlikes()
    for chunk in chunks:
        found.feed(bytes(chunk))
    return found.finish()
