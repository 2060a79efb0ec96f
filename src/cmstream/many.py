"""Encrypts many messages at once: each call into C takes a whole group of them."""

from __future__ import annotations

import itertools
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from .engine import batch, gate
from .engine.buffer_pool import Pool, Slab, slab_size
from .errors import room_of, whole_number
from .policy import DEFAULT, Policy
from .recipients.recipients import Recipients, as_recipients
from .sealing import (
    Form,
    Group,
    Job,
    check_form,
    job,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .encryption import To
    from .engine.gate import AnyBuffer

    Order = tuple[AnyBuffer, To] | tuple[AnyBuffer, To, Policy]

Answer = memoryview | Exception

GROUP_COUNT = 1024
GROUP_OCTETS = 64 << 20
GROUP_LEAST = 16
"""The most messages, and the most bytes of them, in one call into C. It seals 16 messages at once,
so that 16 go together however long they are."""
SHORT_COUNT = 128
SHORT_OCTETS = 1 << 20
"""A group ends at this many messages while they are shorter than this together: they and their
answers stay in the cache."""

POOL_LIMIT = 320 << 20
"""The most bytes that the process keeps for later answers: those of eight messages of 25 MiB. Fresh
memory for them takes half as long again as to encrypt them."""

_pool = Pool(POOL_LIMIT)


@overload
def encrypt_many(
    jobs: Iterable[Order],
    *,
    form: Form = ...,
    policy: Policy = ...,
    return_exceptions: Literal[False] = ...,
) -> list[memoryview]: ...
@overload
def encrypt_many(
    jobs: Iterable[Order],
    *,
    form: Form = ...,
    policy: Policy = ...,
    return_exceptions: bool,
) -> list[memoryview | Exception]: ...
def encrypt_many(
    jobs: Iterable[Order],
    *,
    form: Form = "message",
    policy: Policy = DEFAULT,
    return_exceptions: bool = False,
) -> Any:
    """Encrypts many messages, as many at once as the processor takes.

    ``jobs``: pairs ``(data, to)``, or ``(data, to, policy)``. Data is any contiguous bytes-like
    object and must not change meanwhile. To is a :class:`Recipients`, one Recipient, or several.
    ``form`` as in :func:`encrypt`, for all of them; a job makes a message unless it says otherwise.

    Gives the answers in the order of the jobs: read-only memoryviews of pooled memory. An answer
    stays valid and unchanged as long as it, or a slice of it, is held. A small answer keeps up to
    16 times its own size in use: call ``bytes(answer)`` to keep one for long. The process keeps at
    most 320 MiB (:data:`POOL_LIMIT`) for later answers.

    With ``return_exceptions`` the answer of a job that fails is its exception, and the others are
    answered; else the first exception is raised. Raises as :func:`encrypt_message` and
    :func:`encrypt` do.
    """
    check_form(form)
    answers: list[Answer] = []
    for group in _groups(jobs, policy):
        answers += _sealed(group, form, SlabAllocator(_pool))
        if not return_exceptions:
            _raise_first(answers)
    return answers


@overload
def encrypt_many_iter(
    jobs: Iterable[Order],
    *,
    form: Form = ...,
    policy: Policy = ...,
    return_exceptions: Literal[False] = ...,
    in_flight: int = ...,
) -> Iterator[memoryview]: ...
@overload
def encrypt_many_iter(
    jobs: Iterable[Order],
    *,
    form: Form = ...,
    policy: Policy = ...,
    return_exceptions: bool,
    in_flight: int = ...,
) -> Iterator[memoryview | Exception]: ...
def encrypt_many_iter(
    jobs: Iterable[Order],
    *,
    form: Form = "message",
    policy: Policy = DEFAULT,
    return_exceptions: bool = False,
    in_flight: int = 256,
) -> Iterator[Any]:
    """Like :func:`encrypt_many`, for any number of jobs: takes at most ``in_flight`` of them before
    it gives their answers. Raises ValueError for less than one."""
    check_form(form)
    in_flight = whole_number(in_flight, "in_flight", 1)
    return _flow(iter(jobs), form, policy, return_exceptions, in_flight)


def _flow(
    jobs: Iterator[Order], form: Form, policy: Policy, return_exceptions: bool, in_flight: int
) -> Iterator[Answer]:
    while some := list(itertools.islice(jobs, in_flight)):
        yield from encrypt_many(some, form=form, policy=policy, return_exceptions=return_exceptions)


@overload
def encrypt_many_into(
    jobs: Iterable[Order],
    buffer: AnyBuffer,
    *,
    form: Form = ...,
    policy: Policy = ...,
    return_exceptions: Literal[False] = ...,
) -> list[memoryview]: ...
@overload
def encrypt_many_into(
    jobs: Iterable[Order],
    buffer: AnyBuffer,
    *,
    form: Form = ...,
    policy: Policy = ...,
    return_exceptions: bool,
) -> list[memoryview | Exception]: ...
def encrypt_many_into(
    jobs: Iterable[Order],
    buffer: AnyBuffer,
    *,
    form: Form = "message",
    policy: Policy = DEFAULT,
    return_exceptions: bool = False,
) -> Any:
    """Like :func:`encrypt_many`, into the caller's writable ``buffer``: the answers are read-only
    slices of it, in any order. Raises ValueError, which says how many bytes are needed, if it is
    too small."""
    check_form(form)
    orders = [_job(order, policy) for order in jobs]
    # Sizes are exact only where all line feeds were counted.
    answers = _sealed(orders, form, CallerBuffer(buffer), count_all=True)
    if not return_exceptions:
        _raise_first(answers)
    return answers


def _raise_first(answers: list[Answer]) -> None:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer


# Jobs and groups


def _job(order: Order, policy: Policy) -> Job | Exception:
    try:
        if len(order) == 2:  # noqa: PLR2004 - a pair
            data, to = order
        else:
            data, to, policy = order
        return job(data, to if type(to) is Recipients else as_recipients(to), policy)
    except Exception as error:  # noqa: BLE001 - one bad job doesn't harm the others
        return error if _is_order(order) else _no_order(order)


def _is_order(order: object) -> bool:
    text = isinstance(order, bytes | bytearray | memoryview | str)
    return not text and isinstance(order, Sized) and len(order) in {2, 3}


def _no_order(order: object) -> TypeError:
    what = type(order).__name__
    if isinstance(order, tuple | list):
        what += f" of {len(order)}"
    return TypeError(f"jobs: {what} is no pair (data, to), nor (data, to, policy)")


def _is_full(count: int, octets: int, more: int) -> bool:
    if count >= SHORT_COUNT and octets < SHORT_OCTETS:
        return True
    return count == GROUP_COUNT or octets + more > GROUP_OCTETS


def _groups(orders: Iterable[Order], policy: Policy) -> Iterator[list[Job | Exception]]:
    group: list[Job | Exception] = []
    octets = 0
    for order in orders:
        one = _job(order, policy)
        size = len(one.data) if type(one) is Job else 0
        if (count := len(group)) >= GROUP_LEAST and _is_full(count, octets, size):
            yield group
            group, octets = [], 0
        group.append(one)
        octets += size
    if group:
        yield group


# Memory for the answers


class OutputAllocator(Protocol):
    """Where answers are written."""

    def reserve(self, sizes: Iterable[int]) -> list[tuple[int, memoryview]]:
        """Room for answers of these sizes, in bytes: for each its address, and a read-only view
        for the caller. Raises ValueError if there isn't enough."""

    def size_of(self, answer: bytes | Exception) -> int:
        """The room to reserve for an answer that is there already."""

    def store(self, answer: bytes, address: int, view: memoryview) -> memoryview:
        """Puts such an answer into its room, if it has any."""

    def close(self) -> None:
        """No more answers will come."""


class SlabCursor:
    """How far a slab is filled with answers."""

    def __init__(self, slab: Slab) -> None:
        self.slab = slab
        self.start, self.view, self.used = slab.open()
        self.size = len(slab)


class SlabAllocator:
    """Writes answers into slabs of a pool; those that are there already stay where they are."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._current: dict[int, SlabCursor] = {}
        self._full: list[SlabCursor] = []

    def reserve(self, sizes: Iterable[int]) -> list[tuple[int, memoryview]]:
        places = []
        for size in sizes:
            kind = slab_size(size)
            cursor = self._current.get(kind)
            if cursor is None or cursor.used + size > cursor.size:
                cursor = self._next(kind, size)
            at = cursor.used
            cursor.used = end = at + size
            places.append((cursor.start + at, cursor.view[at:end]))
        return places

    def size_of(self, _: bytes | Exception) -> int:
        return 0

    def store(self, answer: bytes, _: int, __: memoryview) -> memoryview:
        return memoryview(answer)

    def _next(self, kind: int, size: int) -> SlabCursor:
        if kind in self._current:
            self._full.append(self._current[kind])
        cursor = self._current[kind] = SlabCursor(self._pool.borrow(size))
        return cursor

    def close(self) -> None:
        for cursor in itertools.chain(self._full, self._current.values()):
            cursor.slab.close(cursor.used)
            self._pool.give_back(cursor.slab)


class CallerBuffer:
    """Writes answers into the caller's buffer, one behind the other."""

    def __init__(self, buffer: AnyBuffer) -> None:
        self._view = room_of(buffer)
        self._start = gate.address(self._view)
        self._used = 0

    def reserve(self, sizes: Iterable[int]) -> list[tuple[int, memoryview]]:
        ends = list(itertools.accumulate(sizes, initial=self._used))
        self._used = ends[-1]
        if self._used > len(self._view):
            raise ValueError(
                f"the buffer of {len(self._view)} bytes is too small: give {self._used} or more"
            )
        return [
            (self._start + at, self._view[at:end].toreadonly())
            for at, end in itertools.pairwise(ends)
        ]

    def size_of(self, answer: bytes | Exception) -> int:
        return len(answer) if isinstance(answer, bytes) else 0

    def store(self, answer: bytes, address: int, view: memoryview) -> memoryview:
        at = address - self._start
        self._view[at : at + len(answer)] = answer
        return view

    def close(self) -> None:
        pass


# The work


def _sealed(
    jobs: list[Job | Exception], form: Form, allocator: OutputAllocator, *, count_all: bool = False
) -> list[Answer]:
    answers: list[Any] = list(jobs)
    sizes = [len(job.data) if type(job) is Job else -1 for job in jobs]
    # Long ones first: the lanes that are left when all others have ended are the shorter for it.
    order = sorted(range(len(jobs)), key=sizes.__getitem__, reverse=True)
    good = order[: len(order) - sizes.count(-1)]
    try:
        while good:
            good = _seal_into(answers, good, form, allocator, count_all=count_all)
            count_all = True
    finally:
        allocator.close()
    return answers


def _seal_into(
    answers: list[Any],
    indices: list[int],
    form: Form,
    allocator: OutputAllocator,
    *,
    count_all: bool,
) -> list[int]:
    """Puts answers in the place of the jobs at these indices. Gives the indices of those that must
    be sealed again, with their line feeds counted."""
    jobs = [answers[index] for index in indices]
    group = Group(jobs, form, count_all=count_all)
    found = group.plan_sizes()
    outs = []
    sizes = [one if isinstance(one, int) else allocator.size_of(one) for one in found]
    places = allocator.reserve(sizes)
    for index, one, (address, view) in zip(indices, found, places, strict=True):
        outs.append(address if isinstance(one, int) else 0)
        answers[index] = view if isinstance(one, int) else one
        if isinstance(one, bytes):
            answers[index] = allocator.store(one, address, view)
    if not group.run(outs):
        return []
    again = []
    for slot, index in enumerate(indices):
        code = group.written(slot)
        if code == batch.BARE_LF and not count_all:
            answers[index] = jobs[slot]
            again.append(index)
        elif code < 0:
            answers[index] = group.failure(slot)
    return again
