"""Keeps a sealed message, in memory or in a temporary file, until it is verified."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, BinaryIO, cast

from .engine.decoder import envelope_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .engine.gate import Buffer

SPOOL_LIMIT = 1 << 30
"""The most bytes of a sealed message that are kept, unless the caller says otherwise."""

SPOOL_MEMORY = 2 << 20
"""A message of up to this many bytes is kept in memory, a longer one in a file without a name."""

_CHUNK = 256 << 10


class Spool:
    """The bytes of a sealed message as they came: never plaintext. ``limit``: the most it may
    hold."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._file: tempfile.SpooledTemporaryFile[bytes] | None = None
        self._len = 0

    def __len__(self) -> int:
        return self._len

    def write(self, data: Buffer) -> None:
        """Adds bytes. Past the limit it drops all and only counts on, since it may still turn out
        that none are needed. Raises OSError if the disk is full."""
        self._len += len(data)
        if self._len > self._limit:
            self.close()
            return
        if self._file is None:
            self._file = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - close() does
        if self._len > SPOOL_MEMORY:
            self._file.rollover()
        self._file.write(data)

    def check(self, more: int = 0) -> None:
        """Raises EnvelopeError ``too-large`` if ``more`` bytes would be more than it may hold."""
        if self._len + more > self._limit:
            raise envelope_error(
                "too-large",
                f"it is authenticated, and over {self._limit} bytes would have to wait until its "
                "end proves them: give it as a seekable file, raise spool_limit=, or take what "
                "comes out for unproved with unverified=True",
            )

    def chunks(self) -> Iterator[bytes]:
        """All bytes, from the first."""
        if self._file is None:
            return
        file = cast("BinaryIO", self._file)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk

    def close(self) -> None:
        """Drops all bytes."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def __del__(self) -> None:
        """For a stream that was neither finished nor aborted."""
        self.close()
