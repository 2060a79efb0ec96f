"""The Python package `cryptography`: its PKCS7EnvelopeBuilder, in two forms."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import cryptography
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import load_der_x509_certificate

from engines import Engine, one_by_one
from samples import certificate

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from engines import Lab


def engines(lab: Lab) -> list[Engine]:
    """SMIME as a message needs it; DER with nothing but the encryption."""
    version = f"cryptography {cryptography.__version__} with {backend.openssl_version_text()}"
    lab.versions["cryptography"] = version
    return [one_by_one("cryptography SMIME", smime), one_by_one("cryptography DER", der)]


def smime(data: bytes) -> bytes:
    """With line ends made canonical, as base64."""
    return _builder(data).encrypt(Encoding.SMIME, [])


def der(data: bytes) -> bytes:
    """As it is, as octets."""
    return _builder(data).encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])


def _builder(data: bytes) -> pkcs7.PKCS7EnvelopeBuilder:
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(data).add_recipient(_to())
    return builder.set_content_encryption_algorithm(algorithms.AES256)


@functools.cache
def _to() -> Certificate:
    return load_der_x509_certificate(certificate())
