"""A client's session by LMTP or SMTP, and what the next hop gets of it. Any bytes, however cut, get
the same answers, which keep to the order of commands and to all limits. By these a client knows
which messages were taken, and exactly those go on: a next hop that reads lines plainly gets the
same envelope and content, once, and so does one that takes a lone dot between bare line ends for
the end.

An input is three octets of choices and what the client sends.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import line_changes

from cmstream.gateway.protocol.conversation import Content, transaction
from cmstream.gateway.protocol.data import LookAlikes
from cmstream.gateway.protocol.replies import Reply
from cmstream.gateway.protocol.server_events import DataBegin, DataChunk, MessageEnd
from cmstream.gateway.protocol.server_rules import Limits
from helpers.server_session import EXTENSIONS, codes, decide, pump, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmstream.gateway.protocol.envelope import Mail, Rcpt

# So that short inputs reach them.
LIMITS = Limits(size=300, recipients=3, line=150, commands=25, errors=6)
LMTP, TLS, CHUNKING, PIPELINING, LENIENT, DSN = (1 << bit for bit in range(6))


class Message(NamedTuple):
    """One that was taken. ``answers``: one for each recipient, or one for all."""

    sender: bytes
    recipients: tuple[bytes, ...]
    content: bytes
    answers: tuple[int, ...]


def check(data: bytes) -> None:
    if len(data) < 3:
        return
    choice, size = data[0], data[1] + 1
    wire = data[3:]
    lmtp = bool(choice & LMTP)
    events, sent, taken = played(wire, [wire], lmtp=lmtp, tls=bool(choice & TLS))
    assert codes(sent)[0] == 220
    if choice & TLS:  # where a handshake begins, it matters how much came together
        return
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
    assert played(wire, pieces, lmtp=lmtp, tls=False) == (events, sent, taken)
    assert [one[0] for one in taken] == by_client(wire, codes(sent), lmtp=lmtp)
    for message, mail, rcpts in taken:
        check_handed_on(message, mail, rcpts, data[:3])


# --- the session -------------------------------------------------------------------------------


def played(wire, pieces, *, lmtp, tls):
    """What the session tells, what it sends, and the messages in it."""
    extensions = dict(EXTENSIONS)
    if not tls:
        del extensions[b"STARTTLS"]
    of = session(lmtp=lmtp, limits=LIMITS, extensions=extensions)
    of.greet()
    sent, events, taken, held = [of.data_to_send()], [], [], []

    def answers(event, of):
        given = decide(event, of)
        if isinstance(event, DataBegin):
            held.clear()
        if isinstance(event, MessageEnd):
            paths = tuple(one.path for one in of.accepted)
            content = b"".join(one.data for one in held)
            told = Message(of.mail.path, paths, content, tuple(one.code for one in given))
            taken.append((told, of.mail, list(of.accepted)))
        return given

    for piece in [*pieces, b""]:
        of.receive(piece)
        events += watched(of, answers, held)
        sent.append(of.data_to_send())
    assert of.ended
    assert pump(of) == []
    told = [one for one in events if not isinstance(one, DataChunk)]
    return told, b"".join(sent), taken


def watched(of, answers, held):
    """As ``pump``, and the content is kept as it comes."""
    while (event := of.next_event()) is not None:
        if isinstance(event, DataChunk):
            held.append(event)
        yield event
        if of.waits is not None:
            of.answer(*answers(event, of))
        elif type(event).__name__ == "StartTls":
            of.tls_started()


# --- the client --------------------------------------------------------------------------------

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


# --- the next hop ------------------------------------------------------------------------------

_END, _LENIENT_END = re.compile(rb"\r\n\.\r\n"), re.compile(rb"(?:\r|\n)\.(?:\r\n|\r|\n)")


class Hop:
    """A server that takes what comes line by line. Some recipients and senders it refuses."""

    def __init__(self, choice: int) -> None:
        self.lmtp, self.end = bool(choice & LMTP), _LENIENT_END if choice & LENIENT else _END
        self.lines: list[bytes] = []
        self.contents: list[bytes] = []
        self.accepted = 0
        self.in_content = False

    def receive(self, octets: bytes) -> list[Reply]:
        replies: list[Reply] = []
        while octets:
            octets = (
                self.content(octets, replies) if self.in_content else self.line(octets, replies)
            )
        return replies

    def line(self, octets: bytes, replies: list[Reply]) -> bytes:
        line, end, rest = octets.partition(b"\r\n")
        assert end
        assert b"\n" not in line
        if line[:5] == b"BDAT ":
            size = int(line.removesuffix(b" LAST")[5:])
            assert len(rest) == size
            self.take(rest, replies)
            return b""
        if line == b"DATA":
            self.in_content = self.accepted > 0
            replies.append(Reply(354 if self.in_content else 503, ()))
            assert not rest
        else:
            assert line[:10] == b"MAIL FROM:" or line[:8] == b"RCPT TO:"
            taken = not refused_by_hop(line) and (self.lines == [] or self.accepted >= 0)
            replies.append(Reply(250 if taken else 550, ()))
            self.accepted += taken and line[:4] == b"RCPT"
            self.accepted = self.accepted if taken or self.lines else -99  # without a sender
            self.lines.append(line)
        return rest

    def content(self, octets: bytes, replies: list[Reply]) -> bytes:
        text = b"\r\n" + octets
        found = self.end.search(text if self.end is _END else text.replace(b"\0", b""))
        assert found, "a message without its end"
        assert self.end is _END or found.end() == len(text.replace(b"\0", b""))
        end = _END.search(text)
        assert end
        lines = text[2 : end.start() + 2].split(b"\r\n")
        self.take(b"\r\n".join(one.removeprefix(b".") for one in lines), replies)
        self.in_content = False
        return text[end.end() :]

    def take(self, content: bytes, replies: list[Reply]) -> None:
        if self.accepted > 0:
            self.contents.append(content)
            replies += [Reply(250, ())] * (self.accepted if self.lmtp else 1)
        else:
            replies.append(Reply(503, ()))


def refused_by_hop(line: bytes) -> bool:
    return b"<c" in line


def check_handed_on(message: Message, mail: Mail, rcpts: list[Rcpt], choices: bytes) -> None:
    choice, _, step = choices
    features = dict.fromkeys((b"8BITMIME", b"SIZE", b"SMTPUTF8"), b"")
    for bit, names in (
        (CHUNKING, b"CHUNKING"),
        (PIPELINING, b"PIPELINING"),
        (DSN, b"DSN SMTPUTF8"),
    ):
        features |= dict.fromkeys(names.split() if choice & bit else (), b"")
    alike = LookAlikes()
    content = message.content
    parts = [content[at : at + step + 1] for at in range(0, len(content), step + 1)]
    for one in parts:
        alike.feed(one)
    given = Content(len(content), lambda: iter(parts), alike.finish())
    hop = Hop(choice)
    answers = handed_on(transaction(features, hop.lmtp, mail, rcpts, given), hop)
    assert len(answers) == len(rcpts)
    kinds = [one.kind for one in answers]
    assert {*kinds} <= {2, 4, 5}
    if hop.contents:
        whole = (
            content if choice & CHUNKING or content[-2:] in (b"\r\n", b"") else content + b"\r\n"
        )
        assert hop.contents == [whole]
        assert hop.lines[0] == mail_line(mail, content)
        assert len(hop.lines) == len(rcpts) + 1
        for rcpt, line, kind in zip(rcpts, hop.lines[1:], kinds, strict=True):
            assert line == b" ".join([b"RCPT TO:" + rcpt.path, *rcpt.parameters])
            assert (kind == 2) != refused_by_hop(line)
    else:
        assert 2 not in kinds
    every = [one for each in (mail, *rcpts) for one in each.parameters]
    lacking = [one for one in every if _EXTENSION[one.partition(b"=")[0].upper()] not in features]
    if lacking:
        assert hop.lines == []
        assert {*kinds} == {4}
    elif not (given.lookalike or refused_by_hop(mail.path)):
        assert bool(hop.contents) == any(not refused_by_hop(one.path) for one in rcpts)
    for one in rcpts:
        assert one.address == looked_up(one.path[1:-1])


_EXTENSION = {
    b"SIZE": b"SIZE",
    b"BODY": b"8BITMIME",
    b"SMTPUTF8": b"SMTPUTF8",
    **dict.fromkeys((b"RET", b"ENVID", b"NOTIFY", b"ORCPT"), b"DSN"),
}


def mail_line(mail: Mail, content: bytes) -> bytes:
    """With the size that it has now."""
    words = [one for one in mail.parameters if one[:5].upper() != b"SIZE="]
    return b" ".join([b"MAIL FROM:" + mail.path, *words, b"SIZE=%d" % len(content)])


def looked_up(inside: bytes) -> str:
    """Without its route, which ends at a colon that is in no brackets."""
    if inside[:1] == b"@":
        inside = re.sub(rb"\A(?:\[[^\]]*\]|[^\[:])*:", b"", inside)
    return inside.decode()


def handed_on(steps: Any, hop: Hop) -> list[Reply]:
    """What the gateway's side makes of the hop's replies, each of which it waits for."""
    waiting: list[Reply] = []
    try:
        step = next(steps)
        while True:
            waiting += hop.receive(b"".join(map(bytes, step.send)))
            assert len(waiting) >= step.replies
            replies, waiting = waiting[: step.replies], waiting[step.replies :]
            step = steps.send(replies)
    except StopIteration as end:
        assert not waiting
        return end.value


# --- inputs ------------------------------------------------------------------------------------

_NAMES = (b"<a@x>",
           b"<b@y>", b"<never@x>", b"<later@x>", b"<empty@x>", b"<lost@x>", b"<c@z>", b"<>",
          b'<"a b>"@x>', b"<@r:a@x>", b"<\xc3\xa4@x>", b"a@x", b'"c\\""@x',
          b'<"a> b"@x>')  # fmt: skip
_WORDS = (b"", b"", b" SIZE=9", b" BODY=8BITMIME", b" BODY=BINARYMIME", b" SMTPUTF8", b" RET=HDRS",
          b" NOTIFY=NEVER", b" ORCPT=rfc822;a+40x")  # fmt: skip
_COMMANDS = (b"DATA", b"RSET", b"NOOP", b"VRFY a", b"HELP", b"LHLO me", b"EHLO me", b"HELO me",
             b"XFORWARD NAME=a ADDR=+41", b"XCLIENT NAME=a", b"", b"EXPN", b"\0\xff", b"QUIT",
             b"NOOP " + b"x" * 144, b"NOOP " + b"x" * 145, b"x" * 5000, b"STARTTLS",
             b"GET / HTTP/1.0")  # fmt: skip
_TEXTS = (b"a\r\n", b"..\r\n", b".b\r\n", b"\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\0.\0\r\n",
          b"\r\n\0.\r\n", b"\n\0\0.\r\n", b"z" * 70, b"z" * 150, b"QUIT\r\n", b"\r", b"\n",
          b".")  # fmt: skip


def command(source: random.Random) -> bytes:
    kind = source.randrange(7)
    if kind == 6:  # a whole message
        begin = b"MAIL FROM:<a@x>\r\n" + b"RCPT TO:<b@y>\r\n" * source.choice((1, 2))
        return begin + b"DATA\r\n%b\r\n.\r\n" % source.choice(_TEXTS)
    if kind < 2:
        verb = (b"MAIL FROM:", b"RCPT TO:")[kind]
        words = source.choice(_WORDS) + source.choice(_WORDS)
        return verb + source.choice(_NAMES) + words + b"\r\n"
    text = b"".join(source.choice(_TEXTS) for _ in range(source.randrange(8)))
    if kind == 2:
        return b"BDAT %d%b\r\n%b" % (len(text), source.choice((b"", b" LAST")), text)
    if kind == 3:
        return b"DATA\r\n%b\r\n.\r\n" % text
    return source.choice(_COMMANDS) + source.choice((b"\r\n", b"\r\n", b"\n"))


def seeds() -> Iterator[bytes]:
    source = random.Random(1)
    for choice in range(0, 64, 3):
        hello = b"LHLO me\r\n" if choice & LMTP else b"EHLO me\r\n"
        begin = hello + b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\n"
        yield bytes([choice, 7, 3]) + begin + command(random.Random(choice)) + b"QUIT\r\n"
        yield bytes([choice, 50, 9]) + hello + b"".join(command(source) for _ in range(9))
        for text in (b"a\n.", b"a\n\0\0.\n", b"z" * LIMITS.size, b"z" * (LIMITS.size + 1)):
            chunk = b"BDAT %d LAST\r\n%b" % (len(text), text)
            yield bytes([choice, 80, 200]) + begin + chunk + b"RSET\r\n"
        yield bytes([choice, 1, 1]) + begin + b"DATA\r\nx\r\n..y\r\n.\r\nQUIT\r\n"


def mutate(data: bytes, source: random.Random) -> bytes:
    """A command or a piece of text comes in or goes, at the beginning of a line mostly."""
    choices = bytearray(data[:3].ljust(3, b"\0"))
    if source.random() < 0.2:
        choices[source.randrange(3)] = source.randrange(64)
    new = command(source) if source.random() < 0.7 else source.choice(_TEXTS)
    return bytes(choices) + line_changes.changed(data[3:], new, source)
