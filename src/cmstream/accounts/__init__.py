"""The store of accounts: which mailbox's mail is sealed, to whom and how.

>>> from cmstream.accounts import open_store
>>> with open_store("sqlite:////var/lib/cmstream/accounts.sqlite3") as store:  # doctest: +SKIP
...     seal = store.seal_for("alice@example.org")

An optional part: ``pip install 'cmstream[manage]'``.
"""

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
from .errors import (
    AccessDenied,
    AccountsError,
    Conflict,
    ImportRefused,
    Invalid,
    NotFound,
    StoreUnavailable,
    UnusableAccount,
)
from .lookup import Reason, Seal
from .store import Store, create_store, open_store

__all__ = [
    "CIPHERS",
    "SWITCHES",
    "AccessDenied",
    "Account",
    "AccountsError",
    "Actor",
    "AuditEntry",
    "Conflict",
    "Examined",
    "ImportRefused",
    "ImportReport",
    "Invalid",
    "NotFound",
    "Reason",
    "Seal",
    "Store",
    "StoreUnavailable",
    "StoredCertificate",
    "UnusableAccount",
    "create_store",
    "open_store",
]
