"""A target that is a local folder: what is published in it appears whole, durable and never over
something else."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ..sync import make_folder, sync_file_system, sync_folder
from .errors import ArchiveError
from .manifest import Manifest
from .names import META

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..engine.gate import Buffer

TEMPORARY = "tmp"
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Sealed(NamedTuple):
    """A sealed file to publish: its name in the target, its bytes, and whether it may replace what
    is there."""

    name: str
    data: Buffer
    replace: bool


class Folder:
    """The side of a target that workers use. ``run`` names their temporary files."""

    def __init__(self, path: str, run: str) -> None:
        self._path = path
        self._made: set[str] = set()
        own = f"{run}-{os.getpid()}-{os.urandom(4).hex()}"
        self._temporary = f"{path}/{META}/{TEMPORARY}/{own}"
        self._count = 0

    def publish(self, batch: list[Sealed]) -> list[OSError | None]:
        """Puts files into the target, all of them once their bytes are on the disk. The answer for
        one that has its name already is FileExistsError, for one that can't have it another
        OSError. Raises OSError where the target can't take more, and then none of them is there."""
        temporary: list[str] = []
        try:
            for one in batch:
                temporary.append(self._new())
                _write(temporary[-1], one.data)
            if temporary:
                _sync(self._temporary)
            return [
                self._place(name, one.name, replace=one.replace)
                for name, one in zip(temporary, batch, strict=True)
            ]
        finally:
            _remove(temporary)

    def put(self, name: str, pieces: Iterator[bytes], *, replace: bool, size: int) -> None:
        """Publishes one file. What the pieces raise goes on, and then nothing is published; else
        raises as :meth:`publish` answers. ``size`` doesn't matter here."""
        del size
        temporary = self._new()
        try:
            with open(temporary, "xb", opener=_private) as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            failure = self._place(temporary, name, replace=replace)
            if failure:
                raise failure
        finally:
            _remove([temporary])

    def _new(self) -> str:
        """The name of a temporary file."""
        if not self._count:
            os.makedirs(self._temporary, 0o700)
        self._count += 1
        return f"{self._temporary}/{self._count}"

    def _place(self, temporary: str, name: str, *, replace: bool) -> OSError | None:
        path = f"{self._path}/{name}"
        folder = path.rpartition("/")[0]
        try:
            if folder not in self._made:
                os.makedirs(folder, 0o700, exist_ok=True)
                self._made.add(folder)
            if replace:
                os.replace(temporary, path)
            else:
                _move(temporary, path)
        except OSError as error:
            return error
        return None


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC, 0o600)


def _write(name: str, data: Buffer) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
    finally:
        os.close(file)


def _move(temporary: str, path: str) -> None:
    """Gives a file its name unless that is taken. Raises FileExistsError."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.rename(temporary, path)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync_file_system(descriptor)
    finally:
        os.close(descriptor)


def _remove(names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError):
            os.unlink(name)


class FolderArchive:
    """The side of a target that the run itself uses: one run at a time."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.meta = self.path / META

    def exists(self) -> bool:
        """Whether there is an archive, if only a begun one."""
        return self.meta.is_dir()

    def create(self) -> None:
        """Makes the target a new archive. Raises ArchiveError where it is something else, and
        OSError."""
        if self.exists():
            return
        make_folder(self.path)
        if any(self.path.iterdir()):
            raise ArchiveError(
                "not-empty",
                f"{self.path}: this folder holds something, and it is no archive: name a new or an "
                "empty one",
            )
        self.meta.mkdir(mode=0o700)
        sync_folder(self.path)  # else sealed files may be there after a power cut, and no archive

    @contextlib.contextmanager
    def locked(self, *, shared: bool = False, take_over: bool = False) -> Iterator[None]:
        """As Archive says. The system gives up the lock of a process that has ended."""
        del take_over
        how = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT
        try:
            lock = os.open(self.meta / "lock", how | os.O_CLOEXEC, 0o600)
        except OSError:
            if not shared:
                raise
            yield  # it was copied here, perhaps onto a disk that can't be written to
            return
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise ArchiveError(
                "busy", f"{self.path}: another run works on this archive: wait until it has ended"
            ) from None
        finally:
            os.close(lock)

    def clean(self) -> None:
        """Removes temporary files, also those of a run that was killed."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.meta / TEMPORARY)

    def sync(self) -> None:
        """Waits until every name is on the disk."""
        _sync(str(self.meta))

    def manifest(self, *, create: bool = False) -> Manifest:
        """As Archive says."""
        path = self.meta / "manifest.sqlite3"
        empty = not path.exists() or not path.stat().st_size
        if create and empty and next(self.objects(), None):
            raise ArchiveError(
                "damaged-manifest",
                f"{path}: the manifest is gone, and the archive isn't empty: put back a copy of "
                "the manifest, or seal the sources into a new target",
            )
        return Manifest(path, create=create)

    def remove(self, name: str) -> None:
        """As Archive says."""
        (self.path / name).unlink(missing_ok=True)

    def open(self, name: str) -> BinaryIO:
        """As Archive says. A link or a pipe that stands in its place is OSError."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.fdopen(os.open(self.path / name, flags), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError(errno.EINVAL, "it is no file")
        return file

    def same(self, name: str, other: str) -> bool:
        """As Archive says: some file systems don't tell case apart."""
        try:
            return os.path.samefile(self.path / name, self.path / other)
        except OSError:
            return name == other

    def objects(self) -> Iterator[tuple[str, int]]:
        """The names of all sealed files, and of whatever else is there, with their sizes."""
        waiting = [(str(self.path), "")]
        while waiting:
            path, name = waiting.pop()
            with os.scandir(path) as entries:
                for entry in entries:
                    inside = name + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if inside != META:
                            waiting.append((entry.path, inside + "/"))
                    else:
                        yield inside, entry.stat(follow_symlinks=False).st_size
