"""Opens what was sealed with parsers that aren't ours: pyasn1 for BER and DER, `cryptography` for
the rest. For tests alone."""

from __future__ import annotations

import base64
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.padding import PKCS7
from pyasn1.codec.ber import decoder
from pyasn1.codec.der import encoder
from pyasn1.type import namedtype, tag, univ
from pyasn1_modules import rfc5083, rfc5084, rfc5652

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
CIPHERS = {
    "2.16.840.1.101.3.4.1.2": "aes128-cbc",
    "2.16.840.1.101.3.4.1.42": "aes256-cbc",
    "2.16.840.1.101.3.4.1.6": "aes128-gcm",
    "2.16.840.1.101.3.4.1.46": "aes256-gcm",
    "1.2.840.113549.1.9.16.3.18": "chacha20-poly1305",
}


class Opened(NamedTuple):
    content: bytes
    cipher: str
    version: int
    recipients: int


def content_info(content):
    """A ContentInfo with the content's type fixed: pyasn1 can't cut an ANY of indefinite length
    out."""
    explicit_0 = tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, 0)

    class ContentInfo(univ.Sequence):
        componentType = namedtype.NamedTypes(
            namedtype.NamedType("contentType", univ.ObjectIdentifier()),
            namedtype.NamedType("content", content.subtype(explicitTag=explicit_0)),
        )

    return ContentInfo


ContentInfo = content_info(rfc5652.EnvelopedData())
AuthContentInfo = content_info(rfc5083.AuthEnvelopedData())


def envelope(cms: bytes):
    """The EnvelopedData of a ContentInfo."""
    info, rest = decoder.decode(cms, asn1Spec=ContentInfo())
    assert rest == b""
    assert info["contentType"] == rfc5652.id_envelopedData
    return info["content"]


def auth_envelope(cms: bytes):
    """The AuthEnvelopedData of a ContentInfo (RFC 5083)."""
    info, rest = decoder.decode(cms, asn1Spec=AuthContentInfo())
    assert rest == b""
    assert info["contentType"] == rfc5083.id_ct_authEnvelopedData
    return info["content"]


def open_cms(cms: bytes, key, index: int = 0) -> Opened:
    """Opens a ContentInfo with the private key of recipient ``index``."""
    authenticated = AUTH_ENVELOPED in cms[:40]
    enveloped = auth_envelope(cms) if authenticated else envelope(cms)
    ktri = enveloped["recipientInfos"][index]["ktri"]
    algorithm = str(ktri["keyEncryptionAlgorithm"]["algorithm"])
    oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)
    how = padding.PKCS1v15() if algorithm == RSA_ENCRYPTION else oaep
    content_key = key.decrypt(bytes(ktri["encryptedKey"]), how)
    decrypt = decrypted_by_tag if authenticated else decrypted_by_padding
    content, name = decrypt(enveloped, content_key)
    return Opened(content, name, int(enveloped["version"]), len(enveloped["recipientInfos"]))


AUTH_ENVELOPED = encoder.encode(rfc5083.id_ct_authEnvelopedData)


def decrypted_by_padding(enveloped, key):
    encrypted = enveloped["encryptedContentInfo"]
    cipher = encrypted["contentEncryptionAlgorithm"]
    iv, _ = decoder.decode(cipher["parameters"])
    decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(iv))).decryptor()
    unpadder = PKCS7(128).unpadder()
    padded = decryptor.update(bytes(encrypted["encryptedContent"])) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize(), CIPHERS[str(cipher["algorithm"])]


def decrypted_by_tag(enveloped, key):
    encrypted, mac = enveloped["authEncryptedContentInfo"], bytes(enveloped["mac"])
    cipher = encrypted["contentEncryptionAlgorithm"]
    name = CIPHERS[str(cipher["algorithm"])]
    if name == "chacha20-poly1305":
        nonce, opener = decoder.decode(cipher["parameters"])[0], ChaCha20Poly1305(key)
    else:
        parameters, _ = decoder.decode(cipher["parameters"], asn1Spec=rfc5084.GCMParameters())
        nonce, opener = parameters["aes-nonce"], AESGCM(key)
        assert parameters["aes-ICVlen"] == len(mac)
        assert 8 * len(key) == int(name[3:6])
    assert len(nonce) == 12
    assert len(mac) == 16
    return opener.decrypt(bytes(nonce), bytes(encrypted["encryptedContent"]) + mac, None), name


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
