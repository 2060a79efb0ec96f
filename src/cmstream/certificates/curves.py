"""Elliptic curves by name: those that can be encrypted to, those that can't, and which one a key
means that writes the curve's parameters out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..asn1 import tlv

if TYPE_CHECKING:
    from ..asn1.tlv import Tlv


class Curve(NamedTuple):
    """Its name, as :attr:`Recipient.key <cmstream.Recipient>` has it, and the library's class."""

    name: str
    kind: type[ec.EllipticCurve]


CURVES = {
    "1.3.132.0.33": Curve("P-224", ec.SECP224R1),
    "1.2.840.10045.3.1.7": Curve("P-256", ec.SECP256R1),
    "1.3.132.0.34": Curve("P-384", ec.SECP384R1),
    "1.3.132.0.35": Curve("P-521", ec.SECP521R1),
    "1.3.132.0.10": Curve("secp256k1", ec.SECP256K1),
    "1.3.36.3.3.2.8.1.1.7": Curve("brainpoolP256r1", ec.BrainpoolP256R1),
    "1.3.36.3.3.2.8.1.1.11": Curve("brainpoolP384r1", ec.BrainpoolP384R1),
    "1.3.36.3.3.2.8.1.1.13": Curve("brainpoolP512r1", ec.BrainpoolP512R1),
}
"""The curves of id-ecPublicKey (RFC 5480) that the library has, by dotted OID."""

_BRAINPOOL = ("160r1", "160t1", "192r1", "192t1", "224r1", "224t1", "256r1", "256t1",
              "320r1", "320t1", "384r1", "384t1", "512r1", "512t1")  # fmt: skip
_SECG = {1: "K-163", 6: "secp112r1", 7: "secp112r2", 8: "secp160r1", 9: "secp160k1", 15: "B-163",
         16: "K-283", 17: "B-283", 26: "K-233", 27: "B-233", 28: "secp128r1", 29: "secp128r2",
         30: "secp160r2", 31: "secp192k1", 32: "secp224k1", 36: "K-409", 37: "B-409", 38: "K-571",
         39: "B-571"}  # fmt: skip
UNUSABLE_CURVES = {
    "1.2.840.10045.3.1.1": "P-192",
    "1.2.156.10197.1.301": "SM2",
    "1.2.250.1.223.101.256.1": "FRP256v1",
    **{f"1.3.132.0.{number}": name for number, name in _SECG.items()},
    **{f"1.3.36.3.3.2.8.1.1.{n}": f"brainpoolP{name}" for n, name in enumerate(_BRAINPOOL, 1)},
}
"""Curves that keys have now and then, and that the library hasn't."""

_PRIME_FIELD = "1.2.840.10045.1.1"
# SHA-256 of the prime, the two coefficients and the order in lower-case hex, with commas between
# them. The library knows the base point.
_BY_PARAMETERS = {
    "d6583d3c9fe192df88cd0af2d77469e462e35b876cca9c9375b09311273d5fc4": "P-224",
    "caecebb68c880263da6b67d52d763b714de589d8c768bfdf135e170d4dddedcc": "P-256",
    "bb9c67d28bbf292cf058272ee8e32b4f4df6c3f6a56a585a5103edfc8e6e9c20": "P-384",
    "ee2bbfc45dd22ca361d4ad19356296f284efaddc009efd033ba1497b3cf438d5": "P-521",
    "a92d2ac4b642a026804e051866e0249e2106ab327f4ff5a5fb6b6efda2807d6f": "secp256k1",
    "94e5ffa61dcb7509fb79f5d70cdd06c2b8f1ac3f6601260d45635791e8695615": "brainpoolP256r1",
    "d902b02995117541cf8dff600f48d60eaad92809bd23681588ab65223ac80b67": "brainpoolP384r1",
    "33a2139dd247392ecf44530abce9141fb109f6350f819ddd0f3519c92abc1fb9": "brainpoolP512r1",
}
_OIDS = {curve.name: oid for oid, curve in CURVES.items()}


def named(parameters: Tlv) -> str:
    """The dotted OID of the curve whose parameters these are (SpecifiedECDomain, SEC 1 appendix
    C.2, which RFC 5480 section 2.1.1 forbids and some tokens' drivers write); "" if they are none
    of :data:`CURVES`. Raises TlvError."""
    fields = parameters.fields()
    fields.take(tlv.INTEGER)
    field = fields.take(tlv.SEQUENCE).fields()
    if field.take(tlv.OID).oid() != _PRIME_FIELD:
        return ""
    prime = field.take(tlv.INTEGER).integer()
    curve = fields.take(tlv.SEQUENCE).fields()
    coefficients = [_number(curve.take(tlv.OCTET_STRING).content) for _ in range(2)]
    base = fields.take(tlv.OCTET_STRING).content
    order = fields.take(tlv.INTEGER).integer()
    cofactor = fields.maybe(tlv.INTEGER)
    fields.maybe(tlv.SEQUENCE)  # of a hash
    fields.done()
    text = ",".join(f"{number:x}" for number in (prime, *coefficients, order))
    oid = _OIDS.get(_BY_PARAMETERS.get(hashlib.sha256(text.encode()).hexdigest(), ""), "")
    others = oid and (base not in _base_points(oid) or (cofactor and cofactor.integer() != 1))
    return "" if others else oid


def _base_points(oid: str) -> set[bytes]:
    """A curve's base point in each form of SEC 1 section 2.3.3."""
    point = ec.derive_private_key(1, CURVES[oid].kind()).public_key()
    compressed, uncompressed = (
        point.public_bytes(Encoding.X962, form)
        for form in (PublicFormat.CompressedPoint, PublicFormat.UncompressedPoint)
    )
    hybrid = bytes([4 + compressed[0]]) + uncompressed[1:]
    return {compressed, uncompressed, hybrid}


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")
