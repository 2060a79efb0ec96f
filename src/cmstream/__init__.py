"""S/MIME encryption as fast as the processor: certificates and mail in, CMS EnvelopedData out.

>>> import cmstream
>>> to = cmstream.load_recipients(open("alice.pem", "rb").read())     # doctest: +SKIP
>>> sealed = cmstream.encrypt_message(message, to)                    # doctest: +SKIP

Two nouns: a *message* is mail (RFC 5322) and becomes an S/MIME message; *content* is any octets
and becomes CMS. Each verb comes in four shapes: one shot (:func:`encrypt_message`,
:func:`encrypt`), push (:func:`encryptor`, :class:`EncryptWriter`), pull (:class:`EncryptReader`)
and chunks (:func:`encrypt_iter`). Many messages at once are faster: :func:`encrypt_many`, or
:class:`Gatherer` for tasks and threads that each have one.
"""

from __future__ import annotations

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
from .decrypt import (
    Decryptor,
    decrypt,
    decrypt_many,
    decrypt_message,
    decryptor,
)
from .encrypt import (
    Encryptor,
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
    MessageError,
    NoRecipientError,
    PrivateKeyIgnored,
    RecipientError,
    RecipientWarning,
    SizeMismatchError,
)
from .inspection import Addressee, Inspection, inspect
from .mail.recognise import is_encrypted
from .many import encrypt_many, encrypt_many_into, encrypt_many_iter
from .policy import DEFAULT, Policy
from .recipients.identity import Identity
from .recipients.recipients import Recipients
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
        """The Gatherer comes when it is wanted: asyncio takes a while to import."""
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
    "DecryptReader",
    "DecryptWriter",
    "DecryptionError",
    "Decryptor",
    "EncryptReader",
    "EncryptWriter",
    "Encryptor",
    "EnvelopeError",
    "Gatherer",
    "Identity",
    "Inspection",
    "Kek",
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
    "load_recipients",
    "read_certificates",
]
