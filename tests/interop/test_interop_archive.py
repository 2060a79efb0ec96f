"""OpenSSL's command reads our archives, and we read its."""

from __future__ import annotations

import random

import pytest

import cmstream
from cmstream import Identity, Recipient
from helpers.peers import OpenSSL, must
from helpers.people import identity

KEKS = {octets: bytes(range(octets)) for octets in (16, 24, 32)}
KEY_ID = b"\x01\x02archive"
TEXT = "correct horse battery staple"


def content(size):
    return random.Random(size).randbytes(size)


@pytest.fixture(scope="module")
def openssl(tmp_path_factory):
    return OpenSSL(tmp_path_factory.mktemp("openssl"))


def opened(openssl, sealed, *options):
    source, out = openssl.file("sealed", sealed), openssl.folder / "out"
    must("openssl", "cms", "-decrypt", "-inform", "DER", "-in", source, "-out", out, *options)
    return out.read_bytes()


def of_kek(octets):
    return "-secretkey", KEKS[octets].hex(), "-secretkeyid", KEY_ID.hex()


@pytest.mark.parametrize(
    ("octets", "cipher"),
    [(16, "aes128-cbc"), (24, "aes128-cbc"), (32, "aes128-cbc"), (32, "aes256-cbc")],
)
def test_it_opens_with_a_kek(openssl, alice, octets, cipher):
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    to = [Recipient.from_kek(KEKS[octets], KEY_ID), alice.recipient]
    sealed = cmstream.encrypt(content(5000), to, policy=policy)
    assert opened(openssl, sealed, *of_kek(octets)) == content(5000)


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes128-cbc"])
@pytest.mark.parametrize("password", [TEXT, "pässword ✓"])
def test_it_opens_with_a_password(openssl, alice, password, cipher):
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    to = [alice.recipient, Recipient.from_password("another"), Recipient.from_password(password)]
    sealed = cmstream.encrypt(content(5000), to, policy=policy)
    assert opened(openssl, sealed, "-pwri_password", password) == content(5000)


@pytest.mark.parametrize("octets", KEKS)
def test_we_open_with_a_kek(openssl, alice, octets):
    sealed = openssl.seal(content(5000), [alice], options=("-aes192", *of_kek(octets)))
    for who in (Identity.from_kek(KEKS[octets], KEY_ID), identity(alice)):
        assert cmstream.decrypt(sealed, who) == content(5000)


@pytest.mark.parametrize("stream", [(), ("-stream",)])
@pytest.mark.parametrize("cipher", ["-aes128", "-aes192", "-aes256", "-des3"])
def test_we_open_with_a_password(openssl, cipher, stream):
    sealed = openssl.seal(content(5000), [], options=(cipher, *stream, "-pwri_password", TEXT))
    assert cmstream.decrypt(sealed, Identity.from_password(TEXT)) == content(5000)
