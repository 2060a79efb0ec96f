"""``cmstream seal`` as a mail server's pipe calls it: sealed, unchanged, or not one octet."""

from __future__ import annotations

import array
import fcntl
import io
import os
import re
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from cmstream.accounts import open_store
from cmstream.scratch import Scratch
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.authorities import NOW, identity, rsa_identity
from helpers.command import run
from helpers.opening import open_message

SAMPLES = Path(__file__).parents[1] / "samples"
MAIL = SAMPLES / "mail.eml"
ALICE, BOB, OFF = "alice@example.org", "bob@example.org", "off@example.org"
NOBODY = "nobody@example.org"
PLAIN = b"third flower pot"
STREAMS_THAT_FAIL = [
    f"SEAL < {MAIL} > /dev/full", f"SEAL < {MAIL} >&-", f"SEAL < {MAIL} 1< /dev/null",
    "SEAL <&-", f"SEAL < {MAIL} >&- 2>&-",
]  # fmt: skip
"""Lines of a shell in which SEAL stands for the command."""


def key(number=0):
    return rsa_identity(number=number)[0]


@pytest.fixture
def database(sqlite_url):
    with open_store(sqlite_url) as store:
        for number, address in enumerate((ALICE, BOB)):
            store.add_account(address, by=ADMINISTRATOR)
            data = pem(number, emails=(address,))
            store.import_certificates(address, data, by=ADMINISTRATOR)
            store.change_account(address, cipher="aes256-cbc", by=ADMINISTRATOR)
        store.add_account(OFF, by=ADMINISTRATOR)
    return sqlite_url


def command(*arguments, database, before=()):
    return [*before, sys.executable, "-m", "cmstream", "seal", "--database", database,
            *map(str, arguments)]  # fmt: skip


def seal(*arguments, database, code=0, given=None):
    given = MAIL.read_bytes() if given is None else given
    done = run("seal", "--database", database, *arguments, given=given, code=code)
    if code:
        assert done.stdout == b""
        assert done.stderr.startswith((b"cmstream: ", b"usage: "))
    return done


def change(database, address=ALICE, **settings):
    with open_store(database) as store:
        store.change_account(address, by=ADMINISTRATOR, **settings)


# --- what comes out --------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["standard input", "a file"])
def test_sealed_for_who_is_protected(database, where):
    files = [MAIL] if where == "a file" else []
    done = seal("--for", "Alice+news@EXAMPLE.org", *files, database=database)
    head, inside = open_message(done.stdout, key())
    assert PLAIN in inside
    assert PLAIN not in done.stdout
    assert b"Subject: The boat" in head
    assert done.stderr == b""


@pytest.mark.parametrize("address", [ALICE, NOBODY])
def test_it_needs_no_sqlalchemy_where_all_is_well(database, address):
    words = ["seal", "--database", database, "--for", address, str(MAIL)]
    code = (
        f"import sys; from cmstream.command.entry import main; assert main({words!r}) == 0; "
        "assert not {'sqlalchemy', 'asyncio', 'email.policy', 'socket'} & {*sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (PLAIN in done.stdout) is (address == NOBODY)


@pytest.mark.parametrize(("address", "why"), [(NOBODY, b"unknown-address"), (OFF, b"disabled")])
def test_unchanged_for_others_and_the_reason_is_told(database, address, why):
    done = seal("--for", address, database=database)
    assert done.stdout == MAIL.read_bytes()
    assert why in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert why in seal("--for", address, "--require", database=database, code=75).stderr


def test_what_is_encrypted_already_is_unchanged(database):
    given = cmstream.encrypt_message(MAIL.read_bytes(), cmstream.load_recipients(pem(7)))
    done = seal("--for", ALICE, database=database, given=given)
    assert done.stdout == given
    assert b"already-encrypted" in done.stderr
    seal("--for", ALICE, "--require", database=database, given=given, code=75)


def test_what_only_claims_to_be_encrypted_is_sealed(database):
    given = (
        b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nthird flower pot"
    )
    done = seal("--for", ALICE, database=database, given=given)
    assert PLAIN not in done.stdout
    assert PLAIN in open_message(done.stdout, key())[1]


def test_line_ends_and_odd_octets_come_through_unchanged(database):
    given = b"Subject: x\n\n\r\r\n\0\xff" + bytes(range(256)) * 5000
    assert seal("--for", NOBODY, database=database, given=given).stdout == given


def test_what_a_mail_program_files_is_sealed_where_the_account_says_so(database):
    done = seal("--for", ALICE, "--append", database=database)
    assert done.stdout == MAIL.read_bytes()
    change(database, encrypt_on_append=True)
    assert PLAIN not in seal("--for", ALICE, "--append", database=database).stdout


def test_an_expired_certificate_is_used_and_reported(database):
    with open_store(database) as store:
        (old,) = store.certificates(ALICE)
        store.import_certificates(
            ALICE, pem(not_after=NOW), by=ADMINISTRATOR, retire_others=True
        )  # fmt: skip
    done = seal("--for", ALICE, database=database)
    assert b"expired on 2026-01-01" in done.stderr
    assert PLAIN in open_message(done.stdout, key())[1]
    del old


# --- several addresses -----------------------------------------------------------------------


def test_several_get_one_message_that_each_can_open(database):
    change(database, BOB, cipher="aes128-cbc")
    done = seal("--for", ALICE, "--for", BOB, "--for", ALICE, database=database)
    info = cmstream.inspect(io.BytesIO(done.stdout))
    assert len(info.addressees) == 2
    assert info.cipher == "aes256-cbc"
    for number in (0, 1):
        certificate = rsa_identity(number=number, emails=((ALICE, BOB)[number],))[1]
        me = cmstream.Identity(key(number), cmstream.load_recipients(
            certificate.public_bytes(Encoding.DER))[0])  # fmt: skip
        assert PLAIN in cmstream.decrypt_message(done.stdout, me)


def test_the_subject_is_sealed_too_where_the_account_says_so(database):
    change(database, header_protection="baseline")
    head, inside = open_message(seal("--for", ALICE, database=database).stdout, key())
    assert b"Subject: [...]" in head
    assert b"Subject: The boat" in inside
    both = seal("--for", ALICE, "--for", BOB, database=database)
    assert b"Subject: The boat" in both.stdout  # what Bob wants is the least


def test_other_keys_that_shut_the_message_for_a_mail_program_are_warned_of(database):
    with open_store(database) as store:
        data = identity("mlkem768", emails=(OFF,))[1].public_bytes(Encoding.PEM)
        store.import_certificates(OFF, data, by=ADMINISTRATOR)
    change(database, OFF, cipher="aes256-cbc")
    change(database, ALICE, clients=["thunderbird", "mutt"])
    done = seal("--for", ALICE, "--for", BOB, database=database)
    assert done.stderr == b""
    done = seal("--for", ALICE, "--for", OFF, database=database)
    assert len(cmstream.inspect(io.BytesIO(done.stdout)).addressees) == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"cmstream: warning: {ALICE}: Thunderbird refuses the whole message")
    assert line.endswith("call cmstream seal once for each recipient.")


@pytest.mark.parametrize("other", [NOBODY, OFF])
def test_mail_for_a_protected_and_another_address_goes_out_in_no_form(database, other):
    for addresses in ((ALICE, other), (other, ALICE)):
        words = [word for address in addresses for word in ("--for", address)]
        done = seal(*words, database=database, code=75)
        assert b"once for each" in done.stderr


def test_several_that_are_left_are_left(database):
    done = seal("--for", NOBODY, "--for", OFF, database=database)
    assert done.stdout == MAIL.read_bytes()
    assert b"unknown-address" in done.stderr
    assert b"disabled" in done.stderr


# --- large messages --------------------------------------------------------------------------


def look(process, folder):
    """What it has written in the folder: files without a name are to be had by their numbers."""
    found = []
    for link in Path(f"/proc/{process.pid}/fd").glob("*"):
        with suppress(OSError):
            if str(folder) in str(link.readlink()):
                found.append(link.read_bytes())
    return found


def waits_for_more(process):
    """Whether it has read all that there is of its input."""
    left = array.array("i", [0])
    fcntl.ioctl(process.stdin, termios.FIONREAD, left)
    return left[0] == 0


def test_a_large_message_is_sealed_in_constant_memory_and_no_plaintext_reaches_the_disk(
    database, tmp_path
):
    line = b"third flower pot from the left, and the key is under it: 0123456789\r\n"
    count = (64 << 20) // len(line) // 1000
    before = ("/usr/bin/env", f"TMPDIR={tmp_path}")
    process = subprocess.Popen(
        command("--for", ALICE, database=database, before=before),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    process.stdin.write(b"Subject: x\r\n\r\n")
    for _ in range(count):
        process.stdin.write(line * 1000)
    process.stdin.flush()
    while not waits_for_more(process):
        time.sleep(0.01)
    written = look(process, tmp_path)
    process.stdin.close()
    sealed = process.stdout.read(1)  # the rest doesn't fit into the pipe
    written += look(process, tmp_path)
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    sealed += process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    (peak,) = map(int, re.findall(r"VmHWM:\s+(\d+) kB", status))
    assert peak < 160 << 10  # KiB: less than a message and its sealed form by far
    assert len(written) > 1
    assert all(len(one) > 32 << 20 for one in (written[0], written[-1]))
    assert not any(line in one for one in written)
    der = cmstream.inspect(io.BytesIO(sealed))
    assert der.cipher == "aes256-cbc"
    _, inside = open_message(sealed, key())
    assert inside.count(line) == count * 1000


def test_a_large_message_is_unchanged_where_it_is_left(database):
    given = b"Subject: x\n\n" + os.urandom(20 << 20)
    assert seal("--for", NOBODY, database=database, given=given).stdout == given
    encrypted = cmstream.encrypt_message(given, cmstream.load_recipients(pem(7)))
    assert seal("--for", ALICE, database=database, given=encrypted).stdout == encrypted


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 5000])
def test_scratch_gives_back_what_it_got(size):
    data = os.urandom(size)
    with Scratch(memory=100) as scratch:
        for start in range(0, size, 33):
            scratch.write(data[start : start + 33])
        assert len(scratch) == size
        assert (scratch.held is None) == (size > 100)
        for _ in range(2):
            assert b"".join(scratch.chunks()) == data
            scratch.seek(0)
            pieces = []
            while piece := scratch.read(7):
                pieces.append(piece)
                assert scratch.tell() == sum(map(len, pieces))
            assert b"".join(pieces) == data
        with pytest.raises(OSError, match="beginning"):
            scratch.seek(5)


def test_scratch_needs_no_key_in_memory():
    code = (
        "import sys; from cmstream import scratch; one = scratch.Scratch(memory=9);"
        "one.write(b'123456789'); assert [*one.chunks()] == [b'123456789'];"
        "assert one._cipher is None; one.write(b'0'); assert one._cipher is not None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
