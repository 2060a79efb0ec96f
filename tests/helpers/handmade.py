"""Sealed messages made by hand, right ones and wrong ones. For tests alone."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import ec, padding, x448, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyasn1.codec.der import encoder
from pyasn1.type import univ

from helpers.authorities import element

ENVELOPED, DATA = "1.2.840.113549.1.7.3", "1.2.840.113549.1.7.1"
AUTHENTICATED = "1.2.840.113549.1.9.16.1.23"
RSA, OAEP = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.7"
CIPHERS = {
    16: "2.16.840.1.101.3.4.1.2",
    24: "2.16.840.1.101.3.4.1.22",
    32: "2.16.840.1.101.3.4.1.42",
}
TRIPLE_DES = "1.2.840.113549.3.7"
AES_WRAP = {
    16: "2.16.840.1.101.3.4.1.5",
    24: "2.16.840.1.101.3.4.1.25",
    32: "2.16.840.1.101.3.4.1.45",
}
ECDH_SHA256 = "1.3.132.1.11.1"
EC_KEY = "1.2.840.10045.2.1"
GCM = {
    16: "2.16.840.1.101.3.4.1.6",
    24: "2.16.840.1.101.3.4.1.26",
    32: "2.16.840.1.101.3.4.1.46",
}
CHACHA20 = "1.2.840.113549.1.9.16.3.18"
NULL = b"\5\0"
KEY, IV = bytes(range(32)), bytes(range(100, 116))


def oid(dotted):
    return encoder.encode(univ.ObjectIdentifier(dotted))


def algorithm(dotted, parameters=NULL):
    return element(0x30, oid(dotted), parameters)


def number(value):
    return element(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def issuer_and_serial(recipient):
    return element(0x30, recipient.issuer_der, recipient.serial_der)


def ktri(person, key=KEY, *, encrypted=None, name=None, how=None):
    """KeyTransRecipientInfo; ``encrypted``: the encrypted key, whatever it is."""
    if encrypted is None:
        encrypted = person.key.public_key().encrypt(key, padding.PKCS1v15())
    name = name or issuer_and_serial(person.recipient)
    return element(0x30, number(0), name, how or algorithm(RSA), element(4, encrypted))


def kari(*names):
    """KeyAgreeRecipientInfo with a public key and encrypted keys that are none."""
    keys = [element(0x30, name, element(4, bytes(24))) for name in names]
    originator = element(0xA0, element(0xA1, algorithm("1.2.840.10045.2.1"), element(3, bytes(66))))
    how = algorithm("1.3.132.1.11.1", algorithm("2.16.840.1.101.3.4.1.5", b""))
    return element(0xA1, number(3), originator, how, element(0x30, *keys))


def ephemeral_for(person):
    """A fresh key on a person's curve, its point, and the secret that the two share."""
    public = person.key.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        key = ec.generate_private_key(public.curve)
        form = Encoding.X962, PublicFormat.UncompressedPoint
        return key.public_key().public_bytes(*form), key.exchange(ec.ECDH(), public)
    kind = x25519.X25519PrivateKey
    key = (kind if isinstance(person.key, kind) else x448.X448PrivateKey).generate()
    return key.public_key().public_bytes_raw(), key.exchange(public)


def derived(secret, digest, wrap, octets, *, ukm=None, hkdf=False):
    """A key-encryption key, as RFC 5753 section 7.2 or RFC 8418 section 2.2 have it."""
    added = b"" if ukm is None else element(0xA0, element(4, ukm))
    length = element(0xA2, element(4, (8 * octets).to_bytes(4, "big")))
    shared = element(0x30, wrap, added, length)
    if hkdf:
        salt = ukm or bytes(hashlib.new(digest).digest_size)
        inner = hmac.digest(salt, secret, digest)
        return hmac.digest(inner, shared + b"\1", digest)[:octets]
    rounds = (secret + bytes([0, 0, 0, n]) + shared for n in (1, 2))
    return b"".join(hashlib.new(digest, one).digest() for one in rounds)[:octets]


def agreed(
    names, point, encrypted, *, scheme=ECDH_SHA256, wrap=None, ukm=None, key=EC_KEY, curve=b""
):
    """KeyAgreeRecipientInfo of these parts; ``key`` and ``curve``: the algorithm of the
    originator's key and its parameters."""
    parts = [element(0x30, name, element(4, encrypted)) for name in names]
    originator = element(0xA0, element(0xA1, algorithm(key, curve), element(3, b"\0", point)))
    added = b"" if ukm is None else element(0xA1, element(4, ukm))
    how = algorithm(scheme, algorithm(AES_WRAP[32], b"") if wrap is None else wrap)
    return element(0xA1, number(3), originator, added, how, element(0x30, *parts))


def agreed_with(person, key=KEY, *, scheme=ECDH_SHA256, digest="sha256", octets=32, **options):
    """KeyAgreeRecipientInfo for a person. ``null``: the key wrap's parameters; ``shared``: those
    that the key is derived with; ``hkdf``, ``ukm``."""
    null, shared = options.get("null", b""), options.get("shared")
    point, secret = ephemeral_for(person)
    wrap = algorithm(AES_WRAP[octets], null)
    with_ = wrap if shared is None else algorithm(AES_WRAP[octets], shared)
    ukm = options.get("ukm")
    kek = derived(secret, digest, with_, octets, ukm=ukm, hkdf=options.get("hkdf", False))
    name = issuer_and_serial(person.recipient)
    return agreed([name], point, aes_key_wrap(kek, key), scheme=scheme, wrap=wrap, ukm=ukm)


def agreed_by_key(identifier):
    return element(0xA0, element(4, identifier))


def kekri(identifier):
    wrap = algorithm("2.16.840.1.101.3.4.1.45", b"")
    return element(0xA2, number(4), element(0x30, element(4, identifier)), wrap, element(4, b"k"))


def pwri():
    derivation = element(0xA0, oid("1.2.840.113549.1.5.12"), NULL)
    how = algorithm("1.2.840.113549.1.9.16.3.9")
    return element(0xA3, number(0), derivation, how, element(4, b"k"))


def ori():
    return element(0xA4, oid("1.2.3.4"), NULL)


def pad(content, block=16):
    count = block - len(content) % block
    return content + bytes([count]) * count


def encrypt(padded, key=KEY, iv=IV, cipher=algorithms.AES):
    encryptor = Cipher(cipher(key), modes.CBC(iv[: 8 if cipher is TripleDES else 16])).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


def envelope(
    infos, ciphertext, *, kind=ENVELOPED, cipher=None, before=b"", behind=b"", indefinite=False
):
    """ContentInfo; ``ciphertext``: its octets, or the whole of its element with any segments."""
    if not isinstance(ciphertext, tuple):
        ciphertext = (element(0x80, ciphertext),)
    cipher = cipher or algorithm(CIPHERS[32], element(4, IV))

    def outer(tag, *contents):
        return element(tag, *contents, indefinite=indefinite)

    content = outer(0x30, oid(DATA), cipher, *ciphertext)
    enveloped = outer(0x30, number(0), before, element(0x31, *infos), content, behind)
    return outer(0x30, oid(kind), outer(0xA0, enveloped))


def gcm(key_len=32, nonce=IV[:12], tag_len=16):
    """The AlgorithmIdentifier of AES-GCM; ``tag_len`` None: its default."""
    length = b"" if tag_len is None else number(tag_len)
    return algorithm(GCM[key_len], element(0x30, element(4, nonce), length))


CCM = {
    16: "2.16.840.1.101.3.4.1.7",
    24: "2.16.840.1.101.3.4.1.27",
    32: "2.16.840.1.101.3.4.1.47",
}


def by_ccm(infos, data, *, key=KEY, nonce=IV[:12], tag_len=12, written_len=12, attributes=()):
    """AuthEnvelopedData with AES-CCM; ``written_len``: of the tag, None: its default."""
    aad = element(0x31, *attributes) if attributes else None
    sealed = AESCCM(key, tag_len).encrypt(nonce, data, aad)
    length = b"" if written_len is None else number(written_len)
    cipher = algorithm(CCM[len(key)], element(0x30, element(4, nonce), length))
    behind = (element(0xA1, *attributes) if attributes else b"") + element(4, sealed[-tag_len:])
    return envelope(infos, sealed[:-tag_len], kind=AUTHENTICATED, cipher=cipher, behind=behind)


def chacha20(nonce=IV[:12]):
    return algorithm(CHACHA20, element(4, nonce))


def attribute(dotted, *values):
    return element(0x30, oid(dotted), element(0x31, *values))


def authenticated(
    infos, data, *, key=KEY, cipher=None, nonce=IV[:12], tag_len=16, attributes=(), written=None,
    unauthenticated=b"", size=None, indefinite=False, spoil=lambda tag: tag,
):  # fmt: skip
    """AuthEnvelopedData, AES-GCM unless ``cipher`` says ChaCha20. ``attributes`` in DER and in
    order are proved; ``written``: as they stand in the message. ``size``: of segments."""
    aad = element(0x31, *attributes) if attributes else None
    if cipher is None:
        sealed = AESGCM(key).encrypt(nonce, data, aad)
        cipher = gcm(len(key), nonce, tag_len)
    else:
        sealed = ChaCha20Poly1305(key).encrypt(nonce, data, aad)
    text, tag = sealed[:-16], spoil(sealed[-16:])
    if written is None:
        written = element(0xA1, *attributes) if attributes else b""
    behind = written + element(4, tag[: tag_len or 12]) + unauthenticated
    return envelope(infos, text if size is None else segments(text, size), kind=AUTHENTICATED,
                    cipher=cipher, behind=behind, indefinite=indefinite)  # fmt: skip


def segments(ciphertext, size):
    """The element of a ciphertext in segments of ``size`` octets."""
    parts = [element(4, ciphertext[i : i + size]) for i in range(0, len(ciphertext), size)]
    return (element(0xA0, *parts, indefinite=True),)
