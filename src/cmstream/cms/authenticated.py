"""Makes AuthEnvelopedData (RFC 5083) of one message or of many: `cryptography` encrypts, C does the
rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine.encoder import NativeEncoder
from ..engine.mail_text import Lines
from ..errors import already_finalized
from . import aead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..engine.batch import Piece
    from ..engine.encoder import LineEnds
    from ..engine.gate import Buffer

PIECE = 128 << 10
"""Bytes that are made canonical, encrypted and framed at a time: all of it stays in the cache."""


class AuthenticatedEncoder(NativeEncoder):
    """A :class:`NativeEncoder` that makes the key, the nonce, the frame and the base64; here its
    content gets its line ends and is encrypted before. Also raises MessageError ``too-large``: at
    once if the size is known, else before the cipher takes a byte too many."""

    def __init__(self, cipher: str) -> None:
        super().__init__(cipher)
        self._name = cipher
        self._cipher: aead.Encryption | None = aead.Encryption(cipher, self.key(), self.nonce())
        self._lines = Lines()
        self._line_ends: LineEnds = "as-is"
        self._text = bytearray()  # content made canonical: secret
        self._encrypted = bytearray()

    def plan(self, *, size: int | None, line_ends: LineEnds = "as-is", **known: Any) -> None:
        """As :meth:`NativeEncoder.plan`."""
        aead.check_length(self._name, size or 0)
        super().plan(size=size, **known)
        self._line_ends = line_ends

    def bound(self, count: int) -> int:
        """As :meth:`NativeEncoder.bound`."""
        return super().bound(self._canonical_most(count))

    def _canonical_most(self, count: int) -> int:
        return 2 * count if self._line_ends == "canonical" else count

    def update_into(self, data: Buffer, out: Buffer) -> int:
        """As :meth:`NativeEncoder.update_into`."""
        at, cipher = 0, self._open_cipher()
        self._demand(out, self._piece_bound(self._canonical_most(len(data))))
        self._make_room(self._canonical_most(min(len(data), PIECE)))
        view, room = memoryview(data), memoryview(out)
        for begin in range(0, len(view), PIECE):
            text = self._with_line_ends(view[begin : begin + PIECE])
            count = cipher.update_into(text, self._encrypted)
            at += super().update_into(memoryview(self._encrypted)[:count], room[at:])
        return at

    def inside_into(self, inside: Buffer, out: Buffer) -> int:
        """As :meth:`NativeEncoder.inside_into`."""
        encrypted = bytearray(len(inside))
        self._open_cipher().update_into(inside, encrypted)
        return super().update_into(encrypted, out)

    def _with_line_ends(self, piece: memoryview) -> memoryview:
        if self._line_ends == "canonical":
            return self._lines.canonical(piece, self._text)
        if self._line_ends == "strict" and self._lines.count_bare(piece):
            self._refuse_bare_line_feed()
        return piece

    def _make_room(self, most: int) -> None:
        if len(self._encrypted) < most:
            self._encrypted = bytearray(most)
            if self._line_ends == "canonical":
                self._forget_text()
                self._text = bytearray(most)

    def _open_cipher(self) -> aead.Encryption:
        if self._cipher is None:
            raise already_finalized()
        return self._cipher

    def finish_into(self, out: Buffer) -> int:
        """As :meth:`NativeEncoder.finish_into`."""
        self._open_cipher()
        self._demand(out, self.bound(0))  # the tag can be made only once
        return super().finish_into(out)

    def _tag(self) -> bytes:
        tag = self._open_cipher().finish()
        self._forget()
        return tag

    def abort(self) -> None:
        """As :meth:`NativeEncoder.abort`."""
        super().abort()
        self._forget()

    def _forget(self) -> None:
        self._cipher = None
        self._forget_text()

    def _forget_text(self) -> None:
        self._text[:] = bytes(len(self._text))


def encrypt_pieces(cipher: str, key: bytes, nonce: bytes, pieces: Iterator[Piece]) -> None:
    """Encrypts a message of a batch, with the tag in the room of its last piece. A short message is
    one piece."""
    stream: aead.Encryption | None = None
    for text, room, last in pieces:
        if last and not stream:
            aead.encrypt_into(cipher, key, nonce, text, room)
            continue
        stream = stream or aead.Encryption(cipher, key, nonce)
        stream.update_into(text, room)
        if last:
            memoryview(room)[len(text) :] = stream.finish()
