"""The next hop as the gateway meets it: not there yet, started again, with other extensions, odd,
and slow while a message is streamed."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from cmstream.gateway.next_hop import Connection
from helpers.servers.conversation import DROP, HANG
from helpers.servers.mail import ALICE, BOB, DORA
from helpers.servers.next_hop import NextHop
from helpers.servers.place import wait
from helpers.servers.relay import fixtures, long, opened, relay, text

_lmtp, lmtp = fixtures("lmtp", "--xforward", "--next-timeout", "5")


def test_nobody_is_let_in_before_the_next_hop_was_seen():
    hop = NextHop("lmtp")
    hop.stop()
    with relay(hop=hop) as made:
        with made.client(hello=False) as client:
            assert client.greeting.startswith("421 4.4.1")
            with pytest.raises(ConnectionResetError):
                client.reply()
        hop.start()
        assert wait(lambda: _accepted(made))


def _accepted(made):
    with made.client(hello=False) as client:
        return client.greeting.startswith("220") and made.send([ALICE])[0].startswith("250")


def test_a_next_hop_that_starts_again_defers_nothing(lmtp):
    """Idle connections have died with it, some without a word and some with one."""
    for _ in range(5):
        assert [one[:3] for one in lmtp.send([ALICE, BOB, DORA])] == ["250"] * 3
        lmtp.restart()
    with lmtp.client() as client:
        for _ in range(5):
            assert client.send([ALICE], text())[ALICE].startswith("250")
            lmtp.restart()


@pytest.mark.parametrize("said", [DROP, "421 4.4.2 idle for too long"])
def test_a_connection_whose_time_is_over_at_its_next_use_is_no_failure(said, lmtp):
    lmtp.restart()
    assert lmtp.send([ALICE])[0].startswith("250")
    lmtp.hop.answers["MAIL"] = lambda *_: said if len(lmtp.hop.sessions) == 1 else None
    assert lmtp.send([ALICE])[0].startswith("250")
    assert len(lmtp.hop.sessions) == 2


@pytest.mark.parametrize("event", ["body", "dot"])
def test_but_one_that_dies_with_the_message_is(event, lmtp):
    """It may have been taken: only the sender's next attempt brings another copy."""
    assert lmtp.send([ALICE])[0].startswith("250")
    lmtp.hop.answers[event] = DROP
    assert lmtp.send([ALICE])[0].startswith("451 4.4.2")
    assert len(lmtp.hop.begun) == 2


def test_the_intersection_is_announced_and_learnt_anew(lmtp):
    with lmtp.announced("8BITMIME", "XFUTURE", "SIZE 50000"):
        lmtp.send([ALICE])
        with lmtp.client() as client:
            client.command("RSET")
            answer = client.command("LHLO client")
            assert [one[4:].split("=")[0] for one in answer.splitlines()[1:-1]] == [
                "PIPELINING", "8BITMIME", "SIZE 50000", "CHUNKING"
            ]  # fmt: skip
            assert client.send([ALICE], text(), options=["SMTPUTF8"])[ALICE].startswith("555 5.5.4")
            with lmtp.announced("PIPELINING"):
                # What this client was told isn't so any more: that is no reason to bounce.
                replies = client.send([ALICE], text(), options=["BODY=8BITMIME"])
                assert replies[ALICE].startswith("451 4.4.0")
                assert client.send([ALICE], text())[ALICE].startswith("250")
                with lmtp.client() as other:
                    assert other.features == {"PIPELINING", "SIZE", "CHUNKING", "XFORWARD"}
    assert b"SIZE" not in lmtp.hop.transactions[-1].mail


def test_a_next_hop_without_pipelining_gets_one_command_at_a_time(lmtp):
    with lmtp.announced("8BITMIME"):
        lmtp.hop.answers["RCPT"] = {BOB: "550 5.1.1 no"}
        assert [one[:3] for one in lmtp.send([ALICE, BOB])] == ["250", "550"]
        opened(lmtp.wait()[0])
        lmtp.hop.answers["DATA"] = "452 4.3.1 full"
        assert lmtp.send([ALICE]) == ["452 4.3.1 full"]


def test_who_the_client_is_goes_on(lmtp):
    with lmtp.client() as client:
        client.command("XFORWARD NAME=mx.example.com ADDR=192.0.2.1 PORT=[UNAVAILABLE]")
        client.send([ALICE], text())
        client.command("XFORWARD IDENT=4XQ2")
        client.send([BOB], text())
    session = lmtp.wait(2)[1].session
    assert session.xforward == {
        b"NAME": b"mx.example.com", b"ADDR": b"192.0.2.1", b"PORT": b"[UNAVAILABLE]",
        b"IDENT": b"4XQ2",
    }  # fmt: skip
    first, second = lmtp.gateway.logged("message protocol=lmtp")[-2:]
    assert "client=192.0.2.1" in first
    assert "queue_id=4XQ2" in second
    assert "client=192.0.2.1" not in second


def test_what_is_told_of_a_client_goes_with_its_message(lmtp):
    """Another client's name on a message would mislead whoever looks for its sender."""
    with lmtp.client() as client:
        for begun in ("", "MAIL FROM:<bob@example.net> BODY=x"):
            for end in ("RSET", "LHLO client.example"):
                client.command("XFORWARD ADDR=192.0.2.77 IDENT=5XQ3")
                assert not begun or client.command(begun).startswith("501")
                client.command(end)
                client.send([BOB], text())
                line = lmtp.gateway.logged("message protocol=lmtp")[-1]
                assert "192.0.2.77" not in line
                assert "5XQ3" not in line
        for end in ("RSET", "DATA"):
            client.command("XFORWARD ADDR=192.0.2.77 IDENT=5XQ3")
            client.command("MAIL FROM:<bob@example.net>")
            client.command(f"RCPT TO:<{ALICE}>")
            client.command(end)
            if end == "DATA":
                client.command("A: b\r\n\r\n.")
            client.send([BOB], text())
            line = lmtp.gateway.logged("message protocol=lmtp")[-1]
            assert "192.0.2.77" not in line
            assert "5XQ3" not in line


def test_a_next_hop_that_never_stops_talking_is_left():
    async def talk(_, writer):
        with suppress(ConnectionError):
            while True:
                writer.write(b"250 ok\r\n" * 4096)
                await writer.drain()

    async def work():
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            place = server.sockets[0].getsockname()
            _, connection = await loop.create_connection(lambda: Connection(loop), *place)
            while not connection.closed:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(work(), 60))


@pytest.mark.parametrize("said", ["hello", "99 x", "250_x", "1" * 9000, "354 go on"])
def test_nonsense_is_a_temporary_failure(said, lmtp):
    for event in ("MAIL", "RCPT", "dot"):
        lmtp.hop.answers = {event: said}
        assert lmtp.send([ALICE])[0].startswith("451"), event
    lmtp.hop.answers = {}
    assert lmtp.send([ALICE])[0].startswith("250")


# --- streams


_stream, stream = fixtures(
    "stream", "--stream", "--memory", "100000", "--data-timeout", "3", "--next-timeout", "5"
)


def test_a_long_message_is_given_on_as_it_comes(stream):
    message = long()
    half = len(message) // 2
    with stream.client() as client:
        _begin(client, ALICE, "info@example.org")
        client.socket.sendall(message[:half])
        wait(lambda: stream.hop.begun and stream.hop.begun[0].size > half // 2, 20)
        client.socket.sendall(message[half:] + b".\r\n")
        assert [client.reply()[:3] for _ in range(2)] == ["250", "250"]
    (arrived,) = stream.wait()
    assert opened(arrived).endswith(message.partition(b"\r\n\r\n")[2])


def _begin(client, *recipients):
    client.command("MAIL FROM:<bob@example.net>")
    for one in recipients:
        client.command(f"RCPT TO:<{one}>")
    assert client.command("DATA").startswith("354")


def test_mail_for_several_accounts_or_in_the_clear_waits_for_its_end(stream):
    message = long(1 << 20)
    assert stream.send([ALICE, DORA], message)[0].startswith("250")
    assert stream.send([BOB], message)[0].startswith("250")
    assert stream.wait(3)[2].message == message


@pytest.mark.parametrize("how", ["close", "silence", "next hop"])
def test_a_message_that_breaks_off_never_becomes_whole(how, stream):
    message = long()
    with stream.client() as client:
        _begin(client, ALICE)
        client.socket.sendall(message[: len(message) // 2])
        wait(lambda: stream.hop.begun and stream.hop.begun[0].size > 1000, 20)
        if how == "silence":
            assert client.reply().startswith("421 4.4.2")
        elif how == "next hop":
            stream.restart()
            client.socket.sendall(message[len(message) // 2 :] + b".\r\n")
            assert client.reply().startswith("451 4.4.2")
    broken = stream.hop.begun[0].session
    wait(lambda: all(one.session is not broken for one in stream.hop._held), 20)
    assert not stream.hop.transactions
    assert stream.send([ALICE], message)[0].startswith("250")


@pytest.mark.parametrize("event", ["RCPT", "DATA"])
def test_a_stream_that_is_refused_is_swallowed_to_its_end(event, stream):
    stream.hop.answers[event] = "452 4.2.2 full"
    assert stream.send([ALICE], long(8 << 20)) == ["452 4.2.2 full"]
    stream.hop.answers.clear()
    assert stream.send([ALICE])[0].startswith("250")


def test_what_is_sealed_already_is_not_sealed_again_as_it_comes(stream):
    assert stream.send([ALICE], long())[0].startswith("250")
    (first,) = stream.wait()
    assert stream.send([ALICE], first.message)[0].startswith("250")
    assert stream.wait(2)[1].message == first.message
    (line,) = stream.gateway.logged("reason=already-encrypted")
    assert "action=left" in line


def test_a_next_hop_that_hangs_in_a_stream_is_given_up(stream):
    stream.hop.answers["body"] = HANG
    with stream.client() as client:
        _begin(client, ALICE)
        sender = threading.Thread(target=client.socket.sendall, args=(long(40 << 20) + b".\r\n",))
        sender.start()
        assert client.reply().startswith("451 4.4.2")
        sender.join()
    stream.restart()


@pytest.mark.slow
def test_a_slow_next_hop_slows_the_client_and_memory_is_constant(stream):
    """120 MiB through a gateway whose next hop reads nothing for a while."""
    hold = threading.Event()
    stream.hop.answers["body"] = lambda *_: hold.wait(60) and None
    process = Path(f"/proc/{stream.gateway.process.pid}/status")
    before = _peak(process)
    piece, sent = long(1 << 20), 0
    with stream.client() as client:
        _begin(client, ALICE)
        client.socket.settimeout(1)
        with pytest.raises(socket.timeout):
            for _ in range(120):
                sent += client.socket.send(piece)
        assert sent < 30 << 20
        time.sleep(0.1)
        hold.set()
        client.socket.settimeout(60)
        for _ in range(120):
            client.socket.sendall(piece)
        client.socket.sendall(b"\r\n.\r\n")
        assert client.reply().startswith("250")
    grown = _peak(process) - before
    sys.stderr.write(f"\n120 MiB streamed: {grown >> 10} KiB of memory more\n")
    assert grown < 24 << 20


def _peak(status: Path) -> int:
    (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) << 10
