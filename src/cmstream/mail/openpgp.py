"""Is this an encrypted OpenPGP message (RFC 9580), and nothing else, to its last byte?"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from .readable import Ciphertext, check_little_text, check_random
from .transfer import from_base64
from .unproved import UnprovedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

BEGIN = b"-----BEGIN PGP MESSAGE-----"
_END = b"-----END PGP MESSAGE-----"
_BEGINNING = 4 << 10
# What programs write of themselves; other words there would be somebody's text.
_PROGRAM = (
    rb"(?=[^\n]*(?:gpg|pgp|gnupg|proton|mailvelope|flowcrypt|sequoia|keychain|keybase|enigmail))"
)
_PROGRAM_VERSION = rb"\w{1,16}(?: \w{1,16})? v?\d[\d.]{0,15}(?: \(build [\d.]{1,10}\))?"
_ARMOUR_HEAD = re.compile(
    rb"\s*-----BEGIN PGP MESSAGE-----\r?\n(?:(?:"
    rb"Version: ?(?:" + _PROGRAM + rb"[ -~]{1,40}|" + _PROGRAM_VERSION + rb")"
    rb"|Comment: ?(?:" + _PROGRAM + rb"|(?=[^\n]*(?:encrypt|https?://)))[ -~]{1,72}"
    rb"|(?:Hash|Charset|MessageID): ?[!-~]{1,32})\r?\n){0,4}[ \t]{0,2}\r?\n",
    re.IGNORECASE,
)
_ARMOUR_FIELD = re.compile(rb"\n(\w+):")
_LINES = re.compile(rb"(?:[A-Za-z0-9+/]{1,96}={0,2}\r?\n)*")
_CHECKSUM = re.compile(rb"=([A-Za-z0-9+/]{4})\r?\n")
_ARMOUR_TAIL = re.compile(_END + rb"\s*")


def check_armour(pieces: Iterable[bytes]) -> None:
    """An encrypted message in armour (section 6.2): white space may stand around it, known header
    lines in it. Raises UnprovedError."""
    armour = _Armour(iter(pieces))
    check_packets(armour.decoded())


class _Armour:
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def decoded(self) -> Iterator[bytes]:
        crc = 0xB704CE
        for piece in from_base64(self._lines(), names=False):
            crc = _crc24(crc, piece)
            yield piece
        if checksum := _CHECKSUM.match(self._held):
            self._held = self._held[checksum.end() :]
            if b"".join(from_base64([checksum[1]])) != crc.to_bytes(3, "big"):
                raise UnprovedError("a wrong checksum")
        if not _ARMOUR_TAIL.fullmatch(self._held):
            raise UnprovedError("something behind the armour")

    def _lines(self) -> Iterator[bytes]:
        """The lines of base64; what stands behind them stays held."""
        self._more(_BEGINNING)
        head = _ARMOUR_HEAD.match(self._held)
        if head is None:
            raise UnprovedError("no armour, or a header that isn't its own")
        names = _ARMOUR_FIELD.findall(head[0].lower())
        if len(set(names)) < len(names):
            raise UnprovedError("an armour with a header line twice")
        self._held = self._held[head.end() :]
        while True:
            there = self._more(_BEGINNING)
            end = self._whole_lines()
            lines, self._held = self._held[:end], self._held[end:]
            yield lines
            if not lines or not there:
                break
        self._held = b"".join(_few_bytes(chain((self._held,), self._pieces), 2 * _BEGINNING))

    def _whole_lines(self) -> int:
        found = _LINES.match(self._held)
        return found.end() if found else 0

    def _more(self, count: int) -> bool:
        """Whether more may come behind what is held now."""
        while len(self._held) < count:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._held += piece
        return True


def _few_bytes(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    """What is left, which must be no more than ``most`` bytes. Raises UnprovedError."""
    for piece in pieces:
        most -= len(piece)
        if most < 0:
            raise UnprovedError("too much behind the end")
        yield piece


def _crc_row(byte: int) -> int:
    value = byte << 16
    for _ in range(8):
        value = value << 1 ^ (0x1864CFB if value & 0x800000 else 0)
    return value & 0xFFFFFF


_CRC = [_crc_row(byte) for byte in range(256)]


def _crc24(crc: int, data: bytes) -> int:
    """Section 6.1.1."""
    table = _CRC
    for byte in data:
        crc = (crc << 8 & 0xFFFFFF) ^ table[crc >> 16 ^ byte]
    return crc


# --- packets ---------------------------------------------------------------------------------

_PKESK, _SKESK, _SED, _SEIPD, _AEAD = 1, 3, 9, 18, 20
_LONGEST_KEY = 4 << 10  # octets of an encrypted session key: ML-KEM-1024 has 1568
_SHORTEST_KEY = 64  # of a public key's: one for X25519 has 68 and more
_NAMED_BY_LENGTH, _KEY_ID = 6, 8  # the version of a session key, octets of older ones' names
_MOST_KEYS = 2 << 20  # octets of all of them
_MOST_PASSWORDS, _LONGEST_PASSWORD_KEY = 8, 200
_CIPHERS = {1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13}  # section 9.3; 0 is no cipher at all
_BLOCK = 18  # octets of the prefix that a cipher of 16 octets writes
_INDETERMINATE = -1
_SHORTEST_PART = 512


class _Header(NamedTuple):
    tag: int
    length: int
    partial: bool


def check_packets(pieces: Iterable[bytes]) -> None:
    """One or more encrypted session keys, then exactly one packet of encrypted data up to the end
    (sections 4.2, 5.1, 5.3, 5.7, 5.13, and 5.16 of the draft that GnuPG follows). Raises
    UnprovedError."""
    source = _Source(iter(pieces))
    keys: list[tuple[int, bytes]] = []
    room = _MOST_KEYS
    while (header := source.header()).tag in {_PKESK, _SKESK}:
        if header.partial or not 0 < header.length <= min(_LONGEST_KEY, room):
            raise UnprovedError("a session key without its length, or too many")
        room -= header.length
        keys.append((header.tag, source.take(header.length)))
    if not keys or header.tag not in {_SED, _SEIPD, _AEAD}:
        raise UnprovedError("packets that aren't of an encrypted message")
    different = dict.fromkeys(keys)
    _check_session_keys(different)
    data = Ciphertext()
    _check_data(header.tag, source, header, data)
    _check_together(different, data)
    if source.take_some(1):
        raise UnprovedError("something behind the encrypted data")


def _check_together(keys: Collection[tuple[int, bytes]], data: Ciphertext) -> None:
    """A text that stands in pieces in session keys and the data."""
    edges = data.edges[1:]  # the version would part a text
    bodies = b"".join(body for _, body in keys)
    check_little_text(bodies + edges)
    check_little_text(b"".join(dict.fromkeys(_short(*key) for key in keys)) + edges)
    data.runs.add(bodies)
    data.runs.check()


def _check_session_keys(keys: Collection[tuple[int, bytes]]) -> None:
    """Each of them."""
    if sum(tag == _SKESK for tag, _ in keys) > _MOST_PASSWORDS:
        raise UnprovedError("more passwords than anybody has")
    for tag, body in keys:
        if tag == _SKESK:
            _check_password_key(body)
        elif body[0] not in {2, 3, 6} or len(body) < _SHORTEST_KEY:
            raise UnprovedError("a session key of no known version, or too short to be one")
        check_random(body)


def _short(tag: int, body: bytes) -> bytes:
    """What of a session key is as long as a word or two: which key it is for, or what the password
    is hashed with. Sections 5.1 and 5.3."""
    if tag == _SKESK:
        return body[1:]
    return body[2 : 2 + body[1]] if body[0] == _NAMED_BY_LENGTH else body[1 : 1 + _KEY_ID]


def _check_password_key(body: bytes) -> None:
    """SKESK: a version, then the cipher, which from version 6 on has a length before it."""
    cipher = {4: body[1:2], 5: body[1:2], 6: body[2:3]}.get(body[0], b"")
    if len(body) > _LONGEST_PASSWORD_KEY or not cipher or cipher[0] not in _CIPHERS:
        raise UnprovedError("a session key of no known version, or without a cipher")


def _check_data(tag: int, source: _Source, header: _Header, data: Ciphertext) -> None:
    first = b""
    for piece in source.body(header):
        if len(first) < 2 * _BLOCK:
            first += piece[: 2 * _BLOCK]
        data.add(piece)
    data.end()
    # A version, then a prefix and the code that proves it, or a nonce and a tag.
    versions = {_SED: None, _SEIPD: {1, 2}, _AEAD: {1}}[tag]
    if len(data) < 2 * _BLOCK or (versions is not None and first[0] not in versions):
        raise UnprovedError("encrypted data that is too short, or of no known version")


class _Source:
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")

    def take_some(self, most: int) -> bytes:
        """So many bytes at the most; none at the end."""
        while not len(self._held):
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._held = memoryview(piece)
        taken = bytes(self._held[:most])
        self._held = self._held[most:]
        return taken

    def take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            more = self.take_some(count - len(taken))
            if not more:
                raise UnprovedError("it ends too early")
            taken += more
        return taken

    def header(self) -> _Header:
        """Section 4.2, both formats."""
        (first,) = self.take(1)
        if not first & 0x80:
            raise UnprovedError("no packet")
        if first & 0x40:
            return _Header(first & 0x3F, *self._new_length())
        kind = first & 3
        length = _INDETERMINATE if kind == 3 else int.from_bytes(self.take(1 << kind), "big")  # noqa: PLR2004
        return _Header(first >> 2 & 0xF, length, partial=False)

    def _new_length(self) -> tuple[int, bool]:
        (first,) = self.take(1)
        if first < 192:  # noqa: PLR2004
            return first, False
        if first < 224:  # noqa: PLR2004
            return (first - 192 << 8) + self.take(1)[0] + 192, False
        if first < 255:  # noqa: PLR2004
            return 1 << (first & 0x1F), True
        return int.from_bytes(self.take(4), "big"), False

    def body(self, header: _Header) -> Iterator[bytes]:
        _, length, partial = header
        if partial and length < _SHORTEST_PART:
            raise UnprovedError("a first part that is too short")
        if length == _INDETERMINATE:
            yield from iter(lambda: self.take_some(1 << 16), b"")
            return
        while True:
            yield from self._exactly(length)
            if not partial:
                return
            length, partial = self._new_length()

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            some = self.take_some(length)
            if not some:
                raise UnprovedError("it ends too early")
            length -= len(some)
            yield some
