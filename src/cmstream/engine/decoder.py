"""The way out of CMS through C: any form of a sealed message in, its head for Python to read, then
its content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from ..errors import DecryptionError, EnvelopeError, already_finalized, buffer_too_small
from .gate import OCTETS, allocate, check_environment, ffi, lib

if TYPE_CHECKING:
    from .gate import Buffer

Armour = Literal["binary", "base64", "pem"]

HEAD_LIMIT = 4 << 20
"""The most bytes before the encrypted content: ten thousand RecipientInfos, or one with
certificates and revocation lists of its originator."""
_FIRST_HEAD = 4 << 10

TAIL_LIMIT = 64 << 10
"""The most bytes after the encrypted content: a tag of 16, and attributes of some hundred; the
memory for them is taken for each message."""

_ARMOURS: dict[Armour, int] = {
    "binary": lib.OPEN_BINARY,
    "base64": lib.OPEN_BASE64,
    "pem": lib.OPEN_PEM,
}
_ERRORS = {
    lib.OPEN_MALFORMED: ("malformed", "it isn't well-formed CMS, or its base64 is damaged"),
    lib.OPEN_TOO_DEEP: ("too-deep", "elements are nested deeper than any program writes"),
    lib.OPEN_TRUNCATED: ("truncated", "it ends too early: fetch all of it"),
    lib.OPEN_TRAILING: ("trailing-data", "something follows its end: open each message alone"),
    lib.OPEN_TAIL_FULL: ("too-large", f"over {TAIL_LIMIT} bytes stand behind its content"),
}


def envelope_error(code: str, why: str) -> EnvelopeError:
    """The error for a message that can't be read, whoever's key is tried."""
    if code == "not-enveloped":
        return EnvelopeError(code, f"this is no sealed S/MIME message: {why}")
    return EnvelopeError(code, f"the sealed message can't be read: {why}")


def decryption_error() -> DecryptionError:
    """The one error for a wrong key, wrong padding, and damaged content: nothing tells which."""
    return DecryptionError(
        "decryption-failed",
        "the message doesn't decrypt: it is damaged, or it isn't for this key after all",
    )


def checked(count: int) -> int:
    """What C gave, a number of bytes or an enum open_error. Raises EnvelopeError, DecryptionError,
    ValueError for too little room, AlreadyFinalized."""
    if count >= 0:
        return count
    if count == lib.OPEN_NO_ROOM:
        raise buffer_too_small()
    if count == lib.OPEN_STATE:
        raise already_finalized()
    if count == lib.OPEN_FAILED:
        raise decryption_error()
    raise envelope_error(*_ERRORS[count])


class ContentSource(Protocol):
    """Where the content of a sealed message comes from: C, or a cipher behind it."""

    def update_into(self, data: memoryview, buffer: Buffer, start: int, /) -> tuple[int, int]:
        """Takes bytes of the sealed message and writes what comes of them to ``buffer`` from
        ``start``. Gives how many it took, and how many it wrote."""

    def finish_into(self, buffer: Buffer, start: int, /) -> int:
        """Writes the last bytes and gives their number. Raises DecryptionError, EnvelopeError, and
        AnotherPassNeeded where the message must be read once more."""


class NativeDecoder:
    """One sealed message on its way through C: base64, BER, AES-CBC, padding.

    The key is expanded in C and wiped there. Not for two threads at once.
    """

    def __init__(self, armour: Armour) -> None:
        check_environment()
        self._open = ffi.gc(allocate("struct open *"), lib.open_abort)
        lib.open_begin(self._open, _ARMOURS[armour])
        self._taken = ffi.new("size_t *")
        self._head, self._tail = bytearray(), bytearray()
        self._grow_head(_FIRST_HEAD)

    def _grow_head(self, size: int) -> None:
        head = bytearray(size)
        head[: len(self._head)] = self._head
        self._head = head
        self._room = ffi.from_buffer(OCTETS, head, require_writable=True)
        lib.open_head(self._open, self._room, size)

    @property
    def head(self) -> bytes:
        """What was read before the encrypted content, decoded."""
        return bytes(self._head[: lib.open_head_len(self._open)])

    @property
    def waits(self) -> bool:
        """The head is complete, and a key is needed."""
        return bool(lib.open_stage(self._open) == lib.OPEN_WAIT)

    @property
    def is_ber(self) -> bool:
        """Whether an indefinite length was seen."""
        return bool(lib.open_is_ber(self._open))

    @property
    def has_content(self) -> bool:
        """Whether there is encrypted content: it may be kept elsewhere (RFC 5652 section 6.1)."""
        return bool(lib.open_has_content(self._open))

    @property
    def content_len(self) -> int:
        """Bytes of encrypted content so far."""
        return int(lib.open_content_len(self._open))

    def set_key(self, key: bytes, iv: bytes) -> None:
        """The content-encryption key, 16, 24 or 32 bytes, and an IV of 16, for AES-CBC."""
        lib.open_key(self._open, key, len(key), iv)

    def give_ciphertext(self) -> None:
        """No key: the ciphertext comes out as it is."""
        lib.open_raw(self._open)

    def keep_tail(self) -> None:
        """What stands behind the encrypted content will be in :attr:`tail`; else it is passed
        over."""
        self._tail = bytearray(TAIL_LIMIT)
        self._tail_room = ffi.from_buffer(OCTETS, self._tail, require_writable=True)
        lib.open_tail(self._open, self._tail_room, TAIL_LIMIT)

    @property
    def tail(self) -> bytes:
        """What was kept, from the end of EncryptedContentInfo to that of the ContentInfo."""
        return bytes(self._tail[: lib.open_tail_len(self._open)])

    def bound(self, count: int) -> int:
        """The most that ``count`` more bytes of input can give."""
        return int(lib.open_bound(self._open, count))

    def update_into(self, data: memoryview, out: Buffer, start: int = 0) -> tuple[int, int]:
        """Takes of ``data`` all, or what comes before a key is needed or a PEM text ends; gives how
        many bytes, and how many came out."""
        done = 0
        with (
            ffi.from_buffer(OCTETS, data) as source,
            ffi.from_buffer(OCTETS, out, require_writable=True) as room,
        ):
            while True:
                left = len(source) - done, room + start, len(room) - start
                count = lib.open_update(self._open, source + done, *left, self._taken)
                done += self._taken[0]
                if count != lib.OPEN_HEAD_FULL:
                    return done, checked(count)
                self._more_head()

    def finish_into(self, out: Buffer, start: int = 0) -> int:
        """Writes the last bytes, 16 at the most, once all is proved complete; wipes the key."""
        with ffi.from_buffer(OCTETS, out, require_writable=True) as room:
            count = lib.open_finish(self._open, room + start, len(room) - start)
        return checked(count)

    def abort(self) -> None:
        """Wipes the key; the stream takes nothing more."""
        lib.open_abort(self._open)

    def _more_head(self) -> None:
        size = len(self._head)
        if size >= HEAD_LIMIT:
            self.abort()
            raise envelope_error("too-large", f"over {HEAD_LIMIT} bytes stand before its content")
        self._grow_head(min(4 * size, HEAD_LIMIT))
