"""Private keys: from a file's octets to the library's objects, and which certificate they fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..errors import CertificateError
from . import keys, ml_kem_keys, pbe, x509
from .pfx_outline import MAX_KEY_OCTETS, Password

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_VERSION_1, _VERSION_2 = bytes.fromhex("020100"), bytes.fromhex("020101")


def load(octets: bytes, password: bytes | None) -> PrivateKeyTypes:
    """The key of PKCS #8 (RFC 5958, encrypted if there is a password) in DER or BER, or of PKCS #1
    (RFC 8017) or SEC 1 (RFC 5915) in DER; :func:`check` it before it is used.

    Raises ValueError if it doesn't open, UnsupportedAlgorithm, and CertificateError
    ``unsupported-key`` for ML-KEM without its seed.
    """
    try:
        return _load(load_der_private_key, octets, password)
    except ValueError as error:
        try:
            return _load_rarer(octets, password)
        except (ValueError, TlvError, UnsupportedAlgorithm):
            raise error from None


def _load_rarer(octets: bytes, password: bytes | None) -> PrivateKeyTypes:
    """What the library reads after a change, or not at all."""
    key = _simpler(octets)
    if password is not None:
        fields = tlv.read_only(key).fields()
        how, sealed = fields.take(tlv.SEQUENCE), fields.take(tlv.OCTET_STRING)
        key = _simpler(pbe.decrypt(how, sealed.content, Password(password, password)))
    try:
        return ml_kem_keys.load(key)
    except ValueError:
        return _load(load_der_private_key, key, None)


def _simpler(octets: bytes) -> bytes:
    """The same in DER, and without the attributes and the public key that may stand behind the
    private one (RFC 5958 section 2). Raises TlvError."""
    if len(octets) > MAX_KEY_OCTETS:
        raise TlvError("a private key that is longer than any")
    whole, _ = tlv.definite(octets)
    parts = [
        tlv.build(tlv.OCTET_STRING, one.octets()) if one.tag == tlv.SEGMENTED else one.whole
        for one in tlv.read_only(whole).children()
    ]
    if parts[:1] == [_VERSION_2]:
        parts = [_VERSION_1, *parts[1:3]]
    return tlv.build(tlv.SEQUENCE, *parts)


def load_armoured(pem: bytes, password: bytes | None) -> PrivateKeyTypes:
    """The same for one block of PEM that OpenSSL of old encrypted (``Proc-Type: 4,ENCRYPTED``)."""
    return _load(load_pem_private_key, pem, password)


def _load(
    loader: Callable[..., PrivateKeyTypes], octets: bytes, password: bytes | None
) -> PrivateKeyTypes:
    if len(octets) > MAX_KEY_OCTETS:
        raise ValueError(f"a private key of more than {MAX_KEY_OCTETS} octets")
    if password == b"":
        # The library takes the empty one for none. To HMAC, and to the key derivation of
        # RFC 7292 appendix B.2, zeros more are the same password.
        password = b"\0"
    try:
        # Checking a stranger's RSA key can take hours.
        private = loader(octets, password, unsafe_skip_rsa_key_validation=True)
        private.public_key()
    except (InternalError, TypeError, OverflowError) as error:
        raise ValueError(f"the library can't read the key ({type(error).__name__})") from None
    except BaseException as error:
        # A panic of its Rust, as with a short IV in the old form of PEM, has no class to name.
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError("the library panics when it reads the key") from None
    return private


def check(private: PrivateKeyTypes) -> None:
    """Raises ValueError if the numbers of an RSA key don't go together (RFC 8017 section 3.2).

    Whether the primes are prime isn't asked, which would take long; such a key opens nothing.
    """
    if not isinstance(private, rsa.RSAPrivateKey):
        return
    numbers = private.private_numbers()
    p, q, d = numbers.p, numbers.q, numbers.d
    e, n = numbers.public_numbers.e, numbers.public_numbers.n
    if not (
        1 < p < n
        and 1 < q < n
        and 0 < d < n
        and p * q == n
        and numbers.dmp1 == d % (p - 1)
        and numbers.dmq1 == d % (q - 1)
        and e * d % (p - 1) == e * d % (q - 1) == 1
        and numbers.iqmp * q % p == 1
        and numbers.iqmp < p
    ):
        raise ValueError("the numbers of the RSA key don't go together")


def public_bits(public: Any) -> bytes:
    """The subjectPublicKey of one of the library's public keys."""
    info = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key_bits(tlv.read_only(info))


def certified_bits(der: bytes) -> bytes:
    """The subjectPublicKey of a certificate, as the library would write it; b"" if the
    certificate is broken."""
    try:
        info = x509.parse(der).public_key
        try:
            _, public, _ = keys.load(info, "")
        except CertificateError:  # a key for signatures alone
            return key_bits(info)
        return public_bits(public)
    except TlvError:
        return b""


def key_bits(info: Tlv) -> bytes:
    """The subjectPublicKey of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) as it stands,
    whatever the algorithm is called."""
    fields = info.fields()
    fields.take(tlv.SEQUENCE)
    return fields.take(tlv.BIT_STRING).content
