"""The public key of a certificate: which kinds can be encrypted to, and which can't."""

from __future__ import annotations

from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..errors import CertificateError

MlKemPublicKey = mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey
PublicKey = (
    rsa.RSAPublicKey
    | ec.EllipticCurvePublicKey
    | x25519.X25519PublicKey
    | x448.X448PublicKey
    | MlKemPublicKey
)


class MlKem(NamedTuple):
    """A parameter set of ML-KEM (FIPS 203): its name in certificates and messages (RFC 9935
    section 3), the library's classes, and octets of a ciphertext."""

    oid: str
    public: Any
    private: Any
    ciphertext: int


ML_KEMS = {
    "ML-KEM-768": MlKem(
        "2.16.840.1.101.3.4.4.2", mlkem.MLKEM768PublicKey, mlkem.MLKEM768PrivateKey, 1088
    ),
    "ML-KEM-1024": MlKem(
        "2.16.840.1.101.3.4.4.3", mlkem.MLKEM1024PublicKey, mlkem.MLKEM1024PrivateKey, 1568
    ),
}
"""The library has no ML-KEM-512."""

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
_ML_KEM_NAMES = {kem.oid: name for name, kem in ML_KEMS.items()}
_UNUSABLE_KEYS = {
    "2.16.840.1.101.3.4.4.1": "ML-KEM-512",
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
        if algorithm in _ML_KEM_NAMES:
            name = _ML_KEM_NAMES[algorithm]
            return name, _ml_kem(octets, name, subject), False
    except TlvError as error:
        raise CertificateError(
            "corrupt", f"the public key of {subject} is corrupt ({error}): ask for it again"
        ) from error
    agreed = _CURVES.get(curve if algorithm == _EC else algorithm)
    if agreed is None:
        kind = _UNUSABLE_KEYS.get(algorithm, f"unknown, {algorithm} {curve}".rstrip())
        raise _refused(subject, f"its kind ({kind}) can't be used for encryption")
    return agreed, _agreement(info, agreed, subject), False


def kind(key: PublicKey) -> str:
    """The kind of RecipientInfo (RFC 5652 section 6.2) that is made with such a key:
    ``key-transport``, ``key-agreement`` or ``kem``."""
    if isinstance(key, rsa.RSAPublicKey):
        return "key-transport"
    return "kem" if isinstance(key, MlKemPublicKey) else "key-agreement"


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


def _ml_kem(octets: bytes, name: str, subject: str) -> MlKemPublicKey:
    """A raw encapsulation key (RFC 9935 section 4), whatever parameters the algorithm has."""
    try:
        key: MlKemPublicKey = ML_KEMS[name].public.from_public_bytes(octets)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused(subject, f"it is no {name} key, or the library has no {name}") from error
    return key


def _refused(subject: str, why: str) -> CertificateError:
    return CertificateError(
        "unsupported-key",
        f"the key of {subject} can't be encrypted to: {why}; ask for a certificate with an RSA "
        "key of 2048 bits or more, or one on P-256, P-384 or X25519",
    )
