"""The server's session: limits, and the ways in which it ends."""

from __future__ import annotations

import pytest

from cmstream.gateway.protocol.replies import Reply
from cmstream.gateway.protocol.server_events import (
    DataBegin,
    MailBegin,
    MessageEnd,
    Quit,
    Recipient,
    Reset,
    StartTls,
)
from cmstream.gateway.protocol.server_rules import Limits
from helpers.server_session import (
    GO_ON,
    GOOD,
    codes,
    content,
    hello,
    play,
    pump,
    said,
    session,
)

ENVELOPE = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\n"
SHUTTING_DOWN = Reply.of(421, "4.3.2", "Shutting down")


def kinds(events):
    return [type(event) for event in events]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_long_line_is_swallowed(end):
    of = hello(limits=Limits(line=100))
    line = b"NOOP ".ljust(101 - len(end), b"x")
    assert said(play(of, line + end)[1]) == ["250 2.0.0"]
    assert said(play(of, line + b"x" + end + b"NOOP" + end)[1]) == ["500 5.5.2", "250 2.0.0"]


def test_an_endless_line_is_not_held():
    of = hello(limits=Limits(line=100))
    for _ in range(50):
        play(of, b"x" * 1000)
        assert len(of._incoming._data) <= 1000
    for _ in range(300):
        play(of, b"x")
    assert not of._incoming
    assert said(play(of, b"\r\nNOOP\r\n")[1]) == ["500 5.5.2", "250 2.0.0"]


def test_nothing_that_was_read_is_held():
    of = hello()
    play(of, ENVELOPE, b"DATA\r\n", b"x" * 100_000, b"y" * 100_000, b"\r\n.\r\n")
    play(of, ENVELOPE, b"BDAT 100000 LAST\r\n" + b"z" * 100_000, b"NO")
    assert of._incoming._data == b"NO"


@pytest.mark.parametrize(("lmtp", "count"), [(True, 2), (False, 1)])
def test_a_message_over_the_limit_is_swallowed(lmtp, count):
    of = hello(lmtp=lmtp, limits=Limits(size=10))
    fits = b"DATA\r\n..2345678\r\n.\r\n"  # ten bytes without the dot that was put in
    assert codes(play(of, ENVELOPE + fits)[1]) == [250, 250, 250, 354] + [250] * count
    of.receive(ENVELOPE + b"DATA\r\n123456789\r\nNOOP\r\n")
    events = pump(of)
    assert kinds(events)[-1] == Reset
    assert codes(of.data_to_send()) == [250, 250, 250, 354]
    assert pump(of) == []
    events, sent = play(of, b"more\r\n" * 100, b".\r\nNOOP\r\n")
    assert events == []
    assert said(sent) == ["552 5.3.4"] * count + ["250 2.0.0"]
    assert (of.mail, of.accepted) == (None, [])


@pytest.mark.parametrize(("lmtp", "count"), [(True, 2), (False, 1)])
def test_chunks_over_the_limit_are_swallowed(lmtp, count):
    of = hello(lmtp=lmtp, limits=Limits(size=10))
    fits = b"BDAT 4\r\n1234BDAT 6 LAST\r\n567890"
    assert codes(play(of, ENVELOPE + fits)[1]) == [250] * (4 + count)
    events, sent = play(of, ENVELOPE + b"BDAT 11 LAST\r\n", b"NOOP\r\n", b"NOOP\r", b"NOOP\r\n")
    assert kinds(events)[-1] == Reset
    assert said(sent)[3:] == ["552 5.3.4"] * count + ["250 2.0.0"]
    events, sent = play(of, ENVELOPE + b"BDAT 10\r\n1234567890BDAT 1\r\n1BDAT 4 LAST\r\n1234")
    assert content(events) == []
    assert said(sent)[3:] == ["250 2.0.0", "552 5.3.4", "503 5.5.1"]


def test_the_size_is_compared_where_the_client_says_it():
    of = hello(limits=Limits(size=10))
    lines = b"MAIL FROM:<a@x> SIZE=11\r\nMAIL FROM:<a@x> SIZE=%b\r\nMAIL FROM:<a@x> SIZE=%b\r\n"
    _, sent = play(of, lines % (b"9" * 21, b"0" * 19 + b"9"))
    assert said(sent) == ["552 5.3.4", "501 5.5.4", "250 2.1.0"]


def test_too_many_recipients():
    of = hello(limits=Limits(recipients=2, commands=10))
    events, sent = play(of, ENVELOPE + b"RCPT TO:<d@y>\r\nDATA\r\n.\r\n")
    assert said(sent)[3] == "452 4.5.3"
    assert codes(sent)[4:] == [354, 250, 250]
    assert kinds(events)[:3] == [MailBegin, Recipient, Recipient]


def test_ten_thousand_recipients():
    of = hello(limits=Limits(recipients=100))
    _, sent = play(of, b"MAIL FROM:<a@x>\r\n", b"RCPT TO:<b@y>\r\n" * 10_000)
    assert codes(sent)[:102] == [250] * 101 + [452]
    assert codes(sent)[-1] == 421
    assert len(of.accepted) == 0


def test_commands_without_a_message():
    of = hello(limits=Limits(commands=10))
    for _ in range(3):  # a message's own commands don't count, and it begins a new count
        play(of, b"NOOP\r\n" * 5 + ENVELOPE + b"RCPT TO:<d@y>\r\n" * 50 + b"DATA\r\n.\r\n")
    for _ in range(30):
        chunks = b"BDAT 1\r\na" * 30 + b"BDAT 1 LAST\r\na"
        assert set(codes(play(of, ENVELOPE + chunks)[1])) == {250}
    events, sent = play(of, b"NOOP\r\n" * 12)
    assert said(sent) == ["250 2.0.0"] * 10 + ["421 4.7.0"]
    assert kinds(events) == [Quit]
    assert play(of, b"NOOP\r\n") == ([], b"")


def test_endless_refused_recipients():
    of = hello(limits=Limits(commands=10))
    _, sent = play(of, b"MAIL FROM:<a@x>\r\n" + b"RCPT TO:<never@y>\r\n" * 20)
    assert codes(sent) == [250] + [550] * 8 + [421]


def test_endless_empty_chunks():
    of = hello(limits=Limits(commands=10))
    events, sent = play(of, ENVELOPE + b"BDAT 0\r\n" * 20)
    assert codes(sent)[-1] == 421
    assert kinds(events)[-2:] == [Reset, Quit]


def test_too_many_errors():
    of = hello(limits=Limits(errors=3))
    events, sent = play(of, b"x\r\n\r\nMAIL FROM:<a\r\nDATA\r\nx\r\nNOOP\r\n")
    assert said(sent) == ["500 5.5.1", "500 5.5.2", "501 5.1.7", "503 5.5.1", "421 4.7.0"]
    assert kinds(events) == [Quit]


def test_a_browser_is_no_client():
    events, sent = play(session(lmtp=False), b"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO me\r\n")
    assert said(sent) == ["421 4.7.0"]
    assert kinds(events) == [Quit]


def test_starttls():
    of = hello()
    of.receive(b"STARTTLS\r\n")
    assert of.next_event() == StartTls()
    assert of.next_event() is None
    assert said(of.data_to_send()) == ["220 2.0.0"]
    of.tls_started()
    assert of.tls
    assert of.client is None
    _, sent = play(of, b"MAIL FROM:<a@x>\r\nLHLO me\r\nSTARTTLS\r\nMAIL FROM:<a@x>\r\n")
    assert b"STARTTLS" not in sent
    assert [codes(sent)[at] for at in (0, 1, 2, 3)] == [503, 250, 500, 250]


def test_nothing_behind_starttls_survives():
    of = hello()
    events, sent = play(of, b"STARTTLS\r\nMAIL FROM:<a@x>\r\n")
    assert said(sent) == ["421 4.7.0"]
    assert kinds(events) == [Quit]
    of = hello()
    of.receive(b"STARTTLS\r\n")
    assert of.next_event() == StartTls()
    of.receive(b"R")
    assert kinds(pump(of)) == [Quit]
    assert said(of.data_to_send()) == ["220 2.0.0", "421 4.7.0"]


def test_a_client_that_goes_instead_of_its_handshake():
    of = hello()
    of.receive(b"STARTTLS\r\n")
    assert of.next_event() == StartTls()
    of.receive(b"")
    assert kinds(pump(of)) == [Quit]


def test_tls_may_be_required():
    of = hello(tls_required=True)
    mail = ENVELOPE + b"XFORWARD NAME=a\r\nVRFY a\r\nBDAT 1\r\nxNOOP\r\n"
    assert codes(play(of, mail)[1]) == [530] * 6 + [250]
    play(of, b"STARTTLS\r\n")
    assert codes(play(of, b"LHLO me\r\nMAIL FROM:<a@x>\r\n")[1]) == [250, 250]
    of = hello(tls_required=True, tls=True)
    assert codes(play(of, ENVELOPE)[1]) == [250, 250, 250]


@pytest.mark.parametrize(
    ("wire", "lost"),
    [(b"", []), (b"MAIL FROM:<later@x>\r\n", []), (b"MAIL FROM:<a@x>\r\n", [Reset]),
     (ENVELOPE, [Reset]), (ENVELOPE + b"DATA\r\n", [Reset]),
     (ENVELOPE + b"DATA\r\na\r\n.\r", [Reset]), (ENVELOPE + b"BDAT 2\r\na", [Reset]),
     (ENVELOPE + b"BDAT 1\r\na", [Reset]), (ENVELOPE + b"DATA\r\na\r\n.\r\n", []),
     (ENVELOPE + b"BDAT 1 LAST\r\na", []), (ENVELOPE + b"RSET\r\nNO", [])],
)  # fmt: skip
def test_a_connection_that_is_lost(wire, lost):
    of = hello()
    play(of, *filter(None, [wire]))
    events, sent = play(of, b"", b"")
    assert (kinds(events), sent) == ([*lost, Quit], b"")
    assert of.ended


def test_what_came_before_the_end_is_answered():
    of = hello()
    of.receive(ENVELOPE + b"DATA\r\na\r\n.\r\n")
    of.receive(b"")
    events = pump(of)
    assert content(events) == [b"a\r\n"]
    assert kinds(events)[-1] == Quit
    assert codes(of.data_to_send()) == [250, 250, 250, 354, 250, 250]


def test_refused_instead_of_greeted():
    of = session()
    of.refuse(SHUTTING_DOWN)
    assert play(of, b"LHLO me\r\n") == ([Quit("421 4.3.2 Shutting down")], SHUTTING_DOWN.octets())


@pytest.mark.parametrize("number", range(4))
def test_refused_while_an_event_waits(number):
    of = hello()
    of.receive(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n.\r\n")
    for kind in [MailBegin, Recipient, DataBegin, MessageEnd][: number + 1]:
        event = of.next_event()
        assert isinstance(event, kind)
        if kind is not MessageEnd and number:
            of.answer(GO_ON if kind is DataBegin else GOOD)
    of.data_to_send()
    of.refuse(SHUTTING_DOWN)
    assert kinds(pump(of)) == ([Reset, Quit] if number else [Quit])
    of.answer(GOOD)  # too late, and no harm
    of.refuse(SHUTTING_DOWN)
    assert of.data_to_send() == SHUTTING_DOWN.octets()


def test_a_reset_that_nobody_has_seen_is_kept_when_refused():
    of = hello(limits=Limits(size=1))
    of.receive(ENVELOPE + b"DATA\r\n")
    pump(of)
    of.receive(b"abc")
    of._read_content()
    of.refuse(SHUTTING_DOWN)
    assert kinds(pump(of)) == [Reset, Quit]
