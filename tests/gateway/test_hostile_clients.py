"""Clients that want to cost the gateway time, memory or its place among servers."""

from __future__ import annotations

import random
import resource
import socket
import struct
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from helpers.servers.mail import ALICE, BOB
from helpers.servers.place import wait
from helpers.servers.relay import fixtures, relay, text

OPTIONS = ["--command-timeout", "2", "--data-timeout", "2", "--connection-limit", "1500",
           "--client-limit", "1400", "--recipient-limit", "1000", "--command-limit", "200",
           "--size-limit", "2000000"]  # fmt: skip


_fresh, fresh = fixtures("fresh", *OPTIONS)


@pytest.fixture
def made(fresh):
    yield fresh
    # It goes on as if nothing had been.
    assert [one[:3] for one in fresh.send([ALICE, BOB])] == ["250", "250"]
    assert "Traceback" not in fresh.gateway.log()


def memory(made, what="VmRSS") -> int:
    status = Path(f"/proc/{made.gateway.process.pid}/status").read_text()
    return next(int(one.split()[1]) << 10 for one in status.splitlines() if one.startswith(what))


def drip(client, octets) -> None:
    """An octet at a time, for as long as the gateway takes it."""
    end = time.monotonic() + 30
    try:
        for octet in octets * 1000:
            client.socket.send(bytes([octet]))
            time.sleep(0.2)
            assert time.monotonic() < end
    except OSError:
        pass


def begin(client, *recipients) -> None:
    client.command("MAIL FROM:<bob@example.net>")
    for one in recipients:
        client.command(f"RCPT TO:<{one}>")
    assert client.command("DATA").startswith("354")


def served(made) -> bool:
    with suppress(OSError), made.client():
        return True
    return False


@pytest.mark.parametrize("where", ["command", "content", "BDAT"])
def test_an_octet_now_and_then_is_silence(where, made):
    with made.client() as client:
        if where == "content":
            begin(client, BOB)
        elif where == "BDAT":
            client.command("MAIL FROM:<>")
            client.command(f"RCPT TO:<{BOB}>")
            client.say("BDAT 100000 LAST")
        dripping = threading.Thread(target=drip, args=(client, b"x"))
        dripping.start()
        assert client.reply().startswith("421 4.4.2")
        with pytest.raises(ConnectionResetError):
            client.reply()
        dripping.join()
    assert not made.hop.transactions


def test_silence_has_an_end(made):
    with made.client(hello=False) as client:
        assert client.reply().startswith("421 4.4.2")


def test_garbage_in_a_pipe_is_answered_so_often_and_no_more(made):
    random.seed(3)
    for garbage in (random.randbytes(3 << 20), b"\r\n" * (1 << 20), b"NOOP\r\n" * (1 << 19),
                    b"\0" * (3 << 20), b"HELP me\r\n" * (1 << 18)):  # fmt: skip
        before = memory(made, "VmHWM")
        with made.client() as client:
            received = exchanged(client.socket, garbage)
        assert len(received) < 40_000
        assert memory(made, "VmHWM") - before < 8 << 20


def exchanged(sock, octets) -> bytes:
    """All that comes while all is sent, as far as it is taken."""
    received = []

    def read():
        try:
            while piece := sock.recv(1 << 16):
                received.append(piece)
        except OSError:
            pass

    reading = threading.Thread(target=read)
    reading.start()
    try:
        sock.sendall(octets)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    reading.join()
    return b"".join(received)


def test_an_endless_line_takes_no_memory(made):
    before = memory(made, "VmHWM")
    with made.client() as client:
        for _ in range(40):
            client.socket.sendall(b"x" * (1 << 20))
        client.socket.sendall(b"\r\n")
        assert client.reply() == "500 5.5.2 The line is too long"
        assert client.command("NOOP").startswith("250")
    assert memory(made, "VmHWM") - before < 8 << 20


def test_ten_thousand_recipients(made):
    with made.client() as client:
        client.command("MAIL FROM:<bob@example.net>")
        lines = b"".join(b"RCPT TO:<x%d@nobody.example>\r\n" % number for number in range(10_000))
        replies = exchanged(client.socket, lines).split(b"\r\n")
    assert sum(one.startswith(b"250") for one in replies) == 1000
    assert 100 < sum(one.startswith(b"452 4.5.3") for one in replies) <= 200
    assert replies[-2].startswith(b"421")


def test_a_thousand_recipients_get_a_reply_each(made):
    people = [f"x{number}@nobody.example" for number in range(999)]
    replies = made.send([*people, ALICE])
    assert len(replies) == 1000
    assert {one[:3] for one in replies} == {"250"}
    assert {len(one.addresses) for one in made.wait(2)} == {999, 1}


@pytest.mark.parametrize("size", ["announced", "content", "BDAT"])
def test_a_message_that_is_too_long(size, made):
    long = b"x" * 998 + b"\r\n"
    with made.client() as client:
        if size == "announced":
            assert client.command("MAIL FROM:<> SIZE=2000001").startswith("552 5.3.4")
            return
        client.command("MAIL FROM:<>")
        for one in (ALICE, BOB):
            client.command(f"RCPT TO:<{one}>")
        if size == "content":
            client.command("DATA")
            client.socket.sendall(long * 3000 + b".\r\n")
        else:
            client.socket.sendall(b"BDAT 3000000 LAST\r\n" + long * 3000)
        assert [client.reply()[:9] for _ in range(2)] == ["552 5.3.4"] * 2
        assert client.send([ALICE], text())[ALICE].startswith("250")


def test_a_client_that_never_reads_is_waited_for_and_not_fed(made):
    """It asks for more octets than it sends; replies wait for who doesn't read them."""
    before = memory(made, "VmHWM")
    with made.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.command("MAIL FROM:<>")
        client.command(f"RCPT TO:<{BOB}>")
        client.socket.settimeout(20)
        with pytest.raises(OSError):
            for _ in range(1900):
                client.socket.sendall(b"BDAT 1\r\nx" * 1000)
    assert memory(made, "VmHWM") - before < 8 << 20


@pytest.mark.parametrize("state", ["greeting", "MAIL", "RCPT", "DATA", "content", "reply"])
@pytest.mark.parametrize("how", ["reset", "half closed"])
def test_clients_that_go_in_every_state(state, how, made):
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(made.client(hello=state != "greeting"))
            lines = {"MAIL": 1, "RCPT": 2, "DATA": 3, "content": 3, "reply": 3}.get(state, 0)
            for line in ["MAIL FROM:<>", f"RCPT TO:<{ALICE}>", "DATA"][:lines]:
                client.command(line)
            if state in {"content", "reply"}:
                client.socket.sendall(text() + b".\r\n" * (state == "reply"))
            if how == "reset":
                linger = struct.pack("ii", 1, 0)
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.socket.close()
            else:
                client.socket.shutdown(socket.SHUT_WR)
                if state == "reply":
                    assert client.reply().startswith("250")
                with pytest.raises(ConnectionResetError):
                    client.reply()
    if state != "reply":
        assert not made.hop.transactions


def test_connections_of_one_client_have_an_end(made):
    with ExitStack() as stack:
        many = [stack.enter_context(made.client(hello=False)) for _ in range(1405)]
        kinds = [one.greeting[:9] for one in many]
        assert kinds[:1400] == ["220 " + many[0].greeting[4:9]] * 1400
        assert kinds[1400:] == ["421 4.7.0"] * 5
    wait(lambda: served(made), 10)


def test_a_thousand_silent_clients_cost_a_few_kib_each():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with relay(*OPTIONS[4:]) as made, ExitStack() as stack:
        stack.enter_context(made.client())
        made.send([ALICE])
        before = memory(made)
        for _ in range(1000):
            stack.enter_context(made.client())
        each = (memory(made) - before) / 1000
        sys.stderr.write(f"\na silent client costs {each / 1024:.1f} KiB\n")
        assert each < 16 << 10
        # And there is room for mail beside them.
        assert made.send([ALICE])[0].startswith("250")


@pytest.mark.slow
def test_thousands_come_and_go(made):
    """More than may stay, again and again; each is told, and none leaves anything behind."""
    before = memory(made)
    for _ in range(2):
        with ExitStack() as stack:
            for _ in range(1600):
                one = stack.enter_context(socket.socket())
                one.connect(made.gateway.place)
    wait(lambda: served(made), 20)
    assert memory(made) - before < 48 << 20
