"""Decrypts sealed messages: one at a time, whole or piece by piece, and many side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from .certificates.archive_keys import ArchiveKey
from .cms.content_ciphers import AnotherPassNeeded, put
from .decryption_pass import DecryptionPass, decrypted_pieces, no_second_pass, open_whole
from .engine.stream_context import State, StreamContext
from .errors import buffer_too_small
from .recipients.identity import Identity
from .spool import SPOOL_LIMIT, Spool

if TYPE_CHECKING:
    from .cms.content_ciphers import ContentKey
    from .engine.gate import Buffer

Who = Identity | ArchiveKey | Iterable[Identity | ArchiveKey]


class Decryptor(StreamContext):
    """A sealed message in, its content out, piece by piece; made by :func:`decryptor`.

    What it gives out of EnvelopedData, or with ``unverified``, isn't proved: that a message was
    cut, or isn't for this key after all, is an error only later, at :meth:`finalize` at the
    latest, however much came out before. Don't act on it until then.

    Of AuthEnvelopedData nothing comes out before :meth:`finalize`, which gives all of it, verified.
    ``bound(0)`` counts all of it, ``bound(n)`` for more than 0 bytes doesn't.

    Any exception, except for a buffer that is too small, ends the stream. One thread at a time: a
    second one gets :class:`ConcurrentUseError`.

    Besides those of a wrong call it raises EnvelopeError, NoRecipientError, DecryptionError; and
    OSError where there is no room for what waits to be verified.
    """

    _secret = True

    def __init__(
        self, identities: Who, *, message: bool, unverified: bool, spool_limit: int
    ) -> None:
        super().__init__()
        self._identities, self._message = as_identities(identities), message
        self._first_pass = DecryptionPass(self._identities, message=message, give=unverified)
        self._spools = not unverified
        self._spool = Spool(spool_limit)
        self._rest: Iterator[bytes] = iter(())

    def _bound(self, n: int) -> int:
        waiting = len(self._spool) if self._first_pass.withheld and not n else 0
        return self._first_pass.bound(n) + waiting

    def _update_into(self, data: memoryview, buffer: Buffer) -> int:
        self._check_room(buffer, len(data))
        count = self._first_pass.update_into(data, buffer)
        self._state = self._first_pass.state
        if self._spools:
            self._keep(data)
        return count

    def _check_room(self, buffer: Buffer, n: int) -> None:
        if len(buffer) < self._bound(n):
            raise buffer_too_small()

    def _keep(self, data: memoryview) -> None:
        """Keeps all from the first byte as long as another pass may need it."""
        if self._first_pass.withheld:
            self._spool.check(len(data))
        elif self._state is not State.HEAD:
            self._spools = False
            self._spool.close()
            return
        self._spool.write(data)

    def _finalize_into(self, buffer: Buffer) -> int:
        self._check_room(buffer, 0)
        count = self._finish_first_pass(buffer)
        for piece in self._rest:
            count += put(buffer, count, piece)
        return count

    def finalize_iter(self) -> Iterator[bytes]:
        """Like :meth:`finalize`, in pieces: what was withheld takes constant memory so."""
        buffer = bytearray(self._first_pass.bound(0))
        count = self._guarded(lambda: self._finish_first_pass(buffer), last=True)
        if count:
            yield bytes(memoryview(buffer)[:count])
        yield from self._rest

    def _finish_first_pass(self, buffer: Buffer) -> int:
        try:
            count = self._first_pass.finish_into(buffer)
        except AnotherPassNeeded as again:
            if not self._spools:
                raise no_second_pass() from None
            self._spool.check()
            self._rest = self._from_spool(again.key)
            return 0
        self._spool.close()
        return count

    def _from_spool(self, key: ContentKey) -> Iterator[bytes]:
        """What was withheld, verified."""
        try:
            yield from decrypted_pieces(
                self._spool.chunks, self._identities, message=self._message, key=key
            )
        finally:
            self._spool.close()

    def _abort(self) -> None:
        self._first_pass.abort()
        self._spool.close()


# What callers use


def as_identities(identities: Who) -> tuple[Identity | ArchiveKey, ...]:
    """What the caller gave, as a tuple. Raises ValueError if there are none."""
    if isinstance(identities, Identity | ArchiveKey):
        return (identities,)
    if not isinstance(identities, Iterable):
        raise _no_identity(identities)
    found = tuple(identities)
    if not found:
        raise ValueError("there is no identity to decrypt with: give at least one")
    for one in found:
        if not isinstance(one, Identity | ArchiveKey):
            raise _no_identity(one)
    return found


def _no_identity(given: object) -> TypeError:
    return TypeError(
        f"identities: {type(given).__name__} is no Identity: make one of the key and its "
        "certificate, by Identity(key, certificate) or Identity.from_pem"
    )


def decryptor(
    identities: Who,
    *,
    message: bool = False,
    unverified: bool = False,
    spool_limit: int = SPOOL_LIMIT,
) -> Decryptor:
    """A push stream that opens what was sealed to one of ``identities``.

    The input's form is found by itself: an S/MIME message or entity (RFC 8551; base64 in any
    layout, or binary), PEM, bare base64, DER, or BER with whatever segments (RFC 5652 section 6).
    Out comes the content; with ``message`` a whole message, as :func:`decrypt_message` tells.

    EnvelopedData comes out piece by piece, in constant memory and without a limit of length. It
    isn't authenticated (RFC 8551 section 6): whoever can change it on its way can change what comes
    out, and has made mail programs give plaintext away so (EFAIL). Don't fetch what an opened mail
    refers to, and rely on nothing in it that isn't signed inside.

    AuthEnvelopedData (RFC 5083) is proved by a tag behind its content, so nothing of it comes out
    before ``finalize``. Until then the sealed octets, never plaintext, wait: 2 MiB of them in
    memory, more in a temporary file, at most ``spool_limit``; beyond that the end is EnvelopeError
    ``too-large``. Then ``finalize()`` gives all at once, in memory for all of it;
    ``finalize_iter()`` gives pieces, as :class:`DecryptWriter` and :class:`DecryptReader` do. With
    ``unverified`` it comes out as it comes in, in constant memory, and ``finalize`` raises
    DecryptionError if the tag is wrong: throw away what came until then. A message with
    authenticated attributes can't be verified so, since they stand behind the content and before it
    in the computation (section 2.2): its end is EnvelopeError ``unsupported-cipher``. The tag tells
    nothing of who sealed it; and that a message is EnvelopedData doesn't tell that it always was,
    since whoever can change it can make such of AuthEnvelopedData (RFC 9709 section 1).

    Reads AES-GCM (RFC 5084) and ChaCha20-Poly1305 (RFC 8103), AES-CBC and DES-EDE3-CBC; RSA, key
    agreement on elliptic curves, ML-KEM, and what archives are sealed with. Raises ValueError
    without identities.
    """
    return Decryptor(identities, message=message, unverified=unverified, spool_limit=spool_limit)


def decrypt(sealed: Buffer, identities: Who) -> bytes:
    """Opens a sealed message of any form and gives its content, once all is verified that can be:
    of AuthEnvelopedData its tag, of EnvelopedData no more than its padding.

    Raises EnvelopeError for what can't be read, whoever tries; NoRecipientError, which tells whom
    it is for; DecryptionError, which says nothing but that it doesn't decrypt. What RSA doesn't
    decrypt to a key is replaced by a random one (RFC 3218), every step is done whatever the one
    before gave, and C checks the padding without a branch on it; once in 256 times such a key gives
    noise instead of the error. A wrong password, and a wrong key of another kind, is the error
    before any content comes out. That all of it takes the same time isn't promised to the
    microsecond: where `cryptography` tells a wrong padding by an exception (OpenSSL before 3.2),
    that costs some, and where it doesn't, making its random key took 0.7 microseconds more. See
    :func:`decryptor` for what EnvelopedData doesn't promise.
    """
    return open_whole(sealed, as_identities(identities), message=False)


def decrypt_message(sealed: Buffer, identities: Who) -> bytes:
    """Opens an S/MIME message and gives a whole message: the outer fields without ``Content-*`` and
    ``MIME-Version``, then ``MIME-Version: 1.0``, unless the inner entity has one, and the inner
    entity as it was sealed; line ends of the outer fields become CRLF.

    Where the inner entity protects header fields (RFC 9788: ``hp=`` in its Content-Type; also the
    older ``protected-headers="v1"``), they are the message's, and of the outer ones those remain
    that servers and mailing lists add on the way; all others go. ``HP-Outer`` fields and the ``hp``
    parameter are left out. No signature is verified: an outer ``From`` with another address than
    the inner one is the message's. Fields within a signature inside aren't looked at. A push stream
    holds the inner header block back until all of it has come (8 MiB at most; a longer one is given
    as it is).

    Raises as :func:`decrypt`."""
    return open_whole(sealed, as_identities(identities), message=True)


def decrypt_many(
    jobs: Iterable[tuple[Buffer, Who]],
    *,
    form: Literal["message", "content"] = "message",
    return_exceptions: bool = False,
    workers: int | None = None,
) -> list[bytes | Exception]:
    """Opens many, in their order; ``jobs`` are pairs ``(sealed, identities)``. ``"message"`` gives
    whole messages as :func:`decrypt_message`, ``"content"`` their content alone.

    The private keys' operations take most of the time, and several run side by side: in ``workers``
    threads, by default one for each processor that this process may use; a key object of your own
    must bear that. With ``return_exceptions`` the answer of a job that fails is its exception; else
    the first one is raised. Raises ValueError for another form, or less than one worker.
    """
    if form not in {"message", "content"}:
        raise ValueError(f"form={form!r}: choose message or content")
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers}: must be 1 or more")

    every = list(jobs)
    answers: list[Any] = [None] * len(every)
    turns, lock = iter(range(len(every))), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return
            answers[turn] = _answer(every[turn], form == "message")

    _in_threads(work, min(workers if workers is not None else _processors(), len(every)))
    failures = (answer for answer in answers if isinstance(answer, Exception))
    if not return_exceptions and (first := next(failures, None)):
        raise first
    return answers


def _processors() -> int:
    """How many this process may use: a thread more than that only gets in the others' way."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_threads(work: Callable[[], None], count: int) -> None:
    """In so many at once, this one among them."""
    helpers = [threading.Thread(target=work) for _ in range(count - 1)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()


def _answer(job: tuple[Buffer, Who], message: bool) -> bytes | Exception:
    try:
        sealed, identities = job
        return open_whole(sealed, as_identities(identities), message=message)
    except Exception as error:  # noqa: BLE001 - one bad job doesn't harm the others
        return error
