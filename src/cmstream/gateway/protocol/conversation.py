"""What a client says to the next hop, by SMTP or LMTP, and what it makes of the replies.

Each function is a generator: it yields a :class:`Step`, what to send and how many replies to wait
for, and is sent the list of those replies. Where the connection ends first, :class:`Lost` is thrown
into it. So all of it runs without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .data import Stuffer
from .envelope import MAIL_PARAMETERS, RCPT_PARAMETERS
from .replies import ProtocolError, Reply

if TYPE_CHECKING:
    from .envelope import Mail, Rcpt

GO_ON = 354
LOST = Reply.of(451, "4.4.2", "the next hop ended the connection: try again")
ODD = Reply.of(451, "4.5.0", "the next hop gave a reply that doesn't fit: try again")
UNSAFE = Reply.of(554, "5.6.0", "a line with a lone dot ends in a bare CR or LF, and the next hop "
                   "has no CHUNKING to take it safely")  # fmt: skip

CHANGED = Reply.of(451, "4.4.0", "the next hop doesn't announce any more what this mail needs: try "
                   "again in a new session")  # fmt: skip

HANDED_ON = frozenset((b"8BITMIME", b"SMTPUTF8", b"DSN", b"ENHANCEDSTATUSCODES"))
"""What is announced to clients only where the next hop has it too: their parameters are handed on,
or their replies."""
# The size is written anew in any case.
_NEEDS = {k: v for k, v in (MAIL_PARAMETERS | RCPT_PARAMETERS).items() if k != b"SIZE"}


class Step(NamedTuple):
    """What is sent, in pieces (an iterator may be asynchronous), and how many replies it has."""

    send: Any
    replies: int


class Lost(Exception):  # noqa: N818 - an event, which each conversation turns into replies
    """The connection ended, or the time was over. ``replies``: those of the step that came."""

    def __init__(self, replies: Sequence[Reply] = (), why: Reply = LOST) -> None:
        super().__init__(why.text)
        self.replies, self.why = list(replies), why


class Content(NamedTuple):
    """A message. ``chunks`` gives it from its beginning, as often as it is called. ``length`` is
    None for one that is still coming; then ``chunks`` gives an asynchronous iterator, once."""

    length: int | None
    chunks: Any
    lookalike: bool = False


Features = Mapping[bytes, bytes]


def greet(lmtp: bool, name: str) -> Generator[Step, list[Reply], Features]:
    """Waits for the greeting and says who we are; gives what the next hop announces. Raises
    ProtocolError where it refuses."""
    (greeting,) = yield Step((), 1)
    if greeting.kind != 2:
        raise ProtocolError(f"the next hop doesn't greet: {greeting.text}")
    return (yield from announced(lmtp, name))


def announced(lmtp: bool, name: str) -> Generator[Step, list[Reply], Features]:
    """The same without a greeting: after STARTTLS."""
    verb = b"LHLO" if lmtp else b"EHLO"
    (reply,) = yield Step((b"%b %b\r\n" % (verb, name.encode()),), 1)
    if reply.kind != 2 and not lmtp:
        (reply,) = yield Step((b"HELO %b\r\n" % name.encode(),), 1)
    if reply.kind != 2:
        raise ProtocolError(f"the next hop refuses {verb.decode()}: {reply.text}")
    words = (line.split(None, 1) for line in reply.lines[1:])
    return {word[0].upper(): word[1] if word[1:] else b"" for word in words if word}


def start_tls() -> Generator[Step, list[Reply], None]:
    """Raises ProtocolError where the next hop refuses."""
    (reply,) = yield Step((b"STARTTLS\r\n",), 1)
    if reply.code != 220:
        raise ProtocolError(f"the next hop refuses STARTTLS: {reply.text}")


def xforward(features: Features, attributes: Sequence[bytes]) -> Generator[Step, list[Reply], None]:
    """Hands on who the client of the client is, as far as the next hop takes it."""
    known = features.get(b"XFORWARD", b"").upper().split()
    told = [one for one in attributes if one.split(b"=")[0].upper() in known]
    if told:
        yield Step((b"XFORWARD " + b" ".join(told) + b"\r\n",), 1)


def command(line: bytes) -> Generator[Step, list[Reply], Reply]:
    """One command, line end included."""
    (reply,) = yield Step((line,), 1)
    return reply


# --- one transaction ---------------------------------------------------------------------------


def lacks(features: Features, one: Mail | Rcpt) -> bool:
    """Whether the next hop would refuse a parameter for good, which the client may use since what
    was announced to it."""
    for word in one.parameters:
        needed = _NEEDS.get(word.partition(b"=")[0].upper())
        if needed is not None and needed not in features:
            return True
    return False


def mail_line(mail: Mail, size: int | None, features: Features) -> bytes:
    """The MAIL command as the client gave it, but for the size, which sealing has changed."""
    words = [one for one in mail.parameters if not one.upper().startswith(b"SIZE=")]
    if size is not None and b"SIZE" in features:
        words.append(b"SIZE=%d" % size)
    return b" ".join([b"MAIL FROM:" + mail.path, *words]) + b"\r\n"


def rcpt_line(rcpt: Rcpt) -> bytes:
    """The RCPT command as the client gave it."""
    return b" ".join([b"RCPT TO:" + rcpt.path, *rcpt.parameters]) + b"\r\n"


def transaction(
    features: Features, lmtp: bool, mail: Mail, rcpts: Sequence[Rcpt], content: Content
) -> Generator[Step, list[Reply], list[Reply]]:
    """Gives a message on; one reply for each recipient, in their order. Never raises Lost: a
    recipient of which nothing is known gets a temporary failure."""
    said: list[Mail | Rcpt] = [mail, *rcpts]
    if any(lacks(features, one) for one in said):
        return [CHANGED] * len(rcpts)
    by_bdat = b"CHUNKING" in features and content.length is not None
    if content.lookalike and not by_bdat:
        return [UNSAFE] * len(rcpts)
    lines = [mail_line(mail, content.length, features), *map(rcpt_line, rcpts)]
    if b"PIPELINING" not in features:
        return (yield from _one_by_one(features, lmtp, lines, content))
    try:
        if not by_bdat:
            return (yield from _pipelined(lmtp, lines, content))
        before = yield Step(_by_bdat(lines, content), len(lines))
        return (yield from _finished(lmtp, before, Step((), 0)))
    except Lost as lost:
        return _known(lost.replies, len(rcpts), lost.why)


def _one_by_one(
    features: Features, lmtp: bool, lines: Sequence[bytes], content: Content
) -> Generator[Step, list[Reply], list[Reply]]:
    """Each command waits for the reply to the one before."""
    replies: list[Reply] = []
    count = len(lines) - 1
    try:
        for line in lines:
            replies += yield Step((line,), 1)
            if replies[0].kind != 2:
                return [_temporary(replies[0])] * count
        return (yield from finish(features, lmtp, replies[1:], content))
    except Lost as lost:
        return _known(replies + lost.replies, count, lost.why)


def finish(
    features: Features, lmtp: bool, given: Sequence[Reply], content: Content
) -> Generator[Step, list[Reply], list[Reply]]:
    """Gives the content on, after MAIL and RCPT; ``given``: the replies to RCPT."""
    if not any(one.kind == 2 for one in given):
        return [_temporary(one) for one in given]
    if b"CHUNKING" in features and content.length is not None:
        return (yield from _finished(lmtp, [TAKEN, *given], Step(_by_bdat([], content), 0)))
    if content.lookalike:
        return [UNSAFE if one.kind == 2 else _temporary(one) for one in given]
    (reply,) = yield Step((b"DATA\r\n",), 1)
    if reply.code != GO_ON:
        return [_temporary(reply if one.kind == 2 else one) for one in given]
    return (yield from _finished(lmtp, [TAKEN, *given], Step(_by_data(content), 0)))


TAKEN = Reply(250, ())


def _pipelined(
    lmtp: bool, lines: list[bytes], content: Content
) -> Generator[Step, list[Reply], list[Reply]]:
    """MAIL, all RCPT and DATA in one piece, then the content."""
    replies = yield Step((b"".join([*lines, b"DATA\r\n"]),), len(lines) + 1)
    *before, data = replies
    taken = before[0].kind == 2 and any(one.kind == 2 for one in before[1:])
    if data.code != GO_ON:
        return _refused(before, data)
    if not taken:  # it takes content for nobody: RFC 2920 has us end it at once
        yield Step((b".\r\n",), 1)
        return _refused(before, ODD)
    return (yield from _finished(lmtp, before, Step(_by_data(content), 0)))


def _finished(
    lmtp: bool, before: Sequence[Reply], step: Step
) -> Generator[Step, list[Reply], list[Reply]]:
    """The content's replies, put in the places of the recipients that were accepted."""
    accepted = [
        place for place, one in enumerate(before[1:]) if one.kind == 2 and before[0].kind == 2
    ]
    count = len(accepted) if lmtp and accepted else 1
    try:
        last = yield Step(step.send, count)
    except Lost as lost:
        last = lost.replies + [lost.why] * (count - len(lost.replies))
    if not accepted:
        return _refused(before, last[0])
    answers = [_temporary(one) for one in before[1:]]
    for place, reply in zip(accepted, last if lmtp else last * len(accepted), strict=True):
        answers[place] = final(reply)
    return answers


def _refused(before: Sequence[Reply], data: Reply) -> list[Reply]:
    """The answers where nothing was taken: MAIL's refusal, RCPT's, or that of the content."""
    mail, *given = before
    if mail.kind != 2:
        return [_temporary(mail)] * len(given)
    last = _temporary(data)
    return [last if one.kind == 2 else _temporary(one) for one in given]


def final(reply: Reply) -> Reply:
    """A reply that ends something: what is neither a success nor a refusal fits nothing."""
    return reply if reply.kind in (2, 4, 5) else ODD


def _temporary(reply: Reply) -> Reply:
    """What is no refusal must not pass for a success."""
    return reply if reply.kind in (4, 5) else ODD


def _known(replies: Sequence[Reply], count: int, why: Reply) -> list[Reply]:
    """The answers where the connection was lost before the content's reply: refusals that came
    hold, and for the others it is a temporary failure."""
    if replies and replies[0].kind in (4, 5):
        return [replies[0]] * count
    given = [one if one.kind in (4, 5) else why for one in replies[1 : count + 1]]
    return given + [why] * (count - len(given))


# --- the content ------------------------------------------------------------------------------


def _by_bdat(lines: list[bytes], content: Content) -> Iterable[Any]:
    """RFC 3030: no dots to be doubled, and no waiting for a reply in between."""
    lines.append(b"BDAT %d LAST\r\n" % (content.length or 0))
    first = b"".join(lines)
    for chunk in content.chunks():
        yield first + chunk if first else chunk
        first = b""
    if first:
        yield first


def _by_data(content: Content) -> Any:
    if content.length is None:
        return _by_data_as_it_comes(content)
    return _by_data_at_once(content)


async def _by_data_as_it_comes(content: Content) -> AsyncIterator[bytes]:
    stuffer = Stuffer()
    async for chunk in content.chunks():
        yield stuffer.feed(bytes(chunk))
    yield stuffer.finish()


def _by_data_at_once(content: Content) -> Iterable[bytes]:
    stuffer = Stuffer()
    pieces: list[bytes] = []
    for chunk in content.chunks():
        if pieces:
            yield pieces.pop()
        pieces.append(stuffer.feed(bytes(chunk)))
    yield b"".join([*pieces, stuffer.finish()])
