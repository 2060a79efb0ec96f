"""A client that brings mail by SMTP: one reply for all recipients of a message, so one transaction
has only recipients who get the same message. The others are told to come back (452, RFC 5321,
section 4.5.3.1.10), and MAIL and RCPT are answered by the next hop."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from .mail_connection import MailConnection
from .next_hop import Transaction
from .outcome import Told, unmet
from .recipient_group import ANOTHER, RecipientGroup, why_refused
from .relay import Arrived
from .service import Deferred

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..accounts.lookup import Seal
    from .protocol import server_events as events
    from .protocol.envelope import Rcpt
    from .protocol.replies import Reply


class SmtpConnection(MailConnection):
    """SMTP (RFC 5321) as a proxy or a content filter in front of another server."""

    _transaction: Transaction | None = None
    _refusals = 0

    def on_mail(self, event: events.MailBegin) -> None:
        """MAIL is answered by the next hop."""
        self._in_content = False
        self._group = RecipientGroup(self.service)
        self._transaction = Transaction(self.service.hop, event.mail, self.told)
        self.start(self._begin(self._transaction, event.mail.path))

    async def _begin(self, transaction: Transaction, sender: bytes) -> None:
        reply = await transaction.begin()
        if reply.kind != 2:
            self._give_up()
            self.service.tell_refused(_by_next_hop(reply), self, sender)
        self.answer(reply)

    def on_recipient(self, event: events.Recipient) -> None:
        """RCPT too, if this recipient can have what the others have."""
        if self._transaction is None:
            raise AssertionError("there is no transaction")
        self.start(self._recipient(event, self._transaction))

    async def _recipient(self, event: events.Recipient, transaction: Transaction) -> None:
        (seal,) = await self.service.seals([event.rcpt.address])
        reply = self._group.refusal(seal, refusals=self._refusals)
        if reply is ANOTHER:
            self._refusals += 1
        if reply is not None:
            refused = why_refused(seal, reply)
        else:
            reply = await transaction.recipient(event.rcpt)
            refused = _by_next_hop(reply)
            if reply.kind == 2 and not isinstance(seal, Deferred):
                self._group.add(seal)
        if reply.kind != 2:
            self.service.tell_refused(refused, self, self.mail.path, event.rcpt.address)
        self.answer(reply)

    async def finish(self) -> None:
        """Seals the message for all of its recipients and gives it on; one reply."""
        transaction = self._transaction
        if transaction is None:
            raise AssertionError("there is no transaction")
        with closing(self.taken()) as message:
            rcpts = list(self.session.accepted)
            arrived = Arrived(self.service, self.mail, rcpts, message, self.told)
            reply = await arrived.relay_together(await self._seal_now(rcpts), transaction)
            self.service.tell(arrived.outcome, self)
        if reply.kind == 2:
            self._transaction, self._refusals = None, 0  # those before us count anew, too
        else:
            self._give_up()
        if not self.transport.is_closing():
            self.answer(reply)

    async def _seal_now(self, rcpts: Sequence[Rcpt]) -> Seal | Deferred:
        """All recipients are looked up anew: what was said at RCPT may be minutes old."""
        seals = []
        for seal in await self.service.seals([one.address for one in rcpts]):
            if isinstance(seal, Deferred):
                return seal
            seals.append(seal)
        if not self._group.is_of(seals):
            self._group = RecipientGroup(self.service, seals)
            if not self._group.is_one(refusals=self._refusals):
                return Deferred("mixed-recipients", "an account was changed since RCPT")
        return self._group.seal

    def on_xclient(self, event: events.XClient) -> None:
        """Another client has been refused nothing yet."""
        super().on_xclient(event)
        self._refusals = 0

    def forget(self) -> None:
        """Forgets the message, at the next hop too."""
        if self.busy is None:
            self._give_up()
        super().forget()

    def _give_up(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.forget()


def _by_next_hop(reply: Reply) -> Told:
    return Told(unmet(reply), "next-server", reply=reply)
