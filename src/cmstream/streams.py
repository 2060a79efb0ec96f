"""Encrypts and decrypts files: a writer, a reader and an iterator around each push stream."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar, cast

from .decryption import Who, as_identities, decryptor
from .decryption_pass import decrypted_pieces, pieces
from .encryption import To, encryptor
from .engine.buffer_pool import COPIED
from .engine.encoder import size_mismatch
from .engine.mail_text import count_bare_line_feeds
from .errors import AlreadyFinalized, SizeMismatchError, octets_of
from .mail import mime
from .policy import DEFAULT, Policy
from .recipients.recipients import as_recipients
from .sealing import job, seal_one, should_pass_through
from .spool import SPOOL_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from types import TracebackType

    from .engine.gate import AnyBuffer, Buffer
    from .engine.stream_context import StreamContext
    from .sealing import Form, Job

    Source = BinaryIO | Iterable[AnyBuffer]

CHUNK = 256 << 10
"""Bytes read from a source at a time: few calls, and all of it stays in the cache."""


_NOTHING = memoryview(b"")

T = TypeVar("T")
W = TypeVar("W", bound="Writer")


class Sink(Protocol):
    """Anything with ``write``, such as a binary file."""

    def write(self, data: memoryview, /) -> Any: ...


class Writer:
    """A file that passes what is written to it through a push stream to ``sink``. It doesn't close
    the sink."""

    # Not an io.RawIOBase: its close() on collection would finish a broken message.

    def __init__(self, sink: Sink, context: StreamContext) -> None:
        if not callable(getattr(sink, "write", None)):
            what = type(sink).__name__
            raise TypeError(f"sink: {what} has no write(): give a file that is open for writing")
        self._sink, self._context = sink, context
        self._buffer = memoryview(bytearray())
        self._closed = False

    def write(self, data: AnyBuffer) -> int:
        """Takes ``data`` and gives its length in bytes."""
        if self._closed:
            raise _closed()
        view = octets_of(data, "data")
        size = len(view)
        if size <= CHUNK:
            self._pass_on(view)
        else:
            for start in range(0, size, CHUNK):
                self._pass_on(view[start : start + CHUNK])
        return size

    def _pass_on(self, part: memoryview) -> None:
        room = self._room(len(part))
        if count := self._context.update_into(part, room):
            self._give(room[:count])

    def close(self) -> None:
        """Finishes the message. Does nothing the second time."""
        if self._closed:
            return
        self._closed = True
        self._finish()

    def _finish(self) -> None:
        for piece in self._context.finalize_iter():
            self._give(memoryview(piece))

    def abort(self) -> None:
        """Gives up the message: writes no end, and wipes the keys."""
        if not self._closed:
            self._closed = True
            self._context.abort()

    def flush(self) -> None:
        """Does nothing: what is held back comes out as the message goes on, or at its end."""

    def writable(self) -> bool:
        """True: a writer can be written to."""
        return True

    def __enter__(self: W) -> W:  # noqa: PYI019 - Self is not in Python 3.10
        if self._closed:
            raise _closed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _room(self, count: int) -> memoryview:
        need = self._context.bound(count)
        if len(self._buffer) < need:
            # A little more: while something is held back, each piece needs more room than the last.
            self._buffer = memoryview(bytearray(need + need // 4))
        return self._buffer

    def _give(self, view: memoryview) -> None:
        """Writes all of it: a raw file may take less at a time, and one that doesn't wait nothing.
        After an error nobody knows what the sink has: the message gets no end."""
        try:
            while view:
                taken = self._sink.write(view)
                if taken is None and isinstance(self._sink, io.RawIOBase):
                    text = "the sink takes nothing now: make it one that waits"
                    raise BlockingIOError(errno.EAGAIN, text)  # noqa: TRY301 - as the sink's own
                if not isinstance(taken, int) or taken >= len(view):
                    return
                if taken <= 0:  # it would be asked for ever
                    text = f"the sink says that it took {taken} of {len(view)} bytes"
                    raise OSError(errno.EIO, text)  # noqa: TRY301 - as the sink's own
                view = view[taken:]
        except BaseException:
            self._context.abort()
            raise


def _closed() -> AlreadyFinalized:
    return AlreadyFinalized("this writer was closed or aborted")


class EncryptWriter(Writer):
    """A writable stream: what is written comes out encrypted in ``sink``.

    Use it in a ``with`` block. The end of the block finishes the message; an exception in it
    aborts, and the message then never gets an end. The sink is not closed. ``size``, ``form`` (DER
    unless it says otherwise) and ``policy`` as in :func:`~cmstream.encryptor`, whose exceptions are
    raised here too.
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

    def _pass_on(self, part: memoryview) -> None:
        if len(part) > COPIED:
            super()._pass_on(part)
        elif piece := self._context.update(part):
            self._give(memoryview(piece))


class DecryptWriter(Writer):
    """A writable stream: an encrypted message that is written comes out decrypted in ``sink``.

    Use it in a ``with`` block. Before the block has ended without an exception, nothing proves that
    what is in the sink is whole or right: discard it after an exception. AuthEnvelopedData comes
    out at the end of the block, verified and piece by piece. The sink is not closed.
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

    A seekable file is measured first, from its current position, so that the output is
    definite-length DER, as it is with ``size``; a message of up to 256 KiB is read at once. A
    message in such a file that is encrypted already is known at any length, as by
    :func:`encrypt_message`; with ``size``, or from elsewhere, as by :func:`~cmstream.encryptor`.
    ``form`` is DER unless it says otherwise. Memory is constant. Raises as
    :func:`~cmstream.encryptor` does; SizeMismatchError if the file changes meanwhile;
    BlockingIOError for a file that doesn't wait until it has something to read. The message is
    whole only when the iterator has ended by itself.
    """
    return _sealed(source, to, size, form, policy)[0]


class Reader(io.RawIOBase):
    """A raw binary file that gives an iterator's pieces, and calls ``abort`` when it is closed."""

    _piece = _NOTHING
    _failed = False
    _abort: Callable[[], None] | None = None  # so until the arguments have been accepted

    def __init__(self, pieces: Iterator[bytes], abort: Callable[[], None]) -> None:
        super().__init__()
        self._pieces, self._abort = pieces, abort

    def readable(self) -> bool:
        """True: a reader can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills ``buffer`` with the next bytes, at least one unless it is the end. Raises
        ValueError once it is closed, and AlreadyFinalized after an exception."""
        out = memoryview(buffer).cast("B")
        taken = self._next(len(out))
        out[: len(taken)] = taken
        return len(taken)

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes, as :meth:`readinto`; all that is left if it is below 0."""
        # The inherited one takes fresh memory of this size for each call.
        return self.readall() if size is None or size < 0 else bytes(self._next(size))

    def readall(self) -> bytes:
        """All that is left. Raises as :meth:`readinto`."""
        self._check_open()
        first, self._piece = self._piece, _NOTHING
        return b"".join([first, *self._taken(list)])

    def _next(self, most: int) -> memoryview:
        self._check_open()
        while most and not self._piece:
            piece = self._taken(next, None)
            if piece is None:
                break
            self._piece = memoryview(piece)
        first, self._piece = self._piece[:most], self._piece[most:]
        return first

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("this reader is closed")

    def _taken(self, take: Callable[..., T], *how: Any) -> T:
        """What ``take`` takes of the pieces."""
        if self._failed:  # the end of the file would be taken for the message's
            raise AlreadyFinalized("this stream failed before")
        try:
            return take(self._pieces, *how)
        except BaseException:
            self._failed = True
            raise

    def close(self) -> None:
        """Wipes the keys of a message that wasn't read to its end."""
        if not self.closed and self._abort:
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
        super().__init__(*_sealed(source, to, size, form, policy))


class DecryptReader(Reader):
    """A readable raw binary file that gives the encrypted ``source`` decrypted; arguments as in
    :func:`decrypt_iter`. Before its end, nothing proves that what was read is whole or right:
    discard it if a read raises. Closing it doesn't close the source."""

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
    """Decrypts a binary file, or an iterable of bytes-like chunks, and gives the pieces, in
    constant memory. Raises as :func:`~cmstream.decryptor` does, also between pieces: nothing is
    proved until the iterator has ended by itself.

    AuthEnvelopedData is verified before anything of it comes out. A seekable file is read twice
    from its current position (three times if it has authenticated attributes), and verified again
    the last time, since it may have changed. What comes from elsewhere is kept in memory and in a
    temporary file, up to ``spool_limit``. ``unverified`` gives it out as it comes, as in
    :func:`~cmstream.decryptor`; a seekable file with authenticated attributes is then read
    twice."""
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


def _pieces(context: StreamContext, some: Iterable[Buffer]) -> Iterator[bytes]:
    for chunk in some:
        if piece := context.update(chunk):
            yield piece
    yield context.finalize()


def chunks(source: Source) -> Iterator[memoryview]:
    """The chunks of a binary file, or of an iterable as they are. Raises TypeError for what is
    neither, and BlockingIOError where a file doesn't wait for its next bytes."""
    if hasattr(source, "read"):
        return _read(cast("BinaryIO", source))
    octets = isinstance(source, str | bytes | bytearray | memoryview)  # iterable, but of numbers
    if octets or not isinstance(source, Iterable):
        what = type(source).__name__
        raise TypeError(
            f"source: {what} is no binary file and no list of chunks: give an open file, or the "
            "bytes as [data]"
        )
    return (octets_of(chunk, "source") for chunk in source)


def _read(file: BinaryIO) -> Iterator[memoryview]:
    while (chunk := file.read(CHUNK)) is not None:
        view = octets_of(chunk, "source")
        if not view:
            return
        yield view
    raise BlockingIOError(errno.EAGAIN, "the source has nothing now: make it one that waits")


def _sealed(
    source: Source, to: To, size: int | None, form: Form, policy: Policy
) -> tuple[Iterator[bytes], Callable[[], None]]:
    """The pieces of ``source`` encrypted, and what gives the message up."""
    if size is None and _seekable(source):
        file = cast("BinaryIO", source)
        if form == "message":
            return _sealed_message(file, to, policy)
        size = _left(file)
    context = encryptor(to, size=size, form=form, policy=policy)
    return _pieces(context, chunks(source)), context.abort


def _sealed_message(
    file: BinaryIO, to: To, policy: Policy
) -> tuple[Iterator[bytes], Callable[[], None]]:
    """As :func:`_sealed`, for a message that can be read more than once."""
    start = file.tell()
    some = chunks(file)
    first, second = next(some, _NOTHING), next(some, _NOTHING)
    if not second:
        whole = _whole(job(first, as_recipients(to), policy))
        return whole, whole.close
    head, size, line_feeds = _measure(itertools.chain([first, second], some, [b""]))
    context = encryptor(to, size=size, form="message", policy=policy, line_feeds=line_feeds)
    file.seek(start)  # not behind the header block: some files can only go back to their start
    proved = hashlib.sha256(head)
    passes = should_pass_through(head, _hashed(_behind(len(head), file), proved), policy)
    file.seek(start)
    if not passes:
        return _pieces(context, chunks(file)), context.abort
    context.abort()
    unchanged = _unchanged(file, size, proved.digest())
    return unchanged, unchanged.close


def _seekable(source: object) -> bool:
    seekable = getattr(source, "seekable", None)
    return bool(seekable and seekable())


def _left(file: BinaryIO) -> int | None:
    """How many bytes follow; None where a file can't tell its end, as those of the kernel."""
    start = file.tell()
    try:
        end = file.seek(0, io.SEEK_END)
    except OSError:
        return None
    file.seek(start)
    return max(end - start, 0)


def _whole(message: Job) -> Generator[bytes]:
    yield seal_one(message, "message")


def _behind(count: int, file: BinaryIO) -> Iterator[Buffer]:
    for chunk in chunks(file):
        yield memoryview(chunk)[count:]
        count = max(count - len(chunk), 0)


def _hashed(some: Iterable[Buffer], digest: hashlib._Hash) -> Iterator[Buffer]:
    for chunk in some:
        digest.update(chunk)
        yield chunk


def _unchanged(file: BinaryIO, size: int, proved: bytes) -> Generator[bytes]:
    """All of a file, which must still be what was proved to be encrypted."""
    left, digest = size, hashlib.sha256()
    for chunk in _hashed(chunks(file), digest):
        left -= len(chunk)
        if left < 0:
            break
        yield bytes(chunk)
    if left:
        raise size_mismatch("more" if left < 0 else "less")
    if digest.digest() != proved:
        raise SizeMismatchError(
            "size-mismatch", "the file was changed while it was read: encrypt it again"
        )


def _measure(some: Iterable[Buffer]) -> tuple[bytes, int, int]:
    """The message's header block, how many bytes the message has, and how many bare line feeds its
    body. ``some``: all chunks, the last one empty."""
    size = line_feeds = last = scanned = 0
    beginning, head = bytearray(), None
    for chunk in some:
        body: Buffer = chunk
        size += len(chunk)
        if head is None:
            beginning += chunk
            end, scanned = mime.header_end(beginning, scanned, final=not chunk)
            if end is None:
                continue
            head, body = bytes(beginning[:end]), bytes(beginning[end:])
        found, last = count_bare_line_feeds(body, last)
        line_feeds += found
    return head or b"", size, line_feeds
