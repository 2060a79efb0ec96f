"""A gateway's ``seal:`` socket: requests one after the other, and clients that break off, are slow,
or speak something else."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from cmstream.gateway.protocol.seal import END, Request, chunk
from command.test_seal_command import ALICE, MAIL, NOBODY, PLAIN, database, key
from helpers.gateway_process import answers, gateway, rest
from helpers.opening import open_message

__all__ = ["database"]  # a fixture

LIMIT = 24 << 20


@pytest.fixture
def server(database, tmp_path):
    with gateway(
        tmp_path, database, "--memory", 1 << 20, "--size-limit", LIMIT, "--recipient-limit", 3
    ) as running:
        yield running


def request(*addresses, message=None, append=False, require=False):
    data = MAIL.read_bytes() if message is None else message
    header = Request(addresses, append=append, require=require).octets()
    pieces = (data[start : start + 50_000] for start in range(0, len(data), 50_000))
    return header + b"".join(map(chunk, pieces)) + END


def test_requests_one_after_the_other_are_answered_in_their_order(server):
    long = b"Subject: x\r\n\r\n" + b"third flower pot\r\n" * 100_000
    octets = (
        request(ALICE) + request(NOBODY, message=long) + request(ALICE, message=long)
        + request("nonsense") + request(ALICE, message=b"") + request(NOBODY, require=True)
    )  # fmt: skip
    found = answers(server.exchange(octets, shut=True))
    assert [code for code, _, _ in found] == [0, 0, 0, 64, 65, 75]
    assert PLAIN in open_message(found[0][2], key())[1]
    assert found[1][2] == long
    assert open_message(found[2][2], key())[1].count(PLAIN) == 100_000
    assert [message for _, _, message in found[3:]] == [b"", b"", b""]
    assert server.log().count("protocol=seal") == 6


def test_a_client_that_is_cut_off_gets_nothing_and_nothing_is_sealed(server):
    octets = request(ALICE)
    for length in (0, 3, 30, 60, len(octets) - 3, len(octets) - 1):
        assert server.exchange(octets[:length], shut=True) == b""
    with server.connect() as client:
        client.sendall(octets[:-1])
    assert answers(server.exchange(octets, shut=True))[0][0] == 0
    assert server.log().count("protocol=seal") == 1


@pytest.mark.parametrize("octets", [b"seal/2\nfor a@b.example\n\n", b"EHLO x\n\n", b"x" * 70_000])
def test_another_language_is_75_and_the_end(server, octets):
    ((code, sentences, message),) = answers(server.exchange(octets))
    assert (code, message) == (75, b"")
    assert len(sentences) == 1


def test_what_is_too_long_is_read_to_its_end_and_refused(server):
    long = request(NOBODY, message=bytes(LIMIT + 1))
    found = answers(server.exchange(long + request(NOBODY), shut=True))
    assert [code for code, _, _ in found] == [65, 0]
    assert "[too-large]" in found[0][1][0]


def test_too_many_addresses_are_75(server):
    found = answers(server.exchange(request(*[ALICE] * 4) + request(ALICE), shut=True))
    assert [code for code, _, _ in found] == [75, 0]


def memory(process):
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])


def test_a_client_that_reads_slowly_costs_little_memory_and_hinders_nobody(server):
    answers(server.exchange(request(ALICE), shut=True))
    before = memory(server.process)
    long = os.urandom(LIMIT - 1)
    with server.connect() as client:
        client.sendall(request(NOBODY, message=long) + request(ALICE))
        for _ in range(20):
            time.sleep(0.01)
            assert answers(server.exchange(request(ALICE), shut=True))[0][0] == 0
        assert memory(server.process) - before < 8 << 10  # KiB; the message waits in a file
        client.shutdown(socket.SHUT_WR)
        found = answers(rest(client))
    assert [code for code, _, _ in found] == [0, 0]
    assert found[0][2] == long


def test_what_has_begun_is_answered_before_the_gateway_ends(server):
    octets = request(ALICE)
    with server.connect() as idle, server.connect() as client:
        client.sendall(octets[:100])
        answers(server.exchange(octets, shut=True))  # by now it has read that
        server.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        client.sendall(octets[100:])
        ((code, _, sealed),) = answers(rest(client))
    assert code == 0
    assert PLAIN in open_message(sealed, key())[1]
    assert server.process.wait(timeout=30) == 0


def test_a_silent_client_is_ended(database, tmp_path):
    with gateway(tmp_path, database, "--command-timeout", 1, "--data-timeout", 2) as server:
        assert server.exchange(b"") == b""
        assert server.exchange(request(ALICE)[:-1]) == b""
