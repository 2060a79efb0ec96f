"""Opens a sealed message that is in memory and as most programs write it, in three steps: its head
is read, its key decrypted, then its content.

In between, many messages take each step together: the code for one step stays in the processor's
cache then, while RSA works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine.whole_message import UsualMessage
from .errors import octets_of
from .mail.header_restorer import whole_message
from .recipients.content_key import usual_key
from .recipients.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .certificates.archive_keys import ArchiveKey
    from .engine.gate import AnyBuffer


class UsualOpening:
    """One message for the first of the identities, which has an RSA key. Each step is done once, in
    their order; the last one, or :meth:`close`, lets go of the message's bytes."""

    __slots__ = ("_identity", "_key", "_usual")

    def __init__(self, usual: UsualMessage, identity: Identity) -> None:
        self._usual, self._identity = usual, identity

    @classmethod
    def begin(
        cls, sealed: AnyBuffer, identities: Sequence[Identity | ArchiveKey], *, message: bool
    ) -> UsualOpening | None:
        """None if another reader must look at it: it is written in another way, isn't for this
        identity, or can't be read. ``message``: it is opened as a whole message."""
        data, first = octets_of(sealed, "sealed"), identities[0]
        if not isinstance(first, Identity) or first.kind != "key-transport":
            return None
        usual = UsualMessage.read(data, first.names, message=message)
        return None if usual is None else cls(usual, first)

    def unwrap(self) -> None:
        """Decrypts the content-encryption key. Raises as :func:`usual_key`."""
        self._key = usual_key(self._identity, self._usual.encrypted_key, self._usual.key_len)

    def finish(self) -> bytes:
        """The content. Raises EnvelopeError, DecryptionError."""
        try:
            return self._usual.open(self._key, whole_message)
        finally:
            self.close()

    def close(self) -> None:
        """Gives up."""
        self._usual.close()
