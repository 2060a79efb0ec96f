"""The exceptions of the store: each has a type, a code and a sentence."""

from __future__ import annotations

from ..errors import CmstreamError


class AccountsError(CmstreamError):
    """The root of what the store of accounts raises; never raised itself."""


class StoreUnavailable(AccountsError):
    """The database can't be used now: whoever seals must try again later, and not guess.

    Codes: ``no-database``, ``not-migrated``, ``newer-database``, ``unsupported-database``,
    ``permission-denied``, ``store-unavailable`` (out of reach, locked, full, damaged, closed).
    """


class UnusableAccount(AccountsError):
    """Encryption is on for the account and none of its certificates can be used, or the policy
    can't be followed with them. Code: ``no-usable-certificate``. ``account`` is its address."""

    def __init__(self, message: str, *, account: str) -> None:
        super().__init__("no-usable-certificate", message)
        self.account = account


class MixedRecipients(AccountsError):
    """One message for several addresses, some of which require encryption while mail for others is
    left as it is. Each of the two needs a message of its own. Code: ``mixed-recipients``."""

    def __init__(self, message: str) -> None:
        super().__init__("mixed-recipients", message)


class NotFound(AccountsError):
    """There is no such thing in the store. Codes: ``no-such-account``, ``no-such-certificate``,
    ``no-such-entry``, ``no-such-person``, ``no-such-token``."""


class Conflict(AccountsError):
    """The store holds something that excludes what was asked. Codes: ``address-taken``,
    ``domain-taken``, ``name-taken``, ``last-certificate``, ``last-administrator``,
    ``already-acknowledged``, ``too-many-certificates``, ``unreadable-choice``; of the web server
    ``no-mail-command``, ``mail-failed``."""


class Invalid(AccountsError, ValueError):
    """A value that can't be taken. Codes: ``invalid-address``, ``invalid-domain``,
    ``invalid-setting``, ``invalid-name``, ``invalid-password``."""


class WeakPassword(AccountsError, ValueError):
    """A new password that would soon be guessed. Code: ``weak-password``."""

    def __init__(self, message: str) -> None:
        super().__init__("weak-password", message)


class ImportRefused(AccountsError):
    """An upload that isn't taken as it is. Codes: ``too-large``, ``unusable-recipient``;
    ``address-mismatch``, which goes away when the person confirms. A file that can't be read raises
    :class:`~cmstream.CertificateError` with the code of the reader."""


class BackupRefused(AccountsError):
    """A backup that isn't made or restored. Codes: ``not-a-backup`` for a file that holds no store
    of this program, ``newer-database``, ``not-empty`` for a store with accounts, ``same-file``."""


class AccessDenied(AccountsError):
    """Whoever asks may not. Codes: ``sign-in-failed``, ``too-many-attempts``, ``too-many-uploads``,
    ``not-signed-in``, ``confirmation-needed``, ``link-invalid``, ``forbidden``. ``retry_after``:
    seconds to wait, or None."""

    def __init__(self, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after
