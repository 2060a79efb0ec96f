"""Reads a whole archive back without a key: is each sealed file there, whole, for the right
recipients, of the right length, and as it was written?"""

from __future__ import annotations

import itertools
import time
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from ..certificates.recipient import Recipient, load_recipients
from ..errors import EnvelopeError
from ..inspection import inspect
from ..streams import CHUNK
from . import places
from .hashed import Hashed
from .items import MBOX
from .names import FILE
from .processes import Died, local
from .report import ALTERED, MISSING, Left, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..inspection import Addressee, Inspection
    from .manifest import Manifest, Row
    from .places import Archive
    from .processes import Executor

_BATCH = 256
_UNKNOWN = "it isn't in the manifest: where a run was killed, run seal again; else remove it"
_ATTEMPTS = 4
_BLOCK = 16  # of AES, which CBC fills up


class Check(NamedTuple):
    """What is the same for all sealed files: the archive, and the recipients by their numbers."""

    target: str
    who: tuple[tuple[int, tuple[str, ...]], ...]


def verify(
    target: str,
    *,
    to: list[Recipient] | None = None,
    processes: int | None = None,
    tell: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Reads all of an archive back, and says what isn't as it should be. It needs no key and writes
    nothing. ``to``: those that everything must be sealed to, instead of those of the manifest.

    Codes in the report: ``missing``, ``unreadable``, ``altered``, ``wrong-recipients``,
    ``wrong-length``, ``unknown-file``, and those of EnvelopeError. Raises ArchiveError, and OSError
    where the target can't be read."""
    with places.reading(target) as (archive, manifest):
        manifest.check()
        run = _Run(places.absolute(target), manifest, to)
        run.check(processes, tell)
        _find_unknown(archive, manifest, run.report)
        return run.report


def _find_unknown(archive: Archive, manifest: Manifest, report: Report) -> None:
    try:
        for name in manifest.unknown(archive.objects()):
            report.leave(Left(name, "unknown-file", _UNKNOWN))
    except PermissionError as error:
        why = "not all of its folders can be read: there may be unknown files"
        report.leave(Left(str(error.filename), "unreadable", why))


class _Run:
    def __init__(self, target: str, manifest: Manifest, to: list[Recipient] | None) -> None:
        self._manifest = manifest
        everyone = {number: tuple(some) for number, some in manifest.everyone()}
        if to is not None:
            everyone = dict.fromkeys(everyone, tuple(one.pem.decode("ascii") for one in to))
        self._check = Check(target, tuple(everyone.items()))
        self.report = Report()

    def check(self, processes: int | None, tell: Callable[[Report], None]) -> None:
        begun = time.monotonic()
        rows = self._manifest.rows()
        executor = local(partial(check, self._check), processes)
        try:
            while self._fill(executor, rows) or executor.busy:
                for batch, answer in executor.answers():
                    if isinstance(answer, Died):
                        raise ChildProcessError(f"{answer.why}: verify again")
                    self._take(batch, answer)
                self.report.seconds = time.monotonic() - begun
                tell(self.report)
        finally:
            executor.close()

    def _fill(self, executor: Executor, rows: Iterator[Row]) -> bool:
        given = False
        while executor.free and (batch := list(itertools.islice(rows, _BATCH))):
            executor.submit(batch)
            given = True
        return given

    def _take(self, batch: list[Row], answer: list[Left | None]) -> None:
        for row, left in zip(batch, answer, strict=True):
            if left is None:
                self.report.count(row.length, row.sealed_size)
            else:
                self.report.leave(left)


def check(job: Check, rows: list[Row]) -> list[Left | None]:
    """What is wrong with each of these sealed files, if anything is."""
    checker = _checker(job)
    return [checker.find(row) for row in rows]


@lru_cache(maxsize=1)
def _checker(job: Check) -> _Checker:
    return _Checker(job)


class _Checker:
    def __init__(self, job: Check) -> None:
        self._archive = places.archive(job.target)
        self._who = {number: _people(some) for number, some in job.who}

    def find(self, row: Row) -> Left | None:
        try:
            with self._archive.open(row.target) as file:
                return self._in(row, file)
        except FileNotFoundError:
            return Left(row.target, *MISSING)
        except OSError as error:
            return Left(row.target, "unreadable", error.strerror or str(error))

    def _in(self, row: Row, file: BinaryIO) -> Left | None:
        people, passwords = self._who.get(row.who, ({}, 0))
        read = Hashed(iter(lambda: bytes(file.read(CHUNK)), b""))
        try:
            found = inspect(iter(read), certificates=people.values())
        except EnvelopeError as error:
            return Left(row.target, error.code, str(error))
        if not _is_for(found.addressees, set(people), passwords):
            return Left(row.target, "wrong-recipients", "it is sealed to somebody else")
        if _has_wrong_length(row, found):
            return Left(row.target, "wrong-length", "its content hasn't the source's length")
        if (read.size, read.digest.digest()) != (row.sealed_size, row.sealed_digest):
            return Left(row.target, *ALTERED)
        return None


def _people(named: tuple[str, ...]) -> tuple[dict[str, Recipient], int]:
    """Recipients by their fingerprints, and how many passwords there are besides."""
    people = [load_recipients(one.encode())[0] for one in named if one != "password"]
    return {one.fingerprint: one for one in people}, named.count("password")


def _is_for(addressees: tuple[Addressee, ...], people: set[str], passwords: int) -> bool:
    found: list[Any] = [one.recipient.fingerprint for one in addressees if one.recipient]
    others = [one.kind for one in addressees if one.recipient is None]
    return sorted(found) == sorted(people) and others == ["password"] * passwords


def _has_wrong_length(row: Row, found: Inspection) -> bool:
    """Of a mail nothing is known but the length of all of it."""
    if not row.target.endswith(FILE) or row.kind == MBOX:
        return False
    padded = found.cipher.endswith("-cbc")
    return found.content_octets != (
        row.length // _BLOCK * _BLOCK + _BLOCK if padded else row.length
    )
