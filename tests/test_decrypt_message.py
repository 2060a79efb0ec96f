"""An S/MIME message becomes a whole message again."""

from __future__ import annotations

import email
import io

import pytest
from hypothesis import given, settings

import cmstream
from helpers.handmade import encrypt, envelope, ktri, pad
from helpers.people import identity, person
from helpers.shapes import pieces, pushed
from mail.test_mime import crlf, fields

VERSION = b"MIME-Version: 1.0\r\n"
ENTITY = b"Content-Type: text/plain\r\n\r\nHello,\r\nAlice\r\n"
HEAD = (
    b"Received: by x\r\nSubject: The\r\n boat\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
    b"X-Mailer: y\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\n"
)
OUTSIDE = b"Received: by x\r\nSubject: The\r\n boat\r\nX-Mailer: y\r\n"


@pytest.fixture(scope="module")
def text(alice):
    """An entity sealed, in base64."""
    return cmstream.encrypt(ENTITY, alice.recipient, form="smime").partition(b"\r\n\r\n")[2]


def opened(sealed, me):
    """Whole, octet by octet, by a reader and among many it is the same."""
    found = {
        cmstream.decrypt_message(sealed, me),
        pushed(pieces(sealed, 1), me, message=True),
        cmstream.DecryptReader(io.BytesIO(sealed), me, message=True).read(),
        b"".join(cmstream.decrypt_iter([sealed], me, message=True)),
        *cmstream.decrypt_many([(sealed, me)]),
    }
    (message,) = found
    return message


def test_the_fields_of_the_outer_message_stay_but_those_of_its_content(text, me):
    assert opened(HEAD + text, me) == OUTSIDE + VERSION + ENTITY


def test_line_feeds_alone_are_line_ends_of_the_header_too(text, me):
    sealed = (HEAD + text).replace(b"\r\n", b"\n")
    assert opened(sealed, me) == OUTSIDE + VERSION + ENTITY


@pytest.mark.parametrize(("quote", "kept"), [(b"", b"From a@b Tue\r\n"), (b">", b"")])
def test_the_line_of_an_mbox_stays_unless_it_is_quoted(text, me, quote, kept):
    """A reader takes a quoted one for the body's beginning."""
    assert (
        opened(quote + b"From a@b Tue\r\n" + HEAD + text, me) == kept + OUTSIDE + VERSION + ENTITY
    )


def test_an_entity_without_other_fields(text, me):
    head = HEAD[HEAD.index(b"Content-Type") :].replace(b"X-Mailer: y\r\n", b"")
    assert opened(head + text, me) == VERSION + ENTITY


@pytest.mark.parametrize("form", ["der", "pem"])
def test_what_has_no_header_gets_the_version_alone(alice, me, form):
    assert opened(cmstream.encrypt(ENTITY, alice.recipient, form=form), me) == VERSION + ENTITY


def test_a_binary_body(alice, me):
    head = HEAD.replace(b"base64", b"binary")
    sealed = head + cmstream.encrypt(ENTITY, alice.recipient)
    assert opened(sealed, me) == OUTSIDE + VERSION + ENTITY


def sealed_entity(entity, alice):
    text = cmstream.encrypt(entity, alice.recipient, form="der")
    return HEAD.replace(b"base64", b"binary") + text


ENTITIES = [
    b"\n",
    b"\r\n",
    b"\r\nA: 1\r\n",
    b"A: 1\n\nbare line feeds\n\0\xff\r",
    b"A: 1\r\n b\r\n\r\n",
    b"A: 1\r\n\n",
]


@pytest.mark.parametrize("entity", ENTITIES)
def test_the_entity_is_not_touched(alice, me, entity):
    assert opened(sealed_entity(entity, alice), me) == OUTSIDE + VERSION + entity


WITHOUT_AN_EMPTY_LINE = {
    b"x": (b"", b"\r\n"),
    b"no header at all": (b"", b"\r\n"),
    b"Hello world\nsecond line: yes\n\nthird\n": (b"", b"\r\n"),
    b" begins with a space: 1\r\n\r\nx": (b"", b"\r\n"),
    b"From now on\r\nwe meet\r\n": (b"", b"\r\n"),
    b">From now on\nwe meet: x\n": (b"", b"\r\n"),
    b"A: 1": (b"A: 1", b"\r\n\r\n"),
    b"A: 1\r\n": (b"A: 1\r\n", b"\r\n"),
    b"Content-Type: text/plain\r\nhello there\r\n": (b"Content-Type: text/plain\r\n", b"\r\n"),
    b"Content-Type: text/plain;\n format=flowed\nhello\n\nB: 1\n": (
        b"Content-Type: text/plain;\n format=flowed\n",
        b"\r\n",
    ),
    b'Content-Type: text/plain; hp="cipher"\r\nSubject: s': (None, b"\r\n\r\n"),
    b'Content-Type: text/plain; hp="cipher"\r\nSubject: s\r\nhello': (None, b"\r\n"),
}


@pytest.mark.parametrize("entity", WITHOUT_AN_EMPTY_LINE)
def test_what_is_body_never_stands_in_the_header(alice, me, entity):
    head, missing = WITHOUT_AN_EMPTY_LINE[entity]
    message = opened(sealed_entity(entity, alice), me)
    if head is not None:
        assert message == OUTSIDE + VERSION + head + missing + entity[len(head) :]
    else:
        assert missing in message[message.index(b"Subject: s") :]
    seen = email.message_from_bytes(message)
    assert not seen.defects
    assert seen["Received"] == "by x"
    text = entity[len(head or b"") :] if head is not None else entity.partition(b"s\r\n")[2]
    assert seen.get_payload().encode() == text


def test_an_inner_header_longer_than_any_is_given_as_it_is(alice, me, monkeypatch):
    monkeypatch.setattr("cmstream.mail.header_restorer.INNER_LIMIT", 1000)
    for entity in (b"A: 1\r\n" * 200 + b"\r\nx", b"A: 1\r\n" * 200 + b"x"):
        assert opened(sealed_entity(entity, alice), me) == OUTSIDE + VERSION + entity


def test_old_mail_is_framed_alike(alice, me):
    from test_decrypt import triple_des

    head = HEAD.replace(b"base64", b"binary")
    assert opened(head + triple_des(alice, pad(ENTITY, 8)), me) == OUTSIDE + VERSION + ENTITY


@given(fields())
@settings(max_examples=200, deadline=None)
def test_there_and_back_no_field_is_lost(pairs):
    alice = person()
    block = b"".join(name + value + b"\r\n" for name, value in pairs)
    sealed = cmstream.encrypt_message(block + b"\r\nbody\n", alice.recipient)
    message = cmstream.decrypt_message(sealed, identity(alice))
    head, _, body = message.partition(b"\r\n\r\n")
    lines = [(name.lower(), crlf(name + value) + b"\r\n") for name, value in pairs]
    mime = [line for name, line in lines if name.startswith(b"content-")]
    rest = [line for name, line in lines if not name.startswith((b"content-", b"mime-"))]
    assert b"".join([*rest, VERSION, *mime]) + b"\r\nbody\r\n" == message
    assert head
    assert body


MAIL = [
    b"no header at all\r\nX: 1\r\n",
    b"Subject: x\n\nbare line feeds\n",
    b"Subject: x\r\n",
    b"From a@b Tue\nSubject: x\n\n\nz",
    b"Subject: x\nContent-Type: text/html\ncontent-id:<1>\n\t2\nMime-Version: 1.0\n (x)\n\nz",
    b"Content-Transfer-Encoding: binary\n\n\0\n\r\xff",
    b"Subject: x\r\n\r\n" + b"a long body\r\n" * 2000,
]


@pytest.mark.parametrize("mail", MAIL)
def test_another_parser_sees_the_same_mail(alice, me, mail):
    message = opened(cmstream.encrypt_message(mail, alice.recipient), me)
    before, after = email.message_from_bytes(mail), email.message_from_bytes(message)
    assert after.get_all("MIME-Version") == ["1.0"]
    assert after.get_content_type() == before.get_content_type()
    assert after["Subject"] == before["Subject"]
    assert lines(str(after["Content-ID"])) == str(before["Content-ID"])
    assert lines(after.get_payload()) == lines(before.get_payload())


def lines(text):
    return text.replace("\r\n", "\n")


def test_nothing_comes_out_of_a_broken_message(alice, bob, me, text):
    sealed = HEAD + text
    for broken in (sealed[:-99], sealed + b"!", HEAD + text[:500] + b"!" + text[501:]):
        with pytest.raises(cmstream.EnvelopeError):
            cmstream.decrypt_message(broken, me)
    body = envelope([ktri(alice)], encrypt(b"wrong padding   "))
    with pytest.raises(cmstream.DecryptionError):
        cmstream.decrypt_message(HEAD.replace(b"base64", b"binary") + body, me)
    with pytest.raises(cmstream.NoRecipientError):
        cmstream.decrypt_message(sealed, identity(bob))
