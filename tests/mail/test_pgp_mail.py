"""OpenPGP that is encrypted already: packets walked to their end, armour and PGP/MIME as their
standards have them."""

from __future__ import annotations

import base64

import pytest

from cmstream import is_encrypted
from cmstream.mail.openpgp import check_packets
from cmstream.mail.unproved import UnprovedError
from helpers.already import (
    AEAD,
    BEGIN,
    END,
    FIRST,
    INDETERMINATE,
    LITERAL,
    MESSAGE,
    PARAMETERS,
    PARTIAL,
    PKESK,
    PLANTED,
    SAMPLES,
    SECOND,
    SED,
    SEIPD,
    SKESK,
    armour,
    mail,
    noise,
    pgp_mime,
)

ARMOUR = armour(MESSAGE)


def walks(data: bytes, step: int = 1 << 20) -> bool:
    try:
        check_packets(data[at : at + step] for at in range(0, len(data), step))
    except UnprovedError:
        return False
    return True


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize("key", [PKESK, SKESK, PKESK + SKESK, PKESK * 3])
@pytest.mark.parametrize("data", [SEIPD, SED, AEAD, PARTIAL, INDETERMINATE])
def test_session_keys_then_encrypted_data(key, data, step) -> None:
    assert walks(key + data, step)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PKESK,
        SEIPD,
        PKESK[:-1],
        MESSAGE[:-1],
        PARTIAL,
        PKESK + PARTIAL[:-1],
        MESSAGE + b"\0",
        MESSAGE + PLANTED,
        MESSAGE + SEIPD,
        MESSAGE + LITERAL,
        MESSAGE + PKESK,
        PKESK + LITERAL,
        PKESK + LITERAL + SEIPD,
        LITERAL + MESSAGE,
        b"\xca\x03PGP" + MESSAGE,
        PKESK + b"\xa3\1" + noise(90),
        PKESK + b"\xd2\x50\x03" + noise(79),
        PKESK + b"\xd2\x01\x01",
        PKESK + b"\xd2\x50\x01" + (PLANTED * 2)[:79],
        PKESK + b"\xd2\xe1\x01" + noise(1) + b"\x40" + noise(64),
        PKESK + b"\xa7" + PLANTED * 2,
        b"\x85\x01\x0c\x63" + PKESK[4:] + SEIPD,
        b"\xc1\xe9\x03" + noise(511) + b"\0" + SEIPD,
        b"\xc1" + bytes([len(PLANTED) + 1]) + b"\x03" + PLANTED + SEIPD,
        b"\xc3\xff\0\0\1\0\4" + noise(255) + SEIPD,
        b"\xc1\0" + SEIPD,
        b"\x87" + PKESK[3:] + SEIPD,
        bytes([0x30]) + MESSAGE,
        PLANTED,
    ],
)
def test_packets_of_which_some_can_be_read_or_none_is_encrypted(data) -> None:
    assert not walks(data)
    assert not is_encrypted(mail(b"", armour(data)))
    assert not is_encrypted(pgp_mime(data=armour(data)))
    encoded = SECOND + b"Content-Transfer-Encoding: base64\r\n\r\n"
    assert not is_encrypted(pgp_mime(head=encoded, data=base64.encodebytes(data)))


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.asc")), ids=lambda path: path.stem)
def test_what_gpg_writes(path) -> None:
    text = path.read_bytes()
    assert is_encrypted(mail(b"", text))
    assert is_encrypted(mail(b"", text.replace(b"\n", b"\r\n")))
    assert is_encrypted(pgp_mime(data=text))


@pytest.mark.parametrize("fields", [b"", b"Content-Type: text/plain; charset=utf-8\r\n"])
@pytest.mark.parametrize(
    "body",
    [
        ARMOUR,
        b"\r\n \t\r\n" + ARMOUR + b"\r\n\r\n \r\n",
        ARMOUR.replace(b"\r\n", b"\n"),
        armour(
            SKESK + SEIPD,
            head=b"Version: X 1\r\nComment: https://gpgtools.org\r\n\r\n",
            checksum=b"",
        ),
        armour(MESSAGE, head=b" \r\n"),
    ],
)
def test_inline_armour(fields, body) -> None:
    assert is_encrypted(mail(fields, body))
    encoded = fields + b"Content-Transfer-Encoding: base64\r\n"
    assert is_encrypted(mail(encoded, base64.encodebytes(body.strip())))
    encoded = fields + b"Content-Transfer-Encoding: quoted-printable\r\n"
    assert is_encrypted(mail(encoded, body.replace(b"=", b"=3D")))


def test_passwords_and_keys_are_no_text() -> None:
    pieces = [PLANTED[at : at + 15] for at in range(0, len(PLANTED), 15)]
    skesks = b"".join(b"\xc3%c\4\x09\3%b" % (len(one) + 3, one) for one in pieces)
    short = b"".join(b"\xc1%c\3%b\1%b" % (len(one) + 10, noise(8), one) for one in pieces)
    mixed = b"".join(b"\xc1\x50\3%b\1%b" % (noise(70 - len(one), i), one)
                     for i, one in enumerate(pieces * 4))  # fmt: skip
    for keys in (skesks, short, mixed, SKESK.replace(b"\4\x09", b"\4\0"), b"\xc3\1\4"):
        assert not walks(keys + SEIPD)
        assert not walks(PKESK + keys + SEIPD)
    assert not walks(b"".join(SKESK[:5] + noise(10, seed) for seed in range(9)) + SEIPD)


def test_armour_whose_lines_are_words() -> None:
    lines = ARMOUR.split(b"\r\n")
    joined = [*lines[:2], lines[2] + lines[3][:-4], lines[3][-4:], *lines[4:]]
    assert not is_encrypted(mail(b"", b"\r\n".join(joined)))
    words = [*lines[:2], lines[2][:5], lines[2][5:12], lines[2][12:], *lines[3:]]
    assert not is_encrypted(mail(b"", b"\r\n".join(words)))


LINE = ARMOUR.split(b"\r\n")[5]


@pytest.mark.parametrize(
    "body",
    [
        b"See below\r\n" + ARMOUR,
        ARMOUR + b"\r\nGreetings\r\n",
        ARMOUR + b"\r\n" + ARMOUR,
        b"> " + ARMOUR.replace(b"\r\n", b"\r\n> "),
        ARMOUR.replace(END, b""),
        ARMOUR.replace(b"\r\n\r\n", b"\r\n"),
        armour(MESSAGE, head=b"\r\nclear, text\r\n"),
        armour(MESSAGE, head=b"clear text\r\n\r\n"),
        armour(MESSAGE, head=b"Dear: Alice\r\n\r\n"),
        armour(MESSAGE, head=b"Comment: " + PLANTED + b"\r\n\r\n"),
        armour(MESSAGE, head=b"Version: " + PLANTED[:30] + b"\r\n\r\n"),
        armour(MESSAGE, head=b"MessageID: Dear Alice\r\n\r\n"),
        armour(MESSAGE, head=b"Comment: PGP" + PLANTED * 2 + b"\r\n\r\n"),
        armour(MESSAGE, head=b"Comment: PGP\r\n" * 5 + b"\r\n"),
        armour(MESSAGE, head=b"Comment: PGP\r\nVersion: X 1\r\nComment: PGP\r\n\r\n"),
        armour(MESSAGE, head=b"MessageID: meet_me\r\nMessageID: at_noon\r\n\r\n"),
        armour(MESSAGE, head=b"Version: 4 7 1 1 is the code, Alice\r\n\r\n"),
        armour(MESSAGE, checksum=b"=abCd\r\n"),
        armour(MESSAGE, checksum=b"=ab d\r\n"),
        armour(MESSAGE, checksum=b"=abCd\r\n=abCd\r\n"),
        ARMOUR.replace(LINE, LINE[:20] + b" " + LINE[20:]),
        ARMOUR.replace(LINE, LINE + b" "),
        ARMOUR.replace(LINE, LINE + b"\r\n"),
        ARMOUR.replace(LINE, LINE + b"\r" + LINE),
        ARMOUR.replace(LINE, b"Dear Alice\r\n" + LINE),
        ARMOUR.replace(LINE, LINE[:-1] + b"="),
        ARMOUR.replace(LINE + b"\r\n", LINE),
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
    assert not is_encrypted(mail(b"", body))
    assert not is_encrypted(pgp_mime(data=body))


def test_armour_is_looked_for_in_plain_text_alone() -> None:
    for kind in (
        b"text/html",
        b"nonsense",
        b"text/plain; charset=utf-7",
        b"text/plain; charset*=us-ascii''utf-7",
    ):
        assert not is_encrypted(mail(b"Content-Type: %b\r\n" % kind, ARMOUR))


# PGP/MIME


@pytest.mark.parametrize(
    "name", [b"msg.asc", b"encrypted_message.pgp", b"ATT00001.dat", b"PGPexch.htm.pgp", b"noname"]
)
def test_names_that_programs_give(name) -> None:
    assert is_encrypted(pgp_mime(head=SECOND.replace(b"encrypted.asc", name) + b"\r\n"))


@pytest.mark.parametrize(
    "line",
    [b"Version: BCPG v1.58", b"Version: Encryption Desktop 10.3.2 (Build 15238)",
     b"Version: GnuPG v2.0.22 (MingW32)", b"Comment: Processed by Mailvelope",
     b"Version: Mailvelope v4.4.1\r\nComment: https://www.mailvelope.com", b"Charset: utf-8"],
)  # fmt: skip
def test_lines_that_programs_write_into_armour(line) -> None:
    assert is_encrypted(mail(b"", armour(MESSAGE, head=line + b"\r\n\r\n")))


def test_pgp_mime() -> None:
    assert is_encrypted(pgp_mime())
    assert is_encrypted(pgp_mime().replace(b"\r\n", b"\n"))
    assert is_encrypted(pgp_mime(around=(b"\r\n \r\n", b"")))
    assert is_encrypted(pgp_mime(data=SKESK + SEIPD))
    described = b"Content-Description: PGP/MIME version identification\r\n\r\nversion:1\r\n\r\n"
    assert is_encrypted(pgp_mime(first=FIRST + described))
    encoded = SECOND + b"Content-Transfer-Encoding: base64\r\n\r\n"
    assert is_encrypted(pgp_mime(head=encoded, data=base64.encodebytes(MESSAGE)))
    thunderbird = (
        b'Content-Type: application/octet-stream; name="encrypted.asc"\r\n'
        b"Content-Description: OpenPGP encrypted message\r\n"
        b'Content-Disposition: inline; filename="encrypted.asc"\r\n\r\n'
    )
    assert is_encrypted(pgp_mime(head=thunderbird))


@pytest.mark.parametrize(
    "words",
    [
        b"This is an OpenPGP/MIME encrypted message (RFC 4880 and 3156)\r\n",
        b"This is an OpenPGP/MIME encrypted message (RFC 4880 and 3156).\r\n",
        b"This message is in MIME format and has been PGP encrypted.\r\n\r\n",
        b"\r\nThis is a multi-part message in MIME format.\r\n",
    ],
)
def test_a_line_before_the_first_part_belongs_to_none(words) -> None:
    assert is_encrypted(pgp_mime(around=(words, b"\r\n\r\n")))
    assert not is_encrypted(pgp_mime(around=(words + words, b"")))
    assert not is_encrypted(pgp_mime(around=(words.strip() * 3 + b"\r\n", b"")))


@pytest.mark.parametrize(
    "message",
    [
        pgp_mime(parameters=PARAMETERS.replace(b"pgp-enc", b"pgp-sig")),
        pgp_mime(parameters=b"; boundary=x"),
        pgp_mime(parameters=b"; protocol=application/pgp-encrypted"),
        pgp_mime(parameters=b'; protocol="application/pgp-encrypted"; boundary=""'),
        pgp_mime(parameters=PARAMETERS.replace(b"b+1", b"other")),
        pgp_mime(parameters=PARAMETERS + b"; boundary*=us-ascii''b"),
        pgp_mime(parameters=PARAMETERS + b"; boundary=b"),
        pgp_mime(parameters=PARAMETERS + b"; boundary*0=b"),
        pgp_mime(parameters=b" (; boundary=b ;)" + PARAMETERS),
        pgp_mime(parameters=PARAMETERS + b"\r\nContent-Transfer-Encoding: base64"),
        pgp_mime(parameters=PARAMETERS + b"\r\nContent-Type: text/plain"),
        pgp_mime(first=FIRST + b"\r\nVersion: 2\r\n"),
        pgp_mime(first=FIRST + b"\r\nVersion: 1\r\nclear text\r\n"),
        pgp_mime(first=b"Content-Type: text/plain\r\n\r\nVersion: 1\r\n"),
        pgp_mime(first=b"X-Text: " + PLANTED + b"\r\n" + FIRST + b"\r\nVersion: 1\r\n"),
        pgp_mime(first=b"Content-Description: Dear Alice\r\n" + FIRST + b"\r\nVersion: 1\r\n"),
        pgp_mime(
            first=b"Content-Description: Dear Alice\r\nContent-Description: PGP\r\n"
            + FIRST
            + b"\r\nVersion: 1\r\n"
        ),
        pgp_mime(
            first=b"Content-Description: PGP\r\n Dear Alice\r\n" + FIRST + b"\r\nVersion: 1\r\n"
        ),
        pgp_mime(first=b"From " + PLANTED + b"\r\n" + FIRST + b"\r\nVersion: 1\r\n"),
        pgp_mime(head=SECOND + b"Content-Disposition: " + PLANTED + b"\r\n\r\n"),
        pgp_mime(head=SECOND + b'Content-Disposition: inline; x="' + PLANTED + b'"\r\n\r\n'),
        pgp_mime(head=SECOND + b"Content-Disposition: inline; filename*0=Dear\r\n\r\n"),
        pgp_mime(head=SECOND.replace(b"encrypted.asc", b"the-code-is-4711.asc") + b"\r\n"),
        pgp_mime(head=SECOND.replace(b"encrypted.asc", b"1" * 39 + b"x") + b"\r\n"),
        pgp_mime(first=b""),
        pgp_mime(head=b"Content-Type: text/plain\r\n\r\n"),
        pgp_mime(head=SECOND + b"Content-Transfer-Encoding: x-own\r\n\r\n"),
        pgp_mime(head=SECOND[:14] + SECOND),
        pgp_mime(head=SECOND.replace(b"encrypted.asc", b'"Dear Alice"') + b"\r\n"),
        pgp_mime(head=SECOND.replace(b"name=", b"name =") + b"\r\n"),
        pgp_mime(data=b"clear text"),
        pgp_mime(data=LITERAL),
        pgp_mime(data=MESSAGE + b"\r\n" + PLANTED),
        pgp_mime(more=b"--=_b+1\r\n\r\nclear text\r\n"),
        pgp_mime(more=b"--=_b+1x\r\n\r\nclear text\r\n"),
        pgp_mime(around=(b"--=_b+1x\r\n\r\nclear text\r\n", b"")),
        pgp_mime(around=(b"", b"\r\nclear text")),
        pgp_mime(around=(b"", b"\r\n--=_b+1\r\n\r\nclear text")),
        pgp_mime().replace(b"--=_b+1--", b""),
        pgp_mime().replace(b"--=_b+1--", b"--=_b+1--x"),
        pgp_mime().replace(b"multipart/encrypted", b"multipart/mixed"),
    ],
)
def test_pgp_mime_that_is_none(message) -> None:
    assert not is_encrypted(message)
