"""``cmstream doctor`` finds what is wrong with the database, the gateway and the next hop."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from cmstream.accounts import open_store
from cmstream.accounts.revision import REVISION
from helpers.accounts.support import ADMINISTRATOR
from helpers.command import run
from helpers.opening import open_message
from helpers.peers.program import must
from helpers.servers.conversation import EXTENSIONS
from helpers.servers.gateway import Gateway
from helpers.servers.mail import ALICE, BOB, CAROL, EVE, person_of, populated
from helpers.servers.next_hop import NextHop
from helpers.servers.place import folder


@pytest.fixture(scope="module")
def own():
    with folder("doctor") as made:
        yield made


@pytest.fixture(scope="module")
def database(own):
    return populated(own)


def doctor(*words, code=None):
    """What it found, by check, without what it says of this machine's own Postfix."""
    nowhere = {"PATH": "/nowhere", "CMSTREAM_SOCKET": "/nowhere/seal"}
    given = ["doctor", "--json", *words]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cmstream.command.doctor_postfix._PLACES", "/nowhere")
        if code is None:
            patch.setattr("cmstream.command.doctor.os.EX_CONFIG", 0)
        done = run(*given, code=code or 0, env=nowhere)
    found: dict[str, list] = {}
    for one in json.loads(done.stdout):
        found.setdefault(one["check"], []).append(one)
    return found


def only(found, check):
    (one,) = found[check]
    return one


def statuses(found, check):
    return [one["status"] for one in found[check]]


# --- the database ----------------------------------------------------------------------------


def test_a_store_that_can_be_used(database):
    found = doctor("--database", database)
    assert statuses(found, "database") == ["ok", "ok"]
    read, written = found["database"]
    assert f"can be read by root, version {REVISION}" in read["text"]
    assert "can be written by root" in written["text"]


def test_lines_and_exit_codes(database):
    done = run("doctor", "--database", database, "--socket", "/nowhere/seal", code=78)
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("ok       database: ")
    (wrong,) = [line for line in lines if line.startswith("wrong    socket: ")]
    assert wrong.endswith(": start cmstream gateway there")
    assert b"findings are wrong" in done.stderr
    done = run("doctor", "--next", "milter:127.0.0.1:1", code=64)
    assert b"--next: milter:127.0.0.1:1: it must begin with" in done.stderr


def test_no_database(tmp_path):
    one = only(doctor("--database", f"sqlite:///{tmp_path}/x.sqlite3"), "database")
    assert one["status"] == "wrong"
    assert one["text"] == f"there is no database at {tmp_path}/x.sqlite3"
    assert one["remedy"].startswith("check --database, or run cmstream account list")


def test_what_is_no_url():
    assert "isn't a database's URL" in only(doctor("--database", "x"), "database")["text"]


@pytest.mark.parametrize(
    ("version", "said"),
    [("0000", f"is an older one (this program needs version {REVISION})"),
     ("9999", "belongs to a newer cmstream")],
)  # fmt: skip
def test_another_version(database, tmp_path, version, said):
    path = tmp_path / "other.sqlite3"
    shutil.copyfile(Path(database.removeprefix("sqlite:///")), path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE cmstream_version SET version_num = ?", [version])
    one = only(doctor("--database", f"sqlite:///{path}"), "database")
    assert (one["status"], said in one["text"]) == ("wrong", True)


def test_a_database_that_is_locked(database, monkeypatch):
    monkeypatch.setattr("cmstream.accounts.database.WAIT", 0.1)
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        read, written = doctor("--database", database)["database"]
        other.rollback()
    assert (read["status"], written["status"]) == ("ok", "wrong")
    assert "locked" in written["text"]


def test_encryption_that_is_switched_off(own):
    (own / "off").mkdir()
    url = populated(own / "off")
    with open_store(url) as store:
        store.set_switch("encryption", "off", by=ADMINISTRATOR)
    one = only(doctor("--database", url), "encryption")
    assert one["status"] == "wrong"
    assert one["remedy"] == "cmstream account server --encryption as-accounts-say"


AS_NOBODY = """
import os, sys
from cmstream.command import cli, doctor_postfix

doctor_postfix._PLACES = os.environ["PATH"] = "/nowhere"
good, *denied = sys.argv[1:]
assert cli.main(["doctor", "--json", "--database", good]) == 0  # imports all that it needs
os.setegid(65534), os.seteuid(65534)
for one in denied:
    if not os.fork():
        os._exit(cli.main(["doctor", "--json", "--database", one]))
    assert os.waitstatus_to_exitcode(os.wait()[1]) == os.EX_CONFIG
"""
DENIED = [
    (0o600, 0o755, "nobody can't read {path}, which is root's, mode 0600"),
    (0o644, 0o755, "nobody can't write to {path}, which is root's, mode 0644"),
    (0o666, 0o777, "nobody can't read {path}-wal, which is root's, mode 0600"),
    (0o666, 0o700, "nobody can't enter {folder}, which is root's, mode 0700"),
    (0o666, 0o755, "nobody can't write to {folder}, which is root's, mode 0755"),
]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_permission_denied(database):
    with ExitStack() as stack:
        places = [stack.enter_context(folder("denied")) for _ in DENIED]
        paths = [place / "accounts.sqlite3" for place in places]
        for (file, mode, text), place, path in zip(DENIED, places, paths, strict=True):
            shutil.copyfile(Path(database.removeprefix("sqlite:///")), path)
            path.chmod(file)
            place.chmod(mode)
            if "-wal" in text:
                path.with_name(f"{path.name}-wal").touch(0o600)
        urls = [database, *(f"sqlite:///{path}" for path in paths)]
        said = must(sys.executable, "-c", AS_NOBODY, *urls).stdout.decode()
    _, *reports, rest = re.split(r"(?<=^\])\n", said, flags=re.MULTILINE)
    assert rest == ""
    for (_, _, text), place, path, report in zip(DENIED, places, paths, reports, strict=True):
        one, *_ = json.loads(report)
        assert (one["check"], one["status"]) == ("database", "wrong")
        assert one["text"] == f"permission denied: {text.format(path=path, folder=place)}"
        assert one["remedy"].startswith("run this as the user that the gateway runs as")


# --- the gateway -----------------------------------------------------------------------------


def test_a_gateway_answers_at_its_socket(own, database):
    place = own / "gateway"
    place.mkdir()
    with Gateway(place, database, listen=("seal",)) as gateway:
        named = f"seal:inet:{gateway.place}"
        one = only(doctor("--database", database, "--socket", named), "socket")
        assert (one["status"], one["text"]) == (
            "ok",
            f"the gateway at inet:{gateway.place} answers",
        )


@pytest.mark.parametrize(
    ("place", "said"),
    [("/nowhere/seal", "nobody answers at /nowhere/seal (No such file or directory)"),
     ("unix:nowhere", "unix:nowhere is no place of a socket"),
     ("inet:127.0.0.1:1", "nobody answers at inet:127.0.0.1:1 (Connection refused)")],
)  # fmt: skip
def test_no_gateway(database, place, said):
    one = only(doctor("--database", database, "--socket", place), "socket")
    assert (one["status"], one["text"]) == ("wrong", said)


def test_what_answers_is_no_gateway(database, monkeypatch):
    monkeypatch.setattr("cmstream.command.doctor_path.PATIENCE", 0.5)
    with NextHop() as hop:
        one = only(doctor("--database", database, "--socket", f"inet:{hop.place}"), "socket")
    assert one["status"] == "wrong"
    assert "said nothing for 0.5 s" in one["text"]


# --- the next hop ----------------------------------------------------------------------------


def test_the_next_hop_announces_what_is_needed(database):
    with NextHop("lmtp") as hop:
        found = doctor("--database", database, "--next", f"lmtp:{hop.place}")
    one = only(found, "next hop")
    assert one["status"] == "ok"
    assert "announces 8BITMIME, CHUNKING, DSN, " in one["text"]


@pytest.mark.parametrize(
    ("name", "status", "meaning"),
    [("8BITMIME", "warning", "quoted-printable"), ("CHUNKING", "warning", "lone dot"),
     ("PIPELINING", "warning", "takes longer"), ("SMTPUTF8", "ok", "ASCII is refused"),
     ("DSN", "ok", "handed mail on")],
)  # fmt: skip
def test_what_the_next_hop_lacks_is_explained(database, name, status, meaning):
    with NextHop("lmtp", extensions=[one for one in EXTENSIONS if one != name]) as hop:
        found = doctor("--database", database, "--next", f"lmtp:{hop.place}")
    _, lack = found["next hop"]
    assert lack["status"] == status
    assert lack["text"].startswith(f"without {name}, ")
    assert meaning in lack["text"]


def test_the_next_hop_is_away(database):
    one = only(doctor("--database", database, "--next", "lmtp:127.0.0.1:1"), "next hop")
    assert one["status"] == "wrong"
    assert "can't be reached" in one["text"]


def test_the_next_hop_speaks_another_protocol(database):
    with NextHop("smtp", answers={"LHLO": "502 5.5.1 no"}) as hop:
        one = only(doctor("--database", database, "--next", f"lmtp:{hop.place}"), "next hop")
    assert one["status"] == "wrong"
    assert "refuses LHLO: 502" in one["text"]


def test_a_bad_file_of_authorities(database):
    words = ["--next", "lmtps:127.0.0.1:1", "--next-ca", "/nowhere.pem"]
    one = only(doctor("--database", database, *words), "next hop")
    assert one["text"].startswith("/nowhere.pem: No such file")


# --- a test message --------------------------------------------------------------------------


def test_a_test_message_is_sealed_and_delivered(database):
    to = "Alice+boat@example.org"
    with NextHop("lmtp") as hop:
        found = doctor("--database", database, "--next", f"lmtp:{hop.place}", "--test", to)
        (arrived,) = hop.wait(1)
    first, second = found["test message"]
    assert first["text"] == f"sealed for {to} (account {ALICE}, aes256-cbc)"
    own = person_of(0)
    assert own.recipient.fingerprint[:16] in second["text"]
    assert f"expires on {own.recipient.not_after:%Y-%m-%d}" in second["text"]
    assert only(found, "delivery")["text"].startswith("the next hop took the test message: 250")
    assert arrived.addresses == [to]
    assert b"Whoever reads it" in open_message(arrived.message, own.key)[1]


def test_a_next_hop_that_refuses_the_message(database):
    with NextHop("lmtp", answers={"RCPT": "550 5.1.1 user unknown"}) as hop:
        words = ["--next", f"lmtp:{hop.place}", "--test", ALICE]
        one = only(doctor("--database", database, *words), "delivery")
    assert one["status"] == "wrong"
    assert one["text"] == "the next hop refused the test message: 550 5.1.1 user unknown"


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [(BOB, "warning", "isn't sealed: no account has the address"),
     (CAROL, "warning", "isn't sealed: encryption is off for carol@example.org"),
     (EVE, "wrong", "eve@example.org has no usable certificate"),
     ("bob at example", "wrong", "bob at example")],
)  # fmt: skip
def test_a_test_message_that_is_not_sealed_goes_nowhere(database, address, status, said):
    with NextHop("lmtp") as hop:
        words = ["--next", f"lmtp:{hop.place}", "--test", address]
        found = doctor("--database", database, *words)
        assert hop.transactions == []
    one = only(found, "test message")
    assert one["status"] == status
    assert said in one["text"]
    assert "delivery" not in found
