"""Other people's software agrees on keys with us, both ways."""

from __future__ import annotations

import pytest

import cmstream
from helpers.peers import OpenSSL
from helpers.people import identity
from recipients.test_key_agreement import CURVES, TEXT, carol


@pytest.fixture(scope="module")
def openssl(tmp_path_factory):
    return OpenSSL(tmp_path_factory.mktemp("openssl"))


@pytest.mark.parametrize("curve", ["SECP224R1", "SECP256K1"])
def test_rarer_curves(curve, openssl):
    someone = carol(curve)
    sealed = cmstream.encrypt(TEXT, someone.recipient)
    assert cmstream.decrypt(sealed, identity(someone)) == TEXT
    assert openssl.open(sealed, someone) == TEXT


@pytest.mark.parametrize("recipient_id", ["issuer-serial", "ski"])
@pytest.mark.parametrize("quirk", ["standard", "explicit-null", "sha1-kdf"])
@pytest.mark.parametrize("curve", list(CURVES)[:6])
def test_openssl_reads_ours(openssl, alice, curve, quirk, recipient_id):
    someone = carol(curve)
    policy = cmstream.Policy(key_agreement=quirk, recipient_id=recipient_id, cipher="aes128-cbc")
    people = [someone, alice, carol(curve, number=2)]
    sealed = cmstream.encrypt(TEXT, [one.recipient for one in people], policy=policy)
    for one in people[:2]:
        assert openssl.open(sealed, one) == TEXT


@pytest.mark.parametrize(
    ("options", "each"),
    [
        (("-aes256",), ()),
        (("-aes128",), ("-keyopt", "ecdh_kdf_md:sha256")),
        (("-aes256", "-keyid"), ("-keyopt", "ecdh_cofactor_mode:1")),
        (("-aes256", "-aes128-wrap"), ("-keyopt", "ecdh_kdf_md:sha512")),
        (("-aes256", "-aes192-wrap"), ()),
        (("-aes256", "-aes256-wrap"), ("-keyopt", "ecdh_kdf_md:sha224")),
        (("-des3", "-des3-wrap"), ()),
        (("-aes256", "-des3-wrap"), ("-keyopt", "ecdh_kdf_md:sha384")),
    ],
)
@pytest.mark.parametrize("curve", list(CURVES)[:6])
def test_we_read_openssls(openssl, curve, options, each):
    people = [carol(curve), carol(curve, number=2)]
    sealed = openssl.seal(TEXT, people, options=options, each=each)
    for someone in people:
        assert cmstream.decrypt(sealed, identity(someone)) == TEXT


@pytest.mark.parametrize("curve", list(CURVES)[:6])
def test_bouncy_castle_both_ways(bouncy_castle, curve):
    someone = carol(curve)
    policies = [cmstream.Policy(key_agreement=q) for q in ("standard", "explicit-null", "sha1-kdf")]
    for policy in [*policies, cmstream.Policy(recipient_id="ski", cipher="aes128-cbc")]:
        sealed = cmstream.encrypt(TEXT, someone.recipient, policy=policy)
        assert bouncy_castle.open(sealed, someone) == TEXT
    schemes = ["ecdh-sha1", "ecdh-sha256", "ecdh-sha384", "ecdh-sha512"]
    for scheme in [*schemes, "ecdh-cofactor-sha224", "ecdh-cofactor-sha512"]:
        sealed = bouncy_castle.seal(TEXT, someone, how=scheme)
        assert cmstream.decrypt(sealed, identity(someone)) == TEXT
