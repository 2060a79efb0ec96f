"""``cmstream doctor`` finds whether a gateway answers where a real Postfix hands mail over."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from threading import Thread

import pytest

from cmstream.command import doctor_handover, doctor_postfix
from cmstream.gateway.printed import printed
from cmstream.gateway.settings import Place, Settings
from helpers.peers.program import must
from helpers.servers.place import folder
from helpers.servers.postfix import Postfix, Way


@contextmanager
def listener(greeting):
    """A port at which one client after the other is greeted."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.sendall(greeting)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def look(listen, hop=None, next_hop=None):
    """What is found with the configuration that is printed for it."""
    made = Settings((Place.parse(listen),), "", hop and Place.parse(hop))
    with folder("doctor") as own:
        Postfix(own, Way({}))
        environment = {"MAIL_CONFIG": f"{own}/etc", "PATH": "/usr/sbin:/usr/bin:/bin"}
        must("sh", "-eu", input=printed("postfix", made).encode(), env=environment)
        found = doctor_postfix.read(f"{own}/etc")
        return [*doctor_handover.look(found, next_hop and Place.parse(next_hop))]


@pytest.mark.parametrize("way", ["lmtp", "smtp", "milter"])
def test_who_answers_and_who_does_not(way):
    hop = {"lmtp": "lmtp:unix:/x", "smtp": "smtp:127.0.0.1:9", "milter": None}[way]
    with listener(b"220 gateway ready\r\n") as port:
        found = look(f"{way}:127.0.0.1:{port}", hop)
        assert {one.status for one in found} == {"ok"}
        assert len(found) == (2 if way == "smtp" else 1)  # clients', and that of sendmail(1)
    gone = look(f"{way}:127.0.0.1:{port}", hop)
    assert {one.status for one in gone} == {"wrong"}
    assert f":{port}," in gone[0].text
    assert "Connection refused" in gone[0].text


def test_who_answers_that_it_can_not():
    with listener(b"421 4.3.2 the next server is away\r\n") as port:
        (found,) = look(f"lmtp:127.0.0.1:{port}", "lmtp:unix:/x")
    assert found.status == "wrong"
    assert "421 4.3.2 the next server is away" in found.text


@pytest.mark.parametrize(
    ("listen", "next_hop", "past"),
    [
        ("lmtp:127.0.0.1:{port}", "lmtp:localhost:{port}", True),
        ("lmtp:127.0.0.1:{port}", "lmtp:127.0.0.1:9", False),
        ("lmtp:unix:/srv/lmtp", "lmtp:unix:/srv/./lmtp", True),
    ],
)
def test_mail_that_goes_past_the_gateway(listen, next_hop, past):
    with listener(b"220 ready\r\n") as port:
        (found,) = look(listen.format(port=port), "lmtp:unix:/x", next_hop.format(port=port))
    assert found.status == ("wrong" if past else "ok")
    assert ("past the gateway" in found.text) == past


def test_a_socket_of_unix():
    (found,) = look("lmtp:unix:/var/spool/postfix/cmstream/lmtp", "lmtp:unix:/x")
    assert found.status == "wrong"
    assert "unix:cmstream/lmtp" in found.text
