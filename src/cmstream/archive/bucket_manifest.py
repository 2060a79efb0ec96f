"""The manifest of an archive in a bucket: an object for each batch of rows, never changed after it
was put. For its use all of them are loaded into SQLite."""

from __future__ import annotations

import gzip
import json
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore

from .errors import ArchiveError
from .manifest import Manifest, Row
from .names import META

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FOLDER = f"{META}/manifest/"
_DAMAGES = (
    OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, OverflowError,
    RecursionError, zlib.error,
)  # fmt: skip


class BucketManifest(Manifest):
    """All rows of an archive. What is added is an object when :meth:`add` returns."""

    def __init__(self, store: Any, folder: str, *, create: bool = False) -> None:
        """Raises ArchiveError where there is none, or it is damaged; what the bucket raises."""
        self._store, self._folder = store, folder
        self._scratch = tempfile.TemporaryDirectory(prefix="cmstream-manifest-")
        try:
            self._load(create)
        except BaseException:
            self._scratch.cleanup()
            raise

    def _load(self, create: bool) -> None:
        keys = sorted(
            meta["path"] for some in obstore.list(self._store, prefix=self._folder) for meta in some
        )
        if not keys and not create:
            raise ArchiveError("no-archive", f"{self._folder}: there is no archive")
        self._number = len(keys)
        super().__init__(Path(self._scratch.name) / "manifest.sqlite3", create=True)
        for key in keys:
            self._take(key)
        self._had_rows = bool(keys)

    def _take(self, key: str) -> None:
        """Loads the rows of one object. What isn't of a row's kind SQLite doesn't take."""
        try:
            packed = bytes(obstore.get(self._store, key).bytes())
            document = json.loads(gzip.decompress(packed))
            number = self.number_of(document["who"])
            super().add([_row(one)._replace(who=number) for one in document["rows"]])
        except _DAMAGES as error:
            raise ArchiveError(
                "damaged-manifest",
                f"{key}: this part of the manifest can't be read ({error}): put back a copy of it",
            ) from None

    def add(self, rows: Iterable[Row]) -> None:
        """Puts an object for the rows of each list of recipients. Raises ArchiveError where
        somebody else has put one of this number."""
        everyone = dict(self.everyone())
        every = list(rows)
        for number in sorted({one.who for one in every}):
            some = [one for one in every if one.who == number]
            self._put(everyone[number], some)
        super().add(every)

    def _put(self, who: list[str], rows: Sequence[Row]) -> None:
        document = {"who": who, "rows": [_listed(one) for one in rows]}
        packed = gzip.compress(json.dumps(document).encode(), mtime=0)
        key = f"{self._folder}{self._number:08}.json.gz"
        try:
            obstore.put(self._store, key, packed, mode="create", use_multipart=False)
        except obstore.exceptions.AlreadyExistsError:
            raise ArchiveError(
                "busy", f"{key}: another run has written to this archive: start again"
            ) from None
        self._number += 1

    def close(self) -> None:
        """Ends the use of it."""
        super().close()
        self._scratch.cleanup()


def _listed(row: Row) -> list[Any]:
    return [one.hex() if isinstance(one, bytes) else one for one in row]


def _row(listed: list[Any]) -> Row:
    row = Row(*listed)
    return row._replace(
        digest=bytes.fromhex(row.digest),  # type: ignore[arg-type]
        sealed_digest=bytes.fromhex(row.sealed_digest),  # type: ignore[arg-type]
    )
