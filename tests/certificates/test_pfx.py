"""PKCS #12: whose certificates come out, passwords, and files that lie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import warnings

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st

from cmstream.certificates import pfx_outline
from cmstream.certificates.recipient import load_recipients, read_certificates, read_within
from cmstream.errors import CertificateError, PrivateKeyIgnored
from cmstream.recipients.identity import Identity
from helpers.authorities import authority, element, identity, rsa_identity
from helpers.pfx_files import (
    AES256,
    CERTIFICATE,
    DATA,
    ENCRYPTED,
    HMAC_SHA256,
    NESTED,
    PASSWORD,
    PBE_3DES,
    PBES2,
    PBKDF2,
    PBMAC1,
    SHA1,
    SHROUDED,
    X509,
    bag,
    cert_bag,
    clear,
    contents,
    key_bag,
    parameters,
    plain_key_bag,
    sealed,
    sealed_key_bag,
    whole,
)

ALICE_KEY, ALICE = rsa_identity()
CAROL_KEY, CAROL = identity("SECP256R1", emails=("carol@example.org",), common_name="Carol")
BOB_KEY, BOB = rsa_identity(emails=("bob@example.org",), common_name="Bob", number=1)
CA = authority()[1]


def encryption(password=b"correct horse", rounds=2000, cipher="PBESv2SHA256AndAES256CBC"):
    return (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(rounds)
        .key_cert_algorithm(getattr(pkcs12.PBES, cipher))
        .hmac_hash(hashes.SHA256())
        .build(password)
    )


def make(key=ALICE_KEY, cert=ALICE, others=None, **options):
    return pkcs12.serialize_key_and_certificates(b"a", key, cert, others, encryption(**options))


def subjects(data, password=PASSWORD):
    return [one.subject for one in read_certificates(data, password=password).recipients]


def refusal(data, password=PASSWORD):
    with pytest.raises(CertificateError) as caught:
        load_recipients(data, password=password)
    assert PASSWORD not in str(caught.value)
    return caught.value.code


def test_the_certificate_of_the_key_comes_out_and_the_key_is_ignored():
    found = read_certificates(make(others=[CA, BOB]), password=PASSWORD)
    assert [one.subject for one in found.recipients] == ["CN=Alice"]
    assert found.recipients[0].der == ALICE.public_bytes(Encoding.DER)
    assert found.private_key_ignored
    reasons = {one.subject: one.reason for one in found.set_aside}
    assert "authority" in reasons["CN=Test CA"]
    assert "no private key" in reasons["CN=Bob"]


def test_the_warning_points_at_the_caller():
    with pytest.warns(PrivateKeyIgnored) as caught:
        load_recipients(make(), password=PASSWORD)
    assert [one.filename for one in caught] == [__file__]


def test_without_a_key_every_end_entity_comes_out():
    data = make(key=None, cert=None, others=[CA, ALICE, BOB])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load_recipients(data, password=PASSWORD)
    assert {one.subject for one in found} == {"CN=Alice", "CN=Bob"}


def test_a_key_alone_is_named():
    assert refusal(make(cert=None)) == "private-key-only"


@pytest.mark.parametrize("password", ["pässwörd", "key🔑ring", "x" * 300])
@pytest.mark.parametrize("kind", ["PBESv2SHA256AndAES256CBC", "PBESv1SHA1And3KeyTripleDESCBC"])
def test_passwords_as_text_and_octets(password, kind):
    data = make(password=password.encode(), cipher=kind)
    assert subjects(data, password) == ["CN=Alice"]
    assert subjects(data, password.encode()) == ["CN=Alice"]


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
@pytest.mark.parametrize("password", [None, "", b""])
@pytest.mark.parametrize(
    "options", [[], ["-certpbe", "PBE-SHA1-3DES"], ["-certpbe", "PBE-SHA1-3DES", "-nomac"]], ids=str
)
def test_the_empty_password_is_tried_when_none_is_given(tmp_path, password, options):
    source, target = tmp_path / "alice.pem", tmp_path / "alice.p12"
    source.write_bytes(ALICE.public_bytes(Encoding.PEM))
    command = ["openssl", "pkcs12", "-export", "-nokeys", "-passout", "pass:", *options]
    subprocess.run([*command, "-in", source, "-out", target], check=True)
    assert subjects(target.read_bytes(), password) == ["CN=Alice"]


def test_octets_that_are_not_utf8_are_latin_1():
    data = make(password="Grüße".encode(), cipher="PBESv1SHA1And3KeyTripleDESCBC")
    assert subjects(data, "Grüße".encode("latin-1")) == ["CN=Alice"]


def test_old_files_took_utf8_for_latin_1():
    data = make(password="Grüße".encode().decode("latin-1").encode())
    assert subjects(data, "Grüße") == ["CN=Alice"]
    assert refusal(data, "Gruesse") == "wrong-password"


@pytest.mark.parametrize(
    ("password", "code"),
    [
        (None, "password-needed"),
        ("", "wrong-password"),
        ("wrong", "wrong-password"),
        (b"\xff\xfe", "wrong-password"),
        ("correct horse\0", "wrong-password"),
        ("\ud800", "wrong-password"),
    ],
)
def test_a_wrong_password_is_named(password, code):
    assert refusal(make(), password) == code


def test_a_cut_file_is_truncated():
    data = make()
    assert {refusal(data[:cut]) for cut in (1, 3, 400, len(data) - 1)} == {"truncated"}


def test_octets_after_the_file_do_no_harm():
    assert subjects(make() + b"\0\0") == ["CN=Alice"]


@pytest.mark.parametrize("label", ["PKCS12", "PFX"])
def test_armour(label):
    body = base64.encodebytes(make()).decode()
    text = f"Hello\n-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()
    assert subjects(text) == ["CN=Alice"]
    assert read_certificates(text, password=PASSWORD).private_key_ignored


@pytest.mark.parametrize("indefinite", [True, False])
@pytest.mark.parametrize("password", [None, PASSWORD])
def test_what_stands_in_the_clear_needs_no_password(indefinite, password):
    data = clear(
        cert_bag(CA), cert_bag(ALICE, b"1"), cert_bag(BOB), key_bag(b"1"), indefinite=indefinite
    )
    assert subjects(data, password) == ["CN=Alice"]
    assert read_certificates(data).private_key_ignored


def test_several_keys_have_several_certificates():
    data = clear(cert_bag(ALICE, b"1"), cert_bag(BOB, b"2"), key_bag(b"1"), key_bag(b"2"))
    assert subjects(data) == ["CN=Alice", "CN=Bob"]


def test_keys_that_do_not_tell_make_nobody_a_recipient():
    # Either of the two could be a stranger.
    data = clear(cert_bag(CA), cert_bag(ALICE), cert_bag(BOB), key_bag())
    assert refusal(data) == "wrong-password"
    assert refusal(clear(cert_bag(ALICE), cert_bag(BOB), plain_key_bag(CAROL_KEY))) == (
        "private-key-only"
    )
    assert subjects(clear(cert_bag(CA), cert_bag(ALICE), key_bag())) == ["CN=Alice"]


def test_the_keys_tell_whose_certificates_are_encrypted():
    certificates = sealed(cert_bag(BOB), cert_bag(ALICE), cert_bag(CAROL), cert_bag(CA))
    two_keys = contents(sealed_key_bag(ALICE_KEY), plain_key_bag(CAROL_KEY))
    found = read_certificates(whole(certificates, two_keys), password=PASSWORD)
    assert [one.subject for one in found.recipients] == ["CN=Alice", "CN=Carol"]
    assert {one.subject for one in found.set_aside} == {"CN=Bob", "CN=Test CA"}
    # A key that doesn't open could be anybody's: nobody is taken for its sake.
    unknown = whole(certificates, contents(sealed_key_bag(ALICE_KEY), key_bag()))
    assert subjects(unknown) == ["CN=Alice"]
    assert refusal(whole(certificates, contents(key_bag()))) == "corrupt"


def test_an_id_tells_whose_an_encrypted_certificate_is():
    certificates = sealed(cert_bag(BOB, b"2"), cert_bag(ALICE, b"1"))
    assert subjects(whole(certificates, contents(key_bag(b"1")))) == ["CN=Alice"]


def test_a_key_that_opens_is_believed_rather_than_an_id():
    # Some programs give everything in a file the same one.
    for ids in ((b"1", b"1", b"1"), (b"2", b"1", b"1")):
        bags = [cert_bag(one, key_id) for one, key_id in zip((ALICE, BOB, CA), ids, strict=True)]
        assert subjects(clear(*bags, plain_key_bag(ALICE_KEY, b"1"))) == ["CN=Alice"]


def test_an_id_of_several_keys_certificates_tells_nothing():
    bags = [cert_bag(one, b"1") for one in (ALICE, BOB)]
    assert refusal(clear(*bags, key_bag(b"1"))) == "wrong-password"
    renewed = rsa_identity(common_name="Alice 2")[1]
    bags = [cert_bag(BOB), *(cert_bag(one, b"1") for one in (ALICE, renewed))]
    assert subjects(clear(*bags, key_bag(b"1"))) == ["CN=Alice", "CN=Alice 2"]


@pytest.mark.parametrize("others", [[BOB], [CA], [BOB, CA]])
def test_a_key_that_opens_makes_no_stranger_a_recipient(others):
    data = clear(*map(cert_bag, others), plain_key_bag(ALICE_KEY))
    assert refusal(data) == "private-key-only"
    # One that doesn't open may be that of the only person.
    assert len(subjects(clear(*map(cert_bag, others), key_bag()))) == 1


def test_bags_in_bags_are_read():
    nested = cert_bag(ALICE)
    for _ in range(5):
        nested = bag(NESTED, element(0x30, nested))
    assert subjects(clear(nested)) == ["CN=Alice"]
    for _ in range(40):
        nested = bag(NESTED, element(0x30, nested))
    assert refusal(clear(nested)) == "corrupt"


def test_a_hidden_key_is_never_decrypted():
    # Decrypting it would fail, or take as long as whoever wrote the file likes.
    assert subjects(whole(sealed(key_bag(), cert_bag(ALICE)))) == ["CN=Alice"]


def test_a_key_is_not_checked():
    # Its exponent is nonsense, and its primes could be so long that checking them takes hours.
    exponent = ALICE_KEY.private_numbers().d
    old = exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")
    octets = plain_key_bag(ALICE_KEY)
    assert octets.count(old) == 1
    nonsense = octets.replace(old, old[:-1] + b"\x01" if old[-1] != 1 else old[:-1] + b"\x03")
    data = whole(contents(nonsense), sealed(cert_bag(BOB), cert_bag(ALICE)))
    assert subjects(data) == ["CN=Alice"]


def test_the_number_of_parts_is_limited():
    assert refusal(clear(*[key_bag()] * (pfx_outline.MAX_ENCRYPTED_PARTS + 1))) == "corrupt"


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at:][1:]


def test_damage_is_told_from_a_wrong_password_where_a_part_opens():
    # In the last block but one, which turns the padding wrong; and in the MAC.
    first, second = sealed(cert_bag(ALICE)), sealed(cert_bag(BOB))
    for damaged in (flipped(whole(first, second), -17), flipped(make(), -20)):
        assert refusal(damaged) == "corrupt"
        assert refusal(damaged, "wrong") == "wrong-password"


def with_pbmac1(key_octets, digest=HMAC_SHA256, name="sha256"):
    bags = cert_bag(ALICE), cert_bag(BOB)
    key = hashlib.pbkdf2_hmac(name, PASSWORD.encode(), b"salt", 3, key_octets or 64)
    value = hmac.digest(key, element(0x30, contents(*bags)), name)
    digest = element(0x30, digest)
    length = element(0x02, bytes([key_octets])) if key_octets else b""
    counted = [element(0x04, b"salt"), element(0x02, b"\3"), length, digest]
    derivation = element(0x30, PBKDF2, element(0x30, *counted))
    algorithm = element(0x30, PBMAC1, element(0x30, derivation, digest))
    info = element(0x30, algorithm, element(0x04, value))
    return clear(*bags, mac=element(0x30, info, element(0x04, b""), element(0x02, b"\1")))


@pytest.mark.parametrize("key_octets", [20, 32, 64])
def test_a_newer_mac_is_checked(key_octets):
    data = with_pbmac1(key_octets)
    assert subjects(data) == ["CN=Alice", "CN=Bob"]
    assert refusal(data, "wrong") == "wrong-password"


@pytest.mark.parametrize("key_octets", [None, 1, 19])
def test_a_newer_mac_with_a_short_key_proves_nothing(key_octets):
    data = with_pbmac1(key_octets)
    assert {refusal(data, password) for password in (PASSWORD, "wrong")} == {"unsupported-cipher"}


HMAC_SHA3_256 = bytes.fromhex("060960864801650304020e")


def test_a_newer_mac_by_sha3():
    data = with_pbmac1(32, HMAC_SHA3_256, "sha3_256")
    assert subjects(data) == ["CN=Alice", "CN=Bob"]
    assert refusal(data, "wrong") == "wrong-password"


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
@pytest.mark.parametrize("digest", ["sha3-224", "sha3-256", "sha3-384", "sha3-512"])
def test_a_mac_by_sha3(tmp_path, digest):
    source, target = tmp_path / "alice.pem", tmp_path / "alice.p12"
    source.write_bytes(ALICE.public_bytes(Encoding.PEM))
    command = ["openssl", "pkcs12", "-export", "-nokeys", "-passout", f"pass:{PASSWORD}"]
    subprocess.run([*command, "-macalg", digest, "-in", source, "-out", target], check=True)
    assert subjects(target.read_bytes()) == ["CN=Alice"]
    assert refusal(target.read_bytes(), "wrong") == "wrong-password"


# --- the two empty passwords -----------------------------------------------------------------


def sealed_by_empty(wide, content):
    """The algorithm and the ciphertext, by SHA-1 and three-key triple DES."""
    key, iv = (
        pfx_outline.derived("sha1", n, octets, wide, (b"salt", 2000))
        for n, octets in ((1, 24), (2, 8))
    )
    padder = PKCS7(64).padder()
    encryptor = Cipher(TripleDES(key), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padder.update(content) + padder.finalize())
    return element(0x30, PBE_3DES, parameters(2000)), ciphertext


def empty_file(wide, *, key_id, others=()):
    """A file of Alice's as Windows writes it, with a MAC."""
    plain = ALICE_KEY.private_bytes(Encoding.DER, serialization.PrivateFormat.PKCS8, NoEncryption())
    algorithm, ciphertext = sealed_by_empty(wide, plain)
    key = bag(SHROUDED, element(0x30, algorithm, element(4, ciphertext)), key_id)
    bags = element(0x30, *(cert_bag(one) for one in others), cert_bag(ALICE, key_id))
    algorithm, ciphertext = sealed_by_empty(wide, bags)
    info = element(
        0x30, element(2, b"\0"), element(0x30, DATA, algorithm, element(0x80, ciphertext))
    )
    infos = contents(key), element(0x30, ENCRYPTED, element(0xA0, info))
    mac_key = pfx_outline.derived("sha1", 3, 20, wide, (b"salt", 2))
    value = hmac.digest(mac_key, element(0x30, *infos), "sha1")
    info = element(0x30, element(0x30, SHA1, element(5)), element(4, value))
    return whole(*infos, mac=element(0x30, info, element(4, b"salt"), element(2, b"\2")))


@pytest.mark.parametrize("wide", [b"", b"\0\0"], ids=["no octets", "two NULs"])
@pytest.mark.parametrize("key_id", [b"1", None])
def test_both_empty_passwords_open_the_key(wide, key_id):
    data = empty_file(wide, key_id=key_id, others=[BOB])
    assert pkcs12.load_pkcs12(empty_file(wide, key_id=key_id), None).cert.certificate == ALICE
    for password in (None, "", b""):
        found = read_certificates(data, password=password)
        assert [one.subject for one in found.recipients] == ["CN=Alice"]
        assert [one.subject for one in found.set_aside] == ["CN=Bob"]
        assert Identity.from_pkcs12(data, password).recipient.subject == "CN=Alice"
    assert refusal(data, "wrong") == "wrong-password"


def test_a_broken_stranger_does_not_spoil_the_file():
    broken = bag(
        CERTIFICATE, element(0x30, X509, element(0xA0, element(0x04, element(0x30, b"\x05\0"))))
    )
    found = read_certificates(clear(cert_bag(ALICE, b"1"), key_bag(b"1"), broken))
    assert [one.subject for one in found.recipients] == ["CN=Alice"]
    assert "can't be read" in found.set_aside[0].reason


def pbes2(kdf=PBKDF2, cipher=AES256, rounds=2000):
    derivation, iv = element(0x30, kdf, parameters(rounds)), element(0x04, bytes(16))
    scheme = element(0x30, derivation, element(0x30, cipher, iv))
    return element(0x30, PBES2, scheme)


UNKNOWN = element(0x06, b"\x2a\x03\x04")
TOO_MANY = pfx_outline.MAX_ITERATIONS + 1
UNSUPPORTED = {
    "scheme": clear(key_bag(algorithm=element(0x30, UNKNOWN))),
    "derivation": clear(key_bag(algorithm=pbes2(kdf=UNKNOWN))),
    "cipher": clear(key_bag(algorithm=pbes2(cipher=UNKNOWN))),
    "iterations": clear(key_bag(algorithm=pbes2(rounds=TOO_MANY))),
    "sum of iterations": clear(*[key_bag(algorithm=pbes2(rounds=TOO_MANY // 3))] * 4),
    "public key mode": clear(kind=UNKNOWN),
}


def mac(digest=SHA1, rounds=1):
    info = element(0x30, element(0x30, digest), element(0x04, b"\0" * 20))
    count = rounds.to_bytes(5, "big").lstrip(b"\0")
    return element(0x30, info, element(0x04, b"salt"), element(0x02, count))


UNSUPPORTED["MAC"] = clear(mac=mac(UNKNOWN))
UNSUPPORTED["iterations of the MAC"] = clear(mac=mac(rounds=TOO_MANY))


@pytest.mark.parametrize("data", UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_is_not_supported_is_named(data):
    assert refusal(data) == "unsupported-cipher"


@pytest.mark.parametrize("rounds", [0, -5])
def test_iterations_below_one_are_corrupt(rounds):
    assert refusal(clear(key_bag(algorithm=pbes2(rounds=rounds)))) == "corrupt"


def test_a_wrong_mac_is_not_passed_over():
    assert refusal(clear(cert_bag(ALICE), mac=mac())) == "wrong-password"


FILES = [make(others=[CA]), clear(cert_bag(ALICE, b"1"), key_bag(b"1"), indefinite=True)]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), st.integers(0, 3000), st.binary(max_size=4), st.integers(0, 4))
def test_only_its_own_error_comes_out_of_damaged_files(data, where, new, dropped):
    where %= len(data)
    damaged = data[:where] + new + data[where + dropped :]
    try:
        read_certificates(damaged, password=PASSWORD)
    except CertificateError as error:
        assert str(error)


def test_the_files_of_one_input_share_the_rounds(monkeypatch):
    one, rounds = make(), pfx_outline.Rounds()
    pfx_outline.read(one, rounds)
    monkeypatch.setattr(pfx_outline, "MAX_ITERATIONS", rounds.asked * 3 // 2)
    armoured = b"-----BEGIN PKCS12-----\n%b-----END PKCS12-----\n" % base64.encodebytes(one)
    with pytest.warns(PrivateKeyIgnored):
        assert len(load_recipients(armoured, password=PASSWORD)) == 1
    assert refusal(armoured * 2) == "unsupported-cipher"


def test_a_caller_may_allow_fewer_rounds_for_one_derivation():
    data = make()
    most = pfx_outline.read(data).mac.iterations
    assert len(read_within(data, PASSWORD, most).recipients) == 1
    with pytest.raises(CertificateError, match="export it again with fewer") as caught:
        read_within(data, PASSWORD, most - 1)
    assert caught.value.code == "unsupported-cipher"
