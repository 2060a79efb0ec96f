"""What a sweep asks of a mailbox, whether it is a Maildir, an mbox file or on an IMAP server.

Whoever implements it keeps one promise: at any instant there is the old message, or the new one, or
both, never neither; and what a killed run left half done, :meth:`Folder.recover` finishes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from typing_extensions import Self

    from ..engine.gate import Buffer
    from ..scratch import Scratch

Result = Literal["replaced", "gone", "failed"]
"""What became of a message: another one has its place; its owner removed it meanwhile; it is as it
was, and the run's report says why."""


@dataclass(frozen=True)
class Stored:
    """A message as it lies in a folder. ``identity``: what names it there and never another one:
    the unique part of a Maildir's file name, ``UIDVALIDITY/UID``, a place in an mbox file.
    ``size``: its bytes, as the mailbox counts them."""

    identity: str
    size: int


class Content(Protocol):
    """The bytes of a message, in memory or in a file without a name."""

    def __len__(self) -> int: ...

    def chunks(self) -> Iterable[Buffer]:
        """All of it, from the first byte, as often as it is asked for."""


@dataclass(frozen=True)
class Change:
    """A message, and what takes its place. The hashes are SHA-256, 32 bytes each."""

    stored: Stored
    old_hash: bytes
    new: Content
    new_hash: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of a change. ``why``: a sentence, where it failed."""

    change: Change
    result: Result
    why: str = ""


EVERY = 1.0
"""Seconds between two looks for something new."""


def changed_within(
    seconds: float,
    look: Callable[[], list[str]],
    pause: Callable[[float], None] = time.sleep,
    every: float = EVERY,
) -> list[str]:
    """What ``look`` gives as soon as that is something, or after so many seconds. ``pause``: waits
    for so many seconds between two looks."""
    until = time.monotonic() + seconds
    while True:
        changed = look()
        left = until - time.monotonic()
        if changed or left <= 0:
            return changed
        pause(min(every, left))


class Folder(Protocol):
    """One folder of a mailbox. Every method raises :class:`MailboxError` where the mailbox can't be
    used any more, OSError where the disk is full."""

    @property
    def name(self) -> str:
        """Its name for people: ``INBOX``, ``Sent``, ``Lists/Python``."""

    @property
    def drafts(self) -> bool:
        """Whether mail programs keep unfinished messages in it."""

    def recover(self) -> None:
        """Finishes or takes back what the journal says was begun, and removes what a killed run
        left behind."""

    def messages(self) -> Iterator[Stored]:
        """Those that are there now; what the journal knows not to need a look is left out."""

    def read(self, stored: Stored) -> Scratch | None:
        """A message, or None if it isn't there any more. Raises :class:`LeftAlone` for one whose
        stored form can't be read here."""

    def keep(self, stored: Sequence[Stored]) -> None:
        """Notes in the journal that these stay as they are, and need no look again."""

    def replace(self, changes: Sequence[Change]) -> list[Outcome]:
        """Puts each new message in the place of the old one, with its flags, keywords and date."""


class Mailbox(Protocol):
    """A mailbox of one account, which nobody else sweeps meanwhile."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def folders(self) -> Sequence[Folder]:
        """All of them; INBOX is the first."""

    def wait(self, seconds: float) -> Collection[str] | None:
        """Returns when something may be new, or after so many seconds: the names of the folders to
        look at, or None for all."""
