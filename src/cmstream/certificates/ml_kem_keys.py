"""Private keys of ML-KEM in PKCS #8 (RFC 9935 section 6), in the forms that the library doesn't
read: OpenSSL writes the seed and the expanded key side by side."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..errors import CertificateError
from .keys import ML_KEMS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mlkem import (
        MLKEM768PrivateKey,
        MLKEM1024PrivateKey,
    )

_PRIVATE = {kem.oid: kem.private for kem in ML_KEMS.values()}
_SEED = 0x80


def load(der: bytes) -> MLKEM768PrivateKey | MLKEM1024PrivateKey:
    """The key of PKCS #8 in DER.

    Raises ValueError if it is another kind of key, or damaged, and CertificateError
    ``unsupported-key`` where the seed is missing."""
    try:
        return _private(der)
    except TlvError as error:
        raise ValueError(str(error)) from None


def _private(der: bytes) -> MLKEM768PrivateKey | MLKEM1024PrivateKey:
    fields = tlv.read_only(der).fields()
    fields.take(tlv.INTEGER)
    oid = fields.take(tlv.SEQUENCE).fields().take(tlv.OID).oid()
    form = tlv.read(fields.take(tlv.OCTET_STRING).content)
    if oid not in _PRIVATE:
        raise ValueError("it is no ML-KEM key")
    seed, expanded = _halves(form)
    found: MLKEM768PrivateKey | MLKEM1024PrivateKey = _PRIVATE[oid].from_seed_bytes(seed)
    public = found.public_key().public_bytes_raw()
    # What a key expands to ends so (FIPS 203 algorithm 16).
    end = public + hashlib.sha3_256(public).digest() + seed[32:]
    if not (expanded or end).endswith(end):
        raise ValueError("the ML-KEM key isn't what its seed expands to")
    return found


def _halves(form: Tlv) -> tuple[bytes, bytes]:
    """The seed and the expanded key, if that is there."""
    if form.tag == _SEED:
        return form.content, b""
    if form.tag == tlv.SEQUENCE:
        both = form.fields()
        return both.take(tlv.OCTET_STRING).content, both.take(tlv.OCTET_STRING).content
    raise CertificateError(
        "unsupported-key",
        "the private key has only the expanded form of ML-KEM, which isn't supported: export it "
        "with its seed",
    )
