"""A stream whose cipher is `cryptography`'s: AuthEnvelopedData (RFC 5083), piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine import gate
from ..errors import AlreadyFinalized
from . import aead

if TYPE_CHECKING:
    from ..engine.gate import Buffer, LineEnds

PIECE = 128 << 10
"""Octets that are made canonical, encrypted and framed at a time: all of it stays in the cache."""


class AuthenticatedEncoder(gate.NativeEncoder):
    """As :class:`_core.Seal`, which makes the key, the nonce, the frame and the base64; line ends
    and the cipher stand in front of it. Raises MessageError ``too-large`` besides: at once where
    the size is known, else before the cipher takes an octet too many."""

    def __init__(self, cipher: str) -> None:
        super().__init__(cipher)
        self._name = cipher
        self._cipher: aead.Encryption | None = aead.Encryption(cipher, self.key(), self.nonce())
        self._lines = gate.Lines()
        self._line_ends: LineEnds = "as-is"
        self._text = bytearray()  # content made canonical: secret
        self._encrypted = bytearray()

    def plan(self, *, size: int | None, line_ends: LineEnds = "as-is", **known: Any) -> None:
        """As :meth:`_core.Seal.plan`."""
        aead.check_length(self._name, size or 0)
        super().plan(size=size, **known)
        self._line_ends = line_ends

    def bound(self, count: int) -> int:
        """As :meth:`_core.Seal.bound`."""
        return super().bound(self._canonical_most(count) if self._begun else count)

    def _canonical_most(self, count: int) -> int:
        return 2 * count if self._line_ends == "canonical" else count

    def update_into(self, data: Buffer, out: Buffer, start: int = 0) -> int:
        """As :meth:`_core.Seal.update_into`."""
        at = start + self._begin_into(out, start, len(data))
        most = self._canonical_most(len(data))
        self._demand(out, at, gate.lib.seal_update_bound(self._seal, most))
        self._make_room(self._canonical_most(min(len(data), PIECE)))
        view = memoryview(data)
        for begin in range(0, len(view), PIECE):
            text = self._with_line_ends(view[begin : begin + PIECE])
            count = self._open_cipher().update_into(text, self._encrypted)
            at += self._call(gate.lib.seal_update, out, at, self._encrypted_octets(), count)
        return at - start

    def _with_line_ends(self, piece: memoryview) -> memoryview:
        if self._line_ends == "canonical":
            return self._lines.canonical(piece, self._text)
        if self._line_ends == "strict" and self._lines.count_bare(piece):
            self._fail(gate.lib.SEAL_BARE_LF)
        return piece

    def _make_room(self, most: int) -> None:
        if len(self._encrypted) < most:
            self._encrypted = bytearray(most)
            if self._line_ends == "canonical":
                self._forget_text()
                self._text = bytearray(most)

    def _encrypted_octets(self) -> Any:
        return gate.ffi.from_buffer(gate.OCTETS, self._encrypted)

    def _open_cipher(self) -> aead.Encryption:
        if self._cipher is None:
            raise AlreadyFinalized("this stream was finalized, aborted, or failed before")
        return self._cipher

    def _tag(self) -> bytes:
        tag = self._open_cipher().finish()
        self._forget()
        return tag

    def abort(self) -> None:
        """As :meth:`_core.Seal.abort`."""
        super().abort()
        self._forget()

    def _forget(self) -> None:
        self._cipher = None
        self._forget_text()

    def _forget_text(self) -> None:
        self._text[:] = bytes(len(self._text))
