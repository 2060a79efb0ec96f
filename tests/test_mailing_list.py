"""A sealed mail to which a mailing list has added a footer opens, and the footer is told of."""

from __future__ import annotations

import base64
import email
import email.message
import email.policy
import io
import json
import warnings
from pathlib import Path

import pytest

import cmstream
from cmstream.command.show import inspection_json, inspection_text
from helpers.already import quoted
from helpers.command import run
from helpers.people import identity
from helpers.shapes import SHAPES, pieces, pushed

HERE = Path(__file__).parent
SAMPLES = HERE / "samples"
ME = ("-k", SAMPLES / "alice.key.pem", "-c", SAMPLES / "alice.pem")
MAIL = (SAMPLES / "mail.eml").read_bytes()
FOOTER = "_____\nTo unsubscribe, write to boat-leave@example.org\n"
CIPHERS = ["aes256-cbc", "aes256-gcm", "chacha20-poly1305"]
CORPUS = HERE.resolve().parents[1] / "shared" / "corpus"

pytestmark = pytest.mark.filterwarnings("always::cmstream.UnsealedParts")


def with_footer(sealed, *, footers=1):
    """As a mailing list does it: the fields of the content go in, the others stay."""
    inside = email.message_from_bytes(sealed)
    outside = email.message.Message()
    for name, value in inside.items():
        if not name.lower().startswith(("content-", "mime-")):
            outside[name] = value
            del inside[name]
    outside["MIME-Version"] = "1.0"
    outside["Content-Type"] = "multipart/mixed"
    outside.attach(inside)
    for _ in range(footers):
        text = email.message.Message()
        text["Content-Type"] = "text/plain"
        text.set_payload(FOOTER)
        outside.attach(text)
    return outside.as_bytes(policy=email.policy.SMTP)


def by_hand(entity, *, boundary=b"=_b", outer=b"Subject: x\r\n"):
    """``entity`` as it is, also where it isn't text."""
    head = outer + b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\n\r\n'
    parts = (b"", b"\r\n" + entity, b"\r\n\r\n" + FOOTER.encode(), b"--\r\n")
    return head + (b"\r\n--" + boundary).join(parts)


def opened(message, me, parts=1):
    """The same by every shape; each warns once."""
    source = io.BytesIO(message)
    ways = [
        lambda: cmstream.decrypt_message(message, me),
        lambda: pushed(pieces(message, 1), me, message=True),
        lambda: pushed([message], me, message=True),
        lambda: cmstream.DecryptReader(source, me, message=True).read(),
        lambda: b"".join(cmstream.decrypt_iter(pieces(message, 50), me, message=True)),
        lambda: b"".join(cmstream.decrypt_iter(source, me, message=True, unverified=True)),
        lambda: cmstream.decrypt_many([(message, me)], workers=1)[0],
    ]
    found = set()
    for way in ways:
        source.seek(0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found.add(way())
        assert [one.category for one in caught] == [cmstream.UnsealedParts] * bool(parts)
        assert all(f" {parts} part" in str(one.message) for one in caught)
        assert all(HERE in Path(one.filename).parents for one in caught)
    (answer,) = found
    return answer


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("footers", [0, 1, 3])
def test_a_list_s_footer(alice, me, cipher, footers):
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    sealed = cmstream.encrypt_message(MAIL, alice.recipient, policy=policy)
    message = with_footer(sealed, footers=footers)
    assert opened(message, me, footers) == cmstream.decrypt_message(sealed, me)
    found = cmstream.inspect(message)
    assert found.unsealed_parts == footers
    assert found._replace(unsealed_parts=0) == cmstream.inspect(sealed)


def test_wherever_the_part_stands(alice, me):
    """Nested, behind the footer, between bare line feeds: no field of another part comes out."""
    entity = b"Content-Type: text/plain\r\n\r\nthird flower pot\r\n"
    sealed = cmstream.encrypt(entity, alice.recipient, form="smime")
    text = b"Content-Type: text/plain\r\nFrom: liar@example.org\r\n\r\nthe footer"
    behind = by_hand(text + b"\r\n--=_b\r\n" + sealed)
    for message, others in (
        (behind, 2),
        (by_hand(by_hand(sealed, boundary=b"in ner", outer=b"")), 2),
        (by_hand(sealed).replace(b"\r\n", b"\n"), 1),
    ):
        answer = opened(message, me, others)
        assert answer.startswith(b"Subject: x\r\nMIME-Version: 1.0\r\n")
        assert answer.endswith(entity)
        assert b"liar" not in answer
        assert FOOTER.encode() not in answer


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cipher", CIPHERS)
def test_its_content_in_every_shape(alice, me, shape, cipher):
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    content = bytes(range(256)) * 300
    sealed = cmstream.encrypt(content, alice.recipient, form="smime", policy=policy)
    with pytest.warns(cmstream.UnsealedParts):
        assert SHAPES[shape](by_hand(sealed), me) == content


@pytest.mark.parametrize("encoding", [b"binary", b"8bit", b"base64", b"quoted-printable"])
@pytest.mark.parametrize("boundary", [b"=_b", b"-", b"--", b" +(a)'?"])
def test_every_transfer_encoding(alice, me, encoding, boundary):
    entity = b"Content-Type: text/plain\r\n\r\nHello\r\n"
    octets = cmstream.encrypt(entity, alice.recipient)
    body = {b"base64": base64.encodebytes, b"quoted-printable": quoted}.get(encoding, bytes)(octets)
    part = b"Content-Type: application/x-pkcs7-mime\r\nContent-Transfer-Encoding: " + encoding
    message = by_hand(part + b"\r\n\r\n" + body, boundary=boundary)
    assert opened(message, me) == b"Subject: x\r\nMIME-Version: 1.0\r\n" + entity


def test_the_sealed_fields_come_back(alice, me):
    policy = cmstream.DEFAULT.clone(header_protection="shy")
    sealed = cmstream.encrypt_message(MAIL, alice.recipient, policy=policy)
    plain = opened(with_footer(sealed), me)
    assert plain == cmstream.decrypt_message(sealed, me)
    assert b"Subject: The boat" in plain


def test_it_is_not_encrypted_already(alice, me):
    """So that it is sealed again, and opened step by step."""
    message = with_footer(cmstream.encrypt_message(MAIL, alice.recipient))
    assert not cmstream.is_encrypted(message)
    refuse = cmstream.DEFAULT.clone(already_encrypted="refuse")
    twice = cmstream.encrypt_message(message, alice.recipient, policy=refuse)
    assert cmstream.is_encrypted(twice)
    once = cmstream.decrypt_message(twice, me)
    assert FOOTER.splitlines()[1].encode() in once
    with pytest.warns(cmstream.UnsealedParts):
        assert b"Subject: The boat" in cmstream.decrypt_message(once, me)


def test_what_it_says_of_itself(alice):
    sealed = cmstream.encrypt_message(MAIL, alice.recipient)
    for count, words in ((0, None), (1, "1 other part of"), (2, "2 other parts of")):
        found = cmstream.inspect(with_footer(sealed, footers=count))
        assert json.loads(inspection_json(found))["unsealed_parts"] == count
        assert words is None or words in inspection_text(found)
        assert ("not sealed" in inspection_text(found)) is bool(count)


def code(work):
    with pytest.raises(cmstream.EnvelopeError) as caught:
        work()
    return caught.value.code


def test_what_does_not_open(alice, bob, me):
    """Nothing warns of other parts where nothing opened."""
    sealed = cmstream.encrypt(b"x" * 999, alice.recipient, form="smime")
    two = by_hand(sealed + b"\r\n--=_b\r\n" + sealed)
    signed = by_hand(sealed.replace(b"enveloped-data", b"signed-data"))
    for broken, expected in (
        (two, "trailing-data"),
        (signed, "not-enveloped"),
        (by_hand(b"Content-Type: text/plain\r\n\r\nHello"), "not-enveloped"),
        (by_hand(sealed[:-100]), "truncated"),
        (by_hand(sealed + b"MIIB"), "malformed"),
        (by_hand(sealed).replace(b'boundary="', b'border="'), "malformed"),
    ):
        assert code(lambda one=broken: cmstream.decrypt(one, me)) == expected
        assert code(lambda one=broken: pushed(pieces(one, 9), me)) == expected
        assert code(lambda one=broken: cmstream.inspect(one)) == expected
    with pytest.raises(cmstream.NoRecipientError):
        cmstream.decrypt(by_hand(sealed), identity(bob))


@pytest.fixture(scope="module")
def from_a_list():
    to = cmstream.load_recipients((SAMPLES / "alice.pem").read_bytes())
    return with_footer(cmstream.encrypt_message(MAIL, to))


def test_the_command_opens_it(from_a_list, tmp_path):
    source, out = tmp_path / "list.eml", tmp_path / "out.eml"
    source.write_bytes(from_a_list)
    done = run("decrypt", *ME, "-o", out, source)
    assert done.stderr.startswith(
        b"cmstream: warning: " + bytes(source) + b": the mail holds 1 part"
    )
    assert done.stderr.count(b"\n") == 1
    piped = run("decrypt", *ME, given=from_a_list)
    assert piped.stderr.startswith(b"cmstream: warning: standard input: ")
    assert piped.stdout == out.read_bytes()
    assert b"Subject: The boat" in piped.stdout
    assert b"unsubscribe" not in piped.stdout
    content = run("decrypt", *ME, "--content", given=from_a_list).stdout
    assert piped.stdout.endswith(content)
    assert b"Subject" not in content


def test_the_command_inspects_it(from_a_list):
    assert b"not sealed:   1 other part of the mail\n" in run("inspect", given=from_a_list).stdout
    told = json.loads(run("inspect", "--json", given=from_a_list).stdout)
    assert told["unsealed_parts"] == 1


def test_the_command_refuses_two_sealed_parts(from_a_list, tmp_path):
    head, mark, rest = from_a_list.partition(b"\r\n--=")
    part = rest.partition(b"\r\n--=")[0]
    out = tmp_path / "out.eml"
    done = run("decrypt", *ME, "-o", out, given=head + mark + part + mark + rest, code=65)
    assert b"several parts of it are sealed" in done.stderr
    assert b"[trailing-data]" in done.stderr
    assert not out.exists()


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared files aren't here")
def test_a_sealed_attachment():
    message = (CORPUS / "mail" / "multipart-mixed-with-p7m-attachment.eml").read_bytes()
    assert cmstream.inspect(message).unsealed_parts == 1
    assert not cmstream.is_encrypted(message)
