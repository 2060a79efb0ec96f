"""What ``cmstream archive`` says on standard error: each thing once, and in its own words."""

from __future__ import annotations

import datetime as dt
import os
import signal
from pathlib import Path
from unittest import mock

import pytest

from cmstream.archive.sealing import seal
from cmstream.command import archive, cli
from helpers.accounts.support import pem
from helpers.archives import numbered, write
from helpers.command import run_process

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_problem_of_a_certificate_is_told_once(processes, source, target, tmp_path):
    past = {"not_before": dt.datetime(2019, 1, 1), "not_after": dt.datetime(2020, 1, 1)}  # noqa: DTZ001
    (tmp_path / "old.pem").write_bytes(pem(**past))
    for name in "abc":
        write(source / name, name.encode())
    words = ["--processes", processes, "--to", tmp_path / "old.pem", source, target]
    told = run_process("archive", "seal", *words).stderr.decode().splitlines()
    assert len(told) == 1
    assert told[0].startswith("cmstream: warning: ")
    assert "expired on 2020-01-01" in told[0]


def test_a_reason_is_told_once(source, target, bob, tmp_path):
    (tmp_path / "bob.pem").write_bytes(bob.recipient.pem)
    for name in "abc":
        write(source / name, name.encode())
    run_process("archive", "seal", "--to", tmp_path / "bob.pem", source, target)
    words = ["-k", SAMPLES / "alice.key.pem", "-c", SAMPLES / "alice.pem", target, tmp_path / "out"]
    done = run_process("archive", "open", *words, code=os.EX_DATAERR)
    first, *others, last = done.stderr.decode().splitlines()
    assert first.startswith("cmstream: warning: source/a.p7m: ")
    assert others == [f"cmstream: warning: source/{name}.p7m [no-recipient]" for name in "bc"]
    assert last == "cmstream: 3 files not opened: --json names them"


def test_all_that_is_left_is_counted(source, target, tmp_path):
    numbered(source, 25)
    run_process("archive", "seal", "--to", SAMPLES / "alice.pem", source, target)
    for path in target.rglob("*.p7m"):
        path.unlink()
    (source / "0/0.txt").unlink()
    done = run_process("archive", "verify", target, code=os.EX_DATAERR)
    told = done.stderr.decode().splitlines()
    assert told[-1] == "cmstream: 13 files failed: --json names them"
    assert len(told) == 14
    for path in target.rglob("*.eml"):
        path.unlink()
    *_, more, last = (
        run_process("archive", "verify", target, code=os.EX_DATAERR).stderr.decode().splitlines()
    )
    assert more == "cmstream: warning: and 5 more"
    assert last == "cmstream: 25 files failed: --json names them"


def test_an_interrupt_while_an_archive_is_opened(source, target, monkeypatch, capsys):
    """What is there isn't all of it, and the next run doesn't go on from it."""
    numbered(source, 3)
    run_process("archive", "seal", "--to", SAMPLES / "alice.pem", source, target)
    monkeypatch.setattr(archive, "open_archive", mock.Mock(side_effect=KeyboardInterrupt))
    keys = ["-k", SAMPLES / "alice.key.pem", "-c", SAMPLES / "alice.pem"]
    words = ["archive", "open", *keys, target, source / "out"]
    assert cli.main([str(one) for one in words]) == 130
    told = capsys.readouterr().err
    assert f"{source}/out doesn't hold everything: give a new folder to the next run" in told


def test_an_interrupt_at_the_very_end(source, target, monkeypatch, capsys):
    """It stops nothing, and what was done is told all the same."""
    numbered(source, 3)

    def late(*places, **options):
        found = seal(*places, **options)
        signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(archive, "seal", late)
    words = ["archive", "seal", "--to", SAMPLES / "alice.pem", "--processes", "1", source, target]
    assert cli.main([str(one) for one in words]) == 130
    told = capsys.readouterr()
    assert told.out.startswith("sealed 3 files")
    assert "stopped" not in told.out
    assert "again" not in told.err


def test_a_terminal_that_takes_nothing_ends_no_run(monkeypatch):
    """What a signal's handler raises would end the run in its middle."""
    with monkeypatch.context() as terminal:
        terminal.setattr(os, "isatty", lambda _: True)
        terminal.setattr(os, "write", mock.Mock(side_effect=BlockingIOError))
        archive._tell_of_waiting()
        assert os.write.call_count == 2


def test_what_a_maildir_delivers_just_now_is_no_failure(source, target):
    for part in ("cur", "new", "tmp"):
        (source / part).mkdir(parents=True)
    write(source / "cur/1.host:2,S", b"Subject: x\r\n\r\ny\r\n")
    words = ["archive", "seal", "--to", SAMPLES / "alice.pem", source, target]
    assert run_process(*words).stderr == b""
    write(source / "tmp/2.host", b"Subject: x\r\n\r\ny\r\n")
    (told,) = run_process(*words).stderr.decode().splitlines()
    assert told.endswith("[maildir-tmp]")


def test_sizes_are_told_in_bytes_below_a_mebibyte():
    assert archive._size((1 << 20) - 1) == "1048575 bytes"
    assert archive._size(1 << 20) == "1.0 MiB"
