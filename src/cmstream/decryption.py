"""Decrypts sealed messages: one at a time, whole or piece by piece, and many side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, overload

from .certificates.archive_keys import ArchiveKey
from .cms.content_ciphers import AnotherPassNeeded, put
from .decryption_pass import DecryptionPass, decrypted_pieces, no_second_pass, open_by_passes
from .engine.stream_context import State, StreamContext
from .errors import buffer_too_small, byte_count, whole_number
from .recipients.identity import Identity
from .spool import SPOOL_LIMIT, Spool
from .usual_opening import UsualOpening

if TYPE_CHECKING:
    from .cms.content_ciphers import ContentKey
    from .decryption_pass import Identities
    from .engine.gate import AnyBuffer

Who = Identity | ArchiveKey | Iterable[Identity | ArchiveKey]
"""Whose keys open a message: one :class:`Identity`, or several of them; a :class:`Kek` or
:class:`Password` counts as one."""


class Decryptor(StreamContext):
    """A sealed message in, its content out, piece by piece; made by :func:`decryptor`.

    What it gives out of EnvelopedData, or with ``unverified``, isn't proved: that a message was
    cut, or isn't for this key after all, is an error only later, at :meth:`finalize` at the
    latest, however much came out before. Don't act on it until then.

    Of AuthEnvelopedData nothing comes out before :meth:`finalize`, which gives all of it, verified.
    ``bound(0)`` counts all of it, ``bound(n)`` for more than 0 bytes doesn't.

    Any exception, except for a wrong argument, ends the stream. One thread at a time: a second one
    gets :class:`ConcurrentUseError`.

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
        self._spool = Spool(byte_count(spool_limit, "spool_limit"))
        self._rest: Iterator[bytes] = iter(())

    def _bound(self, n: int) -> int:
        waiting = len(self._spool) if self._first_pass.withheld and not n else 0
        return self._first_pass.bound(n) + waiting

    def _update_into(self, data: memoryview, buffer: memoryview) -> int:
        self._check_room(buffer, len(data))
        count = self._first_pass.update_into(data, buffer)
        self._state = self._first_pass.state
        if self._spools:
            self._keep(data)
        return count

    def _check_room(self, buffer: memoryview, n: int) -> None:
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

    def _finalize_into(self, buffer: memoryview) -> int:
        self._check_room(buffer, 0)
        count = self._finish_first_pass(buffer)
        for piece in self._rest:
            count += put(buffer, count, piece)
        return count

    def finalize_iter(self) -> Iterator[bytes]:
        """Like :meth:`finalize`, in pieces: what was withheld takes constant memory so."""
        room = memoryview(bytearray(self._first_pass.bound(0)))
        count = self._ended_by(self._finish_first_pass, room)
        if count:
            yield bytes(room[:count])
        yield from self._rest

    def _finish_first_pass(self, buffer: memoryview) -> int:
        try:
            count = self._first_pass.finish_into(buffer)
        except AnotherPassNeeded as again:
            if not self._spools:
                raise no_second_pass() from None
            self._spool.check()
            self._rest = _verified(self._spool, self._identities, self._message, again.key)
            return 0
        self._spool.close()
        return count

    def _abort(self) -> None:
        self._first_pass.abort()
        self._spool.close()


def _verified(
    spool: Spool, identities: Identities, message: bool, key: ContentKey
) -> Iterator[bytes]:
    """What a first pass withheld."""
    try:
        yield from decrypted_pieces(spool.chunks, identities, message=message, key=key)
    finally:
        spool.close()


# Functions for callers


def as_identities(identities: Who) -> tuple[Identity | ArchiveKey, ...]:
    """The identities that the caller gave. Raises ValueError if there are none."""
    if isinstance(identities, Identity | ArchiveKey):
        return (identities,)
    if isinstance(identities, str | bytes | bytearray) or not isinstance(identities, Iterable):
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
    """A push stream that decrypts what was encrypted to one of ``identities``.

    It finds out the form of its input: an S/MIME message or entity (RFC 8551; base64 in any
    layout, or binary), PEM, bare base64, DER, or BER with whatever segments (RFC 5652 section 6).
    It gives the content; with ``message`` a whole message, as :func:`decrypt_message` does. In a
    mail that is multipart/mixed, as mailing lists make, it finds the one sealed part, in constant
    memory too; whether another part is sealed, which is an error, shows only at the end.

    EnvelopedData comes out piece by piece, in constant memory and without a limit of length. It
    isn't authenticated (RFC 8551 section 6): whoever can change it on its way can change what comes
    out. Such changes have made mail programs give plaintext away (EFAIL). Don't fetch what a
    decrypted mail refers to, and trust nothing in it that isn't signed.

    AuthEnvelopedData (RFC 5083) is proved by a tag behind its content, so nothing of it comes out
    before ``finalize``. Until then the encrypted bytes, never plaintext, are kept: up to 2 MiB in
    memory, more in a temporary file, at most ``spool_limit``. A longer message is EnvelopeError
    ``too-large``. ``finalize()`` then gives all of it in memory; ``finalize_iter()`` gives pieces,
    as :class:`DecryptWriter` and :class:`DecryptReader` do.

    With ``unverified`` the content of AuthEnvelopedData comes out as it comes in, in constant
    memory, and ``finalize`` raises DecryptionError if the tag is wrong: discard what came out until
    then. A message with authenticated attributes can't be verified in this way, since they stand
    behind the content, but the tag is computed over them first (section 2.2): its end is
    EnvelopeError ``unsupported-cipher``.

    The tag doesn't say who encrypted the message. Nor does EnvelopedData prove that it was made as
    EnvelopedData: whoever can change a message can turn AuthEnvelopedData into it (RFC 9709 section
    1).

    Reads AES-GCM and AES-CCM (RFC 5084; the latter up to 256 MiB), ChaCha20-Poly1305 (RFC 8103),
    AES-CBC and DES-EDE3-CBC; RSA, key agreement on elliptic curves, ML-KEM, key-encryption keys and
    passwords. Raises ValueError without identities, and for a ``spool_limit`` below 0.
    """
    return Decryptor(identities, message=message, unverified=unverified, spool_limit=spool_limit)


def decrypt(sealed: AnyBuffer, identities: Who) -> bytes:
    """Decrypts a message of any form and gives its content, once all is verified that can be: the
    tag of AuthEnvelopedData, only the padding of EnvelopedData.

    In a mail that is multipart/mixed the one sealed part is opened, as by :func:`decrypt_message`.

    Raises EnvelopeError for a message that nobody can read; NoRecipientError, which says whom it is
    for; DecryptionError, which only says that it doesn't decrypt; KeyUnavailableError for a key
    that can't be asked now.

    With RSA and CBC a wrong key goes unnoticed once in 256 attempts and gives random bytes: CBC has
    no integrity check. A wrong password, or a wrong key of another kind, is always an error before
    any content comes out.

    An identity without a certificate is named by no message, except by its key identifier. If no
    other identity is named, it is tried on each RecipientInfo of its kind, at most 100; more are
    EnvelopeError ``too-many-recipients``. All are tried, and there is one error for all failures.
    With RSA and PKCS #1 v1.5 two things are left. A wrong RecipientInfo gives random bytes of a
    random length, once in some 250 of the right one: if it stands before the right one, the message
    doesn't decrypt. And whoever can send many messages, and sees which of them open, learns a
    little of how somebody else's encrypted key decrypts, from what he puts behind it. So give the
    certificate where you have it, above all to a program that opens mail by itself.

    Nothing tells an attacker why a message doesn't decrypt (RFC 3218): where RSA gives no key, a
    random one goes on, every step is done whatever the step before gave, and C checks the padding
    without a branch on it. Equal times aren't promised to the microsecond: where `cryptography`
    raises an exception for wrong padding (OpenSSL before 3.2), that takes some, and where it
    doesn't, making the random key took 0.7 microseconds more. See :func:`decryptor` for what
    EnvelopedData doesn't promise.
    """
    return _open_whole(sealed, as_identities(identities), message=False)


def decrypt_message(sealed: AnyBuffer, identities: Who) -> bytes:
    """Decrypts an S/MIME message and gives a whole message: the outer fields without ``Content-*``
    and ``MIME-Version``, then ``MIME-Version: 1.0`` unless the inner entity has one, then the inner
    entity as it was encrypted. Line ends of the outer fields become CRLF. An inner header block
    that doesn't end in an empty line gets one, or readers would take text for fields.

    If the inner entity protects header fields (RFC 9788: ``hp=`` in its Content-Type; also the
    older ``protected-headers="v1"``), the message has those. Of the outer fields it keeps the ones
    that servers and mailing lists add on the way; all others go. ``HP-Outer`` fields and the ``hp``
    parameter are left out. No signature is verified: if the outer ``From`` has another address than
    the inner one, the message has the outer one. Fields within a signed entity inside aren't read.
    A push stream holds the inner header block back until all of it has come (at most 8 MiB; a
    longer one is given as it is).

    A mailing list or a server may have put the sealed message into multipart/mixed (RFC 2046
    section 5.1.3), with a footer or a disclaimer beside it. Then the sealed part takes the place of
    the whole, with the fields of the outer message, and an :class:`UnsealedParts` counts the
    other parts. They don't come out: nobody sealed them, and whoever puts a part of his own around
    somebody's sealed one could make a mail program send away what it shows (EFAIL). The message as
    it came still has them, so keep it. Two sealed parts are EnvelopeError ``trailing-data``, none
    is ``not-enveloped``.

    Raises as :func:`decrypt` does."""
    return _open_whole(sealed, as_identities(identities), message=True)


@overload
def decrypt_many(
    jobs: Iterable[tuple[AnyBuffer, Who]],
    *,
    form: Literal["message", "content"] = ...,
    return_exceptions: Literal[False] = ...,
    workers: int | None = ...,
) -> list[bytes]: ...
@overload
def decrypt_many(
    jobs: Iterable[tuple[AnyBuffer, Who]],
    *,
    form: Literal["message", "content"] = ...,
    return_exceptions: bool,
    workers: int | None = ...,
) -> list[bytes | Exception]: ...
def decrypt_many(
    jobs: Iterable[tuple[AnyBuffer, Who]],
    *,
    form: Literal["message", "content"] = "message",
    return_exceptions: bool = False,
    workers: int | None = None,
) -> Any:
    """Decrypts many messages, and gives their contents in the order of the jobs. ``jobs``: pairs
    ``(sealed, identities)``. ``form``: ``"message"`` gives whole messages as
    :func:`decrypt_message` does, ``"content"`` only the contents.

    The private keys' operations take most of the time. Several run side by side, in ``workers``
    threads, by default one for each processor that this process may use; a key object of your own
    must allow that. With ``return_exceptions`` the answer of a job that fails is its exception;
    else the first one is raised. Raises ValueError for another form, or less than one worker.
    """
    if form not in {"message", "content"}:
        raise ValueError(f"form={form!r}: choose message or content")
    most = processors() if workers is None else whole_number(workers, "workers", 1)

    every = list(jobs)
    workers = min(most, len(every))
    answers: list[Any] = [None] * len(every)
    turns, lock = _turns(len(every), workers), threading.Lock()
    broken: list[BaseException] = []

    def work() -> None:
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None or broken:
                return
            try:
                answers[turn] = _answers(every[turn], form == "message")
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                broken.append(error)

    _in_threads(work, workers)
    if broken:
        raise broken[0]
    failures = (answer for answer in answers if isinstance(answer, Exception))
    if not return_exceptions and (first := next(failures, None)):
        raise first
    return answers


_TURN = 32
"""The most messages that one thread opens together."""


def _turns(count: int, workers: int) -> Iterator[slice]:
    """Which messages go together; fewer and fewer, so that all threads end at the same time."""
    at = 0
    while at < count:
        share = (count - at) // (2 * workers) if workers > 1 else count
        turn = max(1, min(share, _TURN))
        yield slice(at, min(at + turn, count))
        at += turn


def processors() -> int:
    """How many processors this process may use: more threads than that would only wait."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_threads(work: Callable[[], None], count: int) -> None:
    """Runs ``work`` in ``count`` threads at once; this is one of them."""
    helpers = [threading.Thread(target=work) for _ in range(count - 1)]
    with suppress(RuntimeError):  # no more threads: those that there are do all of it
        for helper in helpers:
            helper.start()
    work()
    for helper in helpers:
        if helper.ident:
            helper.join()


def _open_whole(sealed: AnyBuffer, identities: Identities, *, message: bool) -> bytes:
    opening = UsualOpening.begin(sealed, identities, message=message)
    if opening is None:
        return open_by_passes(sealed, identities, message=message)
    try:
        opening.unwrap()
    except BaseException:
        opening.close()
        raise
    return opening.finish()


def _answers(jobs: Iterable[tuple[AnyBuffer, Who]], message: bool) -> list[bytes | Exception]:
    """Every step is done for all, before the next one."""
    begun = [_begun(job, message) for job in jobs]
    unwrapped = [_unwrapped(one) for one in begun]
    return [_finished(one) for one in unwrapped]


# One bad job doesn't harm the others.


def _begun(job: tuple[AnyBuffer, Who], message: bool) -> UsualOpening | bytes | Exception:
    """The content already, if the message isn't as most programs write it."""
    if not isinstance(job, tuple | list) or len(job) != 2:  # noqa: PLR2004 - a pair
        what = type(job).__name__ + (f" of {len(job)}" if isinstance(job, tuple | list) else "")
        return TypeError(f"jobs: {what} is no pair (sealed, identities)")
    try:
        sealed, who = job
        identities = as_identities(who)
        opening = UsualOpening.begin(sealed, identities, message=message)
        return opening or open_by_passes(sealed, identities, message=message)
    except Exception as error:  # noqa: BLE001
        return error


def _unwrapped(begun: UsualOpening | bytes | Exception) -> UsualOpening | bytes | Exception:
    if isinstance(begun, UsualOpening):
        try:
            begun.unwrap()
        except Exception as error:  # noqa: BLE001
            begun.close()
            return error
    return begun


def _finished(unwrapped: UsualOpening | bytes | Exception) -> bytes | Exception:
    if not isinstance(unwrapped, UsualOpening):
        return unwrapped
    try:
        return unwrapped.finish()
    except Exception as error:  # noqa: BLE001
        return error
