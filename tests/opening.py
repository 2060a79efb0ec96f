"""Opens what was sealed with parsers that aren't ours: pyasn1 for BER and DER, `cryptography` for
the rest. For tests alone."""

from __future__ import annotations

import base64
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.padding import PKCS7
from pyasn1.codec.ber import decoder
from pyasn1.type import namedtype, tag, univ
from pyasn1_modules import rfc5652

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
CIPHERS = {"2.16.840.1.101.3.4.1.2": "aes128-cbc", "2.16.840.1.101.3.4.1.42": "aes256-cbc"}


class Opened(NamedTuple):
    content: bytes
    cipher: str
    version: int
    recipients: int


class ContentInfo(univ.Sequence):
    """With the content's type fixed: pyasn1 can't cut an ANY of indefinite length out."""

    componentType = namedtype.NamedTypes(
        namedtype.NamedType("contentType", univ.ObjectIdentifier()),
        namedtype.NamedType(
            "content",
            rfc5652.EnvelopedData().subtype(
                explicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, 0)
            ),
        ),
    )


def envelope(cms: bytes):
    """The EnvelopedData of a ContentInfo."""
    info, rest = decoder.decode(cms, asn1Spec=ContentInfo())
    assert rest == b""
    assert info["contentType"] == rfc5652.id_envelopedData
    return info["content"]


def open_cms(cms: bytes, key, index: int = 0) -> Opened:
    """Opens a ContentInfo with the private key of recipient ``index``."""
    enveloped = envelope(cms)
    ktri = enveloped["recipientInfos"][index]["ktri"]
    algorithm = str(ktri["keyEncryptionAlgorithm"]["algorithm"])
    oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)
    how = padding.PKCS1v15() if algorithm == RSA_ENCRYPTION else oaep
    content_key = key.decrypt(bytes(ktri["encryptedKey"]), how)
    encrypted = enveloped["encryptedContentInfo"]
    cipher = encrypted["contentEncryptionAlgorithm"]
    iv, _ = decoder.decode(cipher["parameters"])
    decryptor = Cipher(algorithms.AES(content_key), modes.CBC(bytes(iv))).decryptor()
    unpadder = PKCS7(128).unpadder()
    padded = decryptor.update(bytes(encrypted["encryptedContent"])) + decryptor.finalize()
    content = unpadder.update(padded) + unpadder.finalize()
    name = CIPHERS[str(cipher["algorithm"])]
    return Opened(content, name, int(enveloped["version"]), len(enveloped["recipientInfos"]))


def dearmour(text: bytes) -> bytes:
    """The octets between PEM lines, or behind a header block."""
    if text.startswith(b"-----BEGIN CMS-----\r\n"):
        lines = text.split(b"\r\n")[1:-2]
        assert text.endswith(b"-----END CMS-----\r\n")
    else:
        lines = text.partition(b"\r\n\r\n")[2].split(b"\r\n")
        assert lines.pop() == b""
    assert all(len(line) == 64 for line in lines[:-1])
    assert not lines or 0 < len(lines[-1]) <= 64
    return base64.b64decode(b"".join(lines), validate=True)


def open_message(message: bytes, key) -> tuple[bytes, bytes]:
    """The outer header block and the inner entity of an S/MIME message."""
    head, _, _ = message.partition(b"\r\n\r\n")
    return head + b"\r\n", open_cms(dearmour(message), key).content
