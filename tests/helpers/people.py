"""People to encrypt to, who can also open."""

from __future__ import annotations

from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from helpers.authorities import rsa_identity


class Person(NamedTuple):
    key: object
    recipient: cmstream.Recipient


def person(bits: int = 2048, **options) -> Person:
    key, certificate = rsa_identity(bits, **options)
    (recipient,) = cmstream.load_recipients(certificate.public_bytes(Encoding.DER))
    return Person(key, recipient)


def identity(someone: Person) -> cmstream.Identity:
    return cmstream.Identity(someone.key, someone.recipient)
