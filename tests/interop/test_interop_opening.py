"""We read what other people's software writes."""

from __future__ import annotations

import io
import random

import pytest
from cryptography.hazmat.primitives.ciphers import algorithms

import cmstream
from helpers.peers import Gpgsm, Nss, OpenSSL, Pyca
from helpers.people import identity, person
from helpers.shapes import pieces, pushed

SIZES = [0, 1, 15, 16, 17, 47, 48, 49, 1000, 65_536, 3 << 20]


def octets(size):
    return random.Random(size).randbytes(size)


def check(sealed, expected, *people):
    """Each of them opens it, whole, in pieces, and from a file, and finds a certificate in it."""
    for someone in people:
        who = identity(someone)
        assert cmstream.decrypt(sealed, who) == expected
        assert pushed(pieces(sealed, 10_007), who) == expected
        assert cmstream.DecryptReader(io.BytesIO(sealed), who).read() == expected
        seen = cmstream.inspect(sealed, certificates=[someone.recipient])
        assert someone.recipient in [one.recipient for one in seen.addressees]


@pytest.fixture(scope="module")
def people(alice, bob):
    return [alice, bob, person(3072, number=4, common_name="Carol")]


@pytest.fixture(scope="module")
def openssl(tmp_path_factory):
    return OpenSSL(tmp_path_factory.mktemp("openssl"))


@pytest.fixture(scope="module")
def gpgsm(tmp_path_factory):
    made = Gpgsm(tmp_path_factory.mktemp("gpgsm"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def nss(tmp_path_factory):
    return Nss(tmp_path_factory.mktemp("nss"))


@pytest.mark.parametrize("stream", [(), ("-stream",)])
@pytest.mark.parametrize("form", ["der", "pem", "smime"])
@pytest.mark.parametrize("size", SIZES)
def test_openssl_s_sizes_and_forms(openssl, alice, size, form, stream):
    check(openssl.seal(octets(size), [alice], form, ("-aes256", *stream)), octets(size), alice)


@pytest.mark.parametrize("keyid", [(), ("-keyid",)])
@pytest.mark.parametrize("stream", [(), ("-stream",)])
@pytest.mark.parametrize("cipher", ["-aes128", "-aes192", "-aes256", "-des3"])
def test_openssl_s_ciphers(openssl, people, cipher, stream, keyid):
    sealed = openssl.seal(octets(5000), people, options=(cipher, *stream, *keyid))
    check(sealed, octets(5000), *people)


@pytest.mark.parametrize("form", ["der", "pem", "smime"])
@pytest.mark.parametrize("stream", [(), ("-stream",)])
@pytest.mark.parametrize("cipher", ["-aes-128-gcm", "-aes-192-gcm", "-aes-256-gcm"])
def test_openssl_s_authenticated_ciphers(openssl, people, cipher, stream, form):
    for size in (1, 5000, 1 << 20) if stream else (0, 1, 5000, 1 << 20):  # it can't stream nothing
        sealed = openssl.seal(octets(size), people, form, (cipher, *stream))
        assert cmstream.inspect(sealed).cipher == cipher[1:].replace("-", "", 1)
        check(sealed, octets(size), *people)


OAEP = ("-keyopt", "rsa_padding_mode:oaep")


@pytest.mark.parametrize(
    "each",
    [
        OAEP,
        (*OAEP, "-keyopt", "rsa_oaep_md:sha256"),
        (*OAEP, "-keyopt", "rsa_oaep_md:sha512", "-keyopt", "rsa_mgf1_md:sha1"),
        (*OAEP, "-keyopt", "rsa_oaep_label:6162"),
    ],
)
def test_openssl_s_oaep(openssl, people, each):
    check(openssl.seal(octets(100), people, each=each), octets(100), *people)


@pytest.mark.parametrize("cipher", ["AES", "AES192", "AES256", "3DES"])
def test_gpgsm_s_ciphers(gpgsm, people, cipher):
    sealed = gpgsm.seal(octets(5000), people, ("--cipher-algo", cipher))
    check(sealed, octets(5000), *people)


@pytest.mark.parametrize("armour", [(), ("--armor",), ("--base64",)])
@pytest.mark.parametrize("size", SIZES)
def test_gpgsm_s_sizes_and_forms(gpgsm, alice, size, armour):
    check(gpgsm.seal(octets(size), [alice], armour), octets(size), alice)


@pytest.mark.parametrize("size", SIZES)
def test_nss_s_sizes(nss, people, size):
    check(nss.seal(octets(size), people), octets(size), *people)


@pytest.mark.parametrize("cipher", [algorithms.AES128, algorithms.AES256])
@pytest.mark.parametrize("form", ["der", "pem", "smime"])
def test_cryptography_s(people, tmp_path, form, cipher):
    for size in SIZES:
        sealed = Pyca(tmp_path).seal(octets(size), people, form, cipher)
        check(sealed, octets(size), *people)


WAYS = [("pkcs1v15", "issuer-serial"), ("pkcs1v15", "ski"), ("oaep-sha256", "issuer-serial")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cipher", ["aes128-cbc", "aes192-cbc", "aes256-cbc", "des3-cbc"])
def test_bouncy_castle_s_ciphers(bouncy_castle, alice, cipher, way):
    how, named = way
    sealed = bouncy_castle.seal(octets(1000), alice, cipher, how=how, named=named, cut=100)
    check(sealed, octets(1000), alice)


@pytest.mark.parametrize("cut", [1000, 4096])
@pytest.mark.parametrize("size", SIZES)
def test_bouncy_castle_s_sizes(bouncy_castle, alice, size, cut):
    check(bouncy_castle.seal(octets(size), alice, cut=cut), octets(size), alice)


@pytest.mark.parametrize("attribute", ["", "+attribute"])
@pytest.mark.parametrize("cipher", ["aes128-gcm", "aes256-gcm"])
def test_bouncy_castle_s_authenticated_ciphers(bouncy_castle, alice, cipher, attribute):
    """With an attribute, which is proved before the content and stands behind it, too."""
    for how in ("pkcs1v15", "oaep-sha256"):
        for size in (0, 5000):
            sealed = bouncy_castle.seal(octets(size), alice, cipher + attribute, how=how)
            check(sealed, octets(size), alice)
