"""The file shapes: a writer, a reader, and an iterator around each push stream."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar, cast

from .decrypt import Who, as_identities, decryptor
from .decryption_pass import decrypted_pieces, pieces
from .encrypt import Encryptor, To, encryptor
from .engine.mail_text import count_bare_line_feeds
from .errors import AlreadyFinalized
from .mail import mime
from .policy import DEFAULT, Policy
from .spool import SPOOL_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from types import TracebackType

    from .engine.gate import Buffer
    from .engine.stream_context import StreamContext
    from .sealing import Form

    Source = BinaryIO | Iterable[Buffer]

CHUNK = 256 << 10
"""Octets taken from a source at a time: few calls, and all of it stays in the cache."""


W = TypeVar("W", bound="Writer")


class Sink(Protocol):
    """Anything with ``write``, such as a binary file."""

    def write(self, data: memoryview, /) -> Any: ...


class Writer:
    """What is written goes through a push stream to ``sink``, which is not closed."""

    # Not an io.RawIOBase: its close() on collection would finish a broken message.

    def __init__(self, sink: Sink, context: StreamContext) -> None:
        self._sink, self._context = sink, context
        self._buffer = bytearray()
        self._closed = False

    def write(self, data: Buffer) -> int:
        """Takes ``data`` and gives its length in octets."""
        self._check()
        view = memoryview(data).cast("B")
        for start in range(0, len(view), CHUNK):
            part = view[start : start + CHUNK]
            room = self._room(len(part))
            self._give(memoryview(room)[: self._context.update_into(part, room)])
        return len(view)

    def close(self) -> None:
        """Finishes the message. Does nothing the second time."""
        if self._closed:
            return
        self._closed = True
        for piece in self._context.finalize_iter():
            self._give(memoryview(piece))

    def abort(self) -> None:
        """Gives the message up: no end is written, the keys are wiped."""
        if not self._closed:
            self._closed = True
            self._context.abort()

    def writable(self) -> bool:
        """True: it is for writing."""
        return True

    def __enter__(self: W) -> W:  # noqa: PYI019 - Self is not in Python 3.10
        self._check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _check(self) -> None:
        if self._closed:
            raise AlreadyFinalized("this writer was closed or aborted")

    def _room(self, count: int) -> bytearray:
        need = self._context.bound(count)
        if len(self._buffer) < need:
            # Some more: while something is held back, each piece needs a little more room.
            self._buffer = bytearray(need + need // 4)
        return self._buffer

    def _give(self, view: memoryview) -> None:
        """A raw file may take less than it is given."""
        while view:
            taken = self._sink.write(view)
            view = view[taken:] if isinstance(taken, int) else view[:0]


class EncryptWriter(Writer):
    """A writable stream: what is written comes out encrypted in ``sink``.

    Use it in a ``with`` block. When the block ends well the message is finished; an exception in
    it aborts, and no end of message is ever written. The sink is not closed. ``size``, ``form``
    and ``policy`` as in :func:`~cmstream.encryptor`, whose exceptions are raised here too.
    """

    def __init__(
        self,
        sink: Sink,
        to: To,
        *,
        size: int | None = None,
        form: Form = "der",
        policy: Policy = DEFAULT,
    ) -> None:
        super().__init__(sink, encryptor(to, size=size, form=form, policy=policy))


class DecryptWriter(Writer):
    """A writable stream: the sealed octets that are written come out opened in ``sink``.

    Use it in a ``with`` block. What is in the sink before the block has ended well isn't proved to
    be whole or right: throw it away after an exception. Of AuthEnvelopedData nothing comes before
    the end of the block; it comes verified then, piece by piece. The sink is not closed.
    ``message``, ``unverified``, ``spool_limit`` as in :func:`~cmstream.decryptor`, whose
    exceptions are raised here too.
    """

    def __init__(
        self,
        sink: Sink,
        identities: Who,
        *,
        message: bool = False,
        unverified: bool = False,
        spool_limit: int = SPOOL_LIMIT,
    ) -> None:
        context = decryptor(
            identities, message=message, unverified=unverified, spool_limit=spool_limit
        )
        super().__init__(sink, context)


def encrypt_iter(
    source: Source,
    to: To,
    *,
    size: int | None = None,
    form: Form = "der",
    policy: Policy = DEFAULT,
) -> Iterator[bytes]:
    """Encrypts a binary file, or an iterable of bytes-like chunks, and gives the pieces.

    A seekable file is measured first, from where it stands, so that the output is
    definite-length DER; so it is with ``size``. Constant memory. Raises as
    :func:`~cmstream.encryptor` does, and SizeMismatchError if the file changes meanwhile. The
    message is whole only when the iterator has ended by itself.
    """
    context = _encryptor_for(source, to, size, form, policy)
    return _pieces(context, source)


class Reader(io.RawIOBase):
    """A readable raw binary file of pieces; ``abort`` is called when it is closed."""

    def __init__(self, pieces: Iterator[bytes], abort: Callable[[], None]) -> None:
        super().__init__()
        self._pieces, self._abort = pieces, abort
        self._piece = memoryview(b"")
        self._failed = False

    def readable(self) -> bool:
        """True: it is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills ``buffer`` with the next octets, at least one unless it is the end. Raises
        ValueError once it is closed, AlreadyFinalized after another exception."""
        if self.closed:
            raise ValueError("this reader is closed")
        out = memoryview(buffer).cast("B")
        while out and not self._piece:
            piece = self._next()
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        count = min(len(out), len(self._piece))
        out[:count], self._piece = self._piece[:count], self._piece[count:]
        return count

    def _next(self) -> bytes | None:
        if self._failed:  # an end here would be taken for the message's
            raise AlreadyFinalized("this stream failed before")
        try:
            return next(self._pieces, None)
        except BaseException:
            self._failed = True
            raise

    def close(self) -> None:
        """Wipes the keys of a message that wasn't read to its end."""
        if not self.closed:
            self._abort()
        super().close()


class EncryptReader(Reader):
    """A readable raw binary file that gives ``source`` encrypted; arguments as in
    :func:`encrypt_iter`. Closing it doesn't close the source."""

    def __init__(
        self,
        source: Source,
        to: To,
        *,
        size: int | None = None,
        form: Form = "der",
        policy: Policy = DEFAULT,
    ) -> None:
        context = _encryptor_for(source, to, size, form, policy)
        super().__init__(_pieces(context, source), context.abort)


class DecryptReader(Reader):
    """A readable raw binary file that gives the sealed ``source`` opened; arguments as in
    :func:`decrypt_iter`. What was read before its end came isn't proved to be whole or right: a
    read that raises says that it isn't. Closing it doesn't close the source."""

    def __init__(
        self,
        source: Source,
        identities: Who,
        *,
        message: bool = False,
        unverified: bool = False,
        spool_limit: int = SPOOL_LIMIT,
    ) -> None:
        opened = _opened(source, identities, message, unverified, spool_limit)
        super().__init__(opened, opened.close)


def decrypt_iter(
    source: Source,
    identities: Who,
    *,
    message: bool = False,
    unverified: bool = False,
    spool_limit: int = SPOOL_LIMIT,
) -> Iterator[bytes]:
    """Opens a sealed binary file, or an iterable of bytes-like chunks, and gives the pieces, in
    constant memory. Raises as :func:`~cmstream.decryptor` does, in the middle too: nothing is
    proved until the iterator has ended by itself.

    AuthEnvelopedData is verified before anything of it comes out: a seekable file is read twice
    from where it stands (a third time where attributes are authenticated), and verified once more
    the last time, since it may have changed; what comes from elsewhere waits in memory and in a
    temporary file, up to ``spool_limit``. ``unverified`` gives it out as it comes, as
    :func:`~cmstream.decryptor` tells; a seekable file is read again where attributes are
    authenticated."""
    return _opened(source, identities, message, unverified, spool_limit)


def _opened(
    source: Source, identities: Who, message: bool, unverified: bool, spool_limit: int
) -> Generator[bytes]:
    if not _seekable(source):
        context = decryptor(
            identities, message=message, unverified=unverified, spool_limit=spool_limit
        )
        return pieces(context, chunks(source))
    file = cast("BinaryIO", source)
    start = file.tell()

    def again() -> Iterator[Buffer]:
        file.seek(start)
        return chunks(file)

    return decrypted_pieces(
        again, as_identities(identities), message=message, unverified=unverified
    )


def _pieces(context: StreamContext, source: Source) -> Iterator[bytes]:
    for chunk in chunks(source):
        if piece := context.update(chunk):
            yield piece
    yield context.finalize()


def chunks(source: Source) -> Iterator[Buffer]:
    """What a binary file gives, or the chunks of an iterable as they come."""
    if not hasattr(source, "read"):
        yield from source
        return
    while chunk := cast("BinaryIO", source).read(CHUNK):
        yield chunk


def _encryptor_for(
    source: Source, to: To, size: int | None, form: Form, policy: Policy
) -> Encryptor:
    line_feeds = None
    if size is None and _seekable(source):
        size, line_feeds = _survey(cast("BinaryIO", source), form)
    return encryptor(to, size=size, form=form, policy=policy, line_feeds=line_feeds)


def _seekable(source: object) -> bool:
    seekable = getattr(source, "seekable", None)
    return bool(seekable and seekable())


def _survey(source: BinaryIO, form: Form) -> tuple[int, int | None]:
    """How many octets the file has from here on and, of a message, how many bare line feeds."""
    start = source.tell()
    if form == "message":
        size, line_feeds = _count(source)
    else:
        size, line_feeds = source.seek(0, io.SEEK_END) - start, None
    source.seek(start)
    return size, line_feeds


def _count(source: BinaryIO) -> tuple[int, int]:
    size = line_feeds = last = scanned = 0
    head: bytearray | None = bytearray()
    for chunk in itertools.chain(chunks(source), [b""]):
        body: Buffer = chunk
        size += len(chunk)
        if head is not None:
            head += chunk
            end, scanned = mime.header_end(head, scanned, final=not chunk)
            if end is None:
                continue
            body, head = bytes(head[end:]), None
        found, last = count_bare_line_feeds(body, last)
        line_feeds += found
    return size, line_feeds
