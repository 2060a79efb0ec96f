"""Identities, which decrypt messages: each a private key with its certificates."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, get_args

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..asn1 import tlv
from ..asn1.tlv import TlvError
from ..certificates import archive_keys, containers, key_files, keys, pfx, private_keys, x509
from ..certificates.recipient import Recipient
from ..engine.whole_message import RecipientNames
from ..errors import CertificateError, check_password, octets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from ..certificates.archive_keys import Kek, Password
    from ..cms.enveloped import Name, RecipientInfo
    from ..engine.gate import AnyBuffer

    Owned = dict[bytes, list[bytes]]
    """Certificates in DER by their subjectPublicKey; those of b"" are broken."""

_VERSION_0 = bytes.fromhex("020100")
_RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
_METHODS = {"key-transport": "decrypt", "key-agreement": "exchange", "kem": "decapsulate"}
_PUBLIC_KEYS = get_args(PublicKeyTypes)


class Identity:
    """A private key with its certificates: it decrypts what was encrypted to one of them.

    ``key`` is a private key of the library *cryptography*, or a stand-in in front of a token or a
    key service, as :class:`DecryptingKey`, :class:`ExchangingKey` and :class:`DecapsulatingKey`
    say. No other method is called while messages are decrypted; if it has ``public_key()``, that is
    compared with the certificates here, once. ``certificate`` and ``others`` are Recipients, or
    each one certificate in DER or PEM: a renewed certificate often has the key of the one before.

    Without a certificate the key needs ``public_key()`` of the library's kind. Such an identity is
    tried on each RecipientInfo of its kind, as :func:`decrypt` tells.

    ``certificates`` are all of them, and ``recipient`` is the first, or None. ``key`` is the
    private key, ``public_key`` its public half, ``key_name`` what it is called (``"RSA-2048"``),
    ``kind`` the kind of RecipientInfo that it opens (RFC 5652 section 6.2): ``key-transport``,
    ``key-agreement`` or ``kem``. ``key_identifiers`` are those by which a message may name it
    (section 6.2.1): the content of each certificate's subjectKeyIdentifier extension, and where one
    has none, or there is no certificate, the SHA-1 that RFC 5280 section 4.2.1.2 (1) derives from
    the public key. ``usual_infos`` are what a KeyTransRecipientInfo with PKCS #1 v1.5 begins with
    where it names one of the certificates by issuer and serial number; ``names`` are all by which
    a message may name it, for C. Identities compare by identity; ``repr`` shows subject and
    fingerprint alone.

    Raises CertificateError: those of :func:`load_recipients` for a certificate,
    ``trailing-data`` for several in one argument, ``private-key-only`` if one isn't the key's,
    ``unsupported-key`` for a key without a certificate that can't decrypt; and TypeError if the key
    can't do what is needed.
    """

    __slots__ = (
        "certificates",
        "key",
        "key_identifiers",
        "key_name",
        "kind",
        "names",
        "public_key",
        "usual_infos",
    )

    certificates: tuple[Recipient, ...]
    key: Any
    key_identifiers: tuple[bytes, ...]
    key_name: str
    kind: str
    names: RecipientNames
    public_key: keys.PublicKey
    usual_infos: tuple[bytes, ...]

    def __init__(
        self,
        key: Any,
        certificate: Recipient | AnyBuffer | None = None,
        *others: Recipient | AnyBuffer,
    ) -> None:
        given = () if certificate is None else (certificate, *others)
        self.certificates = tuple(
            one if isinstance(one, Recipient) else _only(one) for one in given
        )
        for recipient in self.certificates:
            if not _may_belong(key, recipient) or not _same_key(recipient, self.certificates[0]):
                raise _stranger(f"the certificate of {recipient.subject} isn't the private key's")
        self.key = key
        self.key_name, self.public_key = _public_half(key, self.certificates)
        self.kind = keys.kind(self.public_key)
        _check_able(key, self.kind, self.key_name)
        self.key_identifiers = tuple(dict.fromkeys(_identifiers(self.certificates, key)))
        self.usual_infos = tuple(map(_usual_info, self.certificates))
        named = [one.issuer_der + one.serial_der for one in self.certificates]
        self.names = RecipientNames(named, self.key_identifiers)

    @property
    def recipient(self) -> Recipient | None:
        """The first certificate, or None if there is none."""
        return self.certificates[0] if self.certificates else None

    @classmethod
    def from_pkcs12(cls, data: AnyBuffer, password: str | bytes | None = None) -> Identity:
        """The identity in a PKCS #12 file (RFC 7292), binary or armoured, old ciphers included:
        the first of its keys that can decrypt and has a certificate, with all certificates that
        have its public key, the one with its localKeyID first. :func:`load_identities` gives all.

        ``password``: as text it is tried in UTF-8; None tries none and the empty one.

        Raises CertificateError: ``empty``, ``not-a-certificate`` if this isn't PKCS #12, or it
        holds no key, ``private-key-only`` if none with its certificate, ``wrong-password``,
        ``password-needed``, ``truncated``, ``corrupt``, ``unsupported-cipher``,
        ``unsupported-key``.
        """
        check_password(password)
        octets = key_files.octets_of_file(data, "PKCS #12 file")
        found = _certified(_each_once(_of_pkcs12(octets, password)), lambda _: nullcontext())
        if not found:
            raise pfx.no_certificate()
        return found[0]

    @classmethod
    def from_pem(
        cls, key: AnyBuffer, certificate: AnyBuffer, password: str | bytes | None = None
    ) -> Identity:
        """The identity of a private key and those certificates of a file that have its public key.

        ``key``: PKCS #8 (RFC 5958), plain or encrypted, PKCS #1 (RFC 8017) or SEC 1 (RFC 5915),
        in DER or PEM; text and other blocks around it are passed over, and of several keys the
        first that can decrypt and fits a certificate counts. ``certificate``: whatever
        :func:`load_recipients` reads; both may be the same file. ``password`` opens what is
        encrypted. :func:`load_identities` gives all of a file.

        Raises CertificateError: ``empty``, ``not-a-certificate`` if there is no key,
        ``private-key-only`` if none fits a certificate, ``wrong-password``, ``password-needed``,
        ``truncated``, ``corrupt``, ``unsupported-cipher``, ``unsupported-key``, and for the
        certificate those of :func:`load_recipients`. The text begins with ``key:`` or
        ``certificate:`` where that one is at fault.
        """
        return pair(key, [certificate], password)[0]

    @staticmethod
    def from_password(password: str | bytes) -> Password:
        """What decrypts messages that were encrypted with a password; use it like an Identity. Text
        is encoded in UTF-8.

        Nothing in a message says which password fits. If the message names another identity, that
        one decrypts it; else the password is tried on all that the message has for passwords, which
        takes a fraction of a second each.
        Raises ValueError for an empty password, or text that UTF-8 can't encode.
        """
        return archive_keys.password(password)

    @staticmethod
    def from_kek(key: AnyBuffer, key_id: AnyBuffer) -> Kek:
        """What decrypts messages that were encrypted with a key-encryption key of 16, 24 or 32
        bytes and the name ``key_id``; use it like an Identity. Raises ValueError for another
        length, or an empty name."""
        return archive_keys.kek(key, key_id)

    def place(self, info: RecipientInfo) -> int | None:
        """Which of a RecipientInfo's names is this one's, counted from 0; None if none is. Bytes
        alone are compared."""
        return next((index for index, name in enumerate(info.names) if self._is_named(name)), None)

    def _is_named(self, name: Name) -> bool:
        if name.key_identifier is not None:
            return name.key_identifier in self.key_identifiers
        return any(name.is_of(one, ()) for one in self.certificates)

    def __repr__(self) -> str:
        if self.recipient is None:
            return f"<Identity without a certificate, {self.key_name}>"
        return f"<Identity {self.recipient.subject[:60]!r} {self.recipient.fingerprint}>"


def load_identities(data: AnyBuffer, *, password: str | bytes | None = None) -> list[Identity]:
    """All identities of a PKCS #12 or PEM file, or a key in DER: one for each private key, in their
    order, with all certificates of the file that have its public key. A key without a certificate
    has none, and its ``recipient`` is None. The counterpart of :func:`load_recipients`.

    Forms and ``password`` as for :meth:`Identity.from_pkcs12` and :meth:`Identity.from_pem`. A key
    that doesn't open with the password, is damaged, or can only sign is passed over where another
    one can be used; so is a certificate that can't be read.

    Raises CertificateError: ``empty``, ``not-a-certificate`` if there is no key,
    ``wrong-password``, ``password-needed`` (also if only one of several keys needs it),
    ``truncated``, ``corrupt``, ``unsupported-cipher``, ``unsupported-key``.
    """
    check_password(password)
    octets = key_files.octets_of_file(data, "file")
    errors: list[CertificateError] = []
    if key_files.is_pkcs12(octets):
        found = _of_pkcs12(octets, password)
    else:
        privates, errors = key_files.read_keys(octets, password)
        if needed := [one for one in errors if one.code == "password-needed"]:
            raise needed[0]
        owned = _by_key(_certificates_beside_keys(octets, password))
        found = [pfx.OwnedKey(one, tuple(owned.get(_bits(one), ()))) for one in privates]
    results = [_identity_or_error(one) for one in _each_once(found)]
    identities = [one for one in results if isinstance(one, Identity)]
    if not identities:
        raise next(one for one in [*results, *errors] if isinstance(one, CertificateError))
    return identities


def pair(
    key: AnyBuffer, certificates: Sequence[AnyBuffer], password: str | bytes | None = None
) -> list[Identity]:
    """The identities of those keys of one file that have a certificate in others; at least one.
    Raises as :meth:`Identity.from_pem`."""
    check_password(password)
    with _argument("key"):
        octets = key_files.octets_of_file(key, "private key's file")
    contents = [
        _contents(bytes(octets_of(one, "certificate")), password, octets) for one in certificates
    ]
    with _argument("key"):
        privates, errors = key_files.read_keys(octets, password)
    owned = _by_key(der for one in contents for der in (*one.certificates, *one.strangers))
    found = _each_once(pfx.OwnedKey(one, tuple(owned.get(_bits(one), ()))) for one in privates)
    if identities := _certified(found, _argument):
        return identities
    with _argument("key"):
        for error in errors:
            raise error
    for der in owned.get(b"", ()):
        with _argument("certificate"):
            Recipient.from_der(der)  # says what is broken
    raise _stranger("the private key fits none of the certificates")


def _only(data: AnyBuffer) -> Recipient:
    found = dict.fromkeys(
        containers.unpack(bytes(octets_of(data, "certificate")), None).certificates
    )
    if len(found) > 1:
        raise CertificateError(
            "trailing-data",
            f"there are {len(found)} certificates where the private key's alone should be: take "
            "the others away, or choose one by load_recipients",
        )
    return Recipient.from_der(next(iter(found)))


def _may_belong(key: Any, recipient: Recipient) -> bool:
    """Whether the key's public half is the certificate's, or can't be known."""
    public = _asked(key)
    try:
        return public is None or _public_bits(public) == _public_bits(recipient.public_key)
    except NotImplementedError:  # a stand-in that derives from the library's abstract class
        return True


def _same_key(one: Recipient, other: Recipient) -> bool:
    return one is other or _public_bits(one.public_key) == _public_bits(other.public_key)


_public_bits = private_keys.public_bits


def _bits(private: PrivateKeyTypes) -> bytes:
    return _public_bits(private.public_key())


def _asked(key: Any) -> Any:
    """The key's public half, if it has one of the library's kind."""
    ask = getattr(key, "public_key", None)
    try:
        public = ask() if callable(ask) else None
    except NotImplementedError:
        return None
    return public if isinstance(public, _PUBLIC_KEYS) else None


def _public_half(key: Any, certificates: Sequence[Recipient]) -> tuple[str, keys.PublicKey]:
    """The name and the key. Raises TypeError, CertificateError ``unsupported-key``."""
    if certificates:
        return certificates[0].key, certificates[0].public_key
    public = _asked(key)
    if public is None:
        raise TypeError("the private key has no public_key(): give its certificate")
    info = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        name, found, _ = keys.load(tlv.read_only(info), "the private key")
    except CertificateError:
        why = "keys of this kind or length decrypt nothing"
        raise key_files.unreadable("unsupported-key", why) from None
    return name, found


def _check_able(key: Any, kind: str, name: str) -> None:
    needed = _METHODS[kind]
    if not callable(getattr(key, needed, None)):
        raise TypeError(
            f"the private key for a certificate with {name} needs a method {needed}; "
            "for the bytes of a key there is Identity.from_pem"
        )


def _identifiers(certificates: Sequence[Recipient], key: Any) -> Iterator[bytes]:
    for recipient in certificates:
        info = x509.parse(recipient.der).public_key
        yield recipient.key_identifier or _derived_identifier(private_keys.key_bits(info))
    if not certificates:
        yield _derived_identifier(_bits(key))


def _derived_identifier(bits: bytes) -> bytes:
    return hashlib.sha1(bits[1:], usedforsecurity=False).digest()


def _usual_info(recipient: Recipient) -> bytes:
    name = tlv.build(tlv.SEQUENCE, recipient.issuer_der, recipient.serial_der)
    return _VERSION_0 + name + _RSA_ENCRYPTION


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


def _of_pkcs12(octets: bytes, password: str | bytes | None) -> list[pfx.OwnedKey]:
    try:
        return pfx.open_keys(key_files.read_pfx(octets), password)
    except TlvError as error:
        raise containers.broken(error) from error


def _by_key(certificates: Iterable[bytes]) -> Owned:
    owned: Owned = {}
    for der in dict.fromkeys(certificates):
        owned.setdefault(private_keys.certified_bits(der), []).append(der)
    return owned


def _each_once(found: Iterable[pfx.OwnedKey]) -> list[pfx.OwnedKey]:
    """Some files hold a key twice, with one of its certificates each."""
    merged: dict[bytes, pfx.OwnedKey] = {}
    for one in found:
        before = merged.setdefault(_bits(one.private), one)
        every = tuple(dict.fromkeys([*before.certificates, *one.certificates]))
        merged[_bits(one.private)] = before._replace(certificates=every)
    return list(merged.values())


def _certified(
    found: Iterable[pfx.OwnedKey], named: Callable[[str], AbstractContextManager[None]]
) -> list[Identity]:
    """The identities of those keys that have certificates, with those that can be read. Raises what
    is wrong with the first one if there is no such identity; none if no key has a certificate."""
    some = [one for one in found if one.certificates]
    results = [_identity_or_error(one) for one in some]
    identities = [one for one in results if isinstance(one, Identity) and one.certificates]
    if some and not identities:
        with named("certificate"):
            Recipient.from_der(some[0].certificates[0])
        with named("key"):
            raise next(one for one in results if isinstance(one, CertificateError))
    return identities


def _identity_or_error(one: pfx.OwnedKey) -> Identity | CertificateError:
    """The identity with those certificates that can be read, or what is wrong with the key."""
    recipients = [found for der in one.certificates if (found := _recipient(der)) is not None]
    try:
        return _checked(one.private, recipients)
    except CertificateError as error:
        return error


def _recipient(der: bytes) -> Recipient | None:
    try:
        return Recipient.from_der(der)
    except CertificateError:
        return None


def _checked(private: PrivateKeyTypes, recipients: Sequence[Recipient]) -> Identity:
    """An identity from a file, whose key may be damaged."""
    found = Identity(private, *recipients)
    try:
        private_keys.check(private)
    except ValueError as error:
        raise key_files.unreadable("corrupt", str(error)) from None
    return found


def _certificates_beside_keys(data: bytes, password: str | bytes | None) -> Sequence[bytes]:
    """The certificates of a file that may hold keys alone, or none that can be read."""
    try:
        found = containers.unpack(data, password)
    except CertificateError:
        return ()
    return (*found.certificates, *found.strangers)


def _contents(data: bytes, password: str | bytes | None, key: bytes) -> containers.Contents:
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
