"""The server's session against garbage and against made-up clients: it never fails, and each
command gets its reply.

Longer: ``CMSTREAM_FUZZ_SECONDS=3600 pytest -m slow tests/gateway/test_server_session_fuzz.py``.
"""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmstream.gateway.protocol.data import Stuffer
from cmstream.gateway.protocol.server_events import (
    DataBegin,
    DataChunk,
    MailBegin,
    MessageEnd,
    Quit,
    Reset,
    StartTls,
    XClient,
    XForward,
)
from cmstream.gateway.protocol.server_rules import Limits
from helpers.server_session import GOOD, by_name, codes, content, hello, play, replies

SECONDS = float(os.environ.get("CMSTREAM_FUZZ_SECONDS", "20"))


def one_of(*values):
    return st.sampled_from(values)


names = one_of(
    b"a@x", b"b@y", b"never@x", b"later@x", b"empty@x", b"lost@x", b"c", b"\xc3\xa4@x", b"",
    b'"a b>"@x', b"@r:a@x", b"a b@x",
)  # fmt: skip
words = st.lists(
    one_of(b" SIZE=9", b" SIZE=99999", b" BODY=8BITMIME", b" BODY=BINARYMIME", b" SMTPUTF8",
           b" NOTIFY=NEVER", b" RET=HDRS", b" X=1", b" "), max_size=2
).map(b"".join)  # fmt: skip
commands = st.one_of(
    st.builds(b"MAIL FROM:<%b>%b".__mod__, st.tuples(names, words)),
    st.builds(b"RCPT TO:<%b>%b".__mod__, st.tuples(names, words)),
    st.just(b"DATA"),
    one_of(b"RSET", b"NOOP", b"noop x", b"VRFY a", b"HELP", b"LHLO me", b"lhlo", b"EHLO me",
           b"XFORWARD NAME=a", b"XFORWARD NAME", b"XCLIENT NAME=a", b"", b"EXPN", b"\0\xff",
           b"NOOP " + b"x" * 300, b"x" * 5000),
)  # fmt: skip
texts = st.lists(
    one_of(b"\r\n", b".", b"\n.\n", b"\r.\r", b"a", b"\0", b"QUIT\r\n", b"z" * 70)
).map(b"".join)
chunks = st.tuples(st.binary(max_size=60) | texts, st.booleans())
likely = one_of(
    [b"MAIL FROM:<a@x>", b"RCPT TO:<b@y>", b"RCPT TO:<c@y>", b"DATA"],
    [b"MAIL FROM:<a@x>", b"RCPT TO:<b@y>", (b"x\r\n.", False), (b"y", True)],
)
clients = st.lists(
    st.one_of(commands.map(lambda one: [one]), chunks.map(lambda one: [one]), likely), max_size=12
).map(lambda parts: [step for part in parts for step in part])
garbage = st.lists(
    st.one_of(
        st.binary(max_size=50),
        commands.map(lambda line: line + b"\r\n"),
        one_of(b"\r\n.\r\n", b"BDAT 5\r\n", b"BDAT 3 LAST\r\n", b"BDAT x\r\n",
               b"STARTTLS\r\n", b"QUIT\r\n", b"GET / HTTP/1.0\r\n"),
    )
)  # fmt: skip
cuts = st.lists(st.integers(1, 400), max_size=8)
FORGETS = {(b"RSET", 250), (b"LHLO", 250), (b"EHLO", 250), (b"XCLI", 220), (b"DATA", 451)}
LIMITS = Limits(size=90, recipients=3, line=400, commands=15, errors=6)


class Client:
    """Says one thing at a time, and knows what must be answered."""

    def __init__(self, texts, *, lmtp):
        self.of = hello(lmtp=lmtp, limits=LIMITS)
        self.texts = list(texts)
        self.events, self.wire, self.sent = [], b"", b""
        self.forget()

    def forget(self):
        self.sender, self.recipients, self.size, self.chunks = None, 0, 0, False

    def say(self, wire):
        events, sent = play(self.of, wire)
        self.events += events
        self.wire += wire
        self.sent += sent
        return codes(sent)

    def step(self, what):
        got = self.chunk(*what) if isinstance(what, tuple) else self.command(what)
        if not self.of.ended:
            assert len(self.of.accepted) == self.recipients
        else:
            assert got == [421]

    def command(self, line):
        got = self.say(line + b"\r\n")
        assert len(got) == 1, line
        verb, code = line[:4].upper(), got[0]
        if code == 354:
            self.message()
        elif verb == b"MAIL" and code == 250:
            assert self.sender is None
            self.sender = line
        elif verb == b"RCPT" and code == 250:
            assert self.sender is not None
            assert not self.chunks
            self.recipients += 1
        elif (verb, code) in FORGETS:
            self.forget()
        return got

    def message(self):
        text = self.texts.pop() if self.texts else b"abc\r\n"
        dots = Stuffer()
        got = self.say(dots.feed(text) + dots.finish())
        whole = text if text.endswith(b"\r\n") or not text else text + b"\r\n"
        self.size = len(whole)
        assert got == self.at_the_end()
        if got[0] != 552:
            assert content(self.events)[-1] == whole
        self.forget()

    def at_the_end(self):
        code = 552 if self.size > LIMITS.size else 451 if b"lost" in self.sender else 250
        return [code] * (self.recipients if self.of.lmtp else 1)

    def chunk(self, data, last):
        got = self.say(b"BDAT %d%b\r\n" % (len(data), b" LAST" if last else b"") + data)
        if self.of.ended:
            return got
        if not self.recipients:
            assert got == [503]
        elif b"empty" in self.sender:
            assert got == [451]
            self.forget()
        else:
            self.chunks = True
            self.size += len(data)
            expected = self.at_the_end()
            if not last:
                expected = [552 if expected[0] == 552 else 250]
            assert got == expected
            if last or got == [552]:
                self.forget()
        return got


def check_client(steps, texts, cuts, lmtp):
    client = Client(texts, lmtp=lmtp)
    for step in steps:
        if not client.of.ended:
            client.step(step)
    ends = play(client.of, b"")[0]
    again = play(hello(lmtp=lmtp, limits=LIMITS), *pieces(client.wire, cuts), b"")
    assert again[1] == client.sent
    assert content(again[0]) == content(client.events)
    assert kinds(again[0]) == kinds(client.events + ends)


def kinds(events):
    return [type(event) for event in events if not isinstance(event, DataChunk)]


def pieces(wire, cuts):
    places = sorted({cut % len(wire) for cut in cuts} - {0}) if wire else []
    return filter(
        None, [wire[a:b] for a, b in zip([0, *places], [*places, len(wire)], strict=True)]
    )


def check_garbage(parts, cuts, lmtp):
    of = hello(lmtp=lmtp, limits=LIMITS)
    events, sent = play(of, *pieces(b"".join(parts), cuts), b"")
    replies(sent)
    assert of.ended
    assert not of._incoming
    assert kinds(events).index(Quit) == len(kinds(events)) - 1
    sender = None  # each message that begins ends, is refused or is forgotten
    told = False  # so is what is told of the next one
    for event in events:
        if isinstance(event, MailBegin):
            assert sender is None
            sender = event.mail.path if by_name(event.mail.path) is GOOD else None
        elif isinstance(event, Reset):
            assert sender is not None or told
        else:
            assert sender is not None or isinstance(event, Quit | StartTls | XForward | XClient)
        told = told or isinstance(event, XForward)
        refused = isinstance(event, DataBegin) and b"empty" in sender
        if refused or isinstance(event, Reset | MessageEnd):
            sender, told = None, False
    assert sender is None
    assert not told


@given(clients, st.lists(texts), cuts, st.booleans())
def test_made_up_clients(steps, texts, cuts, lmtp):
    check_client(steps, texts, cuts, lmtp)


@given(garbage, cuts, st.booleans())
def test_garbage(parts, cuts, lmtp):
    check_garbage(parts, cuts, lmtp)


@pytest.mark.slow
def test_for_a_long_time():
    """As long as CMSTREAM_FUZZ_SECONDS says, each round with examples of its own."""
    many = settings(max_examples=300, deadline=None, database=None)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        many(given(clients, st.lists(texts), cuts, st.booleans())(check_client))()
        many(given(garbage, cuts, st.booleans())(check_garbage))()
