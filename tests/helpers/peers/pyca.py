"""The library *cryptography*, which has S/MIME of its own."""

from __future__ import annotations

import cryptography
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import (
    PKCS7EnvelopeBuilder,
    PKCS7Options,
    pkcs7_decrypt_der,
    pkcs7_decrypt_pem,
    pkcs7_decrypt_smime,
)
from cryptography.x509 import load_der_x509_certificate

from helpers.peers.program import Peer, Unfit

CIPHERS = {"aes128-cbc": algorithms.AES128, "aes256-cbc": algorithms.AES256}


class Pyca(Peer):
    forms = frozenset({"der", "smime", "message"})

    def version(self):
        return f"cryptography {cryptography.__version__}"

    def open(self, sealed, person, form="der"):
        openers = {"der": pkcs7_decrypt_der, "pem": pkcs7_decrypt_pem}
        certificate = load_der_x509_certificate(person.recipient.der)
        try:
            return openers.get(form, pkcs7_decrypt_smime)(sealed, certificate, person.key, [])
        except (UnsupportedAlgorithm, ValueError):
            return None
        except TypeError as error:
            raise Unfit from error

    def seal(self, data, people, form="der", cipher=algorithms.AES256):
        builder = PKCS7EnvelopeBuilder().set_data(data)
        builder = builder.set_content_encryption_algorithm(cipher)
        for one in people:
            builder = builder.add_recipient(load_der_x509_certificate(one.recipient.der))
        encoding = {"smime": Encoding.SMIME, "pem": Encoding.PEM}.get(form, Encoding.DER)
        return builder.encrypt(encoding, [PKCS7Options.Binary])

    def writes(self, case, data):
        if case.secrets or case.cipher not in CIPHERS:
            return None
        try:
            return self.seal(data, case.people, cipher=CIPHERS[case.cipher])
        except TypeError:  # it takes RSA keys alone
            return None
