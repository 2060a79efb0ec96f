"""What programs may or may not be able to read of each other: the rows of the table in
tests/interop/README.md."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from helpers import authorities

KEK, KEK_ID = bytes(range(32)), b"archive 2026"
PASSWORD = "correct horse battery staple"
CURVES = {
    "P-256": "SECP256R1",
    "P-384": "SECP384R1",
    "P-521": "SECP521R1",
    "brainpoolP256r1": "BrainpoolP256R1",
    "brainpoolP384r1": "BrainpoolP384R1",
    "brainpoolP512r1": "BrainpoolP512R1",
    "X25519": "x25519",
    "X448": "x448",
}
SECRETS = {"KEK", "password"}
KEMS = {"ML-KEM-768": "mlkem768", "ML-KEM-1024": "mlkem1024"}


class Certificate:
    """Octets of a certificate that nobody has judged yet."""

    def __init__(self, certificate):
        self.der = certificate.public_bytes(Encoding.DER)
        self.pem = certificate.public_bytes(Encoding.PEM)
        self.fingerprint = hashlib.sha256(self.der).hexdigest()


class Owner(NamedTuple):
    key: Any
    recipient: Certificate


def owner(kind: str, number: int = 0) -> Owner:
    """The one with a key of this kind and number; the same at each call."""
    usage = authorities.key_usage("key_agreement" if kind in CURVES else "key_encipherment")
    options = {"usage": usage, "common_name": f"{kind} {number}", "number": number}
    if kind == "RSA":
        key, certificate = authorities.rsa_identity(**options)
    else:
        key, certificate = authorities.identity(CURVES.get(kind) or KEMS[kind], **options)
    return Owner(key, Certificate(certificate))


class Case(NamedTuple):
    """A row. ``kinds``: of the recipients' keys, whose last one opens it. ``how``: the key
    transport or the key agreement, as a Policy names them."""

    name: str
    kinds: tuple[str, ...] = ("RSA",)
    cipher: str = "aes256-cbc"
    how: str = "pkcs1v15"
    named: str = "issuer-serial"
    streamed: bool = False

    @property
    def kind(self):
        return self.kinds[-1]

    @property
    def people(self):
        """Those who have certificates."""
        kinds = enumerate(self.kinds)
        return [owner(kind, number) for number, kind in kinds if kind not in SECRETS]

    @property
    def person(self):
        """Who opens it; None where that takes no certificate."""
        return None if self.kind in SECRETS else self.people[-1]

    @property
    def secrets(self):
        """The kinds of recipients without certificates."""
        return [kind for kind in self.kinds if kind in SECRETS]

    def policy(self):
        field = "key_agreement" if self.how in {"standard", "explicit-null", "sha1-kdf"} else None
        changes = {"cipher": self.cipher, "recipient_id": self.named, "warn": frozenset()}
        return cmstream.DEFAULT.clone(**changes, **{field or "key_transport": self.how})

    def recipients(self):
        """Whom cmstream seals to."""
        to = [cmstream.load_recipients(one.recipient.der)[0] for one in self.people]
        if "KEK" in self.secrets:
            to.append(cmstream.Recipient.from_kek(KEK, KEK_ID))
        if "password" in self.secrets:
            to.append(cmstream.Recipient.from_password(PASSWORD))
        return to

    def identity(self):
        """What cmstream opens with."""
        if self.kind == "KEK":
            return cmstream.Identity.from_kek(KEK, KEK_ID)
        if self.kind == "password":
            return cmstream.Identity.from_password(PASSWORD)
        return cmstream.Identity(self.person.key, self.person.recipient.der)

    def seal(self, data):
        if not self.streamed:
            return cmstream.encrypt(data, self.recipients(), policy=self.policy())
        context = cmstream.encryptor(self.recipients(), policy=self.policy())
        return context.update(data) + context.finalize()

    def describes(self, seen: cmstream.Inspection) -> bool:
        """Whether a message is as this row says, as far as it can be seen."""
        return (
            seen.cipher == self.cipher
            and (seen.encoding == "BER" or not self.streamed)
            and len(seen.addressees) == len(self.kinds)
            and any(bool(one.key_identifier) for one in seen.addressees if one.kind != "kek")
            is (self.named == "ski")
            and any("oaep" in one.algorithm for one in seen.addressees) is ("oaep" in self.how)
            and any("sha1" in one.algorithm for one in seen.addressees) is ("sha1" in self.how)
        )


def agreed(name, *kinds, cipher="aes256-cbc", how="standard"):
    return Case(name, kinds, cipher, how)


CASES = [
    Case("AES-128-CBC", cipher="aes128-cbc"),
    Case("AES-256-CBC"),
    Case("AES-128-GCM", cipher="aes128-gcm"),
    Case("AES-256-GCM", cipher="aes256-gcm"),
    Case("ChaCha20-Poly1305", cipher="chacha20-poly1305"),
    Case("indefinite lengths", streamed=True),
    Case("named by subjectKeyIdentifier", named="ski"),
    Case("RSA-OAEP, SHA-256", how="oaep-sha256"),
    Case("RSA-OAEP, SHA-384", how="oaep-sha384"),
    Case("RSA-OAEP, SHA-512", how="oaep-sha512"),
    Case("RSA-OAEP, SHA-256, AES-256-GCM", how="oaep-sha256", cipher="aes256-gcm"),
    *(agreed(f"ECDH, {kind}" if kind[0] != "X" else kind, kind) for kind in CURVES),
    agreed("ECDH, P-256, AES-256-GCM", "P-256", cipher="aes256-gcm"),
    agreed("ECDH, P-256, explicit NULL", "P-256", how="explicit-null"),
    agreed("ECDH, P-256, SHA-1 in the KDF", "P-256", how="sha1-kdf"),
    Case("KEK", ("KEK",)),
    Case("password", ("password",)),
    *(Case(kind, (kind,)) for kind in KEMS),
    Case("ML-KEM-768, AES-256-GCM", ("ML-KEM-768",), cipher="aes256-gcm"),
    agreed("two with P-256", "P-256", "P-256"),
    *(Case(f"RSA beside {kind}", (kind, "RSA")) for kind in ("P-256", "KEK", "password")),
    Case("RSA beside ML-KEM-768", ("ML-KEM-768", "RSA")),
]
