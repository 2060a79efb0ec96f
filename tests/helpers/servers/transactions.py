"""What a next hop was given: for each transaction its envelope and its octets."""

from __future__ import annotations

import hashlib
import tempfile
import weakref
from typing import IO, NamedTuple

MEMORY = 1 << 20


class Session:
    """One connection: whose it is, and each command line as it came."""

    def __init__(self, number: int):
        self.number = number
        self.commands: list[bytes] = []
        self.xforward: dict[bytes, bytes] = {}
        self.tls = False

    def forwarded(self, words: list[bytes]) -> None:
        self.xforward |= {k.upper(): v for k, _, v in (word.partition(b"=") for word in words)}


class Recipient(NamedTuple):
    address: str
    line: bytes
    """All that stood behind "RCPT TO:"."""


class Transaction:
    """``octets`` holds the message as it came on the wire: with its dots stuffed, and without the
    line that ends it."""

    def __init__(self, session: Session, mail: bytes):
        self.session, self.mail = session, mail
        self.recipients: list[Recipient] = []
        self.pieces = False
        """Whether it came by BDAT."""
        self.whole = False
        self.replies: list[str] = []
        """Our answers to the message, one for each recipient in LMTP."""
        self.octets: IO[bytes] = tempfile.SpooledTemporaryFile(MEMORY)  # noqa: SIM115
        weakref.finalize(self, self.octets.close)

    @property
    def addresses(self) -> list[str]:
        return [one.address for one in self.recipients]

    @property
    def taken(self) -> list[str]:
        """The recipients for whom the answer was 250."""
        answers = self.replies
        if len(answers) == 1:
            answers = answers * len(self.recipients)
        pairs = zip(self.addresses, answers, strict=False)
        return [address for address, answer in pairs if answer.startswith("2")]

    @property
    def message(self) -> bytes:
        self.octets.seek(0)
        raw = self.octets.read()
        return raw if self.pieces else unstuffed(raw)

    @property
    def size(self) -> int:
        return self.octets.seek(0, 2)

    def digest(self) -> str:
        self.octets.seek(0)
        made = hashlib.sha256()
        while chunk := self.octets.read(MEMORY):
            made.update(chunk)
        return made.hexdigest()


def unstuffed(raw: bytes) -> bytes:
    return raw[raw.startswith(b".") :].replace(b"\r\n.", b"\r\n")
