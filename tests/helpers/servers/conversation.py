"""One connection to the next hop of a test, from the greeting to its end."""

from __future__ import annotations

import re
import socket
from contextlib import suppress

from helpers.servers.transactions import Recipient, Session, Transaction

EXTENSIONS = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN", "SIZE 0",
              "CHUNKING", "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT")  # fmt: skip

DROP, HANG = "drop the connection", "say nothing more"
REPLIES = {
    "connect": "220 next.example.net ready",
    "MAIL": "250 2.1.0 sender ok",
    "RCPT": "250 2.1.5 recipient ok",
    "DATA": "354 go on",
    "BDAT": "250 2.0.0 piece taken",
    "dot": "250 2.0.0 taken",
    "RSET": "250 2.0.0 reset",
    "NOOP": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
    "XFORWARD": "250 2.0.0 ok",
    "STARTTLS": "220 2.0.0 go on",
}
_HELLO = {"EHLO", "LHLO", "HELO"}


class Gone(Exception):  # noqa: N818 - it ends a connection, and is no fault
    """The connection is at its end, whoever ended it."""


def end(one: socket.socket) -> None:
    with suppress(OSError):  # it may be at its end already
        one.shutdown(socket.SHUT_RDWR)


class Conversation:
    """``hop`` is the NextHop, which says what to answer."""

    def __init__(self, hop, connection, session: Session):
        self.hop, self.connection, self.session = hop, connection, session
        self.buffer = b""
        self.transaction: Transaction | None = None

    def hold(self) -> None:
        if self.hop.implicit:
            self.wrap()
        self.say("connect")
        while True:
            line = self.line()
            self.session.commands.append(line)
            verb, _, rest = line.partition(b" ")
            self.command(verb.decode("latin-1").upper(), rest)

    def close(self) -> None:
        self.connection.close()

    def command(self, verb: str, rest: bytes) -> None:
        if verb in _HELLO:
            self.hello(verb)
        elif verb == "MAIL":
            self.mail(rest)
        elif verb == "RCPT" and self.transaction:
            self.recipient(rest)
        elif verb == "DATA" and self.transaction and self.transaction.recipients:
            if self.say("DATA").startswith("3"):
                self.data()
        elif verb == "BDAT":
            self.piece(rest)
        elif verb in {"DATA", "RCPT"}:
            self.send("503 5.5.1 no valid recipients")
        elif verb in REPLIES:
            self.other(verb, rest)
        else:
            self.send("500 5.5.2 what is that")

    def hello(self, verb: str) -> None:
        known = {"EHLO": "smtp", "HELO": "smtp", "LHLO": "lmtp"}[verb]
        names = list(self.hop.extensions if verb != "HELO" else ())
        if self.hop.tls and not self.session.tls:
            names.append("STARTTLS")
        texts = ["next.example.net", *names]
        lines = [f"250-{text}" for text in texts[:-1]] + [f"250 {texts[-1]}"]
        right = known == self.hop.protocol
        self.say(verb, "\r\n".join(lines) if right else "500 5.5.1 the other protocol")

    def mail(self, rest: bytes) -> None:
        if self.transaction:
            self.send("503 5.5.1 nested")
        elif self.say("MAIL").startswith("2"):
            self.transaction = Transaction(self.session, rest.partition(b":")[2])
            self.hop.begun.append(self.transaction)

    def recipient(self, rest: bytes) -> None:
        line = rest.partition(b":")[2].strip()
        address = re.match(rb"<([^>]*)>", line)[1].decode("utf-8", "surrogateescape")
        if self.say("RCPT", address=address).startswith("2"):
            self.transaction.recipients.append(Recipient(address, line))

    def other(self, verb: str, rest: bytes) -> None:
        if verb == "XFORWARD":
            self.session.forwarded(rest.split())
        reply = self.say(verb)
        if verb == "RSET" and reply.startswith("2"):
            self.transaction = None
        if verb == "QUIT":
            raise Gone
        if verb == "STARTTLS" and reply.startswith("2"):
            assert not self.buffer  # what was sent in the clear before must not count as sealed
            self.wrap()
            self.transaction = None

    def wrap(self) -> None:
        self.connection = self.hop.tls.wrap_socket(self.connection, server_side=True)
        self.session.tls = True

    def data(self) -> None:
        """All up to the first line that holds one dot; what is kept has the dots as they came."""
        rest, before = b"\r\n" + self.some(), 2
        self.say("body")
        while (end := rest.find(b"\r\n.\r\n")) < 0:
            known = max(len(rest) - 4, 0)
            self.transaction.octets.write(rest[min(before, known) : known])
            before = max(before - known, 0)
            rest = rest[known:] + self.some()
        self.transaction.octets.write(rest[before : end + 2])
        self.buffer = rest[end + 5 :]
        self.end()

    def piece(self, rest: bytes) -> None:
        """It is read, whatever the answer will be (RFC 3030 section 2)."""
        words = rest.split()
        left = int(words[0])
        if self.transaction:
            self.transaction.pieces = True
            self.say("body")
        while left:
            got = self.some()
            if self.transaction:
                self.transaction.octets.write(got[:left])
            self.buffer, left = got[left:], left - len(got[:left])
        if not self.transaction or not self.transaction.recipients:
            self.send("503 5.5.1 no valid recipients")
        elif words[1:] and words[1].upper() == b"LAST":
            self.end()
        else:
            self.say("BDAT")

    def end(self) -> None:
        """Answers to the message: one reply, or one for each recipient."""
        done, self.transaction = self.transaction, None
        done.whole = True
        try:
            for address in done.addresses if self.hop.protocol == "lmtp" else [None]:
                if done.replies:
                    self.send(done.replies[-1])
                done.replies.append(self.reply("dot", address, done))
        finally:
            # Before the last reply: who has it may look here at once.
            self.hop.transactions.append(done)
        self.send(done.replies[-1])

    def reply(self, event, address=None, transaction=None, usual=None) -> str:
        """What is to be said; nothing comes back where nothing is to be said any more."""
        usual = REPLIES.get(event, "") if usual is None else usual
        told = self.hop.answers.get(event)
        if isinstance(told, dict):
            told = told.get(address)
        elif callable(told):
            told = told(transaction or self.transaction, address)
        if told == DROP:
            raise Gone
        if told == HANG:
            self.hop.ending.wait()
            raise Gone
        return usual if told is None else told

    def say(self, event, usual=None, address=None) -> str:
        reply = self.reply(event, address, None, usual)
        if reply:
            self.send(reply)
        return reply

    def send(self, reply: str) -> None:
        self.connection.sendall(reply.encode() + b"\r\n")

    def some(self) -> bytes:
        """What was read and not used, or else what comes."""
        found, self.buffer = self.buffer, b""
        if not found and not (found := self.connection.recv(1 << 18)):
            raise Gone
        return found

    def line(self) -> bytes:
        rest = self.some()
        while (end := rest.find(b"\r\n")) < 0:
            rest += self.some()
        self.buffer = rest[end + 2 :]
        return rest[:end]
