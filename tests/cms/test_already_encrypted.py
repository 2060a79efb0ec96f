"""What counts as encrypted already: only what is, to its last octet, in a label that is one."""

from __future__ import annotations

import base64
import email.message
import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream import is_encrypted
from cmstream.cms.already_encrypted import is_encrypted_body
from cmstream.mail.mime import BOM, HEADER_LIMIT
from helpers.already import (
    AES256_CBC,
    AUTH_ENVELOPED,
    BASE64,
    BEGIN,
    BINARY,
    COMPRESSED,
    DATA,
    ENVELOPED,
    PARAMETERS,
    PKESK,
    PLANTED,
    SIGNED,
    SMIME,
    armour,
    ber,
    cms,
    info,
    mail,
    name,
    noise,
    quoted,
    tlv,
)

FIELD = Path(__file__).resolve().parents[3] / "shared" / "field"
SEALED = FIELD.parent / "corpus" / "sealed"


def shared(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern)) if folder.is_dir() else []


@pytest.mark.parametrize("size", [0, 320, 80_000])
@pytest.mark.parametrize("build", [tlv, ber])
@pytest.mark.parametrize("kind", [ENVELOPED, AUTH_ENVELOPED])
def test_cms_that_is_enveloped(kind, build, size) -> None:
    data = cms(kind, build, content=noise(size + 16))
    assert is_encrypted(mail(BASE64, base64.encodebytes(data)))
    assert is_encrypted(mail(BASE64, base64.b64encode(data)))
    assert is_encrypted(mail(BINARY, data))
    assert is_encrypted(mail(SMIME, data + b"\r\n"))
    assert is_encrypted(BOM + mail(SMIME, data))
    encoded = quoted(data)
    assert is_encrypted(mail(SMIME + b"content-transfer-encoding: Quoted-Printable\r\n", encoded))


@pytest.mark.parametrize("layout", [1, 3, 5, 64, 76, 10_000])
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n", b" \r\n\r\n\t"])
def test_base64_in_any_layout(layout, line_end) -> None:
    text = base64.b64encode(cms())
    lines = [text[at : at + layout] for at in range(0, len(text), layout)]
    assert is_encrypted(mail(BASE64, line_end.join(lines) + line_end))


TEXT = PLANTED + b" ." * 60
KEK = tlv(
    0xA2, tlv(2, b"\4"), tlv(0x30, tlv(4, TEXT)), tlv(0x30, tlv(6, b"\x2a")), tlv(4, noise(40))
)
ATTRIBUTES = tlv(0xA1, tlv(0x30, tlv(6, b"\x2a\x03"), tlv(0x31, tlv(4, b"\1\2\3"))))


@pytest.mark.parametrize(
    "data",
    [
        cms(SIGNED),
        cms(COMPRESSED),
        cms(ENVELOPED[:-1]),
        cms(version=1),
        cms(version=77),
        cms(set_tag=0x30),
        cms()[1:],
        cms()[:20],
        cms()[:-1],
        cms(build=ber)[:-1],
        cms() + b"clear text",
        cms(build=ber) + b"clear text\0\0\0\0\0\0",
        cms(infos=b""),
        cms(infos=PLANTED),
        cms(infos=tlv(0x30, PLANTED)),
        cms(infos=tlv(4, PLANTED)),
        cms(infos=info() + tlv(0xA4, tlv(6, b"\x2a\x03"), tlv(4, PLANTED))),
        cms(infos=info(key=b"short")),
        cms(infos=info(key=TEXT)),
        cms(infos=info(key=TEXT.decode().encode("utf-16"))),
        cms(infos=info(issuer=name(PLANTED * 4))),
        cms(infos=info(issuer=tlv(0x30, tlv(4, PLANTED)))),
        cms(infos=info(issuer=tlv(0x30, name()[2:] * 100))),
        cms(infos=info() + KEK),
        cms(content=b""),
        cms(content=noise(15)),
        cms(content=TEXT[:160]),
        cms(content=PLANTED.decode().encode("utf-16") * 16),
        cms(content=noise(160) + TEXT[:64] + noise(32)),
        cms(content=b"\0" * 160),
        cms(AUTH_ENVELOPED, content=TEXT),
        cms(around=(tlv(0xA0, tlv(0xA0, tlv(0x30, noise(300)))), b"")),
        cms(around=(b"", tlv(0xA1, tlv(0x30, tlv(6, b"\x2a\x03"), tlv(0x31, tlv(4, PLANTED)))))),
        cms(around=(b"", tlv(0xA1, noise(600)))),
        cms(around=(b"", tlv(4, PLANTED))),
        b"",
        b"clear text",
        b"0",
        b"0\x80",
        b"\x30\x89" + cms()[4:],
        b"\x30\xff" + cms()[4:],
    ],
)  # fmt: skip
def test_what_is_not_enveloped_whatever_it_says(data) -> None:
    for label in (b"", b"; smime-type=enveloped-data", b"; smime-type=authEnveloped-data"):
        fields = BASE64.replace(b"mime\r\n", b"mime" + label + b"\r\n")
        assert not is_encrypted(mail(fields, base64.encodebytes(data)))
        assert not is_encrypted(mail(fields.replace(b"base64", b"binary"), data))


# A text that nobody would find by long runs of ASCII.
def in_pieces(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


CYRILLIC = "Алиса, код от сейфа четыре семь один один. Приходи в порт в полдень."
CHINESE = "爱丽丝保险箱的密码是四七一一请带上所有的钱中午到港口来不要告诉任何人鲍勃会在那里等你"
HIDDEN = [
    *(b"\x80".join(in_pieces(text * 2, size)) for text in (PLANTED, PLANTED.upper())
      for size in (8, 12, 16)),
    b"".join(bytes([octet, 1]) for octet in PLANTED),
    *(CYRILLIC.encode(charset) for charset in ("utf-8", "koi8-r", "cp1251", "utf-16-le")),
    *(CHINESE.encode(charset) for charset in ("utf-8", "gb18030", "utf-16-le", "utf-16-be")),
    "Grüße aus Köln, Änne fährt über Nürnberg, trägt Müllsäcke für Jörg".encode("latin-1"),
]  # fmt: skip


def string(text: bytes) -> bytes:
    return tlv(0x0C, text)


def attributes(values: list[bytes]) -> bytes:
    return tlv(0xA1, *(tlv(0x30, tlv(6, b"\x2a\x03"), tlv(0x31, value)) for value in values))


def password(parameters: bytes, key: bytes) -> bytes:
    return tlv(0xA3, tlv(2, b"\0"), tlv(0x30, tlv(6, b"\x2a\x03"), parameters), tlv(4, key))


@pytest.mark.parametrize("text", HIDDEN)
def test_text_that_is_no_long_run_of_ascii(text) -> None:
    assert not is_encrypted(mail(BINARY, cms(content=(text + noise(320))[:320])))
    assert not is_encrypted(mail(BINARY, cms(AUTH_ENVELOPED, content=noise(99) + text)))
    assert not is_encrypted(mail(BINARY, cms(infos=info(key=text))))
    assert not is_encrypted(mail(BINARY, cms(infos=info() + password(b"", text))))
    assert not is_encrypted(mail(BINARY, cms(infos=info() + password(tlv(4, text), noise(40)))))
    assert not is_encrypted(mail(BINARY, cms(around=(b"", attributes([string(text)])))))
    assert not is_encrypted(mail(BINARY, cms(around=(b"", tlv(4, text)))))
    assert not is_encrypted(mail(BINARY, cms(around=(tlv(0xA0, tlv(0xA0, string(text))), b""))))


@pytest.mark.parametrize("tag", [2, 4, 6, 0x0C, 0x13, 0x16, 0x17, 0x80, 0x9E])
@pytest.mark.parametrize("size", [3, 8, 16])
def test_text_in_many_values(tag, size) -> None:
    values = [tlv(tag, piece) for piece in in_pieces(PLANTED.upper(), size)]
    assert not is_encrypted(mail(BINARY, cms(around=(b"", attributes(values)))))
    infos = info() + password(tlv(0x30, *values), noise(40))
    assert not is_encrypted(mail(BINARY, cms(infos=infos)))
    infos = b"".join(password(value, noise(40)) for value in values)
    assert not is_encrypted(mail(BINARY, cms(infos=infos)))


def test_serial_numbers_may_count() -> None:
    infos = [info(serial=b"D%c" % low) for low in range(0x41, 0x7A)]
    assert is_encrypted(mail(BINARY, cms(infos=b"".join(infos))))
    infos = [info(serial=piece) for piece in in_pieces(PLANTED, 12)]
    assert not is_encrypted(mail(BINARY, cms(infos=b"".join(infos))))


@pytest.mark.parametrize("size", [3, 7, 8])
def test_serial_numbers_that_are_words(size) -> None:
    infos = [info(serial=piece) for piece in in_pieces(PLANTED * 3, size)]
    assert not is_encrypted(mail(BINARY, cms(infos=b"".join(infos))))


def test_names_of_many_issuers() -> None:
    for count in (1, 200):
        infos = [info(issuer=name(b"Example CA %d" % (n % count))) for n in range(200)]
        assert is_encrypted(mail(BINARY, cms(infos=b"".join(infos)))) == (count == 1)


def test_tags_that_are_letters() -> None:
    """An element without content is two bytes: in UTF-16 these are a letter."""
    letters = b"".join(bytes([letter, 0]) for letter in PLANTED.replace(b" ", b""))
    infos = info() + password(tlv(0x30, letters), noise(40))
    assert not is_encrypted(mail(BINARY, cms(infos=infos)))


@pytest.mark.parametrize("depth", [1, 9])
def test_a_recipient_with_more_elements_than_any(depth) -> None:
    parameters = tlv(0x30, *[tlv(5)] * 60)
    for _ in range(depth):
        parameters = tlv(0x30, parameters)
    assert not is_encrypted(mail(BINARY, cms(infos=info() + password(parameters, noise(40)))))


def test_a_cipher_with_more_than_its_parameters() -> None:
    parts = [tlv(4, piece) for piece in in_pieces(PLANTED, 11)]
    cipher = tlv(0x30, tlv(6, AES256_CBC), tlv(4, noise(16)), *parts)
    content = tlv(0x30, tlv(6, DATA), cipher, tlv(0x80, noise(320)))
    inner = tlv(0x30, tlv(2, b"\0"), tlv(0x31, info()), content)
    assert not is_encrypted(mail(BINARY, tlv(0x30, tlv(6, ENVELOPED), tlv(0xA0, inner))))


def test_nothing_but_attributes_follows() -> None:
    assert not is_encrypted(mail(BINARY, cms(around=(b"", tlv(4, noise(16))))))
    assert not is_encrypted(mail(BINARY, cms(AUTH_ENVELOPED, around=(b"", tlv(4, noise(16))))))
    assert not is_encrypted(
        mail(BINARY, cms(around=(b"", tlv(0xA1, tlv(0x17, b"2611290200 and no later Z")))))
    )
    assert is_encrypted(mail(BINARY, cms(around=(b"", attributes([tlv(0x17, b"261129020000Z")])))))


def test_small_unprotected_attributes_may_follow() -> None:
    assert is_encrypted(mail(BINARY, cms(around=(b"", ATTRIBUTES), version=2)))
    assert is_encrypted(mail(BINARY, cms(infos=info() * 30)))


@pytest.mark.parametrize(
    "body",
    [
        base64.encodebytes(cms()) + b"-- \r\nYour mailing list\r\n",
        b"A note in front\r\n" + base64.encodebytes(cms()),
        base64.encodebytes(cms()) + b"Greetings\r\n",
        base64.encodebytes(cms(build=ber)) + b"Greetings\r\n",
        base64.encodebytes(cms()).rstrip() + b"====",
        base64.b64encode(cms())[:400] + b"Dear Alice here it is" + base64.b64encode(cms())[417:],
        base64.b64encode(cms())[:400] + b" \t" + base64.b64encode(cms())[400:],
        base64.encodebytes(cms(content=noise(320))).rstrip().rstrip(b"=") + b"\0\r\n",
    ],
)
def test_clear_text_beside_the_base64(body) -> None:
    assert not is_encrypted(mail(BASE64, body))


WORDS = b"Dear Alice the code of the safe is four seven one one bring it to the harbour tonight ok"


def spelled(fill: bytes, words: bytes = WORDS) -> tuple[bytes, bytes]:
    """Base64 of CMS up to digits that are these words, and behind them."""
    digits = words.replace(b" ", b"")
    digits += b"A" * (-len(digits) % 4)
    for shift in range(3):
        content = noise(16 + shift) + base64.b64decode(digits) + noise(320)
        before, found, after = base64.b64encode(cms(content=content[:320])).partition(digits)
        if found:
            return before, fill.join([words, after])
    raise AssertionError


def test_base64_whose_digits_are_words() -> None:
    before, after = spelled(b"\r\n")
    for line_end in (b"\r\n", b" "):
        text = before + line_end + after.replace(b" ", line_end)
        assert not is_encrypted(mail(BASE64, text))
    # One line of base64, without anything between the words.
    assert not is_encrypted(mail(BASE64, before + after.replace(b" ", b"").replace(b"\r\n", b"")))


@pytest.mark.parametrize("change", [bytes, bytes.upper])
def test_an_armour_whose_digits_are_words(change) -> None:
    """Whoever has no OpenPGP sees the digits, and reads over what parts the words."""
    digits = b"/".join(change(WORDS).split() * 2)
    rows = [b"+//" + digits[at : at + 58] + b"//+" for at in range(0, 58 * 3, 58)]
    packet = b"\1" + noise(94, 2) + base64.b64decode(b"".join(rows)) + noise(96, 3)
    data = PKESK + b"\xd2\xff" + len(packet).to_bytes(4, "big") + packet
    assert digits[:58] in base64.b64encode(data)
    assert not is_encrypted(mail(b"Content-Type: text/plain\r\n", armour(data)))
    plain = b"\1" + noise(len(packet) - 1, 4)
    data = PKESK + b"\xd2\xff" + len(plain).to_bytes(4, "big") + plain
    assert is_encrypted(mail(b"Content-Type: text/plain\r\n", armour(data)))


@pytest.mark.parametrize("at", [1, 9, 100, 240])
@pytest.mark.parametrize("space", [b" ", b"\r\n", b"\t", b"\n\n"])
def test_base64_in_lines_of_no_length(at, space) -> None:
    text = base64.b64encode(cms())
    assert not is_encrypted(mail(BASE64, text[:at] + space + text[at:]))
    lines = base64.encodebytes(cms())
    assert is_encrypted(mail(BASE64, lines))
    assert not is_encrypted(mail(BASE64, lines[:at] + space + lines[at:]))


@pytest.mark.parametrize("text", [b"=ZZ", b"=", b"=4", b"= x"])
def test_quoted_printable_that_readers_decode_in_two_ways(text) -> None:
    encoded = quoted(cms())
    fields = SMIME + b"Content-Transfer-Encoding: quoted-printable\r\n"
    assert is_encrypted(mail(fields, encoded))
    half = encoded.index(b"\n", len(encoded) // 2) - 1
    assert not is_encrypted(mail(fields, encoded[:half] + text + encoded[half:]))


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (b"Content-Type: application/x-pkcs7-mime", True),
        (b"Content-Type: application/pkcs7", True),
        (b"Content-Type: application/x-pkcs7", True),
        (b"Content-Type: application/cms", True),
        (b"Content-Type: application/pkcs7-mime;", True),
        (b"CONTENT-TYPE:\r\n\tApplication/PKCS7-MIME;\r\n\tsmime-type=signed-data", True),
        (b"Content-Type: application/octet-stream; name=smime.p7m", True),
        (b'Content-Type: application/octet-stream; x="; y"; NAME = "SMIME.P7M"', False),
        (b'Content-Type: application/octet-stream; x="; y"; NAME="SMIME.P7M"', True),
        (b"Content-Type: application/octet-stream; name*=utf-8''s%2Ep7m", True),
        (b"Content-Type: application/octet-stream; name*0=smime; name*1=.p7m", True),
        (b"Content-Type: application/octet-stream; name*0*=utf-8''s%C3%BC; name*1=.p7m", True),
        (
            b"Content-Disposition: a;\n filename*=''s.p7m\nContent-Type: application/octet-stream",
            True,
        ),
        (b"Content-Type : application/pkcs7-mime", False),
        (b"Content-Type: (a) application/pkcs7-mime (b)", False),
        (b"Content-Type: application/pkcs7-mime (b)", False),
        (b"Content-Type: application/pkcs7-mime; name=(x)smime.p7m", False),
        (b"Content-Type: application/pkcs7-mime; name=a; name=b", False),
        (b"Content-Type: application/pkcs7-mime; boundary=b", False),
        (b"Content-Type: application/pkcs7-mime; boundary*=''b", False),
        (b"Content-Type: application/pkcs7-mime\rX: y", False),
        (b"Content-Type: application/pkcs7-mime\r\n \r\n", False),
        (b"Content-Type: application/pkcs7-mime; name=\xff", False),
        (b"X : y\r\nContent-Type: application/pkcs7-mime", False),
        (b"\xef\xbb\xbfContent-Type: application/pkcs7-mime", False),
        (b"Content-Transfer-Encoding: 7bit\r\nContent-Type: application/pkcs7-mime", False),
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
    assert is_encrypted(mail(fields, base64.encodebytes(cms()))) is wanted


def test_what_proves_nothing() -> None:
    assert not is_encrypted(mail(SMIME + b"Content-Transfer-Encoding: x-own\r\n", cms()))
    sealed = base64.encodebytes(cms())
    # A carriage return alone ends the header block, and nothing behind it is a label.
    assert not is_encrypted(b"Subject: x\rdear: Alice\r\n" + BASE64 + b"\r\n" + sealed)
    assert not is_encrypted(b"Subject: x\r\r\n" + BASE64 + b"\r\n" + sealed)
    assert not is_encrypted(BASE64[:-2] + b"\r" + sealed)


def test_an_encrypted_attachment_beside_clear_text() -> None:
    attachment = BASE64 + b"\r\n" + base64.encodebytes(cms())
    body = b"--x\r\n\r\nclear text\r\n--x\r\n" + attachment + b"\r\n--x--\r\n"
    assert not is_encrypted(mail(b"Content-Type: multipart/mixed; boundary=x\r\n", body))


# Other people's samples


@pytest.mark.parametrize("path", shared(FIELD / "not-encrypted", "*.eml"), ids=lambda p: p.stem)
def test_what_can_be_read_in_the_field(path) -> None:
    assert not is_encrypted(path.read_bytes())


@pytest.mark.parametrize(
    "path",
    [
        *shared(FIELD / "pgp-mime-preamble", "*.eml"),
        *shared(FIELD / "bom-before-mail", "bomenc.eml"),
        *shared(SEALED, "openssl-*.eml"),
        *shared(SEALED, "gpgsm*.eml"),
        *shared(SEALED, "nss*.eml"),
        *shared(SEALED, "bc-*.eml"),
    ],
    ids=lambda p: p.stem,
)
def test_what_other_programs_write(path) -> None:
    assert is_encrypted(path.read_bytes())


@pytest.mark.parametrize(
    "path",
    [
        *shared(SEALED, "bc-*.p7m"),
        *shared(SEALED, "gpgsm-*.p7m"),
        *shared(SEALED, "nss-*.p7m"),
        *shared(SEALED, "openssl-*.p7m"),
    ],
    ids=lambda p: p.stem,
)
def test_cms_of_other_programs(path) -> None:
    for kind in (b"pkcs7-mime", b"x-pkcs7-mime", b"pkcs7", b"x-pkcs7", b"cms"):
        fields = BASE64.replace(b"pkcs7-mime", kind)
        assert is_encrypted(mail(fields, base64.encodebytes(path.read_bytes())))


# Any octets

LABELS = [
    b"",
    BASE64,
    BINARY,
    SMIME + b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Type: multipart/encrypted" + PARAMETERS + b"\r\n",
    b"Content-Type: application/octet-stream; name=x.p7m\r\n",
]


@given(st.sampled_from(LABELS), st.binary(max_size=80))
def test_any_body_has_an_answer(label, body) -> None:
    assert is_encrypted_body(label + b"\r\n", [body]) is False
    assert is_encrypted_body(label + body, [body]) is False
    assert is_encrypted_body(label + b"\r\n", []) is False


@given(st.integers(0, 700), st.integers(0, 255), st.sampled_from([cms(), cms(build=ber)]))
def test_a_damaged_value_has_an_answer(at, octet, data) -> None:
    damaged = data[:at] + bytes([octet]) + data[at + 1 :]
    assert is_encrypted(mail(BINARY, damaged)) in (True, False)
    assert is_encrypted(mail(BINARY, data[:at])) is (at >= len(data))


@given(st.lists(st.integers(0, 1400), max_size=6), st.sampled_from([0, 1, 2]))
def test_however_the_pieces_are_cut(cuts, which) -> None:
    head, body = [
        (BASE64, base64.encodebytes(cms(build=ber))),
        (SMIME + b"Content-Transfer-Encoding: quoted-printable\r\n", quoted(cms())),
        (b"", armour(b"\x8c\x0d\x04\x09\x03" + noise(10) + b"\xd2\x60\x01" + noise(95))),
    ][which]
    places = [0, *sorted(cuts), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(places)]
    assert is_encrypted_body(head + b"\r\n", pieces)


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


HOSTILE = [b"(", b";a=", b';a="', b'\\"', b"\n ", b"\n--=_b+1", b" ", b"=", b"\n=", b"A:\n", b"\n",
           b";", b"; ", b"=\n", b" \n", b"\r"]  # fmt: skip


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
