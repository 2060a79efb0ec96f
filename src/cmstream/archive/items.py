"""What travels between the run and its workers: which sources to seal, and what became of them.

Paths travel, never contents. All of it can be pickled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..certificates.recipient import Recipient
from ..recipients.recipients import Recipients

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..certificates.archive_keys import Password
    from ..policy import Policy

Stamp = tuple[int, int]
"""The size of a file in bytes, and when it changed, in nanoseconds since 1970."""

FILE, MAIL, MBOX = "file", "mail", "mbox-entry"
"""What an item is: any file, a mail, or a message of an mbox file with its From_ line."""

LONG = 4 << 20
"""Bytes from which on an item is read piece by piece, and is a batch of its own."""

BATCH_COUNT = 256
BATCH_OCTETS = 8 << 20
"""The most items, and the most bytes of them, in a batch."""


class Item(NamedTuple):
    """A source to seal.

    ``name``: what it is called in the archive, quoted. ``root``: the number of the place in which
    ``path`` leads to the file. ``stamp``: that of the whole file when it was found. ``offset`` and
    ``length``: the part of the file that it is; ``length`` is -1 for all of it. ``source``: where
    it belongs when the archive is opened, if that isn't ``name``. ``known``: the SHA-256 that the
    manifest has, where the file looks changed since. ``replace``: what has its name in the target
    is to be replaced.
    """

    name: str
    root: int
    path: str
    kind: str
    stamp: Stamp
    offset: int = 0
    length: int = -1
    source: str = ""
    known: bytes = b""
    replace: bool = False

    @property
    def octets(self) -> int:
        """How many bytes it has."""
        return self.stamp[0] if self.length < 0 else self.length


Read = tuple[Item, bytes | OSError | None]
"""An item as it was read: its bytes, None if it was changing, or why it can't be read."""


class Outcome(NamedTuple):
    """What became of an item.

    ``status``: ``sealed``; ``same``, only its time has changed; ``exists``, the target has
    something of this name already; ``mbox`` or ``tar``, it is to be split; else why it was left.
    ``target``: the sealed file's name. ``digest``, ``sealed_digest``: SHA-256 of the source's bytes
    and of the sealed ones, ``sealed_size``: how many these are. ``layout``: how a mail stood.
    ``why``: for people.
    """

    item: Item
    status: str
    target: str = ""
    digest: bytes = b""
    sealed_size: int = 0
    sealed_digest: bytes = b""
    layout: str = ""
    why: str = ""


class Items(list[Item]):
    """Items that travel as plain tuples, which takes a fraction of the time."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _items, ([tuple(one) for one in self],)


class Outcomes(list[Outcome]):
    """The same for outcomes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _outcomes, ([(tuple(one[0]), *one[1:]) for one in self],)


def _items(every: list[Any]) -> Items:
    return Items(map(Item._make, every))


def _outcomes(every: list[Any]) -> Outcomes:
    return Outcomes(Outcome(Item._make(item), *rest) for item, *rest in every)


class Job(NamedTuple):
    """What is the same for all items of a run. ``certificates``: DER. ``run``: a random name."""

    roots: tuple[str, ...]
    target: str
    certificates: tuple[bytes, ...]
    passwords: tuple[Password, ...]
    policy: Policy
    as_files: bool
    update: bool
    run: str

    def recipients(self) -> Recipients:
        """Those to seal to, made of what was pickled."""
        return recipients(self.certificates, self.passwords)


def recipients(certificates: Iterable[bytes], passwords: Iterable[Password] = ()) -> Recipients:
    """Recipients of certificates in DER, and of passwords."""
    people = [Recipient.from_der(one) for one in certificates]
    return Recipients([*people, *passwords])
