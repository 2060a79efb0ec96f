"""Encrypts one message or content: whole, or piece by piece."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .certificates.archive_keys import ArchiveKey
from .certificates.recipient import Recipient
from .cms.already_encrypted import may_be_encrypted, pieces
from .engine.encoder import NativeEncoder, message_bound, message_flags, size_mismatch
from .engine.held_back import HeldBack
from .engine.one_message import streamed_into
from .engine.stream_context import BODY, HEAD, StreamContext
from .errors import buffer_too_small, byte_count
from .mail import mime
from .policy import DEFAULT, Policy
from .recipients.recipients import Recipients, as_recipients, prepare
from .sealing import (
    MESSAGE,
    Form,
    check_form,
    content_encoder,
    empty_message,
    job,
    message_encoder,
    seal_one,
    should_pass_through,
)

if TYPE_CHECKING:
    from .engine.gate import AnyBuffer, Buffer

SUSPECT_LIMIT = 1 << 20
"""Bytes of the body of a message that may be encrypted already that a stream holds back."""

To = Recipients | Recipient | ArchiveKey | Iterable[Recipient | ArchiveKey]
"""Whom to encrypt to: prepared :class:`Recipients`, one :class:`Recipient`, or several of them; a
:class:`Kek` or :class:`Password` counts as one."""


class Encryptor(StreamContext):
    """Content in, CMS out, piece by piece; made by :func:`encryptor`.

    It does no I/O. Any exception, except for a wrong argument, ends the stream: it takes nothing
    more, and what it gave until then is incomplete and can't be mistaken for a whole message. One
    thread at a time: a second one gets :class:`ConcurrentUseError`. After a fork only the process
    that made it may go on: another one gets RuntimeError, or both would encrypt with one key.

    Besides those of a wrong call it raises SizeMismatchError for more or less content than
    ``size=`` promised, and MessageError for a message that can't be encrypted.
    """

    def __init__(self) -> None:
        super().__init__()
        self._process = os.getpid()


class _ContentEncryptor(Encryptor):
    """Any content in: all of it goes through C as it comes."""

    def __init__(self, encoder: NativeEncoder) -> None:
        super().__init__()
        self._encoder = encoder
        self._state = BODY

    def _bound(self, n: int) -> int:
        return self._encoder.bound(n)

    def _update_into(self, data: memoryview, buffer: memoryview) -> int:
        return self._encoder.update_into(data, buffer)

    def _finalize_into(self, buffer: memoryview) -> int:
        return self._encoder.finish_into(buffer)

    def _abort(self) -> None:
        self._encoder.abort()


_NOTHING = memoryview(b"")


class _PassThrough:
    """Stands for the encoder where a message is encrypted already."""

    def bound(self, count: int) -> int:
        return count

    def update_into(self, data: memoryview, out: memoryview) -> int:
        if len(out) < len(data):
            raise buffer_too_small()
        out[: len(data)] = data
        return len(data)

    inside_into = update_into

    def finish_into(self, out: memoryview) -> int:
        del out
        return 0

    def abort(self) -> None:
        pass


def _find_body(beginning: Buffer, resume: int, *, final: bool) -> tuple[int | None, int]:
    """Where the body begins, once enough of it is there to tell whether it is encrypted already:
    what may be is known only by all of it."""
    if not final and len(beginning) < mime.PEEK_LIMIT:
        return None, resume
    end, further = mime.header_end(beginning, resume, final=final)
    if end is None or final:
        return end, further
    there = len(beginning) - end
    if there < mime.PEEK_LIMIT:
        return None, resume
    peek = beginning[end : end + mime.PEEK_LIMIT]
    if there <= SUSPECT_LIMIT and may_be_encrypted(bytes(beginning[:end]), peek):
        return None, resume
    return end, further


class _MessageEncryptor(Encryptor):
    """RFC 5322 in, S/MIME out: holds back the header block and the first bytes of the body, until
    it is clear whether the message is encrypted already."""

    _output: NativeEncoder | _PassThrough

    def __init__(
        self, to: Recipients, policy: Policy, size: int | None, line_feeds: int | None
    ) -> None:
        super().__init__()
        self._to, self._policy, self._native = to, policy, prepare(to, policy).native
        self._size, self._line_feeds = size, line_feeds
        self._flags = message_flags(size, line_feeds)
        self._beginning = HeldBack(_find_body)
        self._taken = 0

    def _bound(self, n: int) -> int:
        if self._state is BODY:
            return self._output.bound(n)
        held = self._taken + n  # all that came is held back
        if self._size is not None and held > self._size:
            held = self._size
        most = message_bound(self._native, MESSAGE, self._flags, held)
        if self._policy.header_protection is None:
            return most
        # Protected fields stand outside, and inside twice, with a Content-Type at any rate.
        return most + 24 * min(held, mime.HEADER_LIMIT) + 96

    def _update(self, data: memoryview) -> bytes:
        taken = self._taken + len(data)
        if taken >= mime.PEEK_LIMIT or self._state is not HEAD:
            return super()._update(data)
        self._check_size(taken)
        self._beginning.hold(data)  # nothing can come of it yet
        self._taken = taken
        return b""

    def _update_into(self, data: memoryview, buffer: memoryview) -> int:
        taken = self._taken + len(data)
        self._check_size(taken)
        if self._state is BODY:
            count = self._output.update_into(data, buffer)
        else:
            self._check_room(buffer, len(data))
            count = self._begin_into(data, buffer)
        self._taken = taken
        return count

    def _finalize_into(self, buffer: memoryview) -> int:
        if self._size is not None and self._taken < self._size:
            raise size_mismatch("less")
        if not self._taken:
            raise empty_message()
        if self._state is BODY:
            return self._output.finish_into(buffer)
        count = self._whole_in_c(buffer)
        if count is not None:
            return count
        self._check_room(buffer, 0)
        count = self._cut_into(_NOTHING, buffer, final=True)
        return count + self._output.finish_into(buffer[count:])

    def _check_size(self, taken: int) -> None:
        if self._size is not None and taken > self._size:
            raise size_mismatch("more")

    def _check_room(self, buffer: memoryview, more: int) -> None:
        if len(buffer) < self._bound(more):
            raise buffer_too_small()

    def _begin_into(self, data: memoryview, buffer: memoryview) -> int:
        """Goes on to the body as soon as the header block and enough of the body are there."""
        if self._taken < mime.PEEK_LIMIT <= self._taken + len(data):  # once
            count = self._begin_in_c(data, buffer)
            if count is not None:
                return count
        return self._cut_into(data, buffer, final=False)

    def _cut_into(self, data: memoryview, buffer: memoryview, *, final: bool) -> int:
        """As :meth:`_begin_into`, for messages of all kinds."""
        found = self._beginning.take(data, final=final)
        if found is None:
            return 0
        end, beginning = found
        inside = self._choose_output(bytes(beginning[:end]), beginning[end:], final=final)
        self._state = BODY
        try:
            count = self._output.inside_into(memoryview(inside), buffer)
            return count + self._output.update_into(beginning[end:], buffer[count:])
        except ValueError:  # the beginning is gone: nobody may go on
            self._fail()
            raise

    def _whole_in_c(self, buffer: memoryview) -> int | None:
        """The whole message, which was short; None where it isn't as most mail."""
        if not self._native.streams_messages:
            return None
        count = streamed_into(
            MESSAGE, self._beginning.with_(_NOTHING), self._native, buffer,
            size=self._canonical_size(), flags=self._flags,
        )  # fmt: skip
        if count is not None:
            self._beginning.clear()
        return count

    def _begin_in_c(self, data: memoryview, buffer: memoryview) -> int | None:
        """As :meth:`_begin_into`, for most mail; None where it is none of that."""
        native = self._native
        if not native.streams_messages:
            return None
        encoder = NativeEncoder(native.cipher)
        count = encoder.begin_message_into(
            native, MESSAGE, self._beginning.with_(data), buffer,
            behind=mime.PEEK_LIMIT, size=self._canonical_size(), flags=self._flags,
        )  # fmt: skip
        if count is not None:
            self._beginning.clear()
            self._output, self._state = encoder, BODY
        return count

    def _canonical_size(self) -> int:
        return (self._size or 0) + (self._line_feeds or 0)

    def _choose_output(self, head: bytes, body: memoryview, *, final: bool) -> bytes:
        """Encodes the message, or lets it pass; gives what goes in before the body."""
        if final and should_pass_through(head, pieces(body), self._policy):
            self._output = _PassThrough()
            return head
        size = None if self._size is None else self._size - len(head)
        self._output, inside = message_encoder(head, size, self._line_feeds, self._to, self._policy)
        return inside

    def _abort(self) -> None:
        if self._state is BODY:
            self._output.abort()


def encryptor(
    to: To,
    *,
    size: int | None = None,
    form: Form = "der",
    policy: Policy = DEFAULT,
    line_feeds: int | None = None,
) -> Encryptor:
    """A push stream that encrypts to everybody in ``to``.

    ``form``: ``"der"`` (unless it says otherwise), ``"pem"`` (RFC 7468), ``"smime"`` (any content
    as an S/MIME entity) or ``"message"`` (RFC 5322 in, S/MIME message out; see
    :func:`encrypt_message`). ``size``: how many bytes will be written in all, a message's header
    block included; the output is then definite-length DER. Without it the output is BER with
    indefinite lengths (RFC 5652 section 5.1 allows both).

    A message's canonical length depends on its bare line feeds. ``line_feeds`` says how many its
    body has. Without it, a message with a ``size`` must have CRLF line ends in its body, and a bare
    LF there is a ``size-mismatch``; the header block may have any.

    A message stream holds back the header block (``header-too-large`` over 4 MiB) and 8 KiB of
    body, of a message whose label says that it may be encrypted already 1 MiB. Only what ends
    within that can be proved to be; a longer one is encrypted again, since nobody knows what comes
    behind. :func:`encrypt_message`, and :func:`encrypt_iter` where it can seek, see all of it, and
    know one of any length.

    AES-GCM encrypts at most 64 GiB, ChaCha20-Poly1305 256 GiB. Anything longer is a MessageError
    ``too-large``: if the size is known at once, of a message when its header block is there, else
    before a byte too many is taken.

    Raises RecipientError (``no-recipients``, ``unusable-recipient``), MessageError, and ValueError
    for an unknown form or an impossible ``size`` or ``line_feeds``.
    """
    size = size if size is None else byte_count(size, "size")
    line_feeds = line_feeds if line_feeds is None else byte_count(line_feeds, "line_feeds")
    prepared = as_recipients(to)
    if form == "message":
        return _MessageEncryptor(prepared, policy, size, line_feeds)
    return _ContentEncryptor(content_encoder(prepared, policy, form, size))


def encrypt(content: AnyBuffer, to: To, *, policy: Policy = DEFAULT, form: Form = "der") -> bytes:
    """Encrypts ``content`` to everybody in ``to`` as CMS EnvelopedData (RFC 5652 section 6), or,
    where the policy has an authenticated cipher, AuthEnvelopedData (RFC 5083).

    ``content``: any contiguous bytes-like object of any length. ``form`` as in :func:`encryptor`,
    DER unless it says otherwise. Raises RecipientError; MessageError ``too-large``, and with
    ``form="message"`` those of :func:`encrypt_message`.

    EnvelopedData keeps a content secret. It doesn't prove who sent it, nor that nobody changed it
    (RFC 8551 section 6). AuthEnvelopedData proves that nobody changed it, except those who can
    decrypt it, but not who sent it. Sign first where that matters.
    """
    check_form(form)
    return seal_one(job(content, as_recipients(to), policy), form)


def encrypt_message(message: AnyBuffer, to: To, *, policy: Policy = DEFAULT) -> bytes:
    """Encrypts an RFC 5322 message and gives an S/MIME message (RFC 8551 section 3.3).

    The fields that describe the message stay outside, in their order and unchanged, except that all
    line ends become CRLF. The ``Content-*`` fields and the body become the inner entity; bare line
    feeds become CRLF unless the transfer encoding is ``binary``. A message without Content-Type
    gets none inside either: RFC 2045 section 5.2 reads it as plain text in US-ASCII, outside and
    inside alike. The outside then says ``MIME-Version: 1.0`` once.

    With ``header_protection`` in the policy (RFC 9788) the fields also go inside, and fewer of them
    can be read outside: ``"baseline"`` hides ``Subject``, ``Comments`` and ``Keywords``, ``"shy"``
    also the names in addresses and the sender's time zone. Fields that servers wrote
    (``Received``, ``DKIM-Signature``, ...) only stand outside. :func:`decrypt_message` gives the
    fields back.

    A message that is encrypted already (:func:`is_encrypted`) passes unchanged, is encrypted again
    or is refused, as the policy says. One that is only signed is encrypted.

    Raises RecipientError; MessageError ``already-encrypted``, ``malformed-message`` for an empty
    message, ``header-too-large``, ``too-large``. It never returns the plaintext instead of an
    encrypted message.
    """
    return seal_one(job(message, as_recipients(to), policy), "message")
