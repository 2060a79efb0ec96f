"""Identities: keys with their certificates, from files of every form, good, bad and hostile."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cmstream.asn1 import tlv
from cmstream.certificates.pfx_outline import MAX_ITERATIONS
from cmstream.certificates.recipient import load_recipients
from cmstream.errors import CertificateError
from cmstream.recipients.identity import Identity
from helpers.authorities import authority, certificate, element, identity, rsa_identity, rsa_key

PASSWORD = "correct horse"

ALICE_KEY, ALICE = rsa_identity()
BOB_KEY, BOB = rsa_identity(emails=("bob@example.org",), common_name="Bob", number=1)
CAROL_KEY, CAROL = identity("SECP256R1", emails=("carol@example.org",), common_name="Carol")
SIGNER_KEY, SIGNER = identity("ed25519", common_name="Signer")
CA = authority()[1]
KINDS = ["SECP256R1", "SECP521R1", "x25519", "x448"]


def der(cert):
    return cert.public_bytes(Encoding.DER)


def pem(*certs):
    return b"".join(cert.public_bytes(Encoding.PEM) for cert in certs)


def octets(key, password=None, form=PrivateFormat.PKCS8, encoding=Encoding.PEM):
    how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(encoding, form, how)


def pfx(key=ALICE_KEY, cert=ALICE, others=None, password=PASSWORD, kind=None):
    how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    if kind:
        builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(50)
        how = builder.key_cert_algorithm(kind).hmac_hash(hashes.SHA256()).build(password.encode())
    return pkcs12.serialize_key_and_certificates(b"name", key, cert, others, how)


def refusal(make, *arguments):
    with pytest.raises(CertificateError) as caught:
        make(*arguments)
    assert PASSWORD not in str(caught.value)
    return caught.value.code


def opens(found, cert=ALICE):
    assert found.recipient.der == der(cert)
    sealed = cert.public_key().encrypt(b"key", padding.PKCS1v15())
    assert found.key.decrypt(sealed, padding.PKCS1v15()) == b"key"


# The constructor


@pytest.mark.parametrize("form", ["recipient", "DER", "PEM"])
def test_a_certificate_in_each_form(form):
    (recipient,) = load_recipients(der(ALICE))
    forms = {"recipient": recipient, "DER": bytearray(der(ALICE)), "PEM": b"Hello\n" + pem(ALICE)}
    opens(Identity(ALICE_KEY, forms[form]))


def test_of_a_stand_in_nothing_is_asked():
    class Token:
        __slots__ = ()

        def decrypt(self, ciphertext, padding):
            return ALICE_KEY.decrypt(ciphertext, padding)

    opens(Identity(Token(), der(ALICE)))


def test_a_stand_in_may_derive_from_the_abstract_class():
    def missing(self, *arguments):
        raise NotImplementedError

    names = dict.fromkeys(rsa.RSAPrivateKey.__abstractmethods__, missing)
    token = type("Token", (rsa.RSAPrivateKey,), names)()
    assert Identity(token, der(ALICE)).key is token


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_key_agreement(kind):
    key, cert = identity(kind)
    assert Identity(key, der(cert)).recipient.der == der(cert)
    for data in (octets(key), octets(key, encoding=Encoding.DER), octets(key, PASSWORD)):
        assert Identity.from_pem(data, pem(CA, cert), PASSWORD).recipient.der == der(cert)
    if kind.startswith("SECP"):
        assert Identity.from_pkcs12(pfx(key, cert), PASSWORD).key.private_numbers()


def test_what_does_not_belong_together():
    for key, cert in ((ALICE_KEY, BOB), (CAROL_KEY, ALICE), (ALICE_KEY, CAROL)):
        assert refusal(Identity, key, der(cert)) == "private-key-only"
    for key in (object(), octets(ALICE_KEY), None):
        with pytest.raises(TypeError, match="decrypt"):
            Identity(key, der(ALICE))


def test_one_certificate_is_wanted():
    assert refusal(Identity, ALICE_KEY, pem(ALICE, CA)) == "trailing-data"
    assert refusal(Identity, ALICE_KEY, b" ") == "empty"
    assert refusal(Identity, ALICE_KEY, der(ALICE)[:-1]) == "truncated"
    assert refusal(Identity, SIGNER_KEY, der(SIGNER)) == "unsupported-key"


def test_key_identifiers():
    bits = ALICE_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    named = Identity(ALICE_KEY, der(ALICE))
    assert named.key_identifiers == (named.recipient.key_identifier,)
    _, plain = rsa_identity(subject_key_identifier=False)
    assert Identity(ALICE_KEY, der(plain)).key_identifiers == (hashlib.sha1(bits).digest(),)  # noqa: S324


def test_repr_tells_no_secret():
    found = Identity(ALICE_KEY, der(ALICE))
    assert repr(found) == f"<Identity 'CN=Alice' {found.recipient.fingerprint}>"


# PKCS #12


LEGACY = pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC


@pytest.mark.parametrize("kind", [None, LEGACY], ids=str)
@pytest.mark.parametrize("password", [PASSWORD, "pässwörd", "key🔑ring"])
def test_pkcs12(kind, password):
    data = pfx(others=[CA, BOB], password=password, kind=kind)
    opens(Identity.from_pkcs12(data, password))
    opens(Identity.from_pkcs12(memoryview(data + b"\0"), password.encode()))
    assert refusal(Identity.from_pkcs12, data, "wrong") == "wrong-password"
    assert refusal(Identity.from_pkcs12, data, "") == "wrong-password"
    assert refusal(Identity.from_pkcs12, data, "nobody\0types this") == "wrong-password"
    assert refusal(Identity.from_pkcs12, data) == "password-needed"


def test_pkcs12_in_the_clear():
    opens(Identity.from_pkcs12(pfx(password=None)))


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")


def exported(folder, *options, password=""):
    (folder / "in.pem").write_bytes(octets(ALICE_KEY) + pem(ALICE, CA))
    command = ["pkcs12", "-export", "-in", folder / "in.pem", "-out", folder / "out.p12"]
    openssl(*command, "-passout", f"pass:{password}", *options)
    return (folder / "out.p12").read_bytes()


OPENSSL_OPTIONS = {
    "AES": [],
    "no MAC": ["-nomac"],
    "3DES": ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"],
    "key in the clear": ["-keypbe", "NONE"],
}


@needs_openssl
@pytest.mark.parametrize("options", OPENSSL_OPTIONS.values(), ids=OPENSSL_OPTIONS)
@pytest.mark.parametrize("password", ["", PASSWORD])
def test_pkcs12_by_openssl(tmp_path, options, password):
    data = exported(tmp_path, *options, password=password)
    opens(Identity.from_pkcs12(data, password or None))
    opens(Identity.from_pkcs12(data, password))
    assert refusal(Identity.from_pkcs12, data, "wrong") == "wrong-password"


@needs_openssl
def test_without_a_mac_the_key_alone_may_be_encrypted(tmp_path):
    data = exported(tmp_path, "-nomac", "-certpbe", "NONE", password=PASSWORD)
    opens(Identity.from_pkcs12(data, PASSWORD))
    assert refusal(Identity.from_pkcs12, data, "wrong") == "wrong-password"
    assert refusal(Identity.from_pkcs12, data) == "password-needed"


def test_armoured_pkcs12():
    body = element(0x30, b"")  # a block beside it
    text = armour("THING", body) + armour("PKCS12", pfx())
    opens(Identity.from_pkcs12(b"Hello\n" + text, PASSWORD))


@needs_openssl
def test_a_cipher_that_the_library_lacks_is_named(tmp_path):
    options = ["-keypbe", "PBE-SHA1-2DES", "-certpbe", "AES-256-CBC"]
    data = exported(tmp_path, *options, password=PASSWORD)
    opens(Identity.from_pkcs12(data, PASSWORD))
    assert refusal(Identity.from_pkcs12, data, "wrong") == "wrong-password"
    # A key that stands alone goes to the library as it is.
    (tmp_path / "key").write_bytes(octets(ALICE_KEY))
    command = ["pkcs8", "-topk8", "-v1", "PBE-SHA1-2DES", "-passout", f"pass:{PASSWORD}"]
    openssl(*command, "-in", tmp_path / "key", "-out", tmp_path / "sealed")
    sealed = (tmp_path / "sealed").read_bytes()
    assert refusal(Identity.from_pem, sealed, pem(ALICE), PASSWORD) == "unsupported-cipher"


def armour(label, data):
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (
        label.encode(),
        base64.encodebytes(data),
        label.encode(),
    )


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (pfx(cert=None), "no certificate"),
        (pfx(cert=None, others=[BOB, CA]), "no certificate"),
        (pfx(key=None, cert=None, others=[ALICE]), "no private key"),
        (der(ALICE), "PKCS #12"),
        (pem(ALICE), "PKCS #12"),
        (b"hello", "PKCS #12"),
    ],
)
def test_pkcs12_with_something_missing(data, missing):
    with pytest.raises(CertificateError, match=missing) as caught:
        Identity.from_pkcs12(data, PASSWORD)
    with_key = missing == "no certificate"
    assert caught.value.code == ("private-key-only" if with_key else "not-a-certificate")


def test_pkcs12_that_is_broken():
    data = pfx()
    assert {refusal(Identity.from_pkcs12, data[:n], PASSWORD) for n in (1, 99, len(data) - 1)} == {
        "truncated"
    }
    damaged = data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]  # the MAC
    assert refusal(Identity.from_pkcs12, damaged, PASSWORD) == "corrupt"
    assert refusal(Identity.from_pkcs12, damaged, "wrong") == "wrong-password"
    assert refusal(Identity.from_pkcs12, b"\n", PASSWORD) == "empty"
    assert refusal(Identity.from_pkcs12, pfx(SIGNER_KEY, SIGNER), PASSWORD) == "unsupported-key"


def test_a_renewed_certificate_of_the_same_key():
    renewed = certificate(ALICE_KEY, serial=77)
    first = pkcs12.PKCS12Certificate(renewed, None)
    found = Identity.from_pkcs12(pfx(others=[first], password=None))
    assert found.recipient.der == der(ALICE)  # its localKeyID is the key's


# Keys by themselves


FORMS = {
    "PKCS #8": octets(ALICE_KEY),
    "PKCS #8 in DER": octets(ALICE_KEY, encoding=Encoding.DER),
    "PKCS #1": octets(ALICE_KEY, form=PrivateFormat.TraditionalOpenSSL),
    "PKCS #1 in DER": octets(
        ALICE_KEY, form=PrivateFormat.TraditionalOpenSSL, encoding=Encoding.DER
    ),
    "encrypted": octets(ALICE_KEY, PASSWORD),
    "encrypted in DER": octets(ALICE_KEY, PASSWORD, encoding=Encoding.DER),
    "old encryption": octets(ALICE_KEY, PASSWORD, PrivateFormat.TraditionalOpenSSL),
    "among others": b"Bag Attributes\n" + pem(BOB) + octets(BOB_KEY) + b"0\n" + octets(ALICE_KEY),
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_keys_in_each_form(data):
    opens(Identity.from_pem(data, pem(CA, CAROL, ALICE), PASSWORD))
    opens(Identity.from_pem(bytearray(data), der(ALICE), PASSWORD.encode()))


def test_key_and_certificate_in_one_file():
    text = pem(CA, ALICE) + octets(ALICE_KEY)
    opens(Identity.from_pem(text, text))
    opens(Identity.from_pem(octets(ALICE_KEY), pfx(), PASSWORD))


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_sec1(encoding):
    data = octets(CAROL_KEY, form=PrivateFormat.TraditionalOpenSSL, encoding=encoding)
    if encoding is Encoding.PEM:
        parameters = armour("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))
        data = parameters + data
    assert Identity.from_pem(data, der(CAROL)).recipient.der == der(CAROL)


def test_a_point_may_be_compressed():
    point = [
        CAROL_KEY.public_key().public_bytes(Encoding.X962, form)
        for form in (PublicFormat.UncompressedPoint, PublicFormat.CompressedPoint)
    ]
    outer = der(certificate(CAROL_KEY, subject_key_identifier=False, emails=(), purposes=()))
    old = element(0x03, b"\0" + point[0])
    assert old in outer
    # Lengths of the elements around it: the shorter one is put together by hand.
    algorithm = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    short = element(0x30, algorithm, element(0x03, b"\0" + point[1]))
    changed = rebuilt(outer, element(0x30, algorithm, old), short)
    assert Identity.from_pem(octets(CAROL_KEY), changed).recipient.der == changed
    assert Identity(CAROL_KEY, changed).recipient.der == changed


def rebuilt(cert, old, new):
    """A certificate with another public key; the signature is of no matter."""
    body, *rest = tlv.read_only(cert).children()
    fields = [new if field.whole == old else field.whole for field in body.children()]
    return element(0x30, element(0x30, *fields), *(one.whole for one in rest))


@pytest.mark.parametrize("form", ["encrypted", "encrypted in DER", "old encryption"])
def test_passwords_of_keys(form):
    data = FORMS[form]
    assert refusal(Identity.from_pem, data, der(ALICE)) == "password-needed"
    for wrong in ("wrong", b"\xff", "", "\ud800"):
        assert refusal(Identity.from_pem, data, der(ALICE), wrong) == "wrong-password"


def test_a_key_that_fits_no_certificate():
    with pytest.raises(CertificateError, match="fits none") as caught:
        Identity.from_pem(octets(ALICE_KEY), pem(BOB, CA))
    assert caught.value.code == "private-key-only"
    assert refusal(Identity.from_pem, octets(SIGNER_KEY), pem(ALICE, SIGNER)) == "unsupported-key"
    broken = der(ALICE).replace(b"0101000000Z", b"0101000000X", 1)  # its time has no zone
    assert broken != der(ALICE)
    assert refusal(Identity.from_pem, octets(ALICE_KEY), broken) == "corrupt"


PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
SCRYPT = bytes.fromhex("06092b06010401da47040b")
UNKNOWN_KEY = element(0x30, element(0x06, b"\x2a\x03\x04"))
NOT_KEYS = {
    "empty": b"\n",
    "not-a-certificate": pem(ALICE),
    "truncated": octets(ALICE_KEY)[:-20],
    "truncated DER": octets(ALICE_KEY, encoding=Encoding.DER)[:-1],
    "corrupt": armour("PRIVATE KEY", octets(ALICE_KEY, encoding=Encoding.DER)[:-1]),
    "unsupported-key": octets(ALICE_KEY, form=PrivateFormat.OpenSSH),
    "unsupported-key DER": element(0x30, b"\2\1\0", UNKNOWN_KEY, element(0x04, b"1")),
    "not-a-certificate DER": der(ALICE),
    "not-a-certificate text": b"hello",
    "not-a-certificate size": b"hello " * 1_000_000,
    "corrupt keys": armour("PRIVATE KEY", b"0" * 9000) * 20,
}


@pytest.mark.parametrize("kind", NOT_KEYS)
def test_what_is_not_a_key(kind):
    code = refusal(Identity.from_pem, NOT_KEYS[kind], der(ALICE))
    assert code == kind.split()[0]


def encrypted(rounds, derivation):
    count = element(2, rounds.to_bytes(5, "big").lstrip(b"\0"))
    parameters = element(0x30, element(4, b"salt"), count)
    cipher = element(0x30, bytes.fromhex("060960864801650304012a"), element(4, b"v" * 16))
    scheme = element(0x30, element(0x30, derivation, parameters), cipher)
    algorithm = element(0x30, bytes.fromhex("06092a864886f70d01050d"), scheme)
    return element(0x30, algorithm, element(4, b"x" * 32))


def test_keys_that_would_keep_the_machine_busy():
    started = time.process_time()
    for data in (encrypted(MAX_ITERATIONS + 1, PBKDF2), encrypted(2000, SCRYPT)):
        for form in (data, armour("ENCRYPTED PRIVATE KEY", data)):
            assert refusal(Identity.from_pem, form, der(ALICE), "x") == "unsupported-cipher"
    number = element(2, b"\x7f" + b"\xff" * 30_000)
    algorithm = element(0x30, bytes.fromhex("06072a8648ce380401"), element(0x30, *[number] * 3))
    slow = element(0x30, b"\2\1\0", algorithm, element(4, number))  # DSA, as long as a book
    assert refusal(Identity.from_pem, slow, der(ALICE)) == "corrupt"
    assert time.process_time() - started < 5


def test_an_rsa_key_with_a_wrong_number_is_damaged():
    numbers = ALICE_KEY.private_numbers()
    for name in ("p", "q", "d", "dmp1", "dmq1", "iqmp"):
        value = getattr(numbers, name)
        old = value.to_bytes(value.bit_length() // 8 + 1, "big").lstrip(b"\0")
        new = (value ^ 2).to_bytes(len(old), "big")
        data = octets(ALICE_KEY, encoding=Encoding.DER).replace(old, new)
        assert refusal(Identity.from_pem, data, der(ALICE)) == "corrupt", name


def test_keys_for_other_purposes():
    key = dsa.generate_private_key(2048)
    assert refusal(Identity.from_pem, octets(key), der(ALICE)) == "private-key-only"
    point = ec.generate_private_key(ec.SECP256R1())
    assert refusal(Identity.from_pem, octets(point), der(CAROL)) == "private-key-only"
    small = rsa_key(1024)
    assert Identity.from_pem(octets(small), der(certificate(small))).recipient.key == "RSA-1024"


# Whatever comes


GOOD = [*FORMS.values(), pfx(), pfx(password=None), pem(ALICE), octets(CAROL_KEY)]


def tried(data):
    for make in (
        lambda: Identity.from_pkcs12(data, PASSWORD),
        lambda: Identity.from_pem(data, der(ALICE), PASSWORD),
        lambda: Identity.from_pem(data, data),
        lambda: Identity(ALICE_KEY, data),
    ):
        with contextlib.suppress(CertificateError):
            make()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.builds(lambda b: b"0" + b, st.binary(max_size=60)))
def test_any_octets(data):
    tried(data)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(GOOD), st.integers(0, 3000), st.binary(max_size=4), st.integers(0, 4))
def test_damaged_files(data, where, new, dropped):
    where %= len(data)
    tried(data[:where] + new + data[where + dropped :])
