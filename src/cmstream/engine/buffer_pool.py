"""Memory for answers, taken again when the caller let them go: fresh memory costs a page fault for
every few KiB, all together as much as the encryption."""

from __future__ import annotations

import io
import mmap
import sys
import sysconfig
import threading
from collections import deque
from typing import TYPE_CHECKING

from . import gate

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 4 << 20
"""Octets from which on an answer is large: fresh memory for one costs a page fault for every few
KiB, all together as much as a sixth of sealing it."""

HUGE_PAGE = 2 << 20
"""Octets from which on a slab asks for large pages: many messages at once write to many places."""

KEPT_ANSWERS = 2
KEPT_LIMIT = 48 << 20
"""How many large answers' memory stays with the process when nobody holds them any more, and the
most octets of one; two, because ``answer = encrypt(...)`` in a loop holds one while it makes the
next."""

# Only where a count of references is exact can it be known that nobody holds an answer.
_COUNTS = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")

_kept: deque[io.BytesIO] = deque(maxlen=KEPT_ANSWERS)


def filled(size: int, fill: Callable[[memoryview], int], *, secret: bool = False) -> bytes:
    """The octets that ``fill`` writes into a buffer of ``size``, and counts, as bytes: BytesIO
    hands out its own, so that nothing is copied. The memory of a ``secret`` isn't kept for later
    ones, and forgotten when ``fill`` fails."""
    store = (_let_go(size) if size >= LARGE else None) or io.BytesIO(bytes(size))
    with _room(store) as room, room[:size] as view:
        try:
            count = fill(view)
        except BaseException:
            if secret:
                view[:] = bytes(len(view))
            raise
    store.truncate(count)
    answer = store.getvalue()  # held, before another thread can look whether it is
    if LARGE <= count <= KEPT_LIMIT and _COUNTS and not secret:
        _kept.append(store)
    return answer


def _let_go(size: int) -> io.BytesIO | None:
    """The shortest store that is long enough and whose octets nobody else holds. To grow one would
    take as long as fresh memory."""
    found: io.BytesIO | None = None
    for _ in range(len(_kept)):
        try:
            store = _kept.popleft()
        except IndexError:  # another thread was faster
            break
        back: io.BytesIO | None = store
        if _fits(store, size) and (found is None or _length(store) < _length(found)):
            back, found = found, store
        if back is not None:
            _kept.append(back)
    return found


def _fits(store: io.BytesIO, size: int) -> bool:
    return sys.getrefcount(store.getvalue()) == _STORE_AND_ARGUMENT and _length(store) >= size


_STORE_AND_ARGUMENT = 2


def _length(store: io.BytesIO) -> int:
    return store.seek(0, io.SEEK_END)


def _room(store: io.BytesIO) -> memoryview:
    """The store's own memory."""
    view = store.getbuffer()
    if len(view) >= LARGE:
        gate.expect_large(view)
    return view


class Slab:
    """Memory that several answers lie in, one behind the other."""

    def __init__(self, size: int) -> None:
        self._octets = _mapping(size) if size >= HUGE_PAGE else bytearray(size)
        self._start = gate.address(memoryview(self._octets))
        if size >= HUGE_PAGE:
            gate.expect_large(memoryview(self._octets))
        self._used = 0
        self._unheld = sys.getrefcount(self._octets)

    def __len__(self) -> int:
        return len(self._octets)

    def open(self) -> tuple[int, memoryview, int]:
        """For C where it begins; for callers a view, read-only, which counts as a reference to the
        octets as long as it, or a slice of it, is held by anybody; and how much is in use."""
        return self._start, memoryview(self._octets).toreadonly(), self._used

    def close(self, used: int) -> None:
        """So much is in use now."""
        self._used = used

    def usable(self, size: int) -> bool:
        """Whether there is room, all of it once nobody holds an answer any more."""
        if _COUNTS and sys.getrefcount(self._octets) == self._unheld:
            self._used = 0
        return self._used + size <= len(self._octets)


def _mapping(size: int) -> mmap.mmap:
    """Fresh memory. A large bytearray would be filled with zeros page by page, before anybody could
    ask for large pages; and it must not be shared with a process that forks."""
    return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


class Pool:
    """Slabs that come back when their answers are let go; for all threads.

    A small answer that is held keeps its slab, so small answers lie in small slabs, and large
    ones each alone. At most ``limit`` octets are kept, the ones in the hands of callers included;
    beyond that memory is fresh, and goes when its last answer goes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._slabs: dict[int, deque[Slab]] = {}
        self._kept = 0

    def borrow(self, size: int) -> Slab:
        """A slab with room for ``size`` octets, for one thread until it is given back."""
        kind = slab_size(size)
        with self._lock:
            slabs = self._slabs.setdefault(kind, deque())
            for _ in range(min(len(slabs), _TRIES)):
                slab = slabs.popleft()
                if slab.usable(size):
                    self._kept -= len(slab)
                    return slab
                slabs.append(slab)
        return Slab(kind)

    def give_back(self, slab: Slab) -> None:
        """Keeps the slab for later, if that is within the limit; an older one goes for it."""
        with self._lock:
            self._slabs[len(slab)].append(slab)
            self._kept += len(slab)
            while self._kept > self._limit:
                slabs = max(self._slabs.values(), key=lambda slabs: sum(map(len, slabs)))
                self._kept -= len(slabs.popleft())


_TRIES = 8
"""Slabs looked at before a fresh one is made."""


def slab_size(size: int) -> int:
    """How large a slab for answers of ``size`` octets is: for small ones a multiple, for a large
    one hardly more than itself."""
    if size <= _SMALL:
        return _SMALL_SLAB
    if size <= _MIDDLE:
        return _MIDDLE_SLAB
    step = 1 << (size.bit_length() - 4)
    return -(-size // step) * step


_SMALL, _SMALL_SLAB = 8 << 10, 128 << 10
_MIDDLE, _MIDDLE_SLAB = 128 << 10, 2 << 20
