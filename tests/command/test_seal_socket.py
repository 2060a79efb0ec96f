"""``cmstream seal`` with a gateway's socket: it says and does what it does without, and imports
nothing but Python's core."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import threading

import pytest

import cmstream
from cmstream.accounts import open_store
from cmstream.command import seal_client, seal_options
from cmstream.command.endings import Failure
from cmstream.gateway.protocol.seal import END, Answer, chunk
from command.test_seal_command import (
    ALICE,
    BOB,
    MAIL,
    NOBODY,
    OFF,
    PLAIN,
    STREAMS_THAT_FAIL,
    database,
    key,
)
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.command import run_process
from helpers.gateway_process import gateway
from helpers.opening import open_message

__all__ = ["database"]  # a fixture

OLD = "old@example.org"
ALREADY = cmstream.encrypt_message(MAIL.read_bytes(), cmstream.load_recipients(pem(7)))


@pytest.fixture
def place(database, tmp_path):
    with gateway(tmp_path, database, "--memory", 1 << 20) as running:
        yield running.place


def seal(place, *words, given=None, code=0, **options):
    given = MAIL.read_bytes() if given is None else given
    return run_process("seal", "--socket", place, *words, given=given, code=code, **options)


# --- the same as without ---------------------------------------------------------------------

CASES = [
    (["--for", "<Alice+news@EXAMPLE.org>"], None),
    (["--for", NOBODY], None),
    (["--for", OFF, "--for", f" {NOBODY} "], None),
    (["--for", NOBODY, "--require"], None),
    (["--for", ALICE, "--append"], None),
    (["--for", ALICE, "--append", "--require"], None),
    (["--for", ALICE, f"--for={BOB}"], None),
    (["--for", ALICE, "--for", NOBODY], None),
    (["--for", "new@example.org"], None),
    (["--for", OLD], None),
    (["--for", "nonsense"], None),
    (["--for", ""], None),
    (["--for", "\udcff@example.org"], None),
    (["--for", ALICE], b""),
    (["--for", ALICE, "--defer-malformed"], b""),
    (["--for", NOBODY], b""),
    (["--for", ALICE], b"A: " + b"x" * (5 << 20)),
    (["--for", ALICE], ALREADY),
    (["--for", ALICE, "--require"], ALREADY),
    (["--for", ALICE], b"Dear Alice,\r\n\r\nthird flower pot\r\n"),
    (["--for", NOBODY], b"Subject: x\n\n\r\r\n\0\xff" + bytes(range(256)) * 9000),
    (["--for", ALICE, str(MAIL)], b"other"),
    (["--for", ALICE, "/nonexistent"], b""),
    (["--for", ALICE, "/"], b""),
    (["--for", ALICE, "--nonsense"], b""),
    ([], b""),
    (["--for", "-x"], b""),
    (["--for", ALICE, "a", "b"], b""),
    (["--app", "--for", ALICE], None),
    (["--for", ALICE, "--", str(MAIL)], b""),
    (["--help"], b""),
]


def outcome(words, given, me):
    given = MAIL.read_bytes() if given is None else given
    done = subprocess.run(
        [sys.executable, "-m", "cmstream", "seal", *words], input=given, capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    if done.stdout and cmstream.is_encrypted(done.stdout) and given != done.stdout:
        return done.returncode, cmstream.decrypt_message(done.stdout, me), done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_it_does_and_says_the_same_with_a_socket(database, place):
    with open_store(database) as store:
        store.add_account("new@example.org", cipher="aes256-cbc", by=ADMINISTRATOR)
        store.add_account(OLD, cipher="aes256-cbc", by=ADMINISTRATOR)
        data = pem(0, emails=(OLD,), not_after=cmstream.load_recipients(pem())[0].not_before)
        store.import_certificates(OLD, data, by=ADMINISTRATOR)
        held = [store.certificates(address)[0].recipient for address in (ALICE, OLD)]
    me = [cmstream.Identity(key(), one) for one in held]
    for words, given in CASES:
        with_socket = outcome(["--socket", place, *words], given, me)
        assert with_socket == outcome(["--database", database, *words], given, me), words


def test_an_address_of_two_lines_is_64(place):
    assert b"[invalid-address]" in seal(place, "--for", "a\nb@example.org", code=64).stderr
    assert seal(place, "--for", f"{ALICE}\n").stderr == b""


def test_the_socket_s_name_may_be_in_the_environment(place):
    environment = os.environ | {"CMSTREAM_SOCKET": f"unix:{place}"}
    done = run_process("seal", "--for", ALICE, given=MAIL.read_bytes(), env=environment)
    assert PLAIN in open_message(done.stdout, key())[1]


# --- what it imports -------------------------------------------------------------------------

LOADED = """
import sys
before = {*sys.modules}
from cmstream.command.entry import main
code = main(sys.argv[1:])
print(*sorted({*sys.modules} - before), file=sys.stderr)
sys.exit(code)
"""


def test_nothing_but_python_s_core_is_imported(place):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "seal", "--socket", place, "--for", ALICE],
        input=MAIL.read_bytes(), capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert PLAIN in open_message(done.stdout, key())[1]
    loaded = {*done.stderr.decode().split()}
    ours = {one for one in loaded if one.startswith("cmstream")}
    assert loaded - ours <= {"__future__", "_signal", "_socket", "fcntl", "stat", "time"}
    assert ours == {
        "cmstream", "cmstream.scratch", "cmstream.gateway", "cmstream.gateway.protocol",
        "cmstream.gateway.protocol.seal", "cmstream.command", "cmstream.command.entry",
        "cmstream.command.endings", "cmstream.command.seal_client",
        "cmstream.command.seal_options", "cmstream.command.seal_start",
        "cmstream.command.standard_streams",
    }  # fmt: skip


# --- which socket ----------------------------------------------------------------------------


@pytest.fixture
def listener(tmp_path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "listening"))
        sock.listen()
        yield str(tmp_path / "listening")


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch):
    monkeypatch.delenv("CMSTREAM_SOCKET", raising=False)
    monkeypatch.delenv("CMSTREAM_DATABASE", raising=False)


def reached(*words):
    """The place of the gateway that is used."""
    found = seal_client.reached(seal_options.read([*words, "--for", ALICE]))
    if found is None:
        return None
    found.close()
    return found.place


def test_a_socket_at_the_usual_place_is_used_unless_a_database_is_named(listener, monkeypatch):
    monkeypatch.setattr(seal_client, "DEFAULT_SOCKET", listener)
    assert reached() == listener
    assert reached("--database", "x") is None
    monkeypatch.setenv("CMSTREAM_DATABASE", "x")
    assert reached() is None
    assert reached("--socket", listener) == listener
    monkeypatch.setenv("CMSTREAM_SOCKET", f"unix:{listener}")
    assert reached() == f"unix:{listener}"
    assert reached("--database", "x") is None


def test_a_usual_place_without_a_gateway_is_not_used(tmp_path, monkeypatch):
    dead = tmp_path / "dead"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(dead))
    for place in (dead, tmp_path / "none", tmp_path):
        monkeypatch.setattr(seal_client, "DEFAULT_SOCKET", str(place))
        assert reached() is None


def test_a_named_socket_without_a_gateway_is_75(tmp_path, monkeypatch):
    place = f"{tmp_path}/none"
    with pytest.raises(Failure, match=r"can't be reached \(No such file") as caught:
        reached("--socket", place)
    assert caught.value.code == 75
    monkeypatch.setenv("CMSTREAM_SOCKET", place)
    with pytest.raises(Failure) as caught:
        reached()
    assert caught.value.code == 75


@pytest.mark.parametrize(
    "place", ["nonsense", "unix:x", "inet:x", "inet::25", "tcp:a:25", "inet:a:b"]
)
def test_what_is_no_place_is_64(place):
    with pytest.raises(Failure, match="is no place") as caught:
        reached("--socket", place)
    assert caught.value.code == 64
    with pytest.raises(Failure, match="not both") as caught:
        reached("--socket", place, "--database", "x")
    assert caught.value.code == 64


@pytest.mark.parametrize(("family", "host"), [("inet", "127.0.0.1"), ("inet", "localhost"),
                                              ("inet6", "[::1]")])  # fmt: skip
def test_a_gateway_at_a_port(family, host):
    version = socket.AF_INET6 if family == "inet6" else socket.AF_INET
    with socket.socket(version) as sock:
        sock.bind((host.strip("[]"), 0))
        sock.listen()
        port = sock.getsockname()[1]
        assert reached("--socket", f"{family}:{host}:{port}")


# --- what may go wrong -----------------------------------------------------------------------

HEADER = Answer(0, ["warning: x"]).octets()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        HEADER,
        HEADER + chunk(b"half a message"),
        HEADER + chunk(b"half a message")[:-3],
        (HEADER + chunk(b"a message") + END)[:-1],
        b"seal/1 0\n\n1x\n",
        b"seal/2 0\n\n0\n",
        b"220 mail.example.org ESMTP\r\n\r\n\n\n",
        Answer(75, ["half"]).octets(),
    ],
)
def test_half_an_answer_is_75_and_nothing_comes_out(listener, octets):
    with socket.socket(socket.AF_UNIX) as sock:
        place = f"{listener}2"
        sock.bind(place)
        sock.listen()
        thread = threading.Thread(target=answer_once, args=(sock, octets))
        thread.start()
        done = seal(place, "--for", ALICE, code=75)
        thread.join()
    assert done.stdout == b""
    assert done.stderr.startswith(b"cmstream: ")
    assert done.stderr.endswith(b": try again\n")


def answer_once(sock, octets):
    client, _ = sock.accept()
    with client:
        asked = b""
        while not asked.endswith(b"\n" + END):
            asked += client.recv(1 << 16)
        client.sendall(octets)


def test_a_gateway_that_dies_is_75(database, tmp_path):
    with gateway(tmp_path, database) as running:
        process = subprocess.Popen(
            [sys.executable, "-m", "cmstream", "seal", "--socket", running.place, "--for", ALICE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        process.stdin.write(b"Subject: x\r\n\r\n" + b"x" * (1 << 20))
        process.stdin.flush()
        running.process.kill()
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (75, b"")
    assert b"try again" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_while_it_reads_is_75(place, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "cmstream", "seal", "--socket", place, "--for", ALICE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdin.write(b"Subject: x\r\n\r\n" + b"x" * (20 << 20))
    process.stdin.flush()  # most of it has been read by now
    process.send_signal(number)
    out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (75, b"")
    assert said.count(b"\n") == 1


@pytest.mark.parametrize(
    "text",
    [*STREAMS_THAT_FAIL, f"SEAL < {MAIL} >&- 2> /dev/full"],
)
def test_streams_that_fail_are_75(place, text):
    words = [sys.executable, "-m", "cmstream", "seal", "--socket", place, "--for", ALICE]
    done = subprocess.run(
        ["bash", "-c", text.replace("SEAL", shlex.join(words))], capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (75, b"")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("appends", [True, False])
def test_a_disk_that_fills_up_keeps_what_was_there(place, tmp_path, appends):
    mailbox = tmp_path / "mailbox"
    before = b"an older mail\n" if appends else b""
    mailbox.write_bytes(before)
    with mailbox.open("ab" if appends else "wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "cmstream", "seal", "--socket", place, "--for", ALICE],
            input=MAIL.read_bytes() + b"x" * (300 << 10), stdout=out, stderr=subprocess.PIPE,
            check=False, timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, 100 << 10)),
        )  # fmt: skip
    assert done.returncode == 75
    assert mailbox.read_bytes() == before


def test_a_long_message_comes_through_in_constant_memory(place):
    given = b"Subject: x\r\n\r\n" + b"third flower pot\r\n" * 2_000_000
    sealed = seal(place, "--for", ALICE, given=given).stdout
    assert open_message(sealed, key())[1].count(PLAIN) == 2_000_000
    assert seal(place, "--for", NOBODY, given=given).stdout == given


# --- before the command is ready -------------------------------------------------------------

BROKEN = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            {statement}
sys.meta_path.insert(0, Finder())
from cmstream.command.entry import main
sys.exit(main(["seal", "--for", "alice@example.org"]))
"""


@pytest.mark.parametrize(
    "name", ["cmstream.command.seal_client", "cmstream.command.cli", "_socket"]
)
@pytest.mark.parametrize(
    "statement",
    ["raise KeyboardInterrupt", "raise OSError(24, 'Too many open files')", "raise MemoryError",
     "raise ModuleNotFoundError(name)"],
)  # fmt: skip
def test_whatever_happens_while_it_is_imported_is_75(name, statement):
    environment = os.environ | {"CMSTREAM_DATABASE": "sqlite:////nonexistent"}
    script = BROKEN.format(name=name, statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", script], input=b"x", capture_output=True, check=False,
        timeout=60, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (75, b"")
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("count", [5, 6, 7])
def test_few_file_descriptors_are_enough_or_75(database, place, count):
    for words in (["--socket", place], ["--database", database]):
        command = [sys.executable, "-m", "cmstream", "seal", *words, "--for", ALICE]
        done = subprocess.run(
            ["bash", "-c", f"ulimit -n {count}; {shlex.join(command)}"], input=MAIL.read_bytes(),
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode in (0, 75)
        assert bool(done.stdout) == (done.returncode == 0)
        assert b"Traceback" not in done.stderr
