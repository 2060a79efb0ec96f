"""Seals a batch of sources: the one function that every worker runs, in a process of this machine
or on another one."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ..mail import mbox
from ..many import encrypt_many
from . import layout, long
from .folder import Sealed
from .items import LONG, MBOX, Item, Job, Outcome, Outcomes
from .names import FILE, MAIL
from .names import target as target_name
from .sources import looks_split
from .worker import Worker, changed_meanwhile, not_published, not_sealed, unreadable

if TYPE_CHECKING:
    from ..engine.gate import Buffer
    from ..sealing import Form


def seal(job: Job, items: list[Item]) -> list[Outcome]:
    """Seals sources into the target, and gives what became of each. What can't be read harms no
    other. Raises OSError where the target can't take more, ArchiveError, RecipientError."""
    return Outcomes(Batch(_worker(job)).seal(items))


@lru_cache(maxsize=2)
def _worker(job: Job) -> Worker:
    """Recipients are prepared once in each process."""
    return Worker(job)


class Taken(NamedTuple):
    """A short source that was read. ``layout``: how it stands, if it becomes an S/MIME message."""

    item: Item
    data: Buffer
    digest: bytes
    layout: str

    @property
    def target(self) -> str:
        """What the sealed file is called."""
        return target_name(self.item.name, MAIL if self.layout else FILE)


class Batch:
    """Items that are sealed together."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._outcomes: list[Outcome] = []
        self._short: list[Taken] = []

    def seal(self, items: list[Item]) -> list[Outcome]:
        """As :func:`seal`."""
        for root, source in enumerate(self._worker.sources):
            some = [one for one in items if one.root == root]
            for item in some:
                if item.octets > LONG:
                    self._outcomes.append(long.seal(self._worker, item))
            for item, data in source.read([one for one in some if one.octets <= LONG]):
                self._take(item, data)
        if self._short:
            self._publish()
        return self._outcomes

    def _take(self, item: Item, data: bytes | OSError | None) -> None:
        if data is None:
            self._outcomes.append(changed_meanwhile(item))
        elif isinstance(data, OSError):
            self._outcomes.append(unreadable(item, data))
        elif isinstance(found := self._taken(item, data), Taken):
            self._short.append(found)
        else:
            self._outcomes.append(found)

    def _taken(self, item: Item, data: bytes) -> Taken | Outcome:
        worker = self._worker
        if worker.splits(item) and (what := looks_split(data)):
            return Outcome(item, what)
        if item.kind == MBOX:
            data = _entry(data)
        digest = hashlib.sha256(data).digest()
        if item.known and (seen := worker.again(item, digest)):
            return seen
        found = layout.of_mail(data) if worker.is_mail(item) else None
        return Taken(item, data, digest, found or "")

    def _publish(self) -> None:
        ready: list[tuple[Taken, Buffer]] = []
        for one, answer in zip(self._short, self._sealed(), strict=True):
            if isinstance(answer, Exception):
                self._outcomes.append(not_sealed(one.item, answer))
            else:
                ready.append((one, answer))
        done = self._worker.target.publish(
            [Sealed(one.target, answer, one.item.replace) for one, answer in ready]
        )
        for (one, answer), failure in zip(ready, done, strict=True):
            self._outcomes.append(_outcome(one, answer, failure))

    def _sealed(self) -> list[Buffer | Exception]:
        """Their sealed forms, or why they have none."""
        every = self._short
        answers: dict[int, Buffer | Exception] = {}
        forms: tuple[Form, Form] = ("message", "der")
        for form in forms:
            some = [n for n, one in enumerate(every) if bool(one.layout) == (form == "message")]
            jobs = [(every[n].data, self._worker.to) for n in some]
            policy = self._worker.job.policy
            sealed = encrypt_many(jobs, form=form, policy=policy, return_exceptions=True)
            answers |= dict(zip(some, sealed, strict=True))
        return [answers[n] for n in range(len(every))]


def _entry(data: bytes) -> bytes:
    """The message of an mbox entry, unquoted."""

    def look(offset: int, count: int) -> bytes:
        return data[offset : offset + count]

    message = next(mbox.messages([data], look))
    return b"".join(message.chunks)


def _outcome(one: Taken, sealed: Buffer, failure: OSError | None) -> Outcome:
    if failure:
        return not_published(one.item, one.target, failure)
    view = memoryview(sealed)
    digest = hashlib.sha256(view).digest()
    return Outcome(one.item, "sealed", one.target, one.digest, len(view), digest, one.layout)
