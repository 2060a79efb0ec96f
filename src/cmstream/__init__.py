"""Encrypts and decrypts S/MIME mail and CMS content at the speed of the processor.

>>> import cmstream
>>> to = cmstream.load_recipients(open("alice.pem", "rb").read())     # doctest: +SKIP
>>> sealed = cmstream.encrypt_message(message, to)                    # doctest: +SKIP

A *message* is mail (RFC 5322) and becomes an S/MIME message; *content* is any bytes and becomes
CMS. Each verb comes in four shapes: one shot (:func:`encrypt_message`, :func:`encrypt`), push
(:func:`encryptor`, :class:`EncryptWriter`), pull (:class:`EncryptReader`) and chunks
(:func:`encrypt_iter`). Many messages at once are faster: :func:`encrypt_many`, or
:class:`Gatherer` for tasks and threads that each have one.

What takes jobs, pairs of data and recipients, makes messages unless ``form`` says otherwise
(:func:`encrypt_many` and its like, :meth:`Gatherer.submit`); everything else makes DER.

The store of accounts is :mod:`cmstream.accounts`, an optional part.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from importlib.metadata import version as _version
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
from .decrypt import (
    Decryptor,
    decrypt,
    decrypt_many,
    decrypt_message,
    decryptor,
)
from .encrypt import (
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

__version__ = _version("cmstream")

if TYPE_CHECKING:
    from .gather import Gatherer
else:

    def __getattr__(name: str) -> Any:
        """Imports what takes a while only when it is wanted: the Gatherer for asyncio, and the
        accounts for their database."""
        if name == "accounts":
            return _import_module(".accounts", __name__)
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
