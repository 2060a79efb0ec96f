"""The server's session: what is said to whom, in which order, however the input is cut."""

from __future__ import annotations

from itertools import combinations

import pytest

from cmstream.gateway.protocol.envelope import Mail, Rcpt
from cmstream.gateway.protocol.server_events import (
    DataBegin,
    DataChunk,
    MailBegin,
    MessageEnd,
    Quit,
    Recipient,
    Reset,
    XClient,
    XForward,
)
from cmstream.gateway.protocol.server_rules import Limits
from helpers.server_session import (
    GO_ON,
    GOOD,
    LATER,
    NEVER,
    codes,
    content,
    hello,
    play,
    pump,
    replies,
    said,
    session,
)

ENVELOPE = b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n"
MESSAGE = b"Subject: x\r\n\r\n..\r\n.a\n.\nb\r\n"
STATES = {
    "NEW": b"",
    "READY": b"LHLO me\r\n",
    "MAIL": b"LHLO me\r\nMAIL FROM:<a@x>\r\n",
    "RCPT": b"LHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n",
    "CHUNKS": b"LHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 1\r\nx",
}


def test_the_greeting_and_what_is_announced():
    for lmtp, word in ((True, b"LHLO"), (False, b"EHLO")):
        of = session(lmtp=lmtp)
        of.greet()
        assert of.data_to_send() == b"220 mx.example.org %b\r\n" % (b"LMTP" if lmtp else b"ESMTP")
        of.extensions = {b"SIZE": b"17", b"DSN": b""}
        events, sent = play(of, b"%b me.example\r\n" % word.lower())
        assert (events, sent) == ([], b"250-mx.example.org\r\n250-SIZE 17\r\n250 DSN\r\n")
        assert (of.client, of.esmtp) == ("me.example", True)
        assert of.data_to_send() == b""


def test_helo_announces_nothing():
    of = session(lmtp=False)
    events, sent = play(of, b"HELO me\r\nMAIL FROM:<a@x> SIZE=1\r\nMAIL FROM:<a@x>\r\n")
    assert sent.startswith(b"250 mx.example.org\r\n555 5.5.4 ")
    assert events == [MailBegin(Mail(b"<a@x>"))]
    assert (of.client, of.esmtp) == ("me", False)


@pytest.mark.parametrize(
    ("lmtp", "line"), [(True, b"EHLO me"), (True, b"HELO me"), (False, b"LHLO me")]
)
def test_the_other_protocol_has_another_hello(lmtp, line):
    assert said(play(session(lmtp=lmtp), line + b"\r\n")[1]) == ["500 5.5.1"]


# What each command gives in NEW, READY, MAIL, RCPT and after BDAT.
ORDER = {
    b"LHLO you": (250, 250, 250, 250, 250),
    b"MAIL FROM:<c@z>": (503, 250, 503, 503, 503),
    b"RCPT TO:<d@w>": (503, 503, 250, 250, 503),
    b"DATA": (503, 503, 503, 354, 503),
    b"BDAT 0": (503, 503, 503, 250, 250),
    b"BDAT 0 LAST": (503, 503, 503, 250, 250),
    b"RSET": (250, 250, 250, 250, 250),
    b"NOOP": (250, 250, 250, 250, 250),
    b"VRFY b": (503, 252, 252, 252, 252),
    b"HELP": (214, 214, 214, 214, 214),
    b"QUIT": (221, 221, 221, 221, 221),
    b"STARTTLS": (503, 220, 503, 503, 503),
    b"XFORWARD NAME=a": (503, 250, 503, 503, 503),
    b"XCLIENT NAME=a": (503, 220, 503, 503, 503),
    b"EXPN a": (500, 500, 500, 500, 500),
    b"AUTH PLAIN": (500, 500, 500, 500, 500),
    b"": (500, 500, 500, 500, 500),
}


@pytest.mark.parametrize("command", ORDER)
@pytest.mark.parametrize("number", range(len(STATES)))
def test_each_command_in_each_state(command, number):
    of = session()
    play(of, *filter(None, [[*STATES.values()][number]]))
    _, sent = play(of, command + b"\r\n")
    assert codes(sent) == [ORDER[command][number]]


@pytest.mark.parametrize("state", ["MAIL", "RCPT", "CHUNKS"])
@pytest.mark.parametrize("command", [b"RSET", b"LHLO me", b"QUIT"])
def test_a_message_that_had_begun_is_forgotten(state, command):
    of = session()
    play(of, STATES[state])
    events, _ = play(of, command + b"\r\n")
    assert isinstance(events[0], Reset)
    assert (of.mail, of.accepted) == (None, [])
    if command != b"QUIT":
        assert codes(play(of, b"RCPT TO:<b@y>\r\n")[1]) == [503]
        assert codes(play(of, b"MAIL FROM:<a@x>\r\n")[1]) == [250]


def test_lmtp_answers_for_each_recipient():
    of = hello()
    events, sent = play(
        of,
        b"MAIL FROM:<a@x> BODY=8BITMIME\r\nRCPT TO:<b@y>\r\nRCPT TO:<never@y>\r\n"
        b"RCPT TO:<c@y>\r\nDATA\r\n",
    )
    assert sent == b"".join(one.octets() for one in (GOOD, GOOD, NEVER, GOOD, GO_ON))
    assert events[0] == MailBegin(Mail(b"<a@x>", (b"BODY=8BITMIME",)))
    assert events[1:4] == [
        Recipient(Rcpt(path, (), path[1:-1].decode()))
        for path in (b"<b@y>", b"<never@y>", b"<c@y>")
    ]
    assert [rcpt.address for rcpt in of.accepted] == ["b@y", "c@y"]
    accepted = of.accepted
    of.receive(MESSAGE + b".\r\n")
    assert of.next_event() == DataChunk(MESSAGE.replace(b"\r\n.", b"\r\n"))
    assert isinstance(of.next_event(), MessageEnd)
    for wrong in ((), (GOOD,), (GOOD,) * 3):
        with pytest.raises(ValueError, match="2 replies are wanted"):
            of.answer(*wrong)
    of.answer(LATER, GOOD)
    assert of.data_to_send() == LATER.octets() + GOOD.octets()
    assert (of.mail, of.accepted, len(accepted)) == (None, [], 2)
    with pytest.raises(RuntimeError):
        of.answer(GOOD)


def test_smtp_answers_once():
    of = hello(lmtp=False)
    _, sent = play(of, ENVELOPE + b"RCPT TO:<c@y>\r\nDATA\r\n", MESSAGE + b".\r\nQUIT\r\n")
    assert codes(sent) == [250, 250, 250, 354, 250, 221]


def test_replies_to_pipelined_commands_come_together():
    of = hello()
    of.receive(ENVELOPE + b"NOOP\r\nDATA\r\n")
    pump(of)
    assert codes(of.data_to_send()) == [250, 250, 250, 354]


def test_nothing_goes_on_before_the_answer():
    of = hello()
    of.receive(ENVELOPE + b"DATA\r\n")
    for kind in (MailBegin, Recipient, DataBegin):
        event = of.next_event()
        assert isinstance(event, kind)
        assert of.waits is event
        of.receive(b"NOOP\r\n" if kind is not DataBegin else b".\r\n")
        assert of.next_event() is None
        assert of.data_to_send() == b""
        of.answer(GO_ON if kind is DataBegin else GOOD)
        assert of.data_to_send()
    assert isinstance(of.next_event(), DataChunk)  # "NOOP", behind DATA
    assert isinstance(of.next_event(), MessageEnd)


def test_a_refused_sender_leaves_no_message():
    of = hello()
    events, sent = play(of, b"MAIL FROM:<later@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nRSET\r\n")
    assert codes(sent) == [451, 503, 503, 250]
    assert [type(event) for event in events] == [MailBegin]


def test_data_needs_a_recipient():
    of = hello()
    _, sent = play(of, b"MAIL FROM:<a@x>\r\nRCPT TO:<later@y>\r\nDATA\r\n")
    assert said(sent) == ["250 2.1.0", "451 4.3.0", "503 5.5.1"]
    assert codes(play(of, b"RCPT TO:<b@y>\r\nDATA\r\n")[1]) == [250, 354]


def test_refused_data_ends_the_message():
    of = hello()
    events, sent = play(of, b"MAIL FROM:<empty@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nMAIL FROM:<a@x>\r\n")
    assert codes(sent) == [250, 250, 451, 250]
    assert not [event for event in events if isinstance(event, Reset)]


@pytest.mark.parametrize("lmtp", [True, False])
def test_bdat(lmtp):
    of = hello(lmtp=lmtp)
    pieces = (b"BDAT 7\r\n.\r\nab\r\n", b"BDAT 0\r\nBDAT 5\r\n\r\n.\r\nBDAT 3 LAST\r\n\0\n.")
    events, sent = play(of, ENVELOPE + b"RCPT TO:<c@y>\r\n", *pieces)
    assert content(events) == [b".\r\nab\r\n\r\n.\r\n\0\n."]
    assert codes(sent) == [250] * 3 + [250] * 3 + [250] * (2 if lmtp else 1)
    events, sent = play(of, ENVELOPE + b"bdat 0 last\r\n")
    assert content(events) == [b""]
    assert codes(sent) == [250, 250, 250]


def test_a_refused_chunk_is_swallowed():
    of = hello()
    _, sent = play(of, b"MAIL FROM:<a@x>\r\nRCPT TO:<never@y>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    assert codes(sent) == [250, 550, 503, 250]
    mail = b"RSET\r\nMAIL FROM:<empty@x>\r\nRCPT TO:<b@y>\r\n"
    _, sent = play(of, mail + b"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    assert codes(sent) == [250, 250, 250, 451, 503, 250]
    of = hello(extensions={})
    assert codes(play(of, ENVELOPE + b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")[1]) == [250, 250, 503, 250]


@pytest.mark.parametrize(
    "chunk", [b"BDAT", b"BDAT x", b"BDAT -1", b"BDAT 1 FIRST", b"BDAT 1 LAST LAST", b"BDAT +1",
              b"BDAT " + b"9" * 21, "BDAT ²".encode()]
)  # fmt: skip
@pytest.mark.parametrize("envelope", [ENVELOPE, b""])
def test_a_chunk_of_unknown_size_ends_the_session(chunk, envelope):
    of = hello()
    events, sent = play(of, envelope + chunk + b"\r\nNOOP\r\n")
    assert said(sent)[-1] == "501 5.5.4"
    assert isinstance(events[-1], Quit)
    assert of.ended


def test_binary_content_needs_bdat():
    of = hello()
    mail = b"MAIL FROM:<a@x> BODY=binarymime\r\nRCPT TO:<b@y>\r\n"
    _, sent = play(of, mail + b"DATA\r\nBDAT 1 LAST\r\nx")
    assert codes(sent) == [250, 250, 503, 250]


@pytest.mark.parametrize(
    ("parameter", "needs"),
    [(b"SIZE=17", b"SIZE"), (b"BODY=8BITMIME", b"8BITMIME"), (b"BODY=7bit", b"8BITMIME"),
     (b"SMTPUTF8", b"SMTPUTF8"), (b"ret=FULL", b"DSN"), (b"ENVID=a", b"DSN"), (b"AUTH=<>", b"AUTH"),
     (b"UNHEARD=1", None)],
)  # fmt: skip
def test_parameters_of_mail_must_be_announced(parameter, needs):
    line = b"MAIL FROM:<a@x> " + parameter + b"\r\n"
    assert said(play(hello(extensions={}), line)[1]) == ["555 5.5.4"]
    if needs:
        events, sent = play(hello(extensions={needs: b""}), line)
        assert codes(sent) == [250]
        assert events == [MailBegin(Mail(b"<a@x>", (parameter,)))]


@pytest.mark.parametrize("parameter", [b"NOTIFY=SUCCESS,FAILURE", b"ORCPT=rfc822;B+2B@y"])
def test_parameters_of_rcpt_must_be_announced(parameter):
    lines = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y> " + parameter + b"\r\n"
    assert said(play(hello(extensions={}), lines)[1]) == ["250 2.1.0", "555 5.5.4"]
    events, _ = play(hello(), lines)
    assert events[1] == Recipient(Rcpt(b"<b@y>", (parameter,), "b@y"))


@pytest.mark.parametrize(
    ("line", "reply"),
    [(b"MAIL FROM:<a@x> SIZE=x", "501 5.5.4"), (b"MAIL FROM:<a@x> SIZE", "501 5.5.4"),
     (b"MAIL FROM:<a@x> BODY=9BIT", "501 5.5.4"), (b"MAIL FROM:<a@x> SMTPUTF8=1", "501 5.5.4"),
     (b"MAIL FROM:<a@x> RET", "501 5.5.4"), (b"MAIL FROM:<a", "501 5.1.7"),
     (b"MAIL", "501 5.5.4"), (b"MAIL TO:<a@x>", "501 5.5.4"),
     (b"MAIL FROM:<\xc3\xa4@x>", "553 5.6.7"), (b"LHLO", "501 5.5.4"), (b"LHLO \0", "501 5.5.4"),
     (b"STARTTLS now", "501 5.5.4"), (b"XFORWARD", "501 5.5.4"), (b"XFORWARD X=1", "501 5.5.4"),
     (b"XCLIENT NAME=+", "501 5.5.4"), (b"XCLIENT HELO=a", "501 5.5.4")],
)  # fmt: skip
def test_wrong_syntax(line, reply):
    assert said(play(hello(), line + b"\r\n")[1]) == [reply]


def test_utf8_in_addresses_goes_with_smtputf8():
    rcpt = "RCPT TO:<ä@y.example>\r\n".encode()
    assert said(play(hello(), b"MAIL FROM:<a@x>\r\n" + rcpt)[1])[1] == "553 5.6.7"
    events, sent = play(hello(), b"MAIL FROM:<a@x> SMTPUTF8\r\n" + rcpt)
    assert codes(sent) == [250, 250]
    assert events[1].rcpt.address == "ä@y.example"
    assert said(play(hello(), b"MAIL FROM:<a@x>\r\nRCPT TO:<>\r\n")[1])[1] == "501 5.1.3"
    assert said(play(hello(), b"MAIL FROM:<a@x>\r\nDATA now\r\n")[1])[1] == "503 5.5.1"
    assert said(play(hello(), ENVELOPE + b"DATA now\r\n")[1])[2] == "501 5.5.4"


def test_xforward_and_xclient():
    of = hello()
    raw = b"NAME=spike.example ADDR=192.0.2.7 HELO=[UNAVAILABLE] IDENT=4A+2B7"
    events, sent = play(of, b"xforward " + raw + b"\r\n")
    attributes = {
        b"NAME": b"spike.example",
        b"ADDR": b"192.0.2.7",
        b"HELO": None,
        b"IDENT": b"4A+7",
    }
    assert (events, codes(sent)) == ([XForward(attributes, raw)], [250])
    events, sent = play(of, b"XCLIENT ADDR=192.0.2.7\r\nMAIL FROM:<a@x>\r\n")
    assert isinstance(events[0], Reset)  # what was told is of the client before
    assert events[1:] == [XClient({b"ADDR": b"192.0.2.7"}, b"ADDR=192.0.2.7")]
    assert sent.startswith(b"220 mx.example.org LMTP\r\n503 5.5.1 ")
    assert of.client is None
    for command in (b"XFORWARD NAME=a\r\n", b"XCLIENT NAME=a\r\n", b"STARTTLS\r\n"):
        assert said(play(hello(extensions={}), command)[1]) == ["500 5.5.1"]


@pytest.mark.parametrize("command", [b"RSET", b"LHLO me", b"XCLIENT NAME=b"])
def test_what_xforward_told_is_forgotten_with_the_message_that_never_began(command):
    of = hello()
    xforward, again = b"XFORWARD NAME=a\r\n", command + b"\r\n"
    assert [type(one) for one in play(of, xforward + again)[0][:2]] == [XForward, Reset]
    of = hello()
    assert Reset not in [type(one) for one in play(of, again)[0]]
    whole = ENVELOPE + b"DATA\r\n" + MESSAGE + b".\r\n"
    assert Reset not in [type(one) for one in play(of, xforward + whole + again)[0]]


def test_lines_may_end_with_lf():
    assert codes(play(session(), b"LHLO me\nNOOP\nQUIT\n")[1]) == [250, 250, 221]


# Sessions with something of everything; each is cut at each byte.
SESSIONS = {
    "lmtp": (
        b"LHLO me\r\nXFORWARD NAME=a\r\nmail from:<a@x> SIZE=17\r\nRCPT TO:<b@y>\r\n"
        b"RCPT TO:<never@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n" + MESSAGE + b".\r\n.\r\n"
        b"MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<lost@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"
        b".\r\nQUIT\r\nNOOP\r\n"
    ),
    "chunks": (
        b"LHLO me\nMAIL FROM:<a@x>\r\nBDAT 5\r\nNOOP\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\n"
        b"BDAT 3\r\n\r\n.BDAT 2 LAST\r\n\r\nMAIL FROM:<empty@x>\r\nRCPT TO:<b@y>\r\nBDAT 2\r\nxy"
        b"DATA\r\nRSET\r\nBDAT x\r\n"
    ),
    "limits": (
        b"LHLO me\r\nNOOP " + b"a" * 100 + b"\r\nMAIL FROM:<a@x> SIZE=41\r\nMAIL FROM:<a@x>\r\n"
        b"RCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nRCPT TO:<d@y>\r\nDATA\r\n" + b"a\r\n" * 14 + b"."
        b"\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 39\r\n"
        + b"a"
        * 39
        + b"BDAT 2 LAST\r\nbbNOOP\r\n"
        b"LHLO \r\n\r\nx\r\nGET / HTTP/1.0\r\nNOOP\r\n"
    ),
    "lost": b"LHLO me\r\n" + ENVELOPE + b"DATA\r\nabc\r\n.\r",
}


def outcome(wire, *cuts):
    of = session(limits=Limits(size=40, recipients=2, line=64, errors=6))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    events, sent = play(of, *filter(None, pieces), b"")
    return without_resets(events), sent


def without_resets(events):
    """How much of a message came before it was forgotten depends on the cuts."""
    return [
        event
        for event, then in zip(events, [*events[1:], None], strict=True)
        if not (isinstance(event, DataChunk) and isinstance(then, Reset))
    ]


@pytest.mark.parametrize("name", SESSIONS)
def test_each_cut_gives_the_same(name):
    wire = SESSIONS[name]
    expected = outcome(wire)
    replies(expected[1])
    assert isinstance(expected[0][-1], Quit)
    for cuts in [*((at,) for at in range(1, len(wire))), range(1, len(wire))]:
        assert outcome(wire, *cuts) == expected, cuts


def test_each_two_cuts_give_the_same():
    wire = b"LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b>\r\nDATA\r\n..\r\n.\n.\r\n.\r\nQUIT\r\n"
    expected = outcome(wire)
    assert content(expected[0]) == [b".\r\n\n.\r\n"]
    for cuts in combinations(range(1, len(wire)), 2):
        assert outcome(wire, *cuts) == expected, cuts


def test_what_the_sessions_with_limits_answer():
    """So that the cuts above compare what is right."""
    assert codes(outcome(SESSIONS["limits"])[1]) == [
        250, 500, 552, 250, 250, 250, 452, 354, 552, 552, 250, 250, 250, 552, 250, 501, 500, 500,
        421,
    ]  # fmt: skip
    assert codes(outcome(SESSIONS["chunks"])[1]) == [
        250, 250, 503, 250, 250, 250, 250, 250, 250, 250, 451, 503, 250, 501,
    ]  # fmt: skip
    assert codes(outcome(SESSIONS["lmtp"])[1]) == [
        250, 250, 250, 250, 550, 250, 354, 250, 250, 500, 250, 250, 250, 250, 354, 451, 221,
    ]  # fmt: skip
