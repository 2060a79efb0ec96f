"""Mail that is encrypted already, made by hand: CMS and OpenPGP whose content is random."""

from __future__ import annotations

import base64
import random
from pathlib import Path

SAMPLES = Path(__file__).parent.parent / "samples" / "openpgp"
PLANTED = b"Dear Alice the code of the safe is four seven one one"

ENVELOPED = bytes.fromhex("2a864886f70d010703")
AUTH_ENVELOPED = bytes.fromhex("2a864886f70d0109100117")
SIGNED = bytes.fromhex("2a864886f70d010702")
COMPRESSED = bytes.fromhex("2a864886f70d0109100109")
DATA = bytes.fromhex("2a864886f70d010701")
AES256_CBC = bytes.fromhex("60864801650304012a")
AES256_GCM = bytes.fromhex("60864801650304012e")
RSA = bytes.fromhex("300d06092a864886f70d0101010500")

SMIME = b"Content-Type: application/pkcs7-mime\r\n"
BASE64 = SMIME + b"Content-Transfer-Encoding: base64\r\n"
BINARY = SMIME + b"Content-Transfer-Encoding: binary\r\n"


def noise(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count)


def quoted(octets: bytes) -> bytes:
    """Quoted-printable in which no line end stands for itself."""
    plain = range(ord("0"), ord("z") + 1)
    signs = [b"%c" % o if o in plain and o != ord("=") else b"=%02X" % o for o in octets]
    lines = [b"".join(signs[at : at + 25]) for at in range(0, len(signs), 25)]
    return b"=\r\n".join(lines)


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    octets = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1, "big")
    length = octets if len(content) < 128 else bytes([0x80 + len(octets)]) + octets
    return bytes([tag]) + length + content


def ber(tag: int, *contents: bytes) -> bytes:
    return bytes([tag]) + b"\x80" + b"".join(contents) + b"\0\0"


def name(text: bytes = b"Example CA") -> bytes:
    return tlv(0x30, tlv(0x31, tlv(0x30, tlv(6, b"\x55\x04\x03"), tlv(0x0C, text))))


def info(*, issuer: bytes = name(), serial: bytes = b"\1\2\3", key: bytes = noise(256)) -> bytes:
    return tlv(0x30, tlv(2, b"\0"), tlv(0x30, issuer, tlv(2, serial)), RSA, tlv(4, key))


def cms(  # noqa: PLR0917 - each is an element of the structure
    kind: bytes = ENVELOPED,
    build=tlv,
    version: int = 0,
    infos: bytes | None = None,
    content: bytes = noise(320, 2),
    around: tuple[bytes, bytes] = (b"", b""),
    set_tag: int = 0x31,
) -> bytes:
    """``around``: what stands before the recipients, and behind the content."""
    gcm = kind == AUTH_ENVELOPED
    cipher = tlv(6, AES256_GCM if gcm else AES256_CBC)
    iv = tlv(0x30, tlv(4, noise(12)), tlv(2, b"\x10")) if gcm else tlv(4, noise(16))
    encrypted = tlv(0x30, tlv(6, DATA), tlv(0x30, cipher, iv), tlv(0x80, content))
    before, behind = around
    recipients = tlv(set_tag, info() if infos is None else infos)
    tag = tlv(4, noise(16)) if gcm else b""
    inner = build(0x30, tlv(2, bytes([version])), before, recipients, encrypted, behind, tag)
    return build(0x30, tlv(6, kind), build(0xA0, inner))


def mail(fields: bytes, body: bytes) -> bytes:
    return b"From: a@b.example\r\nMIME-Version: 1.0\r\n" + fields + b"\r\n" + body


BEGIN, END = b"-----BEGIN PGP MESSAGE-----\r\n", b"-----END PGP MESSAGE-----\r\n"
PKESK = b"\x85\x01\x0c\x03" + noise(8) + b"\1" + noise(258, 3)
SKESK = b"\xc3\x0d\x04\x09\x03" + noise(10)
SEIPD = b"\xd2\x50\x01" + noise(79, 4)
SED = b"\xc9\x50" + noise(80, 5)
AEAD = b"\xd4\x50\x01\x09\x02\x10" + noise(76, 6)
PARTIAL = b"\xd2\xe9\x01" + noise(511, 7) + b"\xe1" + noise(2, 8) + b"\x30" + noise(48, 9)
INDETERMINATE = b"\xa7" + noise(100, 10)  # tag 9 of the old form
LITERAL = b"\xcb\x3b" + b"b\0\0\0\0\0" + PLANTED
MESSAGE = PKESK + SEIPD


def crc24(octets: bytes) -> bytes:
    """RFC 9580 section 6.1.1, bit by bit."""
    crc = 0xB704CE
    for octet in octets:
        crc ^= octet << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc.to_bytes(3, "big")


def armour(data: bytes, head: bytes = b"\r\n", checksum: bytes | None = None) -> bytes:
    lines = base64.encodebytes(data).replace(b"\n", b"\r\n")
    if checksum is None:
        checksum = b"=" + base64.b64encode(crc24(data)) + b"\r\n"
    return BEGIN + head + lines + checksum + END


PARAMETERS = b'; protocol="application/pgp-encrypted"; boundary="=_b+1"'
FIRST = b"Content-Type: application/pgp-encrypted\r\n"
SECOND = b"Content-Type: application/octet-stream; name=encrypted.asc\r\n"


def pgp_mime(
    *,
    parameters: bytes = PARAMETERS,
    first: bytes = FIRST + b"\r\nVersion: 1\r\n",
    head: bytes = SECOND + b"\r\n",
    data: bytes = armour(MESSAGE),
    more: bytes = b"",
    around: tuple[bytes, bytes] = (b"", b"\r\n"),
) -> bytes:
    mark = b"--=_b+1"
    parts = b"\r\n".join([mark, first + mark, head + data, more + mark + b"--"])
    body = around[0] + parts + around[1]
    return mail(b"Content-Type: multipart/encrypted" + parameters + b"\r\n", body)
