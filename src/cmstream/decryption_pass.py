"""Going over a sealed message, once or more often.

An authenticated content is proved by what stands behind it (RFC 5083). So a message that can be
read again, from memory, a file, or a spool, is gone over to verify it, and then to give its content
out; its key is unwrapped once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cms.content_ciphers import (
    AnotherPassNeeded,
    ContentKey,
    ContentSource,
    content,
    read_parameters,
)
from .cms.envelope_reader import EnvelopeReader
from .engine.decoder import decryption_error, envelope_error
from .mail.header_restorer import HeaderRestorer
from .recipients.content_key import content_key

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from .certificates.archive_keys import ArchiveKey
    from .cms.enveloped import Envelope
    from .engine.decoder import NativeDecoder
    from .engine.gate import Buffer
    from .recipients.identity import Identity

    Identities = Sequence[Identity | ArchiveKey]


class DecryptionPass(EnvelopeReader):
    """Once over a sealed message.

    ``message``: out comes a whole message. Without ``give`` nothing of an authenticated content
    comes out, and the end is :class:`AnotherPassNeeded`; so it is, too, where attributes that the
    tag proves are found behind the content. ``unlocked``: what the pass before found out.
    """

    def __init__(
        self,
        identities: Identities,
        *,
        message: bool,
        give: bool = True,
        unlocked: ContentKey | None = None,
    ) -> None:
        super().__init__()
        self._identities, self._known_key = identities, unlocked
        self._message = message
        self._frame: HeaderRestorer | None = None
        self._give = give
        self._content: ContentSource | None = None

    def _head_room(self, count: int) -> int:
        if self._frame is not None:
            return self._frame.extra
        return 2 * count if self._message else 0  # line ends get longer

    def _unlock(
        self, opening: NativeDecoder, envelope: Envelope, buffer: Buffer, start: int
    ) -> int:
        del buffer, start
        self._content = content(opening, self._content_key(envelope), give=self._give)
        if self._message and not self._content.withheld:
            head = self._start.head if self._start else b""
            self._content = self._frame = HeaderRestorer(self._content, head)
        return 0

    def _content_key(self, envelope: Envelope) -> ContentKey:
        parameters = read_parameters(envelope)
        if self._known_key is None:
            return ContentKey(
                parameters, content_key(envelope, self._identities, parameters.cipher.key_len)
            )
        if self._known_key.parameters != parameters:  # the file was changed meanwhile
            raise decryption_error()
        return self._known_key

    def _through(
        self, opening: NativeDecoder, data: memoryview, buffer: Buffer, start: int
    ) -> tuple[int, int]:
        way = self._content or opening
        return way.update_into(data, buffer, start)

    def _last(self, opening: NativeDecoder, buffer: Buffer, start: int) -> int:
        way = self._content or opening
        return way.finish_into(buffer, start)

    def _abort(self) -> None:
        super()._abort()
        self._content = None


def open_whole(sealed: Buffer, identities: Identities, *, message: bool) -> bytes:
    """A message in memory. Gives nothing before all is verified that can be."""
    try:
        return DecryptionPass(identities, message=message).open_whole(sealed)
    except AnotherPassNeeded as again:
        known = again.unlocked
    return DecryptionPass(identities, message=message, unlocked=known).open_whole(sealed)


def decrypted_pieces(
    read: Callable[[], Iterable[Buffer]],
    identities: Identities,
    *,
    message: bool,
    unverified: bool = False,
    unlocked: ContentKey | None = None,
) -> Generator[bytes]:
    """The pieces of a message that ``read`` gives from its beginning, as often as it is called.

    Verified before the first is given out; ``unverified``: given out in the first pass, and
    verified by the end. ``unlocked``: what a pass before parameters out.
    """
    while True:
        give = unlocked.verified if unlocked else unverified
        context = DecryptionPass(identities, message=message, give=give, unlocked=unlocked)
        try:
            yield from pieces(context, read())
        except AnotherPassNeeded as again:
            unlocked = again.unlocked
        else:
            return
        if unverified and unlocked.verified:
            return


def pieces(context: EnvelopeReader, chunks: Iterable[Buffer]) -> Generator[bytes]:
    """What comes of the chunks of one message. Wipes the keys in any case."""
    buffer = bytearray()
    try:
        for chunk in chunks:
            data = memoryview(chunk).cast("B")
            if len(buffer) < (need := context.bound(len(data))):
                buffer = bytearray(need + need // 4)  # it grows while something is held back
            if count := context.update_into(data, buffer):
                yield bytes(memoryview(buffer)[:count])
        yield from context.finalize_iter()
    finally:
        context.abort()


def no_second_pass() -> Exception:
    """Where ``unverified`` was asked for, and the message can't be read again."""
    return envelope_error(
        "unsupported-cipher",
        "authenticated attributes stand behind its content, so that it can't be verified in one "
        "pass: give it as a seekable file, or without unverified=True",
    )
