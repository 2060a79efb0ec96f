"""Encrypts many messages by one call into C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .gate import OCTETS, allocate, ffi, lib, take_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from .gate import Buffer
    from .prepared_recipients import PreparedRecipients

    Encrypt = Callable[[str, bytes, bytes, Iterator["Piece"]], None]
    """Encrypts the pieces of a message: the name of a cipher, a key, a nonce of 12 bytes, and
    those."""


class Form:
    """How the messages of a batch come out: the text before and after each, in base64 or not, and
    whether they are mail or content."""

    def __init__(
        self, before: bytes, after: bytes, *, base64: bool, message: bool, auth_before: bytes = b""
    ) -> None:
        """``auth_before``: what stands before AuthEnvelopedData."""
        texts = before, auth_before, after
        self._texts = [ffi.from_buffer(OCTETS, text) for text in texts]
        flags = (lib.SEAL_BASE64 if base64 else 0) | (lib.SEAL_MESSAGE if message else 0)
        fields = (*self._texts, *map(len, texts), flags)
        self.struct = ffi.new("struct seal_form *", fields)


class Piece(NamedTuple):
    """The next bytes of a message's content, and the room for as many bytes of ciphertext; that of
    the ``last`` piece has 16 bytes more, for the tag."""

    text: Buffer
    room: Buffer
    last: bool


# What a batch says instead of a length.
NEEDS_HEAD: int = lib.SEAL_NEEDS_HEAD
"""The message's header block must come by :meth:`Batch.bring_head`."""
BARE_LF: int = lib.SEAL_BARE_LF
"""The message has a bare line feed, though its first lines end in CRLF."""
NO_HEADER_END: int = lib.SEAL_NO_HEADER_END
"""The header block is longer than the limit."""
NO_RANDOM: int = lib.SEAL_NO_RANDOM
"""The operating system's random generator gave nothing."""
CHANGED: int = lib.SEAL_CHANGED
"""The message's bytes were changed while it was encrypted."""


class Batch:
    """Messages that C encrypts in one call, with the GIL released. Not for two threads at once."""

    def __init__(
        self,
        form: Form,
        data: Sequence[Buffer],
        to: Sequence[PreparedRecipients],
        encrypt: Encrypt | None = None,
    ) -> None:
        """``data``: the messages, which must stay as they are until :meth:`run` ends; ``to``: the
        recipients of each; ``encrypt``: called for messages with an authenticated cipher."""
        self._form, self._to, self._encrypt = form, to, encrypt
        self._count = count = len(data)
        self._sources = [ffi.from_buffer(OCTETS, one) for one in data]
        self._columns = (
            ffi.new("uint8_t *[]", self._sources),
            ffi.new("size_t[]", list(map(len, data))),
            ffi.new("struct seal_to *[]", [who.struct for who in to]),
        )
        self._inputs = ffi.new("struct seal_inputs *", (*self._columns, count))
        self._jobs = allocate("struct seal_job[]", count)
        self.errors: dict[int, Exception] = {}

    def __del__(self) -> None:
        # Wipes the keys of messages that weren't encrypted after all. The buffers are released one
        # by one: a memoryview in a cycle of garbage must not be cleared while it is exported.
        lib.seal_forget(self._jobs, self._count)
        for source in self._sources:
            ffi.release(source)

    def plan_sizes(self, *, count_all: bool) -> list[int] | None:
        """Reads all messages and makes their keys. Gives the size of each answer in bytes; None if
        one of them needs a look by :meth:`total` or :meth:`suspect`. ``count_all``: counts every
        line feed, instead of taking the first ones for the rule."""
        flags = lib.SEAL_COUNT if count_all else 0
        totals = ffi.new("int64_t[]", self._count)
        if lib.seal_plan_sizes(self._jobs, self._inputs, self._form.struct, flags, totals):
            return None
        found: list[int] = ffi.unpack(totals, self._count)
        return found

    def total(self, index: int) -> int:
        """The size of an answer in bytes; negative where the message can't be encrypted so."""
        return int(self._jobs[index].total)

    def suspect(self, index: int) -> int | None:
        """Where the body of a message begins that may be encrypted already; else None."""
        return self.body(index) if self._jobs[index].suspect else None

    def key(self, index: int) -> bytes:
        """The content-encryption key, as :meth:`NativeEncoder.key`."""
        key = self._jobs[index].key
        return bytes(ffi.buffer(key.key, key.key_len))

    def content_len(self, index: int) -> int:
        """How many bytes of a message are to be encrypted."""
        return int(self._jobs[index].plan.content_len)

    def bring(self, index: int, infos: bytes) -> None:
        """Takes the encoded RecipientInfos of a message to recipients that C can't encrypt to."""
        if len(infos) != self._to[index].struct.infos_len:
            raise ValueError("the RecipientInfos have another length than was said")
        source = ffi.from_buffer(OCTETS, infos)
        self._jobs[index].infos = source
        self._sources.append(source)

    def bring_head(
        self, index: int, outside: bytes, inside: bytes, *, canonical: bool, count_all: bool
    ) -> int:
        """Takes the header block of a message, cut in two as a Framing; gives the new
        :meth:`total`."""
        texts = ffi.from_buffer(OCTETS, outside), ffi.from_buffer(OCTETS, inside)
        self._sources += texts
        flags = (lib.SEAL_CANON if canonical else 0) | (lib.SEAL_COUNT if count_all else 0)
        job, (outer, inner) = self._jobs + index, texts
        return int(lib.seal_bring_head(job, outer, len(outside), inner, len(inside), flags))

    def body(self, index: int) -> int:
        """Where the body of a message begins."""
        return int(self._jobs[index].header.end)

    def run(self, outs: Sequence[int]) -> int:
        """Encrypts the messages. ``outs``: for each the address where its answer goes, or 0 to
        leave it out. Gives how many failed."""
        infos = allocate("uint8_t[]", sum([who.infos_len for who in self._to]))
        slots = take_memory(_slots, "struct seal_slots *")
        addresses = ffi.new("uintptr_t[]", outs)
        pointers = ffi.cast("uint8_t **", addresses)
        failed = int(lib.seal_many(self._jobs, pointers, self._count, infos, slots))
        _slots.append(slots)
        if self._encrypt:
            failed += self._run_authenticated(self._encrypt)
        return failed

    def _run_authenticated(self, encrypt: Encrypt) -> int:
        """The messages with such ciphers, of which C has made the RecipientInfos alone."""
        failed = 0
        memory = take_memory(_aead, "struct seal_aead *")
        for index, to in enumerate(self._to):
            if to.authenticated and self.written(index) >= 0:
                key, nonce = self.key(index), bytes(ffi.buffer(self._jobs[index].key.iv, 12))
                pieces = _pieces(self._jobs + index, memory)
                try:
                    encrypt(to.cipher, key, nonce, pieces)
                except Exception as error:  # noqa: BLE001 - the others aren't harmed
                    self.errors[index] = error
                    self._jobs[index].written = CHANGED
                finally:
                    pieces.close()
                failed += self.written(index) < 0
        _aead.append(memory)
        return failed

    def run_into(self, out: memoryview) -> int:
        """Encrypts the first message into ``out``; gives how many bytes came out."""
        with ffi.from_buffer(OCTETS, out, require_writable=True) as room:
            self.run([int(ffi.cast("uintptr_t", room))])
        return max(self.written(0), 0)

    def written(self, index: int) -> int:
        """How many bytes came out; negative where the message couldn't be encrypted."""
        return int(self._jobs[index].written)


_slots: list[Any] = []
_aead: list[Any] = []


def _pieces(job: Any, memory: Any) -> Generator[Piece, None, None]:
    """What is to be encrypted of a job. Each piece's ciphertext must be in its room before the next
    one is asked for."""
    piece = ffi.new("struct aead_piece *")
    try:
        more = lib.seal_aead_begin(memory, job, piece)
        while more:
            room = ffi.buffer(piece.room, piece.room_len)
            yield Piece(ffi.buffer(piece.text, piece.len), room, piece.last)
            more = lib.seal_aead_next(memory, piece)
    finally:
        lib.seal_aead_stop(memory)
