"""``cmstream seal`` with messages that are too long to be held in memory: all of each is looked at,
and memory stays constant."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from pathlib import Path

import pytest

from cmstream import is_encrypted
from command.test_seal_command import ALICE, command, database, key, seal  # fmt: skip
from helpers.already import BASE64, BINARY, PKESK, SEIPD, armour, cms, mail, pgp_mime
from helpers.opening import open_message

__all__ = ["database"]  # a fixture

SIZE = 18 << 20
LINE = b"the key is under the third flower pot\r\n"
LINES = 480_000  # more than is held in memory
MOST = 160 << 10  # KiB of memory


def measured(database, given, folder):
    """What comes out, what is said, and the most memory it took, in KiB."""
    source = folder / "given"
    source.write_bytes(given)
    process = subprocess.Popen(
        command("--for", ALICE, source, database=database),
        bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out = process.stdout.read(1)  # the rest doesn't fit into the pipe
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    rest, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    (peak,) = map(int, re.findall(r"VmHWM:\s+(\d+) kB", status))
    return out + rest, said, peak


def encrypted_packet(size):
    return b"\xd2\xff" + (size + 1).to_bytes(4, "big") + b"\1" + os.urandom(size)


ENCRYPTED = {
    "CMS in binary": lambda: mail(BINARY, cms(content=os.urandom(SIZE))),
    "CMS in base64": lambda: mail(BASE64, base64.encodebytes(cms(content=os.urandom(SIZE)))),
    "PGP/MIME": lambda: pgp_mime(data=armour(PKESK + encrypted_packet(SIZE), checksum=b"")),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENCRYPTED)
def test_what_is_encrypted_to_its_end_passes(database, tmp_path, kind):
    given = ENCRYPTED[kind]()
    out, said, peak = measured(database, given, tmp_path)
    assert b"already-encrypted" in said
    assert out == given
    assert peak < MOST


SEEMS = {
    "lines behind the CMS": lambda: mail(BINARY, cms() + LINE * LINES),
    "lines behind long CMS": lambda: mail(BINARY, cms(content=os.urandom(SIZE)) + LINE * 1000),
    "lines for content": lambda: mail(BINARY, cms(content=os.urandom(9600) + LINE * LINES)),
    "lines behind base64": lambda: mail(BASE64, base64.encodebytes(cms()) + LINE * LINES),
    "lines behind a packet": lambda: mail(b"", armour(PKESK + SEIPD) + LINE * LINES),
    "lines in the second part": lambda: pgp_mime(data=armour(PKESK + SEIPD) + LINE * LINES),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEEMS)
def test_what_only_begins_as_if_it_were_is_sealed(database, tmp_path, kind):
    given = SEEMS[kind]()
    out, said, peak = measured(database, given, tmp_path)
    assert b"already-encrypted" not in said
    assert LINE not in out
    assert is_encrypted(out)
    assert peak < MOST
    _, inside = open_message(out, key())
    assert LINE in inside[-1000:]


# --- a header block that ends in the middle ---------------------------------------------------


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (b"Subject: x\r\nDear Alice,\r\n\r\nthird flower pot\r\n", 2),
        (b"Subject: x\nTo: a@b.example\n Alice\nDear Alice,\nthird flower pot\n", 4),
        (b"Subject: x\r\n\tmore\rDear Alice, third flower pot\r\n", 2),
        (b"Dear Alice,\r\n\r\nthird flower pot\r\n", 1),
        (b"From now on\r\nDear Alice,\r\n\r\nthird flower pot\r\n", 1),
        (b"A banner\r\nSubject: x\r\n\r\nthird flower pot\r\n", 1),
    ],
)
def test_a_line_that_is_no_field_is_told(database, given, line):
    done = seal("--for", ALICE, database=database, given=given)
    assert b"warning: line %d of the message is no header field" % line in done.stderr
    assert b"third flower pot" not in done.stdout
    assert b"Dear Alice" not in done.stdout
    assert b"third flower pot" in open_message(done.stdout, key())[1]


@pytest.mark.slow
def test_the_line_is_told_of_a_long_message_too(database, tmp_path):
    _, said, _ = measured(database, b"Subject: x\r\n" + LINE * LINES, tmp_path)
    assert b"warning: line 2 of the message" in said


@pytest.mark.parametrize(
    "given",
    [
        b"Subject: x\r\n\r\nthird flower pot\r\n",
        b"Subject: x\r\n",
        b"From a@b.example Sat Jan  3\nSubject: x\n\nthird flower pot\n",
        b">From a@b.example Sat Jan  3\nSubject: x\n\nthird flower pot\n",
        b"\xef\xbb\xbfSubject: x\r\n\r\nthird flower pot\r\n",
        b"\r\nthird flower pot\r\n",
    ],
)
def test_nothing_is_told_of_others(database, given):
    assert seal("--for", ALICE, database=database, given=given).stderr == b""
