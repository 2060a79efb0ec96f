"""A message as a mail server tells a milter of it, piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..mail.mime import HEADER_LIMIT
from ..scratch import Scratch
from .header_changes import line
from .protocol.replies import Reply

if TYPE_CHECKING:
    from .protocol.milter import Header

FIELD_COST = 128
"""Bytes that a header field counts for besides its own: what it costs in memory."""

TOO_BIG = Reply.of(552, "5.3.4", "the message is too big")
HEADER_TOO_BIG = Reply.of(554, "5.6.0", "the message's header is too big to be sealed")


class MilterMessage:
    """``fields``: the header as the server knows it. ``refusal``: what the client gets in the end,
    whatever else comes."""

    def __init__(self, memory: int, limit: int) -> None:
        self.fields: list[Header] = []
        self.refusal: Reply | None = None
        self._limit = limit
        self._header = 0
        self._octets = Scratch(memory)
        self._in_body = False

    def __len__(self) -> int:
        return len(self._octets)

    def add_field(self, field: Header) -> None:
        """Takes a header field."""
        self._header += len(field.name) + len(field.value) + FIELD_COST
        if self._header > HEADER_LIMIT:
            self._drop(HEADER_TOO_BIG)
        elif self.refusal is None:
            self.fields.append(field)

    def add_body(self, data: bytes) -> None:
        """Takes a piece of the body. Raises OSError where the disk is full."""
        if self.refusal is not None:
            return
        if not self._in_body:
            self._begin_body()
        if len(self._octets) + len(data) > self._limit:
            self._drop(TOO_BIG)
        else:
            self._octets.write(data)

    def whole(self) -> Scratch:
        """All of it, as an RFC 5322 message."""
        if not self._in_body:
            self._begin_body()
        return self._octets

    def close(self) -> None:
        """Forgets it."""
        self.fields.clear()
        self._octets.close()

    def _begin_body(self) -> None:
        self._in_body = True
        lines = [line(name, value) for name, value in self.fields]
        self._octets.write(b"".join(lines) + b"\r\n")

    def _drop(self, refusal: Reply) -> None:
        self.refusal = self.refusal or refusal
        self.fields.clear()
        self._octets.close()
