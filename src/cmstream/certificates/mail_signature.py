"""Checks one signature of a signed mail: the SignerInfo of CMS (RFC 5652 section 5.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError

if TYPE_CHECKING:
    from .x509 import Certificate

MAX_SIGNERS = 10
"""Signers of one mail at most."""
MAX_ATTRIBUTES = 50
"""Signed attributes at most. Mail programs write about five."""

_DATA = bytes.fromhex("2a864886f70d010701")  # id-data
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_PREFERENCES = {"1.2.840.113549.1.9.16.2.11", "1.3.6.1.4.1.311.16.4"}  # RFC 8551, Microsoft's
_PSS = "1.2.840.113549.1.1.10"
_CONTEXT_0, _CONTEXT_1 = 0xA0, 0xA1
_IMPLICIT_0, _IMPLICIT_2 = 0x80, 0x82

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
    "2.16.840.1.101.3.4.2.4": hashes.SHA224,
    "2.16.840.1.101.3.4.2.8": hashes.SHA3_256,
    "2.16.840.1.101.3.4.2.9": hashes.SHA3_384,
    "2.16.840.1.101.3.4.2.10": hashes.SHA3_512,
}
_BROKEN = {"1.3.14.3.2.26": "SHA-1", "1.2.840.113549.2.5": "MD5"}
"""Hashes with which a signature can be forged."""


class SignatureCheck(NamedTuple):
    """What can be said of a mail's signature. ``verified``: the mail was signed with the private
    key of the certificate that was taken; ``str(check)`` is a sentence or two."""

    verified: bool
    message: str

    def __str__(self) -> str:
        return self.message


_RIGHT = SignatureCheck(
    True,
    "The signature of the mail is right: its sender has the private key of this certificate. The"
    " issuer wasn't checked.",
)


def unverified(why: str) -> SignatureCheck:
    """The answer where a signature proves nothing. ``why``: a sentence without its full stop."""
    return SignatureCheck(
        False, f"{why}. The certificate may be anybody's: compare its fingerprint."
    )


UNSIGNED = unverified("The mail has no signature that can be checked")
ANOTHER = unverified(
    "The signature of the mail is right, but by another key: its sender wants sealed mail for this"
    " certificate, which stands beside the signature"
)


class Signer(NamedTuple):
    """What a SignerInfo says. ``attributes``: the whole element, None without; ``values``: the
    first value of each."""

    name: Tlv
    hash_oid: str
    attributes: Tlv | None
    values: dict[str, Tlv]
    algorithm: Tlv
    signature: bytes

    def names(self, certificate: Certificate) -> bool:
        """Whether the certificate is the one that the mail was signed with."""
        if self.name.tag == _IMPLICIT_0:
            return self.name.content == certificate.key_identifier
        return _is(self.name, certificate)

    def prefers(self, certificate: Certificate) -> bool:
        """Whether it is the one that mail for the signer should be sealed to."""
        for oid in _PREFERENCES & self.values.keys():
            wanted = self.values[oid]
            if wanted.tag == _IMPLICIT_2:
                return wanted.content == certificate.key_identifier
            if wanted.tag == _CONTEXT_1:
                return [one.content for one in wanted.children()][:1] == [
                    certificate.key_identifier
                ]
            return _is(wanted, certificate)
        return False


def _is(name: Tlv, certificate: Certificate) -> bool:
    """IssuerAndSerialNumber (RFC 5652 section 10.2.4), whatever its tag."""
    match name.children():
        case [issuer, serial]:
            theirs = certificate.issuer.whole, certificate.serial.content
            return (issuer.whole, serial.content) == theirs
    return False


def signer(info: Tlv) -> Signer:
    """Read a SignerInfo. Raises TlvError."""
    fields = info.fields()
    fields.take(tlv.INTEGER)
    name = fields.maybe(tlv.SEQUENCE, _IMPLICIT_0)
    if name is None:
        raise TlvError("a signature without a signer")
    digest = fields.take(tlv.SEQUENCE).fields().take(tlv.OID).oid()
    attributes = fields.maybe(_CONTEXT_0)
    algorithm = fields.take(tlv.SEQUENCE)
    signature = fields.take(tlv.OCTET_STRING).octets()
    return Signer(name, digest, attributes, _values(attributes), algorithm, signature)


def _values(attributes: Tlv | None) -> dict[str, Tlv]:
    found: dict[str, Tlv] = {}
    for one in attributes.children(MAX_ATTRIBUTES) if attributes else ():
        fields = one.fields()
        oid, values = fields.take(tlv.OID).oid(), fields.take(tlv.SET).children(1)
        if oid in found or not values:
            raise TlvError(f"the signed attribute {oid} has not one value")
        found[oid] = values[0]
    return found


def check(
    signer: Signer, certificate: Certificate, kind: bytes, content: bytes | None
) -> SignatureCheck:
    """Whether the signature is the certificate's. ``kind``: the content type's object identifier
    as it stands; ``content``: what is signed, None where it isn't there."""
    if broken := _BROKEN.get(signer.hash_oid):
        return unverified(f"The mail is signed with {broken}, which can be forged today")
    algorithm = _HASHES.get(signer.hash_oid)
    if algorithm is None or content is None:
        known = content is not None
        what = "its hash isn't known here" if known else "what it signs isn't where it should be"
        return unverified(f"The signature of the mail can't be checked, since {what}")
    texts = [text for text in _forms(content) if _digest_fits(signer, algorithm, kind, text)]
    if not texts:
        return unverified("The mail isn't what was signed: something changed it on its way")
    return _of_key(signer, certificate, algorithm(), texts)


def _forms(content: bytes) -> tuple[bytes, ...]:
    """The content with the line ends that mail has on its way (RFC 8551 section 3.1.1), and as it
    stands: programs save mail with either, and some sign bytes as they are."""
    return tuple(dict.fromkeys((re.sub(rb"\r?\n", b"\r\n", content), content)))


def _digest_fits(
    signer: Signer, algorithm: type[hashes.HashAlgorithm], kind: bytes, content: bytes
) -> bool:
    """Whether the signed attributes are of this content (RFC 5652 sections 11.1 and 11.2)."""
    if signer.attributes is None:
        return kind == _DATA and not _is_set(content)
    digest, type_ = signer.values.get(_MESSAGE_DIGEST), signer.values.get(_CONTENT_TYPE)
    if digest is None or type_ is None or type_.content != kind:
        return False
    hashed = hashes.Hash(algorithm())
    hashed.update(content)
    return digest.octets() == hashed.finalize()


def _is_set(content: bytes) -> bool:
    """Signed attributes, given out for what was signed without any (RFC 5652 section 5.4)."""
    try:
        tlv.read_only(content, tlv.SET)
    except TlvError:
        return False
    return True


def _of_key(
    signer: Signer, certificate: Certificate, algorithm: hashes.HashAlgorithm, texts: list[bytes]
) -> SignatureCheck:
    try:
        key = load_der_public_key(certificate.public_key.whole)
        if any(_fits(key, signer, algorithm, _signed_bytes(signer, text)) for text in texts):
            return _RIGHT
    except (UnsupportedAlgorithm, ValueError, TypeError, TlvError):
        return unverified("The signature of the mail is of a kind that can't be checked here")
    return unverified("The signature of the mail isn't by the key of this certificate")


def _signed_bytes(signer: Signer, text: bytes) -> bytes:
    """What the key has signed: the attributes, in DER and tagged as a SET (RFC 5652 section 5.4),
    or the content where there are none."""
    if signer.attributes is None:
        return text
    whole, _ = tlv.definite(signer.attributes.whole)
    return bytes([tlv.SET]) + whole[1:]


def _fits(key: object, signer: Signer, algorithm: hashes.HashAlgorithm, data: bytes) -> bool:
    """Raises TypeError for a key that signs nothing, TlvError for malformed parameters."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signer.signature, data, _padding(signer.algorithm), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signer.signature, data, ec.ECDSA(algorithm))
        elif isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
            key.verify(signer.signature, data)
        else:
            raise TypeError("a key that signs nothing")
    except InvalidSignature:
        return False
    return True


def _padding(algorithm: Tlv) -> padding.PKCS1v15 | padding.PSS:
    """That of RSA. The hash of PSS itself is the one that the signer named (RFC 4056 section 3)."""
    fields = algorithm.fields()
    if fields.take(tlv.OID).oid() != _PSS:
        return padding.PKCS1v15()
    parameters = fields.take(tlv.SEQUENCE).fields()
    parameters.maybe(_CONTEXT_0)
    generator = parameters.take(_CONTEXT_1).fields().take(tlv.SEQUENCE).fields()
    generator.take(tlv.OID)
    mask = _HASHES.get(generator.take(tlv.SEQUENCE).fields().take(tlv.OID).oid())
    if mask is None:
        raise TlvError("a mask of another hash than is known here")
    return padding.PSS(padding.MGF1(mask()), padding.PSS.AUTO)
