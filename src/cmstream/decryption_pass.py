"""Decrypts a message in one pass, or in more where it must be verified first.

What proves an authenticated content stands behind it (RFC 5083). So a message that can be read
again, from memory, a file or a spool, is read once to verify it and once more to give its content
out. Its key is unwrapped only once. Where several keys may be the right one, it is read with each
of them until it opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cms.content_ciphers import (
    AnotherPassNeeded,
    ContentKey,
    content_source,
    read_parameters,
)
from .cms.envelope_reader import EnvelopeReader
from .engine.buffer_pool import filled
from .engine.decoder import decryption_error, envelope_error
from .engine.stream_context import State
from .errors import CmstreamError, octets_of, warn_of_unsealed_parts
from .mail.header_restorer import HeaderRestorer
from .recipients.content_key import content_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from .certificates.archive_keys import ArchiveKey
    from .cms.enveloped import Envelope
    from .engine.decoder import ContentSource, NativeDecoder
    from .engine.gate import AnyBuffer, Buffer
    from .engine.stream_context import StreamContext
    from .recipients.identity import Identity

    Identities = Sequence[Identity | ArchiveKey]


class _ContentOpener:
    """Finds the key of a message, and decrypts its content, as soon as the head of the CMS has been
    read: then ``state`` is ``BODY``. Apart from the pass, so that none refers to itself."""

    def __init__(
        self, identities: Identities, *, message: bool, give: bool, key: ContentKey | None
    ) -> None:
        self._identities, self._message, self._give = identities, message, give
        self._known_key = key
        self.keys: list[ContentKey] = []  # more than one if no RecipientInfo names the identities
        self._restorer: HeaderRestorer | None = None
        self.state = State.HEAD
        self.withheld = False

    def open(self, decoder: NativeDecoder, envelope: Envelope, head: bytes) -> ContentSource:
        """What gives the content."""
        if not decoder.has_content:
            raise envelope_error("malformed", "it has no encrypted content: fetch that, too")
        key = self._key_of(envelope)
        self.state = State.BODY
        self.withheld = key.parameters.cipher.authenticated and not self._give
        source = content_source(decoder, key, give=self._give)
        if not self._message or self.withheld:
            return source
        self._restorer = HeaderRestorer(source, head)
        return self._restorer

    def _key_of(self, envelope: Envelope) -> ContentKey:
        parameters = read_parameters(envelope)
        if self._known_key is None:
            found = content_keys(envelope, self._identities, parameters.cipher.key_len)
            self.keys = [ContentKey(parameters, one) for one in found]
            return self.keys[0]
        if self._known_key.parameters != parameters:  # the file was changed meanwhile
            raise decryption_error()
        return self._known_key

    def header_bound(self, most: int) -> int:
        """The most bytes that still come out for the mail's own header block, which has ``most`` at
        most."""
        if self._restorer is not None:
            return self._restorer.extra
        return 2 * most if self._message and self.state is State.HEAD else 0  # line ends get longer


class DecryptionPass:
    """One pass over a sealed message, from its first byte to its last.

    ``message``: a whole message comes out. ``give``: whether an authenticated content comes out
    before it is verified; without it nothing comes out, and the end is :class:`AnotherPassNeeded`.
    That is also the end where attributes that the tag proves are found behind the content. ``key``:
    what an earlier pass found; ``is_first``: no earlier pass came to the end.
    """

    def __init__(
        self,
        identities: Identities,
        *,
        message: bool,
        give: bool = True,
        key: ContentKey | None = None,
        is_first: bool = False,
    ) -> None:
        self._opener = _ContentOpener(identities, message=message, give=give, key=key)
        self._reader = EnvelopeReader(self._opener.open)
        self._is_first = is_first or key is None

    @property
    def keys(self) -> list[ContentKey]:
        """Those that were found in this pass: the first one is tried in it."""
        return self._opener.keys

    @property
    def state(self) -> State:
        """``HEAD`` until the head of the CMS has been read, then ``BODY``."""
        return self._opener.state

    @property
    def withheld(self) -> bool:
        """Whether the content only comes out in another pass; False as long as that isn't known."""
        return self._opener.withheld

    def bound(self, n: int) -> int:
        """The most bytes that ``n`` bytes of input and the end together can give now."""
        header = self._opener.header_bound(self._reader.header_bound(n))
        return self._reader.bound(n) + header

    def update_into(self, data: memoryview, buffer: Buffer) -> int:
        """Takes the next bytes and gives how many it wrote."""
        return self._reader.update_into(data, buffer)

    def finish_into(self, buffer: Buffer) -> int:
        """Writes the last bytes, once all is verified that can be."""
        return self._finished(lambda: self._reader.finish_into(buffer))

    def finalize_iter(self) -> Iterator[bytes]:
        """The last bytes, if there are any."""
        buffer = bytearray(self.bound(0))
        if count := self.finish_into(buffer):
            yield bytes(memoryview(buffer)[:count])

    def abort(self) -> None:
        """Wipes the key."""
        self._reader.abort()

    def open_whole(self, sealed: AnyBuffer) -> bytes:
        """The content of a message that comes in one piece, once all is verified that can be."""
        data = self._reader.encoding(octets_of(sealed, "sealed"), final=True)
        return filled(self.bound(len(data)), lambda out: self._whole_into(data, out), secret=True)

    def _whole_into(self, data: memoryview, out: memoryview) -> int:
        try:
            count = self._reader.feed_into(data, out)
            return count + self._finished(lambda: self._reader.end_into(out, count))
        finally:
            self.abort()

    def _finished(self, finish: Callable[[], int]) -> int:
        """Warns of parts that weren't sealed, once the first pass has come to the end of a message
        that opens."""
        try:
            count = finish()
        except AnotherPassNeeded:
            self._warn()
            raise
        self._warn()
        return count

    def _warn(self) -> None:
        if self._is_first and (others := self._reader.unsealed_parts):
            warn_of_unsealed_parts(others)


def open_by_passes(sealed: AnyBuffer, identities: Identities, *, message: bool) -> bytes:
    """The content of a message in memory, once all is verified that can be."""
    one, data = DecryptionPass(identities, message=message), octets_of(sealed, "sealed")
    try:
        return one.open_whole(data)
    except AnotherPassNeeded as again:
        key = again.key
    except CmstreamError:
        if not one.keys[1:]:
            raise
        key = _key_that_opens(lambda: [data], identities, one.keys, message=message)
    return DecryptionPass(identities, message=message, key=key).open_whole(data)


def _key_that_opens(
    read: Callable[[], Iterable[Buffer]],
    identities: Identities,
    keys: Sequence[ContentKey],
    *,
    message: bool,
) -> ContentKey:
    """The first of the keys with which the message opens; if none does, the first one, which fails
    as any wrong key."""
    for key in keys:
        try:
            one = DecryptionPass(identities, message=message, key=key, is_first=True)
            for _ in pieces(one, read()):
                pass
        except AnotherPassNeeded as again:
            return again.key
        except CmstreamError:
            continue
        return key
    return keys[0]


def decrypted_pieces(
    read: Callable[[], Iterable[Buffer]],
    identities: Identities,
    *,
    message: bool,
    unverified: bool = False,
    key: ContentKey | None = None,
) -> Generator[bytes]:
    """The content of a message, in pieces. ``read`` gives the sealed message from its beginning
    each time it is called.

    The first piece comes once all is verified that can be; with ``unverified`` it comes in the
    first pass, and the end verifies it. ``key``: what an earlier pass found.
    """
    while True:
        give = key.verified if key else unverified
        one = DecryptionPass(identities, message=message, give=give, key=key)
        try:
            for piece in pieces(one, read()):
                if one.keys[1:]:  # nothing has come out yet
                    break
                yield piece
            else:
                return
        except AnotherPassNeeded as again:
            key = again.key
            if unverified and key.verified:
                return
            continue
        except CmstreamError:
            if not one.keys[1:]:
                raise
        key = _key_that_opens(read, identities, one.keys, message=message)
        unverified = False


def pieces(stream: DecryptionPass | StreamContext, chunks: Iterable[Buffer]) -> Generator[bytes]:
    """What a stream gives for the chunks of one message, and at its end. Wipes the keys in any
    case."""
    buffer = bytearray()
    try:
        for chunk in chunks:
            data = octets_of(chunk, "sealed")
            if len(buffer) < (need := stream.bound(len(data))):
                buffer = bytearray(need + need // 4)  # it grows while something is held back
            if count := stream.update_into(data, buffer):
                yield bytes(memoryview(buffer)[:count])
        yield from stream.finalize_iter()
    finally:
        stream.abort()


def no_second_pass() -> Exception:
    """The error where ``unverified`` was asked for, and a message that can't be read again needs
    another pass."""
    return envelope_error(
        "unsupported-cipher",
        "authenticated attributes stand behind its content, so that it can't be verified in one "
        "pass: give it as a seekable file, or without unverified=True",
    )
