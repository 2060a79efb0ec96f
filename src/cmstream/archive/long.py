"""Seals one long source, which is read piece by piece and never held."""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from ..errors import CmstreamError, SizeMismatchError
from ..mail import mbox, mime
from ..streams import CHUNK, encrypt_iter
from . import layout
from .hashed import Hashed
from .items import MBOX, Item, Outcome
from .names import FILE, MAIL
from .names import target as target_name
from .sources import look_into, looks_split
from .worker import Worker, changed_meanwhile, not_published, not_sealed, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = mime.HEADER_LIMIT + (1 << 10)


class Part(io.RawIOBase):
    """A part of a file as a file of its own; of an mbox entry the message, unquoted. It can be read
    again from its beginning; ``digest`` is the SHA-256 of what was read since."""

    def __init__(self, file: BinaryIO, item: Item) -> None:
        super().__init__()
        self._file, self._item = file, item
        self.seek(0)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Back to the beginning. Raises UnsupportedOperation for all other places."""
        if (offset, whence) != (0, 0):
            raise io.UnsupportedOperation("only to the beginning")
        self._chunks = self._entry() if self._item.kind == MBOX else self._slice(self._item.octets)
        self._rest = b""
        self.digest, self._at = hashlib.sha256(), 0
        return 0

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True: to the beginning."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none at the end."""
        while not self._rest:
            with _reading():
                chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = chunk
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        self.digest.update(taken)
        self._at += len(taken)
        return taken

    def _slice(self, count: int) -> Iterator[bytes]:
        start = self._item.offset
        self._file.seek(start)
        while count and (chunk := self._file.read(min(CHUNK, count))):
            count -= len(chunk)
            yield bytes(chunk)

    def _entry(self) -> Iterator[bytes]:
        look = look_into(self._file)
        offset = self._item.offset
        chunks = self._slice(self._item.octets)
        message = next(mbox.messages(chunks, lambda at, count: look(offset + at, count)))
        return message.chunks


class _UnreadableError(Exception):
    """An error of the source, not of the target."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


def seal(worker: Worker, item: Item) -> Outcome:
    """Seals it into a file of its own. Raises OSError where the target can't take more."""
    source = worker.sources[item.root]
    try:
        with _reading():
            file = source.open(item.path)
        with file:
            return _Sealing(worker, item, file).outcome()
    except _UnreadableError as failure:
        return unreadable(item, failure.error)


@contextmanager
def _reading() -> Iterator[None]:
    """Tells the source's errors from the target's."""
    try:
        yield
    except OSError as error:
        raise _UnreadableError(error) from None


def _layout(part: Part) -> str | None:
    """Reads all of a mail for how it stands."""
    beginning, last = bytearray(), b""
    lf = crlf = 0
    while piece := part.read(CHUNK):
        if len(beginning) < _HEAD:
            beginning += piece
        lf += piece.count(b"\n")
        crlf += piece.count(b"\r\n") + (last == b"\r" and piece[:1] == b"\n")
        last = piece[-1:]
    return layout.of_head(bytes(beginning), layout.Ends(lf, crlf))


class _Sealing:
    """One long source on its way."""

    def __init__(self, worker: Worker, item: Item, file: BinaryIO) -> None:
        self._worker, self._item, self._file = worker, item, file
        self._source = worker.sources[item.root]

    def outcome(self) -> Outcome:
        """Raises _UnreadableError, and OSError for the target."""
        item, worker = self._item, self._worker
        if self._has_changed():
            return changed_meanwhile(item)
        part, found, digest = Part(self._file, item), None, b""
        if worker.splits(item) and (what := looks_split(part.read(4 << 10))):
            return Outcome(item, what)
        part.seek(0)
        if worker.is_mail(item):
            found = _layout(part)
            digest = part.digest.digest()
        elif item.known:
            digest = _read_through(part)
        if item.known and (seen := worker.again(item, digest)):
            return seen
        part.seek(0)
        return self._published(part, found or "", digest)

    def _has_changed(self) -> bool:
        with _reading():
            return self._source.stamp(self._file) != self._item.stamp

    def _published(self, part: Part, found: str, before: bytes) -> Outcome:
        """``before``: the digest that the source must have, if it was read before."""
        item = self._item
        name = target_name(item.name, MAIL if found else FILE)
        pieces = Hashed(self._checked(part, before, message=bool(found)))
        try:
            self._worker.target.put(
                name, iter(pieces), replace=item.replace, size=item.octets * 3 // 2
            )
        except SizeMismatchError:
            return changed_meanwhile(item)
        except CmstreamError as error:
            return not_sealed(item, error)
        except OSError as error:
            return not_published(item, name, error)
        own, sealed = part.digest.digest(), pieces.digest.digest()
        return Outcome(item, "sealed", name, own, pieces.size, sealed, found)

    def _checked(self, part: Part, before: bytes, *, message: bool) -> Iterator[bytes]:
        """Raises SizeMismatchError at the end if the source isn't what it was."""
        yield from self._pieces(part, message=message)
        if self._has_changed() or (before and before != part.digest.digest()):
            raise SizeMismatchError("size-mismatch", "the source has changed")

    def _pieces(self, part: Part, *, message: bool) -> Iterator[bytes]:
        policy, to = self._worker.job.policy, self._worker.to
        if message:
            return encrypt_iter(cast("BinaryIO", part), to, form="message", policy=policy)
        # The message of an mbox entry is shorter than the entry.
        size = self._item.octets if self._item.kind != MBOX else None
        chunks = iter(lambda: part.read(CHUNK), b"")
        return encrypt_iter(chunks, to, size=size, policy=policy)


def _read_through(part: Part) -> bytes:
    while part.read(CHUNK):
        pass
    return part.digest.digest()
