"""SMTP in and out: one reply for all, so one transaction has those who get the same message."""

from __future__ import annotations

import time
from functools import partial

import pytest

import cmstream
from cmstream.accounts import create_store
from helpers.accounts.support import ADMINISTRATOR
from helpers.people import identity, person
from helpers.servers.conversation import DROP
from helpers.servers.mail import ALICE, BOB, CAROL, DORA, EVE, SECRET, TEXT, Cell
from helpers.servers.next_hop import NextHop
from helpers.servers.place import wait
from helpers.servers.relay import NO_CHUNKING, fixtures, forget_lookups, long, opened, relay, text

ANOTHER = "452 4.5.3"


_smtp, smtp = fixtures("smtp", protocol="smtp")


_split, split = fixtures(
    "split", "--mixed", "split", "--received", "--hop-limit", "3", "--xforward", protocol="smtp",
    hop=partial(NextHop, "smtp", extensions=(*NO_CHUNKING, "XFORWARD NAME ADDR IDENT")),
)  # fmt: skip


def test_who_is_sealed_for_and_who_is_not_need_a_transaction_each(smtp):
    message = text()
    replies = smtp.send([ALICE, BOB, "info@example.org", CAROL], message)
    assert [one[:9] for one in replies] == ["250 2.0.0", ANOTHER, "250 2.0.0", ANOTHER]
    assert smtp.send([BOB, ALICE, CAROL], message)[1].startswith(ANOTHER)
    sealed, left = smtp.wait(2)
    assert sealed.addresses == [ALICE, "info@example.org"]
    assert opened(sealed).endswith(message.partition(b"\r\n\r\n")[2])
    assert left.addresses == [BOB, CAROL]
    assert left.message == message


def test_several_accounts_get_one_message_that_opens_for_each(smtp):
    assert all(one.startswith("250") for one in smtp.send([ALICE, DORA]))
    (arrived,) = smtp.wait()
    assert arrived.addresses == [ALICE, DORA]
    assert opened(arrived, 0) == opened(arrived, 2)


def asked(client, times):
    """A transaction for one account begins; what becomes of another one in it."""
    client.command("MAIL FROM:<bob@example.net>")
    client.command(f"RCPT TO:<{ALICE}>")
    return [client.command(f"RCPT TO:<{DORA}>") for _ in range(times)]


def test_split_asks_for_another_copy_fifteen_times_at_most(split):
    with split.client() as client:
        for transaction in range(3):
            replies = asked(client, 7)
            refused = sum(one.startswith(ANOTHER) for one in replies)
            assert refused == (7, 7, 1)[transaction]
            assert replies[refused:] == ["250 2.1.5 recipient ok"] * (7 - refused)
            client.command("RSET")


def test_refusals_are_counted_anew_once_a_message_went_through(split):
    """As mail servers count their clients' errors; a session may last for days."""
    with split.client() as client:
        for _ in range(3):
            replies = asked(client, 7)
            assert all(one.startswith(ANOTHER) for one in replies)
            client.command("DATA")
            assert client.command("A: b\r\n\r\n.").startswith("250")


def test_refusals_are_counted_anew_for_another_client():
    with relay("--mixed", "split", "--xclient", protocol="smtp") as made, made.client() as client:
        for address in ("192.0.2.1", "192.0.2.2"):
            client.command(f"XCLIENT ADDR={address}")
            client.command("EHLO client.example")
            replies = asked(client, 9)
            assert all(one.startswith(ANOTHER) for one in replies)
            client.command("RSET")


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
def test_a_message_goes_to_nobody_of_the_one_before(protocol):
    """Whoever doesn't forget that one gets no other over the same connection."""
    answers = {"RSET": "502 5.5.1 no", "DATA": "452 4.3.1 full"}
    hop = NextHop(protocol, extensions=NO_CHUNKING, answers=answers)
    with relay(protocol=protocol, hop=hop) as made:
        assert made.send([ALICE])[0].startswith("452")
        del hop.answers["DATA"]
        assert made.send([BOB])[0].startswith("250")
        assert [one.addresses for one in made.wait()] == [[BOB]]


def test_mail_and_rcpt_are_answered_by_the_next_hop(smtp):
    smtp.hop.answers["RCPT"] = {CAROL: "550-5.1.1 no\r\n550 5.1.1 such user"}
    replies = smtp.send([CAROL, BOB])
    assert replies == ["550-5.1.1 no\n550 5.1.1 such user", "250 2.0.0 taken"]
    smtp.hop.answers["MAIL"] = "550 5.7.1 not you"
    assert smtp.send([BOB]) == ["550 5.7.1 not you"]
    del smtp.hop.answers["MAIL"]
    smtp.hop.answers["dot"] = "451 4.7.1 greylisted"
    assert smtp.send([BOB, "x@nobody.example"]) == ["451 4.7.1 greylisted"] * 2
    del smtp.hop.answers["dot"]
    assert smtp.send([ALICE])[0].startswith("250")


def test_a_recipient_without_a_usable_certificate_waits_alone(smtp):
    replies = smtp.send([EVE, ALICE])
    assert [one[:9] for one in replies] == ["451 4.3.0", "250 2.0.0"]


@pytest.mark.slow
def test_a_locked_store_defers_the_recipient(smtp):
    with smtp.locked():
        assert smtp.send([ALICE])[0].startswith("451 4.3.0")
    assert not smtp.hop.transactions


def test_messages_and_failures_use_one_connection(smtp):
    smtp.hop.answers["dot"] = lambda done, _: "450 4.2.0 no" if CAROL in done.addresses else None
    with smtp.client() as client:
        for to, code in ((BOB, "250"), (CAROL, "450"), (BOB, "250"), (ALICE, "250")):
            assert client.send([to], text())[to].startswith(code)
        assert client.quit().startswith("221")
    assert len(smtp.wait(4)) == 4
    assert len(smtp.hop.sessions) <= 1  # or one from before


@pytest.mark.parametrize("until", ["MAIL", "RCPT", "DATA"])
def test_a_client_that_goes_away_leaves_nothing_behind(until, smtp):
    """The connection to the next hop is free again, and has forgotten the sender."""
    for _ in range(3):
        with smtp.client() as client:
            client.command("MAIL FROM:<gone@example.net>")
            if until != "MAIL":
                client.command(f"RCPT TO:<{ALICE}>")
            if until == "DATA":
                client.command("DATA")
                client.socket.sendall(text())
    sent = smtp.send([ALICE])
    assert sent[0].startswith("250")
    assert [one.mail for one in smtp.wait()] == [b"<bob@example.net>"]
    assert len(smtp.hop.sessions) <= 2


@pytest.mark.parametrize("event", ["MAIL", "RCPT", "DATA", "body", "dot"])
def test_a_next_hop_that_drops_the_connection_is_a_temporary_failure(event, split):
    split.hop.answers[event] = DROP
    assert split.send([ALICE])[0].startswith("451 4.4.2")
    split.hop.answers.clear()
    assert split.send([ALICE])[0].startswith("250")


@pytest.mark.parametrize("event", ["MAIL", "RCPT"])
def test_a_reply_too_many_never_passes_for_the_last(event, smtp):
    """It comes before the message is there."""
    smtp.hop.answers |= {event: "250 ok\r\n250 ok", "dot": "451 4.2.0 not taken"}
    assert smtp.send([ALICE])[0].startswith("451")
    smtp.hop.answers.clear()
    assert smtp.send([ALICE])[0].startswith("250")


def test_a_client_that_goes_while_the_next_hop_thinks_leaves_nothing_behind(smtp):
    smtp.restart()
    smtp.hop.answers["RCPT"] = lambda *_: time.sleep(0.5)
    with smtp.client() as client:
        client.command("MAIL FROM:<gone@example.net>")
        client.say(f"RCPT TO:<{ALICE}>")
    time.sleep(1)
    smtp.hop.answers.clear()
    assert smtp.send([ALICE])[0].startswith("250")
    assert len(smtp.hop.sessions) == 1


def test_a_long_message(smtp, split):
    message = long()
    for at, to in ((smtp, ALICE), (smtp, BOB), (split, ALICE)):
        at.begin()
        assert at.send([to], message)[0].startswith("250")
        (arrived,) = at.wait()
        if to == BOB:
            assert arrived.message == message
        else:
            assert opened(arrived).endswith(message.partition(b"\r\n\r\n")[2])


def test_circles_are_found_here_too(split):
    assert split.send([ALICE], b"Received: x\r\n" * 3 + text())[0].startswith("554 5.4.6")
    assert split.send([ALICE], b"Received: x\r\n" * 2 + text())[0].startswith("250")
    (arrived,) = split.wait()
    assert b"with ESMTP;" in arrived.message


def test_a_look_alike_of_the_end_is_refused_where_only_data_is_left(split):
    message = Cell(BOB, "end").message(TEXT + b"one\n.\nMAIL FROM:<x>\r\n")
    assert split.send([BOB], message)[0].startswith("554 5.6.0")
    assert split.send([ALICE], message)[0].startswith("250")
    assert [one.addresses for one in split.wait()] == [[ALICE]]


def test_who_the_client_is_goes_on_and_the_queue_id_is_logged(split):
    with split.client() as client:
        assert "XFORWARD" in client.features
        assert client.command("XFORWARD NAME=mx.example.com ADDR=192.0.2.1 IDENT=4XQ2").startswith(
            "250"
        )
        client.send([ALICE], text())
    (arrived,) = split.wait()
    assert arrived.session.xforward == {
        b"NAME": b"mx.example.com", b"ADDR": b"192.0.2.1", b"IDENT": b"4XQ2"
    }  # fmt: skip
    (line,) = split.gateway.logged("queue_id=4XQ2")
    assert "client=192.0.2.1" in line
    assert SECRET.decode() not in split.gateway.log()


def test_who_is_refused_before_the_message_is_logged(split):
    gone = "550 5.1.1 gone"
    split.hop.answers["RCPT"] = {CAROL: gone}
    with split.client() as client:
        for command in (
            "XFORWARD ADDR=192.0.2.7 IDENT=4XQ7", "MAIL FROM:<who@example.net>",
            *(f"RCPT TO:<{one}>" for one in (CAROL, EVE, ALICE, DORA)), "RSET",
        ):  # fmt: skip
            client.command(command)
        split.hop.answers["MAIL"] = "451 4.7.1 later"
        client.command("MAIL FROM:<who@example.net>")
    split.hop.answers.clear()
    *recipients, sender = split.gateway.logged("from=<who@example.net>", number=4)
    expected = (
        (CAROL, f'warning refused next-server reply="{gone}"'),
        (EVE, 'warning deferred no-usable-certificate detail="eve@example.org has no usable'),
        (DORA, "info deferred another-copy"),
    )
    for line, (to, said) in zip(recipients, expected, strict=True):
        level, action, reason, *more = said.split(maxsplit=3)
        assert f" {level} recipient protocol=smtp from=<who@example.net>" in line
        assert (
            f" to={to} action={action} reason={reason}{''.join(f' {one}' for one in more)}" in line
        )
    assert " warning sender protocol=smtp" in sender
    assert sender.endswith(' action=deferred reason=next-server reply="451 4.7.1 later"')
    assert all("client=192.0.2.7" in one for one in recipients)


def test_a_long_sender_makes_no_long_lines(split):
    with split.client() as client:
        client.command(f"MAIL FROM:<{'long' * 200}@example.net>")
        client.command(f"RCPT TO:<{EVE}>")
    (line,) = split.gateway.logged("from=<longlong")
    assert len(line) < 700


def test_chunking_is_not_announced_so_that_exim_tries_again_at_once(smtp):
    with smtp.client() as client:
        assert client.features == {
            "PIPELINING", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "SMTPUTF8", "SIZE"
        }  # fmt: skip
        client.socket.sendall(b"BDAT 3 LAST\r\nabc")
        assert client.reply().startswith("503")


def test_half_a_message_is_no_message(smtp):
    with smtp.client() as client:
        client.command("MAIL FROM:<half@example.net>")
        client.command(f"RCPT TO:<{BOB}>")
        client.command("DATA")
        client.socket.sendall(text() + b"\r\n.\r")
    wait(lambda: not smtp.hop.transactions)
    assert smtp.send([BOB])[0].startswith("250")
    assert [one.mail for one in smtp.wait()] == [b"<bob@example.net>"]


def test_an_account_that_is_changed_after_rcpt():
    """As it is when the message has come whole, whatever it was when its recipient was named."""
    with relay(protocol="smtp") as made, made.client() as client:
        store = create_store(f"sqlite:///{made.database}")

        def begun(*addresses):
            client.command("MAIL FROM:<bob@example.net>")
            for one in addresses:
                assert client.command(f"RCPT TO:<{one}>").startswith("250")

        def ended():
            forget_lookups()
            assert client.command("DATA").startswith("354")
            client.socket.sendall(text() + b".\r\n")
            return client.reply()

        begun(CAROL)
        store.change_account(CAROL, cipher="aes256-cbc", by=ADMINISTRATOR)
        assert ended().startswith("250")
        opened(made.wait()[0], 3)
        begun(ALICE, DORA)
        other = person(number=4, emails=(DORA,))
        store.import_certificates(DORA, other.recipient.pem, by=ADMINISTRATOR, retire_others=True)
        assert ended().startswith("250")
        sealed = made.wait(2)[1]
        assert opened(sealed, 0) == cmstream.decrypt_message(sealed.message, [identity(other)])
        with pytest.raises(cmstream.NoRecipientError):
            opened(sealed, 2)
        begun(ALICE, DORA)
        store.change_account(DORA, cipher=None, by=ADMINISTRATOR)
        assert ended().startswith("451 4.3.0")
        begun(BOB)
        store.change_account(ALICE, aliases=[BOB], by=ADMINISTRATOR)
        store.close()
        assert ended().startswith("250")
        assert len(made.wait(3)) == 3
        opened(made.hop.transactions[2])
        assert "an account was changed since RCPT" in made.gateway.log()
