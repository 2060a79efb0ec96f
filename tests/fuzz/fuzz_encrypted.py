"""What passes as encrypted already. ``is_encrypted`` never raises, whatever the bytes and however
they are cut, and where it says yes, nobody reads a run of the planted text: not Python's ``email``
in any part or encoding, and not whoever passes over all that is no letter."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import der_changes
from fuzz_certificates import CORPUS

from cmstream import is_encrypted
from cmstream.cms.already_encrypted import is_encrypted_body
from cmstream.errors import MessageError
from cmstream.mail.mime import header_end
from helpers import mutations
from helpers.already import BASE64, BINARY, FIRST, PLANTED, SECOND, cms, mail, noise, pgp_mime
from helpers.planted_text import ANY_RUN, decodings, masked, python_sees, runs_of

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_NO_LETTERS = re.compile(rb"[^A-Za-z]+")
_LETTERS_RUN = runs_of(_NO_LETTERS.sub(b"", PLANTED))
_BLOCK = re.compile(rb"(.*?\r?\n\r?\n)(.*)", re.DOTALL)
_ARMOUR_FIELD = re.compile(rb"(?m)^(?:Version|Comment|Hash|Charset|MessageID):.*$")
_PRIMITIVE = range(1, 0x1F)  # a name's value may have any of these tags
_LONGEST_NAME = 128


def check(message: bytes) -> None:
    passes = is_encrypted(message)
    assert passes in (True, False)
    assert in_pieces(message, len(message) % 61 + 1) == passes
    if passes:
        for one in readable(message):
            assert not ANY_RUN.search(one)
            assert not _LETTERS_RUN.search(_NO_LETTERS.sub(b"", one))


def in_pieces(message: bytes, size: int) -> bool:
    try:
        end, _ = header_end(message, 0, final=True)
    except MessageError:
        return False
    body = message[end:]
    cut = (body[at : at + size] for at in range(0, len(body), size))
    return is_encrypted_body(message[:end], cut)


def readable(message: bytes) -> list[bytes]:
    """What a reader may see and nobody should, without what everybody may read: header fields, an
    armour's too, and the names of recipients."""
    shown = without_names(_ARMOUR_FIELD.sub(b"", masked(message)))
    decoded = {one for text in python_sees(shown) for one in decodings(text)}
    again = {one for text in decoded for one in decodings(text)}
    return [without_names(one) for one in decoded | again]


def without_names(octets: bytes) -> bytes:
    """CMS without planted text in the names of issuers and of key-encryption keys."""
    found = bytearray(octets)
    for at in range(4, len(octets) - 12):
        tag, length = octets[at - 2], octets[at - 1]
        if tag in _PRIMITIVE and 0 < length <= _LONGEST_NAME and _is_name(octets, at - 2):
            found[at : at + length] = b"-" * min(length, len(octets) - at)
    return bytes(found)


def _is_name(octets: bytes, at: int) -> bool:
    """Whether a name's value begins here: behind the type of an attribute, or the version of
    KEKRecipientInfo."""
    if octets[at] == 0x04:
        return octets[max(at - 5, 0) : at - 1] == b"\2\1\4\x30"
    types = (octets[at - size - 2 : at - size] == bytes([6, size]) for size in range(1, 17))
    return any(types)


# --- inputs ------------------------------------------------------------------------------------


def by_one_check() -> Iterator[bytes]:
    """Text where one check alone stops it."""
    wide = PLANTED[:24].decode().encode("utf-16-le")
    yield mail(BINARY, cms(content=noise(160) + PLANTED + noise(171, 2)))
    yield mail(BINARY, cms(content=noise(1200) + wide + noise(1200, 2)))
    letters = _NO_LETTERS.sub(b"", PLANTED)[:40]
    yield mail(BASE64, _worded(letters))
    yield pgp_mime(around=(PLANTED + b"\r\n" + PLANTED + b"\r\n", b"\r\n"))
    yield pgp_mime(around=(b"", b"\r\n" + PLANTED + b"\r\n"))
    yield pgp_mime(first=FIRST + b"\r\nVersion: 1\r\n" + PLANTED + b"\r\n")
    named = SECOND.replace(b"encrypted.asc", b'"%b"' % PLANTED[:36])
    yield pgp_mime(head=named + b"\r\n")


def _worded(letters: bytes) -> bytes:
    """CMS in base64 of which some digits are these letters."""
    word = base64.b64decode(letters)
    for count in range(100, 103):
        lines = base64.encodebytes(
            cms(content=noise(count) + word + noise(288 - count - len(word), 2))
        )
        if letters in lines.replace(b"\n", b""):
            return lines
    raise AssertionError


def seeds() -> Iterator[bytes]:
    yield from by_one_check()
    yield from mutations.TRUE
    yield from mutations.FALSE
    yield from mutations.FROM_THE_FIELD
    for path in sorted((CORPUS / "sealed").glob("*")):
        if path.stat().st_size <= 2048:
            octets = path.read_bytes()
            yield octets if path.suffix == ".eml" else mail(BINARY, octets)


def mutate(message: bytes, source: random.Random) -> bytes:
    """Pieces that mean something where they mean it, or the CMS inside."""
    found = _BLOCK.fullmatch(message)
    if source.random() < 0.6 or not found:
        return mutations.changed(message, source)
    head, body = found.groups()
    texts = (PLANTED, *(PLANTED[at : at + 9] for at in range(0, len(PLANTED), 9)), b"\1", b"\0")
    if body[:1] == b"0":
        return head + der_changes.changed(body, source, texts)
    try:
        octets = base64.b64decode(body)
    except ValueError:
        return mutations.changed(message, source)
    return head + base64.encodebytes(der_changes.changed(octets, source, texts))
