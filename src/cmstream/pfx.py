"""PKCS #12 files (RFC 7292): the certificates that belong to a person.

The library decrypts. Before it, a look at what stands in the clear tells broken files, unknown
algorithms and hostile iteration counts apart, for which the library has one sentence or none.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from . import tlv
from .errors import CertificateError
from .tlv import Tlv, TlvError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ITERATIONS = 5_000_000
"""Rounds of key derivation in a whole file. Programs write 2 000 to 1 000 000; these take
seconds, and what asks for more wants to keep the machine busy."""
MAX_MAC_KEY = 64
"""Octets of PBMAC1's key: the longest digest (RFC 9579 section 5)."""

_CONTEXT_0 = 0xA0
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
_PKCS12_PBES = {f"1.2.840.113549.1.12.1.{n}" for n in range(1, 7)}  # RC4, 3DES, RC2
_HMACS = {f"1.2.840.113549.2.{n}" for n in range(7, 14)}
_CIPHERS = {
    *(f"2.16.840.1.101.3.4.1.{n}" for n in (2, 22, 42)),  # AES-CBC
    *(f"1.2.392.200011.61.1.1.1.{n}" for n in (2, 3, 4)),  # Camellia-CBC
    "1.2.840.113549.3.2",  # RC2-CBC
    "1.2.840.113549.3.7",  # 3DES-CBC
}
_DIGESTS = {"1.3.14.3.2.26", "1.2.840.113549.2.5"} | {  # SHA-1, MD5, SHA-2
    f"2.16.840.1.101.3.4.2.{n}" for n in range(1, 7)
}

_one_at_a_time = threading.Lock()


class PfxContents(NamedTuple):
    """Certificates in DER: the person's, and others beside them; whether a key was there."""

    certificates: tuple[bytes, ...]
    strangers: tuple[bytes, ...]
    private_key: bool


@dataclass
class _Outline:
    """What a file shows without its password. The ids are localKeyID attributes, None if absent."""

    mac: bool = False
    encrypted: bool = False
    iterations: int = 0
    certificates: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)


def open_pfx(data: bytes, password: str | bytes | None) -> PfxContents:
    """The certificates of one PFX, as ``openssl pkcs12 -clcerts -nokeys`` chooses them: the
    key's; all where there is no key, or several.

    Raises TlvError for a broken file, CertificateError ``wrong-password``, ``password-needed``,
    ``corrupt`` and ``unsupported-cipher``.
    """
    outline = _read_outline(data)
    if not outline.mac and not outline.encrypted:
        return _from_the_clear(outline)
    found = _load(data, password)
    others = tuple(one.certificate.public_bytes(Encoding.DER) for one in found.additional_certs)
    own: tuple[bytes, ...] = ()
    if found.cert:
        own = (found.cert.certificate.public_bytes(Encoding.DER),)
    if len(outline.keys) > 1 or not own:
        own, others = own + others, ()
    return PfxContents(own, others, found.key is not None or bool(outline.keys))


def _from_the_clear(outline: _Outline) -> PfxContents:
    """Nothing needs the password but the private key, which isn't wanted."""
    ids = {key_id for key_id in outline.keys if key_id is not None}
    own = tuple(der for der, key_id in outline.certificates if key_id in ids)
    others = tuple(der for der, key_id in outline.certificates if key_id not in ids)
    if not own:
        own, others = others, ()
    return PfxContents(own, others, bool(outline.keys))


def _load(data: bytes, password: str | bytes | None) -> pkcs12.PKCS12KeyAndCertificates:
    errors = []
    for candidate in _candidates(password):
        found = _attempt(data, candidate)
        if not isinstance(found, ValueError):
            return found
        errors.append(found)
    error = errors[0] if errors else ValueError("a password with NUL")
    raise _closed(password, error) from error


def _attempt(data: bytes, password: bytes | None) -> pkcs12.PKCS12KeyAndCertificates | ValueError:
    try:
        # It warns of BER and of odd serial numbers, which are welcome here. The lock is there
        # because warning filters belong to the process.
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return pkcs12.load_pkcs12(data, password)
    except UnsupportedAlgorithm as error:
        raise _unsupported("an algorithm that the library lacks") from error
    except ValueError as error:
        return error


def _candidates(password: str | bytes | None) -> Iterator[bytes | None]:
    """What to try, in UTF-8, since the library takes nothing else."""
    if password is None:
        yield None
        yield b""
        return
    octets = password.encode("utf-8", "replace") if isinstance(password, str) else password
    if b"\0" in octets:
        # Nobody can have typed it, and the library breaks down over it.
        return
    if _is_utf8(octets):
        yield octets
    if not octets.isascii():
        # OpenSSL before 1.1 took all octets for Latin-1, and its files are still about.
        yield octets.decode("latin-1").encode()


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def _closed(password: str | bytes | None, error: ValueError) -> CertificateError:
    if "password" not in str(error):
        return CertificateError(
            "corrupt",
            "the PKCS #12 file opens but what is inside can't be read: export it again, or send "
            "the certificate alone",
        )
    if password is None:
        return CertificateError("password-needed", "the PKCS #12 file needs its password")
    return CertificateError(
        "wrong-password",
        "the password is wrong or the PKCS #12 file is damaged, which it can't tell apart: try "
        "the password again, then export the file again",
    )


def _unsupported(what: str) -> CertificateError:
    return CertificateError(
        "unsupported-cipher",
        f"the PKCS #12 file is protected in a way that isn't supported ({what}): export it "
        "again with AES-256, or send the certificate alone",
    )


def _read_outline(data: bytes) -> _Outline:
    fields = tlv.read_only(data).fields()
    fields.take(tlv.INTEGER)
    kind, content = _content_info(fields.take(tlv.SEQUENCE))
    if kind != _DATA or content is None:
        raise _unsupported(f"contents of type {kind}")
    outline = _Outline()
    if mac := fields.maybe(tlv.SEQUENCE):
        outline.mac = True
        _read_mac(mac, outline)
    fields.done()
    for info in tlv.read_only(content.octets()).children():
        _read_contents(info, outline)
    if outline.iterations > MAX_ITERATIONS:
        raise _unsupported(f"{outline.iterations} iterations, more than {MAX_ITERATIONS}")
    return outline


def _content_info(info: Tlv) -> tuple[str, Tlv | None]:
    """The type and the content of a ContentInfo (RFC 5652 section 3)."""
    fields = info.fields()
    kind = fields.take(tlv.OID).oid()
    wrapper = fields.maybe(_CONTEXT_0)
    inside = wrapper.children() if wrapper else ()
    return kind, inside[0] if inside else None


def _read_mac(mac: Tlv, outline: _Outline) -> None:
    """MacData (RFC 7292 section 4; PBMAC1: RFC 9579)."""
    fields = mac.fields()
    algorithm = fields.take(tlv.SEQUENCE).fields().take(tlv.SEQUENCE).fields()
    oid = algorithm.take(tlv.OID).oid()
    fields.take(tlv.OCTET_STRING)
    if oid == _PBMAC1:
        _read_pbkdf2(algorithm.take(tlv.SEQUENCE).fields().take(tlv.SEQUENCE), outline)
    elif oid in _DIGESTS:
        count = fields.maybe(tlv.INTEGER)
        _count(count.integer() if count else 1, outline)
    else:
        raise _unsupported(f"a MAC by {oid}")


def _read_contents(info: Tlv, outline: _Outline) -> None:
    kind, content = _content_info(info)
    if content is None:
        raise TlvError("contents without content")
    if kind == _DATA:
        _read_bags(tlv.read_only(content.octets()), outline)
    elif kind == _ENCRYPTED_DATA:
        outline.encrypted = True
        fields = content.fields()
        fields.take(tlv.INTEGER)
        encrypted = fields.take(tlv.SEQUENCE).fields()
        encrypted.take(tlv.OID)
        _read_cipher(encrypted.take(tlv.SEQUENCE), outline)
    else:
        raise _unsupported(f"contents of type {kind}")


def _read_bags(bags: Tlv, outline: _Outline, depth: int = 0) -> None:
    if depth > tlv.MAX_DEPTH:
        raise TlvError(f"bags nested more than {tlv.MAX_DEPTH} deep")
    for bag in bags.children():
        fields = bag.fields()
        kind, value = fields.take(tlv.OID).oid(), fields.take(_CONTEXT_0).fields()
        key_id = _local_key_id(fields.maybe(tlv.SET))
        if kind in {_KEY_BAG, _SHROUDED_KEY_BAG}:
            outline.keys.append(key_id)
        if kind == _SHROUDED_KEY_BAG:
            _read_cipher(value.take(tlv.SEQUENCE).fields().take(tlv.SEQUENCE), outline)
        elif kind == _CERTIFICATE_BAG:
            outline.certificates += [(der, key_id) for der in _certificate(value)]
        elif kind == _NESTED_BAGS:
            _read_bags(value.take(tlv.SEQUENCE), outline, depth + 1)


def _certificate(value: tlv.Fields) -> Iterator[bytes]:
    """The certificate of a CertBag; none if it is an SDSI certificate."""
    fields = value.take(tlv.SEQUENCE).fields()
    if fields.take(tlv.OID).oid() == _X509_CERTIFICATE:
        for octets in fields.take(_CONTEXT_0).children():
            yield octets.octets()


def _local_key_id(attributes: Tlv | None) -> bytes | None:
    for attribute in attributes.children() if attributes else ():
        fields = attribute.fields()
        if fields.take(tlv.OID).oid() == _LOCAL_KEY_ID:
            return b"".join(value.octets() for value in fields.take(tlv.SET).children())
    return None


def _read_cipher(algorithm: Tlv, outline: _Outline) -> None:
    """A password-based encryption scheme (RFC 7292 appendix C, RFC 8018 section 6.2)."""
    fields = algorithm.fields()
    oid = fields.take(tlv.OID).oid()
    if oid != _PBES2 and oid not in _PKCS12_PBES:
        raise _unsupported(f"encryption by {oid}")
    parameters = fields.take(tlv.SEQUENCE).fields()
    if oid == _PBES2:
        _read_pbkdf2(parameters.take(tlv.SEQUENCE), outline)
        cipher = parameters.take(tlv.SEQUENCE).fields().take(tlv.OID).oid()
        if cipher not in _CIPHERS:
            raise _unsupported(f"encryption by {cipher}")
    else:
        parameters.take(tlv.OCTET_STRING)
        _count(parameters.take(tlv.INTEGER).integer(), outline)


def _read_pbkdf2(algorithm: Tlv, outline: _Outline) -> None:
    """PBKDF2-params (RFC 8018 appendix A.2)."""
    fields = algorithm.fields()
    oid = fields.take(tlv.OID).oid()
    if oid != _PBKDF2:
        raise _unsupported(f"key derivation by {oid}")
    parameters = fields.take(tlv.SEQUENCE).fields()
    parameters.take(tlv.OCTET_STRING)
    _count(parameters.take(tlv.INTEGER).integer(), outline)
    length = parameters.maybe(tlv.INTEGER)
    if length and not 0 < length.integer() <= MAX_MAC_KEY:
        raise _unsupported("a derived key of absurd length")
    prf = parameters.maybe(tlv.SEQUENCE)
    if prf and (oid := prf.fields().take(tlv.OID).oid()) not in _HMACS:
        raise _unsupported(f"key derivation by {oid}")


def _count(iterations: int, outline: _Outline) -> None:
    if iterations < 1:
        raise TlvError("an iteration count below 1")
    outline.iterations += iterations
