"""What kind of file is this? DER, PEM armour (RFC 7468), PKCS #7, PKCS #12 and what people make of
them, down to the certificates inside, and a clear word for what isn't a certificate."""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..errors import CertificateError
from . import other_files, pfx, serialized_store, signed_mail, text_forms
from .mail_signature import UNSIGNED, SignatureCheck
from .pfx_outline import Rounds

MAX_FILE = 4 << 20
"""Octets of a file. A thousand certificates in PEM are about 1.5 MB; nobody sends more."""

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_CONTEXT_0 = 0xA0
_MAX_LAYERS = 3
"""Of base64 in base64: a mail with an armoured file has two."""
_WHITE = b"\t\n\v\f\r "
_PADDING = _WHITE + b"\0\x1a"
"""What editors, terminals and transfers leave behind a file."""
# OpenSSL's trust settings follow the certificate.
_TRUSTED = b"TRUSTED CERTIFICATE"
# What is inside decides which of them it is: Windows labels PKCS #7 as a certificate.
_LABELS = {
    b"CERTIFICATE",
    b"X509 CERTIFICATE",
    _TRUSTED,
    b"PKCS7",
    b"PKCS #7 SIGNED DATA",
    b"CMS",
    b"PKCS12",
    b"PFX",
}

_INSTEAD = {
    "empty": "the file is empty",
    "not-a-certificate": "this isn't a certificate, nor a file that holds one",
    "private-key-only": "this is a private key without a certificate, which its owner should never "
    "send to anybody: send the certificate alone, as DER, PEM or PKCS #7",
    "public-key-only": "this is a bare public key without a certificate",
    "csr": "this is a certificate request, not yet a certificate",
    "crl": "this is a list of revoked certificates, not a certificate",
    "openpgp-key": "this is an OpenPGP key, which S/MIME can't use",
}
_REMEDY = "send the S/MIME certificate as DER, PEM, PKCS #7 or PKCS #12"


class Contents(NamedTuple):
    """Certificates in DER in the order of the file, those that belong to no key of a PKCS #12
    file or aren't a mail's signer's, whether a private key was there, and what can be said of a
    mail's signature."""

    certificates: tuple[bytes, ...]
    strangers: tuple[bytes, ...] = ()
    private_key: bool = False
    signature: SignatureCheck | None = None


class _Unlocking(NamedTuple):
    """What opens the PFX files of an input, and what they have asked for together."""

    password: str | bytes | None
    rounds: Rounds


def unpack(data: bytes, password: str | bytes | None, rounds: Rounds | None = None) -> Contents:
    """The certificates of a file of any kind; at least one. ``rounds``: how many of key
    derivation it may ask for, if not as many as usual. Raises CertificateError."""
    if len(data) > MAX_FILE:
        raise CertificateError(
            "not-a-certificate", f"the file has more than {MAX_FILE} bytes: {_REMEDY}"
        )
    if not data.strip():
        raise _instead("empty")
    if mail := signed_mail.read(data):
        return Contents(mail.own, mail.others, signature=mail.check)
    return _contents(data, _Unlocking(password, rounds or Rounds()), _MAX_LAYERS)


def _contents(data: bytes, how: _Unlocking, layers: int) -> Contents:
    """``layers``: how many of base64 are taken off at most."""
    try:
        if data.startswith(serialized_store.BEGINNING):
            return _stored(data)
        if what := other_files.named(data):
            raise CertificateError("not-a-certificate", what)
        if not is_text(octets := data.lstrip(_WHITE)):
            return _binary(octets, how, _PADDING)
    except TlvError as error:
        raise broken(error) from error
    return _text(data, how, layers)


def _stored(data: bytes) -> Contents:
    found = tuple(serialized_store.certificates(data))
    if not found:
        raise CertificateError("not-a-certificate", f"this store (.sst) is empty: {_REMEDY}")
    return Contents(found)


def is_text(data: bytes) -> bool:
    """Whether a file is armoured or other text rather than binary."""
    # Text may begin with the digit 0, which is a SEQUENCE's octet.
    return data[:1] != b"0" or _ARMOURED_TEXT.match(data) is not None


def _instead(code: str) -> CertificateError:
    remedy = "" if code == "private-key-only" else f": {_REMEDY}"
    return CertificateError(code, f"{_INSTEAD[code]}{remedy}")


def broken(error: TlvError) -> CertificateError:
    """The error for a file that ends too early or isn't what it should be."""
    # One that came whole would come again as it is.
    again = "ask its owner to send it again"
    remedy = again if error.code == "truncated" else "ask for it in another form, such as PEM"
    return CertificateError(error.code, f"the file is {error.code} ({error}): {remedy}")


def _binary(data: bytes, how: _Unlocking, padding: bytes = b"") -> Contents:
    """``padding``: octets that may follow."""
    outer = tlv.read(data)
    kind = kind_of(outer)
    if kind == "pkcs12":
        # Some programs pad these files; the MAC covers what counts.
        return _pkcs12(outer.whole, how)
    if kind not in {"certificate", "pkcs7"}:
        raise _instead(kind)
    certificates = (outer.whole,) if kind == "certificate" else _pkcs7(outer)
    if data[outer.end :].strip(padding):
        raise CertificateError(
            "trailing-data",
            f"{len(data) - outer.end} bytes follow the first element: several certificates in "
            "one file must be PEM or PKCS #7",
        )
    return Contents(certificates)


def kind_of(outer: Tlv) -> str:
    """What an element is, by the tags inside: "certificate", "pkcs7", "pkcs12", or the code of
    what it is instead."""
    children = outer.children()
    tags = tuple(child.tag for child in children)
    if tags[:1] == (tlv.OID,):
        return "pkcs7"
    if tags[:1] == (tlv.INTEGER,):
        return _versioned(children, tags)
    if tags == (tlv.SEQUENCE, tlv.BIT_STRING):
        return "public-key-only"
    if tags in {(tlv.SEQUENCE, tlv.OCTET_STRING), (tlv.SEQUENCE, tlv.SEGMENTED)}:
        return "private-key-only"
    if tags == (tlv.SEQUENCE, tlv.SEQUENCE, tlv.BIT_STRING):
        return _signed(children[0])
    return "not-a-certificate"


def _versioned(children: tuple[Tlv, ...], tags: tuple[int, ...]) -> str:
    """PKCS #12, PKCS #8, PKCS #1 and SEC 1 all begin with an integer."""
    if tags == (tlv.INTEGER, tlv.INTEGER):
        return "public-key-only"
    if tags[1:2] == (tlv.SEQUENCE,) and children[0].content == b"\x03":
        return "pkcs12"
    if tags[1:2] in {(tlv.INTEGER,), (tlv.SEQUENCE,), (tlv.OCTET_STRING,)}:
        return "private-key-only"
    return "not-a-certificate"


def _signed(body: Tlv) -> str:
    """Certificate, request or revocation list: all are a signed SEQUENCE."""
    tags = tuple(child.tag for child in body.children())
    if tags[:4] == (tlv.INTEGER, tlv.SEQUENCE, tlv.SEQUENCE, _CONTEXT_0):
        return "csr"
    if len(tags) > 2 and {0x17, 0x18} & set(tags[2:4]):  # noqa: PLR2004
        return "crl"
    return "certificate"


def _pkcs7(outer: Tlv) -> tuple[bytes, ...]:
    """The certificates of a SignedData (RFC 5652 section 5.1)."""
    info = outer.fields()
    if info.take(tlv.OID).oid() != _SIGNED_DATA:
        raise CertificateError(
            "not-a-certificate", f"this is CMS, but not one that holds certificates: {_REMEDY}"
        )
    signed = info.take(_CONTEXT_0).fields().take(tlv.SEQUENCE).fields()
    for tag in (tlv.INTEGER, tlv.SET, tlv.SEQUENCE):
        signed.take(tag)
    wrapper = signed.maybe(_CONTEXT_0)
    children = wrapper.children() if wrapper else ()
    found = tuple(child.whole for child in children if child.tag == tlv.SEQUENCE)
    if not found:
        raise CertificateError(
            "not-a-certificate", f"this PKCS #7 file holds no certificate: {_REMEDY}"
        )
    return found


def _pkcs12(data: bytes, how: _Unlocking) -> Contents:
    found = pfx.open_pfx(data, how.password, how.rounds)
    if not found.certificates:
        raise _instead("private-key-only" if found.private_key else "not-a-certificate")
    return Contents(found.certificates, found.strangers, found.private_key)


_ARMOURED_TEXT = re.compile(rb"[\t\n\r -~\x80-\xff]*?-----BEGIN ")
_MARKER = re.compile(rb"-----(BEGIN|END) ([A-Z0-9][A-Z0-9 #.]{0,63})-----")
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def _text(data: bytes, how: _Unlocking, layers: int) -> Contents:
    text = text_forms.plain(data)
    if not (armoured := blocks(text)):
        return _embedded(data, text, how, layers)
    found = _joined([_block(label, body, how) for label, body in armoured])
    if not found.certificates:
        raise _instead(_instead_of_armour([label for label, _ in armoured]))
    return found


def _joined(parts: list[Contents]) -> Contents:
    return Contents(
        tuple(der for one in parts for der in one.certificates),
        tuple(der for one in parts for der in one.strangers),
        any(one.private_key for one in parts),
    )


def _embedded(data: bytes, text: bytes, how: _Unlocking, layers: int) -> Contents:
    """The certificates that a text without armour holds in base64. What holds none is passed over,
    unless all of it does."""
    values = text_forms.embedded(text) if layers else []
    tried = [_contents_or_error(octets, how, layers - 1) for octets in values]
    found = [one for one in tried if isinstance(one, Contents)]
    if found:
        check = UNSIGNED if text_forms.is_mail(text) else None
        return _joined(found)._replace(signature=check)
    failures = [one for one in tried if isinstance(one, CertificateError)]
    telling = [one for one in failures if one.code != "not-a-certificate"]
    raise telling[0] if telling else _without_certificates(data, text)


def _contents_or_error(data: bytes, how: _Unlocking, layers: int) -> Contents | CertificateError:
    try:
        return _contents(data, how, layers)
    except CertificateError as error:
        return error


def _without_certificates(data: bytes, text: bytes) -> CertificateError:
    if signed_mail.is_encrypted(text):
        return CertificateError(
            "not-a-certificate",
            "this mail is encrypted, so that no certificate in it can be read: ask its sender for a"
            f" signed one that isn't encrypted, or {_REMEDY}",
        )
    if text_forms.is_mail(text):
        return CertificateError(
            "not-a-certificate",
            "this is a mail in which no certificate can be found: ask its sender for a signed one, "
            f"or {_REMEDY}",
        )
    if text_forms.is_ldif(text):
        return CertificateError(
            "not-a-certificate",
            "this is LDIF without a certificate in it: export the attribute userCertificate;binary "
            f"or userSMIMECertificate, or {_REMEDY}",
        )
    if text_forms.has_odd_dashes(text):
        return CertificateError(
            "not-a-certificate",
            "the lines BEGIN and END need five hyphens on either side, as in -----BEGIN "
            f"CERTIFICATE-----: mend them, or {_REMEDY}",
        )
    return _instead(_not_armoured(data))


def blocks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Label and body of each armoured block. Text outside is of no matter. Raises CertificateError
    ``truncated``, ``corrupt``."""
    found = []
    begin: re.Match[bytes] | None = None
    for marker in _MARKER.finditer(data):
        if begin is None:
            begin = marker if marker[1] == b"BEGIN" else None
        elif marker[1] == b"BEGIN":
            raise _unclosed(begin)
        elif marker[2] != begin[2]:
            label = begin[2].decode()
            raise CertificateError(
                "corrupt", f"BEGIN {label} has the END of another label: ask for the file again"
            )
        else:
            # Some write more than five hyphens.
            found.append((begin[2], data[begin.end() : marker.start()].strip(b"-")))
            begin = None
    if begin is not None:
        raise _unclosed(begin)
    return found


def _unclosed(begin: re.Match[bytes]) -> CertificateError:
    label = begin[2].decode()
    return CertificateError(
        "truncated", f"BEGIN {label} has no END: part of the file is missing, ask for all of it"
    )


def _block(label: bytes, body: bytes, how: _Unlocking) -> Contents:
    """The certificates of one armoured block; none if it is something else."""
    if label not in _LABELS:
        return Contents((), private_key=b"PRIVATE KEY" in label)
    data = decode(body)
    try:
        if label == _TRUSTED:
            data = tlv.read(data).whole
        return _binary(data, how)
    except TlvError as error:
        if b"CERTIFICATE" in label and _is_whole(data):
            return Contents((data,))  # broken inside, which is no matter where others stand beside
        # The armour was closed, so nothing was cut off in transit.
        raise CertificateError(
            "corrupt", f"what is between BEGIN and END is corrupt ({error}): ask for another one"
        ) from error


def _is_whole(data: bytes) -> bool:
    try:
        return tlv.read(data).end == len(data)
    except TlvError:
        return False


def decode(body: bytes) -> bytes:
    """The octets of an armoured block. Raises CertificateError ``corrupt``."""
    text = b"".join(body.split()).replace(b"=3D", b"=")  # of quoted-printable
    if not text or not _BASE64.fullmatch(text):
        raise CertificateError(
            "corrupt",
            "an armoured block is empty or isn't base64: ask for the file itself, not for a "
            "copy of its text",
        )
    return base64.b64decode(text)


def _instead_of_armour(labels: list[bytes]) -> str:
    codes = {
        rb"PGP .*": "openpgp-key",
        rb".*PRIVATE KEY": "private-key-only",
        rb".*PUBLIC KEY": "public-key-only",
        rb".*CERTIFICATE REQUEST": "csr",
        rb".*CRL": "crl",
    }
    for pattern, code in codes.items():
        if any(re.fullmatch(pattern, label) for label in labels):
            return code
    return "not-a-certificate"


def _not_armoured(data: bytes) -> str:
    if re.match(rb"(?:ssh-|ecdsa-sha2-|sk-)[a-z0-9@.-]+ AAAA", data):
        return "public-key-only"
    return "openpgp-key" if _OPENPGP.match(data) else "not-a-certificate"


# A key packet in either header format (RFC 9580 section 4.2) with a known version number.
_OPENPGP = re.compile(
    rb"(?:[\x94\x98].|[\x95\x99]..|[\xc5\xc6](?:[\x00-\xbf]|[\xc0-\xdf].|\xff....))[\x03-\x06]",
    re.DOTALL,
)
