"""Certificates made to measure: a cached test authority, and people whom it certifies."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mlkem, rsa, x448, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
"""A moment at which every certificate made here is valid, unless an option says otherwise."""
YEARS = dt.timedelta(days=3653)
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@functools.cache
def rsa_key(bits: int = 2048, _number: int = 0) -> rsa.RSAPrivateKey:
    """An RSA key; made once for each size and number, since making one takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=max(bits, 1024))


@functools.cache
def other_key(kind: str, _number: int = 0) -> Any:
    """A key of another kind: "ed25519", "ed448", "x25519", "x448", "mlkem768",
    "mlkem1024", or the name of a curve."""
    classes: dict[str, Any] = {
        "ed25519": ed25519.Ed25519PrivateKey,
        "ed448": ed448.Ed448PrivateKey,
        "x25519": x25519.X25519PrivateKey,
        "x448": x448.X448PrivateKey,
        "mlkem768": mlkem.MLKEM768PrivateKey,
        "mlkem1024": mlkem.MLKEM1024PrivateKey,
    }
    if kind in classes:
        return classes[kind].generate()
    return ec.generate_private_key(getattr(ec, kind)())


def key_usage(*names: str) -> x509.KeyUsage:
    """The key usage extension with these bits set, e.g. ``key_usage("key_encipherment")``."""
    return x509.KeyUsage(**{name: name in names for name in KEY_USAGES})


@functools.cache
def name(common_name: str, email: str | None = None) -> x509.Name:
    """A distinguished name of a common name and, if given, an emailAddress."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if email is not None:
        parts.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, email))
    return x509.Name(parts)


@functools.cache
def authority() -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """The test authority: its key and its self-signed CA certificate."""
    return rsa_key(2048, 99), certificate(
        rsa_key(2048, 99), common_name="Test CA", emails=(), ca=True, serial=1, self_signed=True
    )


@functools.cache
def rsa_identity(
    bits: int = 2048,
    *,
    emails: tuple[str, ...] = ("alice@example.org",),
    subject_key_identifier: bool = True,
    **options: Any,
) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """A person with an RSA key, certified by the test authority; ``options`` as `certificate`."""
    key = rsa_key(bits, options.pop("number", 0))
    return key, certificate(
        key, emails=emails, subject_key_identifier=subject_key_identifier, **options
    )


@functools.cache
def identity(kind: str, **options: Any) -> tuple[Any, x509.Certificate]:
    """A person with a key as `other_key` makes it."""
    key = other_key(kind, options.pop("number", 0))
    return key, certificate(key, **options)


def certificate(
    key: Any,
    *,
    emails: tuple[str, ...] = ("alice@example.org",),
    common_name: str = "Alice",
    subject: x509.Name | None = None,
    subject_key_identifier: bool = True,
    usage: x509.KeyUsage | None = None,
    purposes: tuple[ObjectIdentifier, ...] = (ExtendedKeyUsageOID.EMAIL_PROTECTION,),
    ca: bool | None = False,
    serial: int | None = None,
    self_signed: bool = False,
    not_before: dt.datetime = NOW - YEARS,
    not_after: dt.datetime = NOW + YEARS,
    extra: tuple[x509.ExtensionType, ...] = (),
) -> x509.Certificate:
    """A certificate for ``key``; ``ca=None`` leaves the basic constraints out."""
    subject = name(common_name) if subject is None else subject
    signer, issuer = (key, subject) if self_signed else _issuer()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    extensions: list[x509.ExtensionType] = [*extra]
    if emails:
        extensions.append(x509.SubjectAlternativeName([x509.RFC822Name(e) for e in emails]))
    if subject_key_identifier:
        extensions.append(x509.SubjectKeyIdentifier.from_public_key(key.public_key()))
    if ca is not None:
        extensions.append(x509.BasicConstraints(ca=ca, path_length=None))
    if purposes and not ca:
        extensions.append(x509.ExtendedKeyUsage(purposes))
    if usage is not None:
        extensions.append(usage)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _issuer() -> tuple[rsa.RSAPrivateKey, x509.Name]:
    key, ca_certificate = authority()
    return key, ca_certificate.subject


def element(tag: int, *contents: bytes, indefinite: bool = False) -> bytes:
    """An ASN.1 element made by hand, with its shortest definite length or an indefinite one."""
    content = b"".join(contents)
    if indefinite:
        return bytes([tag, 0x80]) + content + b"\0\0"
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
