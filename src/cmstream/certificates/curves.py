"""Elliptic curves by name: those that can be encrypted to, those that can't, and which one a key
means that writes the curve's parameters out."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError


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
_POINT_FORMS = {bytes([form]) for form in (2, 3, 4, 6, 7)}  # SEC 1 section 2.3.3
# SHA-256 of the prime, the two coefficients, the base point's x and the order in lower-case hex,
# with commas between them. The base point's y is one of two, which makes no other curve.
_BY_PARAMETERS = {
    "bd3143373e613fb722fcf019e820528db20b01002f02e3b073d7914956aa7dcf": "P-224",
    "952f3dd4ea24d8e102baa2ac7e86ed6f7dbd2786af8c9908e0fff6bfadcd18d8": "P-256",
    "062961b971873d097a024a1cda6fa735b8d596acf8d8fdad585016f77127c419": "P-384",
    "250feaeab73e55e9a4fac67569cc3ca539910e42a448d73e245db939163ac2dc": "P-521",
    "f0383d668a7fbcb9edbf8457f57a77f3106d35a58d7b12d4a4bce2e7fa894b71": "secp256k1",
    "e3bdaccbd29b015042dab147c1fc905121a322cf208830bf048612ca77c3975e": "brainpoolP256r1",
    "3b22fe580717abcc40ea0f2e3a4b5bf86418628e507b410aaebac25a49317570": "brainpoolP384r1",
    "9e80e132bfe22fc2398a77940277e531c264290b4376808a84b3aac77251d939": "brainpoolP512r1",
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
    if base[:1] not in _POINT_FORMS:
        raise TlvError("a base point that isn't one")
    x = _number(base[1 : 1 + (prime.bit_length() + 7) // 8])
    text = ",".join(f"{number:x}" for number in (prime, *coefficients, x, order))
    return _OIDS.get(_BY_PARAMETERS.get(hashlib.sha256(text.encode()).hexdigest(), ""), "")


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")
