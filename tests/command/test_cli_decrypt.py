"""The commands that open and inspect, run as a person and as a mail server would."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

import cmstream
from command.test_cli import CERTIFICATE, MAIL, SAMPLES, canonical
from helpers.authorities import rsa_identity
from helpers.command import run, run_process, shown_on_a_terminal

KEY = SAMPLES / "alice.key.pem"
ME = ("-k", KEY, "-c", CERTIFICATE)
ALICE = cmstream.load_recipients((SAMPLES / "alice.pem").read_bytes())
DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def sealed():
    return cmstream.encrypt_message(MAIL.read_bytes(), ALICE)


def is_the_mail(message):
    """Fields of the content come after the others."""
    head, _, body = message.partition(b"\r\n\r\n")
    before, _, text = canonical(MAIL.read_bytes()).partition(b"\r\n\r\n")
    lines = set(before.split(b"\r\n")) | {b"MIME-Version: 1.0"}
    return body == text and set(head.split(b"\r\n")) == lines


def test_a_mail_in_a_mail_out(sealed, tmp_path):
    assert is_the_mail(run_process("decrypt", *ME, given=sealed).stdout)
    source, out = tmp_path / "sealed.eml", tmp_path / "out.eml"
    source.write_bytes(sealed)
    done = run("decrypt", *ME, "-o", out, source)
    assert done.stdout == done.stderr == b""
    assert is_the_mail(out.read_bytes())
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_there_and_back_through_pipes():
    sealed = run("encrypt", "-r", CERTIFICATE, given=MAIL.read_bytes()).stdout
    assert is_the_mail(run("decrypt", *ME, given=sealed).stdout)


def test_the_content_of_a_mail_alone(sealed):
    entity = run("decrypt", *ME, "--content", given=sealed).stdout
    assert b"Subject" not in entity
    assert b"MIME-Version" not in entity
    assert entity.endswith(canonical(MAIL.read_bytes().partition(b"\n\n")[2]))


@pytest.mark.parametrize("before", [b"", b"Some text.\nA: field\n\n", b"subject: x\n"])
@pytest.mark.parametrize("form", ["der", "pem", "base64"])
def test_what_is_no_mail_gives_its_content(form, before):
    sealed = cmstream.encrypt(DATA, ALICE, form="smime" if form == "base64" else form)
    if form == "base64":
        sealed = sealed.partition(b"\r\n\r\n")[2]
    elif form == "pem":
        sealed = before + sealed
    assert run("decrypt", *ME, given=sealed).stdout == DATA


def test_a_mail_whose_first_field_begins_like_der(sealed):
    head = b"0: x\r\n"
    assert run("decrypt", *ME, given=head + sealed).stdout.startswith(head)


@pytest.fixture
def locked(tmp_path):
    """The same identity in PKCS #12 and in PKCS #8, both with a password."""
    key, certificate = rsa_identity()
    how = BestAvailableEncryption(b"open sesame")
    pfx, pem, public, secret = (tmp_path / name for name in ("pfx", "key", "pem", "password"))
    pfx.write_bytes(pkcs12.serialize_key_and_certificates(b"a", key, certificate, None, how))
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    public.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_text("open sesame\n")
    to = cmstream.load_recipients(public.read_bytes())
    return ("--pfx", pfx), ("-k", pem, "-c", public), secret, cmstream.encrypt(DATA, to)


def test_passwords(locked):
    *identities, secret, sealed = locked
    environment = {**os.environ, "P": "open sesame", "WRONG": "hunter2"}
    for identity in identities:
        arguments = ("decrypt", *identity)
        assert run(*arguments, "--password-file", secret, given=sealed).stdout == DATA
        opened = run(*arguments, "--password-env", "P", given=sealed, env=environment)
        assert opened.stdout == DATA
        wrong = (*arguments, "--password-env", "WRONG")
        done = run(*wrong, given=sealed, env=environment, code=65)
        assert b"[wrong-password]" in done.stderr
        assert b"hunter2" not in done.stderr
        assert b"[password-needed]" in run(*arguments, given=sealed, code=65).stderr


def test_a_key_in_der(tmp_path, sealed):
    key = load_pem_private_key(KEY.read_bytes(), None)
    path = tmp_path / "key.der"
    path.write_bytes(
        key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    assert is_the_mail(run("decrypt", "-k", path, "-c", CERTIFICATE, given=sealed).stdout)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    long = cmstream.encrypt(bytes(3 << 20), ALICE)
    done = run("decrypt", *ME, "-o", target, given=long[:-100], code=65)
    assert b"[truncated]" in done.stderr
    assert target.read_bytes() == b"old"
    run("decrypt", *ME, "-o", tmp_path / "new", given=long[:-100], code=65)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_output_takes_its_place_whole(tmp_path, sealed):
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    run("decrypt", *ME, "-o", link, given=sealed)
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert is_the_mail(target.read_bytes())


def test_a_long_pipe_is_streamed(tmp_path):
    out = tmp_path / "out"
    part = bytes(1 << 20)
    sealed = b"".join(cmstream.encrypt_iter([part] * 40, ALICE, form="smime"))
    run("decrypt", *ME, "--content", "-o", out, given=sealed)
    assert out.stat().st_size == 40 << 20


@pytest.fixture(scope="module")
def authenticated():
    return cmstream.encrypt(DATA, ALICE, policy=cmstream.Policy(cipher="aes256-gcm"), form="pem")


def test_an_authenticated_file_is_read_twice_and_a_pipe_once(authenticated, tmp_path):
    source = tmp_path / "sealed"
    source.write_bytes(b"before" + authenticated)
    for option in ((), ("--unverified",)):
        assert run("decrypt", *ME, *option, given=authenticated).stdout == DATA
        with source.open("rb") as file:
            os.lseek(file.fileno(), 6, os.SEEK_SET)  # as a shell hands files on
            command = [sys.executable, "-m", "cmstream", "decrypt", *ME, *option]
            assert subprocess.check_output(command, stdin=file) == DATA
    source.write_bytes(authenticated)
    out = tmp_path / "out"
    run("decrypt", *ME, "-o", out, source)
    assert out.read_bytes() == DATA


def test_nothing_of_a_damaged_one_comes_unless_it_is_asked_for(authenticated, tmp_path):
    lines = authenticated.splitlines(keepends=True)
    lines[-2] = (b"A" if lines[-2][:1] != b"A" else b"B") + lines[-2][1:]
    damaged = b"".join(lines)
    source = tmp_path / "sealed"
    source.write_bytes(damaged)
    for done in (
        run("decrypt", *ME, given=damaged, code=65),
        run("decrypt", *ME, source, code=65),
    ):
        assert b"[decryption-failed]" in done.stderr
        assert done.stdout == b""
    done = run("decrypt", *ME, "--unverified", given=damaged, code=65)
    assert b"[decryption-failed]" in done.stderr
    assert len(done.stdout) == len(DATA)


STRANGER = cmstream.encrypt(
    b"x" * 99, cmstream.load_recipients(rsa_identity()[1].public_bytes(Encoding.DER))
)
FAILS = [
    (("decrypt",), 64, b"--pfx"),
    (("decrypt", "-c", CERTIFICATE), 64, b"--key"),
    (("decrypt", *ME, "--pfx", KEY), 65, b"[not-a-certificate]"),
    (("decrypt", "-k", KEY), 65, b"[decryption-failed]"),
    (("decrypt", *ME, "a", "b"), 64, b"unrecognized"),
    (("inspect", "--yaml"), 64, b"--yaml"),
    (("decrypt", "-k", "/no/such/file", "-c", CERTIFICATE), 66, b"/no/such/file"),
    (("decrypt", *ME, "/no/such/mail"), 66, b"/no/such/mail"),
    (("inspect", "/no/such/mail"), 66, b"/no/such/mail"),
    (("inspect", "-r", "/no/such/file"), 66, b"/no/such/file"),
    (("decrypt", "-k", CERTIFICATE, "-c", CERTIFICATE), 65, b"[not-a-certificate]"),
    (("decrypt", "--pfx", MAIL), 65, b"[not-a-certificate]"),
    (("decrypt", *ME, MAIL), 65, b"[not-enveloped]"),
    (("decrypt", *ME, CERTIFICATE), 65, b"[not-enveloped]"),
    (("decrypt", *ME, "/dev/null"), 65, b"[empty]"),
    (("decrypt", *ME), 65, b"[no-recipient]"),
    (("inspect", MAIL), 65, b"[not-enveloped]"),
    (("inspect", "-r", MAIL), 65, b"[not-a-certificate]"),
    (("decrypt", *ME, "-o", "/no/such/folder/x"), 73, b"can't write"),
]


@pytest.mark.parametrize(("arguments", "code", "says"), FAILS)
def test_errors_are_one_line_with_a_code(arguments, code, says):
    done = run(*arguments, given=STRANGER, code=code)
    assert says in done.stderr
    assert done.stdout == b""
    assert done.stderr.splitlines()[-1].startswith(b"cmstream: ")
    assert code == 64 or done.stderr.count(b"\n") == 1


def test_a_message_for_somebody_else_is_named(tmp_path):
    source = tmp_path / "sealed"
    source.write_bytes(STRANGER)
    told = run("decrypt", *ME, source, code=65).stderr.decode()
    assert told.startswith(f"cmstream: {source}: the message isn't for CN=Alice Sample")
    assert f"({ALICE[0].fingerprint[:16]}…); it is for: serial " in told
    environment = os.environ | {"P": "x"}
    told = run("decrypt", "--password-env", "P", given=STRANGER, env=environment, code=65).stderr
    assert told.startswith(b"cmstream: standard input: the message has no password recipient; it")
    assert told.endswith(b": give -k and -c, or --pfx [no-recipient]\n")


def test_a_certificate_in_the_place_of_a_message(tmp_path):
    der = tmp_path / "alice.der"
    der.write_bytes(ALICE[0].der)
    for command in (("decrypt", *ME), ("inspect",)):
        for file in (CERTIFICATE, der):
            told = run(*command, file, code=65).stderr.decode()
            what = "this is a certificate, not a sealed message: "
            assert told.startswith(f"cmstream: {file}: {what}")
            assert told.endswith("`cmstream cert show` shows it [not-enveloped]\n")


def test_the_file_at_fault_is_named(locked, tmp_path):
    (_, pfx), (_, key, _, public), secret, sealed = locked
    password = ("--password-file", secret)
    for arguments, says in (
        (("-k", public, "-c", KEY), f"{public}: key and certificate are swapped"),
        (("-k", public, "-c", public), f"{public}: there is no private key in this file"),
        (("-k", KEY, "-c", KEY), f"{KEY}: this is a private key without a certificate"),
        (("-k", KEY, "-c", MAIL), f"{MAIL}: this is"),
        (("-k", KEY, "-c", public), f"{KEY}: the private key fits none"),
        (("-k", pfx, "-c", public), f"{pfx}: this is PKCS #12: give it with --pfx"),
        (("--pfx", public), f"{public}: this isn't a PKCS #12 file: give PEM with -k and -c"),
        (("-k", key, "-c", public), f"{key}: the private key needs its password: give --pass"),
    ):
        more = () if "needs" in says else password
        told = run("decrypt", *arguments, *more, given=sealed, code=65).stderr.decode()
        assert told.startswith(f"cmstream: {says}"), told


def test_a_folder_is_no_input(tmp_path):
    for command in (("decrypt", *ME), ("inspect",)):
        assert str(tmp_path).encode() in run(*command, tmp_path, code=66).stderr


def test_a_full_disk_is_try_again(sealed):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "cmstream", "decrypt", *map(str, ME)]
        done = subprocess.run(
            command, input=sealed, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 75
    assert done.stderr.count(b"\n") == 1


def test_a_long_input_shows_a_bar_on_a_terminal_alone(tmp_path):
    sealed = tmp_path / "sealed"
    sealed.write_bytes(cmstream.encrypt(bytes(20 << 20), ALICE))
    words = ("decrypt", *ME, "-o", "/dev/null")
    with subprocess.Popen(["cat", sealed], stdout=subprocess.PIPE) as source:
        assert b"MiB/s" in shown_on_a_terminal(*words, stdin=source.stdout)
    assert run_process(*words, given=sealed.read_bytes()).stderr == b""


def test_a_terminal_shows_no_noise_before_the_error(tmp_path):
    sealed, source = bytearray(cmstream.encrypt(b"line\n" * 3200, ALICE)), tmp_path / "sealed"
    for wrong in (0, 0x80):
        sealed[-17] ^= wrong  # changes the padding, which is the last block
        source.write_bytes(sealed)
        words = ("decrypt", *ME, source)
        shown = shown_on_a_terminal(*words, stream="stdout", code=65 if wrong else 0)
        assert shown == (b"" if wrong else b"line\r\n" * 3200)


def test_a_mail_orders_a_terminal_nothing(tmp_path):
    text = "Grüße\t\x1b]0;title\x07\x9b2J\x7f\n"
    source = tmp_path / "sealed"
    source.write_bytes(cmstream.encrypt(text.encode() * 9000 + b"\xc3", ALICE))
    shown = shown_on_a_terminal("decrypt", *ME, source, stream="stdout").decode()
    harmless = "Grüße\t\ufffd]0;title\ufffd\ufffd2J\ufffd\n".replace("\n", "\r\n")
    assert shown == harmless * 9000 + "\ufffd"
    assert run("decrypt", *ME, source).stdout == text.encode() * 9000 + b"\xc3"


def test_inspect_says_whom_a_message_is_not_for(tmp_path, sealed):
    bob = tmp_path / "bob.pem"
    bob.write_bytes(rsa_identity()[1].public_bytes(Encoding.PEM))
    both = tmp_path / "both.pem"
    both.write_bytes(bob.read_bytes() + ALICE[0].pem)
    words = ("inspect", "-r", bob, "-r", CERTIFICATE, "-r", both)
    told = run(*words, given=sealed).stderr.decode()
    assert told == f"cmstream: warning: standard input isn't for {bob}\n"


def test_inspect_in_words(sealed):
    told = run("inspect", given=sealed).stdout.decode()
    assert "mail" in told
    assert "aes256-cbc" in told
    assert f"{ALICE[0].serial:x}" in told
    assert "certificate:" not in told
    assert b"certificate:  CN=Alice" in run("inspect", "-r", CERTIFICATE, given=sealed).stdout


def test_inspect_for_programs(tmp_path, sealed):
    source = tmp_path / "sealed"
    source.write_bytes(sealed)
    document = json.loads(run("inspect", "--json", "-r", CERTIFICATE, source).stdout)
    assert document["form"] == "mail"
    assert document["encoding"] == "DER"
    (recipient,) = document["recipients"]
    assert recipient["serial"] == str(ALICE[0].serial)
    assert recipient["certificate"]["sha256"] == ALICE[0].fingerprint


def test_help_has_examples():
    for command in ("decrypt", "inspect"):
        assert b"examples:" in run(command, "--help").stdout
