"""The public key of a certificate: which kinds can be encrypted to, and which can't."""

from __future__ import annotations

from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..errors import CertificateError
from . import curves

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
_MONTGOMERY = {"1.3.101.110": "X25519", "1.3.101.111": "X448"}
_HYBRID = {b"\6", b"\7"}  # X9.62's third form of a point
_ML_KEM_NAMES = {kem.oid: name for name, kem in ML_KEMS.items()}
_ML_KEM_512 = "2.16.840.1.101.3.4.4.1"
_UNUSABLE_KEYS = {
    _ML_KEM_512: "ML-KEM-512",
    "1.2.840.113549.1.1.10": "RSASSA-PSS",
    "1.2.840.10040.4.1": "DSA",
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
    "1.2.840.113549.1.3.1": "Diffie-Hellman",
    "1.2.840.10046.2.1": "Diffie-Hellman",
    "1.3.132.1.12": "id-ecDH",
    "1.2.156.10197.1.301": "SM2",
    "1.2.643.2.2.19": "GOST R 34.10-2001",
    "1.2.643.7.1.1.1.1": "GOST R 34.10-2012",
    "1.2.643.7.1.1.1.2": "GOST R 34.10-2012",
    **{f"2.16.840.1.101.3.4.3.{17 + n}": f"ML-DSA-{s}" for n, s in enumerate((44, 65, 87))},
    **dict.fromkeys((f"2.16.840.1.101.3.4.3.{n}" for n in range(20, 32)), "SLH-DSA"),
}
_USUAL = "an RSA key of 2048 bits or more, or one on P-256, P-384 or X25519"


def load(info: Tlv, subject: str) -> tuple[str, PublicKey, bool]:
    """The key of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7): its name, the key, and
    whether it is for RSAES-OAEP only. ``subject`` is for the error's text.

    Raises CertificateError ``unsupported-key``, or ``corrupt`` where there is no key at all.
    """
    try:
        algorithm, parameters, octets = _parts(info)
        if algorithm in {_RSA, _RSAES_OAEP}:
            key = _rsa(octets, subject)
            return f"RSA-{key.key_size}", key, algorithm == _RSAES_OAEP
        if algorithm in _ML_KEM_NAMES:
            name = _ML_KEM_NAMES[algorithm]
            return name, _ml_kem(octets, name, subject), False
        if algorithm == _EC:
            return _on_curve(parameters, octets, subject)
    except TlvError as error:
        raise CertificateError(
            "corrupt", f"the public key of {subject} is corrupt ({error}): ask for another one"
        ) from error
    if algorithm in _MONTGOMERY:
        name = _MONTGOMERY[algorithm]
        return name, _montgomery(info, name, subject), False
    kind = _UNUSABLE_KEYS.get(algorithm, f"unknown, {algorithm}")
    wanted = "ML-KEM-768 or ML-KEM-1024" if algorithm == _ML_KEM_512 else _USUAL
    raise _refused(subject, f"its kind ({kind}) can't be used for encryption", wanted)


def kind(key: PublicKey) -> str:
    """The kind of RecipientInfo (RFC 5652 section 6.2) that is made with such a key:
    ``key-transport``, ``key-agreement`` or ``kem``."""
    if isinstance(key, rsa.RSAPublicKey):
        return "key-transport"
    return "kem" if isinstance(key, MlKemPublicKey) else "key-agreement"


def rsa_bits(key: PublicKey) -> int:
    """The size of an RSA modulus in bits; 0 for another kind of key."""
    return key.key_size if isinstance(key, rsa.RSAPublicKey) else 0


def _parts(info: Tlv) -> tuple[str, Tlv | None, bytes]:
    """The algorithm, its first parameter, and the key itself."""
    fields = info.fields()
    algorithm = fields.take(tlv.SEQUENCE).fields()
    oid, parameters = algorithm.take(tlv.OID).oid(), algorithm.rest()
    octets = fields.take(tlv.BIT_STRING).content
    fields.done()
    if octets[:1] != b"\0":
        raise TlvError("the key isn't whole octets")
    return oid, parameters[0] if parameters else None, octets[1:]


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


def _on_curve(parameters: Tlv | None, octets: bytes, subject: str) -> tuple[str, PublicKey, bool]:
    """A point on a curve, which is given by its name or by its parameters."""
    if parameters is None or parameters.tag not in {tlv.OID, tlv.SEQUENCE}:
        raise _refused(subject, "it is a point on a curve that it doesn't name")
    explicit = parameters.tag == tlv.SEQUENCE
    oid = curves.named(parameters) if explicit else parameters.oid()
    if explicit and not oid:
        raise _refused(
            subject,
            "its curve is given by its parameters instead of by its name, which RFC 5480 forbids, "
            "and they are those of no curve that is supported",
        )
    if oid not in curves.CURVES:
        unusable = curves.UNUSABLE_CURVES.get(oid, f"unknown, {oid}")
        raise _refused(subject, f"its curve ({unusable}) isn't supported")
    name, curve = curves.CURVES[oid]
    if octets[:1] in _HYBRID:  # as long as an uncompressed point, which it is but for its beginning
        octets = b"\4" + octets[1:]
    try:
        return name, ec.EllipticCurvePublicKey.from_encoded_point(curve(), octets), False
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused(subject, f"it is no {name} key") from error


def _montgomery(info: Tlv, name: str, subject: str) -> PublicKey:
    try:
        key = load_der_public_key(info.whole)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused(subject, f"it is no {name} key") from error
    if not isinstance(key, x25519.X25519PublicKey | x448.X448PublicKey):
        raise _refused(subject, f"it is no {name} key")
    return key


def _ml_kem(octets: bytes, name: str, subject: str) -> MlKemPublicKey:
    """A raw encapsulation key (RFC 9935 section 4), whatever parameters the algorithm has."""
    try:
        key: MlKemPublicKey = ML_KEMS[name].public.from_public_bytes(octets)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused(subject, f"it is no {name} key, or the library has no {name}") from error
    return key


def _refused(subject: str, why: str, wanted: str = _USUAL) -> CertificateError:
    return CertificateError(
        "unsupported-key",
        f"the key of {subject} can't be encrypted to: {why}; ask for a certificate with {wanted}",
    )
