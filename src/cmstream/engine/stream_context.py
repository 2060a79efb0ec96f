"""The shape of a stream without I/O: octets in, octets out, then the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..errors import AlreadyFinalized, ConcurrentUseError
from .buffer_pool import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .gate import Buffer


class StreamContext:
    """What :class:`Encryptor` and :class:`Decryptor` share.

    It does no I/O. After any exception but that of a buffer too small the stream has failed and
    refuses everything; what it gave out until then is incomplete. One thread at a time: a second
    one gets :class:`ConcurrentUseError`.
    """

    _secret = False
    """Whether what comes out is plaintext."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed = False

    def update(self, data: Buffer) -> bytes:
        """Takes ``len(data)`` octets of any bytes-like object and gives what comes of them, which
        may be nothing. Raises AlreadyFinalized, and what the stream's own class tells."""
        view = memoryview(data).cast("B")
        size = self.bound(len(view))
        return filled(size, lambda out: self.update_into(view, out), secret=self._secret)

    def update_into(self, data: Buffer, buffer: Buffer) -> int:
        """Like :meth:`update`, into the caller's writable ``buffer``: gives the number of octets
        written. Raises ValueError when it is too small, without any harm: ``bound(len(data))``
        octets always suffice."""
        return self._guarded(lambda: self._update_into(memoryview(data).cast("B"), buffer))

    def finalize(self) -> bytes:
        """Gives the end of the message; raises as :meth:`update`."""
        return filled(self.bound(0), self.finalize_into, secret=self._secret)

    def finalize_into(self, buffer: Buffer) -> int:
        """Like :meth:`finalize`, into the caller's ``buffer`` of at least ``bound(0)`` octets."""
        return self._guarded(lambda: self._finalize_into(buffer))

    def finalize_iter(self) -> Iterator[bytes]:
        """Like :meth:`finalize`, in pieces."""
        yield self.finalize()

    def bound(self, n: int) -> int:
        """The most octets that ``n`` octets of input and :meth:`finalize` together can give now."""
        raise NotImplementedError

    def abort(self) -> None:
        """Ends the stream without an end of message and wipes its keys."""
        with self._entered():
            self._failed = True
            self._abort()

    def _guarded(self, work: Callable[[], int]) -> int:
        with self._entered():
            if self._failed:
                raise AlreadyFinalized("this stream was finalized, aborted, or failed before")
            try:
                return work()
            except ValueError:  # a wrong call: the stream is as it was
                raise
            except BaseException:
                self._failed = True
                self._abort()
                raise

    def _entered(self) -> _Entered:
        return _Entered(self._lock)

    def _update_into(self, data: memoryview, buffer: Buffer) -> int:
        raise NotImplementedError

    def _finalize_into(self, buffer: Buffer) -> int:
        raise NotImplementedError

    def _abort(self) -> None:
        raise NotImplementedError


class _Entered:
    """The lock of a stream, taken without waiting: every call into C drops the GIL."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise ConcurrentUseError(
                "another thread is in this stream: give each thread a stream of its own"
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()
