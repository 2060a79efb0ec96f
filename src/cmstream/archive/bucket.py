"""Sources and targets in a bucket: what is put there appears whole and, by a conditional PUT, never
over something else. A bucket has no rename, and needs none."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import from_url

from .bucket_manifest import FOLDER, BucketManifest
from .errors import ArchiveError
from .names import META, quoted_folder
from .report import Left
from .sources import file_item

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from .folder import Sealed
    from .items import Item, Read, Stamp
    from .sources import Found

T = TypeVar("T")

_AT_ONCE = 32
"""The most requests of a worker at the same time."""
_PART = 8 << 20
_PARTS = 9_000  # S3 takes 10 000
_UPLOADS = 2  # parts that are on their way at the same time


class Bucket:
    """A bucket, or the part of it below a path."""

    def __init__(self, url: str) -> None:
        """Raises ArchiveError ``unsupported-place``."""
        self.url = url
        scheme, _, rest = url.partition("://")
        root, _, path = rest.partition("/")
        self.base = path.strip("/") + "/" if path.strip("/") else ""
        try:
            # The bucket's own library knows the provider's variables: AWS_ENDPOINT_URL, say.
            self.store: Any = from_url(f"{scheme}://{root}")
        except (BaseError, ValueError) as error:
            why = str(error).partition("\n")[0]
            raise ArchiveError("unsupported-place", f"{url}: {why}") from None

    def key(self, name: str) -> str:
        """The whole key of a name."""
        return self.base + name

    def list(self, below: str = "") -> Iterator[Any]:
        """What is there. Raises ArchiveError ``unreachable``."""
        with self.reached():
            for some in obstore.list(self.store, prefix=self.key(below) or None):
                yield from some

    @contextlib.contextmanager
    def reached(self) -> Iterator[None]:
        """Raises ArchiveError for what the bucket's library raises."""
        try:
            yield
        except (BaseError, OSError) as error:
            raise ArchiveError(
                "unreachable", f"{self.url}: the bucket can't be used: {_short(error)}"
            ) from None


def _short(error: Exception) -> str:
    """The first line, which says what happened; those below it say it again."""
    return str(error).strip().partition("\n")[0][:300]


def as_os_error(error: Exception) -> OSError:
    """The OSError for what the bucket's library raises."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, AlreadyExistsError | PreconditionError):
        return FileExistsError(errno.EEXIST, "it is there already")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return PermissionError(errno.EACCES, _short(error))
    return OSError(errno.EIO, _short(error))


def _stamp(meta: Any) -> Stamp:
    return meta["size"], int(meta["last_modified"].timestamp()) * 10**9


def _unchanged(meta: Any) -> Any:
    """The condition that an object is still the one that was looked at."""
    return {name: meta[name] for name in ("e_tag", "version") if meta[name]}


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


class BucketSource:
    """Objects to read."""

    def __init__(self, url: str) -> None:
        self._bucket = Bucket(url)

    def walk(self, label: str, root: int) -> Iterator[Found]:
        """As Source says. A URL that names an object is that object."""
        bucket = self._bucket
        own = bucket.base.rstrip("/")
        if own and not bucket.url.endswith("/"):
            with contextlib.suppress(FileNotFoundError):
                meta = obstore.head(bucket.store, own)
                yield file_item("", label, own, root, _stamp(meta))
                return
        for meta in bucket.list():
            yield self._found(meta, quoted_folder(label) + "/", root)

    def _found(self, meta: Any, folder: str, root: int) -> Found:
        *folders, part = meta["path"].removeprefix(self._bucket.base).split("/")
        inside = folder + "".join(f"{quoted_folder(one)}/" for one in folders)
        if not meta["size"]:
            try:  # an object that stands for a folder has a key that can't be asked for
                obstore.head(self._bucket.store, meta["path"])
            except FileNotFoundError:
                return Left(inside + quoted_folder(part), "special-file", "it stands for a folder")
        return file_item(inside, part, meta["path"], root, _stamp(meta))

    def read(self, items: list[Item]) -> Iterator[Read]:
        """As Source says; many at a time."""
        return iter(_run(self._read_all(items)) if items else ())

    async def _read_all(self, items: list[Item]) -> list[Read]:
        room = asyncio.Semaphore(_AT_ONCE)

        async def read(item: Item) -> Read:
            async with room:
                return await self._read(item)

        return await asyncio.gather(*map(read, items))

    async def _read(self, item: Item) -> Read:
        part = {"range": (item.offset, item.offset + item.length)} if item.length > 0 else None
        try:
            answer = await obstore.get_async(
                self._bucket.store, item.path, options=cast("Any", part)
            )
            if _stamp(answer.meta) != item.stamp:
                return item, None
            return item, b"" if item.length == 0 else bytes(await answer.bytes_async())
        except (BaseError, OSError) as error:
            return item, as_os_error(error)

    def open(self, path: str) -> BinaryIO:
        """As Source says."""
        return _open(self._bucket.store, path)

    def stamp(self, file: BinaryIO) -> Stamp:
        """As Source says."""
        try:
            return _stamp(obstore.head(self._bucket.store, file.name))
        except BaseError as error:
            raise as_os_error(error) from None


class _Reader:
    """An object as a binary file."""

    def __init__(self, store: Any, path: str) -> None:
        self.name = path
        self._file = obstore.open_reader(store, path)

    def read(self, size: int = -1) -> bytes:
        try:
            return bytes(self._file.read(size) if size >= 0 else self._file.readall())
        except BaseError as error:
            raise as_os_error(error) from None

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> _Reader:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(store: Any, path: str) -> BinaryIO:
    try:
        return cast("BinaryIO", _Reader(store, path))
    except BaseError as error:
        raise as_os_error(error) from None


class BucketTarget:
    """The side of a target that workers use."""

    def __init__(self, url: str) -> None:
        self._bucket = Bucket(url)

    def publish(self, batch: list[Sealed]) -> list[OSError | None]:
        """As Target says; many at a time."""
        return _run(self._publish(batch))

    async def _publish(self, batch: list[Sealed]) -> list[OSError | None]:
        room = asyncio.Semaphore(_AT_ONCE)

        async def put(one: Sealed) -> OSError | None:
            async with room:
                return await self._put(one)

        return await asyncio.gather(*map(put, batch))

    async def _put(self, one: Sealed) -> OSError | None:
        store, key = self._bucket.store, self._bucket.key(one.name)
        try:
            mode: Any = "create"
            if one.replace:
                mode = await self._version(key)
            await obstore.put_async(store, key, one.data, mode=mode)
        except (BaseError, OSError) as error:
            return as_os_error(error)
        return None

    async def _version(self, key: str) -> Any:
        """The condition that replaces what is there now, and nothing newer."""
        try:
            meta = await obstore.head_async(self._bucket.store, key)
        except FileNotFoundError:
            return "create"
        return _unchanged(meta)

    def put(self, name: str, pieces: Iterator[bytes], *, replace: bool, size: int) -> None:
        """As Target says, by multipart upload: it appears when its last part is there."""
        store, key = self._bucket.store, self._bucket.key(name)
        watched = _Watched(pieces)
        try:
            _check_free(store, "" if replace else key)
            part = max(_PART, size // _PARTS)
            _run(_upload(store, key, aiter(watched), part))
        except BaseException as error:
            if watched.error:
                raise watched.error from None
            if isinstance(error, BaseError):
                raise as_os_error(error) from None
            raise


class _Watched:
    """Pieces whose exception is kept, since the bucket's library makes another one of it."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.error: BaseException | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Asynchronous, although they aren't: the library can't be called in a callback of its
        own, and the source may be a bucket too."""
        try:
            for piece in self._pieces:
                yield piece
        except BaseException as error:
            self.error = error
            raise


async def _upload(store: Any, key: str, pieces: AsyncIterator[bytes], part: int) -> None:
    await obstore.put_async(
        store, key, pieces, use_multipart=True, chunk_size=part, max_concurrency=_UPLOADS
    )


def _check_free(store: Any, key: str) -> None:
    """Raises FileExistsError. A multipart upload has no condition of its own."""
    with contextlib.suppress(FileNotFoundError):
        if key and obstore.head(store, key):
            raise FileExistsError(errno.EEXIST, "it is there already")


class BucketArchive:
    """The side of a target that the run itself uses."""

    def __init__(self, url: str) -> None:
        self._bucket = Bucket(url)
        self._lock = self._bucket.key(f"{META}/lock")
        who = {"host": socket.gethostname(), "process": os.getpid(), "since": int(time.time())}
        self._mine = json.dumps({**who, "run": os.urandom(8).hex()}).encode()

    def exists(self) -> bool:
        """As Archive says."""
        return any(True for _ in self._bucket.list(META + "/"))

    def create(self) -> None:
        """As Archive says."""
        if not self.exists() and any(True for _ in self._bucket.list()):
            raise ArchiveError(
                "not-empty",
                f"{self._bucket.url}: something is there, and it is no archive: name another place",
            )

    @contextlib.contextmanager
    def locked(self, *, shared: bool = False, take_over: bool = False) -> Iterator[None]:
        """As Archive says. A reader needs no lock: objects are never half there. The lock of a run
        that was killed stays; one of this machine is known to be dead."""
        if shared:
            yield
            return
        with self._bucket.reached():
            self._take_lock(take_over)
        try:
            yield
        finally:
            with contextlib.suppress(BaseError, OSError):
                self._give_up_lock()

    def _give_up_lock(self) -> None:
        """Unless another run has taken it over."""
        store = self._bucket.store
        if bytes(obstore.get(store, self._lock).bytes()) == self._mine:
            obstore.delete(store, self._lock)

    def _take_lock(self, take_over: bool) -> None:
        store = self._bucket.store
        try:
            obstore.put(store, self._lock, self._mine, mode="create")
        except AlreadyExistsError:
            found = obstore.get(store, self._lock)
            holder = json.loads(bytes(found.bytes()))
            if not take_over and not _is_dead(holder):
                raise self._busy(holder) from None
            try:
                obstore.put(store, self._lock, self._mine, mode=_unchanged(found.meta))
            except PreconditionError:
                raise self._busy(holder) from None

    def _busy(self, holder: dict[str, Any]) -> ArchiveError:
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(holder["since"]))
        return ArchiveError(
            "busy",
            f"{self._bucket.url}: process {holder['process']} of {holder['host']} works on this "
            f"archive since {since}: wait until it has ended, or give --take-over if it is dead",
        )

    def clean(self) -> None:
        """Nothing temporary has a name here."""

    def manifest(self, *, create: bool = False) -> BucketManifest:
        """As Archive says. It is loaded into a file of this machine."""
        with self._bucket.reached():
            return BucketManifest(self._bucket.store, self._bucket.key(FOLDER), create=create)

    def sync(self) -> None:
        """An object is durable when the bucket has answered."""

    def remove(self, name: str) -> None:
        """As Archive says."""
        with self._bucket.reached(), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._bucket.store, self._bucket.key(name))

    def objects(self) -> Iterator[tuple[str, int]]:
        """As Archive says."""
        for meta in self._bucket.list():
            name = meta["path"].removeprefix(self._bucket.base)
            if not name.startswith(META + "/"):
                yield name, meta["size"]

    def open(self, name: str) -> BinaryIO:
        """As Archive says."""
        return _open(self._bucket.store, self._bucket.key(name))

    def same(self, name: str, other: str) -> bool:
        """As Archive says."""
        return name == other


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether the process is one of this machine that has ended."""
    if holder.get("host") != socket.gethostname():
        return False
    try:
        os.kill(int(holder["process"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
