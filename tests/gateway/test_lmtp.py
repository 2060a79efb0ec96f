"""LMTP in and out: who gets what, and whose word each reply is."""

from __future__ import annotations

import time
from functools import partial

import pytest

from helpers.servers.mail import ALICE, BOB, CAROL, DORA, EVE, SECRET, TEXT, Cell
from helpers.servers.next_hop import NextHop
from helpers.servers.relay import NO_CHUNKING, fixtures, forget_lookups, long, opened, text

NOT_NOW = "451 4.3.0 this mail can't be sealed now: try again"


_lmtp, lmtp = fixtures("lmtp")


def test_each_reply_is_the_next_hops_and_they_come_in_order(lmtp):
    said = {
        ALICE: "250 2.0.0 alice saved",
        DORA: "452 4.2.2 dora's box is full",
        CAROL: "552-5.2.2 carol\r\n552-5.2.2 has no room\r\n552 5.2.2 at all",
        BOB: "250 2.1.9 bob",
        "bob+x@example.org": "450 4.2.1 later",
    }

    def answer(transaction, address):
        time.sleep(0.3 if address == ALICE else 0)  # hers comes last
        return said[address]

    lmtp.hop.answers["dot"] = answer
    asked = [BOB, EVE, ALICE, CAROL, DORA, "bob+x@example.org"]
    replies = lmtp.send(asked)
    expected = [said.get(one, NOT_NOW).replace("\r\n", "\n") for one in asked]
    assert replies == expected


def test_one_transaction_for_each_account_and_one_for_all_others(lmtp):
    message = text()
    asked = [BOB, "info@example.org", DORA, CAROL, "Alice+boat@Example.org", "x@shop.example.org"]
    assert all(one.startswith("250") for one in lmtp.send(asked, message))
    arrived = {tuple(one.addresses): one for one in lmtp.wait(3)}
    left = arrived.pop((BOB, CAROL))
    assert left.message == message
    assert opened(arrived.pop(("info@example.org", "Alice+boat@Example.org"))).endswith(
        message.partition(b"\r\n\r\n")[2]
    )
    opened(arrived.pop((DORA, "x@shop.example.org")), 2)
    assert not arrived


def test_long_mail_for_several_accounts_is_whole_for_each(lmtp):
    """Each of them reads the same file."""
    message = long()
    body = message.partition(b"\r\n\r\n")[2]
    assert all(one.startswith("250") for one in lmtp.send([BOB, ALICE, DORA, CAROL], message))
    arrived = {tuple(one.addresses): one for one in lmtp.wait(3)}
    assert arrived[BOB, CAROL].message == message
    assert opened(arrived[(ALICE,)]).endswith(body)
    assert opened(arrived[(DORA,)], 2).endswith(body)


@pytest.mark.parametrize("event", ["MAIL", "RCPT", "DATA", "dot"])
@pytest.mark.parametrize("reply", ["450 4.2.1 not today", "550 5.7.1 never"])
def test_a_refusal_is_handed_on_wherever_it_comes(event, reply, lmtp, by_data):
    at = by_data if event == "DATA" else lmtp
    at.hop.answers[event] = reply
    assert at.send([ALICE, BOB]) == [reply, reply]
    at.hop.answers.clear()
    assert at.send([ALICE])[0].startswith("250")


def test_a_recipient_whom_the_next_hop_refuses_keeps_the_others_out_of_it(lmtp):
    lmtp.hop.answers["RCPT"] = {CAROL: "550 5.1.1 unknown", "bob+x@example.org": "451 4.1.1 wait"}
    replies = lmtp.send([CAROL, BOB, "bob+x@example.org", ALICE])
    assert replies[0::2] == ["550 5.1.1 unknown", "451 4.1.1 wait"]
    assert [one[:3] for one in replies[1::2]] == ["250", "250"]


ODD = {
    "8-bit and NUL": TEXT + bytes(range(256)).replace(b"\n", b"").replace(b"\r", b"") + b"\r\n",
    "bare CR and LF": TEXT + b"one\ntwo\rthree\r\r\n\n\r\nfour\r\n",
    "dots": TEXT + b".\r\n..\r\n.x\r\n\r\n.\r\n",
    "endless line": TEXT + b"x" * 100_000 + b"\r\n",
    "header alone": b"Content-Type: text/plain\r\n",
    "no header": b"no field here\r\n",
    "one line end": b"\r\n",
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("chunking", [True, False])
def test_what_is_left_arrives_octet_for_octet(kind, chunking, lmtp, by_data):
    at = lmtp if chunking else by_data
    message = Cell(BOB, "odd").message(ODD[kind]) if kind[:2] != "no" else ODD[kind]
    assert at.send([BOB], message)[0].startswith("250")
    (arrived,) = at.wait()
    assert arrived.message == message
    assert arrived.pieces == chunking


_by_data, by_data = fixtures("by_data", hop=partial(NextHop, "lmtp", extensions=NO_CHUNKING))


LOOK_ALIKES = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n"]


@pytest.mark.parametrize("end", LOOK_ALIKES)
def test_what_looks_like_the_end_of_a_message_never_leaves_by_data(end, by_data):
    message = Cell(BOB, "end").message(TEXT + b"first" + end + b"MAIL FROM:<x>\r\nsecond\r\n")
    assert by_data.send([BOB], message)[0].startswith("554 5.6.0")
    assert not by_data.hop.transactions
    assert by_data.send([ALICE], message)[0].startswith("250")
    assert len(by_data.wait()) == 1


@pytest.mark.parametrize("end", LOOK_ALIKES)
def test_by_bdat_it_arrives_as_it_is(end, lmtp):
    message = Cell(BOB, "end").message(TEXT + b"first" + end + b"MAIL FROM:<x>\r\nsecond\r\n")
    assert lmtp.send([BOB], message)[0].startswith("250")
    (arrived,) = lmtp.wait()
    assert arrived.message == message


def test_what_can_not_be_sealed_is_refused_for_those_alone(lmtp):
    message = b"X: " + b"x" * (5 << 20) + b"\r\n\r\nbody\r\n"
    replies = lmtp.send([ALICE, BOB], message)
    assert replies[0] == "554 5.6.0 this mail can't be sealed as it is"
    assert replies[1].startswith("250")
    assert [one.addresses for one in lmtp.wait()] == [[BOB]]


def test_an_empty_message_is_answered_for_each(lmtp):
    with lmtp.client() as client:
        assert client.command("MAIL FROM:<>") == "250 2.1.0 OK"
        for one in (ALICE, BOB):
            client.command(f"RCPT TO:<{one}>")
        client.say("BDAT 0 LAST")
        assert client.reply()[:3] == "554"
        assert client.reply()[:3] == "250"


def test_the_envelope_goes_on_as_it_came_but_for_the_size(lmtp):
    message = text()
    options = ["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ+2B1", f"SIZE={len(message)}"]
    each = ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;Alice+2Bx@Example.org"]
    sent = lmtp.send(["Alice+x@Example.org"], message, options=options, each=each)
    assert sent[0].startswith("250")
    (arrived,) = lmtp.wait()
    words = arrived.mail.split()
    assert words[:-1] == [b"<bob@example.net>", b"BODY=8BITMIME", b"RET=HDRS", b"ENVID=QQ+2B1"]
    assert words[-1] == b"SIZE=%d" % len(arrived.message)
    assert arrived.recipients[0].line == b"<Alice+x@Example.org> " + " ".join(each).encode()


def test_several_messages_over_one_connection_and_a_goodbye(lmtp):
    with lmtp.client() as client:
        for _ in range(3):
            assert client.send([ALICE, BOB], text())[ALICE].startswith("250")
            assert client.command("RSET").startswith("250")
        assert client.quit() == "221 2.0.0 Bye"
    assert len(lmtp.wait(6)) == 6


def test_commands_that_come_together_are_answered_together(lmtp):
    with lmtp.client() as client:
        message = b"MAIL FROM:<a@b>\r\nRCPT TO:<%b>\r\nDATA\r\n%b.\r\n" % (ALICE.encode(), text())
        client.socket.sendall(message * 3 + b"QUIT\r\n")
        assert [client.reply()[:3] for _ in range(13)] == ["250", "250", "354", "250"] * 3 + ["221"]


def test_a_locked_store_defers_all(lmtp):
    with lmtp.locked():
        assert lmtp.send([ALICE, BOB, DORA]) == [NOT_NOW] * 3
    assert not lmtp.hop.transactions
    forget_lookups()
    assert lmtp.send([ALICE])[0].startswith("250")


def test_a_store_that_is_gone_defers_all(lmtp):
    kept = lmtp.database.with_suffix(".kept")
    lmtp.database.rename(kept)
    forget_lookups()
    try:
        assert lmtp.send([ALICE, BOB]) == [NOT_NOW] * 2
        assert not lmtp.hop.transactions
    finally:
        kept.rename(lmtp.database)
    forget_lookups()
    assert lmtp.send([ALICE])[0].startswith("250")


# --- settings


_strict, strict = fixtures(
    "strict", "--require", "--domain", "example.org", "--received", "--hop-limit", "3"
)


def test_required_sealing_keeps_back_what_would_be_left(strict):
    replies = strict.send([BOB, ALICE, CAROL])
    assert [one[:9] for one in replies] == ["451 4.7.1", "250 2.0.0", "451 4.7.1"]
    assert [one.addresses for one in strict.wait()] == [[ALICE]]


def test_what_is_sealed_already_is_enough(strict):
    strict.send([ALICE])
    (arrived,) = strict.wait()
    assert strict.send([ALICE], arrived.message)[0].startswith("250")
    assert strict.wait(2)[1].message.endswith(arrived.message)


def test_a_recipient_without_a_domain_gets_one_for_the_lookup_alone(strict):
    assert strict.send(["alice"])[0].startswith("250")
    (arrived,) = strict.wait()
    assert arrived.addresses == ["alice"]
    opened(arrived)


def test_a_field_of_its_own_and_no_circles(strict):
    assert strict.send([ALICE], b"Received: x\r\n" * 2 + text())[0].startswith("250")
    (arrived,) = strict.wait()
    assert arrived.message.startswith(b"Received: from client\r\n\tby ")
    assert b"with LMTP;" in arrived.message
    assert strict.send([ALICE], b"Received: x\r\n" * 3 + text())[0].startswith("554 5.4.6")
    assert len(strict.hop.transactions) == 1


def test_nothing_in_the_clear_was_seen_for_anybody_protected(lmtp, strict, by_data):
    for one in (lmtp, strict, by_data):
        one.send([ALICE])
        assert SECRET not in one.wait()[-1].message
