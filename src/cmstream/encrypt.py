"""Encryption of one message: in one shot, or pushed piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .certificates.archive_keys import ArchiveKey
from .certificates.recipient import Recipient
from .engine import gate
from .engine.stream_context import StreamContext
from .mail import mime
from .policy import DEFAULT, Policy
from .recipients.recipients import Recipients, as_recipients
from .sealing import (
    Form,
    check_form,
    content_encoder,
    job,
    message_encoder,
    seal_one,
    should_pass_through,
)

if TYPE_CHECKING:
    from .engine.gate import Buffer

To = Recipients | Recipient | ArchiveKey | Iterable[Recipient | ArchiveKey]


class Encryptor(StreamContext):
    """Content in, CMS out, piece by piece; made by :func:`encryptor`.

    It does no I/O. After any exception but that of a buffer too small the stream has failed and
    refuses everything; what it gave out until then is incomplete and can't be mistaken for a
    whole message. One thread at a time: a second one gets :class:`ConcurrentUseError`.

    Besides those of a wrong call: SizeMismatchError for more or less content than ``size=``
    promised, MessageError for a message that can't be sealed.
    """


class _ContentEncryptor(Encryptor):
    def __init__(self, seal: gate.NativeEncoder) -> None:
        super().__init__()
        self._seal = seal

    def bound(self, n: int) -> int:
        return self._seal.bound(n)

    def _update_into(self, data: memoryview, buffer: Buffer) -> int:
        return self._seal.update_into(data, buffer)

    def _finalize_into(self, buffer: Buffer) -> int:
        count = self._seal.finish_into(buffer)
        self._failed = True
        return count

    def _abort(self) -> None:
        self._seal.abort()


class _MessageEncryptor(Encryptor):
    """RFC 5322 in, S/MIME out: holds the header block and a little of the body back until it is
    clear what they are, then is a stream into C, or lets everything pass."""

    def __init__(
        self, to: Recipients, policy: Policy, size: int | None, line_feeds: int | None
    ) -> None:
        super().__init__()
        self._to, self._policy = to, policy
        self._room = (128 << 10) + 2 * to.room(policy)
        self._size, self._line_feeds = size, line_feeds
        self._held = bytearray()
        self._scanned = 0
        self._body: int | None = None
        self._seal: gate.NativeEncoder | None = None
        self._passes = False
        self._taken = 0

    def bound(self, n: int) -> int:
        if self._seal is not None:
            return self._seal.bound(n + len(self._held))
        if self._passes:
            return n + len(self._held)
        # What is held may be header, which goes outside with CRLF for every LF, or body, every
        # octet of which may be a bare LF, in base64. Protected fields stand inside twice.
        held = n + len(self._held)
        protected = min(held, mime.HEADER_LIMIT) if self._policy.header_protection else 0
        return self._room + 6 * held + 21 * protected

    def _update_into(self, data: memoryview, buffer: Buffer) -> int:
        if len(buffer) < self.bound(len(data)):
            raise ValueError("the buffer is too small: bound(len(data)) octets always suffice")
        self._count(len(data))
        while self._seal is None and not self._passes and len(data):
            part, data = data[: mime.PEEK_LIMIT], data[mime.PEEK_LIMIT :]
            self._held += part
            self._look(final=False)
        count = self._give_held(buffer)
        return count + self._give(data, buffer, count)

    def _finalize_into(self, buffer: Buffer) -> int:
        if len(buffer) < self.bound(0):
            raise ValueError("the buffer is too small: bound(0) octets always suffice")
        self._look(final=True)
        count = self._give_held(buffer)
        if self._seal is not None:
            count += self._seal.finish_into(buffer, count)
        elif self._size is not None and self._taken < self._size:
            raise gate.size_mismatch("less")
        self._failed = True
        return count

    def _count(self, more: int) -> None:
        self._taken += more
        if self._size is not None and self._taken > self._size:
            raise gate.size_mismatch("more")

    def _look(self, *, final: bool) -> None:
        """Decides as soon as the header block and enough of the body are there."""
        if self._seal is not None or self._passes:
            return
        if self._body is None:
            self._body, self._scanned = mime.header_end(self._held, self._scanned, final=final)
        if self._body is None or not (final or len(self._held) - self._body >= mime.PEEK_LIMIT):
            return
        head, body = bytes(self._held[: self._body]), bytes(self._held[self._body :])
        if should_pass_through(head, body, self._policy, complete=final):
            self._passes = True
            return
        body_size = None if self._size is None else self._size - len(head)
        seal, inside = message_encoder(head, body_size, self._line_feeds, self._to, self._policy)
        self._held[: self._body] = inside
        self._seal = seal

    def _give_held(self, buffer: Buffer) -> int:
        if not self._held or (self._seal is None and not self._passes):
            return 0
        count = self._give(memoryview(bytes(self._held)), buffer, 0)
        self._held.clear()
        return count

    def _give(self, data: memoryview, buffer: Buffer, start: int) -> int:
        if self._seal is not None:
            return self._seal.update_into(data, buffer, start)
        if self._passes:
            memoryview(buffer).cast("B")[start : start + len(data)] = data
            return len(data)
        return 0

    def _abort(self) -> None:
        if self._seal is not None:
            self._seal.abort()


def encryptor(
    to: To,
    *,
    size: int | None = None,
    form: Form = "der",
    policy: Policy = DEFAULT,
    line_feeds: int | None = None,
) -> Encryptor:
    """A push stream that encrypts to everybody in ``to``.

    ``form``: ``"der"``, ``"pem"`` (RFC 7468), ``"smime"`` (any content as an S/MIME entity) or
    ``"message"`` (RFC 5322 in, S/MIME message out; see :func:`encrypt_message`). ``size``: how
    many octets will be written in all, a message's header block included; the output is then
    definite-length DER. Without it the output is BER with indefinite lengths (RFC 5652 section
    5.1 allows both).

    A message's canonical length depends on its bare line feeds. ``line_feeds`` says how many its
    body has; without it a sized message must have CRLF line ends in its body (the header block's
    are free), and a bare LF is a ``size-mismatch``.

    A message stream holds back the header block (``header-too-large`` over 4 MiB) and 8 KiB of
    body; what isn't proved encrypted by then is sealed.

    AES-GCM encrypts 64 GiB at the most, ChaCha20-Poly1305 256 GiB: what is longer gets a
    MessageError ``too-large``, at once where the size is known, else before an octet too many is
    taken.

    Raises RecipientError (``no-recipients``, ``unusable-recipient``), MessageError, ValueError for
    a form or size that can't be.
    """
    if size is not None and not 0 <= size < 1 << 63:
        raise ValueError(f"size={size}: must be from 0 to 2**63 - 1")
    prepared = as_recipients(to)
    if form == "message":
        return _MessageEncryptor(prepared, policy, size, line_feeds)
    return _ContentEncryptor(content_encoder(prepared, policy, form, size))


def encrypt(content: Buffer, to: To, *, policy: Policy = DEFAULT, form: Form = "der") -> bytes:
    """Encrypts ``content`` to everybody in ``to`` as CMS EnvelopedData (RFC 5652 section 6), or,
    where the policy has an authenticated cipher, AuthEnvelopedData (RFC 5083).

    ``content``: any contiguous bytes-like object of any length. ``form`` as in
    :func:`encryptor`. Raises RecipientError; MessageError for ``form="message"``, and
    ``too-large``.

    EnvelopedData keeps a content secret; it doesn't prove where it comes from or that nobody
    changed it (RFC 8551 section 6). AuthEnvelopedData proves that nobody did who can't open it, but
    not where it comes from. Sign first where that matters.
    """
    check_form(form)
    return seal_one(job(content, as_recipients(to), policy), form)


def encrypt_message(message: Buffer, to: To, *, policy: Policy = DEFAULT) -> bytes:
    """Encrypts an RFC 5322 message and gives an S/MIME message (RFC 8551 section 3.3).

    The fields that describe the message stay outside, in their order and octet for octet but for
    line ends, which become CRLF throughout. The ``Content-*`` fields and the body become the
    inner entity; bare line feeds become CRLF unless the transfer encoding is ``binary``. A
    message without Content-Type gets none inside either: RFC 2045 section 5.2 reads it as plain
    text in US-ASCII, outside and inside alike. The outside then says ``MIME-Version: 1.0`` once.

    With ``header_protection`` in the policy (RFC 9788) the fields go inside too, and the outside
    shows what the policy named there leaves of them: ``"baseline"`` hides ``Subject``, ``Comments``
    and ``Keywords``, ``"shy"`` also names in addresses and the sender's time zone. What servers
    wrote (``Received``, ``DKIM-Signature``, ...) stays outside alone. :func:`decrypt_message` gives
    the fields back.

    A message that is encrypted already (:func:`is_encrypted`) passes octet for octet, is
    encrypted again or refused, as the policy says. One that is only signed is encrypted.

    Raises RecipientError; MessageError ``already-encrypted``, ``header-too-large``, ``too-large``.
    The plaintext is never given back in the place of a sealed message.
    """
    return seal_one(job(message, as_recipients(to), policy), "message")
