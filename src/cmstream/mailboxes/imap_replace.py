"""Puts new messages in the place of old ones in a folder on an IMAP server, in an order in which no
lost connection and no kill loses one, while mail programs work on the same folder.

The journal notes what is about to be appended; the new ones are appended with the flags and the
date of the old ones; each is fetched back and compared; then :mod:`imap_finish` lets the old ones
go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..mail.fields import BLANK_LINE
from . import imap_commands as commands
from .imap_commands import Addition
from .imap_finish import Finish, Pair, parts
from .imap_session import Refused
from .journal import Row
from .mailbox import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .imap_selected import Folder, State
    from .journal import MailboxJournal
    from .mailbox import Change

_HEADER = 256 << 10


def replace(
    folder: Folder, name: str, journal: MailboxJournal, changes: Sequence[Change]
) -> list[Outcome]:
    """The whole of it. ``name``: what the journal calls the folder."""
    here = folder.enter(again=True)
    if here is None:
        return [Outcome(one, "gone") for one in changes]
    pairs = [_pair(one, here.validity) for one in changes]
    states = folder.states([one.old for one in pairs if one.old])
    begun = {row.old for row in journal.unfinished(name)}
    for one in pairs:
        if one.old not in states:
            one.end("gone")
        elif one.identity in begun:  # its new one is there
            one.end("failed", "the server didn't let it be removed", is_void=False)
    going = [one for one in pairs if not one.result]
    if going:
        journal.stage(name, [_row(one, f"{here.validity}/{here.next}") for one in going])
        appended = _append(folder, going, states)
        going = [one for one in going if not one.result]
        _compare(folder, going, appended, here.next)
        Finish(folder, name, journal).run([one for one in going if not one.result])
        journal.forget(name, [one.identity for one in pairs if one.is_void])
    return [Outcome(one.change, one.result or "failed", one.why) for one in pairs if one.change]


def find(
    folder: Folder, key: str, digest: bytes, earliest: int = 1, *, taken: Collection[int] = ()
) -> int:
    """The UID of a message of this SHA-256, 0 if there is none. ``key``: a part of its Message-ID,
    empty if it has none; ``earliest``: the least UID that it can have; ``taken``: those of others
    that are alike."""
    named = ["HEADER", "Message-ID", key] if key else ["NOT", "HEADER", "Message-ID", ""]
    uids = {*folder.search(["UID", f"{earliest}:*", *named])} - {*taken}
    found = folder.digests([uid for uid in uids if uid >= earliest])
    return next((uid for uid in sorted(found) if found[uid] == digest), 0)


def _pair(change: Change, validity: int) -> Pair:
    was, uid = parts(change.stored.identity)
    return Pair(change.stored.identity, uid if was == validity else 0, change=change)


def _row(pair: Pair, earliest: str) -> Row:
    """``earliest``: the identity that the first new message can have. It stands in the journal in
    the place of the right one, until that is known."""
    change = pair.content
    return Row(pair.identity, earliest, change.old_hash, change.new_hash, _search_key(change))


def _search_key(change: Change) -> str:
    header = b""
    for chunk in change.new.chunks():
        header += bytes(chunk[:_HEADER])
        blank = BLANK_LINE.search(header)
        if blank:
            return commands.search_key(header[: blank.start() + 1])
        if len(header) >= _HEADER:
            break
    return commands.search_key(header)


def _append(folder: Folder, pairs: Sequence[Pair], states: dict[int, State]) -> Sequence[int]:
    """Appends them all at once, or one after the other where that doesn't go. Gives the new UIDs,
    as far as the server tells them."""
    if len(pairs) > 1 and folder.many:
        try:
            return folder.append([_addition(one, states[one.old]) for one in pairs])
        except Refused:  # as where the quota leaves room for some of them
            pass
    appended: list[int] = []
    for one in pairs:
        try:
            appended += folder.append([_addition(one, states[one.old])])
        except Refused as error:  # noqa: PERF203 - each has its own
            one.end("failed", f"the server doesn't take the new one: {error}")
    return appended


def _addition(pair: Pair, state: State) -> Addition:
    pair.given = state.flags
    return Addition(pair.content.new, state.flags, state.date)


def _compare(folder: Folder, pairs: Sequence[Pair], appended: Sequence[int], earliest: int) -> None:
    """Finds out which new message is whose: by what the server gives back. What isn't what was
    appended goes, and what the server can't give back."""
    digests = folder.digests(appended)
    uids: dict[bytes, list[int]] = {}
    for uid in sorted(digests):
        uids.setdefault(digests[uid], []).append(uid)
    for one in pairs:
        digest = one.content.new_hash
        one.new = uids[digest].pop(0) if uids.get(digest) else 0
        if not one.new and len(appended) < len(pairs):  # the server doesn't tell all UIDs
            taken = {other.new for other in pairs}
            one.new = find(folder, _search_key(one.content), digest, earliest, taken=taken)
        if not one.new:
            one.end("failed", "the server gives back something else than what it was given")
    mine = {one.new for one in pairs}
    folder.remove([uid for uid in appended if uid >= earliest and uid not in mine])
