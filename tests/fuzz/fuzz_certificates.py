"""Certificate files. The readers give certificates or raise a documented error. What the library
loads they load too, and say the same of it. What they give can be encrypted to."""

from __future__ import annotations

import base64
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import der_changes
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, PublicKeyAlgorithmOID

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
        return []


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
        }
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm, x509.DuplicateExtension,
            x509.UnsupportedGeneralNameType, x509.InvalidVersion, OverflowError):  # fmt: skip
        return None


def addresses(one: x509.Certificate) -> set[str]:
    try:
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(names.get_values_for_type(x509.RFC822Name))


def usable(key: Any, kind: x509.ObjectIdentifier) -> bool:
    """Whether anybody should encrypt to such a key."""
    if isinstance(key, rsa.RSAPublicKey):
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
    assert one.issuer_der in x509.load_der_x509_certificate(one.der).tbs_certificate_bytes
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
    extra = x509.SubjectAlternativeName([
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), b"\x0c\x05a@b.c"),
        x509.RFC822Name("d@e.f"), x509.DNSName("g.h"),
    ])  # fmt: skip
    yield certificate(rsa_identity(1024)[0], emails=(), ca=None, extra=(extra,), serial=127)


def seeds() -> Iterator[bytes]:
    everybody = list(people())
    for one in everybody:
        yield one.public_bytes(Encoding.DER)
    pem = [one.public_bytes(Encoding.PEM) for one in everybody]
    yield b"".join(pem[:3])
    yield pem[2].replace(b"CERTIFICATE", b"X509 CERTIFICATE")
    yield base64.encodebytes(everybody[2].public_bytes(Encoding.DER))
    for encoding in (Encoding.DER, Encoding.PEM):
        yield pkcs7.serialize_certificates(everybody[2:4], encoding)
    short = [*(CORPUS / "certificates").glob("*"), *(CORPUS / "pfx").glob("*")]
    for path in sorted(short):
        if path.stat().st_size <= 4096:
            yield path.read_bytes()


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
