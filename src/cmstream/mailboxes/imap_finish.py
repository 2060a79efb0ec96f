"""Lets old messages in a folder on an IMAP server go, whose new ones are there and were compared:
in a run, and where a killed run left both.

The flags that an old one has at the last moment are copied. Whoever removes the old one meanwhile
wants neither: the new one goes too. Whoever removes the new one keeps the old one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .imap_selected import Folder, State
    from .journal import MailboxJournal
    from .mailbox import Change, Result

_DELETED = b"\\Deleted"


@dataclass
class Pair:
    """An old message and its new one, by their UIDs (0: there is none). ``given``: the flags that
    the new one was given, None where nobody knows; ``ours``: whether a run may have marked the old
    one for removal; ``marked``: whether its owner has."""

    identity: str
    old: int
    new: int = 0
    given: frozenset[bytes] | None = None
    ours: bool = False
    marked: bool = False
    result: Result | None = None
    why: str = ""
    is_void: bool = False
    change: Change | None = field(default=None, repr=False)

    @property
    def content(self) -> Change:
        """What is to be appended; not when a killed run's work is finished."""
        if self.change is None:
            raise TypeError("it was appended by a run before")
        return self.change

    def end(self, result: Result, why: str = "", *, is_void: bool = True) -> None:
        """Nothing more is to be done with it. ``is_void``: what the journal says of it is."""
        self.result, self.why = result, why
        self.is_void = is_void


def parts(identity: str) -> tuple[int, int]:
    """UIDVALIDITY and UID."""
    validity, _, uid = identity.partition("/")
    return int(validity), int(uid or 0)


class Finish:
    """For one folder, which is entered. ``name``: what the journal calls it."""

    def __init__(self, folder: Folder, name: str, journal: MailboxJournal) -> None:
        self._folder, self._name, self._journal = folder, name, journal

    def run(self, pairs: Sequence[Pair]) -> None:
        """Ends each of them; those that are replaced are ``done`` in the journal."""
        states = self._look(pairs)
        pairs = _going(pairs)
        if not pairs:
            return
        for one in pairs:
            one.marked = not one.ours and _DELETED in states[one.old].flags
            one.ours = True
        new = {one.identity: f"{self._folder.validity}/{one.new}" for one in pairs}
        self._journal.mark(self._name, new, "removing", new=new)
        self._folder.mark_deleted([one.old for one in pairs])
        states = self._look(pairs)
        self._keep_flags(_going(pairs), states)
        self._expunge(_going(pairs))

    def _look(self, pairs: Sequence[Pair]) -> dict[int, State]:
        """How they are marked. Ends those of which one message is gone."""
        folder = self._folder
        states = folder.states([uid for one in pairs for uid in (one.old, one.new)])
        lacking = [uid for one in pairs for uid in (one.old, one.new) if uid not in states]
        there = folder.there(lacking) if lacking else set()
        for one in pairs:
            if {one.old, one.new} & there:
                one.end("failed", "the server doesn't tell its flags", is_void=False)
            elif one.new not in states:
                one.end("failed", "somebody removed the new one while it was put in place")
                self._unmark(one)
            elif one.old not in states:
                one.end("gone")
                folder.remove([one.new])
        return states

    def _unmark(self, pair: Pair) -> None:
        if pair.ours and not pair.marked:
            self._folder.unmark_deleted([pair.old])

    def _keep_flags(self, pairs: Sequence[Pair], states: dict[int, State]) -> None:
        """Gives each new one what its old one is marked with now. Ends those that don't get it."""
        changed: dict[int, frozenset[bytes]] = {}
        for one in pairs:
            old, new = states[one.old].flags, states[one.new].flags
            if _DELETED not in old:
                self._take_back(one, "the server doesn't let it be marked for removal")
                continue
            wanted = old if one.marked else old - {_DELETED}
            if new != one.given:
                wanted |= new  # what somebody has set on it
            if wanted != new:
                self._folder.set_flags(one.new, wanted)
                changed[one.new] = wanted
        found = self._folder.states(changed) if changed else {}
        for one in pairs:
            if one.new in found and not _lower(changed[one.new]) <= _lower(found[one.new].flags):
                self._take_back(one, "the server doesn't let its flags be kept")

    def _take_back(self, pair: Pair, why: str) -> None:
        pair.end("failed", why)
        self._unmark(pair)
        self._folder.remove([pair.new])

    def _expunge(self, pairs: Sequence[Pair]) -> None:
        olds = [one.old for one in pairs]
        if not olds:
            return
        self._folder.expunge(olds)
        left = self._folder.there(olds)
        for one in pairs:
            if one.old in left:
                one.end("failed", "the server doesn't let it be removed", is_void=False)
                self._unmark(one)
            else:
                one.end("replaced", is_void=False)
        done = [one.identity for one in pairs if one.result == "replaced"]
        self._journal.mark(self._name, done, "done")


def _lower(flags: Iterable[bytes]) -> set[bytes]:
    """A server may write them otherwise."""
    return {one.lower() for one in flags}


def _going(pairs: Iterable[Pair]) -> list[Pair]:
    return [one for one in pairs if not one.result]
