"""Keys on elliptic curves: what we write, what we read, and mixes of recipients."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.der import decoder

import cmstream
from cmstream.cms import enveloped
from cmstream.recipients import content_key, key_agreement, legacy_key_wrap
from cmstream.recipients.recipients import prepare
from helpers import handmade
from helpers.authorities import element, key_usage
from helpers.authorities import identity as certified
from helpers.handmade import (
    AES_WRAP,
    KEY,
    NULL,
    TRIPLE_DES,
    agreed,
    agreed_with,
    encrypt,
    envelope,
    pad,
)
from helpers.opening import envelope as parsed
from helpers.peers.program import must, need
from helpers.people import Person, identity, person
from helpers.shapes import SHAPES, WEAK_TOO

SHARED = Path(__file__).resolve().parents[3] / "shared" / "corpus"
TEXT = b"Hello, Carol"
# By the generators' names: the certificate's, the scheme, octets of the key wrap for AES-128.
CURVES = {
    "SECP256R1": ("P-256", "1.3.132.1.11.1"),
    "SECP384R1": ("P-384", "1.3.132.1.11.2"),
    "SECP521R1": ("P-521", "1.3.132.1.11.3"),
    "BrainpoolP256R1": ("brainpoolP256r1", "1.3.132.1.11.1"),
    "BrainpoolP384R1": ("brainpoolP384r1", "1.3.132.1.11.2"),
    "BrainpoolP512R1": ("brainpoolP512r1", "1.3.132.1.11.3"),
    "x25519": ("X25519", "1.2.840.113549.1.9.16.3.19"),
    "x448": ("X448", "1.2.840.113549.1.9.16.3.21"),
}
SHA1_SCHEME = "1.3.133.16.840.63.0.2"


def carol(curve="SECP256R1", *, number=0, **options) -> Person:
    key, certificate = certified(curve, number=number, common_name=f"Carol {number}", **options)
    (recipient,) = cmstream.load_recipients(certificate.public_bytes(Encoding.DER))
    return Person(key, recipient)


def on_every_curve():
    return [carol(curve) for curve in CURVES]


def infos(sealed):
    """The KeyAgreeRecipientInfos."""
    return [one["kari"] for one in parsed(sealed)["recipientInfos"] if one.getName() == "kari"]


def opened(info, who, content=TEXT):
    """Opens a message made by hand."""
    return cmstream.decrypt(envelope([info], encrypt(pad(content))), identity(who))


def refusal(info, who):
    with pytest.raises(cmstream.CmstreamError) as caught:
        opened(info, who)
    return caught.value.code


@pytest.fixture
def no_chance(monkeypatch):
    """The key that takes the place of one that doesn't unwrap is the same each time, and not ours:
    a random one gives noise instead of an error once in 256 times."""
    monkeypatch.setattr("cmstream.recipients.content_key.os.urandom", bytes)


# What we write


@pytest.mark.parametrize("recipient_id", ["issuer-serial", "ski"])
@pytest.mark.parametrize("cipher", ["aes128-cbc", "aes256-cbc"])
@pytest.mark.parametrize("curve", CURVES)
def test_every_curve_and_cipher_as_the_standards_say(curve, cipher, recipient_id):
    someone, (key, scheme) = carol(curve), CURVES[curve]
    assert someone.recipient.key == key
    policy = cmstream.Policy(cipher=cipher, recipient_id=recipient_id)
    sealed = cmstream.encrypt(TEXT, someone.recipient, policy=policy)
    assert parsed(sealed)["version"] == 2
    (info,) = infos(sealed)
    assert info["version"] == 3
    assert not info["ukm"].isValue
    assert str(info["keyEncryptionAlgorithm"]["algorithm"]) == scheme
    wrap, _ = decoder.decode(info["keyEncryptionAlgorithm"]["parameters"])
    assert len(wrap) == 1  # no parameters
    assert str(wrap[0]) == AES_WRAP[32 if cipher == "aes256-cbc" else 16]
    (one,) = info["recipientEncryptedKeys"]
    assert (one["rid"].getName() == "rKeyId") is (recipient_id == "ski")
    assert cmstream.decrypt(sealed, identity(someone)) == TEXT


@pytest.mark.parametrize("curve", CURVES)
def test_the_originators_key_has_the_algorithm_of_the_certificates(curve):
    someone = carol(curve)
    (info,) = infos(cmstream.encrypt(TEXT, someone.recipient))
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    own, _ = decoder.decode(someone.key.public_key().public_bytes(*form))
    written = info["originator"]["originatorKey"]
    assert str(written["algorithm"]["algorithm"]) == str(own[0][0])
    if len(own[0]) > 1:
        curve_name, _ = decoder.decode(written["algorithm"]["parameters"])
        assert curve_name == own[0][1]
    assert len(written["publicKey"]) == len(own[1])


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("quirk", ["explicit-null", "sha1-kdf"])
def test_quirks_by_policy(curve, quirk):
    someone = carol(curve)
    sealed = cmstream.encrypt(TEXT, someone.recipient, policy=cmstream.Policy(key_agreement=quirk))
    how = infos(sealed)[0]["keyEncryptionAlgorithm"]
    wrap, _ = decoder.decode(how["parameters"])
    assert len(wrap) == (2 if quirk == "explicit-null" else 1)
    sha1 = quirk == "sha1-kdf" and curve[0] != "x"  # nobody reads that with HKDF's curves
    expected = SHA1_SCHEME if sha1 else CURVES[curve][1]
    assert str(how["algorithm"]) == expected
    assert cmstream.decrypt(sealed, identity(someone)) == TEXT


def test_an_explicit_null_is_part_of_what_the_key_is_derived_with():
    someone = carol()
    policy = cmstream.Policy(key_agreement="explicit-null")
    (info,) = infos(cmstream.encrypt(TEXT, someone.recipient, policy=policy))
    point = info["originator"]["originatorKey"]["publicKey"].asOctets()
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    secret = someone.key.exchange(ec.ECDH(), public)
    kek = handmade.derived(secret, "sha256", handmade.algorithm(AES_WRAP[32], NULL), 32)
    wrapped = bytes(info["recipientEncryptedKeys"][0]["encryptedKey"])
    assert len(aes_key_unwrap(kek, wrapped)) == 32


def test_an_ephemeral_key_is_of_one_message():
    to = cmstream.Recipients([carol().recipient])
    sealed = [cmstream.encrypt(TEXT, to) for _ in range(3)]
    sealed += map(bytes, cmstream.encrypt_many([(TEXT, to)] * 3, form="der"))
    keys = {infos(one)[0]["originator"]["originatorKey"]["publicKey"].asOctets() for one in sealed}
    assert len(keys) == 6


def test_recipients_on_one_curve_share_a_recipient_info(alice):
    people = [carol(number=n) for n in range(3)] + [carol("SECP384R1"), carol("x25519"), alice]
    sealed = cmstream.encrypt(TEXT, [one.recipient for one in people])
    assert sorted(len(one["recipientEncryptedKeys"]) for one in infos(sealed)) == [1, 1, 3]
    for someone in people:
        assert cmstream.decrypt(sealed, identity(someone)) == TEXT


@pytest.mark.parametrize("policy", [WEAK_TOO, WEAK_TOO.clone(recipient_id="ski")])
def test_the_length_is_always_the_same(alice, policy):
    everyone = cmstream.Recipients(one.recipient for one in [*on_every_curve(), alice])
    prepared = prepare(everyone, policy)
    assert {len(prepared.encode(KEY)) for _ in range(5)} == {prepared.encoded_len}
    assert len({len(cmstream.encrypt(TEXT, everyone, policy=policy)) for _ in range(5)}) == 1


def test_several_certificates_of_one_key(alice):
    one, other = carol(), carol(serial=77)
    assert one.recipient != other.recipient
    sealed = cmstream.encrypt(TEXT, [one.recipient, other.recipient, alice.recipient])
    for someone in (one, other):
        assert cmstream.decrypt(sealed, identity(someone)) == TEXT


@pytest.mark.parametrize("form", ["der", "pem", "smime"])
def test_many_at_once_and_alone(alice, form):
    people = [carol(), carol("x448"), alice]
    to = cmstream.Recipients(one.recipient for one in people)
    jobs = [(b"%d" % n * n, to if n % 2 else alice.recipient) for n in range(10)]
    for n, sealed in enumerate(cmstream.encrypt_many(jobs, form=form)):
        for someone in people if n % 2 else people[-1:]:
            assert cmstream.decrypt(sealed, identity(someone)) == b"%d" % n * n


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_opens(shape):
    someone = carol("SECP521R1")
    context = cmstream.encryptor(someone.recipient)
    sealed = context.update(TEXT * 1000) + context.finalize()
    assert SHAPES[shape](sealed, identity(someone)) == TEXT * 1000


def test_key_usage_is_looked_at():
    for curve in ("SECP256R1", "x25519", "x448"):
        signer = carol(curve, usage=key_usage("digital_signature"))
        assert "no-key-agreement" in {one.code for one in signer.recipient.problems()}
        with pytest.warns(cmstream.RecipientWarning, match="key agreement"):
            cmstream.encrypt(TEXT, signer.recipient)
        agreeing = carol(curve, usage=key_usage("key_agreement"))
        assert agreeing.recipient.problems() == ()


KINDS = [*CURVES, "rsa", "other-rsa", "SECP256R1-2", "x25519-2"]


def anybody(kind):
    if "rsa" in kind:
        return person(2048, number=2 if "other" in kind else 1)
    curve, _, number = kind.partition("-")
    return carol(curve, number=int(number or 0))


@settings(max_examples=25, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6, unique=True),
    cipher=st.sampled_from(["aes256-cbc", "aes128-cbc"]),
    key_transport=st.sampled_from(["pkcs1v15", "oaep-sha256", "oaep-sha384", "oaep-sha512"]),
    key_agreement=st.sampled_from(["standard", "explicit-null", "sha1-kdf"]),
    recipient_id=st.sampled_from(["issuer-serial", "ski"]),
    content=st.binary(max_size=100),
)
def test_whoever_a_message_is_for_can_open_it(kinds, content, **choices):
    people = [anybody(kind) for kind in kinds]
    to = cmstream.Recipients(one.recipient for one in people)
    sealed = cmstream.encrypt(content, to, policy=WEAK_TOO.clone(**choices))
    for someone in people:
        assert cmstream.decrypt(sealed, identity(someone)) == content
    strangers = [identity(anybody(kind)) for kind in KINDS if kind not in kinds]
    with pytest.raises(cmstream.NoRecipientError):
        cmstream.decrypt(sealed, strangers)
    assert cmstream.decrypt(sealed, [*strangers, identity(people[-1])]) == content


# What we read

SCHEMES = {
    SHA1_SCHEME: "sha1",
    "1.3.132.1.11.0": "sha224",
    "1.3.132.1.11.1": "sha256",
    "1.3.132.1.11.2": "sha384",
    "1.3.132.1.11.3": "sha512",
    "1.3.133.16.840.63.0.3": "sha1",
    "1.3.132.1.14.0": "sha224",
    "1.3.132.1.14.1": "sha256",
    "1.3.132.1.14.2": "sha384",
    "1.3.132.1.14.3": "sha512",
}
HKDF_SCHEMES = {
    "1.2.840.113549.1.9.16.3.19": "sha256",
    "1.2.840.113549.1.9.16.3.20": "sha384",
    "1.2.840.113549.1.9.16.3.21": "sha512",
}


@pytest.mark.parametrize("octets", AES_WRAP)
@pytest.mark.parametrize("scheme", [*SCHEMES, *HKDF_SCHEMES])
def test_every_scheme_and_key_wrap(scheme, octets):
    hkdf = scheme in HKDF_SCHEMES
    digest = (SCHEMES | HKDF_SCHEMES)[scheme]
    for someone in (carol(), carol("SECP521R1"), carol("x25519")):
        for ukm in (None, b"", b"user keying material"):
            info = agreed_with(
                someone, scheme=scheme, digest=digest, octets=octets, ukm=ukm, hkdf=hkdf
            )
            assert opened(info, someone) == TEXT


@pytest.mark.parametrize("shared", [b"", NULL])
@pytest.mark.parametrize("null", [b"", NULL])
def test_null_or_nothing_behind_the_key_wrap_and_in_what_derives_its_key(null, shared):
    someone = carol()
    assert opened(agreed_with(someone, null=null, shared=shared), someone) == TEXT


@pytest.mark.parametrize("curve", list(CURVES)[:6])
def test_compressed_points(curve):
    someone = carol(curve)
    ephemeral = ec.generate_private_key(someone.key.curve)
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    secret = ephemeral.exchange(ec.ECDH(), someone.key.public_key())
    wrap = handmade.algorithm(AES_WRAP[32], b"")
    encrypted = aes_key_wrap(handmade.derived(secret, "sha256", wrap, 32), KEY)
    info = agreed([handmade.issuer_and_serial(someone.recipient)], point, encrypted)
    assert opened(info, someone) == TEXT


def explicit_p256():
    """The parameters of P-256 (SEC 1 appendix C.2), as OpenSSL writes them."""
    command = "openssl", "ecparam", "-name", "prime256v1", "-param_enc", "explicit"
    return must(*command, "-outform", "DER").stdout


def test_the_originators_curve_is_the_recipients():
    """RFC 5753 section 7.1.2: it may be left out, a NULL is an old form, and what is named or
    given by its parameters has to be the recipient's own curve."""
    need("openssl")
    someone, explicit = carol(), explicit_p256()
    point, secret = handmade.ephemeral_for(someone)
    wrap = handmade.algorithm(AES_WRAP[32], b"")
    encrypted = aes_key_wrap(handmade.derived(secret, "sha256", wrap, 32), KEY)
    names = [handmade.issuer_and_serial(someone.recipient)]
    for curve in (b"", NULL, handmade.oid("1.2.840.10045.3.1.7"), explicit):
        assert opened(agreed(names, point, encrypted, curve=curve), someone) == TEXT
    other = explicit.replace(explicit[-20:-3], bytes(17))
    for curve in (handmade.oid("1.3.132.0.10"), handmade.oid("1.2.3"), other):
        info = agreed(names, point, encrypted, curve=curve)
        assert refusal(info, someone) == "decryption-failed"
    info = agreed(names, point, encrypted, curve=element(0x30, NULL))
    assert refusal(info, someone) == "malformed"


@pytest.mark.parametrize("octets", [16, 24, 32, "3des"])
def test_a_content_cipher_in_the_place_of_a_key_wrap(octets):
    """As Apple's programs have it: a random IV, padding, and a NULL that is derived with but isn't
    there."""
    someone = carol("SECP384R1")
    point, secret = handmade.ephemeral_for(someone)
    oid = TRIPLE_DES if octets == "3des" else handmade.CIPHERS[octets]
    block = 8 if octets == "3des" else 16
    cipher = handmade.TripleDES if octets == "3des" else AES
    kek_len = 24 if octets == "3des" else octets
    ukm = b"12345678"
    kek = handmade.derived(secret, "sha1", handmade.algorithm(oid), kek_len, ukm=ukm)
    encrypted = encrypt(pad(KEY, block), kek, handmade.IV, cipher)
    wrap = handmade.algorithm(oid, element(4, handmade.IV[:block]))
    name = handmade.issuer_and_serial(someone.recipient)
    info = agreed([name], point, encrypted, scheme=SHA1_SCHEME, wrap=wrap, ukm=ukm)
    assert opened(info, someone) == TEXT
    # Padding alone tells nobody anything: a random key goes on, to noise or the error at the end.
    damaged = encrypted[:-1] + bytes([encrypted[-1] ^ 1])
    info = agreed([name], point, damaged, scheme=SHA1_SCHEME, wrap=wrap, ukm=ukm)
    context = cmstream.decryptor(identity(someone))
    context.update(envelope([info], encrypt(pad(TEXT)))[:-16])
    with pytest.raises(cmstream.DecryptionError):
        cmstream.decryptor(identity(someone)).update(
            envelope([agreed([name], point, bytes(40))], encrypt(pad(TEXT)))
        )


def test_triple_des_key_wrap_opens_the_example_of_rfc_3217():
    kek = bytes.fromhex("255e0d1c07b646dfb3134cc843ba8aa71f025b7c0838251f")
    wrapped = bytes.fromhex(
        "690107618ef092b3b48ca1796b234ae9fa33ebb4159604037db5d6a84eb3aac2768c632775a467d4"
    )
    key = bytes.fromhex("2923bf85e06dd6ae529149f1f1bae9eab3a7da3d860d3e98")
    assert legacy_key_wrap.unwrap_triple_des(kek, wrapped) == key
    for at in range(len(wrapped)):
        broken = bytearray(wrapped)
        broken[at] ^= 1
        assert legacy_key_wrap.unwrap_triple_des(kek, bytes(broken)) is None
    for count in range(len(wrapped)):
        assert legacy_key_wrap.unwrap_triple_des(kek, wrapped[:count]) is None


def test_the_key_derivation_of_x963():
    """The first of NIST's examples for ANSI X9.63 with SHA-256."""
    secret = bytes.fromhex("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08")
    expected = bytes.fromhex("443024c3dae66b95e6f5670601558f71")
    assert X963KDF(SHA256(), 16, b"").derive(secret) == expected


def test_one_of_several_in_one_recipient_info_is_found():
    people = [carol(number=n) for n in range(4)]
    sealed = cmstream.encrypt(TEXT, [one.recipient for one in people])
    for someone in people:
        assert cmstream.decrypt(sealed, identity(someone)) == TEXT
    assert [one.algorithm for one in cmstream.inspect(sealed).addressees] == (
        ["ecdh-sha256/aes256-wrap"] * 4
    )


def test_a_key_that_can_only_exchange():
    class Token:
        calls = 0

        def __init__(self, key):
            self.exchange = self.count(key.exchange)

        def count(self, exchange):
            def counted(*arguments):
                self.calls += 1
                return exchange(*arguments)

            return counted

    for curve in ("SECP256R1", "x25519"):
        someone = carol(curve)
        token = Token(someone.key)
        sealed = cmstream.encrypt(TEXT, someone.recipient)
        assert cmstream.decrypt(sealed, cmstream.Identity(token, someone.recipient)) == TEXT
        assert token.calls == 1


def test_dana_of_rfc_9216_unwraps_a_key_that_hkdf_gave():
    folder = SHARED / "identities"
    if not folder.exists():
        pytest.skip("the shared corpus isn't here")
    files = [(folder / f"rfc9216-dana.{kind}.pem").read_bytes() for kind in ("key", "cert")]
    dana = cmstream.Identity.from_pem(*files)
    sealed = (SHARED / "rfc-samples" / "authEnvelopedForDanaX25519HKDF.p7m").read_bytes()
    head = enveloped.read_head(sealed)
    (key,) = content_key.content_keys(head, [dana], 16)
    nonce = head.parameters.fields().take(4).content
    ciphertext = sealed[304:332] + sealed[334:350]
    assert AESGCM(key).decrypt(nonce, ciphertext, None)


# Whatever is wrong with it


def points():
    """None of them agrees with anything on P-256."""
    other = carol("SECP384R1").key.public_key()
    yield b""
    yield b"\0"
    yield b"\4" + bytes(64)
    yield b"\2" + b"\xff" * 32
    yield b"\4" + bytes(63)
    yield other.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@pytest.mark.usefixtures("no_chance")
def test_a_wrong_key_or_point_is_like_any_other_failure():
    someone = carol()
    name = handmade.issuer_and_serial(someone.recipient)
    good, _ = handmade.ephemeral_for(someone)
    for point in (*points(), good):
        assert refusal(agreed([name], point, bytes(40)), someone) == "decryption-failed"
    for encrypted in (b"", b"k", bytes(16), bytes(24), bytes(41), bytes(5000)):
        assert refusal(agreed([name], good, encrypted), someone) == "decryption-failed"
    sixteen = agreed_with(someone, KEY[:16])
    assert refusal(sixteen, someone) == "decryption-failed"


@pytest.mark.usefixtures("no_chance")
def test_a_point_of_small_order_is_like_any_other_failure():
    someone = carol("x25519")
    name = handmade.issuer_and_serial(someone.recipient)
    for point in (bytes(32), b"\1" + bytes(31), bytes(31), bytes(33)):
        assert refusal(agreed([name], point, bytes(40)), someone) == "decryption-failed"


def test_nobody_can_encrypt_to_a_point_of_small_order():
    key = x25519.X25519PublicKey.from_public_bytes(bytes(32))
    with pytest.raises(ValueError, match="shared"):
        key_agreement._exchange(x25519.X25519PrivateKey.generate(), key)


def test_what_is_not_known_is_said_before_any_key_is_used():
    someone = carol()
    name = handmade.issuer_and_serial(someone.recipient)
    point, _ = handmade.ephemeral_for(someone)
    by_certificate = element(0xA0, name)
    wrap = handmade.algorithm(AES_WRAP[32], b"")
    key = element(0x30, element(0x30, name, element(4, bytes(40))))
    how = handmade.algorithm(handmade.ECDH_SHA256, wrap)
    for info in (
        agreed([name], point, bytes(40), scheme="1.3.133.16.840.63.0.16"),  # MQV
        agreed([name], point, bytes(40), scheme=handmade.RSA),
        agreed([name], point, bytes(40), wrap=handmade.algorithm("1.2.3")),
        element(0xA1, handmade.number(3), by_certificate, how, key),
    ):
        assert refusal(info, someone) == "unsupported-cipher"


def test_what_is_broken_is_malformed():
    someone = carol()
    name = handmade.issuer_and_serial(someone.recipient)
    point, _ = handmade.ephemeral_for(someone)
    odd = element(0xA0, element(0xA1, handmade.algorithm(handmade.EC_KEY, b""), element(3, b"\1")))
    how = handmade.algorithm(handmade.ECDH_SHA256, handmade.algorithm(AES_WRAP[32], b""))
    key = element(0x30, element(0x30, name, element(4, bytes(40))))
    for info in (
        agreed([name], point, bytes(40), wrap=b""),
        agreed([name], point, bytes(40), wrap=NULL),
        agreed([name], point, bytes(40), wrap=element(0x30)),
        agreed([name], point, bytes(40), wrap=handmade.algorithm(TRIPLE_DES)),
        agreed([name], point, bytes(40), wrap=handmade.algorithm(TRIPLE_DES, element(4, b"7"))),
        element(0xA1, handmade.number(3), odd, how, key),
        element(0xA1, handmade.number(3), element(0xA0), how, element(0x30, element(0x30, name))),
    ):
        assert refusal(info, someone) == "malformed"
