"""Reads a sealed message of any form up to its content, and lets that through."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ..engine.decoder import NativeDecoder, envelope_error
from ..engine.held_back import HeldBack
from ..engine.stream_context import State
from ..errors import EnvelopeError
from ..mail.sealed_part import SealedPart
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
    soon as that is complete. The CMS may be in one part of a multipart.

    ``open_content`` gets the decoder, the head, and the header block of the mail around it (empty
    if there is none). It gives the source of what comes out; the decoder itself is one, once it is
    told what to do with the ciphertext.

    ``start``, the form with the header block of the whole mail, and ``decoder`` are there as soon
    as :attr:`state` isn't ``HEAD`` any more, ``envelope``, what the head says, when
    ``open_content`` is called. Not for two threads at once.
    """

    start: Start
    decoder: NativeDecoder
    envelope: Envelope
    _source: ContentSource

    def __init__(self, open_content: OpenContent) -> None:
        self._open_content = open_content
        self.state = State.HEAD
        self._beginning = HeldBack(find_start)
        self._mail: Start | None = None
        self._parts: SealedPart | None = None
        self._ending = b""

    @property
    def unsealed_parts(self) -> int:
        """How many parts have come besides the sealed one."""
        return 0 if self._parts is None else self._parts.others

    def bound(self, n: int) -> int:
        """The most bytes that ``n`` bytes of input and the end together can give now."""
        if self._parts is not None:
            n += len(self._parts)
        if self.state is State.HEAD:
            return len(self._beginning) + n + 2 * _SMALL
        return self.decoder.bound(n) + _SMALL

    def header_bound(self, n: int) -> int:
        """The most bytes that the mail's header block can have, after ``n`` more of input."""
        if self.state is not State.HEAD:
            return len(self.start.head)
        return len(self._beginning) + n if self._mail is None else len(self._mail.head)

    def encoding(self, data: memoryview, *, final: bool) -> memoryview:
        """What of the next bytes is the encoded CMS; nothing before the form is found out.
        ``final``: nothing more comes. Raises EnvelopeError."""
        if self._parts is not None:
            data = memoryview(self._parts.take(data, final=final))
        return data if self.state is not State.HEAD else self._begun(data, final=final)

    def _begun(self, data: memoryview, *, final: bool) -> memoryview:
        found = self._beginning.take(data, final=final)
        if found is None:
            return memoryview(b"")
        start, beginning = found
        beginning = beginning[start.offset :]
        if start.armour == "multipart":
            self._mail, self._parts = start, SealedPart(start.head)
            return self.encoding(beginning, final=final)
        self.start = start if self._mail is None else start._replace(head=self._mail.head)
        armour = start.armour
        self._source = self.decoder = (
            QuotedPrintableDecoder() if armour == "quoted-printable" else NativeDecoder(armour)
        )
        self.state = State.BODY
        return beginning

    def update_into(self, data: memoryview, buffer: Buffer) -> int:
        """Takes the next bytes and gives how many it wrote. Raises EnvelopeError, and what
        ``open_content`` and its source raise."""
        data = self.encoding(data, final=False)
        return 0 if self.state is State.HEAD else self.feed_into(data, buffer)

    def finish_into(self, buffer: Buffer) -> int:
        """Writes the last bytes; raises as :meth:`update_into`."""
        count = self.feed_into(self.encoding(memoryview(b""), final=True), buffer)
        return count + self.end_into(buffer, count)

    def end_into(self, buffer: Buffer, start: int) -> int:
        """Writes what is still held back once all of the encoding was fed, from ``start``."""
        count = start
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

    def feed_into(self, data: memoryview, buffer: Buffer) -> int:
        """As :meth:`update_into`, for bytes that :meth:`encoding` gave."""
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
