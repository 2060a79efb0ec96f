"""PKCS #12. The readers give certificates and keys or raise a documented error, after bounded work.
What the library opens they open too, and give the same.

An input is two octets of choices, and either a whole file or the bags of one: those are encrypted
and put under a MAC here, so that a change of them reaches the reader behind both.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import re
import warnings
from typing import TYPE_CHECKING, Any
from unittest import mock

import der_changes
from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2, TripleDES
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    pkcs12,
)
from fuzz_certificates import CODES, CORPUS, FEW_ROUNDS, octets, of_library, usable

import cmstream
from cmstream.certificates import pfx, pfx_outline
from helpers.authorities import authority, element, identity, rsa_identity
from helpers.pfx_files import (
    AES256,
    CERTIFICATE,
    DATA,
    ENCRYPTED,
    HMAC_SHA256,
    KEY_BAG,
    NESTED,
    PBES2,
    PBKDF2,
    PBMAC1,
    SHA1,
    SHROUDED,
    X509,
    bag,
    cert_bag,
    content_info,
    parameters,
    plain_key_bag,
    whole,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

PASSWORDS: tuple[str | None, ...] = (None, "", "correct horse", "corpus", "pässwörd")
MOST_KEYS = 100
ROUNDS, SALT, VECTOR = 3, b"salt", b"vectors of noise"
FEWEST_ROUNDS = 20
"""The limit where an input asks for a low one, so that few keys reach it."""
MOST_TURNS = 6
"""How often one round that a file asks for may be done: for each of two passwords that are tried,
for the MAC, for the parts and keys, and to tell what was wrong."""
_RAW = 0
_LOW_LIMIT, _WRONG_MAC, _PARTS = 0x20, 0x40, 0x80  # of the second choice


def check(data: bytes) -> None:
    if len(data) < 2:
        return
    password = PASSWORDS[data[0] % len(PASSWORDS)]
    is_raw = data[1] == _RAW
    file = data[2:] if is_raw else built(data[2:], data[1], password or "")
    limit = FEWEST_ROUNDS if data[1] & _LOW_LIMIT else FEW_ROUNDS
    with warnings.catch_warnings(), mock.patch.object(pfx_outline, "MAX_ITERATIONS", limit):
        warnings.simplefilter("ignore")
        with counted() as count:
            certificates = ours(lambda: cmstream.read_certificates(file, password=password))
            keys = ours(lambda: pfx.open_keys(file, password))
            ours(lambda: cmstream.load_identities(file, password=password))
        assert sum(count) <= 3 * MOST_TURNS * limit
        if not is_raw:
            check_built(data[2:], data[1], certificates, keys)
            check_nested(data, password, certificates)
        if is_comparable(file, limit) and (theirs := by_library(file, password)):
            check_certificates(theirs, certificates, data)
            if is_raw or all(is_der(one) for one in plain_keys(data[2:])):
                check_keys(theirs, keys, [] if is_raw else plain_keys(data[2:]))


def check_built(bags: bytes, choice: int, certificates: Any, keys: Any) -> None:
    """What is known of a file that was made here, whatever the library says."""
    if choice & _WRONG_MAC and choice // 4 % 4:
        assert isinstance(certificates, Exception)
        assert isinstance(keys, Exception)
        return
    if isinstance(keys, list):
        assert len(keys) <= MOST_KEYS
        check_owners(bags, certificates, keys)


def check_owners(bags: bytes, certificates: Any, keys: list[Any]) -> None:
    """A certificate goes with the key that is in it."""
    publics = {public(one.private) for one in keys}
    for one in keys:
        for der in one.certificates:
            told = of_library(der)
            assert told is None or octets(told["key"]) == public(one.private)
    every = len(keys) == bags.count(KEY_BAG) + bags.count(SHROUDED)
    if every and isinstance(certificates, cmstream.CertificateFile):
        for one in certificates.recipients:
            assert one.oaep_only or octets(one.public_key) in publics


def check_nested(data: bytes, password: str | None, found: Any) -> None:
    """Bags in a bag are as good as without it."""
    roots = der_changes.read(data[2:]) or []
    fields = roots[0].parts if len(roots) == 1 and is_bag(roots[0]) else None
    if not fields or fields[0].octets() != NESTED or len(fields[1].parts or ()) != 1:
        return
    inside = (fields[1].parts or [])[0]
    if inside.tag != 0x30 or fields[1].tag != 0xA0:
        return
    file = built(inside.inside(), data[1], password or "")
    flat = ours(lambda: cmstream.read_certificates(file, password=password))
    if isinstance(flat, cmstream.CertificateFile):
        if isinstance(found, cmstream.CertificateFile):
            assert set(found.recipients) == set(flat.recipients)
        else:  # what is wrong beside them may show only here, where nothing is encrypted
            assert found.code not in {"not-a-certificate", "private-key-only"}, found


def ours(read: Callable[[], Any]) -> Any:
    """What is read, or the error."""
    try:
        return read()
    except cmstream.CertificateError as error:
        assert error.code in CODES
        return error
    except pfx.TlvError as error:  # of open_keys alone, which says so
        return error


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """The rounds of each key that is derived meanwhile."""
    rounds: list[int] = []
    of_pbkdf2, of_pkcs12 = hashlib.pbkdf2_hmac, pfx_outline._hashed_again

    def pbkdf2(name: str, password: bytes, salt: bytes, count: int, size: int | None = None) -> Any:
        rounds.append(count)
        return of_pbkdf2(name, password, salt, count, size)

    def pkcs12(digest: str, key: bytes, times: int) -> bytes:
        rounds.append(times)
        return of_pkcs12(digest, key, times)

    with (mock.patch.object(hashlib, "pbkdf2_hmac", pbkdf2),
          mock.patch.object(pfx_outline, "_hashed_again", pkcs12)):  # fmt: skip
        yield rounds


# --- the library -------------------------------------------------------------------------------


def is_comparable(file: bytes, limit: int) -> bool:
    """Whether it is of the only version there is, which the library doesn't ask about, has no more
    keys and parts than ours takes, and no number in it that can be a count of rounds is large.
    Longer ones are of keys and certificates."""
    parts = sum(file.count(one) for one in (KEY_BAG, SHROUDED, ENCRYPTED))
    if parts > MOST_KEYS or len(file) > pfx_outline.MAX_KEYS_OCTETS:
        return False
    roots = der_changes.read(file)
    if not roots or not is_bag(roots[0]) or roots[0].inside()[:3] != b"\2\1\3":
        return False
    numbers = [one.content for root in roots for one in root.each() if one.tag == 2]
    counts = [int.from_bytes(one, "big") for one in numbers if len(one) <= 8]
    return limit == FEW_ROUNDS and max(counts, default=0) <= FEW_ROUNDS


def by_library(file: bytes, password: str | None) -> Any:
    """What it opens; None where it doesn't."""
    octets = None if password is None else password.encode()
    try:
        return pkcs12.load_pkcs12(file, octets)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError, OverflowError,
            x509.InvalidVersion):  # fmt: skip
        return None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        return None


# The library passes over a part of a type that there isn't; it may hold what is meant.
_STRANGE = re.compile(r"contents of type (?!1\.2\.840\.113549\.1\.7\.[16]\b)")


def check_certificates(theirs: Any, found: Any, data: bytes) -> None:
    """Those of the library, but for what it writes anew: BER, and octets that follow."""
    beside = [theirs.cert] if theirs.cert else []
    ders = [
        one.certificate.public_bytes(Encoding.DER) for one in (*beside, *theirs.additional_certs)
    ]
    if isinstance(found, cmstream.CertificateFile):
        both = {one.der for one in (*found.recipients, *found.set_aside)}
        assert both == set(ders) or not all(map(is_certificate, both))
    elif ders and (theirs.cert or not theirs.key) and not _STRANGE.search(str(found)):
        own = ders[:1] if beside else ders
        as_it_is = (data[1] == _RAW or element(0x04, one) in data for one in own)
        assert not (all(as_it_is) and all(map(usable_one, own))), found


def is_certificate(der: bytes) -> bool:
    try:
        return bool(x509.load_der_x509_certificate(der))
    except (ValueError, x509.InvalidVersion):
        return False


def check_keys(theirs: Any, keys: Any, plain: list[bytes]) -> None:
    """The library has one key, and a file may have more."""
    if theirs.key is not None and not _STRANGE.search(str(keys)):
        assert isinstance(keys, list), keys
        publics = [public(one.private) for one in keys]
        assert public(theirs.key) in publics
        every = (
            load_der_private_key(one, None, unsafe_skip_rsa_key_validation=True) for one in plain
        )
        assert {public(one) for one in every if is_ours(one)} <= {*publics}


def is_ours(key: Any) -> bool:
    """Whether anybody may open mail with such a key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return 1024 <= key.key_size <= 16384
    return isinstance(key, x25519.X25519PrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1"
    )


def usable_one(der: bytes) -> bool:
    told = of_library(der)
    return told is not None and usable(told["key"], told["kind"])


def plain_keys(bags: bytes) -> list[bytes]:
    roots = der_changes.read(bags) or []
    return [one.parts[1].inside() for one in roots if is_bag(one) and KEY_BAG in one.octets()]


def is_der(key: bytes) -> bool:
    """Whether PKCS #8 is as it should be: the library passes over octets behind it, and BER."""
    try:
        load_der_private_key(key, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, UnsupportedAlgorithm, InternalError, OverflowError, TypeError):
        return False
    return True


def public(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# --- a file of bags ----------------------------------------------------------------------------


def built(bags: bytes, choice: int, password: str) -> bytes:
    """A file of these bags: certificates encrypted, keys too if ``choice`` says so, and a MAC."""
    seal = (None, by_pbes2, by_3des, by_rc2)[choice % 4]
    mac = (None, mac_of("sha1"), mac_of("sha256"), pbmac1)[choice // 4 % 4]
    roots = der_changes.read(bags)
    each = [bags] if roots is None else [one.octets() for one in roots]
    keys = [one for one in each if KEY_BAG in one or SHROUDED in one]
    others = [one for one in each if one not in keys]
    if choice & 0x10:
        keys = [shrouded(one, password) for one in keys]
    infos = [content_info(element(0x30, *keys))]
    if seal is None:
        infos = [content_info(element(0x30, *keys, *others))]
    elif others:
        parts = [[one] for one in others] if choice & _PARTS else [others]
        infos += [seal(element(0x30, *one), password) for one in parts]
    authenticated = element(0x30, *infos) + b"\0" * bool(choice & _WRONG_MAC)
    return whole(*infos, mac=mac(authenticated, password) if mac else b"")


def wide(password: str) -> bytes:
    return password.encode("utf-16-be") + b"\0\0"


def derived(purpose: int, size: int, password: str, digest: str = "sha1") -> bytes:
    """RFC 7292 appendix B.2 for keys that one or two turns make, written plainly."""
    block = hashlib.new(digest).block_size
    state = b"".join((one * block)[: -(-len(one) // block) * block] for one in
                     (SALT, wide(password)))  # fmt: skip
    found = b""
    while len(found) < size:
        key = bytes([purpose]) * block + state
        for _ in range(ROUNDS):
            key = hashlib.new(digest, key).digest()
        found += key
        added = int.from_bytes((key * block)[:block], "big") + 1
        parts = (state[at : at + block] for at in range(0, len(state), block))
        sums = (int.from_bytes(one, "big") + added & (1 << 8 * block) - 1 for one in parts)
        state = b"".join(one.to_bytes(block, "big") for one in sums)
    return found[:size]


def mac_of(digest: str) -> Callable[[bytes, str], bytes]:
    names = {"sha1": SHA1, "sha256": bytes.fromhex("0609608648016503040201")}

    def made(octets: bytes, password: str) -> bytes:
        key = derived(3, hashlib.new(digest).digest_size, password, digest)
        value = element(0x04, hmac.digest(key, octets, digest))
        info = element(0x30, element(0x30, names[digest], element(0x05)), value)
        return element(0x30, info, element(0x04, SALT), element(0x02, bytes([ROUNDS])))

    return made


def pbmac1(octets: bytes, password: str) -> bytes:
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, ROUNDS, 32)
    numbers = (element(0x04, SALT), element(0x02, bytes([ROUNDS])), element(0x02, b" "))
    derivation = element(0x30, PBKDF2, element(0x30, *numbers, element(0x30, HMAC_SHA256)))
    scheme = element(0x30, PBMAC1, element(0x30, derivation, element(0x30, HMAC_SHA256)))
    value = element(0x04, hmac.digest(key, octets, "sha256"))
    return element(0x30, element(0x30, scheme, value), element(0x04, b"-"))


def encrypted(octets: bytes, cipher: Any, vector: bytes) -> bytes:
    padder = PKCS7(8 * len(vector)).padder()
    encryptor = Cipher(cipher, modes.CBC(vector)).encryptor()
    return encryptor.update(padder.update(octets) + padder.finalize()) + encryptor.finalize()


def sealed(algorithm: bytes, octets: bytes) -> bytes:
    info = element(
        0x30, element(0x02, b"\0"), element(0x30, DATA, algorithm, element(0x80, octets))
    )
    return element(0x30, ENCRYPTED, element(0xA0, info))


def pbes2(octets: bytes, password: str) -> tuple[bytes, bytes]:
    """The algorithm, and what it makes of them."""
    key = hashlib.pbkdf2_hmac("sha1", password.encode(), SALT, ROUNDS, 32)
    cipher = element(0x30, AES256, element(0x04, VECTOR))
    scheme = element(0x30, element(0x30, PBKDF2, parameters(ROUNDS)), cipher)
    return element(0x30, PBES2, scheme), encrypted(octets, algorithms.AES(key), VECTOR)


def by_pbes2(octets: bytes, password: str) -> bytes:
    return sealed(*pbes2(octets, password))


def by_3des(octets: bytes, password: str) -> bytes:
    key, vector = derived(1, 24, password), derived(2, 8, password)
    name = bytes.fromhex("060a2a864886f70d010c0103")
    return sealed(
        element(0x30, name, parameters(ROUNDS)), encrypted(octets, TripleDES(key), vector)
    )


def by_rc2(octets: bytes, password: str) -> bytes:
    """PBES2 with RC2 of 128 bits, which the library has in its own reader alone."""
    key = hashlib.pbkdf2_hmac("sha1", password.encode(), SALT, ROUNDS, 16)
    numbers = (element(0x04, SALT), element(0x02, bytes([ROUNDS])), element(0x02, b"\x10"))
    name = bytes.fromhex("06082a864886f70d0302")
    cipher = element(0x30, name, element(0x30, element(0x02, b":"), element(0x04, VECTOR[:8])))
    scheme = element(0x30, element(0x30, PBKDF2, element(0x30, *numbers)), cipher)
    return sealed(element(0x30, PBES2, scheme), encrypted(octets, RC2(key), VECTOR[:8]))


def is_bag(one: der_changes.Element) -> bool:
    return one.tag == 0x30 and one.parts is not None and len(one.parts) > 1


def shrouded(key_bag: bytes, password: str) -> bytes:
    """The bag of a key with that key encrypted; unchanged if it isn't one of a plain key."""
    roots = der_changes.read(key_bag)
    fields = roots[0].parts if roots and is_bag(roots[0]) else None
    if not fields or fields[0].octets() != KEY_BAG:
        return key_bag
    algorithm, octets = pbes2(fields[1].inside(), password)
    behind = b"".join(one.octets() for one in fields[2:])
    value = element(0xA0, element(0x30, algorithm, element(0x04, octets)))
    return element(0x30, SHROUDED, value, behind)


# --- inputs ------------------------------------------------------------------------------------


def seeds() -> Iterator[bytes]:
    yield from bent()
    (own, alice), (hers, carol), (his, dave) = (
        rsa_identity(1024), identity("SECP256R1", common_name="Carol", emails=("carol@x.org",)),
        identity("x25519", common_name="Dave"),
    )  # fmt: skip
    bags = plain_key_bag(hers, b"1") + cert_bag(carol, b"1") + cert_bag(authority()[1])
    for choice in range(1, 0x20):
        yield bytes([2, choice]) + bags
        yield bytes([2, choice | _WRONG_MAC]) + bags
    for choice in (0x09, 0x19, 0x06, 0x8E):
        for number in range(len(PASSWORDS)):
            yield bytes([number, choice]) + bags
    yield bytes([0, 0x04]) + bags
    yield bytes([2, _RAW]) + built(bags, 0x11, "correct horse")
    yield bytes([2, 0x19]) + plain_key_bag(hers) + cert_bag(carol) + cert_bag(alice)
    yield bytes([2, _LOW_LIMIT | 0x10]) + plain_key_bag(hers) * MOST_KEYS + cert_bag(carol)
    yield bytes([2, 0x10]) + plain_key_bag(hers) * (MOST_KEYS + 1) + cert_bag(carol)
    yield (
        bytes([2, 0x19])
        + plain_key_bag(hers)
        + plain_key_bag(own)
        + cert_bag(alice)
        + cert_bag(carol)
    )
    yield (
        bytes([4, 0x1D])
        + plain_key_bag(his)
        + plain_key_bag(own)
        + cert_bag(dave)
        + cert_bag(alice)
    )
    yield bytes([2, 0x0D]) + cert_bag(alice, b"2") + cert_bag(alice) + cert_bag(carol)
    yield bytes([2, 0x11]) + bag(NESTED, element(0x30, bags))
    version_18 = carol.public_bytes(Encoding.DER).replace(b"\2\1\2", b"\2\1\x12", 1)
    inside = element(0x30, X509, element(0xA0, element(0x04, version_18)))
    yield bytes([2, 0x03]) + bag(CERTIFICATE, inside)
    for cipher in (pkcs12.PBES.PBESv2SHA256AndAES256CBC, pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC):
        how = serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(ROUNDS)
        how = how.key_cert_algorithm(cipher).hmac_hash(hashes.SHA256())
        yield bytes([2, _RAW]) + pkcs12.serialize_key_and_certificates(
            b"a", hers, carol, [alice], how.build(b"correct horse")
        )
    for path in sorted((CORPUS / "pfx").glob("*")):
        if path.stat().st_size <= 4096:
            yield bytes([3, _RAW]) + path.read_bytes()


def bent() -> Iterator[bytes]:
    """Whole files, in which one number of rounds or one IV is another."""
    hers, carol = identity("SECP256R1", common_name="Carol")
    bags = plain_key_bag(hers) + cert_bag(carol)
    others = {bytes([ROUNDS]): (b"\0", b"\2\0\0"), VECTOR: (VECTOR[:8], b"")}
    for choice in (0x11, 0x1D, 0x0A):
        file = built(bags, choice, "correct horse")
        count = sum(one.content in others for one in (der_changes.read(file) or [])[0].each())
        for number, which in itertools.product(range(count), range(2)):
            roots = der_changes.read(file) or []
            found = [one for one in roots[0].each() if one.content in others]
            found[number].content = others[found[number].content][which]
            yield bytes([2, _RAW]) + roots[0].octets()


def mutate(data: bytes, source: random.Random) -> bytes:
    """The choices, now and then; mostly the DER."""
    choices = bytearray(data[:2].ljust(2, b"\2"))
    if source.random() < 0.1:
        choices[source.randrange(2)] = source.randrange(0x100)
    return bytes(choices) + der_changes.changed(data[2:], source)
