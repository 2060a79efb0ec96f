"""The push stream that encryption and decryption share: bytes in, bytes out, no I/O."""

from __future__ import annotations

import enum
import threading
from os import getpid
from typing import TYPE_CHECKING, TypeVar

from ..errors import ConcurrentUseError, already_finalized, byte_count, octets_of, room_of
from .buffer_pool import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .gate import AnyBuffer


T = TypeVar("T")


class State(enum.Enum):
    """How far a stream has come."""

    HEAD = enum.auto()
    """Its beginning is being read; what follows depends on that."""
    BODY = enum.auto()
    """Its content passes through."""
    ENDED = enum.auto()
    """Its end was written, and it takes nothing more."""
    FAILED = enum.auto()
    """It was aborted, or failed, and takes nothing more."""


# The name of a module is found ten times as fast as a member of a class like this.
HEAD, BODY, ENDED, FAILED = State
OVER = ENDED, FAILED


class StreamContext:
    """What :class:`Encryptor` and :class:`Decryptor` share.

    It does no I/O. Any exception, except for a wrong argument, ends the stream: it takes nothing
    more, and what it gave until then is incomplete. Wrong is what isn't bytes-like, and a buffer
    that is too small or read-only. One thread at a time: a second one gets
    :class:`ConcurrentUseError`.
    """

    _secret = False
    """Whether what comes out is plaintext."""
    _process: int | None = None
    """The process that alone may go on; None: any that has it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = HEAD

    def update(self, data: AnyBuffer) -> bytes:
        """Takes ``len(data)`` bytes of any bytes-like object and gives what comes of them, which
        may be nothing. Raises AlreadyFinalized, TypeError if ``data`` isn't bytes-like, and what
        the stream's own class says."""
        view = octets_of(data, "data")
        self._require_alone()
        with self._lock:
            if self._state in OVER:
                raise already_finalized()
            try:
                return self._update(view)
            except BaseException as error:
                self._after(error)
                raise

    def update_into(self, data: AnyBuffer, buffer: AnyBuffer) -> int:
        """Like :meth:`update`, into the caller's writable ``buffer``: gives the number of bytes
        written. Raises ValueError if it is too small or read-only, TypeError if it is no buffer,
        and the stream is as before: ``bound(len(data))`` bytes always suffice."""
        view = octets_of(data, "data")
        with room_of(buffer) as room:
            self._require_alone()
            with self._lock:
                if self._state in OVER:
                    raise already_finalized()
                try:
                    return self._update_into(view, room)
                except BaseException as error:
                    self._after(error)
                    raise

    def finalize(self) -> bytes:
        """Gives the end of the message; raises as :meth:`update`."""
        return self._ended_by(self._finalize)

    def finalize_into(self, buffer: AnyBuffer) -> int:
        """Like :meth:`finalize`, into the caller's ``buffer`` of at least ``bound(0)`` bytes."""
        with room_of(buffer) as room:
            return self._ended_by(self._finalize_into, room)

    def finalize_iter(self) -> Iterator[bytes]:
        """Like :meth:`finalize`, in pieces."""
        yield self.finalize()

    def bound(self, n: int) -> int:
        """The most bytes that ``n`` bytes of input and :meth:`finalize` together can give now; 0
        once the stream takes nothing more.

        A fresh stream to one recipient with an RSA-2048 key gives at most ``n`` + ``n`` / 64 +
        1 KiB, in base64 1.4 ``n`` + 1 KiB. A message gives at most 2.8 ``n`` + 1 KiB, since every
        byte may be a line feed, which becomes CRLF; with ``header_protection`` its header block may
        take 27 times its length. Longer keys and more recipients need more. What the stream holds
        back counts as input. Raises ValueError for a number below 0, TypeError for what is none."""
        count = byte_count(n)
        return 0 if self._state in OVER else self._bound(count)

    def abort(self) -> None:
        """Ends the stream without an end of message and wipes its keys. Does nothing once it has
        ended."""
        if self._lock.locked():
            raise _concurrent_use()
        with self._lock:
            if self._state not in OVER:
                self._fail()

    def _require_alone(self) -> None:
        """Before the lock is taken, which isn't waited for: every call into C drops the GIL. It is
        taken by ``with``, since between acquire() and a try an interrupt would leave it locked; so
        of two threads that come at the same instant, one goes behind the other."""
        if self._process is not None and self._process != getpid():
            raise _forked()
        if self._lock.locked():
            raise _concurrent_use()

    def _ended_by(self, work: Callable[..., T], *given: memoryview) -> T:
        """Does a call's work, after which the stream has ended."""
        self._require_alone()
        with self._lock:
            if self._state in OVER:
                raise already_finalized()
            try:
                answer = work(*given)
                self._state = ENDED
            except BaseException as error:
                self._after(error)
                raise
        return answer

    def _after(self, error: BaseException) -> None:
        """Ends the stream, unless the error is a wrong call's: then it is as it was."""
        if not isinstance(error, ValueError):
            self._fail()

    def _fail(self) -> None:
        self._abort()
        self._state = FAILED

    def _bound(self, n: int) -> int:
        raise NotImplementedError

    def _update(self, data: memoryview) -> bytes:
        size = self._bound(len(data))
        return filled(size, lambda out: self._update_into(data, out), secret=self._secret)

    def _finalize(self) -> bytes:
        return filled(self._bound(0), self._finalize_into, secret=self._secret)

    def _update_into(self, data: memoryview, buffer: memoryview) -> int:
        raise NotImplementedError

    def _finalize_into(self, buffer: memoryview) -> int:
        raise NotImplementedError

    def _abort(self) -> None:
        """Wipes the keys. The state is still that in which the stream was stopped."""
        raise NotImplementedError


def _forked() -> RuntimeError:
    return RuntimeError(
        "this stream was made before the process forked, and the parent has its key too: make one "
        "in each process"
    )


def _concurrent_use() -> ConcurrentUseError:
    return ConcurrentUseError(
        "another thread is in this stream: give each thread a stream of its own"
    )
