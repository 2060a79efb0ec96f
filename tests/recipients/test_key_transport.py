"""Key transport: OAEP with every hash, and keys that are for nothing else."""

from __future__ import annotations

import itertools

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from pyasn1.codec.der import decoder
from pyasn1_modules import rfc4055

import cmstream
from cmstream.asn1 import tlv
from cmstream.ciphers import KEY_LEN
from helpers import handmade
from helpers.authorities import element
from helpers.opening import envelope as parsed
from helpers.peers import OpenSSL
from helpers.people import Person, identity, person
from helpers.shapes import SHAPES, WEAK_TOO

TEXT = b"Hello, Alice"
HASHES = {
    "oaep-sha256": hashes.SHA256(),
    "oaep-sha384": hashes.SHA384(),
    "oaep-sha512": hashes.SHA512(),
}
OIDS = {
    "oaep-sha256": "2.16.840.1.101.3.4.2.1",
    "oaep-sha384": "2.16.840.1.101.3.4.2.2",
    "oaep-sha512": "2.16.840.1.101.3.4.2.3",
    "oaep-sha1": "1.3.14.3.2.26",
}


def ktri(sealed):
    (info,) = parsed(sealed)["recipientInfos"]
    return info["ktri"]


def oaep(name, mask=None):
    """RSAES-OAEP-params."""
    digest, mask = (handmade.algorithm(OIDS[one]) for one in (name, mask or name))
    generator = handmade.algorithm("1.2.840.113549.1.1.8", mask)
    return element(0x30, element(0xA0, digest), element(0xA1, generator))


def marked(someone, *parameters):
    """The same person with a key for OAEP alone. The signature is broken, which is of no matter
    here."""
    outer = tlv.read_only(someone.recipient.der).children()
    parts = [part.whole for part in outer[0].children()]
    _, bits = tlv.read_only(parts[6]).children()
    algorithm = handmade.algorithm(handmade.OAEP, b"".join(parameters))
    parts[6] = element(0x30, algorithm, bits.whole)
    der = element(0x30, element(0x30, *parts), *(part.whole for part in outer[1:]))
    return Person(someone.key, cmstream.Recipient.from_der(der))


def how(sealed):
    """The OAEP of a message as names of its hash and its mask's."""
    algorithm = ktri(sealed)["keyEncryptionAlgorithm"]
    assert str(algorithm["algorithm"]) == handmade.OAEP
    spec = rfc4055.RSAES_OAEP_params()
    parameters, rest = decoder.decode(algorithm["parameters"], asn1Spec=spec)
    assert not rest
    mask, _ = decoder.decode(parameters["maskGenFunc"]["parameters"])
    names = {oid: name for name, oid in OIDS.items()}
    return names[str(parameters["hashFunc"]["algorithm"])], names[str(mask[0])]


# As the policy wants it


@pytest.mark.parametrize("recipient_id", ["issuer-serial", "ski"])
@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes128-cbc"])
@pytest.mark.parametrize("name", HASHES)
def test_each_hash_is_written_out(alice, name, cipher, recipient_id):
    policy = cmstream.Policy(key_transport=name, cipher=cipher, recipient_id=recipient_id)
    sealed = cmstream.encrypt(TEXT, alice.recipient, policy=policy)
    assert how(sealed) == (name, name)
    digest = HASHES[name]
    written = padding.OAEP(padding.MGF1(digest), digest, None)
    key = alice.key.decrypt(bytes(ktri(sealed)["encryptedKey"]), written)
    assert len(key) == (32 if cipher == "aes256-cbc" else 16)
    assert cmstream.decrypt(sealed, identity(alice)) == TEXT


@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(alice, bob, name, shape):
    policy = cmstream.Policy(key_transport=name)
    to = cmstream.Recipients([alice.recipient, bob.recipient])
    (many,) = cmstream.encrypt_many([(TEXT, to)], form="der", policy=policy)
    context = cmstream.encryptor(to, policy=policy)
    streamed = context.update(TEXT) + context.finalize()
    assert len(many) == len(cmstream.encrypt(TEXT, to, policy=policy))
    for someone in (alice, bob):
        for sealed in (bytes(many), streamed):
            assert SHAPES[shape](sealed, identity(someone)) == TEXT


def test_a_key_too_small_for_its_padding():
    small = person(1024)
    policy = WEAK_TOO.clone(key_transport="oaep-sha512")
    to = cmstream.Recipients([small.recipient])
    for act in (to.check, lambda policy: cmstream.encrypt(TEXT, to, policy=policy)):
        with pytest.raises(cmstream.RecipientError) as caught:
            act(policy)
        assert caught.value.code == "unusable-recipient"
    for cipher, name in itertools.product(KEY_LEN, ("pkcs1v15", "oaep-sha256", "oaep-sha384")):
        policy = WEAK_TOO.clone(key_transport=name, cipher=cipher)
        if name == "oaep-sha384" and KEY_LEN[cipher] == 32:
            with pytest.raises(cmstream.RecipientError):
                to.check(policy)
        else:
            to.check(policy)
            assert cmstream.encrypt(TEXT, to, policy=policy)


@pytest.mark.parametrize("name", HASHES)
def test_openssl_reads_each(alice, name, tmp_path):
    sealed = cmstream.encrypt(TEXT, alice.recipient, policy=cmstream.Policy(key_transport=name))
    assert OpenSSL(tmp_path).open(sealed, alice) == TEXT


# As the key wants it


def test_a_key_for_oaep_alone_is_never_used_otherwise(alice):
    someone = marked(alice)
    assert how(cmstream.encrypt(TEXT, someone.recipient)) == ("oaep-sha256", "oaep-sha256")
    for name in HASHES:
        policy = cmstream.Policy(key_transport=name)
        assert how(cmstream.encrypt(TEXT, someone.recipient, policy=policy)) == (name, name)


@pytest.mark.parametrize("policy", [None, *HASHES])
@pytest.mark.parametrize(
    "names",
    [(name, name) for name in OIDS]
    + [("oaep-sha512", "oaep-sha256"), ("oaep-sha256", "oaep-sha1")],
)
def test_a_keys_own_parameters_come_before_the_policys(alice, names, policy):
    someone = marked(alice, oaep(*names))
    policy = cmstream.Policy(key_transport=policy) if policy else cmstream.DEFAULT
    sealed = cmstream.encrypt(TEXT, someone.recipient, policy=policy)
    assert how(sealed) == names
    assert cmstream.decrypt(sealed, identity(someone)) == TEXT
    (sealed,) = cmstream.encrypt_many([(TEXT, someone.recipient)], form="der", policy=policy)
    assert how(bytes(sealed)) == names
    assert cmstream.decrypt(sealed, identity(someone)) == TEXT


def test_parameters_of_a_key_that_are_not_known(alice):
    unknown = element(0x30, element(0xA0, handmade.algorithm("1.2.3")))
    for parameters in (unknown, element(0x30, element(0xA0, handmade.NULL))):
        someone = marked(alice, parameters)
        with pytest.raises(cmstream.RecipientError, match="isn't known") as caught:
            cmstream.encrypt(TEXT, someone.recipient)
        assert caught.value.code == "unusable-recipient"


def test_parameters_of_null_say_nothing(alice):
    someone = marked(alice, handmade.NULL)
    assert how(cmstream.encrypt(TEXT, someone.recipient))[0] == "oaep-sha256"
