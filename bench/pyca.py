"""The Python package `cryptography`: PKCS7EnvelopeBuilder in two forms, and pkcs7_decrypt_smime."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import cryptography
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import load_der_x509_certificate

from engines import Absent, Engine, one_by_one
from goals import PYCA_BACK
from samples import certificate, identity

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from engines import Lab


def engines(lab: Lab) -> list[Engine]:
    """SMIME, as a message needs it; DER, which is the encryption alone."""
    _name_version(lab)
    return [one_by_one("cryptography SMIME", smime), one_by_one("cryptography DER", der)]


def openers(lab: Lab) -> list[Engine]:
    """``pkcs7_decrypt_smime``, where this release has it."""
    if not hasattr(pkcs7, "pkcs7_decrypt_smime"):
        raise Absent("this release has no pkcs7_decrypt_smime")
    _name_version(lab)
    key = identity().key
    return [one_by_one(PYCA_BACK, lambda data: pkcs7.pkcs7_decrypt_smime(data, _to(), key, []))]


def _name_version(lab: Lab) -> None:
    version = f"cryptography {cryptography.__version__} with {backend.openssl_version_text()}"
    lab.versions["cryptography"] = version


def smime(data: bytes) -> bytes:
    """With canonical line ends, in base64."""
    return _builder(data).encrypt(Encoding.SMIME, [])


def der(data: bytes) -> bytes:
    """The content as it is, in DER."""
    return _builder(data).encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])


def _builder(data: bytes) -> pkcs7.PKCS7EnvelopeBuilder:
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(data).add_recipient(_to())
    return builder.set_content_encryption_algorithm(algorithms.AES256)


@functools.cache
def _to() -> Certificate:
    return load_der_x509_certificate(certificate())
