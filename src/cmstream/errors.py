"""The exceptions and warnings: one root, a code in each, a sentence that says what to do."""

from __future__ import annotations

import inspect
import warnings
from operator import index
from typing import Any


class CmstreamError(Exception):
    """The root of everything that can be wrong with an input; never raised itself.

    ``code`` is one of the documented short names (``"expired"``, ``"truncated"``, …), the same
    in exceptions, in :class:`~cmstream.Problem` and in JSON. ``str(error)`` is one sentence that
    names the culprit and the remedy, and never holds a key, a password or plaintext.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        # The usual way calls the constructor with the text alone, which takes more.
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[CmstreamError], args: tuple[Any, ...], values: dict[str, Any]) -> Any:
    """An exception as it was, in another process for instance."""
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(values)
    return error


class CertificateError(CmstreamError):
    """A file that should hold certificates doesn't, or holds none that can be used.

    Codes: ``empty``, ``not-a-certificate``, ``private-key-only``, ``public-key-only``, ``csr``,
    ``crl``, ``openpgp-key``, ``truncated``, ``trailing-data``, ``wrong-password``,
    ``password-needed``, ``corrupt``, ``unsupported-key``, ``unsupported-cipher``.
    """


class RecipientError(CmstreamError):
    """There is nobody to encrypt to, or somebody who can't be encrypted to.

    Codes: ``no-recipients``, ``unusable-recipient``. ``fingerprint`` is the SHA-256 of the
    certificate at fault in lower-case hex, or None; ``problems`` are the codes of what is wrong
    with it.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        fingerprint: str | None = None,
        problems: tuple[str, ...] = (),
    ) -> None:
        super().__init__(code, message)
        self.fingerprint = fingerprint
        self.problems = problems


class MessageError(CmstreamError):
    """A message that can't be sealed as it is.

    Codes: ``already-encrypted``, ``malformed-message``, ``header-too-large``; ``too-large`` for
    more bytes than the cipher can encrypt.
    """


class SizeMismatchError(CmstreamError):
    """The bytes written aren't as many as ``size=`` promised, or a body that was promised in
    canonical form has a bare line feed. Code: ``size-mismatch``."""


class EnvelopeError(CmstreamError):
    """A sealed message that can't be opened as it is, whoever tries.

    Codes: ``empty``, ``not-enveloped``, ``malformed``, ``truncated``, ``trailing-data``,
    ``unsupported-cipher``, ``too-deep``, ``too-many-recipients``, ``too-large``.
    """


class DecryptionError(CmstreamError):
    """A message that doesn't decrypt: a wrong key, wrong padding and damaged content look all
    alike, since whoever could tell them apart could decrypt without a key (RFC 3218).
    Code: ``decryption-failed``."""


class KeyUnavailableError(CmstreamError, OSError):
    """A private key that can't be used now: its token was taken away, its session ended, or its
    service doesn't answer. Nothing is wrong with the message: try again. Code:
    ``key-unavailable``.

    It is an OSError too, as what a device or a connection raises.

    An object in front of such a key raises it (see :class:`~cmstream.DecryptingKey`); the message
    says what is missing, as the first half of a sentence.
    """

    def __init__(self, message: str = "the private key can't be used now") -> None:
        super().__init__("key-unavailable", f"{message}: try again when it is there")


class NoRecipientError(CmstreamError):
    """A message that isn't for any of the identities. Code: ``no-recipient``. ``recipients``: whom
    it is for, in words, one for each RecipientInfo."""

    def __init__(self, message: str, recipients: tuple[str, ...]) -> None:
        super().__init__("no-recipient", message)
        self.recipients = recipients


class AlreadyFinalized(ValueError):
    """The stream was finalized, aborted, or failed before: it takes nothing more."""


class ConcurrentUseError(RuntimeError):
    """Two threads entered one stream at the same time. Give each thread a stream of its own, or
    put a lock around this one."""


class PrivateKeyIgnored(UserWarning):
    """A private key came along with a certificate. It was not kept; whoever sent the file should
    know that only the certificate is needed, and that a key that has travelled is no secret."""


class RecipientWarning(UserWarning):
    """A certificate is used although something is wrong with it, because the policy allows it."""


class UnsealedParts(UserWarning):
    """A mail was opened in which other parts stand beside the sealed one: a mailing list's footer
    or a disclaimer, for instance. They weren't sealed, and aren't in what was given."""


def warn(text: str, kind: type[Warning]) -> None:
    """Gives a warning in the name of the first caller outside of this package."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").startswith("cmstream."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, kind, stacklevel=level)


def warn_of_unsealed_parts(count: int) -> None:
    """A warning, as :func:`warn` gives it."""
    parts, them = ("1 part", "it") if count == 1 else (f"{count} parts", "them")
    text = (
        f"the mail holds {parts} besides the sealed one, such as a list's footer: nobody sealed "
        f"{them}, so the output is without {them}; the mail as it came still has {them}"
    )
    warn(text, UnsealedParts)


# What a wrong call gets


def octets_of(data: Any, name: str) -> memoryview:
    """The bytes that a caller gave. Raises TypeError, which names the argument and its type."""
    try:
        return memoryview(data).cast("B")
    except TypeError:
        raise TypeError(f"{name}: {_no_octets(data)}") from None


def _no_octets(data: Any) -> str:
    if isinstance(data, str):
        return "give bytes, not text: read a file first, or encode the text"
    if isinstance(data, memoryview):
        return "the memoryview isn't contiguous: give bytes() of it"
    remedy = "a bytes-like object"
    if hasattr(data, "as_bytes"):  # a mail
        remedy = "its as_bytes()"
    elif hasattr(data, "public_bytes"):  # a certificate of another library
        remedy = "its public_bytes(Encoding.DER)"
    return f"{type(data).__name__} isn't bytes-like: give {remedy}"


def check_password(password: Any) -> None:
    """Raises TypeError for what is none, and isn't None."""
    if not isinstance(password, str | bytes | bytearray | None):
        what = type(password).__name__
        raise TypeError(f"password: give text or bytes, not {what}")


def already_finalized() -> AlreadyFinalized:
    """The error for a call of a stream that is over."""
    return AlreadyFinalized("this stream was finalized, aborted, or failed before")


def room_of(buffer: Any) -> memoryview:
    """The buffer that a caller gave for an answer. Raises TypeError or ValueError, which say what
    is wrong with it."""
    try:
        view = memoryview(buffer).cast("B")
    except TypeError:
        what = type(buffer).__name__
        raise TypeError(f"buffer: {what} isn't contiguous memory: give a bytearray") from None
    if view.readonly:
        raise ValueError("the buffer is read-only: give a bytearray, or other writable memory")
    return view


def buffer_too_small() -> ValueError:
    """The error for a buffer that the answer might not fit into."""
    return ValueError("the buffer is too small: bound(len(data)) bytes always suffice")


def _whole(n: Any, name: str, what: str) -> int:
    try:
        return index(n)
    except TypeError:
        raise TypeError(f"{name}: give a {what}, not {type(n).__name__}") from None


def byte_count(n: Any, name: str = "n") -> int:
    """How many bytes a caller spoke of. Raises TypeError or ValueError, which say what it must
    be."""
    count = _whole(n, name, "number of bytes")
    if not 0 <= count < 1 << 63:
        raise ValueError(f"{name}={count}: a number of bytes is from 0 to 2**63 - 1")
    return count


def whole_number(n: Any, name: str, least: int) -> int:
    """A number that a caller chose. Raises TypeError or ValueError, which say what it must be."""
    number = _whole(n, name, "whole number")
    if number < least:
        raise ValueError(f"{name}={number}: must be {least} or more")
    return number
