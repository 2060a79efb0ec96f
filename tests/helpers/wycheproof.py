"""Wycheproof's vectors, and messages of CMS that are made of them. For tests alone."""

from __future__ import annotations

import functools
import json
from collections import Counter
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

import cmstream
from cmstream.asn1 import tlv
from cmstream.cms import enveloped
from cmstream.recipients.unwrapping import UNWRAP
from helpers import handmade
from helpers.authorities import certificate, element
from helpers.handmade import KEY, algorithm, authenticated, derived, issuer_and_serial, number, oid
from helpers.peers.program import missing, need, run

FETCH = Path(__file__).parents[2] / ".ci" / "wycheproof"
TEXT = b"What stands in the message is no part of a vector."
KEY_LENGTHS = {16, 24, 32}
CURVES = {
    "secp224r1": ec.SECP224R1,
    "secp256k1": ec.SECP256K1,
    "secp256r1": ec.SECP256R1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
    "brainpoolP256r1": ec.BrainpoolP256R1,
    "brainpoolP384r1": ec.BrainpoolP384R1,
    "brainpoolP512r1": ec.BrainpoolP512R1,
}
MONTGOMERY = {
    "curve25519": (x25519.X25519PrivateKey, "1.3.101.110"),
    "curve448": (x448.X448PrivateKey, "1.3.101.111"),
}
HKDF_SHA256 = "1.2.840.113549.1.9.16.3.19"
HASHES = {
    "SHA-1": "1.3.14.3.2.26",
    **{
        f"SHA-{name}": f"2.16.840.1.101.3.4.2.{n}"
        for n, name in enumerate(("256", "384", "512", "224", "512/224", "512/256"), 1)
    },
}
ML_KEMS = {
    "ML-KEM-768": (mlkem.MLKEM768PrivateKey, "2.16.840.1.101.3.4.4.2"),
    "ML-KEM-1024": (mlkem.MLKEM1024PrivateKey, "2.16.840.1.101.3.4.4.3"),
}
ORI_KEM, HKDF_FOR_KEM = "1.2.840.113549.1.9.16.13.3", "1.2.840.113549.1.9.16.3.28"


@functools.cache
def folder():
    need("cargo")
    fetched = run(FETCH)
    if fetched.returncode:
        missing(f"the Rust package with Wycheproof's vectors ({fetched.stderr.decode()[-200:]})")
    return Path(fetched.stdout.decode().strip())


def names(pattern):
    """The files of a pattern, in their order."""
    return sorted(path.name.removesuffix("_test.json") for path in folder().glob(pattern))


def vectors(name):
    """Each vector of a file, with its group's fields; hexadecimal numbers as octets."""
    groups = json.loads((folder() / f"{name}_test.json").read_text())["testGroups"]
    for group in groups:
        for vector in group.pop("tests"):
            yield _Vector({**group, **vector})


class _Vector(dict):
    def octets(self, name):
        return bytes.fromhex(self[name])


# What becomes of a message


def outcome(sealed, who, content=TEXT):
    """``opened``, or the code of the error."""
    try:
        opened = cmstream.decrypt(sealed, who)
    except cmstream.CmstreamError as error:
        return error.code
    assert opened == content
    return "opened"


def unwrapped(sealed, who):
    """What our reader takes for the content-encryption key, of whatever length; None if nothing,
    or the code of the error."""
    (info,) = enveloped.read_head(sealed).recipients()
    try:
        return UNWRAP[info.kind](who, info, 0, 32)
    except cmstream.EnvelopeError as error:
        return error.code


def counted(name, judge):
    """How many vectors of a file come to what: by their own result, and ``judge``'s."""
    return Counter((one["result"], judge(one)) for one in vectors(name))


def for_key(info, key):
    """A message to which ``key`` opens, if it is any; an authenticated one, so that no other key
    does, by chance."""
    return authenticated([info], TEXT, key=key if len(key) in KEY_LENGTHS else KEY)


# Key transport


@functools.cache
def rsa_identity(pkcs8):
    return owner(
        load_der_private_key(bytes.fromhex(pkcs8), None, unsafe_skip_rsa_key_validation=True)
    )


def owner(key):
    """An identity with a certificate."""
    return cmstream.Identity(key, certificate(key).public_bytes(Encoding.DER))


def key_transport(vector, how=None):
    """A message with the vector's ciphertext as its encrypted key, and whom it is for."""
    who = rsa_identity(vector["privateKeyPkcs8"])
    name = issuer_and_serial(who.recipient)
    info = handmade.ktri(None, name=name, encrypted=vector.octets("ct"), how=how)
    return for_key(info, vector.octets("msg")), who


def oaep(vector):
    """The AlgorithmIdentifier (RFC 4055 section 4.1) of a vector."""
    digest = element(0xA0, algorithm(HASHES[vector["sha"]]))
    mask = element(0xA1, algorithm("1.2.840.113549.1.1.8", algorithm(HASHES[vector["mgfSha"]])))
    label = element(4, vector.octets("label"))
    source = element(0xA2, algorithm("1.2.840.113549.1.1.9", label)) if vector["label"] else b""
    return algorithm(handmade.OAEP, element(0x30, digest, mask, source))


# Key-encryption keys


def by_kek(kek, encrypted):
    wrap = algorithm(handmade.AES_WRAP[len(kek)], b"")
    return element(0xA2, number(4), element(0x30, element(4, b"kek")), wrap, element(4, encrypted))


# Key agreement


def agreement(vector):
    """A message whose key-encryption key is derived from the vector's secret, and whom it is for;
    where the vector has no secret, from what the point gives on the recipient's curve."""
    if vector["curve"] in MONTGOMERY:
        kind, dotted = MONTGOMERY[vector["curve"]]
        who = owner(kind.from_private_bytes(vector.octets("private")))
        point = algorithm(dotted, b""), element(3, b"\0", vector.octets("public"))
        return _agreed(who, b"".join(point), vector.octets("shared"), HKDF_SHA256)
    number_ = int(vector["private"], 16)
    who = owner(ec.derive_private_key(number_, CURVES[vector["curve"]]()))
    info = vector.octets("public")
    secret = vector.octets("shared") or _exchanged(who, info)
    return _agreed(who, _content(info), secret, handmade.ECDH_SHA256)


def _agreed(who, originator, secret, scheme):
    wrap = algorithm(handmade.AES_WRAP[32], b"")
    kek = derived(secret, "sha256", wrap, 32, hkdf=scheme == HKDF_SHA256)
    named = element(0x30, issuer_and_serial(who.recipient), element(4, aes_key_wrap(kek, KEY)))
    key = element(0xA0, element(0xA1, originator))
    info = element(0xA1, number(3), key, algorithm(scheme, wrap), element(0x30, named))
    return for_key(info, KEY), who


def _content(info):
    """What stands in a SubjectPublicKeyInfo; all of it, where it is none."""
    try:
        return bytes(tlv.read_only(info).content)
    except tlv.TlvError:
        return info


def _exchanged(who, info):
    curve = who.public_key.curve
    size = (curve.key_size + 7) // 8
    for count in (1 + 2 * size, 1 + size):
        try:
            public = ec.EllipticCurvePublicKey.from_encoded_point(curve, info[-count:])
        except ValueError:
            continue
        return who.key.exchange(ec.ECDH(), public)
    return bytes(size)


# Key encapsulation


def encapsulation(vector):
    """A message whose key-encryption key is derived from the vector's secret, and whom it is for;
    None for a seed that is none."""
    kind, dotted = ML_KEMS[vector["parameterSet"]]
    try:
        who = owner(kind.from_seed_bytes(vector.octets("seed")))
    except ValueError:
        return None
    wrap = algorithm(handmade.AES_WRAP[32], b"")
    shared = element(0x30, wrap, number(32))
    prk = handmade.hmac.digest(bytes(32), vector.octets("K"), "sha256")
    kek = handmade.hmac.digest(prk, shared + b"\1", "sha256")
    parts = (
        number(0), issuer_and_serial(who.recipient), algorithm(dotted, b""),
        element(4, vector.octets("c")), algorithm(HKDF_FOR_KEM, b""), number(32), wrap,
        element(4, aes_key_wrap(kek, KEY)),
    )  # fmt: skip
    return for_key(element(0xA4, oid(ORI_KEM), element(0x30, *parts)), KEY), who
