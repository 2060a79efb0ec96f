"""Opens an archive: gives the files back as they were, with the private key."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..batches import batches
from ..decryption import decrypt_many
from ..errors import CmstreamError
from ..streams import decrypt_iter
from . import places
from .errors import ArchiveError
from .folder import Folder, FolderArchive, Sealed
from .hashed import Hashed
from .items import LONG
from .layout import Restorer
from .names import META, original
from .report import ALTERED, MISSING, Left, Report
from .worker import FATAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..decryption import Who
    from .manifest import Row

_DIFFERS = "differs", "what comes out isn't what was sealed"
_ODD = {"": "%2F", ".": "%2E", "..": "%2E%2E", META: META.replace(".", "%2E")}
_TAKEN = {errno.EEXIST, errno.ENOTDIR}
_COUNT = 256
_OCTETS = 8 << 20


def open_archive(
    target: str, out: str, identities: Who, *, tell: Callable[[Report], None] = lambda _: None
) -> Report:
    """Opens everything in an archive into the folder ``out``, which must be new or empty. Each file
    is compared with the hash in the manifest; one that doesn't open harms no other.

    Codes in the report: ``missing``, ``unreadable``, ``altered`` for a sealed file that isn't what
    was written, ``differs`` for one that gives something else than what was sealed, ``unwritable``,
    and those of EnvelopeError, NoRecipientError and DecryptionError. Raises ArchiveError, and
    OSError where ``out`` can't take more."""
    if places.is_within(os.path.realpath(out), places.absolute(target)):
        text = f"{out} lies in the archive {target}, where nothing readable may be: name another"
        raise ArchiveError("overlap", text)
    with places.reading(target) as (archive, manifest), _Tree(out) as tree:
        return _Opening(archive, tree, identities).run(manifest.rows(), tell)


class _Tree:
    """The folder that the files are written to."""

    def __init__(self, out: str) -> None:
        self.path = Path(out)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            empty = not any(self.path.iterdir())
        except (FileExistsError, NotADirectoryError):
            raise ArchiveError("not-empty", f"{out}: this is no folder: name a new one") from None
        if not empty:
            raise ArchiveError("not-empty", f"{out}: this folder holds something: name a new one")
        self.folder = Folder(str(self.path), "open")

    def __enter__(self) -> _Tree:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        archive = FolderArchive(str(self.path))
        if archive.exists():
            archive.sync()
            archive.clean()
            archive.meta.rmdir()

    def unused(self, name: str) -> str:
        """The same name, with ``~2`` behind each part that something else has: a file and a folder
        of one name may both have been sealed, one after the other."""
        *folders, last = name.split("/")
        path = self.path
        for part in folders:
            path = _free(path, part, lambda one: not os.path.lexists(one) or one.is_dir())
        path = _free(path, last, lambda one: not os.path.lexists(one))
        return str(path.relative_to(self.path))

    def settle(self, name: str, row: Row) -> None:
        """Gives a file that was one of its own its time."""
        if row.length == row.size:
            os.utime(self.path / name, ns=(row.mtime, row.mtime))


def _free(folder: Path, part: str, fits: Callable[[Path], bool]) -> Path:
    names = itertools.chain([part], (f"{part}~{number}" for number in itertools.count(2)))
    return next(path for one in names if fits(path := folder / one))


def place(row: Row) -> str:
    """Where a file belongs, below the folder. No name of a manifest leads out of that."""
    parts = [(one, original(one)) for one in (row.source or row.name).split("/")]
    kept = [
        quoted if "/" in own or "\0" in own or own in {"", ".", "..", META} else own
        for quoted, own in parts
    ]
    return "/".join(_ODD.get(one, one) for one in kept)


class _Opening:
    def __init__(self, archive: places.Archive, tree: _Tree, identities: Who) -> None:
        self._archive, self._tree, self._identities = archive, tree, identities
        self.report = Report()

    def run(self, rows: Iterable[Row], tell: Callable[[Report], None]) -> Report:
        begun = time.monotonic()
        for batch in batches(rows, _sealed_size, count=_COUNT, octets=_OCTETS, alone=LONG):
            if batch[0].sealed_size > LONG:
                self._open_long(batch[0])
            else:
                self._open_short(batch)
            self.report.seconds = time.monotonic() - begun
            tell(self.report)
        return self.report

    def _leave(self, row: Row, code: str, why: str) -> None:
        self.report.leave(Left(row.target, code, why))

    # Many short ones at once

    def _open_short(self, batch: list[Row]) -> None:
        read = [(row, data) for row in batch if (data := self._read(row)) is not None]
        ready: list[tuple[Row, Sealed]] = []
        for form in ("message", "content"):
            some = [(row, data) for row, data in read if bool(row.layout) == (form == "message")]
            jobs = [(data, self._identities) for _, data in some]
            opened: list[Any] = decrypt_many(jobs, form=form, return_exceptions=True)
            for (row, _), answer in zip(some, opened, strict=True):
                if (content := self._checked(row, answer)) is not None:
                    ready.append((row, Sealed(place(row), content, replace=False)))
        self._publish(ready)

    def _publish(self, ready: list[tuple[Row, Sealed]], *, again: bool = False) -> None:
        done = self._tree.folder.publish([one for _, one in ready])
        for (row, one), failure in zip(ready, done, strict=True):
            if not again and failure and failure.errno in _TAKEN:
                other = one._replace(name=self._tree.unused(one.name))
                self._publish([(row, other)], again=True)
            else:
                self._finish(row, one.name, failure)

    def _read(self, row: Row) -> bytes | None:
        try:
            with self._archive.open(row.target) as file:
                data = bytes(file.read(row.sealed_size + 1))
        except FileNotFoundError:
            self._leave(row, *MISSING)
            return None
        except OSError as error:
            self._leave(row, "unreadable", error.strerror or str(error))
            return None
        if hashlib.sha256(data).digest() != row.sealed_digest:
            self._leave(row, *ALTERED)
            return None
        return data

    def _checked(self, row: Row, answer: bytes | Exception) -> bytes | None:
        if isinstance(answer, Exception):
            if not isinstance(answer, CmstreamError):
                raise answer
            self._leave(row, answer.code, str(answer))
            return None
        if row.layout:
            try:
                answer = Restorer(row.layout).take(answer, final=True)
            except ValueError:
                answer = b""  # the manifest isn't what it was
        if hashlib.sha256(answer).digest() != row.digest:
            self._leave(row, *_DIFFERS)
            return None
        return answer

    def _finish(self, row: Row, name: str, failure: OSError | None) -> None:
        if failure:
            self._leave(row, "unwritable", failure.strerror or str(failure))
            return
        self._tree.settle(name, row)
        self.report.count(row.length, row.sealed_size)

    # One long one

    def _open_long(self, row: Row) -> None:
        try:
            file = self._archive.open(row.target)
        except FileNotFoundError:
            self._leave(row, *MISSING)
            return
        except OSError as error:
            self._leave(row, "unreadable", error.strerror or str(error))
            return
        with file:
            self._write(row, file)

    def _write(self, row: Row, file: BinaryIO) -> None:
        name, failure = self._tree.unused(place(row)), None
        try:
            self._tree.folder.put(name, self._compared(row, file), replace=False, size=row.length)
        except CmstreamError as error:
            self._leave(row, error.code, str(error))
            return
        except (_Differs, ValueError):
            self._leave(row, *_DIFFERS)
            return
        except OSError as error:
            if error.errno in FATAL:
                raise
            failure = error
        self._finish(row, name, failure)

    def _compared(self, row: Row, file: BinaryIO) -> Iterator[bytes]:
        pieces = Hashed(self._pieces(row, file))
        yield from pieces
        if pieces.digest.digest() != row.digest:
            raise _Differs

    def _pieces(self, row: Row, file: BinaryIO) -> Iterator[bytes]:
        pieces = decrypt_iter(file, self._identities, message=bool(row.layout))
        if not row.layout:
            return pieces
        restorer = Restorer(row.layout)
        taken = (restorer.take(piece) for piece in pieces)
        return itertools.chain(taken, (restorer.take(b"", final=True) for _ in range(1)))


def _sealed_size(row: Row) -> int:
    return row.sealed_size


class _Differs(Exception):  # noqa: N818 - a code and a sentence
    """What comes out isn't what was sealed."""
