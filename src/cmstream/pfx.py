"""PKCS #12 files (RFC 7292): the certificates that belong to a person.

The library decrypts, but it isn't let loose on a stranger's file: it gets one encrypted part at
a time, after the outline was found harmless and the MAC was checked.
"""

from __future__ import annotations

import contextlib
import hmac
import threading
import warnings
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    pkcs12,
)
from cryptography.utils import CryptographyDeprecationWarning

from . import pfx_outline, tlv, x509
from .errors import CertificateError
from .pfx_outline import RARE_CIPHERS, Bag, Encrypted, Outline, Password
from .tlv import Tlv, TlvError

# The few object identifiers that are written here.
_DATA = bytes.fromhex("06092a864886f70d010701")
_KEY_BAG = bytes.fromhex("060b2a864886f70d010c0a0101")
_SHA256 = bytes.fromhex("0609608648016503040201")
_CONTEXT_0 = 0xA0

_one_at_a_time = threading.Lock()


class PfxContents(NamedTuple):
    """Certificates in DER: the person's, and others beside them; whether a key was there."""

    certificates: tuple[bytes, ...]
    strangers: tuple[bytes, ...]
    private_key: bool


def open_pfx(data: bytes, password: str | bytes | None) -> PfxContents:
    """The certificates of one PFX, as ``openssl pkcs12 -clcerts -nokeys`` chooses them: those of
    its keys; all where there is no key, or one that doesn't tell which is its own.

    A key that is itself inside an encrypted part, where no known program puts one, isn't looked
    for. Raises TlvError for a broken file, CertificateError ``wrong-password``,
    ``password-needed``, ``corrupt`` and ``unsupported-cipher``.
    """
    outline = pfx_outline.read(data)
    passwords = _candidates(password)
    certificates = outline.certificates
    if outline.mac or outline.encrypted:
        found = _unlock(outline, passwords, given=password is not None)
        certificates = certificates + [Bag(der) for der in found]
    own = _owned(outline.keys, certificates, passwords) if len(certificates) > 1 else set()
    everyone = dict.fromkeys(bag.octets for bag in certificates)
    return PfxContents(
        tuple(der for der in everyone if der in own or not own),
        tuple(der for der in everyone if own and der not in own),
        bool(outline.keys),
    )


def _candidates(password: str | bytes | None) -> list[Password]:
    """What to try; nothing for what nobody can have typed."""
    if not password:
        return [Password(b"", b""), Password(b"", b"\0\0")]
    octets, texts = b"\0", []
    with contextlib.suppress(UnicodeEncodeError):
        octets = _octets(password)
    if b"\0" in octets:
        return []
    with contextlib.suppress(UnicodeDecodeError):
        texts.append(octets.decode())
    # OpenSSL before 1.1 took all octets for Latin-1, and its files are still about.
    texts.append(octets.decode("latin-1"))
    return [
        Password(text.encode(), text.encode("utf-16-be") + b"\0\0") for text in dict.fromkeys(texts)
    ]


def _octets(password: str | bytes) -> bytes:
    if isinstance(password, str):
        # The escapes are Python's own, for octets from a command line that aren't UTF-8.
        return password.encode("utf-8", "surrogateescape")
    return bytes(password)


def _unlock(outline: Outline, passwords: list[Password], *, given: bool) -> list[bytes]:
    """The certificates of the encrypted parts."""
    mac, octets = outline.mac, outline.authenticated
    fitting = [one for one in passwords if mac is None or mac.fits(octets, one)]
    for password in fitting:
        found = [_decrypt(part, password) for part in outline.encrypted]
        if None not in found:
            return [der for part in found for der in part or ()]
    if (mac and fitting) or any(_opens_a_part(outline, one) for one in passwords):
        raise _damaged(outline)
    if not given:
        raise CertificateError("password-needed", "the PKCS #12 file needs its password")
    raise CertificateError(
        "wrong-password",
        "the password is wrong or the PKCS #12 file is damaged, which it can't tell apart: try "
        "the password again, then export the file again",
    )


def _opens_a_part(outline: Outline, password: Password) -> bool:
    """If one part opens, the password is right and another part is at fault."""
    return any(bag.shrouded and _public_bits(bag, password) for bag in outline.keys) or any(
        _decrypt(part, password) is not None for part in outline.encrypted
    )


def _damaged(outline: Outline) -> CertificateError:
    """The password is right, and yet a part of the file doesn't open."""
    rare = {RARE_CIPHERS.get(part.cipher, "") for part in outline.encrypted} - {""}
    if rare:
        return pfx_outline.unsupported(f"{min(rare)}, unless the file is damaged")
    return CertificateError(
        "corrupt",
        "the password fits the PKCS #12 file, but part of it is damaged or can't be read: export "
        "it again, or send the certificate alone",
    )


def _decrypt(part: Encrypted, password: Password) -> list[bytes] | None:
    """The certificates of one encrypted part; None if it doesn't open."""
    data = _alone(part, password)
    try:
        # It warns of odd serial numbers, which are welcome here. The lock is there because
        # warning filters belong to the process.
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            found = pkcs12.load_pkcs12(data, password.text)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return [one.certificate.public_bytes(Encoding.DER) for one in found.additional_certs]


def _alone(part: Encrypted, password: Password) -> bytes:
    """A PFX of this part alone, behind a new key of nobody's.

    The library decrypts the first key that it meets and passes over the others. One hidden in
    the part could ask for any number of iterations, or be a number that takes hours to check.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    nobody = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    bag = tlv.build(tlv.SEQUENCE, _KEY_BAG, tlv.build(_CONTEXT_0, nobody))
    contents = tlv.build(tlv.SEQUENCE, _data(tlv.build(tlv.SEQUENCE, bag)), part.info)
    # The MAC tells the library which of the two empty passwords is meant.
    salt, digest = bytes(8), "sha256"
    key_octets = pfx_outline.mac_key(digest, password.wide, salt, 1)
    value = tlv.build(tlv.OCTET_STRING, hmac.digest(key_octets, contents, digest))
    info = tlv.build(tlv.SEQUENCE, tlv.build(tlv.SEQUENCE, _SHA256), value)
    mac = tlv.build(tlv.SEQUENCE, info, tlv.build(tlv.OCTET_STRING, salt))
    return tlv.build(tlv.SEQUENCE, tlv.build(tlv.INTEGER, b"\3"), _data(contents), mac)


def _data(octets: bytes) -> bytes:
    """A ContentInfo of type data (RFC 5652 section 4)."""
    wrapped = tlv.build(_CONTEXT_0, tlv.build(tlv.OCTET_STRING, octets))
    return tlv.build(tlv.SEQUENCE, _DATA, wrapped)


def _owned(keys: list[Bag], certificates: list[Bag], passwords: list[Password]) -> set[bytes]:
    """The certificates that belong to the keys, by localKeyID or by the public key; nothing if
    a key doesn't tell which it is."""
    owned: set[bytes] = set()
    certified = {bag.octets: _certified_bits(bag.octets) for bag in certificates}
    for key in keys:
        if key.key_id is not None and any(bag.key_id == key.key_id for bag in certificates):
            owned |= {bag.octets for bag in certificates if bag.key_id == key.key_id}
            continue
        bits = next(filter(None, (_public_bits(key, one) for one in passwords)), None)
        if bits is None:
            return set()
        owned |= {der for der, their_bits in certified.items() if their_bits == bits}
    return owned


def _certified_bits(der: bytes) -> bytes:
    try:
        return _key_bits(x509.parse(der).public_key)
    except TlvError:
        return b""


def _public_bits(key: Bag, password: Password) -> bytes | None:
    """The subjectPublicKey that goes with a private key; None if that doesn't open."""
    secret = password.text if key.shrouded else None
    try:
        # Checking a stranger's RSA key can take hours, and it is only looked at here.
        private = load_der_private_key(key.octets, secret, unsafe_skip_rsa_key_validation=True)
        info = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return None
    return _key_bits(tlv.read_only(info))


def _key_bits(info: Tlv) -> bytes:
    """The subjectPublicKey of a SubjectPublicKeyInfo, whatever the algorithm is called."""
    fields = info.fields()
    fields.take(tlv.SEQUENCE)
    return fields.take(tlv.BIT_STRING).content
