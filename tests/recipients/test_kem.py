"""ML-KEM: what we write, what we read, and what goes wrong."""

from __future__ import annotations

import contextlib
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyasn1.codec.der import decoder
from pyasn1.type import namedtype, tag, univ
from pyasn1_modules import rfc5280, rfc5652

import cmstream
from cmstream import Recipient
from cmstream.asn1 import tlv
from cmstream.certificates import keys
from cmstream.recipients import kek_password
from helpers.authorities import certificate, element, key_usage
from helpers.authorities import identity as certified
from helpers.handmade import (
    AES_WRAP,
    KEY,
    NULL,
    algorithm,
    encrypt,
    issuer_and_serial,
    number,
    oid,
    pad,
)
from helpers.handmade import envelope as handmade_envelope
from helpers.opening import envelope
from helpers.people import Person, identity, person
from helpers.shapes import SHAPES, WEAK_TOO

TEXT = b"What is to stay secret for decades, and then some more"
ORI_KEM, HKDF = "1.2.840.113549.1.9.16.13.3", "1.2.840.113549.1.9.16.3.28"
OIDS = {
    "ML-KEM-768": "2.16.840.1.101.3.4.4.2",
    "ML-KEM-1024": "2.16.840.1.101.3.4.4.3",
}
SETS = list(OIDS)
KEK_LEN = 32


def dora(kind="ML-KEM-768", **options) -> Person:
    key, cert = certified(kind.lower().replace("-", ""), common_name="Dora", **options)
    (recipient,) = cmstream.load_recipients(cert.public_bytes(Encoding.DER))
    return Person(key, recipient)


DORA = dora()


# Certificates


@pytest.mark.parametrize("kind", SETS)
def test_a_certificate_says_what_it_is(kind):
    recipient = dora(kind).recipient
    assert recipient.key == kind
    assert recipient.problems() == ()
    assert kind in repr(recipient)


def test_the_key_usage():
    for usage, problems in (
        (key_usage("key_encipherment"), ()),
        (key_usage("key_agreement"), ("no-key-encipherment",)),
        (key_usage("digital_signature"), ("no-key-encipherment",)),
    ):
        found = dora(usage=usage).recipient.problems()
        assert tuple(problem.code for problem in found) == problems


def public_key_info(dotted, octets, parameters=b""):
    return element(0x30, algorithm(dotted, parameters), element(3, b"\0" + octets))


def test_the_public_key():
    raw = DORA.key.public_key().public_bytes_raw()
    for parameters in (b"", NULL):
        info = public_key_info(OIDS["ML-KEM-768"], raw, parameters)
        name, key, oaep_only = keys.load(tlv.read_only(info), "Dora")
        assert (name, key, oaep_only) == ("ML-KEM-768", DORA.key.public_key(), False)
    for dotted, octets in (
        (OIDS["ML-KEM-768"], raw[:-1]),
        (OIDS["ML-KEM-768"], b"\xff" * 1184),
        (OIDS["ML-KEM-1024"], raw),
        ("2.16.840.1.101.3.4.4.1", bytes(800)),
    ):
        with pytest.raises(cmstream.CertificateError) as caught:
            keys.load(tlv.read_only(public_key_info(dotted, octets)), "Dora")
        assert caught.value.code == "unsupported-key"


def test_what_does_not_belong_together(alice):
    other = mlkem.MLKEM768PrivateKey.generate()
    for key in (other, alice.key, certified("mlkem1024")[0]):
        with pytest.raises(cmstream.CertificateError):
            cmstream.Identity(key, DORA.recipient)
    with pytest.raises(TypeError, match="decapsulate"):
        cmstream.Identity(object(), DORA.recipient)


# What we write


def implicit(kind, number_, *, constructed=False):
    form = tag.tagFormatConstructed if constructed else tag.tagFormatSimple
    return kind.subtype(implicitTag=tag.Tag(tag.tagClassContext, form, number_))


def explicit(kind, number_):
    return kind.subtype(explicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, number_))


class KEMRecipientInfo(univ.Sequence):
    """RFC 9629 section 3."""

    componentType = namedtype.NamedTypes(
        namedtype.NamedType("version", rfc5652.CMSVersion()),
        namedtype.NamedType("rid", rfc5652.RecipientIdentifier()),
        namedtype.NamedType("kem", rfc5280.AlgorithmIdentifier()),
        namedtype.NamedType("kemct", univ.OctetString()),
        namedtype.NamedType("kdf", rfc5280.AlgorithmIdentifier()),
        namedtype.NamedType("kekLength", univ.Integer()),
        namedtype.OptionalNamedType("ukm", explicit(univ.OctetString(), 0)),
        namedtype.NamedType("wrap", rfc5280.AlgorithmIdentifier()),
        namedtype.NamedType("encryptedKey", univ.OctetString()),
    )


def hkdf(secret, info, octets=KEK_LEN, digest="sha256"):
    """RFC 5869 for one block."""
    inner = hmac.digest(bytes(hashlib.new(digest).digest_size), secret, digest)
    return hmac.digest(inner, info + b"\1", digest)[:octets]


def other_info(wrap, octets=KEK_LEN, ukm=b""):
    return element(0x30, wrap, number(octets), ukm)


@pytest.mark.parametrize("by", ["issuer-serial", "ski"])
@pytest.mark.parametrize("kind", SETS)
def test_a_recipient_info_is_read_by_others(kind, by):
    someone = dora(kind)
    sealed = cmstream.encrypt(TEXT, someone.recipient, policy=cmstream.Policy(recipient_id=by))
    found = envelope(sealed)
    assert found["version"] == 3
    ori = found["recipientInfos"][0]["ori"]
    assert str(ori["oriType"]) == ORI_KEM
    info, rest = decoder.decode(bytes(ori["oriValue"]), asn1Spec=KEMRecipientInfo())
    assert (rest, info["version"], info["kekLength"]) == (b"", 0, 32)
    assert str(info["kem"]["algorithm"]) == OIDS[kind]
    assert str(info["kdf"]["algorithm"]) == HKDF
    assert str(info["wrap"]["algorithm"]) == AES_WRAP[32]
    assert not any(info[name]["parameters"].hasValue() for name in ("kem", "kdf", "wrap"))
    assert not info["ukm"].hasValue()
    if by == "ski":
        assert bytes(info["rid"]["subjectKeyIdentifier"]) == someone.recipient.key_identifier
    else:
        assert info["rid"]["issuerAndSerialNumber"]["serialNumber"] == someone.recipient.serial

    secret = someone.key.decapsulate(bytes(info["kemct"]))
    kek = hkdf(secret, other_info(algorithm(AES_WRAP[32], b"")))
    key = aes_key_unwrap(kek, bytes(info["encryptedKey"]))
    content = found["encryptedContentInfo"]
    iv, _ = decoder.decode(content["contentEncryptionAlgorithm"]["parameters"])
    decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(iv))).decryptor()
    assert decryptor.update(bytes(content["encryptedContent"])) == pad(TEXT)


def test_each_message_has_its_own_secret():
    prepared = cmstream.Recipients([DORA.recipient])
    infos = [envelope(cmstream.encrypt(TEXT, prepared))["recipientInfos"][0] for _ in range(3)]
    assert len({bytes(one["ori"]["oriValue"]) for one in infos}) == 3


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes128-cbc"])
@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("shape", SHAPES)
def test_in_every_shape(shape, kind, cipher):
    someone = dora(kind)
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    sealed = cmstream.encrypt(TEXT, someone.recipient, policy=policy)
    assert SHAPES[shape](sealed, identity(someone)) == TEXT


def test_beside_a_classical_certificate_of_the_same_person(alice):
    sealed = cmstream.encrypt(TEXT, [alice.recipient, DORA.recipient])
    assert cmstream.decrypt(sealed, identity(alice)) == TEXT
    assert cmstream.decrypt(sealed, identity(DORA)) == TEXT
    assert cmstream.decrypt(sealed, [identity(DORA), identity(alice)]) == TEXT


def test_a_mail(alice):
    message = b"Subject: Lease\r\nContent-Type: text/plain\r\n\r\nSigned.\r\n"
    sealed = cmstream.encrypt_message(message, [DORA.recipient, alice.recipient])
    assert b"Signed." in cmstream.decrypt_message(sealed, identity(DORA))
    for one in cmstream.encrypt_many([(message, DORA.recipient)] * 3):
        assert b"Signed." in cmstream.decrypt_message(one, identity(DORA))


@pytest.mark.parametrize("kind", SETS)
def test_inspection(kind):
    someone = dora(kind)
    sealed = cmstream.encrypt(TEXT, someone.recipient)
    (found,) = cmstream.inspect(sealed, certificates=[someone.recipient]).addressees
    assert (found.kind, found.algorithm) == ("kem", kind.lower())
    assert (found.issuer, found.serial) == ("CN=Test CA", someone.recipient.serial)
    assert found.recipient is someone.recipient


# What others write


def kemri(
    secret,
    ciphertext,
    *,
    kem=OIDS["ML-KEM-768"],
    kdf=None,
    kek_len=32,
    wrap=None,
    ukm=b"",
    derive=hkdf,
    encrypted=None,
):
    """An OtherRecipientInfo for DORA; ``derive``: a key from the secret, its context, octets."""
    wrap = wrap or algorithm(AES_WRAP[kek_len], b"")
    if encrypted is None:
        encrypted = aes_key_wrap(derive(secret, other_info(wrap, kek_len, ukm), kek_len), KEY)
    value = element(
        0x30,
        number(0),
        issuer_and_serial(DORA.recipient),
        algorithm(kem, b""),
        element(4, ciphertext),
        kdf or algorithm(HKDF, b""),
        number(kek_len),
        ukm,
        wrap,
        element(4, encrypted),
    )
    return element(0xA4, oid(ORI_KEM), value)


def sealed_to(info, content=TEXT):
    return handmade_envelope([info], encrypt(pad(content)))


def encapsulated(**options):
    return sealed_to(kemri(*DORA.key.public_key().encapsulate(), **options))


def concatenated(digest):
    """NIST SP 800-56C, for one block."""
    return lambda secret, info, octets: hashlib.new(digest, b"\0\0\0\1" + secret + info).digest()[
        :octets
    ]


def by_hkdf(digest):
    return lambda secret, info, octets: hkdf(secret, info, octets, digest)


SHA2 = {"sha256": 1, "sha384": 2, "sha512": 3}
READ = {
    "as we write it": {},
    **{f"AES-{8 * n}": {"kek_len": n} for n in (16, 24)},
    "context": {"ukm": element(0xA0, element(4, b"Context"))},
    "wrap with NULL": {"wrap": algorithm(AES_WRAP[32], NULL)},
    **{
        f"HKDF with {name}": {
            "kdf": algorithm(f"1.2.840.113549.1.9.16.3.{27 + n}", b""),
            "derive": by_hkdf(name),
        }
        for name, n in SHA2.items()
    },
    **{
        f"KDF3 with {name}": {
            "kdf": algorithm("1.3.133.16.840.9.44.1.2", algorithm(f"2.16.840.1.101.3.4.2.{n}")),
            "derive": concatenated(name),
        }
        for name, n in SHA2.items()
    },
}


@pytest.mark.parametrize("form", READ)
def test_what_others_write(form):
    assert cmstream.decrypt(encapsulated(**READ[form]), identity(DORA)) == TEXT


def test_the_example_of_rfc_9936():
    """Its keys and its context, by a key that gives its shared secret; it has ML-KEM-512, whose
    place another takes here."""
    secret = bytes.fromhex("7DF12D412AE299A24FDE6D7C3BB8E3194C80AD3C733DCF2775E09FE8BEDB86D8")
    info = bytes.fromhex("3010300B0609608648016503040105020110")
    wrapped = bytes.fromhex("C050E4392F9C14DD0AC2220203F317D701F94F9DD92778F5")
    content_key = bytes.fromhex("C5153005588269A0A59F3C01943FDD56")
    assert other_info(algorithm(AES_WRAP[16], b""), 16) == info
    assert hkdf(secret, info, 16).hex().upper() == "CF453A3E2BAE0A78701B8206C185A008"

    class Token:
        def decapsulate(self, ciphertext):
            assert ciphertext == b"ciphertext"
            return secret

    sealed = handmade_envelope(
        [kemri(secret, b"ciphertext", kek_len=16, encrypted=wrapped)],
        encrypt(pad(TEXT), content_key),
        cipher=algorithm("2.16.840.1.101.3.4.1.2", element(4, bytes(range(100, 116)))),
    )
    assert cmstream.decrypt(sealed, cmstream.Identity(Token(), DORA.recipient)) == TEXT


# What goes wrong


def refusal(sealed, who=DORA):
    with pytest.raises(cmstream.CmstreamError) as caught:
        cmstream.decrypt(sealed, identity(who))
    return caught.value.code


def fails(sealed, who):
    """At once, and every time: nothing comes out before."""
    context = cmstream.decryptor(who)
    with pytest.raises(cmstream.DecryptionError):
        context.update(sealed[:-16])
    with pytest.raises(cmstream.DecryptionError) as caught:
        cmstream.decrypt(sealed, who)
    return caught.value.code == "decryption-failed"


def test_a_ciphertext_that_is_none():
    secret, ciphertext = DORA.key.public_key().encapsulate()
    flipped = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    for wrong in (flipped, ciphertext[:-1], ciphertext + b"\0", b"", bytes(1088), bytes(1568)):
        assert fails(sealed_to(kemri(secret, wrong)), identity(DORA))


@pytest.mark.parametrize("octets", [0, 7, 16, 24, 39, 40, 41])
def test_an_encrypted_key_that_is_none(octets):
    assert fails(encapsulated(encrypted=bytes(octets)), identity(DORA))


def test_a_key_of_another_length():
    secret, ciphertext = DORA.key.public_key().encapsulate()
    kek = hkdf(secret, other_info(algorithm(AES_WRAP[32], b"")))
    info = kemri(secret, ciphertext, encrypted=aes_key_wrap(kek, KEY[:16]))
    assert fails(sealed_to(info), identity(DORA))


def test_the_key_of_another():
    key = mlkem.MLKEM768PrivateKey.generate()
    same_name = certificate(key, common_name="Dora", serial=DORA.recipient.serial)
    impostor = cmstream.Identity(key, same_name.public_bytes(Encoding.DER))
    assert fails(encapsulated(), impostor)


BROKEN = {
    "unsupported-cipher": {
        "kem": {"kem": OIDS["ML-KEM-1024"]},
        "kdf": {"kdf": algorithm("1.2.3.4", b"")},
        "hash": {"kdf": algorithm("1.3.133.16.840.9.44.1.2", algorithm("1.2.3.4"))},
        "wrap": {"wrap": algorithm("1.2.3.4"), "encrypted": bytes(40)},
    },
    "malformed": {
        "length": {"kek_len": 16, "wrap": algorithm(AES_WRAP[32], b""), "encrypted": bytes(40)},
        "no hash": {"kdf": algorithm("1.3.133.16.840.9.44.1.2", b"")},
        "NULL for a hash": {"kdf": algorithm("1.3.133.16.840.9.44.1.2", NULL)},
        "two contexts": {"ukm": element(0xA0) + element(0xA0)},
    },
}


@pytest.mark.parametrize(
    ("code", "what"), [(code, what) for code, cases in BROKEN.items() for what in cases]
)
def test_broken_ones(code, what):
    assert refusal(encapsulated(**BROKEN[code][what])) == code


def test_others_of_the_other_kinds(alice):
    sealed = sealed_to(element(0xA4, oid("1.2.3.4"), NULL))
    assert refusal(sealed) == "no-recipient"
    assert refusal(encapsulated(), alice) == "no-recipient"
    assert refusal(sealed_to(element(0xA4, oid(ORI_KEM), NULL))) == "malformed"
    assert refusal(sealed_to(element(0xA4, oid(ORI_KEM)))) == "malformed"


WHOLE = cmstream.encrypt(TEXT, DORA.recipient)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1500), st.binary(min_size=1, max_size=3))
def test_damage(where, new):
    where %= len(WHOLE)
    with contextlib.suppress(cmstream.CmstreamError):
        cmstream.decrypt(WHOLE[:where] + new + WHOLE[where + len(new) :], identity(DORA))


# Any mix


def curve(kind):
    key, cert = certified(kind, common_name=kind)
    (recipient,) = cmstream.load_recipients(cert.public_bytes(Encoding.DER))
    return Person(key, recipient)


PEOPLE = [
    person(),
    person(number=1, common_name="Bob"),
    curve("SECP256R1"),
    curve("SECP384R1"),
    curve("x25519"),
    dora(),
    dora("ML-KEM-1024"),
]
EVERYONE = [
    *[(one.recipient, identity(one)) for one in PEOPLE],
    *[(key, key) for key in map(Recipient.from_password, ("one", "two"))],
    *[(key, key) for key in (Recipient.from_kek(bytes(n), bytes([n])) for n in (16, 24, 32))],
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(EVERYONE), min_size=1, max_size=8, unique_by=lambda one: id(one[0])),
    st.sampled_from(["aes256-cbc", "aes128-cbc"]),
    st.sampled_from(["issuer-serial", "ski"]),
    st.sampled_from(["pkcs1v15", "oaep-sha256"]),
    st.integers(0, 100),
)
def test_each_of_any_mix_can_open(everyone, cipher, by, transport, size):
    policy = WEAK_TOO.clone(cipher=cipher, recipient_id=by, key_transport=transport)
    short = [one for one, _ in everyone if isinstance(one, cmstream.Kek) and len(one.octets) < 32]
    assume(cipher == "aes128-cbc" or not short)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kek_password, "ITERATIONS", 100)
        sealed = cmstream.encrypt(bytes(size), [to for to, _ in everyone], policy=policy)
        pushed = cmstream.encryptor([to for to, _ in everyone], policy=policy)
        streamed = pushed.update(bytes(size)) + pushed.finalize()
    for _, who in everyone:
        assert cmstream.decrypt(sealed, who) == bytes(size)
        assert cmstream.decrypt(streamed, who) == bytes(size)
    assert len(envelope(sealed)["recipientInfos"]) <= len(everyone)
