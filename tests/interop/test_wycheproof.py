"""Wycheproof's vectors, each made a message and given to our reader: right ones open, wrong ones
fail with the right error, and none is left out."""

from __future__ import annotations

import pytest

import cmstream
from cmstream.asn1 import tlv
from cmstream.certificates import pbe
from cmstream.certificates.pfx_outline import Password
from helpers import wycheproof
from helpers.authorities import element
from helpers.handmade import CIPHERS, algorithm, envelope, ktri, number
from helpers.shapes import SHAPES
from helpers.wycheproof import KEY_LENGTHS, counted, outcome, unwrapped, vectors

FAILED = "decryption-failed"


# Content


@pytest.mark.parametrize("shape", SHAPES)
def test_aes_cbc_with_padding(alice, me, shape):
    def judge(vector):
        cipher = algorithm(CIPHERS[vector["keySize"] // 8], element(4, vector.octets("iv")))
        info = ktri(alice, vector.octets("key"))
        sealed = envelope([info], vector.octets("ct"), cipher=cipher)
        try:
            return SHAPES[shape](sealed, me) == vector.octets("msg")
        except cmstream.DecryptionError as error:
            return error.code

    assert counted("aes_cbc_pkcs5", judge) == {("valid", True): 72, ("invalid", FAILED): 144}


# Keys


def compared(vector, sealed, who):
    """What becomes of a message whose key is the vector's plaintext, and whether our reader finds
    that. Most have a length that no content cipher's key has: these can't open a message."""
    found, code = unwrapped(sealed, who), outcome(sealed, who)
    fits = vector["result"] == "valid" and len(vector.octets("msg")) in KEY_LENGTHS
    assert (code == "opened") is fits or code == "unsupported-cipher"
    return code, found == vector.octets("msg") if isinstance(found, bytes) else found


def test_aes_key_wrap():
    def judge(vector):
        who = cmstream.Identity.from_kek(vector.octets("key"), b"kek")
        info = wycheproof.by_kek(vector.octets("key"), vector.octets("ct"))
        sealed = wycheproof.for_key(info, vector.octets("msg"))
        return compared(vector, sealed, who)

    assert counted("aes_wrap", judge) == {
        ("valid", ("opened", True)): 33,
        ("valid", (FAILED, True)): 3,  # a key of 40 bytes
        ("invalid", (FAILED, None)): 126,
        ("acceptable", (FAILED, None)): 3,  # a key of eight bytes, which RFC 3394 doesn't know
    }


@pytest.mark.parametrize(
    ("bits", "opened", "invalid"), [(2048, 2, 25), (3072, 1, 26), (4096, 1, 26)]
)
def test_rsa_pkcs1(bits, opened, invalid):
    """What is wrong in any way looks like a wrong key, and the key has nothing of what is inside:
    the library puts random bytes in its place, or we do."""

    def judge(vector):
        sealed, who = wycheproof.key_transport(vector)
        code, right = compared(vector, sealed, who)
        if vector["result"] == "invalid":
            return code, has_left(unwrapped(sealed, who), vector, who.key)
        return code, right

    assert counted(f"rsa_pkcs1_{bits}", judge) == {
        ("valid", ("opened", True)): opened,
        ("valid", (FAILED, True)): 42 - opened if bits == 2048 else 41 - opened,
        ("invalid", (FAILED, False)): invalid,
    }


def has_left(found, vector, key):
    """Whether the end of the block that RSA gives has come out."""
    numbers = key.private_numbers()
    modulus = numbers.public_numbers.n
    block = pow(int.from_bytes(vector.octets("ct"), "big"), numbers.d, modulus)
    return bool(found) and block.to_bytes(key.key_size // 8, "big").endswith(found)


OAEP = {  # valid and invalid ones; each file has one valid vector with a key's length
    "2048_sha1_mgf1sha1": (17, 19),
    "2048_sha224_mgf1sha1": (13, 18),
    "2048_sha224_mgf1sha224": (17, 18),
    "2048_sha256_mgf1sha1": (13, 18),
    "2048_sha256_mgf1sha256": (18, 19),
    "2048_sha384_mgf1sha1": (13, 18),
    "2048_sha384_mgf1sha384": (16, 18),
    "2048_sha512_mgf1sha1": (13, 18),
    "2048_sha512_mgf1sha512": (14, 19),
    "3072_sha256_mgf1sha1": (13, 19),
    "3072_sha256_mgf1sha256": (18, 19),
    "3072_sha512_mgf1sha1": (13, 18),
    "3072_sha512_mgf1sha512": (15, 18),
    "4096_sha256_mgf1sha1": (13, 19),
    "4096_sha256_mgf1sha256": (18, 19),
    "4096_sha512_mgf1sha1": (13, 18),
    "4096_sha512_mgf1sha512": (17, 19),
}
UNKNOWN_HASHES = {  # which RFC 4055 doesn't know, nor the library with OAEP
    "2048_sha512_224_mgf1sha1": (13, 19),
    "2048_sha512_224_mgf1sha512_224": (16, 19),
    "3072_sha512_256_mgf1sha1": (13, 18),
    "3072_sha512_256_mgf1sha512_256": (18, 19),
}


def by_oaep(vector):
    sealed, who = wycheproof.key_transport(vector, wycheproof.oaep(vector))
    return compared(vector, sealed, who)


def test_every_file_of_oaep_is_known():
    files = {f"rsa_oaep_{name}" for name in (*OAEP, *UNKNOWN_HASHES, "misc")}
    assert set(wycheproof.names("rsa_oaep_*")) == files


@pytest.mark.parametrize("name", OAEP)
def test_rsa_oaep(name):
    valid, invalid = OAEP[name]
    assert counted(f"rsa_oaep_{name}", by_oaep) == {
        ("valid", ("opened", True)): 1,
        ("valid", (FAILED, True)): valid - 1,
        ("invalid", (FAILED, None)): invalid,
    }


@pytest.mark.parametrize("name", UNKNOWN_HASHES)
def test_rsa_oaep_with_hashes_that_are_not_known(name):
    valid, invalid = UNKNOWN_HASHES[name]
    code = "unsupported-cipher"
    found = counted(f"rsa_oaep_{name}", lambda vector: by_oaep(vector)[0])
    assert found == {("valid", code): valid, ("invalid", code): invalid}


def test_rsa_oaep_of_every_size():
    """Keys of 1024 to 8192 bits, each pair of hashes, and numbers that need care."""
    assert counted("rsa_oaep_misc", by_oaep) == {
        ("valid", (FAILED, True)): 392,
        ("acceptable", (FAILED, True)): 3,  # a ciphertext that is a small number
    }


# Key agreement and encapsulation

CURVES = {  # valid, invalid; acceptable ones that open, don't, are malformed
    "secp224r1": (439, 45, 57, 24, 149),
    "secp256k1": (473, 49, 57, 24, 149),
    "secp256r1": (330, 52, 57, 24, 149),
    "secp384r1": (771, 46, 57, 24, 149),
    "secp521r1": (632, 56, 55, 24, 149),
    "brainpoolP256r1": (517, 57, 54, 24, 152),
    "brainpoolP384r1": (641, 65, 54, 24, 152),
    "brainpoolP512r1": (511, 55, 52, 24, 152),
}


def agreed(vector):
    return outcome(*wycheproof.agreement(vector))


@pytest.mark.parametrize("curve", CURVES)
def test_ecdh(curve):
    """The acceptable ones have a public key in odd ASN.1, or on the curve under another name.

    One of the invalid ones opens. Its key gives the right curve by its parameters and leaves out
    the cofactor, which SEC 1 has as optional; the point is on the curve.
    """
    valid, invalid, *acceptable = CURVES[curve]
    codes = "opened", FAILED, "malformed"
    assert counted(f"ecdh_{curve}", agreed) == {
        ("valid", "opened"): valid,
        ("invalid", FAILED): invalid - 1,
        ("invalid", "opened"): 1,
        **{("acceptable", code): n for code, n in zip(codes, acceptable, strict=True)},
    }
    (odd,) = [one for one in vectors(f"ecdh_{curve}") if one["comment"] == "no cofactor"
              and one["result"] == "invalid"]  # fmt: skip
    assert agreed(odd) == "opened"


def test_x25519():
    """Points on the twist and above the prime open; what gives a secret of zeros doesn't (RFC 8418
    section 2)."""
    assert counted("x25519", agreed) == {
        ("valid", "opened"): 264,
        ("acceptable", "opened"): 223,
        ("acceptable", FAILED): 31,
    }
    assert zeros("x25519") == 31


def test_x448():
    assert counted("x448", agreed) == {
        ("valid", "opened"): 253,
        ("acceptable", "opened"): 234,
        ("acceptable", FAILED): 11,
        ("invalid", FAILED): 12,
    }
    assert zeros("x448") == 11


def zeros(name):
    every = [one for one in vectors(name) if "ZeroSharedSecret" in one["flags"]]
    assert {agreed(one) for one in every} == {FAILED}
    return len(every)


@pytest.mark.parametrize(("name", "valid"), [("mlkem_768", 161), ("mlkem_1024", 162)])
def test_ml_kem(name, valid):
    """Of the invalid ones half have a seed of another length, from which no key is made."""

    def judge(vector):
        made = wycheproof.encapsulation(vector)
        return outcome(*made) if made else "no key"

    assert counted(name, judge) == {
        ("valid", "opened"): valid,
        ("invalid", FAILED): 20,
        ("invalid", "no key"): 20,
    }


# Key files


def decrypted_by_password(vector, prf, octets):
    salt, rounds = element(4, vector.octets("salt")), number(vector["iterationCount"])
    derivation = algorithm("1.2.840.113549.1.5.12", element(0x30, salt, rounds, algorithm(prf)))
    cipher = algorithm(CIPHERS[octets], element(4, vector.octets("iv")))
    how = algorithm("1.2.840.113549.1.5.13", element(0x30, derivation, cipher))
    password = Password(vector.octets("password"), b"")
    return pbe.decrypt(tlv.read_only(how), vector.octets("ct"), password) == vector.octets("msg")


@pytest.mark.parametrize("octets", [16, 24, 32])
@pytest.mark.parametrize(("digest", "number_"), [(1, 7), (224, 8), (256, 9), (384, 10), (512, 11)])
def test_pbes2(digest, number_, octets):
    def judge(vector):
        return decrypted_by_password(vector, f"1.2.840.113549.2.{number_}", octets)

    assert counted(f"pbes2_hmacsha{digest}_aes_{8 * octets}", judge) == {("valid", True): 84}
