"""Memory for answers, reused as soon as no caller holds them: fresh memory costs a page fault for
every few KiB, which takes as long as the encryption."""

from __future__ import annotations

import io
import mmap
import os
import sys
import sysconfig
import threading
import weakref
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any

from . import gate

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 4 << 20
"""From this many bytes on an answer is large: the page faults of fresh memory for it take a sixth
of the time of encrypting it."""

HUGE_PAGE = 2 << 20
"""From this many bytes on a slab asks for large pages: many messages at once write to many
places."""

COPIED = 32 << 10
"""Up to so many bytes a copy takes less time than what else is needed without."""

KEPT_ANSWERS = 2
KEPT_LIMIT = 48 << 20
"""The memory of how many large answers the process keeps once nobody holds them, and the most bytes
of one. Two, because ``answer = encrypt(...)`` in a loop holds one while it makes the next."""

# Only an exact count of references shows that nobody holds an answer.
_COUNTS = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")

# Elsewhere Python code may learn when the last view of its memory is released (PEP 688).
_LENDS = sys.version_info >= (3, 12)

_kept: deque[io.BytesIO] = deque(maxlen=KEPT_ANSWERS)


def filled(size: int, fill: Callable[[memoryview], int], *, secret: bool = False) -> bytes:
    """What ``fill`` writes into a buffer of ``size`` bytes; it gives how many it wrote. Nothing is
    copied of more than some KiB, since BytesIO hands out its own memory. That of a ``secret`` isn't
    reused, and is wiped if ``fill`` fails."""
    if secret:
        return _filled_once(size, fill)
    if size <= COPIED:
        view = memoryview(bytearray(size))
        return bytes(view[: fill(view)])
    again = _let_go(size) if size >= LARGE else None
    if again and not _forget_hash(again.getvalue()):
        again = None
    store = again or io.BytesIO(_octets(size))
    with _room(store) as room, room[:size] as view:
        count = fill(view)
    store.truncate(count)
    answer = store.getvalue()  # held, before another thread can look whether it is
    if LARGE <= count <= KEPT_LIMIT and _COUNTS:
        _kept.append(store)
    return answer


class _Filling(io.RawIOBase):
    """A file whose one read is what ``fill`` writes into a buffer of ``size`` bytes."""

    size = 0
    fill: Callable[[memoryview], int] | None = None
    interrupted: InterruptedError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, room: memoryview) -> int:  # type: ignore[override]
        fill, self.fill = self.fill, None
        if fill is None:
            return 0
        if self.size >= LARGE:
            gate.expect_large(room)
        with room, room[: self.size] as view:
            try:
                return fill(view)
            except BaseException as error:
                view[:] = bytes(len(view))
                if isinstance(error, InterruptedError):
                    self.interrupted = error  # which a buffered file takes for a call to try again
                raise


_readers: list[io.BufferedReader] = []


def _filled_once(size: int, fill: Callable[[memoryview], int]) -> bytes:
    """In memory of its own. A buffered file reads into the very bytes that it gives, which nobody
    clears before: to clear some ten KiB takes as long as to decrypt them."""
    try:
        reader = _readers.pop()
    except IndexError:
        reader = io.BufferedReader(_Filling(), buffer_size=1)
    filling: Any = reader.raw
    filling.size, filling.fill, filling.interrupted = size, fill, None
    answer = reader.read(size or 1)  # of no bytes it wouldn't ask
    if filling.interrupted is not None:
        raise filling.interrupted
    _readers.append(reader)
    return answer


def _forget_hash(octets: bytes) -> bool:
    """Bytes that were an answer before remember the hash of that one, if somebody asked for it.
    Gives whether they have forgotten it."""
    place = _hash_place()
    if place is None:
        return False
    import ctypes  # noqa: PLC0415 - it takes some milliseconds

    ctypes.c_ssize_t.from_address(id(octets) + place).value = -1
    return True


@cache
def _hash_place() -> int | None:
    """Where CPython's bytes keep their hash: in front of their octets, the last of which is in the
    basic size. None where it isn't there."""
    try:
        import ctypes  # noqa: PLC0415 - some builds have none
    except ImportError:
        return None
    place = bytes.__basicsize__ - 1 - ctypes.sizeof(ctypes.c_ssize_t)
    known = [bytes([octet]) * 9 for octet in range(3)]
    found = [ctypes.c_ssize_t.from_address(id(one) + place) for one in known]
    good = [one.value for one in found] == [-1] * 3
    hashes = [hash(one) for one in known]
    return place if good and [one.value for one in found] == hashes else None


def _octets(size: int) -> bytes:
    """Bytes of any value; nobody else holds them. To clear many takes a quarter of the time of
    decrypting into them."""
    make = _uncleared() if size >= LARGE else None
    return bytes(size) if make is None else make(None, size)


@cache
def _uncleared() -> Callable[[None, int], bytes] | None:
    """What CPython has for a caller who fills the bytes himself."""
    try:
        import ctypes  # noqa: PLC0415 - it takes some milliseconds, and some builds have none
    except ImportError:
        return None
    if not _COUNTS:
        return None
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_char_p, ctypes.c_ssize_t)
    try:
        return make(("PyBytes_FromStringAndSize", ctypes.pythonapi))
    except (AttributeError, OSError):  # some builds keep it to themselves
        return None


def _let_go(size: int) -> io.BytesIO | None:
    """The shortest store that is long enough and that nobody holds. To grow one would take as long
    as fresh memory."""
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
    """Memory for several answers, one behind the other."""

    def __init__(self, size: int) -> None:
        self._octets = _mapping(size) if size >= HUGE_PAGE else bytearray(size)
        self._start = gate.address(memoryview(self._octets))
        if size >= HUGE_PAGE:
            gate.expect_large(memoryview(self._octets))
        self._used = 0
        self._lent: deque[None] = deque()
        self._unheld = sys.getrefcount(self._octets)

    def __len__(self) -> int:
        return len(self._octets)

    def open(self) -> tuple[int, memoryview, int]:
        """The address for C, a read-only view for callers, and how many bytes are in use. The slab
        counts as held as long as anybody holds the view or a slice of it."""
        view = memoryview(
            self._octets if _COUNTS or not _LENDS else _Lent(self._octets, self._lent)
        )
        return self._start, view.toreadonly(), self._used

    def close(self, used: int) -> None:
        """Notes that the first ``used`` bytes are in use."""
        self._used = used

    def usable(self, size: int) -> bool:
        """Whether ``size`` bytes are free. All are, once nobody holds an answer."""
        if not self._held():
            self._used = 0
        return self._used + size <= len(self._octets)

    def _held(self) -> bool:
        if _COUNTS:
            return sys.getrefcount(self._octets) != self._unheld
        return bool(self._lent) or not _LENDS


class _Lent:
    """Memory that is in the list ``lent`` from its first view on, until the last one is released.
    Any thread may do that at any time, even one that holds a lock; a deque needs none."""

    def __init__(self, octets: bytearray | mmap.mmap, lent: deque[None]) -> None:
        self._octets, self._lent = octets, lent

    def __buffer__(self, flags: int) -> memoryview:
        self._lent.append(None)
        return memoryview(self._octets)

    def __release_buffer__(self, view: memoryview) -> None:
        self._lent.pop()


def _mapping(size: int) -> mmap.mmap:
    """Fresh memory. A large bytearray would be filled with zeros page by page before anybody could
    ask for large pages. A process that forks must not share it."""
    return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _begin_anew() -> None:
    """In a forked process: a thread that isn't there may have held a lock, or a slab. The memory is
    private, so that neither process writes into the other's answers."""
    for pool in _pools:
        pool.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class Pool:
    """Slabs for all threads, each used again when nobody holds its answers.

    An answer that is held keeps its whole slab from being used again, so small answers share small
    slabs, and each large answer has its own. The pool keeps at most ``limit`` bytes, with those
    that callers hold; beyond that memory is fresh and is freed with its last answer.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.begin_anew()
        _pools.add(self)

    def begin_anew(self) -> None:
        """Knows no slab, and no thread that holds its lock."""
        self._lock = threading.Lock()
        self._slabs: dict[int, deque[Slab]] = {}
        self._kept = 0

    def borrow(self, size: int) -> Slab:
        """A slab with room for ``size`` bytes, for one thread until it is given back."""
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
        """Takes the slab back. Beyond the limit an older one is dropped."""
        with self._lock:
            self._slabs.setdefault(len(slab), deque()).append(slab)
            self._kept += len(slab)
            while self._kept > self._limit:
                slabs = max(self._slabs.values(), key=lambda slabs: sum(map(len, slabs)))
                self._kept -= len(slabs.popleft())


_TRIES = 8
"""Slabs looked at before a fresh one is made."""


def slab_size(size: int) -> int:
    """The bytes of a slab for answers of ``size`` bytes: room for several small ones, and hardly
    more than a large one needs."""
    if size <= _SMALL:
        return _SMALL_SLAB
    if size <= _MIDDLE:
        return _MIDDLE_SLAB
    step = 1 << (size.bit_length() - 4)
    return -(-size // step) * step


_SMALL, _SMALL_SLAB = 8 << 10, 128 << 10
_MIDDLE, _MIDDLE_SLAB = 128 << 10, 2 << 20
