"""The command as a process: signals, standard streams that are closed, folders, old processors."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from unittest import mock

import pytest

from cmstream.command import entry
from command.test_cli import CERTIFICATE, KEY, MAIL, canonical
from helpers.command import run, run_process
from helpers.opening import open_message

COMMAND = f"{shlex.quote(sys.executable)} -m cmstream"
ENCRYPT_INPUT = f"{COMMAND} encrypt -r {shlex.quote(CERTIFICATE)}"
ENCRYPT = f"{ENCRYPT_INPUT} {shlex.quote(str(MAIL))}"


def shell(command):
    done = subprocess.run(
        ["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    return done


def test_without_fast_kernels():
    environment = os.environ | {"CMSTREAM_CPU": "portable"}
    sealed = run_process("encrypt", "-r", CERTIFICATE, MAIL, env=environment).stdout
    assert open_message(sealed, KEY)[1].endswith(canonical(MAIL.read_bytes())[-20:])
    assert b"rsa: portable in use" in run_process("--version", env=environment).stdout


def test_an_interrupt_while_it_is_still_imported(monkeypatch, capfd):
    monkeypatch.setattr(entry, "_whole", mock.Mock(side_effect=KeyboardInterrupt))
    assert entry.main(["encrypt"]) == 130
    assert capfd.readouterr().err == "cmstream: interrupted\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["cert", "show", CERTIFICATE], 0),
        (["cert", "show", "none"], -signal.SIGINT),
        (["none"], -signal.SIGINT),
    ],
)
def test_an_interrupt_while_python_ends(words, code):
    late = (
        f"import atexit, os, runpy, sys; sys.argv[1:] = {words!r}; "
        f"atexit.register(os.kill, os.getpid(), {signal.SIGINT:d}); "
        "runpy.run_module('cmstream', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", late], check=False, capture_output=True)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr


def in_the_middle(out, before=""):
    """A process that encrypts its input to a file, and has written a part of it."""
    command = f"{before}exec {ENCRYPT_INPUT} -o {shlex.quote(str(out))}"
    process = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"Subject: x\r\n\r\n" + b"x" * (20 << 20))
    process.stdin.flush()
    while not list(out.parent.iterdir()):
        time.sleep(0.01)
        assert process.poll() is None
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(tmp_path, number):
    process = in_the_middle(tmp_path / "out")
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_is_ignored_stays_so(tmp_path, number):
    """As nohup and a shell's & have it."""
    out = tmp_path / "out"
    process = in_the_middle(out, f"trap '' {number:d}; ")
    process.send_signal(number)
    process.communicate(b"end", timeout=30)
    assert process.returncode == 0
    assert out.stat().st_size > 20 << 20


def test_closed_standard_error_spoils_nothing():
    sealed = shell(f"{ENCRYPT} --refuse expired 2>&-")
    assert sealed.returncode == 0
    assert sealed.stdout.startswith(b"Received:")


def test_closed_standard_output_is_an_error_where_it_is_needed(tmp_path):
    for command in (ENCRYPT, f"{COMMAND} cert show {shlex.quote(CERTIFICATE)}"):
        done = shell(f"{command} >&-")
        assert done.returncode == 73
        assert b"standard output: it is closed" in done.stderr
    out = tmp_path / "out.eml"
    assert shell(f"{ENCRYPT} -o {out} >&-").returncode == 0
    assert out.read_bytes().startswith(b"Received:")


def test_closed_standard_input_is_no_input():
    done = shell(f"{ENCRYPT_INPUT} <&-")
    assert done.returncode == 66
    assert b"standard input: it is closed" in done.stderr


def test_a_pipe_by_name():
    done = shell(f"{ENCRYPT} -o /dev/stdout | cat")
    assert done.stdout.startswith(b"Received:")


def test_errors_name_what_was_asked_for(tmp_path):
    missing = tmp_path / "missing" / "out"
    error = run("encrypt", "-r", CERTIFICATE, "-o", missing, MAIL, code=73).stderr
    assert f"{missing}: No such file".encode() in error
    for folder in ("", f"{tmp_path}/", f"{tmp_path}/new/"):
        run("encrypt", "-r", CERTIFICATE, "-o", folder, MAIL, code=73)
    assert list(tmp_path.iterdir()) == []


def test_a_password_that_nobody_can_be_asked_for(tmp_path):
    pfx = tmp_path / "me.pfx"
    sample = shlex.quote(CERTIFICATE)
    key = shlex.quote(CERTIFICATE.replace(".pem", ".key.pem"))
    shell(f"openssl pkcs12 -export -in {sample} -inkey {key} -passout pass:x -out {pfx}")
    for words in (["cert", "show", pfx], ["decrypt", "--pfx", pfx, MAIL]):
        error = run(*words, code=65).stderr
        assert b"give --password-file or --password-env [password-needed]" in error
