"""Whatever goes wrong in ``cmstream seal`` ends with a code that a mail server understands,
and not one octet comes out."""

from __future__ import annotations

import itertools
import os
import resource
import shlex
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cmstream.accounts import open_store
from command.test_seal_command import (  # fmt: skip
    ALICE,
    MAIL,
    NOBODY,
    OFF,
    PLAIN,
    SAMPLES,
    STREAMS_THAT_FAIL,
    command,
    database,
    key,
    seal,
)
from helpers.accounts.support import ADMINISTRATOR
from helpers.opening import open_message

pytestmark = pytest.mark.slow

__all__ = ["database"]  # a fixture


@pytest.mark.parametrize(
    "words",
    [[], ["--for"], ["--for", "alice"], ["--for", ""], ["--for", ALICE, "--nonsense"],
     ["--for", ALICE, "--for", "<>"], ["--for", ALICE, "a", "b"]],
)  # fmt: skip
def test_wrong_usage_is_64(database, words):
    seal(*words, database=database, code=64)


@pytest.mark.parametrize("given", [b"", b"A: " + b"x" * (5 << 20)], ids=["empty", "endless header"])
def test_a_malformed_message_is_65_or_75_by_option(database, given):
    seal("--for", ALICE, database=database, given=given, code=65)
    seal("--for", ALICE, "--defer-malformed", database=database, given=given, code=75)
    assert seal("--for", NOBODY, database=database, given=given).stdout == given


def test_nothing_usable_is_75(database):
    with open_store(database) as store:
        store.add_account("new@example.org", cipher="aes256-cbc", by=ADMINISTRATOR)
    done = seal("--for", "new@example.org", database=database, code=75)
    assert b"no-usable-certificate" in done.stderr


def test_a_store_that_is_away_is_75(database, tmp_path):
    path = Path(database.removeprefix("sqlite:///"))
    away = path.rename(tmp_path / "away")
    seal("--for", ALICE, database=database, code=75)
    assert not path.exists()
    path.touch()
    seal("--for", ALICE, database=database, code=75)
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    seal("--for", ALICE, database=database, code=75)
    away.rename(path)
    assert PLAIN not in seal("--for", ALICE, database=database).stdout


@pytest.mark.parametrize(
    "url", ["nonsense", "", "mysql://x/y", "postgresql://nobody@127.0.0.1:1/x", "sqlite:////proc/x"]
)
def test_an_address_of_no_store_is_75(url, tmp_path):
    environment = os.environ | {"CMSTREAM_DATABASE": url}
    words = [sys.executable, "-m", "cmstream", "seal", "--for", ALICE]
    if not url:
        words += ["--database", f"sqlite:///{tmp_path}/x"]
    done = subprocess.run(
        words, input=b"x", capture_output=True, check=False, env=environment, timeout=60
    )
    assert (done.returncode, done.stdout) == (75, b"")
    assert done.stderr.count(b"\n") == 1


def test_a_locked_store_is_answered_or_75(database):
    """Write locks hinder no reader in WAL mode; an exclusive one does."""
    holder = sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert PLAIN not in seal("--for", ALICE, database=database).stdout
    holder.execute("ROLLBACK")
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("UPDATE changes SET counter = counter + 1")
    holder.execute("COMMIT")
    done = subprocess.run(
        command("--for", ALICE, database=database), input=MAIL.read_bytes(),
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    holder.close()
    assert PLAIN not in done.stdout
    assert done.returncode in (0, 75)


def shell(text, database, **options):
    words = " ".join(map(shlex.quote, command("--for", ALICE, database=database)))
    done = subprocess.run(
        ["bash", "-c", text.replace("SEAL", words)],
        capture_output=True, check=False, timeout=120, **options,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    "text",
    [
        *STREAMS_THAT_FAIL,
        "SEAL /",
        "SEAL /nonexistent",
        f"PYTHONWARNINGS=error CMSTREAM_CPU=nonsense SEAL < {MAIL}",
        f"TMPDIR=/nonexistent SEAL < {MAIL} > /dev/full 2> /dev/full",
    ],
)
def test_streams_that_fail_are_75(database, text):
    done = shell(text, database)
    assert (done.returncode, done.stdout) == (75, b"")


def test_a_log_that_is_full_is_no_reason_to_bounce_mail(database):
    done = shell(f"SEAL < {MAIL} 2> /dev/full", database)
    assert done.returncode == 0
    assert PLAIN in open_message(done.stdout, key())[1]
    for error in ("/dev/full", "&-"):
        words = f"SEAL < {MAIL} 2>{error}".replace("SEAL", "SEAL --for=alice+x@example.org")
        assert shell(words, database).returncode == 0
    assert shell(f"SEAL --for={OFF} < {MAIL} 2>/dev/full", database).returncode == 75
    assert shell("SEAL --nonsense 2>/dev/full", database).returncode in (64, 75)


def limited(**limits):
    def limit():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    return limit


@pytest.mark.parametrize("appends", [True, False])
def test_a_disk_that_fills_up_keeps_what_was_there_and_nothing_else(database, tmp_path, appends):
    """The limit of a file's size stands for the disk: both refuse in the middle."""
    mailbox = tmp_path / "mailbox"
    before = b"an older mail\n" if appends else b""
    mailbox.write_bytes(before)
    given = MAIL.read_bytes() + b"x" * (300 << 10)
    with mailbox.open("ab" if appends else "wb") as out:
        done = subprocess.run(
            command("--for", ALICE, database=database), input=given, stdout=out,
            stderr=subprocess.PIPE, check=False, timeout=60,
            preexec_fn=limited(FSIZE=100 << 10),
        )  # fmt: skip
    assert done.returncode == 75
    assert mailbox.read_bytes() == before


def test_a_full_temporary_folder_is_75(database, tmp_path):
    done = subprocess.run(
        command("--for", ALICE, database=database), input=b"Subject: x\n\n" + b"x" * (20 << 20),
        capture_output=True, check=False, timeout=60, preexec_fn=limited(FSIZE=1 << 20),
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (75, b"")


INJECTED = """
import os, signal, sys
from cmstream.command import cli, seal

def fail(*_, **__):
    {statement}

seal.{where}  # a place that is no more must not pass for one that failed
seal.{where} = fail
sys.argv = ["cmstream", "seal", *sys.argv[1:]]
sys.exit(cli.main())
"""


PLACES = itertools.cycle(
    ["brief_connection.seals", "delivery.sealed", "_read", "give", "delivery.is_encrypted"]
)
ENDINGS = [
    "raise RuntimeError('unforeseen')",
    "raise MemoryError",
    "raise KeyboardInterrupt",
    "raise GeneratorExit",
    "raise OSError(28, 'No space left on device')",
    "raise PermissionError(13, 'Permission denied', 'x')",
    "raise BaseException('worse')",
    "raise UnicodeDecodeError('utf-8', b'x', 0, 1, 'y')",
    "os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
    "os.kill(os.getpid(), signal.SIGINT); signal.pause()",
    "fail()",
]


@pytest.mark.parametrize(
    ("where", "statement"), list(zip(PLACES, ENDINGS + ENDINGS[:4], strict=False))
)
def test_whatever_goes_wrong_is_75_and_nothing_comes_out(database, where, statement):
    script = INJECTED.format(where=where, statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", script, "--database", database, "--for", ALICE],
        input=MAIL.read_bytes(), capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (75, b"")
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("room", (150, 200, 250, 400))
def test_memory_that_runs_out_gives_all_or_nothing(database, room):
    """Limits from 'hardly starts' to 'enough', in MiB; the interpreter itself needs some 100."""
    given = b"Subject: x\n\n" + b"third flower pot\n" * 800_000
    done = subprocess.run(
        command("--for", ALICE, database=database), input=given, capture_output=True, check=False,
        timeout=60, preexec_fn=limited(AS=room << 20),
    )  # fmt: skip
    if done.returncode == 0:
        assert open_message(done.stdout, key())[1].count(PLAIN) == 800_000
    else:
        assert done.stdout == b""
        assert done.returncode in (75, 1, -signal.SIGABRT, -signal.SIGSEGV), done.stderr
        if b"cmstream: " in done.stderr:
            assert done.returncode == 75


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_while_it_reads_is_75(database, number):
    process = subprocess.Popen(
        command("--for", ALICE, database=database), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdin.write(b"Subject: x\r\n\r\n" + b"x" * (20 << 20))
    process.stdin.flush()  # most of it has been read by now
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (75, b"")


def test_a_reader_that_goes_away_is_75(database):
    process = subprocess.Popen(
        command("--for", NOBODY, database=database), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.close()
    process.stdin.write(b"Subject: x\r\n\r\n" + b"x" * (1 << 20))
    process.stdin.close()
    assert process.wait(timeout=30) == 75
    process.stderr.close()


def test_without_the_extra_it_is_75_and_one_line(database):
    script = textwrap.dedent("""
        import sys
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {"sqlalchemy", "alembic", "idna", "starlette"}:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.meta_path.insert(0, Missing())
        from cmstream.command import cli
        sys.exit(cli.main(sys.argv[1:]))
    """)
    for name, code in (("seal", 75), ("serve", 64), ("account", 64), ("token", 64)):
        done = subprocess.run(
            [sys.executable, "-c", script, name, "--for", ALICE], input=b"x",
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (code, b"")
        assert b"pip install 'cmstream[manage]'" in done.stderr
        assert done.stderr.count(b"\n") == 1
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"], capture_output=True, check=True, timeout=60
    )
    assert b"seal" in done.stdout


def test_the_other_subcommands_load_nothing_of_it():
    script = (
        "import sys; from cmstream.command import cli; cli.main(['cert', 'show', sys.argv[1]]);"
        "assert not {'sqlalchemy', 'idna', 'alembic', 'cmstream.accounts'} & {*sys.modules}"
    )
    subprocess.run(
        [sys.executable, "-c", script, SAMPLES / "alice.pem"], check=True, stdout=subprocess.DEVNULL
    )
