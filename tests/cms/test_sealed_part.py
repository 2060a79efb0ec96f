"""A sealed mail that a mailing list put beside its footer is found, and said to be one part."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import pytest

import cmstream
from cmstream.cms.sealed_part import sealed_part

SAMPLES = Path(__file__).parents[1] / "samples"
TO = cmstream.load_recipients((SAMPLES / "alice.pem").read_bytes())
ME = cmstream.Identity.from_pem(
    (SAMPLES / "alice.key.pem").read_bytes(), (SAMPLES / "alice.pem").read_bytes()
)
BODY = b"Content-Type: text/plain\r\n\r\nthird flower pot\r\n"
DER = cmstream.encrypt(BODY, TO)
TYPE = b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
BASE64 = TYPE + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(DER)
BINARY = TYPE + b"Content-Transfer-Encoding: binary\r\n\r\n" + DER
FOOTER = b"Content-Type: text/plain\r\nFrom: liar@example.org\r\n\r\nthe list's footer\r\n"
FIELDS = b"From: bob@example.org\r\nSubject: pots\r\n"


def mixed(*parts, boundary=b"=_b", fields=FIELDS, line=b"\r\n"):
    body = b"".join(b"--" + boundary + line + part + line for part in parts)
    kind = b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\n\r\n'
    return fields + b"MIME-Version: 1.0\r\n" + kind + body + b"--" + boundary + b"--" + line


def by_the_email_package():
    outer = MIMEMultipart("mixed")
    outer["From"], outer["Subject"] = "bob@example.org", "pots"
    inner = EmailMessage()
    inner.set_content(DER, maintype="application", subtype="pkcs7-mime", cte="base64")
    outer.attach(inner)
    outer.attach(MIMEText("the list's footer"))
    return bytes(outer)


SEALED = [
    mixed(BASE64, FOOTER),
    mixed(FOOTER, BINARY),
    mixed(FOOTER, mixed(BASE64, fields=b"", boundary=b"in ner"), boundary=b"a.(b)+*"),
    by_the_email_package(),
    mixed(BASE64.replace(b"\r\n", b"\n"), FOOTER, line=b"\n"),
]


@pytest.mark.parametrize("mail", SEALED)
def test_it_is_opened(mail):
    assert not cmstream.is_encrypted(mail)
    found = cmstream.inspect(mail)
    assert (found.unsealed_parts, found.cipher) == (1, "aes256-cbc")
    with pytest.warns(cmstream.UnsealedParts, match="only one part"):
        message = cmstream.decrypt_message(mail, ME)
    assert message.endswith(BODY)
    assert message.startswith(b"From: bob@example.org\r\nSubject: pots\r\nMIME-Version: 1.0\r\n")
    assert b"footer" not in message
    assert b"liar" not in message
    with pytest.warns(cmstream.UnsealedParts):
        assert cmstream.decrypt(mail, ME) == BODY


def test_without_others_or_sealed_parts():
    assert sealed_part(mixed(BASE64)).others == 0
    for mail in (
        mixed(FOOTER, FOOTER),
        mixed(),
        FIELDS,
        b"",
        mixed(FOOTER).replace(b"=_b", b"x", 1),
    ):
        assert sealed_part(mail) is None
    with pytest.raises(cmstream.EnvelopeError) as caught:
        cmstream.decrypt(mixed(FOOTER, FOOTER), ME)
    assert caught.value.code == "not-enveloped"


def test_several_sealed_parts_are_refused():
    with pytest.raises(cmstream.EnvelopeError, match="2 of its parts are sealed") as caught:
        cmstream.decrypt_message(mixed(BASE64, BINARY), ME)
    assert caught.value.code == "not-enveloped"


def test_signed_parts_arent_sealed():
    signed = BASE64.replace(b"enveloped-data", b"signed-data")
    assert sealed_part(mixed(signed, FOOTER)) is None


def test_parts_without_end():
    label = b"Content-Type: multipart/mixed; boundary=b"
    deep = b"".join(b"--b%d\r\n%b%d\r\n\r\n" % (n, label, n + 1) for n in range(20_000))
    many = mixed(*[b"\r\n"] * 200_000)
    head = FIELDS + label + b"0\r\n\r\n"
    for mail in (head + deep, many):
        assert sealed_part(mail) is None


def run(*arguments, stdin):
    command = [sys.executable, "-m", "cmstream", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def test_the_command(tmp_path):
    mail = SEALED[0]
    keys = ["-k", SAMPLES / "alice.key.pem", "-c", SAMPLES / "alice.pem"]
    (tmp_path / "mail.eml").write_bytes(mail)
    piped = run("decrypt", *keys, stdin=mail)
    from_file = run("decrypt", *keys, tmp_path / "mail.eml", stdin=b"")
    for done in (piped, from_file):
        assert done.returncode == 0
        assert done.stdout.endswith(BODY)
        assert b"only one part of this mail is sealed" in done.stderr
    shown = json.loads(run("inspect", "--json", stdin=mail).stdout)
    assert (shown["unsealed_parts"], shown["form"]) == (1, "mail")
    assert b"1 further parts" in run("inspect", stdin=mail).stdout
    assert run("decrypt", *keys, stdin=mixed(FOOTER)).returncode == 65
