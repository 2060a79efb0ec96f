"""Many messages through C in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .gate import OCTETS, allocate, ffi, lib

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .gate import Buffer
    from .prepared_recipients import PreparedRecipients


class Form:
    """How a batch's messages come out: texts around, base64 or octets, mail or content."""

    def __init__(self, before: bytes, after: bytes, *, base64: bool, message: bool) -> None:
        self._texts = ffi.from_buffer(OCTETS, before), ffi.from_buffer(OCTETS, after)
        flags = (lib.SEAL_BASE64 if base64 else 0) | (lib.SEAL_MESSAGE if message else 0)
        fields = (*self._texts, len(before), len(after), flags)
        self.struct = ffi.new("struct seal_form *", fields)


# What a batch says instead of a length.
NEEDS_STREAM: int = lib.SEAL_ALONE
"""The message can't be among many: its recipients say so, or its inner header is too long."""
BARE_LF: int = lib.SEAL_BARE_LF
"""There is a bare line feed behind many that had their carriage return."""
NO_HEADER_END: int = lib.SEAL_NO_HEADER_END
"""The header block is longer than the limit."""
NO_RANDOM: int = lib.SEAL_NO_RANDOM
"""The operating system's random generator gave nothing."""
CHANGED: int = lib.SEAL_CHANGED
"""The message's octets were changed while it was sealed."""


class Batch:
    """Messages that C seals in one call, with the GIL released. Not for two threads at once."""

    def __init__(
        self, form: Form, data: Sequence[Buffer], to: Sequence[PreparedRecipients]
    ) -> None:
        """Messages, which must stay as they are until :meth:`run` ends, and for each its
        recipients."""
        self._form, self._to = form, to
        self._count = count = len(data)
        self._sources = [ffi.from_buffer(OCTETS, one) for one in data]
        self._columns = (
            ffi.new("uint8_t *[]", self._sources),
            ffi.new("size_t[]", list(map(len, data))),
            ffi.new("struct seal_to *[]", [who.struct for who in to]),
        )
        self._inputs = ffi.new("struct seal_inputs *", (*self._columns, count))
        self._jobs = allocate("struct seal_job[]", count)

    def __del__(self) -> None:
        # Keys of messages that weren't sealed after all; and buffers by name, since a memoryview in
        # a cycle of garbage must not be cleared while it is exported.
        lib.seal_forget(self._jobs, self._count)
        for source in self._sources:
            ffi.release(source)

    def plan_sizes(self, *, count_all: bool) -> list[int] | None:
        """Looks at all of them and makes their keys. Gives how many octets each will come to; None
        if one needs a look by :meth:`total` or :meth:`suspect`. ``count_all``: their line feeds
        are known not to be all alike."""
        flags = lib.SEAL_COUNT if count_all else 0
        totals = ffi.new("int64_t[]", self._count)
        if lib.seal_survey(self._jobs, self._inputs, self._form.struct, flags, totals):
            return None
        found: list[int] = ffi.unpack(totals, self._count)
        return found

    def total(self, index: int) -> int:
        """How many octets will come out; negative where it can't be sealed as it is."""
        return int(self._jobs[index].total)

    def suspect(self, index: int) -> int | None:
        """Where the body of a message begins that may be encrypted already; else None."""
        return self.body(index) if self._jobs[index].suspect else None

    def key(self, index: int) -> bytes:
        """The content-encryption key, as :meth:`NativeEncoder.key`."""
        key = self._jobs[index].key
        return bytes(ffi.buffer(key.key, key.key_len))

    def bring(self, index: int, infos: bytes) -> None:
        """The encoded RecipientInfos of a message to addressees that C can't encrypt to."""
        source = ffi.from_buffer(OCTETS, infos)
        self._jobs[index].infos = source
        self._sources.append(source)

    def body(self, index: int) -> int:
        """Where the body of a message begins."""
        return int(self._jobs[index].header.end)

    def run(self, outs: Sequence[int]) -> int:
        """Seals each into its place, the address of room for all of it; 0 leaves one out.
        Gives how many failed."""
        infos = allocate("uint8_t[]", sum([who.infos_len for who in self._to]))
        slots = _take_slots()
        addresses = ffi.new("uintptr_t[]", outs)
        pointers = ffi.cast("uint8_t **", addresses)
        failed = int(lib.seal_many(self._jobs, pointers, self._count, infos, slots))
        _slots.append(slots)
        return failed

    def run_into(self, out: memoryview) -> int:
        """Seals the first one alone into ``out``; gives how many octets came out."""
        with ffi.from_buffer(OCTETS, out, require_writable=True) as room:
            self.run([int(ffi.cast("uintptr_t", room))])
        return max(self.written(0), 0)

    def written(self, index: int) -> int:
        """How many octets came out; negative where it couldn't be sealed."""
        return int(self._jobs[index].written)


_slots: list[Any] = []


def _take_slots() -> Any:
    try:
        return _slots.pop()
    except IndexError:
        return allocate("struct seal_slots *")
