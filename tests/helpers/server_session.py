"""Drives the gateway's server session: pieces in, events and output back, answers by what an
address says."""

from __future__ import annotations

from cmstream.gateway.protocol.replies import Reply, ReplyReader
from cmstream.gateway.protocol.server import ServerSession
from cmstream.gateway.protocol.server_events import (
    DataBegin,
    DataChunk,
    MailBegin,
    MessageEnd,
    Recipient,
    StartTls,
)

EXTENSIONS = {
    b"PIPELINING": b"",
    b"8BITMIME": b"",
    b"BINARYMIME": b"",
    b"SMTPUTF8": b"",
    b"DSN": b"",
    b"CHUNKING": b"",
    b"ENHANCEDSTATUSCODES": b"",
    b"SIZE": b"100000",
    b"STARTTLS": b"",
    b"XFORWARD": b"NAME ADDR PORT PROTO HELO IDENT SOURCE",
    b"XCLIENT": b"NAME ADDR",
}
GOOD = Reply.of(250, "2.1.0", "Ok")
GO_ON = Reply.of(354, "", "Go on")
LATER = Reply.of(451, "4.3.0", "Later")
NEVER = Reply.of(550, "5.1.1", "Never")


def session(*, lmtp=True, **settings):
    settings = {"hostname": "mx.example.org", "extensions": EXTENSIONS, **settings}
    return ServerSession(lmtp=lmtp, **settings)


def decide(event, of):
    """The replies to an event: what is called ``later`` or ``never`` is refused. Where the sender
    is called ``empty``, so is DATA; where ``lost``, the message."""
    sender = of.mail.path if of.mail else b""
    if isinstance(event, MailBegin):
        return (by_name(event.mail.path),)
    if isinstance(event, Recipient):
        return (by_name(event.rcpt.path),)
    if isinstance(event, DataBegin):
        return (LATER if b"empty" in sender else GO_ON,)
    reply = LATER if b"lost" in sender else GOOD
    return (reply,) * (len(of.accepted) if of.lmtp else 1)


def by_name(path):
    return LATER if b"later" in path else NEVER if b"never" in path else GOOD


def pump(of, answers=decide):
    """All events that there are, each answered at once."""
    events = []
    while (event := of.next_event()) is not None:
        events.append(event)
        if of.waits is not None:
            assert of.waits is event
            assert of.next_event() is None
            of.answer(*answers(event, of))
        elif isinstance(event, StartTls):
            of.tls_started()
    return events


def play(of, *pieces, answers=decide):
    """The events and the output of everything, chunks of content that follow each other joined."""
    events, sent = [], []
    for piece in pieces:
        of.receive(piece)
        events += pump(of, answers)
        sent.append(of.data_to_send())
    return joined(events), b"".join(sent)


def joined(events):
    together = []
    for event in events:
        if isinstance(event, DataChunk):
            assert event.data
            if together and isinstance(together[-1], DataChunk):
                together[-1] = DataChunk(together[-1].data + event.data)
                continue
        together.append(event)
    return together


def content(events):
    """The messages in events: each one's content, if it came to its end."""
    messages, held = [], b""
    for event in events:
        if isinstance(event, DataBegin):
            held = b""
        elif isinstance(event, DataChunk):
            held += event.data
        elif isinstance(event, MessageEnd):
            messages.append(held)
    return messages


def replies(sent):
    """The replies in what was sent, which must be whole."""
    reader = ReplyReader()
    reader.feed(sent)
    found = []
    while (reply := reader.next()) is not None:
        found.append(reply)
    assert reader.empty
    assert b"\n" not in sent.replace(b"\r\n", b"")
    return found


def codes(sent):
    return [reply.code for reply in replies(sent)]


def said(sent):
    """Codes with enhanced codes, such as ``250 2.1.0``."""
    return [f"{reply.code} {reply.lines[0].split(b' ')[0].decode()}" for reply in replies(sent)]


def hello(lmtp=True, **settings):
    """A session after its greeting and the client's."""
    of = session(lmtp=lmtp, **settings)
    of.greet()
    play(of, b"LHLO me.example\r\n" if lmtp else b"EHLO me.example\r\n")
    return of
