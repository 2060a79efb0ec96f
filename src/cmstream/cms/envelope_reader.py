"""A sealed message on its way through C, whoever opens it: its form, its head, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.buffer_pool import filled
from ..engine.decoder import NativeDecoder, envelope_error
from ..engine.stream_context import StreamContext
from ..errors import EnvelopeError, octets_of
from . import enveloped
from .input_form import Start, find_start

if TYPE_CHECKING:
    from ..engine.gate import Buffer
    from .enveloped import Envelope

_END_LINE = b"-----END "
_SMALL = 128  # octets that come besides the content: fields that are added, the last block


class EnvelopeReader(StreamContext):
    """A push stream that finds out the form of its input, and hands the head of the CMS to
    ``_unlock`` as soon as it is complete; what comes out is for that to say."""

    _secret = True

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()
        self._resume = 0
        self._start: Start | None = None
        self._opening: NativeDecoder | None = None
        self._ending = b""

    def bound(self, n: int) -> int:
        """The most octets that ``n`` octets of input and :meth:`finalize` together can give now."""
        if self._opening is None:
            return self._head_room(len(self._held) + n) + len(self._held) + n + 2 * _SMALL
        head = self._start.head if self._start else b""
        return self._opening.bound(n) + self._head_room(len(head)) + _SMALL

    def _head_room(self, count: int) -> int:
        """The most that is still to be given out for ``count`` octets of a mail's header block."""
        del count
        return 0

    def _unlock(
        self, opening: NativeDecoder, envelope: Envelope, buffer: Buffer, start: int
    ) -> int:
        """Sets a key, or lets the ciphertext come out; gives the octets written before."""
        raise NotImplementedError

    def _through(
        self, opening: NativeDecoder, data: memoryview, buffer: Buffer, start: int
    ) -> tuple[int, int]:
        return opening.update_into(data, buffer, start)

    def _last(self, opening: NativeDecoder, buffer: Buffer, start: int) -> int:
        return opening.finish_into(buffer, start)

    def _update_into(self, data: memoryview, buffer: Buffer) -> int:
        self._check_room(buffer, len(data))
        if self._opening is None:
            data = self._look(data, final=False)
        return self._feed(self._opening, data, buffer) if self._opening else 0

    def _finalize_into(self, buffer: Buffer) -> int:
        self._check_room(buffer, 0)
        return self._end(buffer)

    def _end(self, buffer: Buffer) -> int:
        left = memoryview(b"")
        if self._opening is None:
            left = self._look(left, final=True)
        opening = self._opening
        assert opening is not None  # noqa: S101 - else _look has raised
        count = self._feed(opening, left, buffer)
        count += self._finish(opening, buffer, count)
        self._failed = True
        return count

    def _check_room(self, buffer: Buffer, count: int) -> None:
        if len(buffer) < self.bound(count):
            raise ValueError("the buffer is too small: bound(len(data)) octets always suffice")

    def _abort(self) -> None:
        if self._opening is not None:
            self._opening.abort()

    def _look(self, data: memoryview, *, final: bool) -> memoryview:
        """Finds out the form; gives what there is of the encoding. A message that comes in one
        piece isn't copied."""
        beginning: Buffer = data
        if self._held:
            self._held += data
            beginning = self._held
        self._start, self._resume = find_start(beginning, self._resume, final=final)
        if self._start is None:
            if not self._held:
                self._held += data
            return memoryview(b"")
        self._opening = NativeDecoder(self._start.armour)
        return memoryview(bytes(self._held) if self._held else data)[self._start.offset :]

    def open_whole(self, sealed: Buffer) -> bytes:
        """A message in one piece. Gives nothing before all is verified that can be."""
        data = self._look(octets_of(sealed, "sealed").cast("B"), final=True)
        return filled(self.bound(len(data)), lambda out: self._whole_into(data, out), secret=True)

    def _whole_into(self, data: memoryview, out: memoryview) -> int:
        opening = self._opening
        assert opening is not None  # noqa: S101 - else _look has raised
        try:
            count = self._feed(opening, data, out)
            return count + self._finish(opening, out, count)
        finally:
            self._failed = True
            opening.abort()

    def _feed(self, opening: NativeDecoder, data: memoryview, buffer: Buffer) -> int:
        at = count = 0
        try:
            while not self._ending:
                taken, given = self._through(opening, data[at:], buffer, count)
                at, count = at + taken, count + given
                if opening.waits:
                    envelope = enveloped.read_head(opening.head)
                    count += self._unlock(opening, envelope, buffer, count)
                elif at == len(data) or not taken:
                    break
        except EnvelopeError:
            enveloped.check_type(opening.head)
            raise
        self._ending = (self._ending + bytes(data[at : at + len(_END_LINE)]))[: len(_END_LINE)]
        return count

    def _finish(self, opening: NativeDecoder, buffer: Buffer, start: int) -> int:
        if self._start and self._start.armour == "pem" and self._ending != _END_LINE:
            raise envelope_error("truncated", "its END line is missing: fetch all of it")
        try:
            return self._last(opening, buffer, start)
        except EnvelopeError:
            enveloped.check_type(opening.head)
            raise
