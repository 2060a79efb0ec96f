"""Where a message waits until all of it is there: in memory, and what is long in a file without a
name, under a key that this process alone has. No plaintext reaches a disk."""

from __future__ import annotations

import io
import os

TYPE_CHECKING = False  # whoever holds short messages alone needs nothing but Python's core
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, modes

MEMORY = 16 << 20
"""So many bytes wait in memory."""
CHUNK = 256 << 10


class Scratch(io.RawIOBase):
    """A raw binary file that is written once, then read from its beginning as often as one likes.

    Raises OSError where the disk is full.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        super().__init__()
        self._memory = memory
        self._held = bytearray()
        self._file: BinaryIO | None = None
        self._cipher: Cipher[modes.CTR] | None = None
        self._context: CipherContext | None = None
        self._at = self._len = 0

    def __len__(self) -> int:
        return self._len

    @property
    def held(self) -> bytearray | None:
        """All of it, if it is in memory."""
        return None if self._file else self._held

    def write(self, data: Any) -> int:
        """Takes all of ``data``. Not after the first read."""
        octets = memoryview(data).cast("B")
        if self._file is None and self._len + len(octets) > self._memory:
            self._roll_over()
        self._len += len(octets)
        if self._file is None:
            self._held += octets
        else:
            self._put(octets)
        return len(octets)

    def chunks(self) -> Iterator[bytes]:
        """All of it, from the first byte."""
        self.seek(0)
        while chunk := self.read(CHUNK):
            yield chunk

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True: to the beginning, and to where it stands."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Back to the beginning. Raises OSError for all other places."""
        if (offset, whence) != (0, os.SEEK_SET):
            raise io.UnsupportedOperation("only to the beginning")
        self._at = 0
        if self._file is not None and self._cipher is not None:
            self._file.seek(0)
            self._context = self._cipher.decryptor()
        return 0

    def readinto(self, buffer: Any) -> int:
        """As many bytes as there are, at most as many as fit."""
        room = memoryview(buffer).cast("B")
        piece = self._next(len(room))
        room[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        """Forgets it."""
        if self._file is not None:
            try:  # noqa: SIM105 - as above
                self._file.close()
            except OSError:  # what couldn't be written isn't wanted any more
                pass
        self._held = bytearray()
        super().close()

    def _next(self, count: int) -> bytes:
        if self._file is None:
            return bytes(self._held[self._at : self._at + count])
        if self._context is None or self._at == 0:
            self.seek(0)
        if self._context is None:  # for the type checker: seek() has made one
            return b""
        return self._context.update(self._file.read(count))

    def _roll_over(self) -> None:
        import tempfile  # noqa: PLC0415 - as _cipher()

        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - close() does
        self._cipher = _cipher()
        self._context = self._cipher.encryptor()
        self._put(self._held)
        self._held = bytearray()

    def _put(self, octets: Any) -> None:
        if self._file is not None and self._context is not None:
            self._file.write(self._context.update(octets))


def _cipher() -> Cipher[modes.CTR]:
    """A new key. AES in counter mode hides what is written; whoever could change the file owns the
    process. Most messages need neither, nor what is imported for it."""
    from cryptography.hazmat.primitives.ciphers import (  # noqa: PLC0415
        Cipher,
        algorithms,
        modes,
    )

    return Cipher(algorithms.AES(os.urandom(32)), modes.CTR(bytes(16)))
