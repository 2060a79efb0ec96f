"""Where sources and targets are: a local path, or a bucket by its URL."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from .errors import ArchiveError
from .folder import Folder, FolderArchive
from .sources import walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from .folder import Sealed
    from .items import Item, Read, Stamp
    from .manifest import Manifest
    from .sources import Found

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


class Source(Protocol):
    """A place to read from."""

    def walk(self, label: str, root: int) -> Iterator[Found]:
        """What it holds; ``label``: what the place is called."""

    def read(self, items: list[Item]) -> Iterator[Read]:
        """Short items as they are now, each with its bytes: None if it changes just now, OSError
        where it can't be read."""

    def open(self, path: str) -> BinaryIO:
        """A file in it, which can be sought. Raises OSError."""

    def stamp(self, file: BinaryIO) -> Stamp:
        """The size and the time of change of an open file, now. Raises OSError."""


class Target(Protocol):
    """A target, as a worker sees it."""

    def publish(self, batch: list[Sealed]) -> list[OSError | None]:
        """Puts files into the target, each whole and durable. The answer for one whose name is
        taken is FileExistsError, for one that can't have its name another OSError. Raises OSError
        where the target can't take more."""

    def put(self, name: str, pieces: Iterator[bytes], *, replace: bool, size: int) -> None:
        """Publishes one long file, of about ``size`` bytes. What the pieces raise goes on, and then
        nothing is published; else raises as :meth:`publish` answers."""


class Archive(Protocol):
    """A target, as the run itself sees it."""

    def exists(self) -> bool:
        """Whether there is an archive, if only a begun one."""

    def create(self) -> None:
        """Makes it a new archive, unless it is one. Raises ArchiveError."""

    def locked(
        self, *, shared: bool = False, take_over: bool = False
    ) -> AbstractContextManager[None]:
        """While this process works on it; ``shared``: others may read too. ``take_over``: whoever
        has the lock is known to be dead. Raises ArchiveError ``busy``."""

    def clean(self) -> None:
        """Removes temporary files, also those of a run that was killed."""

    def manifest(self, *, create: bool = False) -> Manifest:
        """Raises ArchiveError where there is none, or it is damaged."""

    def sync(self) -> None:
        """Waits until every name is durable."""

    def remove(self, name: str) -> None:
        """Removes a sealed file."""

    def objects(self) -> Iterator[tuple[str, int]]:
        """The names of all sealed files, and of whatever else is there, with their sizes."""

    def open(self, name: str) -> BinaryIO:
        """A sealed file. Raises OSError."""

    def same(self, name: str, other: str) -> bool:
        """Whether two names are those of one sealed file."""


class LocalSource:
    """A file or a folder of this machine."""

    def __init__(self, path: str) -> None:
        self._path = path

    def walk(self, label: str, root: int) -> Iterator[Found]:
        """As Source says."""
        return walk(self._path, label, root)

    def read(self, items: list[Item]) -> Iterator[Read]:
        """As Source says."""
        return map(_read, items)

    def open(self, path: str) -> BinaryIO:
        """As Source says. A link that has taken a file's place is OSError, and so is a device."""
        return os.fdopen(_regular(path), "rb", buffering=0)

    def stamp(self, file: BinaryIO) -> Stamp:
        """As Source says."""
        info = os.fstat(file.fileno())
        return info.st_size, info.st_mtime_ns


def _regular(path: str) -> int:
    """A descriptor of a file; a pipe that has taken its place doesn't block."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)


def _read(item: Item) -> Read:
    try:
        return _read_now(item)
    except OSError as error:
        return item, error


def _read_now(item: Item) -> Read:
    file = _regular(item.path)
    try:
        info = os.fstat(file)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "neither a file nor a folder")
        if item.length >= 0:
            data = os.pread(file, item.length, item.offset)
            return item, data if (info.st_size, info.st_mtime_ns) == item.stamp else None
        data = os.read(file, info.st_size + 1)
        after = os.fstat(file)
    finally:
        os.close(file)
    if not len(data) == info.st_size == after.st_size or after.st_mtime_ns != info.st_mtime_ns:
        return item, None
    if (info.st_size, info.st_mtime_ns) != item.stamp:
        item = item._replace(stamp=(info.st_size, info.st_mtime_ns))
    return item, data


def is_bucket(place: str) -> bool:
    """Whether a place is given by a URL."""
    return bool(_URL.match(place))


def source(place: str) -> Source:
    """A place to read from. Raises ArchiveError."""
    if not is_bucket(place):
        return LocalSource(place)
    found: Source = _bucket().BucketSource(place)
    return found


def target(place: str, run: str) -> Target:
    """A target, as a worker of this run sees it. Raises ArchiveError."""
    if not is_bucket(place):
        return Folder(place, run)
    found: Target = _bucket().BucketTarget(place)
    return found


def archive(place: str) -> Archive:
    """A target, as the run itself sees it. Raises ArchiveError."""
    if not is_bucket(place):
        return FolderArchive(place)
    found: Archive = _bucket().BucketArchive(place)
    return found


@contextmanager
def reading(place: str) -> Iterator[tuple[Archive, Manifest]]:
    """An archive that is there, and its manifest; others may read it too. Raises ArchiveError."""
    found = archive(absolute(place))
    if not found.exists():
        raise ArchiveError("no-archive", f"{place}: there is no archive")
    with found.locked(shared=True), closing(found.manifest()) as manifest:
        yield found, manifest


def _bucket() -> Any:
    try:
        from . import bucket  # noqa: PLC0415 - needs a package that local places don't
    except ImportError as error:
        raise ArchiveError(
            "no-package",
            f"a bucket needs another package ({error}): pip install 'cmstream[archive]'",
        ) from None
    return bucket


def absolute(place: str) -> str:
    """A local path without links; a URL as it is."""
    return place if is_bucket(place) else os.path.realpath(place)


def is_within(inner: str, outer: str) -> bool:
    """Whether one place lies in another, or is it; both as :func:`absolute` gives them."""
    return (inner.rstrip("/") + "/").startswith(outer.rstrip("/") + "/")


def label(place: str) -> str:
    """What a source is called: the last part of its name."""
    if is_bucket(place):
        return place.rstrip("/").rpartition("/")[2]
    return os.path.basename(os.path.abspath(place)) or "root"
