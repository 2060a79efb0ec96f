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
from typing import TYPE_CHECKING, Any

import line_changes
from plain_client import LIMITS, Message, by_client

from cmstream.gateway.protocol.conversation import Content, transaction
from cmstream.gateway.protocol.data import LookAlikes
from cmstream.gateway.protocol.replies import Reply
from cmstream.gateway.protocol.server_events import DataBegin, DataChunk, MessageEnd
from helpers.server_session import EXTENSIONS, codes, decide, pump, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmstream.gateway.protocol.envelope import Mail, Rcpt

LMTP, TLS, CHUNKING, PIPELINING, LENIENT, DSN = (1 << bit for bit in range(6))


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
        yield bytes([choice, 9, 9]) + hello + b"NOOP\r\n" * (LIMITS.commands + 1)
        sender = b"MAIL FROM:<a@x> RET=HDRS\r\nRCPT TO:<b@y> NOTIFY=NEVER ORCPT=rfc822;a\r\n"
        yield bytes([choice, 9, 9]) + hello + sender + b"DATA\r\na\r\n.\r\n"
        paths = b'RCPT TO:<@r:a@x>\r\nRCPT TO:<"a> b"@x>\r\nDATA\r\n.\r\n'
        yield bytes([choice, 9, 9]) + hello + b"MAIL FROM:<a@x>\r\n" + paths
        yield bytes([choice, 1, 1]) + begin + b"DATA\r\nx\r\n..y\r\n.\r\nQUIT\r\n"


def mutate(data: bytes, source: random.Random) -> bytes:
    """A command or a piece of text comes in or goes, at the beginning of a line mostly."""
    choices = bytearray(data[:3].ljust(3, b"\0"))
    if source.random() < 0.2:
        choices[source.randrange(3)] = source.randrange(64)
    new = command(source) if source.random() < 0.7 else source.choice(_TEXTS)
    return bytes(choices) + line_changes.changed(data[3:], new, source)
