"""Certificates in: from whatever file a person sends to the recipients it names."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..asn1.tlv import TlvError
from ..errors import CertificateError, PrivateKeyIgnored, check_password, octets_of, warn
from . import (
    archive_keys,
    fitness,
    keys,
    x509,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..engine.gate import AnyBuffer
    from .archive_keys import Kek, Password
    from .mail_signature import SignatureCheck

_KEY_ENCIPHERMENT, _KEY_AGREEMENT = 2, 4
_EMAIL_PROTECTION = {"1.3.6.1.5.5.7.3.4", "2.5.29.37.0"}  # itself, and anyExtendedKeyUsage
_WEAK_RSA_BITS = 2048

_SENTENCES = {
    "expired": "The certificate has expired.",
    "not-yet-valid": "The certificate isn't valid yet.",
    "no-key-encipherment": "The key usage doesn't allow key encipherment.",
    "no-key-agreement": "The key usage doesn't allow key agreement.",
    "no-email-protection": "The extended key usage doesn't allow e-mail protection.",
    "weak-key": f"The RSA key has fewer than {_WEAK_RSA_BITS} bits.",
    "no-email": "The certificate names no e-mail address.",
    "ca-certificate": "This is the certificate of a certification authority (CA:TRUE).",
}


@dataclass(frozen=True)
class Problem:
    """Something wrong with a certificate that doesn't make it unusable by itself.

    ``code`` is one of ``expired``, ``not-yet-valid``, ``no-key-encipherment``,
    ``no-key-agreement``, ``no-email-protection``, ``weak-key``, ``no-email``,
    ``ca-certificate``, ``address-mismatch``; ``str(problem)`` is a sentence.
    """

    code: str
    message: str = ""

    def __str__(self) -> str:
        return self.message or _SENTENCES.get(self.code, self.code)


@dataclass(frozen=True, eq=False, repr=False)
class Recipient:
    """Somebody to encrypt to: a certificate (RFC 5280), read and checked once.

    Immutable; two are equal if their fingerprints are. ``der``: the bytes as they stood in the
    file. ``fingerprint``: their SHA-256 in lower-case hex. ``emails``: those of the
    subjectAltName, then the subject's, each once. ``subject``, ``issuer``: RFC 4514 text.
    ``not_before``, ``not_after``: aware, in UTC. ``key``: such as ``"RSA-2048"``, ``"P-256"``,
    ``"X25519"``, ``"ML-KEM-768"``.

    For what names a recipient in CMS (RFC 5652 section 6.2): ``issuer_der`` and ``serial_der``
    are the whole Name and the whole INTEGER, unchanged, and ``key_identifier`` is the content of
    the subjectKeyIdentifier extension or None. ``oaep_only``: the key is marked id-RSAES-OAEP
    (RFC 4055), and PKCS #1 v1.5 must not be used with it.

    ``capabilities``: which ciphers and key transports the certificate says that its owner reads
    (S/MIME capabilities, RFC 4262), by the names that :class:`~cmstream.Policy` has for them and in
    the certificate's order; None where it says nothing at all.
    """

    der: bytes
    fingerprint: str
    emails: tuple[str, ...]
    subject: str
    issuer: str
    serial: int
    not_before: datetime
    not_after: datetime
    key: str
    public_key: keys.PublicKey
    issuer_der: bytes
    serial_der: bytes
    key_identifier: bytes | None
    oaep_only: bool
    capabilities: tuple[str, ...] | None = None
    _lasting: tuple[Problem, ...] = field(default=())

    @classmethod
    def from_der(cls, der: AnyBuffer) -> Recipient:
        """Read exactly one certificate in DER. Raises CertificateError ``truncated``,
        ``corrupt``, or ``unsupported-key`` if its key can't encrypt."""
        return _read(bytes(octets_of(der, "der"))).recipient()

    def __getstate__(self) -> dict[str, object]:
        # A copy isn't one of the recipients that were prepared together.
        return {name: value for name, value in vars(self).items() if name != "_sets"}

    @staticmethod
    def from_password(password: str | bytes) -> Password:
        """Whoever knows a password (RFC 5652 section 6.2.4), for archives: it goes wherever a
        Recipient goes. Text is taken in UTF-8.

        A key is derived for each message that is sealed, which takes a good part of a second by
        design: PBKDF2-HMAC-SHA-256, 600 000 rounds, a salt of its own. A gateway has no time for
        that. Raises ValueError for an empty password, or text that UTF-8 can't encode.
        """
        return archive_keys.password(password)

    @staticmethod
    def from_kek(key: AnyBuffer, key_id: AnyBuffer) -> Kek:
        """Whoever has a key-encryption key (RFC 5652 section 6.2.3) of 16, 24 or 32 bytes, which
        messages call ``key_id``, for archives: it goes wherever a Recipient goes. The cipher's own
        key must not be longer (RFC 3565 section 6). Raises ValueError for another length, or an
        empty name."""
        return archive_keys.kek(key, key_id)

    @property
    def pem(self) -> bytes:
        """The certificate in PEM (RFC 7468), lines ended by LF."""
        text = base64.b64encode(self.der)
        lines = [text[i : i + 64] for i in range(0, len(text), 64)]
        return b"\n".join(
            [b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""]
        )

    def problems(self, at: datetime | None = None) -> tuple[Problem, ...]:
        """What is wrong with the certificate at a moment (default: now).

        Raises ValueError if ``at`` has no time zone.
        """
        moment = datetime.now(timezone.utc) if at is None else at
        if not isinstance(moment, datetime):
            raise TypeError(f"at: give a datetime with a time zone, not {type(at).__name__}")
        if moment.utcoffset() is None:
            raise ValueError("at= needs a time zone, for instance datetime.timezone.utc")
        found = []
        if moment > self.not_after:
            found.append(
                Problem("expired", f"The certificate expired on {self.not_after:%Y-%m-%d}.")
            )
        if moment < self.not_before:
            text = f"The certificate isn't valid before {self.not_before:%Y-%m-%d}."
            found.append(Problem("not-yet-valid", text))
        return (*found, *self._lasting)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recipient):
            return NotImplemented
        return self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        who = self.emails[0] if self.emails else self.subject
        return f"<Recipient {who[:60]!r} {self.key} {self.fingerprint[:16]}>"


@dataclass(frozen=True)
class SetAside:
    """A certificate of the file that isn't used: whose, which, and why not.

    ``subject`` is RFC 4514 text, ``fingerprint`` SHA-256 in lower-case hex, ``reason`` a
    sentence.
    """

    subject: str
    fingerprint: str
    der: bytes = field(repr=False)
    reason: str


@dataclass(frozen=True)
class CertificateFile:
    """What was in a file: whom to encrypt to, what was set aside, whether a private key came along
    (it isn't kept), and of a mail what its signature proves: ``signature.verified``, and
    ``str(signature)`` is a sentence."""

    recipients: tuple[Recipient, ...]
    set_aside: tuple[SetAside, ...] = ()
    private_key_ignored: bool = False
    signature: SignatureCheck | None = None


def load_recipients(data: AnyBuffer, *, password: str | bytes | None = None) -> list[Recipient]:
    """The people whom a file of certificates names; the kind of file is found out.

    The same as :func:`read_certificates`, with a :class:`PrivateKeyIgnored` warning where a
    private key came along. Raises CertificateError.
    """
    found = read_certificates(data, password=password)
    if found.private_key_ignored:
        warn(
            "a private key came along with the certificate and was not kept; its owner should "
            "send the certificate alone",
            PrivateKeyIgnored,
        )
    return list(found.recipients)


def read_certificates(data: AnyBuffer, *, password: str | bytes | None = None) -> CertificateFile:
    """Read a file of certificates: DER (exactly one), PEM (RFC 7468; one or more, text around
    them), PKCS #7 certs-only in DER, BER or PEM (RFC 5652), PKCS #12 (RFC 7292).

    ``password`` opens PKCS #12 and changes nothing else; None tries none and the empty one.
    Also read are Windows's ``.sst`` and text as people send it: PEM with other dashes, base64
    alone, LDIF, vCard, XML. White space behind a binary file does no harm. Of a signed mail
    (RFC 8551, both forms) the signer's own certificate is taken, and what its signature proves
    stands in ``signature``.

    Recipients come in the order of the file, each once. Set aside, while another certificate can
    be used: that of a certification authority (one without e-mail address, or that issued another
    of the file), one that can't be read or whose key can't encrypt, one in a PKCS #12 file that
    isn't its key's, one in a signed mail that isn't the signer's, and one that isn't meant for
    encrypting mail where the same person's other one is
    (:func:`~cmstream.certificates.fitness.unfit`).

    Raises CertificateError: ``empty``, ``not-a-certificate``, ``private-key-only``,
    ``public-key-only``, ``csr``, ``crl``, ``openpgp-key``, ``truncated``, ``trailing-data``,
    ``corrupt``, ``wrong-password``, ``password-needed``, ``unsupported-key``,
    ``unsupported-cipher``.
    """
    return read_within(data, password)


def read_within(
    data: AnyBuffer, password: str | bytes | None, iterations: int | None = None
) -> CertificateFile:
    """The same; a file one of whose passwords takes more ``iterations`` of key derivation is
    refused, with CertificateError ``unsupported-cipher``. None: as many as
    :func:`read_certificates` takes."""
    from . import containers, pfx_outline  # noqa: PLC0415 - a stored certificate is in none

    check_password(password)
    rounds = pfx_outline.Rounds(most=iterations) if iterations else None
    contents = containers.unpack(bytes(octets_of(data, "data")), password, rounds)
    parsed, broken = _readable(contents.certificates)
    kept, aside = _without_authorities(parsed, broken)
    usable, unusable = _usable(kept)
    unfit = fitness.unfit(usable)
    recipients = tuple(one for one in usable if one not in unfit)
    unread = [_unread(der, error) for der, error in broken.items()]
    others = [_unfit(one, problem) for one, problem in unfit.items()]
    why = _NOT_THE_SIGNERS if contents.signature else _NOT_THE_KEYS
    strangers = [_stranger(der, why) for der in dict.fromkeys(contents.strangers)]
    set_aside = (*aside, *unread, *unusable, *others, *strangers)
    return CertificateFile(recipients, set_aside, contents.private_key, contents.signature)


_NOT_THE_KEYS = "It belongs to no private key of this file."
_NOT_THE_SIGNERS = "It isn't the certificate that the mail was signed with."


@dataclass(frozen=True)
class _Parsed:
    """A certificate and its octets, before it is known whether it can be used."""

    der: bytes
    fields: x509.Certificate

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    def set_aside(self, reason: str) -> SetAside:
        return SetAside(self.fields.subject_text, self.fingerprint, self.der, reason)

    def recipient(self) -> Recipient:
        fields = self.fields
        name, key, oaep_only = keys.load(fields.public_key, fields.subject_text)
        return Recipient(
            der=self.der,
            fingerprint=self.fingerprint,
            emails=fields.emails,
            subject=fields.subject_text,
            issuer=fields.issuer_text,
            serial=fields.serial.integer(),
            not_before=fields.not_before,
            not_after=fields.not_after,
            key=name,
            public_key=key,
            issuer_der=fields.issuer.whole,
            serial_der=fields.serial.whole,
            key_identifier=fields.key_identifier,
            oaep_only=oaep_only,
            capabilities=fields.capabilities,
            _lasting=tuple(Problem(code) for code in _lasting(fields, key)),
        )


def _read(der: bytes) -> _Parsed:
    try:
        return _Parsed(der, x509.parse(der))
    except TlvError as error:
        remedy = "its owner to send it again" if error.code == "truncated" else "for another one"
        text = f"the certificate is {error.code} ({error}): ask {remedy}"
        raise CertificateError(error.code, text) from error


def _readable(ders: Iterable[bytes]) -> tuple[list[_Parsed], dict[bytes, CertificateError]]:
    """Each certificate once, and what is wrong with those that can't be read."""
    found = {der: _read_or_error(der) for der in dict.fromkeys(ders)}
    parsed = [one for one in found.values() if isinstance(one, _Parsed)]
    return parsed, {der: one for der, one in found.items() if isinstance(one, CertificateError)}


def _read_or_error(der: bytes) -> _Parsed | CertificateError:
    try:
        return _read(der)
    except CertificateError as error:
        return error


def _lasting(fields: x509.Certificate, key: keys.PublicKey) -> list[str]:
    """The codes of what is wrong at any time."""
    bits, purposes = fields.key_usage, fields.purposes
    rsa_bits = keys.rsa_bits(key)
    agrees = keys.kind(key) == "key-agreement"
    needed = _KEY_AGREEMENT if agrees else _KEY_ENCIPHERMENT
    usage_problem = "no-key-agreement" if agrees else "no-key-encipherment"
    checks = {
        usage_problem: bits is not None and needed not in bits,
        "no-email-protection": purposes is not None and not purposes & _EMAIL_PROTECTION,
        "weak-key": 0 < rsa_bits < _WEAK_RSA_BITS,
        "no-email": not fields.emails,
        "ca-certificate": fields.is_ca,
    }
    return [code for code, found in checks.items() if found]


def _without_authorities(
    parsed: Sequence[_Parsed], broken: Mapping[bytes, CertificateError]
) -> tuple[list[_Parsed], list[SetAside]]:
    """Take away the authorities, so that mail isn't sealed to them too; if nobody would be left,
    all stay. Raises CertificateError where the person's own may be the broken one."""
    issuers = _issuers(parsed, broken)
    reasons = [_authority(one, issuers) for one in parsed]
    if all(reasons) and broken:
        raise next(iter(broken.values()))
    if all(reasons):
        return list(parsed), []
    kept = [one for one, reason in zip(parsed, reasons, strict=True) if not reason]
    aside = [one.set_aside(reason) for one, reason in zip(parsed, reasons, strict=True) if reason]
    return kept, aside


def _issuers(parsed: Sequence[_Parsed], broken: Iterable[bytes]) -> set[bytes]:
    """The names of those who issued something to somebody else: an own renewed certificate doesn't
    count. In a broken one an issuer's name stands once, and in a self-signed one twice."""
    names = [(one.fields.issuer.whole, one.fields.subject.whole) for one in parsed]
    authorities = {one.fields.subject.whole for one in parsed if one.fields.is_ca}
    of_broken = {name for name in authorities if any(der.count(name) == 1 for der in broken)}
    return of_broken | {issuer for issuer, subject in names if issuer != subject}


def _authority(one: _Parsed, issuers: set[bytes]) -> str:
    """Why this is a certification authority's certificate, or "". People's self-signed
    certificates often say CA too: those have an address and issued nothing else."""
    if not one.fields.is_ca:
        return ""
    if not one.fields.emails:
        return "It is a certification authority's, without an e-mail address."
    if one.fields.subject.whole in issuers:
        return "It is the certification authority's that issued another one of this file."
    return ""


def _unread(der: bytes, error: CertificateError) -> SetAside:
    return SetAside("", hashlib.sha256(der).hexdigest(), der, f"It can't be read: {error}.")


def _unfit(one: Recipient, problem: Problem) -> SetAside:
    reason = f"{str(problem).rstrip('.')}, and another one of this file is meant for mail."
    return SetAside(one.subject, one.fingerprint, one.der, reason)


def _stranger(der: bytes, why: str) -> SetAside:
    """A certificate that came along."""
    parsed = _read_or_error(der)
    if isinstance(parsed, CertificateError):
        return _unread(der, parsed)
    return parsed.set_aside(_authority(parsed, set()) or why)


def _usable(parsed: Sequence[_Parsed]) -> tuple[list[Recipient], list[SetAside]]:
    """Those that can be encrypted to; if nobody can, the first one's error is raised."""
    results = [(one, _attempt(one)) for one in parsed]
    recipients = [found for _, found in results if isinstance(found, Recipient)]
    failures = [(one, error) for one, error in results if isinstance(error, CertificateError)]
    if not recipients:
        raise failures[0][1]
    return recipients, [one.set_aside(f"{error}.") for one, error in failures]


def _attempt(one: _Parsed) -> Recipient | CertificateError:
    try:
        return one.recipient()
    except CertificateError as error:
        return error
