"""The command, run as a person and as a mail server would."""

from __future__ import annotations

import json
import os
import pty
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    load_pem_private_key,
    pkcs12,
)

import cmstream
from cmstream.command.cli import HELD
from helpers.authorities import rsa_identity
from helpers.command import run, run_process, shown_on_a_terminal
from helpers.opening import dearmour, open_cms, open_message

SAMPLES = Path(__file__).parents[1] / "samples"
CERTIFICATE = str(SAMPLES / "alice.pem")
MAIL = SAMPLES / "mail.eml"
KEY = load_pem_private_key((SAMPLES / "alice.key.pem").read_bytes(), None)


def canonical(text):
    return text.replace(b"\n", b"\r\n")


@pytest.fixture
def pfx(tmp_path):
    key, certificate = rsa_identity()
    path = tmp_path / "alice.pfx"
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"alice", key, certificate, None, BestAvailableEncryption(b"open sesame")
        )
    )
    return path


def test_a_mail_in_a_mail_out():
    sealed = run_process("encrypt", "-r", CERTIFICATE, MAIL).stdout
    outside, inside = open_message(sealed, KEY)
    assert b"Subject: The boat\r\n" in outside
    assert inside.endswith(canonical(MAIL.read_bytes().partition(b"\n\n")[2]))


def test_what_is_no_mail_is_sealed_with_a_warning(tmp_path):
    notes = tmp_path / "notes"
    notes.write_bytes(b"password: hunter2\nuser: alice\n\nmore\n")
    done = run("encrypt", "-r", CERTIFICATE, notes)
    assert f"warning: {notes}: has no From, Date or To: is it a mail?".encode() in done.stderr
    assert b"--binary" in done.stderr
    assert open_message(done.stdout, KEY)[1].endswith(b"more\r\n")
    for given in (b"just text\nFrom: me\n", MAIL.read_bytes() + b"\0"):
        done = run("encrypt", "-r", CERTIFICATE, given=given)
        assert done.stderr.startswith(b"cmstream: warning: standard input: has "), given
        assert run("encrypt", "--binary", "-r", CERTIFICATE, given=given).stderr == b""
    for given in (b"cc: a@example.org\n\n", b"From x\nX: y\nSUBJECT : z\n\n"):
        assert run("encrypt", "-r", CERTIFICATE, given=given).stderr == b""


def test_an_empty_mail_is_one_error_without_a_warning():
    done = run("encrypt", "-r", CERTIFICATE, given=b"", code=os.EX_DATAERR)
    assert done.stdout == b""
    assert done.stderr.endswith(b"there is nothing to seal [malformed-message]\n")
    assert done.stderr.count(b"\n") == 1


def test_a_sealed_mail_in_binary_is_a_mail():
    der = run("encrypt", "--binary", "-r", CERTIFICATE, given=b"Hello" * 100).stdout
    kind = b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
    for header in (b"", b"From: a@example.org\r\n", b"MIME-Version: 1.0\r\n"):
        mail = header + kind + b"Content-Transfer-Encoding: binary\r\n\r\n" + der
        assert b"\0" in der[:1024]
        assert run("encrypt", "-r", CERTIFICATE, given=mail).stderr == b""


def test_a_pipe_gives_der_as_a_file_does():
    sealed = run("encrypt", "-r", CERTIFICATE, given=MAIL.read_bytes()).stdout
    assert dearmour(sealed)[1] != 0x80
    assert open_message(sealed, KEY)[1].endswith(b"Bob\r\n")


def test_a_long_pipe_is_streamed(tmp_path):
    data = b"0123456789abcde\n" * (17 << 16)
    out = tmp_path / "out"
    run("encrypt", "--binary", "-r", CERTIFICATE, "-o", out, given=data)
    sealed = out.read_bytes()
    assert sealed[1] == 0x80
    assert open_cms(sealed, KEY).content == data


@pytest.mark.parametrize("form", ["der", "pem", "smime"])
@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes128-cbc"])
def test_binary_forms(tmp_path, form, cipher):
    source = tmp_path / "in"
    source.write_bytes(bytes(range(256)) * 10)
    arguments = ("--form", form, "--cipher", cipher, "-r", CERTIFICATE, source)
    sealed = run("encrypt", "--binary", *arguments).stdout
    opened = open_cms(sealed if form == "der" else dearmour(sealed), KEY)
    assert opened[:2] == (source.read_bytes(), cipher)


def test_what_is_encrypted_already_passes():
    sealed = run("encrypt", "-r", CERTIFICATE, MAIL).stdout
    assert run("encrypt", "-r", CERTIFICATE, given=sealed).stdout == sealed
    refused = ("encrypt", "--already-encrypted", "refuse", "-r", CERTIFICATE)
    done = run(*refused, given=sealed, code=65)
    assert done.stdout == b""
    assert b"[already-encrypted]" in done.stderr


def test_a_long_mail_that_is_encrypted_already_passes_where_all_of_it_is_seen(tmp_path):
    long = tmp_path / "long.eml"
    long.write_bytes(b"From: a@example.org\n\n" + b"0123456789abcde\n" * (13 << 16))
    sealed = tmp_path / "sealed.eml"
    run("encrypt", "-r", CERTIFICATE, "-o", sealed, long)
    whole = sealed.read_bytes()
    assert len(whole) > HELD
    assert run("encrypt", "-r", CERTIFICATE, sealed).stdout == whole
    refuse = ("encrypt", "--already-encrypted", "refuse", "-r", CERTIFICATE)
    assert run(*refuse, sealed, code=65).stdout == b""
    for words in (("encrypt", "-r", CERTIFICATE), refuse):
        done = run(*words, given=whole)
        assert b"standard input: says that it is encrypted already, but " in done.stderr
        assert dearmour(done.stdout)[1] == 0x80
    again = ("encrypt", "--already-encrypted", "encrypt", "-r", CERTIFICATE)
    assert run(*again, given=whole).stderr == b""
    assert run("encrypt", "--binary", "-r", CERTIFICATE, given=whole).stderr == b""


def test_output_takes_its_place_whole(tmp_path):
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    run("encrypt", "-r", CERTIFICATE, "-o", link, MAIL)
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert open_message(target.read_bytes(), KEY)
    fresh = tmp_path / "fresh"
    run("encrypt", "-r", CERTIFICATE, "-o", fresh, MAIL)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o600


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    bad = b"X: " + b"y" * (5 << 20)
    done = run("encrypt", "-r", CERTIFICATE, "-o", target, given=bad, code=65)
    assert b"[header-too-large]" in done.stderr
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_device_stays_a_device():
    run("encrypt", "-r", CERTIFICATE, "-o", "/dev/null", MAIL)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 64, b"COMMAND"),
        (("encrypt",), 64, b"--recipient"),
        (("encrypt", "-r", CERTIFICATE, "--form", "pem", MAIL), 64, b"--binary"),
        (("encrypt", "-r", CERTIFICATE, "--cipher", "des", MAIL), 64, b"des"),
        (("encrypt", "-r", "/no/such/file", MAIL), 66, b"/no/such/file"),
        (("encrypt", "-r", CERTIFICATE, "/no/such/mail"), 66, b"/no/such/mail"),
        (("encrypt", "-r", MAIL, MAIL), 65, b"[not-a-certificate]"),
        (("encrypt", "-r", CERTIFICATE, "-o", "/no/such/folder/x", MAIL), 73, b"can't write"),
        (("cert", "show", SAMPLES / "alice.key.pem"), 65, b"[private-key-only]"),
        (("cert", "export", CERTIFICATE), 64, b"--output"),
    ],
)
def test_errors_are_one_line_with_a_code(arguments, code, says):
    done = run(*arguments, code=code)
    assert says in done.stderr
    assert done.stdout == b""
    assert done.stderr.splitlines()[-1].startswith(b"cmstream: ")


def test_a_full_disk_is_try_again():
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "cmstream", "encrypt", "-r", CERTIFICATE, str(MAIL)],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 75
    assert done.stderr == b"cmstream: standard output: No space left on device\n"


def test_an_output_that_has_no_room_is_named(tmp_path):
    def little() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    out = tmp_path / "out"
    for target, options in (("/dev/full", {}), (out, {"preexec_fn": little})):
        words = ("encrypt", "-r", CERTIFICATE, "-o", target, MAIL)
        done = run_process(*words, code=75, **options)
        assert done.stderr.startswith(f"cmstream: {target}: ".encode())
        assert done.stderr.count(b"\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_input_that_fails_is_named(tmp_path):
    sealed = tmp_path / "sealed"
    sealed.write_bytes(run("encrypt", "-r", CERTIFICATE, MAIL).stdout)
    refuse = ("encrypt", "--already-encrypted", "refuse", "-r", CERTIFICATE)
    for options in (((sealed,), {}), ((), {"given": sealed.read_bytes()})):
        done = run(*refuse, *options[0], code=65, **options[1])
        name = sealed if options[0] else "standard input"
        assert done.stderr.startswith(f"cmstream: {name}: it is encrypted already: ".encode())
        assert b"--already-encrypted pass" in done.stderr


def test_a_policy_refuses_and_warns(tmp_path):
    _, certificate = rsa_identity(emails=(), number=9)
    path = tmp_path / "nobody.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    assert b"warning" in run("encrypt", "-r", path, MAIL).stderr
    done = run("encrypt", "--refuse", "no-email", "-r", path, MAIL, code=65)
    assert b"[unusable-recipient]" in done.stderr


def test_cert_show():
    shown = run("cert", "show", CERTIFICATE).stdout.decode()
    assert "alice@example.org" in shown
    document = json.loads(run("cert", "show", "--json", CERTIFICATE).stdout)
    (recipient,) = document["recipients"]
    assert recipient["emails"] == ["alice@example.org"]
    assert recipient["key"] == "RSA-2048"
    assert recipient["problems"] == document["warnings"] == []


def test_cert_show_of_a_pipe_and_of_several(pfx):
    alice = Path(CERTIFICATE).read_bytes()
    whole = run("cert", "show", CERTIFICATE).stdout
    for name in ((), ("-",)):
        assert run("cert", "show", *name, given=alice).stdout == whole
    several = ("cert", "show", CERTIFICATE, pfx, "--password-env", "P")
    environment = os.environ | {"P": "open sesame"}
    shown = run(*several, env=environment).stdout
    assert shown.startswith(f"{CERTIFICATE}:\n\n".encode() + whole)
    assert f"\n\n{pfx}:\n\nsubject: ".encode() in shown
    found = json.loads(run(*several, "--json", env=environment).stdout)
    assert [one["file"] for one in found["recipients"]] == [CERTIFICATE, str(pfx)]
    assert found["warnings"] == ["private-key-ignored"]
    assert b"standard input: " in run("cert", "show", given=b"", code=65).stderr


@pytest.mark.parametrize("form", ["pem", "der"])
def test_cert_export(pfx, tmp_path, form):
    out, secret = tmp_path / "out", tmp_path / "secret"
    secret.write_text("open sesame\n")
    done = run("cert", "export", pfx, "-o", out, "--form", form, "--password-file", secret)
    assert b"private key" in done.stderr
    _, certificate = rsa_identity()
    assert out.read_bytes() == certificate.public_bytes(getattr(Encoding, form.upper()))
    environment = {**os.environ, "PFX_PASSWORD": "open sesame"}
    run("cert", "export", pfx, "-o", out, "--password-env", "PFX_PASSWORD", env=environment)
    assert out.read_bytes() == certificate.public_bytes(Encoding.PEM)


def test_a_wrong_password_is_not_repeated(pfx, tmp_path):
    environment = {**os.environ, "P": "hunter2-wrong"}
    arguments = ("cert", "export", pfx, "-o", tmp_path / "out", "--password-env", "P")
    done = run(*arguments, env=environment, code=65)
    assert b"[wrong-password]" in done.stderr
    assert b"hunter2" not in done.stderr
    assert b"[password-needed]" in run("cert", "show", pfx, code=65).stderr


@pytest.mark.parametrize(
    ("words", "told", "of"),
    [
        ("encrypt -r a.pem --no-such", "there is no option --no-such", "encrypt"),
        ("encrypt --recipent a.pem b.eml", "…--recipent: did you mean --recipient?", "encrypt"),
        ("encrypt --zz --qq=x -- --vv", "…--zz; there is no option --qq", "encrypt"),
        ("encrypt -r a.pem b.eml c.eml", "unrecognized arguments: c.eml", "encrypt"),
        ("encrypt --ciph", "argument --cipher: expected one argument", "encrypt"),
        ("cert export a.pfx --ouput b.pem", "…--ouput: did you mean --output?", "cert export"),
        ("cert show a.pem -x", "unrecognized arguments: -x", "cert show"),
        ("account set a@b.example --no-such x", "…--no-such", "account set"),
        ("--versoin encrypt --foo", "…--versoin: did you mean --version?", ""),
        ("cert --jsno show --foo", "…--jsno", "cert"),
    ],
)
def test_a_subcommand_tells_what_it_does_not_know_and_names_its_own_help(words, told, of):
    shown = run(*words.split(), code=64).stderr.decode()
    program = f"cmstream {of}".strip()
    assert f"usage: {program} " in shown
    told = told.replace("…", "there is no option ")
    assert shown.endswith(f"\ncmstream: {told} (see {program} --help)\n")


def test_a_word_with_a_space_is_no_option(tmp_path):
    file = tmp_path / "--my mail.eml"
    file.write_bytes(MAIL.read_bytes())
    words = ("encrypt", "-r", Path(CERTIFICATE).resolve())
    assert dearmour(run_process(*words, file.name, cwd=tmp_path).stdout)[0]
    told = run(*words, "--ouput=my mail.eml", code=64).stderr
    assert b": there is no option --ouput: did you mean --output? (" in told


def test_der_is_not_written_to_a_terminal():
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "cmstream", "encrypt", "--binary", "-r", CERTIFICATE, str(MAIL)],
        stdout=follower,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(leader)
    os.close(follower)
    assert done.returncode == 64
    assert b"--form pem" in done.stderr


def test_a_long_input_shows_a_bar_on_a_terminal_alone(tmp_path):
    source = tmp_path / "in"
    with source.open("wb") as file:
        file.truncate(20 << 20)
    words = ("encrypt", "--binary", "-r", CERTIFICATE, "-o", "/dev/null", source)
    assert b"MiB/s" in shown_on_a_terminal(*words)
    assert run_process(*words).stderr == b""


def test_version_names_the_kernels():
    shown = run("--version").stdout
    assert b"portable" in shown
    assert b"CMSTREAM_CPU" in shown
    lines = shown.decode().splitlines()
    assert len(lines) == 1 + len(cmstream.kernels())
    assert [line.partition(":")[0] for line in lines[1:]] == list(cmstream.kernels())
