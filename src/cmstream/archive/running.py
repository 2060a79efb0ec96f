"""One run of ``archive seal``: finds sources, gives them to workers in batches, and writes the
manifest."""

from __future__ import annotations

import itertools
import tarfile
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from ..batches import batches
from ..errors import MessageError
from . import places
from .items import BATCH_COUNT, BATCH_OCTETS, LONG, Item, Items
from .manifest import row_of
from .names import folded
from .processes import Died
from .report import Left, Report
from .sources import members, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from .items import Job, Outcome
    from .manifest import Manifest, Row
    from .places import Archive
    from .processes import Executor
    from .sources import Found

_ATTEMPTS = 10
"""How often a batch is given to workers that don't live to answer. All batches that were at work
count, since nobody knows which it was."""
_COMMIT_ROWS = 4096
_COMMIT_SECONDS = 1.0

QUIET = frozenset({"symbolic-link", "special-file", "maildir-tmp"})
"""Why a source may be left although nothing went wrong."""


class Batch(NamedTuple):
    """Items that are sealed together, and how often that was tried."""

    items: list[Item]
    attempt: int = 0


def _octets(item: Item) -> int:
    return item.octets


class Run:
    """Seals what is in the sources and isn't yet in the archive. ``labels``: what each source is
    called. ``who``: the recipients' number in the manifest."""

    def __init__(
        self, job: Job, labels: Sequence[str], archive: Archive, manifest: Manifest, who: int
    ) -> None:
        self._job, self._archive, self._manifest, self._who = job, archive, manifest, who
        self.report = Report(QUIET)
        self._stop: Callable[[], bool] = lambda: False
        self._again: deque[Batch] = deque()
        self._walked = self._gathered(self._walk(labels))
        self._split: deque[tuple[Item, str]] = deque()
        self._members = self._gathered(())
        self._rows: list[Row] = []
        self._replaced: dict[str, list[Outcome]] = {}
        self._committed = time.monotonic()

    def seal(
        self, executor: Executor, tell: Callable[[Report], None], stop: Callable[[], bool]
    ) -> Report:
        """Seals everything, or what is begun until ``stop`` says yes. ``tell`` is called now and
        then. Raises OSError where the target can't take more; what was sealed until then is in the
        manifest."""
        begun, self._stop = time.monotonic(), stop
        try:
            while self._fill(executor) or executor.busy:
                for batch, answer in executor.answers():
                    self._take(batch, answer)
                late = time.monotonic() - self._committed > _COMMIT_SECONDS
                if late or len(self._rows) >= _COMMIT_ROWS:
                    self._commit()
                self.report.seconds = time.monotonic() - begun
                tell(self.report)
        finally:
            self._walked.close()  # of a run that ends early, at once
            self._members.close()
            self._commit()
        self.report.seconds = time.monotonic() - begun
        return self.report

    def _fill(self, executor: Executor) -> bool:
        """Gives batches to the executor as long as it takes them; whether it was given any."""
        given = False
        while executor.free and not self._stops() and (batch := self._next()):
            executor.submit(batch)
            given = True
        return given

    def _stops(self) -> bool:
        self.report.stopped = self.report.stopped or self._stop()
        return self.report.stopped

    # What there is to seal

    def _next(self) -> Batch | None:
        """What is to be tried again first, then what is found, then what is split."""
        if self._again:
            return self._again.popleft()
        if batch := next(self._walked, None):
            return batch
        while not (batch := next(self._members, None)) and self._split:
            self._members = self._gathered(self._divided(*self._split.popleft()))
        return batch

    def _walk(self, labels: Sequence[str]) -> Iterator[Found]:
        for number, (root, label) in enumerate(zip(self._job.roots, labels, strict=True)):
            yield from places.source(root).walk(label, number)

    def _divided(self, item: Item, what: str) -> Iterator[Found]:
        try:
            with places.source(self._job.roots[item.root]).open(item.path) as file:
                yield from members(item, what, file)
        except OSError as error:
            yield unreadable(item.name, error)
        except (MessageError, tarfile.TarError) as error:
            yield Left(item.name, "damaged-source", f"it can't be read to its end: {error}")

    def _gathered(self, found: Iterable[Found]) -> Generator[Batch]:
        items = self._unknown(found)
        for some in batches(items, _octets, count=BATCH_COUNT, octets=BATCH_OCTETS, alone=LONG):
            yield Batch(Items(some))

    def _unknown(self, found: Iterable[Found]) -> Iterator[Item]:
        """What the manifest doesn't know as it is now; the rest is counted."""
        found = iter(found)
        while not self._stops() and (some := list(itertools.islice(found, BATCH_COUNT))):
            rows = self._manifest.find([one.name for one in some if isinstance(one, Item)])
            for one in some:
                if isinstance(one, Left):
                    self.report.leave(one)
                elif (row := rows.get(one.name)) is None:
                    yield one
                elif ((row.size, row.mtime), row.length) == (one.stamp, one.octets):
                    self.report.known += 1
                else:
                    yield one._replace(known=row.digest, replace=True)

    # What became of it

    def _take(self, batch: Batch, answer: list[Outcome] | Died) -> None:
        if isinstance(answer, Died):
            self._retry(batch, answer)
            return
        there: list[Outcome] = []
        for one in answer:
            if one.status == "sealed":
                self._keep(one)
            elif one.status == "exists":
                there.append(one)
            elif one.status in {"mbox", "tar"}:
                # It may have been a file of another kind before; its members are new.
                whole = one.item._replace(known=b"", replace=False)
                self._split.append((whole, one.status))
            elif one.status == "same":
                self._note(one.item)
            else:
                self.report.leave(Left(one.item.name, one.status, one.why))
        if there:
            self._replace(there)

    def _replace(self, there: list[Outcome]) -> None:
        """A run that was killed has left what has these names, if the manifest doesn't know it."""
        self._commit()
        known = self._manifest.alike(one.target for one in there)
        again = Items()
        for one in there:
            key = folded(one.target)
            if self._is_replaced(one) or self._is_one_of(one.target, known.get(key, ())):
                self._refuse(one)
            else:
                self._replaced.setdefault(key, []).append(one)
                again.append(one.item._replace(replace=True))
        if again:
            self._again.append(Batch(again))

    def _is_replaced(self, one: Outcome) -> bool:
        """Whether its place was given to another source of this run."""
        others = self._replaced.get(folded(one.target), ()) if self._replaced else ()
        names = [other.target for other in others if other.item.name != one.item.name]
        return self._is_one_of(one.target, names)

    def _is_one_of(self, target: str, others: Iterable[str]) -> bool:
        return any(self._archive.same(target, other) for other in others)

    def _refuse(self, one: Outcome) -> None:
        why = "another source has its place in the target: rename one, or seal it to a new target"
        self.report.leave(Left(one.item.name, "same-name", why))

    def _retry(self, batch: Batch, died: Died) -> None:
        """A worker may have been killed for what it read: then the others go on without that."""
        items, attempt = batch.items, batch.attempt + 1
        if attempt < _ATTEMPTS:
            self._again.append(Batch(items, attempt))
        elif len(items) > 1:
            half = len(items) // 2
            for some in (items[:half], items[half:]):
                self._again.append(Batch(some, _ATTEMPTS - 2))
        else:
            self.report.leave(Left(items[0].name, "worker-died", died.why))

    def _keep(self, one: Outcome) -> None:
        if self._is_replaced(one):
            self._refuse(one)
            return
        self.report.count(one.item.octets, one.sealed_size)
        self._rows.append(row_of(one, self._who))
        if one.item.known:
            (before,) = self._manifest.find([one.item.name]).values()
            if before.target != one.target:
                self._commit()
                self._archive.remove(before.target)

    def _note(self, item: Item) -> None:
        """Only a source's time has changed, or that of the file that it is a part of."""
        self.report.known += 1
        (row,) = self._manifest.find([item.name]).values()
        size, mtime = item.stamp
        self._rows.append(row._replace(size=size, mtime=mtime, length=item.octets))

    def _commit(self) -> None:
        self._committed = time.monotonic()
        if self._rows:
            self._archive.sync()  # a name that is lost must not stand in the manifest
            self._manifest.add(self._rows)
            self._rows = []
