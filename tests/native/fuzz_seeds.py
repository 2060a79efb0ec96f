"""Writes what the targets begin with: `python3 fuzz_seeds.py FOLDER`.

Needs nothing but the openssl program. Sealed messages in shapes of our own making, encrypted with
the target's fixed key, so that their padding is right; what OpenSSL itself makes of the options
that change shape; mails; and base64 whose end is right or wrong.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

RECIPIENT = Path(__file__).parent.parent / "samples" / "alice.pem"

# As in fuzz_open.c.
SECRET = b"fuzzed with the very same octets"
IV = b"and this before."
BINARY, BASE64, PEM = range(3)

OID_ENVELOPED = bytes.fromhex("06092a864886f70d010703")
OID_AUTH_ENVELOPED = bytes.fromhex("060b2a864886f70d0109100117")
OID_DATA = bytes.fromhex("06092a864886f70d010701")
OID_AES = {16: "0609608648016503040102", 24: "0609608648016503040116", 32: "060960864801650304012a"}
NULL = b"\x05\x00"
MAIL = b"Content-Type: text/plain\r\nX: y\r\n\r\nSeeds in a mail.\r\n"
HEAD = (
    b"From: a@b\r\nContent-Type: application/pkcs7-mime; name=x\r\nX: y\r\n z\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
)
BASE64_TEXTS = (
    b"Q", b"QQ", b"QQ=", b"QQ==", b"QQ===", b"QUI", b"QUI=", b"QUI==", b"QUJD", b"QUJD=", b"Q=",
    b"QUJD\r\nQQ = =\n", b"QQ==QQ==", b"Q Q\t=\r\n=\v\f", b"QUJD*", b"\0QUJD", b"QUJ_", b"QUJDRA-",
    b"QUJD" * 40, (b"QUJD" * 16 + b"\r\n") * 8 + b"QQ==", (b"QUJD" * 19 + b"\n") * 8 + b"QUI=\n",
    bytes(range(256)), bytes(100), b"=" * 20,
)  # fmt: skip


def run(*command: object, data: bytes) -> bytes:
    """What the program writes."""
    done = subprocess.run(list(map(str, command)), input=data, check=True, capture_output=True)
    return done.stdout


def length(count: int) -> bytes:
    """In its shortest form."""
    if count < 0x80:
        return bytes([count])
    octets = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def der(tag: int, *parts: bytes) -> bytes:
    """With its length."""
    return bytes([tag]) + length(len(b"".join(parts))) + b"".join(parts)


def ber(tag: int, *parts: bytes) -> bytes:
    """Without."""
    return bytes([tag, 0x80]) + b"".join(parts) + b"\0\0"


def padded(tag: int, *parts: bytes) -> bytes:
    """With a length in more octets than it needs."""
    return bytes([tag, 0x84]) + len(b"".join(parts)).to_bytes(4, "big") + b"".join(parts)


def encrypt(content: bytes, key_len: int = 16, *, padding: bool = True) -> bytes:
    """AES-CBC, with PKCS #7 padding or what the content brings itself."""
    key = ("-K", SECRET[:key_len].hex(), "-iv", IV.hex())
    how = (f"-aes-{8 * key_len}-cbc", *([] if padding else ["-nopad"]))
    return run("openssl", "enc", *how, *key, data=content)


def recipient(number: int = 1) -> bytes:
    """One by issuerAndSerialNumber; its name and its encrypted key are short ones."""
    name = der(0x30, der(0x31, der(0x30, bytes.fromhex("0603550403"), der(0x0C, b"CA"))))
    who = der(0x30, name, der(0x02, bytes([number])))
    how = der(0x30, bytes.fromhex("06092a864886f70d010101"), NULL)
    return der(0x30, b"\x02\x01\0", who, how, der(0x04, bytes(range(16))))


def recipient_by_identifier() -> bytes:
    """One by a key identifier that fuzz_whole.h looks for."""
    how = der(0x30, bytes.fromhex("06092a864886f70d010101"), NULL)
    return der(0x30, b"\x02\x01\2", der(0x80, b"known"), how, der(0x04, bytes(range(16))))


def content_info(
    content: bytes, *, inner=der, outer=der, key_len=16, oid=OID_ENVELOPED, before=b"",
    recipients=b"", behind=b"",
) -> bytes:  # fmt: skip
    """A ContentInfo around the encrypted content, which brings its own tag."""
    cipher = der(0x30, bytes.fromhex(OID_AES[key_len]), der(0x04, IV))
    encrypted = inner(0x30, OID_DATA, cipher, content)
    version = b"\x02\x01\x02" if before or behind else b"\x02\x01\0"
    known = inner(0x31, recipients or recipient())
    return outer(0x30, oid, outer(0xA0, outer(0x30, version, before, known, encrypted, behind)))


def segments(octets: bytes, *sizes: int) -> bytes:
    """OCTET STRINGs of these sizes in turn."""
    parts, at, turn = [], 0, 0
    while at < len(octets):
        size = sizes[turn % len(sizes)]
        parts.append(der(0x04, octets[at : at + size]))
        at, turn = at + size, turn + 1
    return b"".join(parts)


def deep(octets: bytes, depth: int, wrap=ber) -> bytes:
    """Strings within strings."""
    inside = der(0x04, octets)
    for _ in range(depth):
        inside = wrap(0x24, inside)
    return inside


def shapes() -> dict[str, bytes]:
    """Messages of every shape that the reader knows."""
    text = b"Seeds fall on the reader; some of them come up.\r\n" * 2
    sealed, long = encrypt(text), encrypt(text * 12)
    attribute = der(0xA1, der(0x30, bytes.fromhex("06032a0304"), der(0x31, b"\x01\x01\xff")))
    other = der(0xA3, bytes.fromhex("06032a0306"), NULL)
    originator = der(0xA0, der(0xA0, other))
    two = segments(sealed, 24, 40)
    return {
        "der": content_info(der(0x80, sealed)),
        "der-long": content_info(der(0x80, long)),
        "der-192": content_info(der(0x80, encrypt(text, 24)), key_len=24),
        "der-256": content_info(der(0x80, encrypt(text, 32)), key_len=32),
        "one-block": content_info(der(0x80, encrypt(b""))),
        "no-content": content_info(der(0x80)),
        "absent": content_info(b""),
        "absent-ber": content_info(b"", inner=ber, outer=ber),
        "absent-attributes": content_info(b"", outer=ber, behind=attribute),
        "not-blocks": content_info(der(0x80, sealed[:-1])),
        "ber": content_info(ber(0xA0, two), inner=ber, outer=ber),
        "ber-1-octet": content_info(ber(0xA0, segments(sealed[:32], 1, 0)), inner=ber, outer=ber),
        "ber-long": content_info(ber(0xA0, segments(long, 300, 1, 17)), outer=ber),
        "ber-outside": content_info(der(0x80, sealed), outer=ber),
        "ber-inside": content_info(ber(0xA0, two), inner=ber),
        "der-segments": content_info(der(0xA0, two)),
        "no-segments": content_info(ber(0xA0), inner=ber, outer=ber),
        "padded-lengths": content_info(padded(0x80, sealed), inner=padded, outer=padded),
        "nested": content_info(ber(0xA0, deep(sealed[:20], 3), deep(sealed[20:], 1, der))),
        "nested-deep": content_info(ber(0xA0, deep(sealed, 27)), outer=ber, inner=ber),
        "nested-too-deep": content_info(ber(0xA0, deep(sealed, 28)), outer=ber, inner=ber),
        "attributes": content_info(der(0x80, sealed), behind=attribute),
        "attributes-ber": content_info(ber(0xA0, two), inner=ber, outer=ber, behind=attribute),
        "originator": content_info(der(0x80, sealed), before=originator),
        "recipients": content_info(
            der(0x80, sealed), recipients=b"".join(map(recipient, range(1, 12)))
        ),
        "known-first": content_info(der(0x80, sealed), recipients=recipient(3) + recipient()),
        "known-192": content_info(
            der(0x80, encrypt(MAIL, 24)), key_len=24, recipients=recipient() + recipient(3)
        ),
        "known-256": content_info(
            ber(0xA0, segments(encrypt(MAIL, 32), 40)), inner=ber, outer=ber, key_len=32,
            recipients=recipient_by_identifier(),
        ),
        "known-ber": content_info(ber(0xA0, two), outer=ber, recipients=recipient(3)),
        "known-bad": content_info(der(0x80, bytes(48)), recipients=recipient(3)),
        "authenticated": content_info(
            der(0x80, long[:90]), oid=OID_AUTH_ENVELOPED, behind=attribute + der(0x04, IV)
            + der(0xA2, der(0x30, bytes.fromhex("06032a0305"), der(0x31, NULL)))
        ),
        "authenticated-ber": content_info(
            ber(0xA0, two), inner=ber, outer=ber, oid=OID_AUTH_ENVELOPED,
            behind=ber(0xA1, attribute[2:]) + der(0x04, IV)
        ),
        "authenticated-long": content_info(
            der(0x80, long[:40]), oid=OID_AUTH_ENVELOPED,
            behind=der(0xA1, attribute * 20) + der(0x04, IV)
        ),
        "white-space-behind": content_info(der(0x80, sealed)) + b"\r\n \t",
        "octets-behind": content_info(ber(0xA0, two), inner=ber, outer=ber) + b"\0",
        "cut-in-head": content_info(der(0x80, sealed))[:40],
        "cut-in-content": content_info(der(0x80, sealed))[:-5],
        "cut-in-the-end": content_info(ber(0xA0, two), inner=ber, outer=ber)[:-3],
        "2-to-63": bytes.fromhex("3088 7fffffffffffffff 06012a a088 7ffffffffffffff0"),
        "2-to-55": bytes.fromhex("3088 0080000000000000 06012a"),
        "nothing": b"",
    }  # fmt: skip


def paddings() -> dict[str, bytes]:
    """Right ones and wrong ones, by their octets."""
    ends = {
        "1": "01", "2": "0202", "15": "0f" * 15, "16": "10" * 16, "0": "00", "17": "11" * 17,
        "255": "ff", "16-last": "0f" + "10" * 15, "2-first": "0102", "15-first": "0e" + "0f" * 14,
        "3-middle": "030203",
    }  # fmt: skip
    blocks = {name: bytes.fromhex(octets).rjust(32, b"-") for name, octets in ends.items()}
    return {
        f"padding-{name}": content_info(der(0x80, encrypt(octets, padding=False)))
        for name, octets in blocks.items()
    }


def long_ones() -> dict[str, tuple[int, bytes]]:
    """More than the reader decodes, and the kernels decrypt, at a time."""
    sealed = encrypt(bytes(range(256)) * 160)
    parts = content_info(ber(0xA0, segments(sealed, 4096, 1000)), inner=ber, outer=ber)
    plain = content_info(der(0x80, sealed))
    many = content_info(der(0x80, encrypt(b"")), recipients=recipient() * 400)
    return {
        "long-ber": (BINARY, parts),
        "long-der": (BINARY, plain),
        "long-head": (BINARY, many),
        "long-base64": (BASE64, base64.encodebytes(parts)),
        "long-head-base64": (BASE64, base64.b64encode(many)),
        "long-pem": (PEM, base64.encodebytes(plain) + b"-----END CMS-----\n"),
    }


def texts(message: bytes) -> dict[str, tuple[int, bytes]]:
    """One message in base64, in tidy and odd layouts."""
    flat = base64.b64encode(message)
    lines = base64.encodebytes(message)
    begin, end = b"-----BEGIN CMS-----\n", b"-----END CMS-----\n"
    return {
        "lines": (BASE64, lines.replace(b"\n", b"\r\n")),
        "flat": (BASE64, flat),
        "unpadded": (BASE64, flat.rstrip(b"=")),
        "odd": (BASE64, b" \t" + flat[:7] + b"\f\v" + b"\n\n".join(flat[7:90].split(b"A")) + b"A"),
        "spaced": (BASE64, b" ".join(flat[at : at + 1] for at in range(len(flat)))),
        "stranger": (BASE64, lines[:150] + b"*" + lines[150:]),
        "behind": (BASE64, lines + b"QUJD"),
        "short": (BASE64, flat[:-6]),
        "pem": (PEM, lines + end),
        "pem-no-end": (PEM, lines),
        "pem-unpadded": (PEM, flat.rstrip(b"=") + b"\n" + end),
        "pem-short": (PEM, lines[:120] + end),
        "pem-begin": (PEM, begin + lines + end),
    }


def from_openssl() -> dict[str, bytes]:
    """What the program makes of the options that bear on the shape."""
    options = {
        "plain": ("-aes128", "-recip", RECIPIENT),
        "stream": ("-aes256", "-stream", "-recip", RECIPIENT),
        "keyid": ("-aes192", "-keyid", "-recip", RECIPIENT),
        "oaep": ("-aes128", "-recip", RECIPIENT, "-keyopt", "rsa_padding_mode:oaep"),
        "gcm": ("-aes-128-gcm", "-recip", RECIPIENT),
    }
    command = ("openssl", "cms", "-encrypt", "-binary", "-outform", "DER")
    return {
        f"openssl-{name}": run(*command, *chosen, data=b"Sealed by another.\n" * 5)
        for name, chosen in options.items()
    }


def controls(number: int, form: int, key_len: int = 16) -> bytes:
    """The octets in front of a seed; every way of opening has its turn."""
    how = form | (key_len // 8 - 2) << 2 | (number & 7) << 4 | (number & 8) << 4
    keep = 0x40 if number % 3 else 0
    return bytes([how, number & 0x33 | keep, number * 5 & 0x1F | (number & 12) << 3, number])


def write(folder: Path, seeds: dict[str, tuple[int, bytes]]) -> None:
    """Each in a file of its own."""
    folder.mkdir(parents=True)
    for number, (name, (form, message)) in enumerate(seeds.items()):
        key_len = int(name[4:]) // 8 if name in {"der-192", "der-256"} else 16
        (folder / name).write_bytes(controls(number, form, key_len) + message)


def mails() -> dict[str, bytes]:
    """Header blocks in layouts that the cutter's rules name, and bodies."""
    plain = b"From: a@b\r\nSubject: x\r\n y\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
    banner = b"Microsoft Mail Internet Headers Version 2.0\r\n"
    return {
        "mail": plain + b"\r\nA body.\r\n",
        "bare": plain.replace(b"\r", b"") + b"\nA body.\n\r\n\n",
        "return": b"A: b\r\nC: d\re\r\n\r\nx",
        "no-body": plain,
        "no-end": b"A: b\nContent-A: b",
        "no-header": b"no field\r\nA: b\r\n",
        "mbox": b"From a  Mon\n" + plain + b"\n>From b\n",
        "quoted": b">From a\nFrom b\n" + plain,
        "banner": banner + plain,
        "mark": b"\xef\xbb\xbf" + plain + b"\r\n",
        "mark-inside": b"A: b\n\xef\xbb\xbf" + plain + b"\r\n",
        "binary": b"Content-Transfer-Encoding: (a)\r\n binary\r\n\r\n",
        "sealed": HEAD + b"QUJD\r\n",
        "pgp": plain + b"\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n",
        "many-fields": b"".join(b"Content-%d : x\n" % n for n in range(17)) + b"\n",
    }


def long_mails() -> dict[str, bytes]:
    """Bodies that the kernels take line by line; most have a bare line feed somewhere."""
    head, line = b"A: b\r\n\r\n", b"x" * 46 + b"\r\n"
    places = (0, 3, 100, 150, 192, 210, 400, 1000, 1100, 4095, 4096, 6000, 9000)
    texts = {f"long-{at}": (line * at)[:at] + b"\n" + line * 21 for at in places}
    texts |= {"long": line * 40, "long-ends": b"\r\n" * 900, "long-ends-odd": b"x" + b"\r\n" * 900}
    return {name: head + text for name, text in texts.items()}


def message_controls(number: int, name: str) -> bytes:
    """The octets in front of a mail: long ones are sealed strictly, by rows and jobs in turn."""
    how = number * 9 if not name.startswith("long") else 8 | number & 7
    return bytes([how, number * 7, number & 15, number, number % 12, 0])


def main(folder: Path) -> None:
    """A folder for each target."""
    binary = shapes() | paddings() | from_openssl()
    seeds = {name: (BINARY, message) for name, message in binary.items()}
    seeds |= {f"text-{name}": text for name, text in texts(binary["ber"]).items()}
    seeds |= {
        f"mail-{name}": (BASE64, HEAD + base64.encodebytes(message))
        for name, message in binary.items()
        if name.startswith("known")
    }
    write(folder / "fuzz_open", seeds | long_ones())
    for target in ("fuzz_message", "fuzz_single", "fuzz_base64"):
        (folder / target).mkdir()
    for number, (name, mail) in enumerate((mails() | long_mails()).items()):
        for target in ("fuzz_message", "fuzz_single"):
            (folder / target / name).write_bytes(message_controls(number, name) + mail)
    for number, text in enumerate(BASE64_TEXTS):
        control = bytes([number, number * 37 & 0xFF, number * 3, 0, 0])
        (folder / "fuzz_base64" / str(number)).write_bytes(control + text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
