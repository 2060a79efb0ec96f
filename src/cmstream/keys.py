"""The public key of a certificate: which kinds can be encrypted to, and which can't."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import load_der_public_key

from . import tlv
from .errors import CertificateError
from .tlv import Tlv, TlvError

PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | x25519.X25519PublicKey | x448.X448PublicKey
)

MIN_RSA_BITS = 1024
"""Below this an RSA key is broken in hours, and sealing to it is no better than cleartext."""
MAX_RSA_BITS = 16384
"""OpenSSL's own limit, above which encrypting to a key takes seconds."""
MAX_EXPONENT_BITS, _ANY_EXPONENT_BITS = 64, 3072
"""OpenSSL's own limit for public exponents, where the modulus is longer than the second."""

_RSA = "1.2.840.113549.1.1.1"
_RSAES_OAEP = "1.2.840.113549.1.1.7"
_EC = "1.2.840.10045.2.1"
_CURVES = {
    "1.3.132.0.33": "P-224",
    "1.2.840.10045.3.1.7": "P-256",
    "1.3.132.0.34": "P-384",
    "1.3.132.0.35": "P-521",
    "1.3.132.0.10": "secp256k1",
    "1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1",
    "1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1",
    "1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1",
    "1.3.101.110": "X25519",
    "1.3.101.111": "X448",
}
_AGREEMENT_CLASSES = (ec.EllipticCurvePublicKey, x25519.X25519PublicKey, x448.X448PublicKey)
_SIGNATURE_KEYS = {
    "1.2.840.113549.1.1.10": "RSASSA-PSS",
    "1.2.840.10040.4.1": "DSA",
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
}


def load(info: Tlv, subject: str) -> tuple[str, PublicKey, bool]:
    """The key of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7): its name, the key, and
    whether it is for RSAES-OAEP only. ``subject`` is for the error's text.

    Raises CertificateError ``unsupported-key``, or ``corrupt`` where there is no key at all.
    """
    try:
        algorithm, curve, octets = _parts(info)
        if algorithm in {_RSA, _RSAES_OAEP}:
            key = _rsa(octets, subject)
            return f"RSA-{key.key_size}", key, algorithm == _RSAES_OAEP
    except TlvError as error:
        raise CertificateError(
            "corrupt", f"the public key of {subject} is corrupt ({error}): ask for it again"
        ) from error
    name = _CURVES.get(curve if algorithm == _EC else algorithm)
    if name is None:
        kind = _SIGNATURE_KEYS.get(algorithm, f"unknown, {algorithm} {curve}".rstrip())
        raise _refused(subject, f"its kind ({kind}) can't be used for encryption")
    return name, _agreement(info, name, subject), False


def rsa_bits(key: PublicKey) -> int:
    """The size of an RSA modulus in bits; 0 for another kind of key."""
    return key.key_size if isinstance(key, rsa.RSAPublicKey) else 0


def _parts(info: Tlv) -> tuple[str, str, bytes]:
    """The algorithm, its curve if it names one, and the key itself."""
    fields = info.fields()
    algorithm = fields.take(tlv.SEQUENCE).fields()
    oid, curve = algorithm.take(tlv.OID).oid(), algorithm.maybe(tlv.OID)
    octets = fields.take(tlv.BIT_STRING).content
    fields.done()
    if octets[:1] != b"\0":
        raise TlvError("the key isn't whole octets")
    return oid, curve.oid() if curve else "", octets[1:]


def _rsa(octets: bytes, subject: str) -> rsa.RSAPublicKey:
    """An RSAPublicKey (RFC 8017 appendix A.1.1), whatever the algorithm's name around it."""
    fields = tlv.read_only(octets).fields()
    modulus, exponent = (fields.take(tlv.INTEGER).integer() for _ in range(2))
    fields.done()
    if modulus <= 0 or exponent <= 0:
        raise TlvError("an RSA number below 1")
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise _refused(subject, f"RSA of {modulus.bit_length()} bits isn't from 1024 to 16384")
    long = modulus.bit_length() > _ANY_EXPONENT_BITS and exponent.bit_length() > MAX_EXPONENT_BITS
    if long or not modulus % 2:
        raise _refused(subject, "its RSA numbers are no key")
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused(subject, "its RSA numbers are no key") from error


def _agreement(info: Tlv, name: str, subject: str) -> PublicKey:
    try:
        key = load_der_public_key(info.whole)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused(subject, f"it is no {name} key") from error
    if not isinstance(key, _AGREEMENT_CLASSES):
        raise _refused(subject, f"it is no {name} key")
    return key


def _refused(subject: str, why: str) -> CertificateError:
    return CertificateError(
        "unsupported-key",
        f"the key of {subject} can't be encrypted to: {why}; ask for a certificate with an RSA "
        "key of 2048 bits or more",
    )
