"""Replies of SMTP and LMTP (RFC 5321, section 4.2), kept octet for octet."""

from __future__ import annotations

from typing import NamedTuple

LINE_LIMIT = 8192
"""Bytes of a reply's line before its line feed. RFC 5321 allows 512; some programs send more."""
LINES_LIMIT = 256


class ProtocolError(Exception):
    """The other side sends what the protocol doesn't allow."""


class Reply(NamedTuple):
    """A reply. ``code``: its number. ``lines``: what stands behind the number in each line, an
    enhanced code (RFC 3463) included, without the line end."""

    code: int
    lines: tuple[bytes, ...]

    @classmethod
    def of(cls, code: int, enhanced: str, text: str) -> Reply:
        """A reply of our own, of one line. ``enhanced``: such as ``4.3.0``, or nothing."""
        return cls(code, (f"{enhanced} {text}".strip().encode("ascii", "backslashreplace"),))

    @property
    def kind(self) -> int:
        """Its first digit: 2 done, 3 go on, 4 try again, 5 refused."""
        return self.code // 100

    @property
    def text(self) -> str:
        """For logs and people: one line."""
        said = " ".join(line.decode("utf-8", "backslashreplace") for line in self.lines)
        return f"{self.code} {said}".strip()

    def octets(self) -> bytes:
        """As it is sent."""
        lines = self.lines or (b"",)
        if len(lines) == 1:
            return b"%d %b\r\n" % (self.code, lines[0])
        first = b"".join(b"%d-%b\r\n" % (self.code, line) for line in lines[:-1])
        return first + b"%d %b\r\n" % (self.code, lines[-1])


class ReplyReader:
    """Cuts replies out of what comes, in pieces of any size."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Takes what has come."""
        self._held += data

    @property
    def empty(self) -> bool:
        """Nothing of a further reply has come."""
        return not self._held and not self._lines

    def next(self) -> Reply | None:
        """The next whole reply, or None. Raises ProtocolError for what is none."""
        held = self._held
        while (end := held.find(b"\n", 0, LINE_LIMIT + 1)) >= 0:
            line = bytes(held[:end]).rstrip(b"\r")
            del held[: end + 1]
            if reply := self._take(line):
                return reply
        if len(held) > LINE_LIMIT:
            raise ProtocolError(f"a line of a reply is longer than {LINE_LIMIT} bytes")
        return None

    def _take(self, line: bytes) -> Reply | None:
        code, mark, text = line[:3], line[3:4], line[4:]
        if not (len(code) == 3 and code.isdigit() and code[:1] in b"2345"):
            raise ProtocolError(f"no reply of SMTP or LMTP: {line[:80]!r}")
        if mark not in (b"-", b" ", b""):
            raise ProtocolError(f"no reply of SMTP or LMTP: {line[:80]!r}")
        self._lines.append(text)
        if len(self._lines) > LINES_LIMIT:
            raise ProtocolError(f"a reply has more than {LINES_LIMIT} lines")
        if mark == b"-":
            return None
        lines, self._lines = tuple(self._lines), []
        return Reply(int(code), lines)
