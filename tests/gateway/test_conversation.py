"""What is said to the next hop, without a socket: a script of replies, and what becomes of them."""

from __future__ import annotations

import pytest

from cmstream.gateway.protocol.conversation import (
    LOST,
    ODD,
    UNSAFE,
    Content,
    Lost,
    greet,
    transaction,
)
from cmstream.gateway.protocol.envelope import Mail, Rcpt
from cmstream.gateway.protocol.replies import ProtocolError, Reply

PLAIN = {b"8BITMIME": b"", b"DSN": b""}
PIPELINING = {**PLAIN, b"PIPELINING": b"", b"SIZE": b"1000"}
BDAT = {**PIPELINING, b"CHUNKING": b""}
MAIL = Mail(b"<a@example.org>", (b"BODY=8BITMIME", b"SIZE=17"))
BOB = Rcpt(b"<bob@example.org>", (b"NOTIFY=NEVER",), "bob@example.org")
EVE = Rcpt(b"<eve@example.org>", (), "eve@example.org")

OK = Reply.of(250, "2.0.0", "OK")
SAVED = Reply.of(250, "2.0.0", "saved")
GO_ON = Reply.of(354, "", "go on")
UNKNOWN = Reply.of(550, "5.1.1", "unknown")
LATER = Reply.of(452, "4.2.2", "full")
DENIED = Reply.of(530, "5.7.0", "no")
NOBODY = Reply.of(503, "5.5.1", "no recipients")


def content(data=b"one\r\n.two\r\n", *, lookalike=False):
    return Content(len(data), lambda: iter((data[:4], data[4:])), lookalike)


class Played:
    """A conversation with a next hop that follows a script, and then ends the connection."""

    def __init__(self, steps, replies):
        self.said, self.steps = b"", 0
        replies = list(replies)
        try:
            step = next(steps)
            while True:
                self.steps += 1
                self.said += b"".join(map(bytes, step.send))
                if len(replies) < step.replies:
                    step = steps.throw(Lost(replies))
                    replies = []
                else:
                    given, replies = replies[: step.replies], replies[step.replies :]
                    step = steps.send(given)
        except StopIteration as end:
            self.gave = end.value
        self.unread = replies


def played(features, replies, *, lmtp=True, rcpts=(BOB, EVE), message=None):
    steps = transaction(features, lmtp, MAIL, rcpts, message or content())
    return Played(steps, replies)


ENVELOPE = (
    b"MAIL FROM:<a@example.org> BODY=8BITMIME SIZE=11\r\n"
    b"RCPT TO:<bob@example.org> NOTIFY=NEVER\r\nRCPT TO:<eve@example.org>\r\n"
)


def test_bdat_goes_out_in_one_piece():
    found = played(BDAT, [OK, OK, OK, SAVED, LATER])
    assert found.said == ENVELOPE + b"BDAT 11 LAST\r\none\r\n.two\r\n"
    assert found.gave == [SAVED, LATER]
    assert not found.unread


def test_pipelined_data_waits_once_for_the_354():
    found = played(PIPELINING, [OK, OK, OK, GO_ON, SAVED, LATER])
    assert found.said == ENVELOPE + b"DATA\r\none\r\n..two\r\n.\r\n"
    assert found.steps == 2
    assert found.gave == [SAVED, LATER]


def test_without_pipelining_each_command_waits():
    found = played(PLAIN, [OK, OK, OK, GO_ON, SAVED, LATER])
    assert found.said == ENVELOPE.replace(b" SIZE=11", b"") + b"DATA\r\none\r\n..two\r\n.\r\n"
    assert found.steps == 5
    assert found.gave == [SAVED, LATER]


@pytest.mark.parametrize("features", [PLAIN, PIPELINING])
def test_replies_stay_with_their_recipients(features):
    found = played(features, [OK, UNKNOWN, OK, GO_ON, SAVED])
    assert found.gave == [UNKNOWN, SAVED]
    assert played(features, [OK, OK, UNKNOWN, GO_ON, SAVED]).gave == [SAVED, UNKNOWN]


def test_replies_stay_with_their_recipients_with_bdat():
    assert played(BDAT, [OK, UNKNOWN, OK, SAVED]).gave == [UNKNOWN, SAVED]
    assert played(BDAT, [OK, UNKNOWN, LATER, NOBODY]).gave == [UNKNOWN, LATER]
    assert played(BDAT, [DENIED, NOBODY, NOBODY, NOBODY]).gave == [DENIED, DENIED]


def test_smtp_has_one_reply_for_all():
    found = played(PIPELINING, [OK, OK, UNKNOWN, GO_ON, SAVED], lmtp=False)
    assert found.gave == [SAVED, UNKNOWN]
    assert not found.unread


def test_a_refusal_of_mail_is_everybodys():
    assert played(PIPELINING, [DENIED, NOBODY, NOBODY, NOBODY]).gave == [DENIED, DENIED]
    assert played(PLAIN, [DENIED]).gave == [DENIED, DENIED]


def test_a_refusal_of_data_is_that_of_accepted_recipients():
    assert played(PIPELINING, [OK, OK, UNKNOWN, LATER]).gave == [LATER, UNKNOWN]
    assert played(PLAIN, [OK, OK, UNKNOWN, LATER]).gave == [LATER, UNKNOWN]


def test_content_that_nobody_is_to_get_is_never_sent():
    found = played(PIPELINING, [OK, UNKNOWN, UNKNOWN, GO_ON, NOBODY])
    assert found.said == ENVELOPE + b"DATA\r\n.\r\n"
    assert found.gave == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("features", [PLAIN, PIPELINING, BDAT], ids=["plain", "pipelining", "bdat"])
@pytest.mark.parametrize("count", range(6))
def test_a_lost_connection_is_no_success(features, count):
    """Whatever was said before: what has no answer of its own gets a temporary failure."""
    script = [OK, OK, OK, *([] if b"CHUNKING" in features else [GO_ON]), SAVED, LATER]
    gave = played(features, script[:count]).gave
    whole = count >= len(script) - 1
    assert gave[0] == (SAVED if whole else LOST)
    assert gave[1] == (LATER if count >= len(script) else LOST)


def test_a_421_in_the_middle_is_handed_on():
    leaving = Reply.of(421, "4.3.2", "shutting down")
    assert played(PIPELINING, [leaving]).gave == [leaving, leaving]
    assert played(BDAT, [OK, leaving]).gave == [leaving, LOST]


@pytest.mark.parametrize("odd", [Reply.of(354, "", "?"), Reply.of(220, "", "?")])
def test_what_is_no_answer_to_a_message_is_no_success(odd):
    gave = played(PIPELINING, [OK, OK, OK, odd, odd, odd]).gave
    assert all(one is ODD or one.kind == 2 for one in gave)
    assert played(PIPELINING, [OK, odd, odd, GO_ON, OK]).gave[0].kind in (2, 4)


def test_a_lookalike_needs_bdat():
    message = content(b"a\n.\r\nb\r\n", lookalike=True)
    assert played(PIPELINING, [], message=message).gave == [UNSAFE, UNSAFE]
    assert played(BDAT, [OK, OK, OK, SAVED, SAVED], message=message).gave == [SAVED, SAVED]
    only_chunking = {**PLAIN, b"CHUNKING": b""}
    found = played(only_chunking, [OK, OK, OK, SAVED, SAVED], message=message)
    assert found.said.endswith(b"BDAT 8 LAST\r\na\n.\r\nb\r\n")


def test_an_empty_message_has_its_end():
    empty = Content(0, lambda: iter(()))
    assert played(BDAT, [OK, OK, OK, SAVED, SAVED], message=empty).said.endswith(b"BDAT 0 LAST\r\n")
    found = played(PIPELINING, [OK, OK, OK, GO_ON, SAVED, SAVED], message=empty)
    assert found.said.endswith(b"DATA\r\n.\r\n")


def test_greeting():
    announced = Reply(250, (b"next.example", b"PIPELINING", b"size 1000", b"Chunking"))
    found = Played(greet(True, "gate"), [Reply.of(220, "", "hello"), announced])
    assert found.said == b"LHLO gate\r\n"
    assert found.gave == {b"PIPELINING": b"", b"SIZE": b"1000", b"CHUNKING": b""}
    with pytest.raises(ProtocolError, match="doesn't greet"):
        Played(greet(True, "gate"), [Reply.of(421, "4.3.2", "busy")])


def test_an_old_server_is_greeted_by_helo():
    found = Played(greet(False, "gate"), [OK, UNKNOWN, OK])
    assert found.said == b"EHLO gate\r\nHELO gate\r\n"
    assert found.gave == {}


def test_what_the_next_hop_has_no_more_is_no_reason_to_bounce():
    for missing in (b"8BITMIME", b"DSN"):
        features = {name: b"" for name in BDAT if name != missing}
        found = played(features, [])
        assert found.said == b""
        assert [one.code for one in found.gave] == [451, 451]


def test_a_reply_of_no_use_is_a_temporary_failure():
    for features in (PLAIN, PIPELINING):
        for replies in ([GO_ON], [OK, GO_ON, GO_ON]):
            more = [DENIED] * (4 - len(replies)) if features is PIPELINING else []
            gave = played(features, replies + more).gave
            assert all(one.kind in (4, 5) for one in gave)
