"""Identities, which decrypt messages: each a certificate with its private key."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from ..asn1 import tlv
from ..asn1.tlv import TlvError
from ..certificates import (
    archive_keys,
    containers,
    keys,
    pfx,
    pfx_outline,
    private_keys,
    x509,
)
from ..certificates.pfx_outline import MAX_KEYS_OCTETS, RARE_KEY_CIPHERS
from ..certificates.recipient import Recipient
from ..errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from ..certificates.archive_keys import Kek, Password
    from ..cms.enveloped import RecipientInfo
    from ..engine.gate import Buffer

_PKCS12_LABELS = {b"PKCS12", b"PFX"}
_KEY_LABELS = {
    b"PRIVATE KEY",
    b"ENCRYPTED PRIVATE KEY",
    b"RSA PRIVATE KEY",
    b"EC PRIVATE KEY",
}
_VERSION_0 = bytes.fromhex("020100")
_RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
_METHODS = {"key-transport": "decrypt", "key-agreement": "exchange", "kem": "decapsulate"}
_PUBLIC_KEYS = get_args(PublicKeyTypes)
_OLD_ENCRYPTION = b"Proc-Type:"  # RFC 1421 section 4.6.1.1, as OpenSSL wrote it before PKCS #8


class Identity:
    """A certificate with its private key: it decrypts what was encrypted to the certificate.

    ``key`` is a private key of the library *cryptography*, or a stand-in in front of a token or a
    key service: for an RSA certificate it needs ``decrypt(ciphertext, padding)``, for ML-KEM
    ``decapsulate(ciphertext)``, for another one ``exchange``, as the library's key of that kind has
    it. No other method is called while messages are decrypted; if it has ``public_key()``, that is
    compared with the certificate here, once. ``certificate`` is a Recipient, or one certificate in
    DER or PEM.

    ``recipient`` is the certificate, ``key`` the private key, ``kind`` the kind of RecipientInfo
    that it opens (RFC 5652 section 6.2): ``key-transport``, ``key-agreement`` or ``kem``.
    ``key_identifiers`` are those by which a message may name it (RFC 5652 section 6.2.1): the
    content of the subjectKeyIdentifier extension, or without one the SHA-1 that RFC 5280 section
    4.2.1.2 (1) derives from the public key. ``usual_info`` is what a KeyTransRecipientInfo with
    PKCS #1 v1.5 begins with where it names the certificate by issuer and serial number. Identities
    compare by identity; ``repr`` shows subject and fingerprint alone.

    Raises CertificateError: those of :func:`load_recipients` for the certificate,
    ``trailing-data`` for several, ``private-key-only`` if it isn't the key's; and TypeError if
    the key can't do what the certificate needs.
    """

    __slots__ = ("key", "key_identifiers", "kind", "recipient", "usual_info")

    recipient: Recipient
    key: Any
    kind: str
    key_identifiers: tuple[bytes, ...]
    usual_info: bytes

    def __init__(self, key: Any, certificate: Recipient | Buffer) -> None:
        recipient = certificate if isinstance(certificate, Recipient) else _only(certificate)
        if not _may_belong(key, recipient):
            raise _stranger(f"the certificate of {recipient.subject} isn't the private key's")
        kind = keys.kind(recipient.public_key)
        needed = _METHODS[kind]
        if not callable(getattr(key, needed, None)):
            raise TypeError(
                f"the private key for a certificate with {recipient.key} needs a method {needed}; "
                "for the bytes of a key there is Identity.from_pem"
            )
        self.key = key
        self.recipient = recipient
        self.kind = kind
        self.key_identifiers = (recipient.key_identifier or _derived_identifier(recipient),)
        name = tlv.build(tlv.SEQUENCE, recipient.issuer_der, recipient.serial_der)
        self.usual_info = _VERSION_0 + name + _RSA_ENCRYPTION

    @classmethod
    def from_pkcs12(cls, data: Buffer, password: str | bytes | None = None) -> Identity:
        """The identity in a PKCS #12 file (RFC 7292), binary or armoured, old ciphers included:
        the first of its keys that has a certificate, which belongs to the key if it has its
        public key. Of several such the one with the key's localKeyID is taken.

        ``password``: as text it is tried in UTF-8; None tries none and the empty one.

        Raises CertificateError: ``empty``, ``not-a-certificate`` if this isn't PKCS #12, or it
        holds no key, ``private-key-only`` if none with its certificate, ``wrong-password``,
        ``password-needed``, ``truncated``, ``corrupt``, ``unsupported-cipher``,
        ``unsupported-key``.
        """
        octets = _octets(data, "PKCS #12 file")
        try:
            private, der = pfx.open_key(_pfx(octets), password)
        except TlvError as error:
            raise containers.broken(error) from error
        return cls._checked(private, Recipient.from_der(der))

    @classmethod
    def from_pem(
        cls, key: Buffer, certificate: Buffer, password: str | bytes | None = None
    ) -> Identity:
        """The identity of a private key and that certificate of a file which has its public key.

        ``key``: PKCS #8 (RFC 5958), plain or encrypted, PKCS #1 (RFC 8017) or SEC 1 (RFC 5915),
        in DER or PEM; text and other blocks around it are passed over, and of several keys the
        first that fits a certificate counts. ``certificate``: whatever :func:`load_recipients`
        reads; both may be the same file. ``password`` opens what is encrypted.

        Raises CertificateError: ``empty``, ``not-a-certificate`` if there is no key,
        ``private-key-only`` if none fits a certificate, ``wrong-password``, ``password-needed``,
        ``truncated``, ``corrupt``, ``unsupported-cipher``, ``unsupported-key``, and for the
        certificate those of :func:`load_recipients`. The text begins with ``key:`` or
        ``certificate:`` where that one is at fault.
        """
        with _argument("key"):
            octets = _octets(key, "private key's file")
        privates = _each_key(octets, password)
        contents = _certificates(bytes(memoryview(certificate)), password, octets)
        certificates = [*contents.certificates, *contents.strangers]
        bits = {private_keys.certified_bits(der): der for der in reversed(certificates)}
        for private in privates:
            der = bits.get(private_keys.public_bits(private.public_key()))
            if der is not None:
                with _argument("certificate"):
                    recipient = Recipient.from_der(der)
                with _argument("key"):
                    return cls._checked(private, recipient)
        if b"" in bits:
            with _argument("certificate"):
                Recipient.from_der(bits[b""])  # says what is broken
        raise _stranger("the private key fits none of the certificates")

    @staticmethod
    def from_password(password: str | bytes) -> Password:
        """What decrypts messages that were encrypted with a password; use it like an Identity. Text
        is encoded in UTF-8.

        Nothing in a message says which password fits. If the message names another identity, that
        one decrypts it; else the password is tried on all that the message has for passwords, which
        takes a fraction of a second each.
        Raises ValueError for an empty password.
        """
        return archive_keys.password(password)

    @staticmethod
    def from_kek(key: Buffer, key_id: Buffer) -> Kek:
        """What decrypts messages that were encrypted with a key-encryption key of 16, 24 or 32
        bytes and the name ``key_id``; use it like an Identity. Raises ValueError for another
        length, or an empty name."""
        return archive_keys.kek(key, key_id)

    @classmethod
    def _checked(cls, private: PrivateKeyTypes, recipient: Recipient) -> Identity:
        """An identity from a file, whose key may be damaged."""
        found = cls(private, recipient)
        try:
            private_keys.check(private)
        except ValueError as error:
            raise _unreadable("corrupt", str(error)) from None
        return found

    def place(self, info: RecipientInfo) -> int | None:
        """Which of a RecipientInfo's names is this one's, counted from 0; None if none is. Bytes
        alone are compared."""
        for index, name in enumerate(info.names):
            if name.is_of(self.recipient, self.key_identifiers):
                return index
        return None

    def __repr__(self) -> str:
        return f"<Identity {self.recipient.subject[:60]!r} {self.recipient.fingerprint}>"


def _only(data: Buffer) -> Recipient:
    found = dict.fromkeys(containers.unpack(bytes(memoryview(data)), None).certificates)
    if len(found) > 1:
        raise CertificateError(
            "trailing-data",
            f"there are {len(found)} certificates where the private key's alone should be: take "
            "the others away, or choose one by load_recipients",
        )
    return Recipient.from_der(next(iter(found)))


def _may_belong(key: Any, recipient: Recipient) -> bool:
    """Whether the key's public half is the certificate's, or can't be known."""
    ask = getattr(key, "public_key", None)
    try:
        public = ask() if callable(ask) else None
        if not isinstance(public, _PUBLIC_KEYS):
            return True
        bits = private_keys.public_bits(public)
    except NotImplementedError:  # a stand-in that derives from the library's abstract class
        return True
    return bits == private_keys.public_bits(recipient.public_key)


def _derived_identifier(recipient: Recipient) -> bytes:
    bits = private_keys.key_bits(x509.parse(recipient.der).public_key)
    return hashlib.sha1(bits[1:], usedforsecurity=False).digest()


def _stranger(what: str) -> CertificateError:
    return CertificateError(
        "private-key-only", f"{what}: give the certificate that was issued for this key"
    )


# Files


@contextmanager
def _argument(name: str) -> Iterator[None]:
    """What is wrong is wrong with this argument."""
    try:
        yield
    except CertificateError as error:
        raise CertificateError(error.code, f"{name}: {error}") from error.__cause__


def _each_key(data: bytes, password: str | bytes | None) -> Iterator[PrivateKeyTypes]:
    with _argument("key"):
        yield from _private_keys(data, password)


def _certificates(data: bytes, password: str | bytes | None, key: bytes) -> containers.Contents:
    try:
        with _argument("certificate"):
            return containers.unpack(data, password)
    except CertificateError as error:
        if error.code == "private-key-only" and _has_no_key(key):
            text = "key and certificate are swapped: give each in the other's place"
            raise CertificateError(error.code, text) from None
        raise


def _has_no_key(data: bytes) -> bool:
    """Whether a file holds certificates alone."""
    try:
        return not containers.unpack(data, None).private_key
    except CertificateError:
        return False


def is_pkcs12(data: bytes) -> bool:
    """Whether a file is PKCS #12, as far as its beginning tells."""
    try:
        return bool(_pfx(data))
    except (TlvError, CertificateError):
        return False


def _octets(data: Buffer, what: str) -> bytes:
    octets = bytes(memoryview(data))
    if not octets.strip():
        raise CertificateError("empty", f"the {what} is empty: export it again")
    if len(octets) > containers.MAX_FILE:
        raise _none_there(f"the {what} has more than {containers.MAX_FILE} bytes")
    return octets


def _none_there(what: str) -> CertificateError:
    return CertificateError(
        "not-a-certificate",
        f"{what}: give a private key in PKCS #12, or in PKCS #8, PKCS #1 or SEC 1",
    )


def _pfx(data: bytes) -> bytes:
    """The one PFX of a file. Raises TlvError, CertificateError ``not-a-certificate``."""
    if containers.is_text(data):
        found = [body for label, body in containers.blocks(data) if label in _PKCS12_LABELS]
        data = containers.decode(found[0]) if found else b""
    outer = tlv.read(data) if data else None
    if outer is None or containers.kind_of(outer) != "pkcs12":
        raise CertificateError(
            "not-a-certificate",
            "this isn't a PKCS #12 file: a key and a certificate in files of their own go by "
            "Identity.from_pem",
        )
    return outer.whole  # some programs pad these files


def _private_keys(data: bytes, password: str | bytes | None) -> Iterator[PrivateKeyTypes]:
    """All private keys of a file, each when it is asked for; at least one."""
    blocks = containers.blocks(data) if containers.is_text(data) else [(b"", data)]
    found = [one for one in blocks if not one[0] or one[0].endswith(b"PRIVATE KEY")]
    if not found:
        raise _none_there("there is no private key in this file")
    if len(found) > 1 and sum(len(body) for _, body in found) > 2 * MAX_KEYS_OCTETS:  # in base64
        raise _unreadable("corrupt", f"there are more than {MAX_KEYS_OCTETS} bytes of keys")
    outline = pfx_outline.Outline(b"")  # counts iterations
    for label, body in found:
        yield _private_key(label, body, password, outline)


def _private_key(
    label: bytes, body: bytes, password: str | bytes | None, outline: pfx_outline.Outline
) -> PrivateKeyTypes:
    if label and label not in _KEY_LABELS:
        raise _unreadable("unsupported-key", f"{label.decode()} isn't a form of S/MIME keys")
    if body.lstrip().startswith(_OLD_ENCRYPTION):
        pem = b"-----BEGIN %b-----%b-----END %b-----\n" % (label, body, label)
        return _opened(private_keys.load_armoured, pem, password, _OLD_ENCRYPTION.decode())
    try:
        outer = tlv.read(containers.decode(body) if label else body)
        kind = containers.kind_of(outer)
        if kind == "pkcs12":
            text = "this is a PKCS #12 file, which Identity.from_pkcs12 opens"
            raise CertificateError("not-a-certificate", text)
        if kind != "private-key-only":
            raise _none_there("this isn't a private key")
        first = outer.children()[0]
        cipher = pfx_outline.read_cipher(first, outline) if first.tag == tlv.SEQUENCE else ""
    except TlvError as error:
        raise _unreadable("corrupt" if label else error.code, str(error)) from error
    return _opened(private_keys.load, outer.whole, password, cipher)


def _opened(
    load: Callable[[bytes, bytes | None], PrivateKeyTypes],
    octets: bytes,
    password: str | bytes | None,
    cipher: str,
) -> PrivateKeyTypes:
    """A private key; ``cipher`` is "" for one in the clear."""
    if cipher and password is None:
        raise CertificateError("password-needed", "the private key needs its password")
    try:
        return load(octets, pfx.password_octets(password or b"") if cipher else None)
    except UnsupportedAlgorithm:
        code = "unsupported-cipher" if cipher else "unsupported-key"
        raise _unreadable(code, f"its {code.partition('-')[2]} isn't supported") from None
    except ValueError:
        raise _unopened(cipher) from None


def _unopened(cipher: str) -> CertificateError:
    if not cipher:
        return _unreadable("corrupt", "it isn't what its form promises")
    if cipher in RARE_KEY_CIPHERS:
        what = f"{RARE_KEY_CIPHERS[cipher]}, unless the password is wrong"
        return pfx_outline.unsupported(what)
    return CertificateError(
        "wrong-password",
        "the password is wrong or the private key is damaged, which it can't tell apart: try the "
        "password again, then export the key again",
    )


def _unreadable(code: str, why: str) -> CertificateError:
    return CertificateError(
        code, f"the private key can't be read ({why}): export it again, as PKCS #8 or PKCS #12"
    )
