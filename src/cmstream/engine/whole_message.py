"""Opens a sealed message that is in memory and as most programs write it: C reads its head and
decrypts it, in two calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .buffer_pool import filled
from .decoder import checked
from .gate import OCTETS, check_environment, ffi, lib, take_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class RecipientNames:
    """How RecipientInfos name one owner of a private key, prepared for C."""

    def __init__(self, issuers_and_serials: Iterable[bytes], identifiers: Iterable[bytes]) -> None:
        """``issuers_and_serials``: the encoded issuer and the encoded serial number, one behind the
        other, of each certificate; ``identifiers``: of the key (RFC 5652 section 6.2.1)."""
        names = [(one, False) for one in issuers_and_serials]
        names += [(one, True) for one in identifiers]
        self._octets = [ffi.from_buffer(OCTETS, one) for one, _ in names]
        self._names = ffi.new("struct recipient_name[]", len(names))
        for name, octets, (_, is_identifier) in zip(self._names, self._octets, names, strict=True):
            name.octets, name.len, name.key_identifier = octets, len(octets), is_identifier
        self.struct = ffi.new("struct recipient_names *", (self._names, len(names)))


class UsualMessage:
    """A sealed message whose head C has read. ``encrypted_key``: that of the first RecipientInfo
    with one of the names, and ``key_len``: bytes of the key that must come of it. Not for two
    threads at once."""

    __slots__ = ("_found", "_source", "_whole", "encrypted_key", "key_len")

    encrypted_key: bytes
    key_len: int

    def __init__(self, source: Any, whole: Any, found: Any) -> None:
        self._source, self._whole, self._found = source, whole, found
        self.encrypted_key = ffi.buffer(found.encrypted_key, found.encrypted_key_len)[:]
        self.key_len = found.key_len

    @classmethod
    def read(
        cls, sealed: memoryview, names: RecipientNames, *, message: bool
    ) -> UsualMessage | None:
        """None where the message isn't as most programs write it, or isn't for one of the names.
        ``message``: it will be opened as a whole message, not only its content."""
        check_environment()
        source, whole = ffi.from_buffer(OCTETS, sealed), take_memory(_kept, "struct whole *")
        found = lib.whole_read(whole, source, len(source), names.struct, message)
        if found:
            return cls(source, whole, found)
        ffi.release(source)
        _kept.append(whole)
        return None

    def open(self, key: bytes, restored: Callable[[bytes, memoryview], bytes]) -> bytes:
        """The content, once its padding is looked at, or the whole message. ``restored`` makes one
        of the sealed mail's own header block and the content, where that takes more than C knows.
        Once only. Raises EnvelopeError and DecryptionError as :class:`NativeDecoder` does."""
        found, whole = self._found, self._whole

        def fill(out: memoryview) -> int:
            with ffi.from_buffer(OCTETS, out, require_writable=True) as room:
                return checked(lib.whole_open(whole, key, room, len(room)))

        octets = filled(found.bound, fill, secret=True)
        if not found.by_hand:
            return octets
        head = ffi.buffer(self._source, found.header_end)[:]
        return restored(head, memoryview(octets)[found.content_at :])

    def close(self) -> None:
        """Lets go of the message's bytes."""
        ffi.release(self._source)
        _kept.append(self._whole)
        self._whole = self._found = self._source = None


_kept: list[Any] = []
"""What C works with, one for each message that is open at once. No key is left in any."""
