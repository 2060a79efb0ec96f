"""What a PKCS #12 file (RFC 7292) shows without its password: the certificates and keys that
stand in the clear, the MAC, and how the rest is encrypted.

Broken files, unknown algorithms and hostile iteration counts are refused here, before a key is
derived.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..engine.digest import HASHED_IN_C, hashed_again
from ..errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ITERATIONS = 5_000_000
"""Rounds of key derivation in a whole input, however many files it holds. Programs write 2 000 to
1 000 000; these take seconds, and what asks for more wants to keep the machine busy."""
MAX_ENCRYPTED_PARTS = 100
"""Keys and encrypted contents of a file. A person has a few of each."""
MAX_KEY_OCTETS, MAX_KEYS_OCTETS = 10_000, 50_000
"""Octets of one private key and of a file's; RSA of 16384 bits has 9 300. What is inside can be
a key of another kind, the work for which grows with the cube of its length: these take seconds."""
MIN_MAC_KEY, MAX_DERIVED_KEY = 20, 64
"""Octets of a key that PBKDF2 derives: of PBMAC1 at least so many, since a shorter one is soon
guessed without the password (RFC 9579 section 9); the longest digest."""

_CONTEXT_0 = 0xA0
_CIPHERTEXTS = (0x80, 0xA0)
_DATA = "1.2.840.113549.1.7.1"
_ENCRYPTED_DATA = "1.2.840.113549.1.7.6"
_KEY_BAG = "1.2.840.113549.1.12.10.1.1"
_SHROUDED_KEY_BAG = "1.2.840.113549.1.12.10.1.2"
_CERTIFICATE_BAG = "1.2.840.113549.1.12.10.1.3"
_NESTED_BAGS = "1.2.840.113549.1.12.10.1.6"
_X509_CERTIFICATE = "1.2.840.113549.1.9.22.1"
_LOCAL_KEY_ID = "1.2.840.113549.1.9.21"

_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_PBMAC1 = "1.2.840.113549.1.5.14"
_TRIPLE_DES = {f"1.2.840.113549.1.12.1.{n}" for n in (3, 4)} | {"1.2.840.113549.3.7"}
_AES_CBC = {f"2.16.840.1.101.3.4.1.{n}" for n in (2, 22, 42)}
_IV_OCTETS = {**dict.fromkeys(_AES_CBC, 16), "1.2.840.113549.3.7": 8}
RARE_CIPHERS = {
    **{f"1.2.840.113549.1.12.1.{n}": "RC4" for n in (1, 2)},
    **{f"1.2.840.113549.1.12.1.{n}": "RC2" for n in (5, 6)},
    **{f"1.2.392.200011.61.1.1.1.{n}": "Camellia" for n in (2, 3, 4)},
    "1.2.840.113549.3.2": "RC2",
}
"""Some builds of OpenSSL lack these."""
RARE_KEY_CIPHERS = {**RARE_CIPHERS, "1.2.840.113549.1.12.1.4": "two-key triple DES"}
"""The library lacks some of these for a key that stands alone."""
_CIPHERS = _TRIPLE_DES | _AES_CBC | RARE_CIPHERS.keys()
_SHA3 = ("sha3_224", "sha3_256", "sha3_384", "sha3_512")
_SHA2 = ("sha224", "sha256", "sha384", "sha512", "sha512_224", "sha512_256")
_HMACS = {
    **{f"1.2.840.113549.2.{n}": name for n, name in enumerate(("sha1", *_SHA2), 7)},
    **{f"2.16.840.1.101.3.4.2.{n}": name for n, name in enumerate(_SHA3, 13)},
}
_DIGESTS = {
    "1.3.14.3.2.26": "sha1",
    **{
        f"2.16.840.1.101.3.4.2.{n}": name for n, name in zip((4, 1, 2, 3, 5, 6), _SHA2, strict=True)
    },
    **{f"2.16.840.1.101.3.4.2.{n}": name for n, name in enumerate(_SHA3, 7)},
}


class Password(NamedTuple):
    """A password as the newer schemes take it (UTF-8) and as the older ones do (a BMPString
    with two NULs, RFC 7292 appendix B.1; no octets at all where there is no password)."""

    text: bytes
    wide: bytes


class Mac(NamedTuple):
    """MacData; ``prf`` and ``key_octets`` are PBMAC1's (RFC 9579), else empty."""

    digest: str
    value: bytes
    salt: bytes
    iterations: int
    prf: str = ""
    key_octets: int = 0

    def fits(self, octets: bytes, password: Password) -> bool:
        """Whether this is the MAC of these octets under this password."""
        if self.prf:
            key = hashlib.pbkdf2_hmac(
                self.prf, password.text, self.salt, self.iterations, self.key_octets
            )
        else:
            size = hashlib.new(self.digest).digest_size
            key = derived(self.digest, 3, size, password.wide, (self.salt, self.iterations))
        return hmac.compare_digest(hmac.digest(key, octets, self.digest), self.value)


class Encrypted(NamedTuple):
    """Contents under a password: the whole ContentInfo, how it is encrypted, the ciphertext, and
    the cipher's dotted OID."""

    info: bytes
    algorithm: Tlv
    ciphertext: bytes
    cipher: str


class Bag(NamedTuple):
    """A certificate or a key, its localKeyID if there is one, and the dotted OID of the cipher
    that a key is encrypted with, else ""."""

    octets: bytes
    key_id: bytes | None = None
    cipher: str = ""


@dataclass
class Rounds:
    """How many rounds of key derivation an input has asked for so far, and the most that one
    derivation may ask for."""

    asked: int = 0
    most: int = MAX_ITERATIONS


@dataclass
class Outline:
    """What a file shows. ``authenticated``: the octets under the MAC; ``rounds``: of all that can
    be seen, in other files of the same input too."""

    authenticated: bytes
    mac: Mac | None = None
    encrypted: list[Encrypted] = field(default_factory=list)
    certificates: list[Bag] = field(default_factory=list)
    keys: list[Bag] = field(default_factory=list)
    rounds: Rounds = field(default_factory=Rounds)


def unsupported(what: str) -> CertificateError:
    """The error for a file whose protection isn't known."""
    return CertificateError(
        "unsupported-cipher",
        f"the file is protected in a way that isn't supported ({what}): export it again with "
        "AES-256, or send the certificate alone if no more is needed",
    )


def derived(
    digest: str, purpose: int, octets: int, password: bytes, slowed: tuple[bytes, int]
) -> bytes:
    """So many octets by the key derivation of RFC 7292 appendix B.2; ``purpose``: 1 for a cipher's
    key, 2 for its IV, 3 for a MAC's key; ``slowed`` by a salt and iterations."""
    salt, iterations = slowed
    block = hashlib.new(digest).block_size
    state, found = _fill(salt, block) + _fill(password, block), b""
    while len(found) < octets:
        first = hashlib.new(digest, bytes([purpose]) * block + state).digest()
        key = _hashed_again(digest, first, iterations - 1)
        found += key
        added = int.from_bytes(_fill(key, block)[:block], "big") + 1
        state = b"".join(_sum(state[i : i + block], added) for i in range(0, len(state), block))
    return found[:octets]


def _hashed_again(digest: str, key: bytes, times: int) -> bytes:
    if digest in HASHED_IN_C:
        return hashed_again(digest, key, times)
    hash_of = getattr(hashlib, digest)
    for _ in range(times):
        key = hash_of(key).digest()
    return key


def _sum(block: bytes, added: int) -> bytes:
    """Both as one number, modulo what has room."""
    total = int.from_bytes(block, "big") + added
    return (total % (1 << 8 * len(block))).to_bytes(len(block), "big")


def _fill(octets: bytes, block: int) -> bytes:
    """Copies side by side, to the next multiple of a block."""
    size = -(-len(octets) // block) * block
    return (octets * (size // max(len(octets), 1) + 1))[:size]


def read(data: bytes, rounds: Rounds | None = None) -> Outline:
    """The outline of one PFX; its rounds are added to ``rounds``. Raises TlvError for a broken
    file, CertificateError ``unsupported-cipher``."""
    fields = tlv.read_only(data).fields()
    fields.take(tlv.INTEGER)
    kind, content = _content_info(fields.take(tlv.SEQUENCE))
    if kind != _DATA or content is None:
        raise unsupported(f"contents of type {kind}")
    outline = Outline(content.octets(), rounds=rounds or Rounds())
    if mac := fields.maybe(tlv.SEQUENCE):
        outline.mac = _read_mac(mac, outline)
    fields.done()
    for info in tlv.read_only(outline.authenticated).children():
        _read_contents(info, outline)
    if len(outline.encrypted) + len(outline.keys) > MAX_ENCRYPTED_PARTS:
        raise TlvError(f"more than {MAX_ENCRYPTED_PARTS} keys and encrypted parts")
    if sum(len(bag.octets) for bag in outline.keys) > MAX_KEYS_OCTETS:
        raise TlvError(f"private keys of more than {MAX_KEYS_OCTETS} octets")
    return outline


def _content_info(info: Tlv) -> tuple[str, Tlv | None]:
    """The type and the content of a ContentInfo (RFC 5652 section 3)."""
    fields = info.fields()
    kind = fields.take(tlv.OID).oid()
    wrapper = fields.maybe(_CONTEXT_0)
    inside = wrapper.children() if wrapper else ()
    return kind, inside[0] if inside else None


def _read_mac(mac: Tlv, outline: Outline) -> Mac:
    """MacData (RFC 7292 section 4; PBMAC1: RFC 9579)."""
    fields = mac.fields()
    info = fields.take(tlv.SEQUENCE).fields()
    algorithm = info.take(tlv.SEQUENCE).fields()
    value = info.take(tlv.OCTET_STRING).content
    oid = algorithm.take(tlv.OID).oid()
    salt = fields.take(tlv.OCTET_STRING).content
    if oid == _PBMAC1:
        parameters = algorithm.take(tlv.SEQUENCE).fields()
        derivation = read_pbkdf2(parameters.take(tlv.SEQUENCE), outline.rounds)
        scheme = parameters.take(tlv.SEQUENCE).fields().take(tlv.OID).oid()
        if derivation[3] < MIN_MAC_KEY:
            raise unsupported(f"a MAC whose key has fewer than {MIN_MAC_KEY} octets, or any number")
        return Mac(_known(_HMACS, scheme, "a MAC"), value, *derivation)
    count = fields.maybe(tlv.INTEGER)
    iterations = _count(count.integer() if count else 1, outline.rounds)
    return Mac(_known(_DIGESTS, oid, "a MAC"), value, salt, iterations)


def _known(names: dict[str, str], oid: str, what: str) -> str:
    """Python's name of a digest."""
    name = names.get(oid)
    if name is None or name not in hashlib.algorithms_available:
        raise unsupported(f"{what} by {oid}")
    return name


def _read_contents(info: Tlv, outline: Outline) -> None:
    kind, content = _content_info(info)
    if content is None:
        raise TlvError("contents without content")
    if kind == _DATA:
        _read_bags(tlv.read_only(content.octets()), outline)
    elif kind == _ENCRYPTED_DATA:
        fields = content.fields()
        fields.take(tlv.INTEGER)
        encrypted = fields.take(tlv.SEQUENCE).fields()
        encrypted.take(tlv.OID)
        algorithm = encrypted.take(tlv.SEQUENCE)
        cipher = read_cipher(algorithm, outline.rounds)
        sealed = encrypted.maybe(*_CIPHERTEXTS)
        ciphertext = sealed.octets() if sealed else b""
        outline.encrypted.append(Encrypted(info.whole, algorithm, ciphertext, cipher))
    else:
        raise unsupported(f"contents of type {kind}")


def _read_bags(bags: Tlv, outline: Outline) -> None:
    for kind, value, key_id in _each_bag(bags):
        if kind in {_KEY_BAG, _SHROUDED_KEY_BAG}:
            key = value.take(tlv.SEQUENCE)
            shrouded = kind == _SHROUDED_KEY_BAG
            algorithm = key.fields().take(tlv.SEQUENCE) if shrouded else None
            cipher = read_cipher(algorithm, outline.rounds) if algorithm else ""
            outline.keys.append(Bag(key.whole, key_id, cipher))
        elif kind == _CERTIFICATE_BAG:
            outline.certificates += [Bag(der, key_id) for der in _certificate(value)]


def certificates_of(contents: bytes) -> list[Bag]:
    """The certificates alone of SafeContents (RFC 7292 section 4.2) that were encrypted. Raises
    TlvError."""
    return [
        Bag(der, key_id)
        for kind, value, key_id in _each_bag(tlv.read_only(contents))
        if kind == _CERTIFICATE_BAG
        for der in _certificate(value)
    ]


def _each_bag(bags: Tlv, depth: int = 0) -> Iterator[tuple[str, tlv.Fields, bytes | None]]:
    """Type, value and localKeyID of each, those in other bags too."""
    if depth > tlv.MAX_DEPTH:
        raise TlvError(f"bags nested more than {tlv.MAX_DEPTH} deep")
    for bag in bags.children():
        fields = bag.fields()
        kind, value = fields.take(tlv.OID).oid(), fields.take(_CONTEXT_0).fields()
        key_id = _local_key_id(fields.maybe(tlv.SET))
        if kind == _NESTED_BAGS:
            yield from _each_bag(value.take(tlv.SEQUENCE), depth + 1)
        else:
            yield kind, value, key_id


def _certificate(value: tlv.Fields) -> list[bytes]:
    """The certificate of a CertBag; none if it is an SDSI certificate."""
    fields = value.take(tlv.SEQUENCE).fields()
    if fields.take(tlv.OID).oid() != _X509_CERTIFICATE:
        return []
    return [octets.octets() for octets in fields.take(_CONTEXT_0).children()]


def _local_key_id(attributes: Tlv | None) -> bytes | None:
    for attribute in attributes.children() if attributes else ():
        fields = attribute.fields()
        if fields.take(tlv.OID).oid() == _LOCAL_KEY_ID:
            return b"".join(value.octets() for value in fields.take(tlv.SET).children())
    return None


def read_cipher(algorithm: Tlv, rounds: Rounds) -> str:
    """A password-based encryption scheme (RFC 7292 appendix C, RFC 8018 section 6.2): its
    cipher's dotted OID; its rounds are added to ``rounds``. Raises TlvError,
    CertificateError ``unsupported-cipher``."""
    fields = algorithm.fields()
    cipher = fields.take(tlv.OID).oid()
    if cipher == _PBES2:
        parameters = fields.take(tlv.SEQUENCE).fields()
        read_pbkdf2(parameters.take(tlv.SEQUENCE), rounds)
        scheme = parameters.take(tlv.SEQUENCE).fields()
        cipher = scheme.take(tlv.OID).oid()
        # With a shorter one the library panics.
        octets = _IV_OCTETS.get(cipher)
        if octets and len(scheme.take(tlv.OCTET_STRING).content) != octets:
            raise TlvError("an IV that isn't of the cipher's length")
    elif cipher in _CIPHERS:
        parameters = fields.take(tlv.SEQUENCE).fields()
        parameters.take(tlv.OCTET_STRING)
        # Of SHA-1, a key of 24 octets takes two turns and the IV one.
        _count(parameters.take(tlv.INTEGER).integer(), rounds, turns=3)
    if cipher not in _CIPHERS:
        raise unsupported(f"encryption by {cipher}")
    return cipher


def read_pbkdf2(algorithm: Tlv, rounds: Rounds) -> tuple[bytes, int, str, int]:
    """PBKDF2-params (RFC 8018 appendix A.2): salt, iterations, the HMAC's digest, and octets
    of the key, 0 where it doesn't say."""
    fields = algorithm.fields()
    oid = fields.take(tlv.OID).oid()
    if oid != _PBKDF2:
        raise unsupported(f"key derivation by {oid}")
    parameters = fields.take(tlv.SEQUENCE).fields()
    salt = parameters.take(tlv.OCTET_STRING).content
    iterations = _count(parameters.take(tlv.INTEGER).integer(), rounds)
    length = parameters.maybe(tlv.INTEGER)
    octets = length.integer() if length else 0
    if length and not 0 < octets <= MAX_DERIVED_KEY:
        raise unsupported("a derived key of absurd length")
    prf = parameters.maybe(tlv.SEQUENCE)
    digest = _known(_HMACS, prf.fields().take(tlv.OID).oid(), "key derivation") if prf else "sha1"
    return salt, iterations, digest, octets


def _count(iterations: int, rounds: Rounds, turns: int = 1) -> int:
    if iterations < 1:
        raise TlvError("an iteration count below 1")
    rounds.asked += turns * iterations
    most = min(rounds.most, MAX_ITERATIONS)
    if iterations > most or rounds.asked > MAX_ITERATIONS:
        raise CertificateError(
            "unsupported-cipher",
            f"the file asks for more than {most} iterations of key derivation at once, or "
            f"{MAX_ITERATIONS} in all: export it again with fewer, or send the certificate alone "
            "if no more is needed",
        )
    return iterations
