"""The codes of the store's errors, as constants that editors and type checkers complete."""

from __future__ import annotations

from ..codes import TextConstant


class StoreCode(TextConstant):
    """What ``code`` of an :class:`~cmstream.accounts.AccountsError` can be:
    ``error.code == StoreCode.ADDRESS_TAKEN``. The classes say which of them they have."""

    # StoreUnavailable
    NEWER_DATABASE = "newer-database"
    NO_DATABASE = "no-database"
    NOT_MIGRATED = "not-migrated"
    PERMISSION_DENIED = "permission-denied"
    STORE_UNAVAILABLE = "store-unavailable"
    UNSUPPORTED_DATABASE = "unsupported-database"

    # UnusableAccount, MixedRecipients
    MIXED_RECIPIENTS = "mixed-recipients"
    NO_USABLE_CERTIFICATE = "no-usable-certificate"

    # NotFound
    NO_SUCH_ACCOUNT = "no-such-account"
    NO_SUCH_CERTIFICATE = "no-such-certificate"
    NO_SUCH_ENTRY = "no-such-entry"
    NO_SUCH_PERSON = "no-such-person"
    NO_SUCH_TOKEN = "no-such-token"  # noqa: S105 - a code

    # Conflict
    ADDRESS_TAKEN = "address-taken"
    ALREADY_ACKNOWLEDGED = "already-acknowledged"
    DOMAIN_TAKEN = "domain-taken"
    LAST_ADMINISTRATOR = "last-administrator"
    LAST_CERTIFICATE = "last-certificate"
    MAIL_FAILED = "mail-failed"
    NAME_TAKEN = "name-taken"
    NO_MAIL_COMMAND = "no-mail-command"
    TOO_MANY_CERTIFICATES = "too-many-certificates"
    UNREADABLE_CHOICE = "unreadable-choice"

    # Invalid, WeakPassword
    INVALID_ADDRESS = "invalid-address"
    INVALID_DOMAIN = "invalid-domain"
    INVALID_NAME = "invalid-name"
    INVALID_PASSWORD = "invalid-password"  # noqa: S105 - a code
    INVALID_SETTING = "invalid-setting"
    WEAK_PASSWORD = "weak-password"  # noqa: S105 - a code

    # ImportRefused
    ADDRESS_MISMATCH = "address-mismatch"
    TOO_LARGE = "too-large"
    UNUSABLE_RECIPIENT = "unusable-recipient"

    # BackupRefused, which has NEWER_DATABASE too
    NOT_A_BACKUP = "not-a-backup"
    NOT_EMPTY = "not-empty"
    SAME_FILE = "same-file"

    # AccessDenied
    CONFIRMATION_NEEDED = "confirmation-needed"
    FORBIDDEN = "forbidden"
    LINK_INVALID = "link-invalid"
    NOT_SIGNED_IN = "not-signed-in"
    SIGN_IN_FAILED = "sign-in-failed"
    TOO_MANY_ATTEMPTS = "too-many-attempts"
    TOO_MANY_UPLOADS = "too-many-uploads"
