"""Encrypts one message by itself, with memory that is kept from message to message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .buffer_pool import filled
from .encoder import failure, room_in, source_of
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


def streamed_into(
    form: Form, message: Buffer, to: PreparedRecipients, out: Buffer, *, size: int, flags: int
) -> int | None:
    """Writes what a stream gives of a message, all of which is there, and gives how many bytes that
    is; None as :meth:`NativeEncoder.begin_message_into`, and its arguments and errors too."""
    single = take_memory(_memory, "struct seal_single *")
    known = to.struct, form.struct, flags, size
    count: int = lib.seal_one_as_stream(single, *known, *source_of(message), *room_in(out))
    _memory.append(single)
    if count >= 0:
        return count
    if count == lib.SEAL_NEEDS_HEAD:
        return None
    raise failure(count)


def _sealed(single: Any, total: int) -> bytes | None:
    written = 0

    def fill(view: memoryview) -> int:
        nonlocal written
        written = int(lib.seal_one(single, room_in(view)[0]))
        return max(written, 0)

    answer = filled(total, fill)
    return answer if written == total else None
