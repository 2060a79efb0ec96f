"""Whatever passes as encrypted already shows nobody a planted text: mail that is, and mail that
only seems so, changed at random, and read by another parser in all its ways.

``CMSTREAM_MUTATIONS`` sets how many are tried."""

from __future__ import annotations

import base64
import binascii
import email
import email.policy
import os
import random
import re
from pathlib import Path

from cmstream import is_encrypted
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

FIELD = Path(__file__).resolve().parents[3] / "shared" / "field" / "not-encrypted"
TRIES = int(os.environ.get("CMSTREAM_MUTATIONS", "600"))
RUN = 12

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
SAMPLES_SEEN = [path.read_bytes() for path in sorted(FIELD.glob("*.eml"))] if FIELD.exists() else []
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


def mutated(source: random.Random, message: bytes) -> bytes:
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        at = source.randint(0, len(message))
        piece = source.choice(PIECES)
        gone = source.choice([0, 0, 0, 1, 2, len(piece), source.randint(0, 200)])
        if source.random() < 0.3:  # behind a line, where it is most likely to mean something
            at = message.find(b"\n", at) + 1
        message = message[:at] + piece + message[at + gone :]
    return message


def shown(message: bytes) -> list[bytes]:
    """All that a reader may see of the body: each part as it stands and decoded, by both policies;
    but for a line in front of the first part, which belongs to none."""
    found = []
    body = re.split(rb"\r\n\r\n|\n\n|\r\r", message, maxsplit=1)[-1]
    for policy in (email.policy.compat32, email.policy.default):
        whole = email.message_from_bytes(message, policy=policy)
        for part in whole.walk():
            for decode in (False, True):
                payload = part.get_payload(decode=decode)
                if isinstance(payload, str):
                    payload = payload.encode("utf-8", "surrogateescape")
                if isinstance(payload, bytes):
                    found.append(payload)
        line = (whole.preamble or "").strip().encode("utf-8", "surrogateescape")
        if b"\n" not in line and len(line) <= 100:
            body = body.replace(line, b"", 1)
    found += body, binascii.a2b_qp(body)
    texts = re.findall(rb"(?:[A-Za-z0-9+/]{8,}={0,2}\s*)+", body)
    return found + [base64.b64decode(text) for text in texts if not len(b"".join(text.split())) % 4]


def seen(message: bytes) -> bytes | None:
    """A run of the planted text that somebody sees; None if nobody does."""
    runs = [PLANTED[at : at + RUN] for at in range(len(PLANTED) - RUN + 1)]
    return next((run for text in shown(message) for run in runs if run in text), None)


def test_what_only_seems_so_is_seen_by_the_readers_of_this_test() -> None:
    assert all(map(seen, FALSE))
    assert not any(map(seen, TRUE))


def test_no_planted_text_passes() -> None:
    source = random.Random(13)
    samples = [*TRUE, *FALSE, *SAMPLES_SEEN]
    assert all(map(is_encrypted, TRUE))
    assert not any(map(is_encrypted, [*FALSE, *SAMPLES_SEEN]))
    passed = 0
    for _ in range(TRIES):
        message = mutated(source, source.choice(TRUE if source.random() < 0.7 else samples))
        if is_encrypted(message):
            passed += 1
            assert seen(message) is None, message
    assert passed > TRIES / 100  # else the mutations are too coarse to try anything
