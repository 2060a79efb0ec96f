"""A folder on an IMAP server, as a sweep sees it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..scratch import Scratch
from . import imap_replace
from .errors import LeftAlone, MailboxError
from .imap_finish import Finish, Pair, parts
from .imap_selected import MEMORY, SLICE
from .imap_session import Refused
from .mailbox import Stored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from .imap_selected import Folder
    from .journal import MailboxJournal, Row
    from .mailbox import Change, Outcome

_AT_ONCE = 500
_AHEAD = 100
"""So many messages are fetched at once."""


class ImapFolder:
    """A :class:`~cmstream.mailboxes.mailbox.Folder`. ``seen``: UIDVALIDITY and UIDNEXT when it was
    last looked at; ``others``: the server's names of all folders."""

    def __init__(self, folder: Folder, name: str, journal: MailboxJournal) -> None:
        self.name, self.drafts = name, False
        self.seen = 0, 0
        self.others: Collection[bytes] = ()
        self._folder, self._journal = folder, journal
        self._next: dict[int, int] = {}
        self._ahead: dict[int, bytes] = {}

    def messages(self) -> Iterator[Stored]:
        """By their UIDs, the oldest first. Not those that are in another folder: what takes
        their place wouldn't come there."""
        self._next, self._ahead = {}, {}
        with self._answering():
            here = self._folder.enter(again=True)
            if here is None:
                return
            self.seen = here.validity, here.next
            uids = [*self._folder.uids(here)]
            if uids and self._is_view(uids[0]):
                return
        looked_at = self._skipped(here.validity, {*uids})
        uids = [uid for uid in uids if uid not in looked_at]
        for i in range(0, len(uids), _AT_ONCE):
            with self._answering():
                sizes = self._folder.sizes(uids[i : i + _AT_ONCE])
            for uid in sorted(sizes):
                self._next[uid] = sizes[uid]
                yield Stored(f"{here.validity}/{uid}", sizes[uid])

    def _is_view(self, uid: int) -> bool:
        kept_in = self._folder.kept_in(uid)
        return kept_in != self._folder.raw and kept_in in self.others

    def _skipped(self, validity: int, uids: set[int]) -> set[int]:
        """Those that need no look; what the journal says of others that aren't there is void."""
        skip = self._journal.skip(self.name)
        where = {identity: parts(identity) for identity in skip}
        void = [one for one, (was, uid) in where.items() if was != validity or uid not in uids]
        if void:
            self._journal.forget(self.name, [skip[one] for one in void])
        return {uid for was, uid in where.values() if was == validity}

    def read(self, stored: Stored) -> Scratch | None:
        """A message; short ones that are read next come along. There are servers that end the
        connection over one that they can't read: it is asked for twice, the second time alone."""
        validity, uid = parts(stored.identity)
        size = self._next.pop(uid, stored.size)
        why = ""
        for alone in (False, True):
            with self._answering():
                here = self._folder.enter(again=alone)
            if here is None or here.validity != validity:
                return None
            try:
                found = self._content(uid, size, alone=alone)
            except (Refused, MailboxError) as error:
                if isinstance(error, MailboxError) and error.code != "unavailable":
                    raise
                why = str(error)
            else:
                return found if len(found) or self._is_there(uid) else None
        raise LeftAlone("unreadable", f"the server can't read it ({why})")

    def _content(self, uid: int, size: int, *, alone: bool) -> Scratch:
        found = Scratch()
        if uid not in self._ahead:
            if size > SLICE:
                for piece in self._folder.slices(uid):
                    found.write(piece)
                return found
            self._ahead = self._folder.contents([uid] if alone else self._group(uid, size))
        found.write(self._ahead.pop(uid, b""))
        return found

    def _group(self, uid: int, size: int) -> list[int]:
        """It, and those that come next, as long as they are short."""
        group, total = [uid], size
        for other, more in self._next.items():
            if other > uid:
                total += more
                if total > MEMORY or more > SLICE or len(group) == _AHEAD:
                    break
                group.append(other)
        return group

    def _is_there(self, uid: int) -> bool:
        with self._answering():
            return uid in self._folder.there([uid])

    def keep(self, stored: Sequence[Stored]) -> None:
        """Notes that they stay as they are."""
        self._journal.known(self.name, [one.identity for one in stored])

    def replace(self, changes: Sequence[Change]) -> list[Outcome]:
        """Puts new messages in the place of old ones."""
        with self._answering():
            return imap_replace.replace(self._folder, self.name, self._journal, changes)

    def recover(self) -> None:
        """Finishes what a killed run, or a lost connection, left."""
        rows = self._journal.unfinished(self.name)
        if not rows:
            return
        rows.sort(key=lambda one: one.state == "staged")  # those whose UIDs are known come first
        with self._answering():
            here = self._folder.enter(again=True)
            pairs: list[Pair] = []
            for row in rows if here else ():
                pairs.append(self._found(row, {uid for one in pairs for uid in (one.old, one.new)}))
            both = [one for one in pairs if one.old and one.new and not one.result]
            Finish(self._folder, self.name, self._journal).run(both)
            for one in pairs:
                self._settle(one)
        left = {one.identity for one in pairs if not one.is_void}
        self._journal.forget(self.name, [row.old for row in rows if row.old not in left])

    def _found(self, row: Row, taken: set[int]) -> Pair:
        """Both messages of a row, as far as they are there: by their UIDs, or, where these hold no
        more, by their content. ``taken``: the UIDs of other rows."""
        folder = self._folder
        (was, old), (_, new) = parts(row.old), parts(row.new)
        same, key = was == folder.validity, row.message_id
        if same:
            old = old if folder.there([old]) else 0
        else:
            old = imap_replace.find(folder, key, row.old_hash, taken=taken) if key else 0
        if same and row.state != "staged":
            new = new if folder.digests([new]).get(new) == row.new_hash else 0
        elif same or key:
            earliest = new if same else 1
            new = imap_replace.find(folder, key, row.new_hash, earliest, taken=taken)
        else:
            new = 0
        return Pair(row.old, old, new, ours=row.state == "removing")

    def _settle(self, pair: Pair) -> None:
        """What becomes of a pair of which one message is missing. Where the old one is, a run has
        removed it; or its owner, who saw both, and kept the new one."""
        if pair.result or (pair.old and pair.new):
            return
        if not pair.new:
            if pair.old and pair.ours:
                self._folder.unmark_deleted([pair.old])
            pair.end("gone")
            return
        new = f"{self._folder.validity}/{pair.new}"
        self._journal.mark(self.name, [pair.identity], "done", new={pair.identity: new})
        pair.end("replaced", is_void=False)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except Refused as error:
            text = f"the server doesn't do in the folder {self.name} what a sweep needs: {error}"
            raise MailboxError("permission-denied", text) from None
