"""The form of a sealed message is found by itself, in whatever pieces it comes."""

from __future__ import annotations

import time

import pytest

import cmstream
from cmstream.cms.input_form import PEEK_LIMIT, find_start
from cmstream.mail.mime import HEADER_LIMIT
from helpers.already import quoted
from helpers.shapes import pieces

DER = b"\x30\x82\x01\x00" + bytes(256)
BER = b"\x30\x80" + bytes(300)
TEXT = b"MIIBADCB\r\nAAAA\r\n"
TYPE = b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
BASE64 = b"Content-Transfer-Encoding: base64\r\n"
BEGIN = b"-----BEGIN CMS-----\r\n"
END = b"-----END CMS-----\r\n"


def told(message, start):
    """A line feed may be left where its carriage return came alone; it is white space."""
    octets = bytes(message[start.offset :])
    return start.armour, octets.lstrip(b"\n") if start.armour == "pem" else octets, start.head


def found(message):
    """The form of the whole."""
    return told(message, find_start(message, 0, final=True)[0])


def found_in_pieces(message, cut):
    beginning, resume = bytearray(), 0
    for piece in pieces(message, cut):
        beginning += piece
        start, resume = find_start(beginning, resume, final=False)
        if start:
            break
    else:
        start, _ = find_start(beginning, resume, final=True)
    return told(message, start)


def code(message):
    codes = set()
    for work in (found, *(lambda m, n=n: found_in_pieces(m, n) for n in (1, 2, 3, 7, 1000))):
        with pytest.raises(cmstream.EnvelopeError) as caught:
            work(message)
        codes.add(caught.value.code)
    (code,) = codes
    return code


HEADS = {
    "usual": b"Subject: x\r\n" + TYPE + BASE64 + b"\r\n",
    "old name": TYPE.replace(b"pkcs7", b"x-pkcs7") + BASE64 + b"\r\n",
    "any octets": b"Content-Type: application/octet-stream; name=x.p7m\r\n" + BASE64 + b"\r\n",
    "encoding first": BASE64 + b"X: y\r\n" + TYPE + b"\r\n",
    "folded": TYPE.replace(b"; ", b";\r\n\t") + BASE64 + b"\r\n",
    "capitals": TYPE.upper() + BASE64.upper() + b"\r\n",
    "line feeds": (b"Subject: x\r\n" + TYPE + BASE64 + b"\r\n").replace(b"\r\n", b"\n"),
    "comment": TYPE.replace(b": ", b": (what it is) ") + BASE64 + b"\r\n",
    "mbox": b"From a@b Tue\r\n" + TYPE + BASE64 + b"\r\n",
    "no blank line": TYPE + BASE64,
    "long": b"X: " + b"y" * 20_000 + b"\r\n" + TYPE + BASE64 + b"\r\n",
}

FORMS = {
    "der": (DER, ("binary", DER, b"")),
    "ber": (BER, ("binary", BER, b"")),
    "base64": (TEXT, ("base64", TEXT, b"")),
    "pem": (BEGIN + TEXT + END, ("pem", TEXT + END, b"")),
    "pem, line feeds": (b"-----BEGIN PKCS7-----\nMIIB\n", ("pem", b"MIIB\n", b"")),
    "pem, carriage returns": (b"-----BEGIN PKCS7-----\rMIIB\r", ("pem", b"MIIB\r", b"")),
    "pem, other label": (b"-----BEGIN PKCS #7-----\nMIIB\n", ("pem", b"MIIB\n", b"")),
    "pem, text before": (b"Some text.\n\nAnd: more\n" + BEGIN + TEXT, ("pem", TEXT, b"")),
    "pem, fields before": (b"subject: x\nissuer: y\n" + BEGIN + TEXT, ("pem", TEXT, b"")),
    "pem, far": (b"x" * 8000 + b"\n" + BEGIN + TEXT, ("pem", TEXT, b"")),
    "pem, indented": (b"text\n  " + BEGIN + TEXT, ("pem", TEXT, b"")),
    "binary body": (TYPE + b"\r\n" + DER, ("binary", DER, TYPE + b"\r\n")),
    "no encoding": (TYPE + b"\r\n" + TEXT, ("base64", TEXT, TYPE + b"\r\n")),
} | {name: (head + TEXT, ("base64", TEXT, head)) for name, head in HEADS.items()}


@pytest.mark.parametrize(("message", "start"), FORMS.values(), ids=FORMS)
def test_forms(message, start):
    for kind in (bytes, bytearray, memoryview):
        assert found(kind(message)) == start
    for cut in (1, 2, 3, 5, 17, 1000):
        assert found_in_pieces(message, cut) == start


@pytest.mark.parametrize(("message", "start"), FORMS.values(), ids=FORMS)
def test_every_split_in_two(message, start):
    """But for the long ones, whose middle is all alike."""
    for cut in {*range(1, 600), *range(len(message) - 300, len(message))} & {*range(len(message))}:
        first, resume = find_start(message[:cut], 0, final=False)
        if first is None:
            first, _ = find_start(message, resume, final=True)
        assert told(message, first) == start


@pytest.mark.parametrize("name", [b"7bit", b"8bit", b"binary", b"BINARY"])
def test_what_is_not_in_base64_is_looked_at(name):
    head = TYPE + b"Content-Transfer-Encoding: " + name + b"\r\n\r\n"
    assert found(head + DER) == ("binary", DER, head)
    assert found(head + TEXT) == ("base64", TEXT, head)
    assert found(head) == ("base64", b"", head)


@pytest.mark.parametrize("name", [b"x-uuencode", b"\xff", b"b\0"])
def test_other_encodings_are_refused(name):
    head = TYPE + b"Content-Transfer-Encoding: " + name + b"\r\n\r\n"
    assert code(head + TEXT) == "malformed"


@pytest.mark.parametrize("kind", [b"text/plain", b"multipart/signed; boundary=x", b"x/\xff"])
def test_mail_of_another_type_is_not_sealed(kind):
    assert code(b"Subject: x\r\nContent-Type: " + kind + b"\r\n\r\nHello\r\n") == "not-enveloped"


def test_mail_without_a_type_is_not_sealed():
    assert code(b"Subject: x\r\n\r\nHello\r\n") == "not-enveloped"
    assert code(b"Content-Type-Of-Mine: application/pkcs7-mime\r\n\r\nMIIB") == "not-enveloped"


@pytest.mark.parametrize("label", [b"CERTIFICATE", b"PGP MESSAGE", b"", b"\xff"])
def test_pem_of_another_label_is_not_sealed(label):
    assert code(b"-----BEGIN " + label + b"-----\nMIIB\n") == "not-enveloped"


@pytest.mark.parametrize(
    "mail",
    [
        b"Content-Type: multipart/encrypted; protocol=x\n\n--x\n",
        b"Content-Type: text/plain\n\n\n-----BEGIN PGP MESSAGE-----\n",
        b"Subject: x\n\n-----BEGIN PGP MESSAGE-----\n",
        b"-----BEGIN PGP MESSAGE-----\n",
    ],
)
def test_openpgp_is_told_from_what_is_not_encrypted(mail):
    start, resume = None, 0
    with pytest.raises(cmstream.EnvelopeError, match="it is OpenPGP") as caught:
        for end in range(len(mail) + 1):
            start, resume = find_start(mail[:end], resume, final=end == len(mail))
            assert start is None
    assert caught.value.code == "not-enveloped"


def test_nothing_is_empty():
    with pytest.raises(cmstream.EnvelopeError) as caught:
        find_start(b"", 0, final=True)
    assert caught.value.code == "empty"
    assert find_start(b"", 0, final=False) == (None, 0)


def test_an_armour_too_far_away_is_not_looked_for():
    text = b"x" * (PEEK_LIMIT + 1) + b"\n" + BEGIN + TEXT
    assert found(text)[0] == "base64"


def test_no_more_is_held_than_it_takes():
    """The answer comes as soon as it can."""
    for message, most in ((DER, 2), (b"x" * 20_000, PEEK_LIMIT + 1), (BEGIN + TEXT, len(BEGIN))):
        beginning, resume, start = bytearray(), 0, None
        while start is None:
            beginning.append(message[len(beginning)])
            start, resume = find_start(beginning, resume, final=False)
        assert len(beginning) <= most


def test_a_header_block_has_a_limit():
    for head in (b"X: " + b"y" * HEADER_LIMIT, b"a:\n" * HEADER_LIMIT):
        begin = time.process_time()
        with pytest.raises(cmstream.EnvelopeError) as caught:
            found(head)
        assert caught.value.code == "too-large"
        assert time.process_time() - begin < 2


def test_octet_by_octet_takes_linear_time():
    begin = time.process_time()
    assert found_in_pieces(b"X: " + b"y" * 100_000 + b"\r\n" + TYPE + b"\r\n" + TEXT, 1)[2]
    assert found_in_pieces(b"plain text " * 700, 1)[0] == "base64"
    assert time.process_time() - begin < 5


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("message", [TYPE + BASE64 + b"\r\n" + TEXT, BEGIN + TEXT + END, TEXT])
def test_a_byte_order_mark_in_front_is_passed_over(message, cut):
    armour, rest, head = found(message)
    assert found(MARK + message) == (armour, rest, head)
    pieces, resume = b"", 0
    for at in range(0, len(MARK + message), cut):
        pieces += (MARK + message)[at : at + cut]
        start, resume = find_start(pieces, resume, final=False)
        if start is not None:
            break
    else:
        start, _ = find_start(pieces, resume, final=True)
    assert told(MARK + message, start) == (armour, rest, head)


@pytest.mark.parametrize("kind", [b"pkcs7", b"x-pkcs7", b"cms"])
def test_other_names_of_the_type_are_known(kind):
    head = TYPE.replace(b"pkcs7-mime", kind) + BASE64 + b"\r\n"
    assert found(head + TEXT) == ("base64", TEXT, head)


@pytest.mark.parametrize("cut", [1, 3, 77, 100_000])
def test_mail_in_quoted_printable_is_opened(alice, cut):
    content = bytes(range(256)) * 40
    sealed = cmstream.encrypt(content, alice.recipient)
    head = TYPE + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    message = head + quoted(sealed) + b"\r\n"
    who = cmstream.Identity(alice.key, alice.recipient)
    assert cmstream.is_encrypted(message)
    assert cmstream.decrypt(message, who) == content
    assert cmstream.inspect(message).form == "mail"
    stream = cmstream.decryptor(who)
    pieces = [stream.update(message[at : at + cut]) for at in range(0, len(message), cut)]
    assert b"".join(pieces) + stream.finalize() == content
    for damaged in (message.replace(b"=", b"=X", 5), message[:-40]):
        with pytest.raises((cmstream.EnvelopeError, cmstream.DecryptionError)):
            cmstream.decrypt(damaged, who)
