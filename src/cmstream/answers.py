"""Memory for answers: filled in place, and taken again where a large one was let go."""

from __future__ import annotations

import io
import sys
import sysconfig
from collections import deque
from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 4 << 20
"""Octets from which on an answer is large: fresh memory for one costs a page fault for every few
KiB, all together as much as a sixth of sealing it."""

KEPT_ANSWERS = 2
KEPT_LIMIT = 48 << 20
"""How many large answers' memory stays with the process when nobody holds them any more, and the
most octets of one; two, because ``answer = encrypt(...)`` in a loop holds one while it makes the
next."""

# Only where a count of references is exact can it be known that nobody holds an answer.
_COUNTS = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")

_kept: deque[io.BytesIO] = deque(maxlen=KEPT_ANSWERS)


def filled(size: int, fill: Callable[[memoryview], int]) -> bytes:
    """The octets that ``fill`` writes into a buffer of ``size``, and counts, as bytes: BytesIO
    hands out its own, so that nothing is copied."""
    store = (_let_go() if size >= LARGE else None) or io.BytesIO(bytes(size))
    with _room(store, size) as view:
        count = fill(view)
    store.truncate(count)
    if LARGE <= count <= KEPT_LIMIT and _COUNTS:
        _kept.append(store)
    return store.getvalue()


def _let_go() -> io.BytesIO | None:
    """A store whose octets nobody else holds."""
    for _ in range(len(_kept)):
        try:
            store = _kept.popleft()
        except IndexError:  # another thread was faster
            return None
        if sys.getrefcount(store.getvalue()) == _STORE_AND_ARGUMENT:
            return store
        _kept.append(store)
    return None


_STORE_AND_ARGUMENT = 2


def _room(store: io.BytesIO, size: int) -> memoryview:
    """The store's own memory, grown to ``size`` where it is less."""
    if store.seek(0, io.SEEK_END) < size:
        store.seek(size - 1)
        store.write(b"\0")
    view = store.getbuffer()
    if size >= LARGE:
        _core.expect_large(view)
    return view
