"""Encrypts one message by itself, with memory that is kept from message to message."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from .buffer_pool import LARGE
from .gate import OCTETS, allocate, ffi, lib

if TYPE_CHECKING:
    from .batch import Form
    from .gate import Buffer
    from .prepared_recipients import PreparedRecipients

_INFOS = 4 << 10
"""Bytes of RecipientInfos that there is room for: those of a dozen recipients."""


class _Workspace:
    """C's memory for one message at a time."""

    def __init__(self) -> None:
        self.job = allocate("struct seal_job *")
        self.slots = allocate("struct seal_slots *")
        self.infos = allocate("uint8_t[]", _INFOS)


_free: list[_Workspace] = []


def sealed(form: Form, data: Buffer, to: PreparedRecipients) -> bytes | None:
    """The answer for a message to recipients whose keys C encrypts; None for one that needs more
    than that: a look whether it is encrypted already, a count of its line feeds, a cipher or a
    header block that isn't C's, an error or much memory."""
    if to.infos_len > _INFOS:
        return None
    try:
        work = _free.pop()
    except IndexError:
        work = _Workspace()
    try:
        with ffi.from_buffer(OCTETS, data) as octets:
            answer = _sealed(work, form, octets, len(octets), to)
    except BaseException:
        lib.seal_forget(work.job, 1)
        raise
    _free.append(work)
    return answer


def _sealed(
    work: _Workspace, form: Form, octets: Any, count: int, to: PreparedRecipients
) -> bytes | None:
    job = work.job
    total = lib.seal_plan_one(job, octets, count, to.struct, form.struct)
    if total < 0:
        return None
    if total >= LARGE:
        lib.seal_forget(job, 1)
        return None
    # Nothing is copied: BytesIO hands out its own memory.
    store = io.BytesIO(bytes(total))
    with store.getbuffer() as view, ffi.from_buffer(OCTETS, view) as room:
        written = lib.seal_one(job, room, work.infos, work.slots)
    return store.getvalue() if written == total else None
