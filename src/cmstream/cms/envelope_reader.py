"""Reads a sealed message of any form up to its content, and lets that through."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ..engine.decoder import NativeDecoder, envelope_error
from ..engine.held_back import HeldBack
from ..engine.stream_context import State
from ..errors import EnvelopeError
from . import enveloped
from .input_form import find_start
from .quoted_printable import QuotedPrintableDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engine.decoder import ContentSource
    from ..engine.gate import Buffer
    from .enveloped import Envelope
    from .input_form import Start

    OpenContent = Callable[[NativeDecoder, Envelope, bytes], ContentSource]

_END_LINE = b"-----END "
_SMALL = 128  # bytes that come besides the content: fields that are added, the last block


class EnvelopeReader:
    """Finds out the form of a sealed message, and hands the head of its CMS to ``open_content`` as
    soon as that is complete.

    ``open_content`` gets the decoder, the head, and the header block of the mail around it (empty
    if there is none). It gives the source of what comes out; the decoder itself is one, once it is
    told what to do with the ciphertext.

    ``start``, the form, and ``decoder`` are there as soon as :attr:`state` isn't ``HEAD`` any more,
    ``envelope``, what the head says, when ``open_content`` is called. Not for two threads at once.
    """

    start: Start
    decoder: NativeDecoder
    envelope: Envelope
    _source: ContentSource

    def __init__(self, open_content: OpenContent) -> None:
        self._open_content = open_content
        self.state = State.HEAD
        self._beginning = HeldBack(find_start)
        self._ending = b""

    def bound(self, n: int) -> int:
        """The most bytes that ``n`` bytes of input and the end together can give now."""
        if self.state is State.HEAD:
            return len(self._beginning) + n + 2 * _SMALL
        return self.decoder.bound(n) + _SMALL

    def header_bound(self, n: int) -> int:
        """The most bytes that the mail's header block can have, after ``n`` more of input."""
        if self.state is State.HEAD:
            return len(self._beginning) + n
        return len(self.start.head)

    def begin(self, data: memoryview, *, final: bool) -> memoryview:
        """Finds out the form; gives as much of the encoding as there is. ``final``: ``data`` is all
        that comes. Raises EnvelopeError."""
        found = self._beginning.take(data, final=final)
        if found is None:
            return memoryview(b"")
        self.start, beginning = found
        armour = self.start.armour
        self._source = self.decoder = (
            QuotedPrintableDecoder() if armour == "quoted-printable" else NativeDecoder(armour)
        )
        self.state = State.BODY
        return beginning[self.start.offset :]

    def update_into(self, data: memoryview, buffer: Buffer) -> int:
        """Takes the next bytes and gives how many it wrote. Raises EnvelopeError, and what
        ``open_content`` and its source raise."""
        if self.state is State.HEAD:
            data = self.begin(data, final=False)
        return 0 if self.state is State.HEAD else self._feed(data, buffer)

    def finish_into(self, buffer: Buffer, start: int = 0) -> int:
        """Writes the last bytes, from ``start``; raises as :meth:`update_into`."""
        count = start
        if self.state is State.HEAD:
            count += self._feed(self.begin(memoryview(b""), final=True), buffer)
        if self.start.armour == "pem" and self._ending != _END_LINE:
            raise envelope_error("truncated", "its END line is missing: fetch all of it")
        try:
            count += self._source.finish_into(buffer, count)
        except EnvelopeError as error:
            self._explain(error)
        self.state = State.ENDED
        return count - start

    def abort(self) -> None:
        """Wipes the key, if there is one yet; then nothing more can be read."""
        if self.state is State.BODY:
            self.decoder.abort()
            self.state = State.FAILED

    def _feed(self, data: memoryview, buffer: Buffer) -> int:
        at = count = 0
        try:
            while not self._ending:
                taken, given = self._source.update_into(data[at:], buffer, count)
                at, count = at + taken, count + given
                if self.decoder.waits:
                    self.envelope = enveloped.read_head(self.decoder.head)
                    self._source = self._open_content(self.decoder, self.envelope, self.start.head)
                elif at == len(data) or not taken:
                    break
        except EnvelopeError as error:
            self._explain(error)
        self._ending = (self._ending + bytes(data[at : at + len(_END_LINE)]))[: len(_END_LINE)]
        return count

    def _explain(self, error: EnvelopeError) -> NoReturn:
        """Raises the error, or a better one where the message is CMS of another type."""
        enveloped.check_type(self.decoder.head)
        raise error
