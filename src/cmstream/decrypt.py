"""Opening of one message: in one shot, or pushed piece by piece."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.padding import PKCS7

from . import enveloped, mime, tlv
from ._opening import decryption_error, envelope_error
from .archive_keys import ArchiveKey
from .identity import Identity
from .opener import Opener
from .unwrap import content_key

if TYPE_CHECKING:
    from ._core import Buffer
    from ._opening import Opening
    from .enveloped import Envelope

Who = Identity | ArchiveKey | Iterable[Identity | ArchiveKey]

_VERSION = b"MIME-Version: 1.0\r\n"


class Decryptor(Opener):
    """A sealed message in, its content out, piece by piece; made by :func:`decryptor`.

    What it gives out is not proved: a message that was cut, or that isn't for this key after all,
    is an error only later, at :meth:`finalize` at the latest, however much was given out before.
    Don't act on it until then. After any exception but that of a buffer too small the stream has
    failed and refuses everything. One thread at a time: a second one gets
    :class:`ConcurrentUseError`.

    Besides those of a wrong call: EnvelopeError, NoRecipientError, DecryptionError.
    """

    def __init__(self, identities: Who, *, message: bool) -> None:
        super().__init__()
        self._identities = as_identities(identities)
        self._whole = message  # until the outer fields have been given out
        self._foreign: _TripleDes | None = None

    def _head_room(self, count: int) -> int:
        return 2 * count if self._whole else 0  # line ends get longer

    def _unlock(self, opening: Opening, envelope: Envelope, buffer: Buffer, start: int) -> int:
        cipher = _cipher(envelope)
        iv = _iv(envelope, cipher)
        key = content_key(envelope, self._identities, cipher.key_len)
        if cipher.name.startswith("aes"):
            opening.set_key(key, iv)
        else:
            opening.give_ciphertext()
            self._foreign = _TripleDes(key, iv)
        before = self._outside() if self._whole else b""
        self._whole = False
        return _put(buffer, start, before)

    def _outside(self) -> bytes:
        head = self._start.head if self._start else b""
        return mime.frame(head).outside[: -len(mime.ENTITY_HEADER)] + _VERSION

    def _through(
        self, opening: Opening, data: memoryview, buffer: Buffer, start: int
    ) -> tuple[int, int]:
        if self._foreign is None:
            return opening.update_into(data, buffer, start)
        ciphertext = bytearray(opening.bound(len(data)))
        taken, count = opening.update_into(data, ciphertext)
        plain = self._foreign.update(memoryview(ciphertext)[:count])
        return taken, _put(buffer, start, plain)

    def _last(self, opening: Opening, buffer: Buffer, start: int) -> int:
        count = opening.finish_into(buffer, start)
        return count if self._foreign is None else _put(buffer, start, self._foreign.finish())


def _put(buffer: Buffer, start: int, octets: bytes) -> int:
    memoryview(buffer).cast("B")[start : start + len(octets)] = octets
    return len(octets)


def _cipher(envelope: Envelope) -> enveloped.Cipher:
    cipher = enveloped.CIPHERS.get(envelope.cipher)
    if cipher is None or envelope.content_type != "enveloped-data":
        name = enveloped.cipher_name(envelope.cipher)
        raise envelope_error("unsupported-cipher", f"its cipher is {name}, which isn't supported")
    return cipher


def _iv(envelope: Envelope, cipher: enveloped.Cipher) -> bytes:
    parameters = envelope.parameters
    iv = parameters.content if parameters and parameters.tag == tlv.OCTET_STRING else b""
    if len(iv) != cipher.block:
        raise envelope_error("malformed", f"its {cipher.name} has no IV of {cipher.block} octets")
    return iv


class _TripleDes:
    """Old mail's cipher, by `cryptography`. All of its failures are one, at the end."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._decryptor = Cipher(TripleDES(key), modes.CBC(iv)).decryptor()
        self._unpadder = PKCS7(TripleDES.block_size).unpadder()

    def update(self, ciphertext: memoryview) -> bytes:
        return self._unpadder.update(self._decryptor.update(ciphertext))

    def finish(self) -> bytes:
        """Each step is done whatever the one before gave. Raises DecryptionError."""
        failed = False
        try:
            self._decryptor.finalize()
        except ValueError:
            failed = True
        try:
            last = self._unpadder.finalize()
        except ValueError:
            failed = True
        if failed:
            raise decryption_error()
        return last


# What callers use


def as_identities(identities: Who) -> tuple[Identity | ArchiveKey, ...]:
    """What the caller gave, as a tuple. Raises ValueError if there are none."""
    if isinstance(identities, Identity | ArchiveKey):
        return (identities,)
    found = tuple(identities)
    if not found:
        raise ValueError("there is no identity to decrypt with: give at least one")
    return found


def decryptor(identities: Who, *, message: bool = False) -> Decryptor:
    """A push stream that opens what was sealed to one of ``identities``, in constant memory and
    without a limit of length.

    The input's form is found by itself: an S/MIME message or entity (RFC 8551; base64 in any
    layout, or binary), PEM, bare base64, DER, or BER with whatever segments (RFC 5652 section 6).
    Out comes the content; with ``message`` a whole message, as :func:`decrypt_message` tells.

    EnvelopedData isn't authenticated (RFC 8551 section 6): whoever can change it on its way can
    change what comes out, and has made mail programs give plaintext away so (EFAIL). Don't fetch
    what an opened mail refers to, and rely on nothing in it that isn't signed inside.

    Reads DES-EDE3-CBC and AES-CBC; RSA PKCS #1 v1.5 and OAEP, key agreement on elliptic curves,
    ML-KEM, passwords and key-encryption keys.
    Raises ValueError without identities.
    """
    return Decryptor(identities, message=message)


def decrypt(sealed: Buffer, identities: Who) -> bytes:
    """Opens a sealed message of any form and gives its content, once all is verified that can be.

    Raises EnvelopeError for what can't be read, whoever tries; NoRecipientError, which tells whom
    it is for; DecryptionError, which says nothing but that it doesn't decrypt. A key that doesn't
    unwrap is replaced by a random one (RFC 3218), every step is done whatever the one before gave,
    and C checks the padding without a branch on it; once in 256 times such a key gives noise
    instead of the error. That all of it takes the same time isn't promised to the microsecond:
    where `cryptography` tells a wrong padding by an exception (OpenSSL before 3.2), that costs
    some, and where it doesn't, making its random key took 0.7 microseconds more. See
    :func:`decryptor` for what EnvelopedData doesn't promise.
    """
    return decryptor(identities).open_whole(sealed)


def decrypt_message(sealed: Buffer, identities: Who) -> bytes:
    """Opens an S/MIME message and gives a whole message: the outer fields without ``Content-*`` and
    ``MIME-Version``, then ``MIME-Version: 1.0`` and the inner entity as it was sealed; line ends of
    the header block become CRLF. Raises as :func:`decrypt`."""
    return decryptor(identities, message=True).open_whole(sealed)


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
    threads, by default one for each processor; a key object of your own must bear that. With
    ``return_exceptions`` the answer of a job that fails is its exception; else the first one is
    raised. Raises ValueError for another form, or less than one worker.
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

    _in_threads(work, min(workers if workers is not None else os.cpu_count() or 1, len(every)))
    failures = (answer for answer in answers if isinstance(answer, Exception))
    if not return_exceptions and (first := next(failures, None)):
        raise first
    return answers


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
        return decryptor(identities, message=message).open_whole(sealed)
    except Exception as error:  # noqa: BLE001 - one bad job doesn't harm the others
        return error
