"""One folder on an IMAP server, and what a sweep asks of the messages in it. Messages are named by
their UIDs, which hold as long as the folder's UIDVALIDITY does."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from ..batches import batches
from . import imap_commands as commands
from .errors import MailboxError
from .imap_session import Refused, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from imapclient import IMAPClient

    from .imap_commands import Addition
    from .imap_session import Selected, Session

SLICE = 1 << 20
"""A longer message comes in slices of so many bytes."""
MEMORY = 4 << 20
"""So many bytes of messages are fetched at once."""
_WINDOW = 50_000
_DELETED = [b"\\Deleted"]


class State(NamedTuple):
    """What a message is marked with. ``date``: INTERNALDATE as the server wrote it."""

    flags: frozenset[bytes]
    date: bytes


class Folder:
    """``name``: as the server writes it. Raises MailboxError where the server can't be
    reached any more, or the folder was made anew, and :class:`Refused`."""

    def __init__(self, session: Session, name: bytes) -> None:
        self._session, self.raw = session, name
        self.validity = 0

    def enter(self, *, again: bool = False) -> Selected | None:
        """Selects it; None if it isn't there any more."""
        found = self._session.select(self.raw, again=again)
        self.validity = found.validity if found else 0
        return found

    def uids(self, found: Selected) -> Iterator[int]:
        """The UIDs of all messages, ascending."""
        if found.count <= _WINDOW:
            yield from self.search(["ALL"])
            return
        for first in range(1, found.next, _WINDOW):  # a longer answer imaplib doesn't take
            yield from self.search(["UID", f"{first}:{first + _WINDOW - 1}"])

    def search(self, criteria: Sequence[str]) -> list[int]:
        """The UIDs of some messages, ascending."""
        with self._talking() as client:
            return sorted(client.search([*criteria]))

    def sizes(self, uids: Iterable[int]) -> dict[int, int]:
        """Their bytes, as the server counts them."""
        with self._talking() as client:
            found = commands.fetch(client, uids, b"RFC822.SIZE")
        return {uid: one[b"RFC822.SIZE"] for uid, one in found.items() if b"RFC822.SIZE" in one}

    def states(self, uids: Collection[int]) -> dict[int, State]:
        """How those are marked that are there now."""
        with self._talking() as client:
            client.noop()  # the server may tell of what is gone only then
            found = commands.fetch(client, uids, b"FLAGS INTERNALDATE")
        return {
            uid: State(commands.flags_of(one), one[b"INTERNALDATE"])
            for uid, one in found.items()
            if b"FLAGS" in one and b"INTERNALDATE" in one
        }

    def there(self, uids: Collection[int]) -> set[int]:
        """Those that are there, asked in another way than by :meth:`states`."""
        found: set[int] = set()
        for some in commands.uid_sets(uids):
            found.update(self.search(["UID", some.decode()]))
        return found

    def kept_in(self, uid: int) -> bytes:
        """The name of the folder that a message is in, where the server tells: one of Dovecot's
        virtual folders shows what is in others."""
        if not self._session.tells_folders:
            return b""
        found = None
        with suppress(Refused), self._talking() as client:
            found = commands.fetch(client, [uid], b"X-MAILBOX").get(uid, {}).get(b"X-MAILBOX")
        return found if isinstance(found, bytes) else b""

    def contents(self, uids: Collection[int]) -> dict[int, bytes]:
        """Whole messages, which must be short."""
        with self._talking() as client:
            found = commands.fetch(client, uids, b"BODY.PEEK[]")
        bodies = {uid: one.get(b"BODY[]") for uid, one in found.items()}
        return {uid: bytes(one) for uid, one in bodies.items() if isinstance(one, bytes)}

    def slices(self, uid: int) -> Iterator[bytes]:
        """One message, however long. Nothing if it isn't there. A server may give less at once than
        it is asked for, so an empty slice is the end. Raises :class:`Refused` if it gives no slice,
        and so not all of the message."""
        at = 0
        while True:
            with self._talking() as client:
                found = commands.fetch(client, [uid], b"BODY.PEEK[]<%d.%d>" % (at, SLICE))
            piece = found.get(uid, {}).get(b"BODY[]<%d>" % at)
            if not isinstance(piece, bytes):
                if 0 < at < self.sizes([uid]).get(uid, at + 1):
                    raise Refused(f"it gives no more than {at} bytes of it")
                return
            if not piece:
                return
            yield piece
            at += len(piece)

    def digests(self, uids: Collection[int]) -> dict[int, bytes]:
        """The SHA-256 of messages, as the server gives them back, without those of which it doesn't
        give all."""
        sizes = self.sizes(uids)
        short = [uid for uid in sizes if sizes[uid] <= SLICE]
        found = {}
        for some in batches(short, sizes.__getitem__, count=len(short), octets=MEMORY):
            for uid, content in self.contents(some).items():
                found[uid] = hashlib.sha256(content).digest()
        for uid in sizes.keys() - {*short}:
            with suppress(Refused):
                found[uid] = self._digest(uid)
        return found

    def _digest(self, uid: int) -> bytes:
        digest = hashlib.sha256()
        for piece in self.slices(uid):
            digest.update(piece)
        return digest.digest()

    def append(self, messages: Sequence[Addition]) -> Sequence[int]:
        """As :func:`~cmstream.mailboxes.imap_commands.append`; for several, ask :meth:`many`. Gives
        their UIDs, as far as the server tells them."""
        with self._talking() as client:
            validity, uids = commands.append(client, self.raw, messages)
        with suppress(Refused), self._talking() as client:
            client.noop()  # so that the new ones are in the folder that is selected
        if uids and validity != self.validity:  # these UIDs are others' in the folder selected
            raise self._made_anew()
        return uids

    @property
    def many(self) -> bool:
        """Whether several messages may be appended by one command."""
        with self._talking() as client:
            return bool(client.has_capability("MULTIAPPEND"))

    def set_flags(self, uid: int, flags: Collection[bytes]) -> None:
        """Gives a message these flags and keywords, and no others."""
        with self._talking() as client:
            client.set_flags([uid], sorted(flags), silent=True)

    def mark_deleted(self, uids: Collection[int]) -> None:
        """Marks messages that are to go."""
        with self._talking() as client:
            for some in commands.uid_sets(uids):
                client.add_flags(some.decode(), _DELETED, silent=True)

    def unmark_deleted(self, uids: Collection[int]) -> None:
        """Takes that back."""
        with self._talking() as client:
            for some in commands.uid_sets(uids):
                client.remove_flags(some.decode(), _DELETED, silent=True)

    def expunge(self, uids: Collection[int]) -> None:
        """Removes messages that are marked so; no others (RFC 4315 section 2.1)."""
        with self._talking() as client:
            for some in commands.uid_sets(uids):
                client.uid_expunge(some.decode())
            client._imap.untagged_responses.pop("EXPUNGE", None)  # noqa: SLF001 - else it grows

    def remove(self, uids: Collection[int]) -> None:
        """Marks and removes messages."""
        self.mark_deleted(uids)
        self.expunge(uids)

    @contextmanager
    def _talking(self) -> Iterator[IMAPClient]:
        found = self._session.select(self.raw)
        if found is None or found.validity != self.validity:
            raise self._made_anew()
        with self._session.talking() as client:
            yield client

    def _made_anew(self) -> MailboxError:
        text = f"the folder {shown(self.raw)} was removed or made anew meanwhile: run this again"
        return MailboxError("unavailable", text)
