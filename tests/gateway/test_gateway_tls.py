"""TLS on both sides, from the first octet or by STARTTLS, with certificates of both ends."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
import trustme

from helpers.command import run_process
from helpers.servers.gateway import Gateway
from helpers.servers.mail import ALICE, BOB, populated
from helpers.servers.next_hop import NextHop
from helpers.servers.place import folder, free, wait
from helpers.servers.relay import Relay, opened, text

NAME = "127.0.0.1"


class Files:
    """An authority, and what it has signed for the gateway, the next hop and a client."""

    def __init__(self, path, address):
        self.authority = trustme.CA()
        self.path = path
        self.ca = path / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.address = address
        self.certificate = path / "gateway.pem"
        self.renew()

    def renew(self):
        one = self.authority.issue_cert(self.address, "localhost")
        one.private_key_and_cert_chain_pem.write_to_path(self.certificate)

    def server(self, authority=None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (authority or self.authority).issue_cert(self.address).configure_cert(context)
        return context

    def client(self, *, certificate=False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        if certificate:
            self.authority.issue_cert("client@example.net").configure_cert(context)
        return context


@contextmanager
def running(*options, listen="lmtp", implicit=False, authority=None, hop_tls=True, need=False,
            prefix=()):  # fmt: skip
    with folder("tls") as own, NextHop("lmtp", implicit=implicit) as hop:
        files = Files(own, hop.place.host)
        if hop_tls:
            hop.tls = files.server(authority)
            if need:
                hop.tls.verify_mode = ssl.CERT_REQUIRED
                hop.tls.load_verify_locations(files.ca)
        words = [one.format(ca=files.ca, own=files.certificate) for one in options]
        next_hop = f"lmtp{'s' * implicit}:{hop}"
        if implicit:
            hop.stop()
            hop.start()
        with Gateway(
            own, populated(own), next_hop, *words, listen=(listen,), prefix=prefix
        ) as gateway:
            made = Relay("lmtp", hop, gateway, own)
            made.files = files
            yield made


OURS = ("--tls-certificate", "{own}")
THEIRS = ("--next-starttls", "must", "--next-ca", "{ca}")


def secured(client, context) -> None:
    """The client's side of STARTTLS, and the next LHLO at once, with the end of the handshake."""
    assert client.command("STARTTLS").startswith("220")
    client._replies.close()
    client.socket = context.wrap_socket(client.socket, server_hostname=client.host)
    client._replies = client.socket.makefile("rb")
    answer = client.command("LHLO client")
    client.features = {line[4:].split(" ")[0] for line in answer.splitlines()[1:]}


def connected(made, **options):
    client = made.client(**options)
    client.host = made.gateway.place.host
    return client


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def both(request, tmp_path_factory):
    """Each event loop has a TLS of its own."""
    prefix = []
    if request.param == "asyncio":
        path = tmp_path_factory.mktemp("without")
        (path / "uvloop.py").write_text("raise ImportError")
        prefix = ["env", f"PYTHONPATH={path}:{os.environ.get('PYTHONPATH', '')}"]
    elif not find_spec("uvloop"):
        pytest.skip("uvloop isn't installed")
    options = "--require-tls", "--client-limit", "2"
    with running(*OURS, *THEIRS, *options, prefix=prefix) as made:
        yield made


def context_for(made, **options) -> ssl.SSLContext:
    context = made.files.client(**options)
    context.check_hostname = False  # the gateway's address is one of the loopback
    return context


def test_starttls_on_both_sides(both):
    with connected(both) as client:
        assert "STARTTLS" in client.features
        assert client.command("MAIL FROM:<>").startswith("530 5.7.0")
        secured(client, context_for(both))
        assert "STARTTLS" not in client.features
        for _ in range(3):
            replies = client.send([ALICE, BOB], text())
            assert [one[:3] for one in replies.values()] == ["250", "250"]
        assert client.quit().startswith("221")
    assert all(one.session.tls for one in both.wait(6))


def test_the_first_words_may_come_with_the_end_of_the_handshake(both):
    """TLS 1.3 lets a client send both at once."""
    for _ in range(20):
        with connected(both) as client:
            assert client.command("STARTTLS").startswith("220")
            assert first_words(client, context_for(both)).startswith(b"250-")


def first_words(client, context) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=client.host)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            client.socket.sendall(outgoing.read())
            incoming.write(client.socket.recv(1 << 16))
    tls.write(b"LHLO client\r\n")
    client.socket.sendall(outgoing.read())  # the handshake's last words, and ours
    # What comes first are tickets for further sessions.
    return wait(lambda: _read(tls, incoming, client.socket))


def _read(tls, incoming, sock) -> bytes | None:
    try:
        return tls.read()
    except ssl.SSLWantReadError:
        incoming.write(sock.recv(1 << 16))
        return None


def test_connections_that_have_ended_count_no_more(both):
    """A client may have two at a time, and any number one after the other."""
    for _ in range(4):
        with connected(both) as client:
            secured(client, context_for(both))
            assert client.quit().startswith("221")


def test_the_log_names_a_client_that_went_before_its_reply(both):
    came, gone = threading.Event(), threading.Event()
    both.hop.answers["dot"] = lambda *_: came.set() or (gone.wait(20) and "250 2.0.0 taken")
    with connected(both) as client:
        secured(client, context_for(both))
        for one in ("MAIL FROM:<gone@example.net>", f"RCPT TO:<{ALICE}>", "DATA"):
            client.command(one)
        client.socket.sendall(text() + b".\r\n")
        assert came.wait(20)
    time.sleep(0.5)  # until the gateway has seen it
    del both.hop.answers["dot"]
    gone.set()
    (line,) = both.gateway.logged("from=<gone@example.net>")
    assert "client=127.0." in line


def test_a_unix_socket_proves_no_name():
    for options in (["--next", "lmtps:unix:/x"], ["--next", "lmtp:unix:/x", *THEIRS[:2]]):
        words = "gateway", "--listen", "lmtp:127.0.0.1:0", *options
        done = run_process(*words, code=os.EX_USAGE)
        assert b"Unix socket" in done.stderr


def test_what_is_said_in_the_clear_after_starttls_counts_for_nothing(both):
    with connected(both) as client:
        client.socket.sendall(b"STARTTLS\r\nMAIL FROM:<evil@example.net>\r\n")
        assert client.reply()[:3] in {"220", "421"}
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            client.reply()


def test_a_handshake_that_fails_ends_the_connection(both):
    with connected(both) as client:
        client.command("STARTTLS")
        client.socket.sendall(b"MAIL FROM:<>\r\n" * 10)
        with pytest.raises((ConnectionResetError, UnicodeDecodeError, AssertionError)):
            assert client.reply().startswith("2")
            client.reply()
    with connected(both) as client:
        secured(client, context_for(both))


def test_sighup_reads_the_certificate_again(both):
    def serial():
        with connected(both) as client:
            secured(client, context_for(both))
            return client.socket.getpeercert()["serialNumber"]

    before = serial()
    both.files.renew()
    assert serial() == before
    both.gateway.process.send_signal(signal.SIGHUP)
    wait(lambda: serial() != before, 20)
    kept = both.files.certificate.read_bytes()
    both.files.certificate.write_bytes(b"nothing")
    both.gateway.process.send_signal(signal.SIGHUP)
    both.gateway.logged(f"TLS stays as it was: {both.files.certificate}")
    serial()  # it goes on with the old one
    both.files.certificate.write_bytes(kept)


def test_tls_from_the_first_octet_and_certificates_of_clients():
    options = [*OURS, "--tls-client-ca", "{ca}", "--next-ca", "{ca}",
               "--next-certificate", "{own}"]  # fmt: skip
    with running(*options, listen="lmtps", implicit=True, need=True) as made:
        place = made.gateway.place
        with pytest.raises((OSError, ConnectionResetError)):
            _hello(made, place, context_for(made))
        sock = _hello(made, place, context_for(made, certificate=True))
        sock.close()
        with smtplib.LMTP() as client:
            client.sock = context_for(made, certificate=True).wrap_socket(
                socket.create_connection(place), server_hostname=place.host
            )
            assert client.getreply()[0] == 220
            assert client.sendmail("bob@example.net", [ALICE], text()) == {}
        (arrived,) = made.wait()
        assert arrived.session.tls
        opened(arrived)
        # An authority that is taken away is believed no more.
        mine = context_for(made, certificate=True)
        trustme.CA().cert_pem.write_to_path(made.files.ca)
        made.gateway.process.send_signal(signal.SIGHUP)
        wait(lambda: _is_refused(made, place, mine), 20)


def _is_refused(made, place, context):
    try:
        _hello(made, place, context).close()
    except OSError:
        return True
    return False


def _hello(made, place, context):
    sock = context.wrap_socket(socket.create_connection(place, 20), server_hostname=place.host)
    if not sock.recv(100).startswith(b"220"):
        sock.close()
        raise ConnectionResetError
    return sock


@pytest.mark.parametrize("wrong", ["authority", "no STARTTLS"])
def test_a_next_hop_that_is_not_who_it_should_be_gets_nothing(wrong):
    other = trustme.CA() if wrong == "authority" else None
    with running(*THEIRS, authority=other, hop_tls=other is not None) as made:
        with made.client(hello=False) as client:
            assert client.greeting.startswith("421 4.4.1")
        assert not made.hop.begun
        assert not any(b"MAIL" in line for one in made.hop.sessions for line in one.commands)


def test_starttls_where_it_is_offered():
    with running("--next-starttls", "may", *THEIRS[2:], hop_tls=False) as made:
        assert made.send([ALICE])[0].startswith("250")
        made.hop.tls = made.files.server()
        made.restart()
        assert made.send([ALICE])[0].startswith("250")
        assert [one.session.tls for one in made.wait(2)] == [False, True]


@pytest.mark.parametrize("place", ["lmtp://127.0.0.1:24", "lmtp:inet://127.0.0.1:24"])
def test_a_place_is_no_url(sqlite_url, place):
    words = ("gateway", "--listen", f"lmtp:{free()}", "--database", sqlite_url)
    done = run_process(*words, "--next", place, code=64)
    assert f"{place}: give HOST:PORT" in done.stderr.decode()


def test_a_wrong_certificate_is_told_at_the_start(sqlite_url):
    done = run_process(
        "gateway", "--listen", f"lmtps:{free()}", "--next", f"lmtp:{free()}", "--workers", 2,
        "--database", sqlite_url, "--tls-certificate", "/nowhere/at-all.pem", code=64,
    )  # fmt: skip
    assert b"/nowhere/at-all.pem: no such file" in done.stderr.lower()
