"""The codes of errors and problems, as constants that editors and type checkers complete."""

from __future__ import annotations

import enum


class TextConstant(str, enum.Enum):
    """A constant that is its text: it equals it, and is written as it."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)


class Code(TextConstant):
    """What ``code`` of a :class:`~cmstream.CmstreamError` and of a :class:`~cmstream.Problem` can
    be: ``error.code == Code.NO_RECIPIENT``. The classes say which of them they have, and what each
    means."""

    # Problems of a certificate
    ADDRESS_MISMATCH = "address-mismatch"
    CA_CERTIFICATE = "ca-certificate"
    EXPIRED = "expired"
    NO_EMAIL = "no-email"
    NO_EMAIL_PROTECTION = "no-email-protection"
    NO_KEY_AGREEMENT = "no-key-agreement"
    NO_KEY_ENCIPHERMENT = "no-key-encipherment"
    NOT_YET_VALID = "not-yet-valid"
    WEAK_KEY = "weak-key"

    # Files
    CORRUPT = "corrupt"
    CRL = "crl"
    CSR = "csr"
    EMPTY = "empty"
    NOT_A_CERTIFICATE = "not-a-certificate"
    OPENPGP_KEY = "openpgp-key"
    PASSWORD_NEEDED = "password-needed"  # noqa: S105 - a code
    PRIVATE_KEY_ONLY = "private-key-only"
    PUBLIC_KEY_ONLY = "public-key-only"
    TRAILING_DATA = "trailing-data"
    TRUNCATED = "truncated"
    UNSUPPORTED_CIPHER = "unsupported-cipher"
    UNSUPPORTED_KEY = "unsupported-key"
    WRONG_PASSWORD = "wrong-password"  # noqa: S105 - a code

    # Sealing
    ALREADY_ENCRYPTED = "already-encrypted"
    HEADER_TOO_LARGE = "header-too-large"
    MALFORMED_MESSAGE = "malformed-message"
    NO_RECIPIENTS = "no-recipients"
    SIZE_MISMATCH = "size-mismatch"
    UNUSABLE_RECIPIENT = "unusable-recipient"

    # Opening
    DECRYPTION_FAILED = "decryption-failed"
    KEY_UNAVAILABLE = "key-unavailable"
    MALFORMED = "malformed"
    NO_RECIPIENT = "no-recipient"
    NOT_ENVELOPED = "not-enveloped"
    TOO_DEEP = "too-deep"
    TOO_LARGE = "too-large"
    TOO_MANY_RECIPIENTS = "too-many-recipients"
