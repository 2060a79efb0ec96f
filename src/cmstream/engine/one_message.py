"""Encrypts one message by itself, with memory that is kept from message to message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .buffer_pool import filled
from .gate import OCTETS, ffi, lib, take_memory

if TYPE_CHECKING:
    from .batch import Form
    from .gate import Buffer
    from .prepared_recipients import PreparedRecipients

_memory: list[Any] = []


def sealed(form: Form, data: Buffer, to: PreparedRecipients) -> bytes | None:
    """The answer for a message to recipients whose keys C encrypts; None for one that needs more
    than that: a look whether it is encrypted already, a count of its line feeds, a cipher or a
    header block that isn't C's, or an error."""
    single = take_memory(_memory, "struct seal_single *")
    try:
        with ffi.from_buffer(OCTETS, data) as octets:
            total = lib.seal_plan_one(single, octets, len(octets), to.struct, form.struct)
            answer = None if total < 0 else _sealed(single, total)
    except BaseException:
        lib.seal_forget_one(single)
        raise
    _memory.append(single)
    return answer


def _sealed(single: Any, total: int) -> bytes | None:
    written = 0

    def fill(view: memoryview) -> int:
        nonlocal written
        with ffi.from_buffer(OCTETS, view, require_writable=True) as room:
            written = int(lib.seal_one(single, room))
        return max(written, 0)

    answer = filled(total, fill)
    return answer if written == total else None
