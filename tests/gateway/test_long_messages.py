"""Long messages: 40 MB by every way, and 1 GiB in memory that doesn't grow with it."""

from __future__ import annotations

import hashlib
import subprocess
from itertools import repeat
from pathlib import Path

import pytest

from helpers.peers.openssl import OpenSSL
from helpers.servers.client import Client
from helpers.servers.mail import ALICE, BOB, DORA, SECRET, TEXT, Cell, inner, person_of
from helpers.servers.place import wait
from helpers.servers.ways import CLIENTS, POSTFIX, way

LINE = b"The key is under the third flower pot, and the boat is tied to the jetty.\r\n"
MiB = 1 << 20


def long(length):
    return Cell(ALICE, "text").message(TEXT + LINE * (length // len(LINE)))


def test_each_of_several_gets_all_of_it(tmp_path):
    """It waits in a file, from which it is sealed for one account after the other."""
    message, openssl = long(3 * MiB), OpenSSL(tmp_path)
    with way("lmtp") as running:
        assert running.send([ALICE, BOB, DORA], message) == {}
        arrived = {one.addresses[0]: one.message for one in running.hop.transactions}
    assert arrived[BOB] == message
    for address, number in ((ALICE, 0), (DORA, 2)):
        assert SECRET not in arrived[address]
        assert openssl.open(arrived[address], person_of(number), "smime") == inner(message)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CLIENTS, *POSTFIX])
def test_40_megabytes(name, tmp_path):
    message = long(40_000_000)
    with way(name) as running:
        for to in (ALICE, BOB):
            assert running.send([to], message) == {}
        wait(lambda: len(running.hop.transactions) == 2, seconds=120, tell=running.tell)
        arrived = {one.addresses[0]: one.message for one in running.hop.transactions}
    assert arrived[BOB].endswith(message)
    assert OpenSSL(tmp_path).open(arrived[ALICE], person_of(0), "smime") == inner(message)


def memory(process) -> int:
    """The most that it ever had in memory, in bytes."""
    (line,) = (one for one in Path(f"/proc/{process.pid}/status").read_text().splitlines()
               if one.startswith("VmHWM"))  # fmt: skip
    return int(line.split()[1]) * 1024


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--stream",)])
def test_memory_does_not_grow_with_a_gibibyte(options, tmp_path):
    piece = LINE * (MiB // len(LINE))
    count = (1 << 30) // len(piece)
    head = Cell(ALICE, "text").message(TEXT)
    with way("lmtp", *options) as running:
        assert running.send([ALICE, "info@example.org"], long(4 * MiB)) == {}
        before = memory(running.gateway.process)
        with Client(running.gateway.place, "lmtp", timeout=300) as client:
            replies = client.send([ALICE, "info@example.org"], _pieces(head, piece, count))
        assert {reply[:3] for reply in replies.values()} == {"250"}
        assert memory(running.gateway.process) - before < 32 * MiB
        sealed = running.hop.transactions[-1]
        opened = _opened_digest(sealed.octets, tmp_path)
    want = hashlib.sha256(inner(head))
    for one in repeat(piece, count):
        want.update(one)
    assert opened == want.hexdigest()


def _pieces(head, piece, count):
    yield head
    yield from repeat(piece, count)


def _opened_digest(octets, folder):
    """By OpenSSL, which holds all of it in memory: so piece by piece, from a file."""
    source, openssl = folder / "sealed", OpenSSL(folder)
    octets.seek(0)
    with source.open("wb") as file:
        while chunk := octets.read(MiB):
            file.write(chunk)
    person = person_of(0)
    command = ["openssl", "cms", "-decrypt", "-inform", "SMIME", "-in", source, "-stream",
               "-inkey", openssl.key(person), "-recip", openssl.certificate(person)]  # fmt: skip
    made = hashlib.sha256()
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE) as process:
        while chunk := process.stdout.read(MiB):
            made.update(chunk)
    source.unlink()
    assert process.returncode == 0
    return made.hexdigest()
