"""Certificate files. The readers give certificates or raise a documented error. What the library
loads they load too, and say the same of it. What they give can be encrypted to."""

from __future__ import annotations

import base64
import re
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import der_changes
from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, PublicKeyAlgorithmOID

import cmstream
from cmstream.certificates import pfx_outline
from helpers.authorities import authority, certificate, identity, key_usage, rsa_identity

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from cmstream import CertificateFile, Recipient

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
FEW_ROUNDS = 20_000
CODES = {
    "empty", "not-a-certificate", "private-key-only", "public-key-only", "csr", "crl",
    "openpgp-key", "truncated", "trailing-data", "wrong-password", "password-needed", "corrupt",
    "unsupported-key", "unsupported-cipher",
}  # fmt: skip
_ARMOUR = re.compile(rb"(-----BEGIN [^\n]*-----\n)([A-Za-z0-9+/=\s]+)(?=-----END)")


def check(data: bytes) -> None:
    with warnings.catch_warnings(), mock.patch.object(pfx_outline, "MAX_ITERATIONS", FEW_ROUNDS):
        warnings.simplefilter("ignore")
        found = ours(data)
        if isinstance(found, cmstream.CertificateFile):
            for one in found.recipients:
                check_recipient(one)
        check_loaded(by_library(data), found)
        check_kind(data, found)


def ours(data: bytes) -> CertificateFile | cmstream.CertificateError:
    """What both readers say, which is the same."""
    try:
        found = cmstream.read_certificates(data)
    except cmstream.CertificateError as error:
        assert error.code in CODES
        try:
            cmstream.load_recipients(data)
        except cmstream.CertificateError as again:
            assert again.code == error.code
            return error
        raise AssertionError("one reader takes it and the other doesn't") from error
    assert cmstream.load_recipients(data) == list(found.recipients) != []
    return found


def by_library(data: bytes) -> list[bytes]:
    """The certificates that the library finds in a file of its two forms."""
    if re.match(rb"[\t\n\r -~]*-----BEGIN", data):
        return by_library_armoured(data)
    try:
        return [x509.load_der_x509_certificate(data).public_bytes(Encoding.DER)]
    except (ValueError, x509.InvalidVersion):
        return by_library_together(data)


def by_library_together(data: bytes) -> list[bytes]:
    """PKCS #7. The library passes over what follows, and writes anew what it read."""
    if len(der_changes.read(data) or "") != 1:
        return []
    try:
        found = pkcs7.load_der_pkcs7_certificates(data)
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm, InternalError):
        return []
    ders = [one.public_bytes(Encoding.DER) for one in found]
    return ders if all(one in data for one in ders) else []


def by_library_armoured(data: bytes) -> list[bytes]:
    """It passes over blocks that don't end, which are an error of ours."""
    try:
        found = x509.load_pem_x509_certificates(data)
    except (ValueError, x509.InvalidVersion):
        return []
    whole = data.count(b"-----BEGIN") == data.count(b"-----END") == len(found)
    return [one.public_bytes(Encoding.DER) for one in found] if whole else []


def check_loaded(ders: list[bytes], found: CertificateFile | cmstream.CertificateError) -> None:
    """Ours has them too, if the library can say everything of each."""
    told = [of_library(der) for der in ders]
    if None in told or not any(usable(one["key"], one["kind"]) for one in told if one):
        return
    assert isinstance(found, cmstream.CertificateFile), found
    assert {one.der for one in (*found.recipients, *found.set_aside)} == set(ders)


def check_kind(data: bytes, found: CertificateFile | cmstream.CertificateError) -> None:
    """What isn't a certificate, and what follows one or isn't all there, is no certificate."""
    if isinstance(found, cmstream.CertificateFile):
        assert not _UNCLOSED.fullmatch(data)
        is_binary = data[:1] == b"0" and b"-----BEGIN" not in data
        roots = (is_binary and der_changes.read(data)) or []
        behind = b"".join(one.octets() for one in roots[1:])
        assert not behind.strip(_PADDING) or is_pfx(roots[0])
        return
    told = {code for code, read in _OTHERS.items() if loads(read, data)}
    assert not told or found.code in told


_PADDING = b"\t\n\v\f\r \0\x1a"
"""What editors and transfers leave behind a file: two NULs are an element, too."""


def is_pfx(root: der_changes.Element) -> bool:
    """Octets may follow such a file."""
    return bool(root.parts) and root.inside()[:3] == b"\2\1\3"


def loads(read: Any, data: bytes) -> bool:
    try:
        return bool(read(data))
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError, OverflowError,
            x509.InvalidVersion):  # fmt: skip
        return False


_OTHERS = {
    "csr": x509.load_der_x509_csr,
    "crl": x509.load_der_x509_crl,
    "public-key-only": serialization.load_der_public_key,
    "private-key-only": lambda data: serialization.load_der_private_key(
        data, None, unsafe_skip_rsa_key_validation=True
    ),
}
_UNCLOSED = re.compile(rb"-----BEGIN (?:.*-----BEGIN )?CERTIFICATE-----[^-]*", re.DOTALL)


def of_library(der: bytes) -> dict[str, Any] | None:
    """What the library says of a certificate; None where it can't say one of these."""
    try:
        one = x509.load_der_x509_certificate(der)
        return {
            "key": one.public_key(),
            "kind": one.public_key_algorithm_oid,
            "serial": one.serial_number,
            "names": (one.issuer.public_bytes(), one.subject.public_bytes()),
            "times": (one.not_valid_before_utc, one.not_valid_after_utc),
            "extensions": {each.oid: each.value for each in one.extensions},
            "text": (one.issuer.rfc4514_string(), one.subject.rfc4514_string()),
            "addresses": addresses(one),
            "identifier": identifier(one),
        }
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm, x509.DuplicateExtension,
            x509.UnsupportedGeneralNameType, x509.InvalidVersion, OverflowError):  # fmt: skip
        return None


def identifier(one: x509.Certificate) -> bytes:
    try:
        return one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return b""


def plain_issuer(der: bytes) -> bytes:
    """The fourth element, or the third where no version is said."""
    roots = der_changes.read(der)
    assert roots
    parts = (roots[0].parts or [])[0].parts or []
    return parts[3 if parts[0].tag == 0xA0 else 2].octets()


# Of attributes that both have the same names for; what RFC 4514 escapes may be in it.
_PLAIN_NAME = re.compile(
    r"""(?:(?:CN|O|OU|L|ST|C|DC)=(?:[A-Za-z0-9.@' -]|\\[,+"\\<>;# ])+(?:[,+]|(?=[A-Z]+=|\Z)))*"""
)


def addresses(one: x509.Certificate) -> set[str]:
    try:
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(names.get_values_for_type(x509.RFC822Name))


def usable(key: Any, kind: x509.ObjectIdentifier) -> bool:
    """Whether anybody should encrypt to such a key."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        if numbers.n % 2 == 0 or (key.key_size > 3072 and numbers.e.bit_length() > 64):
            return False
        return 1024 <= key.key_size <= 16384 and kind != PublicKeyAlgorithmOID.RSASSA_PSS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return not key.curve.name.startswith(("secp192", "sect"))
    return isinstance(key, x25519.X25519PublicKey | x448.X448PublicKey)


def check_recipient(one: Recipient) -> None:
    """It can be encrypted to, and the library says the same of it."""
    assert cmstream.encrypt(b"x", [one], policy=ANYBODY)
    assert cmstream.Recipient.from_der(one.der) == one
    if (told := of_library(one.der)) is None:
        return
    if not one.oaep_only:
        assert octets(told["key"]) == octets(one.public_key)
    assert told["serial"] == one.serial
    assert one.issuer_der == plain_issuer(one.der)
    ours = one.issuer, one.subject
    # The library takes an OCTET STRING and the two kinds of time for text.
    no_text = re.search("=#(?:04|17|18)", "".join(ours))
    if _PLAIN_NAME.fullmatch("".join(told["text"])) and not no_text:
        assert told["text"] == ours
    assert (one.key_identifier or b"") == told["identifier"]
    assert told["times"] == (one.not_before, one.not_after)
    visible = {each for each in told["addresses"] if re.fullmatch(r"[!-~]+@[!-?A-~]+", each)}
    assert {each.casefold() for each in visible} <= {each.casefold() for each in one.emails}
    assert problems(told) == {each.code for each in one.problems()} & KNOWN


ANYBODY = cmstream.DEFAULT.clone(refuse=frozenset(), warn=frozenset())
KNOWN = {"no-key-encipherment", "no-key-agreement", "no-email-protection", "weak-key",
         "ca-certificate"}  # fmt: skip


def octets(key: Any) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def problems(told: dict[str, Any]) -> set[str]:
    """Those that last, by the library's reading."""
    extensions = {type(each): each for each in told["extensions"].values()}
    usage, purposes = extensions.get(x509.KeyUsage), extensions.get(x509.ExtendedKeyUsage)
    basic = extensions.get(x509.BasicConstraints)
    by_rsa = isinstance(told["key"], rsa.RSAPublicKey)
    mail = {ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    found = {
        "no-key-encipherment": usage and by_rsa and not usage.key_encipherment,
        "no-key-agreement": usage and not by_rsa and not usage.key_agreement,
        "no-email-protection": purposes and not mail & set(purposes),
        "weak-key": by_rsa and told["key"].key_size < 2048,
        "ca-certificate": basic and basic.ca,
    }
    return {code for code, there in found.items() if there}


# --- inputs ------------------------------------------------------------------------------------


def people() -> Iterator[x509.Certificate]:
    yield rsa_identity(1024)[1]
    yield rsa_identity(2048, usage=key_usage("key_encipherment"))[1]
    for kind in ("SECP256R1", "BrainpoolP256R1", "x25519", "x448", "mlkem768", "ed25519"):
        yield identity(kind)[1]
    yield identity("SECP384R1", emails=(), usage=key_usage("key_agreement"), purposes=())[1]
    yield authority()[1]
    yield identity("SECP256R1", common_name='# "a,b"+c;<d> ', emails=())[1]
    extra = x509.SubjectAlternativeName([
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), b"\x0c\x05a@b.c"),
        x509.RFC822Name("d@e.f"), x509.DNSName("g.h"),
    ])  # fmt: skip
    yield certificate(rsa_identity(1024)[0], emails=(), ca=None, extra=(extra,), serial=127)


def seeds() -> Iterator[bytes]:
    everybody = list(people())
    for one in everybody:
        yield one.public_bytes(Encoding.DER)
    yield from others()
    # Of 1955: a UTCTime's century begins with 50.
    yield re.sub(rb"\x17\r\d\d", b"\x17\r55", everybody[2].public_bytes(Encoding.DER), count=1)
    pem = [one.public_bytes(Encoding.PEM) for one in everybody]
    yield pem[2].replace(b"-----END", b"")
    yield pem[2] + pem[3].partition(b"-----END")[0]
    yield everybody[2].public_bytes(Encoding.DER) * 2
    yield b"".join(pem[:3])
    yield pem[2].replace(b"CERTIFICATE", b"X509 CERTIFICATE")
    yield base64.encodebytes(everybody[2].public_bytes(Encoding.DER))
    for encoding in (Encoding.DER, Encoding.PEM):
        yield pkcs7.serialize_certificates(everybody[2:4], encoding)
    short = [*(CORPUS / "certificates").glob("*"), *(CORPUS / "pfx").glob("*")]
    for path in sorted(short):
        if path.stat().st_size <= 4096:
            yield path.read_bytes()


def others() -> Iterator[bytes]:
    """What people send instead."""
    key, _ = identity("SECP256R1")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    yield request.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    begin = datetime(2020, 1, 1, tzinfo=timezone.utc)
    revoked = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(begin)
    revoked = revoked.next_update(begin + timedelta(days=9))
    yield revoked.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    yield octets(key.public_key())
    for form in serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL:
        yield key.private_bytes(Encoding.DER, form, serialization.NoEncryption())


def mutate(data: bytes, source: random.Random) -> bytes:
    """DER, also where it is in armour."""
    blocks = list(_ARMOUR.finditer(data))
    if not blocks:
        return der_changes.changed(data, source)
    block = source.choice(blocks)
    try:
        der = base64.b64decode(block[2])
    except ValueError:
        return data
    new = base64.encodebytes(der_changes.changed(der, source))
    return data[: block.start(2)] + new + data[block.end(2) :]
