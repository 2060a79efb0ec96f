"""Everything public, imported. The package itself imports this module when the first of these names
is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .certificates.archive_keys import Kek, Password
from .certificates.recipient import (
    CertificateFile,
    Problem,
    Recipient,
    SetAside,
    load_recipients,
    read_certificates,
)
from .cms.already_encrypted import is_encrypted
from .codes import Code
from .decryption import (
    Decryptor,
    Who,
    decrypt,
    decrypt_many,
    decrypt_message,
    decryptor,
)
from .encryption import (
    Encryptor,
    To,
    encrypt,
    encrypt_message,
    encryptor,
)
from .engine.gate import kernels
from .errors import (
    AlreadyFinalized,
    CertificateError,
    CmstreamError,
    ConcurrentUseError,
    DecryptionError,
    EnvelopeError,
    KeyUnavailableError,
    MessageError,
    NoRecipientError,
    PrivateKeyIgnored,
    RecipientError,
    RecipientWarning,
    SizeMismatchError,
    UnsealedParts,
)
from .inspection import Addressee, Inspection, inspect
from .many import encrypt_many, encrypt_many_into, encrypt_many_iter
from .policy import DEFAULT, Policy
from .recipients.identity import Identity, load_identities
from .recipients.key_operation import DecapsulatingKey, DecryptingKey, ExchangingKey
from .recipients.recipients import Recipients
from .sealing import Form
from .streams import (
    DecryptReader,
    DecryptWriter,
    EncryptReader,
    EncryptWriter,
    decrypt_iter,
    encrypt_iter,
)

if TYPE_CHECKING:
    from .gather import Gatherer
else:

    def __getattr__(name: str) -> Any:
        """Imports the Gatherer only when it is wanted: asyncio takes a while."""
        if name != "Gatherer":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .gather import Gatherer  # noqa: PLC0415

        globals()[name] = Gatherer
        return Gatherer


__all__ = [
    "DEFAULT",
    "Addressee",
    "AlreadyFinalized",
    "CertificateError",
    "CertificateFile",
    "CmstreamError",
    "Code",
    "ConcurrentUseError",
    "DecapsulatingKey",
    "DecryptReader",
    "DecryptWriter",
    "DecryptingKey",
    "DecryptionError",
    "Decryptor",
    "EncryptReader",
    "EncryptWriter",
    "Encryptor",
    "EnvelopeError",
    "ExchangingKey",
    "Form",
    "Gatherer",
    "Identity",
    "Inspection",
    "Kek",
    "KeyUnavailableError",
    "MessageError",
    "NoRecipientError",
    "Password",
    "Policy",
    "PrivateKeyIgnored",
    "Problem",
    "Recipient",
    "RecipientError",
    "RecipientWarning",
    "Recipients",
    "SetAside",
    "SizeMismatchError",
    "To",
    "UnsealedParts",
    "Who",
    "decrypt",
    "decrypt_iter",
    "decrypt_many",
    "decrypt_message",
    "decryptor",
    "encrypt",
    "encrypt_iter",
    "encrypt_many",
    "encrypt_many_into",
    "encrypt_many_iter",
    "encrypt_message",
    "encryptor",
    "inspect",
    "is_encrypted",
    "kernels",
    "load_identities",
    "load_recipients",
    "read_certificates",
]
