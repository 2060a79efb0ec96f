"""Mail that is encrypted and mail that only seems so, changed at random."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.already import (
    BASE64,
    BINARY,
    FIRST,
    LITERAL,
    MESSAGE,
    PKESK,
    PLANTED,
    SAMPLES,
    SECOND,
    SMIME,
    armour,
    cms,
    info,
    mail,
    noise,
    pgp_mime,
    quoted,
    tlv,
)

if TYPE_CHECKING:
    import random

_FIELD = Path(__file__).resolve().parents[3] / "shared" / "field" / "not-encrypted"

TRUE = [
    mail(BASE64, base64.encodebytes(cms())),
    mail(BINARY, cms()),
    mail(SMIME + b"Content-Transfer-Encoding: quoted-printable\r\n", quoted(cms())),
    mail(b"Content-Type: application/octet-stream; name=smime.p7m\r\n", cms()),
    mail(b"", armour(MESSAGE)),
    pgp_mime(),
    pgp_mime(data=MESSAGE),
    pgp_mime(head=SECOND + b"Content-Transfer-Encoding: base64\r\n\r\n",
             data=base64.encodebytes(MESSAGE)),
    mail(b"Content-Type: text/plain\r\n", (SAMPLES / "enigmail.asc").read_bytes()),
]  # fmt: skip
FALSE = [
    mail(BINARY, cms(infos=b"", content=PLANTED)),
    mail(BINARY, cms(infos=info() + tlv(4, PLANTED))),
    mail(BINARY, cms(content=noise(160) + PLANTED + noise(27))),
    mail(BINARY, cms(around=(b"", tlv(0xA1, PLANTED)))),
    mail(b"", armour(PKESK + LITERAL)),
    mail(b"", armour(MESSAGE, head=b"Dear: %b\r\n\r\n" % PLANTED)),
    pgp_mime(data=MESSAGE + b"\r\n" + PLANTED),
    pgp_mime(first=FIRST + b"\r\nVersion: 1\r\n" + PLANTED),
]
FROM_THE_FIELD = [path.read_bytes() for path in sorted(_FIELD.glob("*.eml"))]
PIECES = [
    PLANTED, PLANTED + b"\r\n", b"\r\n" + PLANTED + b"\r\n", b"\r" + PLANTED, b"\n\n" + PLANTED,
    base64.b64encode(PLANTED), quoted(PLANTED), armour(LITERAL), LITERAL, tlv(4, PLANTED),
    tlv(0x30, PLANTED), b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b";", b"=", b"--", b"(", b")",
    b'"', b"\0", b"--=_b+1\r\n", b"--=_b+1--\r\n", b"\r\n--=_b+1x\r\n\r\n" + PLANTED,
    b"Content-Type: text/plain\r\n", b"Content-Transfer-Encoding: 7bit\r\n", b"X : y\r\n",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n" + PLANTED + b"\r\n--x--\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n", b"\xef\xbb\xbf", b"; boundary=x",
    b"Comment: " + PLANTED + b"\r\n", b"Version: 1\r\n", b"(" + PLANTED + b")",
]  # fmt: skip
# Beginnings of lines, ends of fields, and not amid base64.
_AROUND = re.compile(rb"\n(?![A-Za-z0-9+/=]{60})|(?=;|\r\n[A-Z-])")


def mutated(source: random.Random) -> bytes:
    """One of all these, mostly of those that are encrypted, with one to three changes."""
    return changed(
        source.choice(TRUE if source.random() < 0.7 else [*TRUE, *FALSE, *FROM_THE_FIELD]), source
    )


def changed(message: bytes, source: random.Random) -> bytes:
    """With one to three changes."""
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        at = source.randint(0, len(message))
        piece = source.choice(PIECES)
        gone = source.choice([0, 0, 0, 1, 2, len(piece), source.randint(0, 200)])
        if source.random() < 0.5:  # where it is most likely to mean something
            at = source.choice([0, len(message), *(one.end() for one in _AROUND.finditer(message))])
        message = message[:at] + piece + message[at + gone :]
    return message
