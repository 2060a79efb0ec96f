"""CMS that a mail server has put into quoted-printable (RFC 2045 section 6.7), as Postfix does for
a server that takes no 8-bit mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.decoder import NativeDecoder, envelope_error
from ..mail.transfer import QuotedPrintable
from ..mail.unproved import UnprovedError

if TYPE_CHECKING:
    from ..engine.gate import Buffer


class QuotedPrintableDecoder(NativeDecoder):
    """As its base, of what quoted-printable stands for."""

    def __init__(self) -> None:
        super().__init__("binary")
        self._text = QuotedPrintable()
        self._rest = b""

    def bound(self, count: int) -> int:
        """As the base says; what is held may come too."""
        return super().bound(count + len(self._rest) + self._text.held)

    def update_into(self, data: memoryview, out: Buffer, start: int = 0) -> tuple[int, int]:
        """As the base says, but takes all of ``data``."""
        self._rest += self._decoded(bytes(data))
        taken, count = super().update_into(memoryview(self._rest), out, start)
        self._rest = self._rest[taken:]
        return len(data), count

    def finish_into(self, out: Buffer, start: int = 0) -> int:
        """As the base says."""
        self._rest += self._decoded(b"", final=True)
        _, count = super().update_into(memoryview(self._rest), out, start)
        return count + super().finish_into(out, start + count)

    def _decoded(self, text: bytes, *, final: bool = False) -> bytes:
        try:
            return self._text.decode(text, final=final)
        except UnprovedError:
            self.abort()
            raise envelope_error("malformed", "its quoted-printable is damaged") from None
