"""What counts as encrypted already: only what is, whatever its label says."""

from __future__ import annotations

import base64
import email.message
import quopri
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.mail.mime import HEADER_LIMIT, PEEK_LIMIT
from cmstream.mail.recognise import encrypted_inside, is_encrypted

ENVELOPED = bytes.fromhex("2a864886f70d010703")
AUTH_ENVELOPED = bytes.fromhex("2a864886f70d0109100117")
SIGNED = bytes.fromhex("2a864886f70d010702")
COMPRESSED = bytes.fromhex("2a864886f70d0109100109")
SMIME = b"Content-Type: application/pkcs7-mime\r\n"
BASE64 = SMIME + b"Content-Transfer-Encoding: base64\r\n"
BINARY = SMIME + b"Content-Transfer-Encoding: binary\r\n"


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    octets = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1, "big")
    length = octets if len(content) < 128 else bytes([0x80 + len(octets)]) + octets
    return bytes([tag]) + length + content


def ber(tag: int, *contents: bytes) -> bytes:
    return bytes([tag]) + b"\x80" + b"".join(contents) + b"\0\0"


def cms(kind: bytes = ENVELOPED, build=tlv, version: int = 0, infos: int = 0x31, size=300) -> bytes:
    rest = tlv(infos, b"r" * 200) + tlv(0x30, b"c" * size)
    inner = build(0x30, tlv(2, bytes([version])), rest)
    return build(0x30, tlv(6, kind), build(0xA0, inner))


def mail(fields: bytes, body: bytes) -> bytes:
    return b"From: a@b.example\r\nMIME-Version: 1.0\r\n" + fields + b"\r\n" + body


def both(message: bytes) -> tuple[bool, bool]:
    """For the whole message, and for a stream that saw a part of its body."""
    head, _, body = message.partition(b"\r\n\r\n")
    return is_encrypted(message), encrypted_inside(
        head + b"\r\n\r\n", body[:PEEK_LIMIT], complete=False
    )


@pytest.mark.parametrize("size", [0, 300, 70_000])
@pytest.mark.parametrize("build", [tlv, ber])
@pytest.mark.parametrize("kind", [ENVELOPED, AUTH_ENVELOPED])
def test_cms_that_is_enveloped(kind, build, size) -> None:
    data = cms(kind, build, size=size)
    assert both(mail(BASE64, base64.encodebytes(data))) == (True, True)
    assert both(mail(BASE64, base64.b64encode(data))) == (True, True)
    assert both(mail(BINARY, data)) == (True, True)
    assert both(mail(SMIME, data + b"\r\n")) == (True, True)
    encoded = quopri.encodestring(data)
    assert both(mail(SMIME + b"content-transfer-encoding: Quoted-Printable\r\n", encoded))[0]


@pytest.mark.parametrize("layout", [1, 3, 5, 64, 76, 10_000])
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n", b" \r\n\r\n\t"])
def test_base64_in_any_layout(layout, line_end) -> None:
    text = base64.b64encode(cms())
    lines = [text[at : at + layout] for at in range(0, len(text), layout)]
    assert both(mail(BASE64, line_end.join(lines) + line_end)) == (True, True)


@pytest.mark.parametrize(
    "data",
    [
        cms(SIGNED),
        cms(COMPRESSED),
        cms(ENVELOPED[:-1]),
        cms(version=1),
        cms(version=77),
        cms(infos=0x30),
        cms()[1:],
        cms()[:20],
        b"",
        b"clear text",
        b"0",
        b"0\x80",
        tlv(0x30, tlv(6, ENVELOPED)),
        tlv(0x30, tlv(6, ENVELOPED), tlv(0x04, b"clear text" * 9)),
        tlv(0x30, tlv(6, ENVELOPED), tlv(0xA0, tlv(0x04, b"clear text" * 9))),
        tlv(0x30, *[cms()[5:]], tlv(0x04, b"clear")),
        tlv(0x30, tlv(6, ENVELOPED), tlv(0xA0, cms()[26:]), tlv(4, b"clear")),
        b"\x30\x89" + cms()[4:],
        b"\x30\xff" + cms()[4:],
    ],
)
def test_what_is_not_enveloped_whatever_it_says(data) -> None:
    for label in (b"", b"; smime-type=enveloped-data", b"; smime-type=authEnveloped-data"):
        fields = BASE64.replace(b"mime\r\n", b"mime" + label + b"\r\n")
        assert both(mail(fields, base64.encodebytes(data))) == (False, False)
        assert both(mail(fields.replace(b"base64", b"binary"), data)) == (False, False)


def test_originator_info_may_stand_before_the_recipients() -> None:
    assert both(mail(BINARY, cms(infos=0xA0, version=2))) == (True, True)


@pytest.mark.parametrize("builds", [(tlv, ber, tlv), (ber, tlv, tlv), (ber, ber, tlv)])
def test_wrappers_of_both_kinds_of_length(builds) -> None:
    outer, content, inner = builds
    value = inner(0x30, tlv(2, b"\0"), tlv(0x31, b"r" * 200))
    data = outer(0x30, tlv(6, ENVELOPED), content(0xA0, value))
    assert is_encrypted(mail(BINARY, data))
    assert not is_encrypted(mail(BINARY, data + b"clear text\0\0\0\0\0\0"))


@pytest.mark.parametrize(
    "body",
    [
        base64.encodebytes(cms()) + b"-- \r\nYour mailing list\r\n",
        b"A note in front\r\n" + base64.encodebytes(cms()),
        base64.encodebytes(cms()) + b"Greetings\r\n",
        base64.encodebytes(cms(build=ber)) + b"Greetings\r\n",
        base64.encodebytes(cms(build=ber) + b"clear text"),
        base64.encodebytes(cms() + b"clear text"),
        base64.encodebytes(cms()[:-1]),
        base64.encodebytes(cms(build=ber)[:-1]),
        base64.encodebytes(cms()).rstrip() + b"====",
    ],
)
def test_clear_text_beside_the_base64(body) -> None:
    assert not is_encrypted(mail(BASE64, body))


@pytest.mark.parametrize("build", [tlv, ber])
def test_clear_text_behind_binary(build) -> None:
    assert is_encrypted(mail(BINARY, cms(build=build)))
    assert not is_encrypted(mail(BINARY, cms(build=build) + b"\r\nYour mailing list\r\n"))


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (b"Content-Type: application/x-pkcs7-mime", True),
        (b"CONTENT-TYPE:\r\n\tApplication/PKCS7-MIME;\r\n\tsmime-type=signed-data", True),
        (b"Content-Type : (a) application/pkcs7-mime (b)", True),
        (b"Content-Type: application/octet-stream; name=smime.p7m", True),
        (b'Content-Type: application/octet-stream; x="; y"; NAME = "SMIME.P7M"', True),
        (b"Content-Type: application/octet-stream; name*=utf-8''s%2Ep7m", True),
        (b"Content-Type: application/octet-stream; name*0=smime; name*1=.p7m", True),
        (b"Content-Type: application/octet-stream; name*0*=utf-8''s%C3%BC; name*1=.p7m", True),
        (
            b'Content-Type: application/octet-stream\r\nContent-Disposition: ; filename="a\\".p7m"',
            True,
        ),
        (
            b"Content-Disposition: a;\n filename*=''s.p7m\nContent-Type: application/octet-stream",
            True,
        ),
        (b"Content-Type: application/octet-stream", False),
        (b"Content-Type: application/octet-stream; name=smime.p7s", False),
        (b'Content-Type: application/octet-stream; x="; name=smime.p7m"', False),
        (b"Content-Type: application/pdf; name=smime.p7m", False),
        (b"Content-Type: text/plain; name=smime.p7m", False),
        (b"Content-Type: application/pkcs7-mime\r\nContent-Type: text/plain", False),
        (b"Content-Type: nonsense", False),
        (b"Content-Type:", False),
        (b"X: application/pkcs7-mime", False),
    ],
)
def test_labels_that_make_it_worth_a_look(fields, wanted) -> None:
    fields += b"\r\nContent-Transfer-Encoding: base64\r\n"
    assert both(mail(fields, base64.encodebytes(cms()))) == (wanted, wanted)


def test_an_unknown_transfer_encoding_proves_nothing() -> None:
    assert not is_encrypted(mail(SMIME + b"Content-Transfer-Encoding: x-own\r\n", cms()))


def test_an_encrypted_attachment_beside_clear_text() -> None:
    attachment = BASE64 + b"\r\n" + base64.encodebytes(cms())
    body = b"--x\r\n\r\nclear text\r\n--x\r\n" + attachment + b"\r\n--x--\r\n"
    assert both(mail(b"Content-Type: multipart/mixed; boundary=x\r\n", body)) == (False, False)


# OpenPGP

PKESK = b"\x85\x01\x0c\x03" + b"k" * 267 + b"\xd2\x30" + b"\x01" + b"e" * 47
SKESK = b"\xc3\x0d\x04\x09\x03" + b"s" * 10 + b"\xd2\x30" + b"\x01" + b"e" * 47
ONE_PASS_SIGNATURE = b"\x90\x0d\x03\x00\x08\x01" + b"i" * 9
LITERAL = b"\xcb\x10b\0\0\0\0\0clear text"
BEGIN, END = b"-----BEGIN PGP MESSAGE-----\r\n", b"-----END PGP MESSAGE-----"


def armour(data: bytes, head: bytes = b"\r\n", checksum: bytes = b"=abCd\r\n") -> bytes:
    lines = base64.encodebytes(data).replace(b"\n", b"\r\n")
    return BEGIN + head + lines + checksum + END


ARMOUR = armour(PKESK)


@pytest.mark.parametrize("fields", [b"", b"Content-Type: text/plain; charset=utf-8\r\n"])
@pytest.mark.parametrize(
    "body",
    [
        ARMOUR,
        b"\r\n \t\r\n" + ARMOUR + b"\r\n\r\n \r\n",
        ARMOUR.replace(b"\r\n", b"\n"),
        armour(SKESK, head=b"Version: X 1\r\nComment: none\r\n\r\n", checksum=b""),
        armour(PKESK, head=b" \r\n", checksum=b"=+/09" + b"\r\n"),
        armour(b"\xc1\xff\0\0\1\0\6" + bytes(256)),
        armour(b"\xc1\xc0\1\3" + bytes(256)),
    ],
)
def test_inline_armour(fields, body) -> None:
    assert both(mail(fields, body)) == (True, False)
    encoded = fields + b"Content-Transfer-Encoding: base64\r\n"
    assert is_encrypted(mail(encoded, base64.encodebytes(body.strip())))
    encoded = fields + b"Content-Transfer-Encoding: quoted-printable\r\n"
    assert is_encrypted(mail(encoded, body.replace(b"=", b"=3D")))


@pytest.mark.parametrize(
    "body",
    [
        b"See below\r\n" + ARMOUR,
        ARMOUR + b"\r\nGreetings\r\n",
        ARMOUR + b"\r\n" + ARMOUR,
        b"> " + ARMOUR.replace(b"\r\n", b"\r\n> "),
        ARMOUR.replace(END, b""),
        ARMOUR.replace(b"\r\n\r\n", b"\r\n"),
        armour(PKESK, head=b"\r\nclear, text\r\n"),
        armour(PKESK, head=b"clear text\r\n\r\n"),
        armour(ONE_PASS_SIGNATURE),
        armour(LITERAL),
        armour(b"\xa3\1compressed"),
        armour(b"\x85\x01\x0c\x63" + bytes(99)),
        armour(b"\x85\x01"),
        armour(b""),
        BEGIN + END,
        BEGIN[:-2] + END,
        BEGIN.strip(),
        ARMOUR.replace(b"PGP MESSAGE", b"PGP SIGNED MESSAGE"),
        ARMOUR.replace(b"PGP MESSAGE", b"PGP PUBLIC KEY BLOCK"),
        b"clear text",
        b"",
    ],
)
def test_armour_that_is_not_all_or_not_encrypted(body) -> None:
    assert both(mail(b"", body)) == (False, False)
    assert not is_encrypted(pgp_mime(data=body))


def test_armour_is_looked_for_in_plain_text_alone() -> None:
    assert not is_encrypted(mail(b"Content-Type: text/html\r\n", ARMOUR))
    assert not is_encrypted(mail(b"Content-Type: nonsense\r\n", ARMOUR))


PARAMETERS = b'; protocol="application/pgp-encrypted"; boundary="=_b+1"'
FIRST = b"Content-Type: application/pgp-encrypted\r\n"
SECOND = b"Content-Type: application/octet-stream; name=encrypted.asc\r\n"


def pgp_mime(
    *,
    parameters: bytes = PARAMETERS,
    first: bytes = FIRST + b"\r\nVersion: 1\r\n",
    head: bytes = SECOND + b"\r\n",
    data: bytes = ARMOUR,
    more: bytes = b"",
    around: tuple[bytes, bytes] = (b"", b"\r\n"),
) -> bytes:
    mark = b"--=_b+1"
    parts = b"\r\n".join([mark, first + mark, head + data, more + mark + b"--"])
    body = around[0] + parts + around[1]
    return mail(b"Content-Type: multipart/encrypted" + parameters + b"\r\n", body)


def test_pgp_mime() -> None:
    sentence = b"This is an OpenPGP/MIME encrypted message (RFC 4880 and 3156)\r\n"
    assert both(pgp_mime()) == (True, False)
    assert is_encrypted(pgp_mime().replace(b"\r\n", b"\n"))
    assert is_encrypted(pgp_mime(around=(b"\r\n \r\n", b"")))
    assert is_encrypted(pgp_mime(around=(sentence, b"\r\n\r\n")))
    assert is_encrypted(pgp_mime(data=SKESK))
    assert is_encrypted(pgp_mime(first=FIRST + b"Content-Description: x\r\n\r\nversion:1\r\n\r\n"))
    encoded = SECOND + b"Content-Transfer-Encoding: base64\r\n\r\n"
    assert is_encrypted(pgp_mime(head=encoded, data=base64.encodebytes(PKESK)))


@pytest.mark.parametrize(
    "message",
    [
        pgp_mime(parameters=PARAMETERS.replace(b"pgp-enc", b"pgp-sig")),
        pgp_mime(parameters=b"; boundary=x"),
        pgp_mime(parameters=b"; protocol=application/pgp-encrypted"),
        pgp_mime(parameters=b'; protocol="application/pgp-encrypted"; boundary=""'),
        pgp_mime(parameters=PARAMETERS.replace(b"b+1", b"other")),
        pgp_mime(first=FIRST + b"\r\nVersion: 2\r\n"),
        pgp_mime(first=FIRST + b"\r\nVersion: 1\r\nclear text\r\n"),
        pgp_mime(first=b"Content-Type: text/plain\r\n\r\nVersion: 1\r\n"),
        pgp_mime(first=b""),
        pgp_mime(head=b"Content-Type: text/plain\r\n\r\n"),
        pgp_mime(head=SECOND + b"Content-Transfer-Encoding: x-own\r\n\r\n"),
        pgp_mime(head=SECOND[:14] + SECOND),
        pgp_mime(data=b"clear text"),
        pgp_mime(data=LITERAL),
        pgp_mime(data=ONE_PASS_SIGNATURE),
        pgp_mime(more=b"--=_b+1\r\n\r\nclear text\r\n"),
        pgp_mime(around=(b"clear text\r\n", b"")),
        pgp_mime(around=(b"", b"\r\nclear text")),
        pgp_mime().replace(b"--=_b+1--", b""),
        pgp_mime().replace(b"multipart/encrypted", b"multipart/mixed"),
    ],
)
def test_pgp_mime_that_is_none(message) -> None:
    assert both(message) == (False, False)


# Any octets

LABELS = [
    b"",
    BASE64,
    BINARY,
    SMIME + b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Type: multipart/encrypted" + PARAMETERS + b"\r\n",
    b"Content-Type: application/octet-stream; name=x.p7m\r\n",
]


@given(st.sampled_from(LABELS), st.binary(max_size=80), st.booleans())
def test_any_body_has_an_answer(label, body, complete) -> None:
    assert encrypted_inside(label + b"\r\n", body, complete=complete) is False
    assert encrypted_inside(label + body, body, complete=complete) is False


@given(st.integers(0, 700), st.integers(0, 255), st.sampled_from([cms(), cms(build=ber)]))
def test_a_damaged_value_has_an_answer(at, octet, data) -> None:
    damaged = data[:at] + bytes([octet]) + data[at + 1 :]
    assert is_encrypted(mail(BINARY, damaged)) in (True, False)
    assert is_encrypted(mail(BINARY, data[:at])) is (at >= len(data))


def test_a_header_past_the_limit_has_an_answer() -> None:
    assert not is_encrypted(b"X: " + b"a" * HEADER_LIMIT + b"\r\n" + BASE64)


def test_any_buffer_will_do() -> None:
    message = mail(BASE64, base64.encodebytes(cms()))
    strided = memoryview(b"".join(bytes([octet, 0]) for octet in message))[::2]
    for buffer in (bytearray(message), memoryview(message), strided):
        assert is_encrypted(buffer)


def test_what_the_email_package_writes() -> None:
    message = email.message.EmailMessage()
    message["Subject"] = "sealed"
    message.set_content(cms(), "application", "pkcs7-mime", filename="smime.p7m")
    assert is_encrypted(bytes(message))


HOSTILE = [b"(", b";a=", b';a="', b'\\"', b"\n ", b"\n--=_b+1", b" ", b"=", b"\n=", b"A:\n", b"\n"]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_messages_take_linear_time(unit) -> None:
    begin = time.process_time()
    for label in LABELS:
        fill = unit * ((1 << 20) // len(unit))
        assert not is_encrypted(mail(label, fill))
        assert not is_encrypted(mail(label[:-2] + fill, b"body"))
        assert not is_encrypted(mail(label, BEGIN + fill))
        assert not is_encrypted(mail(label, b"--=_b+1\r\n" + fill))
    assert time.process_time() - begin < 20  # quadratic would take hours
