"""A client of SMTP and LMTP that reads replies as RFC 5321, 2033 and 3030 say, beside what it has
sent: which messages were taken, and whether each reply is one that may come there."""

from __future__ import annotations

import re
from typing import NamedTuple

from cmstream.gateway.protocol.server_rules import Limits

# So that short inputs reach them.
LIMITS = Limits(size=300, recipients=3, line=150, commands=25, errors=6)


class Message(NamedTuple):
    """One that was taken. ``answers``: one for each recipient, or one for all."""

    sender: bytes
    recipients: tuple[bytes, ...]
    content: bytes
    answers: tuple[int, ...]


_CHUNK = re.compile(rb"\s*(\d{1,20})(\s+LAST)?\s*", re.IGNORECASE)
_FORGETS = {b"RSET", b"EHLO", b"HELO", b"LHLO"}
_HTTP = {b"GET", b"POST", b"PUT", b"OPTIONS", b"CONNECT"}
# When a command may be said: before a hello, before a message, after its sender, after a recipient,
# after a first BDAT.
_ALWAYS = frozenset({"new", "ready", "mail", "rcpt", "chunks"})
_READY = frozenset({"ready"})
_WHEN = {
    **dict.fromkeys((b"RSET", b"NOOP", b"HELP", b"QUIT"), _ALWAYS),
    b"VRFY": _ALWAYS - {"new"},
    **dict.fromkeys((b"MAIL", b"STARTTLS", b"XFORWARD", b"XCLIENT"), _READY),
    b"RCPT": {"mail", "rcpt"},
    b"DATA": {"rcpt"},
    b"BDAT": {"rcpt", "chunks"},
}
# One that nobody may call wrong.
_GOOD_PATH = re.compile(rb'(?:MAIL FROM|RCPT TO):<(?:@[a-z]+:)?(?:[a-z]+|"[a-z> ]+")@[a-z]+>')
_ANNOUNCED = {b"BDAT", b"STARTTLS", b"XFORWARD", b"XCLIENT"}  # in the answer to EHLO and LHLO


class Client:
    """Reads replies as RFC 5321, 2033 and 3030 say, beside what it has sent."""

    def __init__(self, wire: bytes, replies: list[int], *, lmtp: bool) -> None:
        self.wire, self.at, self.lmtp = wire, 0, lmtp
        self.when = _WHEN | dict.fromkeys((b"LHLO",) if lmtp else (b"HELO", b"EHLO"), _ALWAYS)
        self.replies = iter(replies[1:])
        self.taken: list[Message] = []
        self.state = "new"
        self.begin_counts()
        self.forget()

    def forget(self) -> None:
        self.sender, self.parameters, self.recipients, self.chunks = b"", (), (), b""
        self.state = self.state if self.state == "new" else "ready"

    def begin_counts(self) -> None:
        """Of commands, of errors for sure, and of what may be one."""
        self.commands = self.errors = self.maybe = 0

    def check_limits(self, verb: bytes, code: int, *, long: bool = False) -> None:
        """Whether the session ends by what was too much."""
        self.commands += not long
        self.errors += code == 500 and (long or verb not in self.when)
        self.maybe += code in (500, 501)
        if code == 421:
            many = self.commands > LIMITS.commands or self.maybe >= LIMITS.errors
            assert many or verb in _HTTP
        else:
            assert self.commands <= LIMITS.commands
            assert self.errors <= LIMITS.errors
            assert verb not in _HTTP or long

    def check_order(self, verb: bytes, rest: bytes, code: int) -> None:
        """Whether the reply to a whole line is one of those that its verb may have now."""
        if code == 421:
            return
        if verb not in self.when:
            assert code == 500
        elif verb == b"BDAT":  # which says no size, or it wouldn't come here
            assert code == 501
        elif self.state not in self.when[verb]:
            assert code == 503
        elif verb not in _ANNOUNCED:
            assert (code == 503) == (verb == b"DATA" and not rest.strip() and self.is_binary)
        if verb == b"RCPT" and self.state in self.when[verb]:
            assert (code == 452) == (len(self.recipients) == LIMITS.recipients)
        if self.state in self.when.get(verb, ()) and _GOOD_PATH.fullmatch(verb + b" " + rest):
            assert code in (250, 451, 452, 550)
        if verb in (b"MAIL", b"RCPT") and code == 250 and not rest.isascii():
            told = self.parameters if verb == b"RCPT" else _words(rest)
            assert b"SMTPUTF8" in told

    @property
    def is_binary(self) -> bool:
        found = (one[5:] for one in self.parameters if one[:5] == b"BODY=")
        return next(found, b"") == b"BINARYMIME"

    def reply(self) -> int:
        code = next(self.replies, None)
        assert code is not None, "a reply is missing"
        return code

    def reads(self) -> bool:
        """One command and its replies; False where there is no further one."""
        end = self.wire.find(b"\n", self.at)
        if end < 0:
            return False
        long = end - self.at > LIMITS.line
        line, self.at = self.wire[self.at : end].removesuffix(b"\r"), end + 1
        verb, _, rest = line.partition(b" ")
        verb = verb.upper()
        if verb == b"BDAT" and not long and (found := _CHUNK.fullmatch(rest)):
            return self.chunk(int(found[1]), last=found[2] is not None)
        code = self.reply()
        self.check_limits(verb, code, long=long)
        if long:
            assert code in (500, 421)
            return code != 421
        self.check_order(verb, rest, code)
        if code in (421, 221) or (verb == b"BDAT" and code == 501):
            return False
        if verb == b"DATA" and code == 354:
            return self.data()
        if code == 250 and verb == b"MAIL":
            self.sender, self.parameters, self.state = _path(rest), _words(rest), "mail"
        elif code == 250 and verb == b"RCPT":
            self.recipients += (_path(rest),)
            self.state = "rcpt"
            self.commands -= 1
        elif (code == 250 and verb in _FORGETS) or (verb == b"DATA" and code == 451):
            self.state = "ready" if verb[1:] in (b"HLO", b"ELO") else self.state
            self.forget()
        elif verb == b"XCLIENT" and code == 220:
            self.state = "new"
        return True

    def chunk(self, size: int, *, last: bool) -> bool:
        octets = self.wire[self.at : self.at + size]
        self.at += size
        if len(octets) < size:
            # Refused, or not to be taken at all: that is said before it has come.
            assert list(self.replies) in ([], [421])
            return False
        self.chunks += octets
        code = self.reply()
        self.check_limits(b"BDAT", code)
        if code == 421:
            return False
        assert code == 503 or self.state in self.when[b"BDAT"]
        assert code == 503 or self.empty or (code == 552) == (len(self.chunks) > LIMITS.size)
        self.commands -= size > 0 and code != 503
        if code == 503:  # out of place, so that it belongs to nothing
            self.chunks = self.chunks[: len(self.chunks) - size]
        elif last and (code in (250, 451) and not self.empty):
            self.end(self.chunks, code)
        elif last or code != 250:
            self.skip(last=last)
        else:
            self.state = "chunks"
        return True

    @property
    def empty(self) -> bool:
        return b"empty" in self.sender

    def skip(self, *, last: bool) -> None:
        """A refused message: its sender is told for each recipient at its end."""
        if last and self.lmtp and not self.empty:
            for _ in self.recipients[1:]:
                assert self.reply() == 552
        self.forget()

    def data(self) -> bool:
        end = (b"\r\n" + self.wire[self.at :]).find(b"\r\n.\r\n")
        if end < 0:
            assert list(self.replies) == []
            return False
        text = self.wire[self.at : self.at + end]
        self.at += end + 3
        content = b"\r\n".join(line.removeprefix(b".") for line in text.split(b"\r\n"))
        code = self.reply()
        assert (code == 552) == (len(content) > LIMITS.size)
        if code == 552:
            self.skip(last=True)
        else:
            self.end(content, code)
        return True

    def end(self, content: bytes, first: int) -> None:
        more = len(self.recipients) - 1 if self.lmtp else 0
        answers = (first, *(self.reply() for _ in range(more)))
        self.taken.append(Message(self.sender, self.recipients, content, answers))
        self.begin_counts()
        self.forget()


def by_client(wire: bytes, replies: list[int], *, lmtp: bool) -> list[Message]:
    """The messages that a client takes for sent by the replies; each of those has its place."""
    client = Client(wire, replies, lmtp=lmtp)
    while client.reads():
        pass
    assert list(client.replies) == []
    return client.taken


def _path(rest: bytes) -> bytes:
    """What stands in angle brackets, or up to the next blank where nothing does."""
    text = rest.partition(b":")[2].lstrip()
    if text[:1] != b"<":
        return b"<%b>" % re.match(rb'(?:[^" ]|"(?:[^"\\]|\\.)*")*', text)[0]
    return re.match(rb'<(?:[^">]|"(?:[^"\\]|\\.)*")*>|<[^>]*>', text)[0]


def _words(rest: bytes) -> tuple[bytes, ...]:
    """Behind the path, in upper case; the path is one word unless it is quoted."""
    text = rest.partition(b":")[2].lstrip()
    bare = _path(rest) if text[:1] == b"<" else _path(rest)[1:-1]
    return tuple(text[len(bare) :].upper().split())
