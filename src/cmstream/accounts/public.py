"""The public names of the store, gathered for :mod:`cmstream.accounts`, which gives them out."""

from __future__ import annotations

from .account import (
    SWITCHES,
    Account,
    Actor,
    AuditEntry,
    Examined,
    ImportReport,
    StoredCertificate,
)
from .account_settings import CIPHERS
from .codes import StoreCode
from .errors import (
    AccessDenied,
    AccountsError,
    BackupRefused,
    Conflict,
    ImportRefused,
    Invalid,
    MixedRecipients,
    NotFound,
    StoreUnavailable,
    UnusableAccount,
    WeakPassword,
)
from .lookup import Reason, Seal
from .store import Store, create_store, open_store

__all__: list[str] = [
    "CIPHERS",
    "SWITCHES",
    "AccessDenied",
    "Account",
    "AccountsError",
    "Actor",
    "AuditEntry",
    "BackupRefused",
    "Conflict",
    "Examined",
    "ImportRefused",
    "ImportReport",
    "Invalid",
    "MixedRecipients",
    "NotFound",
    "Reason",
    "Seal",
    "Store",
    "StoreCode",
    "StoreUnavailable",
    "StoredCertificate",
    "UnusableAccount",
    "WeakPassword",
    "create_store",
    "open_store",
]
