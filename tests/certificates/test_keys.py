"""Public keys: which can be encrypted to, and which can't."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import Encoding

from cmstream.asn1 import tlv
from cmstream.certificates import curves, keys
from cmstream.certificates.recipient import load_recipients, read_certificates
from cmstream.errors import CertificateError
from helpers import wishes
from helpers.authorities import certificate, element, identity, rsa_identity

_, ALICE = rsa_identity()
DER = ALICE.public_bytes(Encoding.DER)
PEM = ALICE.public_bytes(Encoding.PEM)


def refusal(data):
    with pytest.raises(CertificateError) as caught:
        load_recipients(data)
    return caught.value.code


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("SECP256R1", "P-256"),
        ("SECP521R1", "P-521"),
        ("BrainpoolP256R1", "brainpoolP256r1"),
        ("x25519", "X25519"),
        ("x448", "X448"),
    ],
)
def test_keys_for_agreement_are_taken(kind, key):
    (found,) = load_recipients(identity(kind)[1].public_bytes(Encoding.DER))
    assert found.key == key


@pytest.mark.parametrize("kind", ["ed25519", "ed448"])
def test_keys_that_only_sign_are_refused_alone_and_set_aside_in_company(kind):
    cert = identity(kind)[1].public_bytes(Encoding.PEM)
    assert refusal(cert) == "unsupported-key"
    found = read_certificates(cert + PEM)
    assert [one.key for one in found.recipients] == ["RSA-2048"]
    assert "can't be used for encryption" in found.set_aside[0].reason


def test_dsa_is_refused():
    key = dsa.generate_private_key(1024)  # noqa: S505
    assert refusal(certificate(key).public_bytes(Encoding.DER)) == "unsupported-key"


RSA_OID = bytes.fromhex("300d06092a864886f70d0101010500")


def marked(last):
    """Alice's certificate, its key under another name."""
    assert DER.count(RSA_OID) == 1
    return DER.replace(RSA_OID, RSA_OID[:-3] + bytes([last]) + RSA_OID[-2:])


def test_a_key_marked_for_oaep_is_taken_and_tells():
    (found,) = load_recipients(marked(7))
    assert (found.key, found.oaep_only) == ("RSA-2048", True)
    assert found.public_key.key_size == 2048


def test_a_key_marked_for_pss_is_refused():
    assert refusal(marked(10)) == "unsupported-key"


def rsa_info(modulus, exponent=65537):
    numbers = [
        element(0x02, n.to_bytes(n.bit_length() // 8 + 1, "big", signed=True))
        for n in (modulus, exponent)
    ]
    key = element(0x30, *numbers)
    return tlv.read_only(element(0x30, RSA_OID, element(0x03, b"\0", key)))


@pytest.mark.parametrize(
    ("modulus", "exponent", "code"),
    [
        (2**1023 - 1, 3, "unsupported-key"),
        (2**16384 + 1, 3, "unsupported-key"),
        (2**2048 - 1, 2, "unsupported-key"),
        (2**2048 - 1, 1, "unsupported-key"),
        (2**2048 - 2, 3, "unsupported-key"),
        (2**3073 - 1, 2**64 + 1, "unsupported-key"),
        (2**2048 - 1, -3, "corrupt"),
        (-(2**2048), 3, "corrupt"),
    ],
    ids=[
        "short",
        "long",
        "even exponent",
        "exponent of 1",
        "even",
        "long exponent",
        "negative exponent",
        "negative",
    ],
)
def test_rsa_numbers_that_are_no_use_are_refused(modulus, exponent, code):
    with pytest.raises(CertificateError) as caught:
        keys.load(rsa_info(modulus, exponent), "CN=Alice")
    assert caught.value.code == code


def test_rsa_of_1024_bits_is_the_least():
    assert keys.load(rsa_info(2**1024 - 1), "CN=Alice")[0] == "RSA-1024"


# --- curves ----------------------------------------------------------------------------------

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")


def openssl_certificate(tmp_path, *options):
    """A self-signed certificate with a key that OpenSSL makes, in DER."""
    key, cert = tmp_path / "key", tmp_path / "cert"
    subprocess.run(["openssl", *options, "-out", key], check=True, capture_output=True)
    command = [
        "openssl",
        "req",
        "-x509",
        "-new",
        "-key",
        key,
        "-subj",
        "/CN=Eve",
        "-outform",
        "DER",
    ]
    subprocess.run([*command, "-out", cert], check=True, capture_output=True)
    return cert.read_bytes()


@needs_openssl
@pytest.mark.parametrize("form", ["uncompressed", "compressed", "hybrid"])
@pytest.mark.parametrize("parameters", ["explicit", "named_curve"])
@pytest.mark.parametrize(
    ("curve", "name"),
    [
        ("secp224r1", "P-224"),
        ("prime256v1", "P-256"),
        ("secp384r1", "P-384"),
        ("secp521r1", "P-521"),
        ("secp256k1", "secp256k1"),
        ("brainpoolP256r1", "brainpoolP256r1"),
        ("brainpoolP384r1", "brainpoolP384r1"),
        ("brainpoolP512r1", "brainpoolP512r1"),
    ],
)
def test_a_curve_by_its_name_or_its_parameters(tmp_path, curve, name, parameters, form):
    options = ["-name", curve, "-genkey", "-noout", "-param_enc", parameters, "-conv_form", form]
    (found,) = load_recipients(openssl_certificate(tmp_path, "ecparam", *options))
    assert found.key == name
    text = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "key", "-noout", "-text"],
        check=True, capture_output=True,
    ).stdout.decode()  # fmt: skip
    assert f"{found.public_key.public_numbers().x:x}" in re.sub(r"[:\s]", "", text)


@needs_openssl
@pytest.mark.parametrize(
    ("curve", "name"),
    [
        ("prime192v1", "P-192"),
        ("brainpoolP320r1", "brainpoolP320r1"),
        ("SM2", "SM2"),
        ("sect283k1", "K-283"),
    ],
)
def test_a_curve_that_the_library_lacks_is_named(tmp_path, curve, name):
    options = ["ecparam", "-name", curve, "-genkey", "-noout"]
    with pytest.raises(CertificateError) as caught:
        load_recipients(openssl_certificate(tmp_path, *options))
    assert caught.value.code == "unsupported-key"
    assert f"its curve ({name}) isn't supported" in str(caught.value)


@needs_openssl
@pytest.mark.parametrize("curve", ["prime192v1", "brainpoolP320r1", "sect283k1"])
def test_parameters_of_no_known_curve_are_said_to_be_that(tmp_path, curve):
    options = ["ecparam", "-name", curve, "-genkey", "-noout", "-param_enc", "explicit"]
    with pytest.raises(CertificateError) as caught:
        load_recipients(openssl_certificate(tmp_path, *options))
    assert caught.value.code == "unsupported-key"
    assert "by its parameters instead of by its name" in str(caught.value)


@needs_openssl
@pytest.mark.skipif(not shutil.which("openssl"), reason="wants openssl")
def test_curves_that_cannot_be_used_are_called_by_their_names():
    """Those that the openssl here knows too, by its names."""
    listed = subprocess.run(
        ["openssl", "ecparam", "-list_curves"], capture_output=True, text=True, check=True
    ).stdout
    known = {line.partition(":")[0].strip() for line in listed.splitlines() if ":" in line}
    nist = {"P-192": "prime192v1", "B-163": "sect163r2"}
    compared = 0
    for oid, name in curves.UNUSABLE_CURVES.items():
        binary = re.sub(r"^([KB])-(\d+)$", lambda one: f"sect{one[2]}{'kr'[one[1] == 'B']}1", name)
        theirs = nist.get(name, binary)
        if theirs in known:
            der = subprocess.run(
                ["openssl", "ecparam", "-name", theirs, "-outform", "DER"],
                capture_output=True, check=True,
            ).stdout  # fmt: skip
            assert der == wishes.oid(oid), name
            compared += 1
    assert compared >= 20 or "sect283r1" not in known


def test_other_parameters_are_not_the_curves():
    """The base point or a coefficient exchanged: an old way to pass as somebody else."""
    options = ["ecparam", "-name", "prime256v1", "-param_enc", "explicit", "-outform", "DER"]
    der = subprocess.run(["openssl", *options], check=True, capture_output=True).stdout
    oid = curves.named(tlv.read_only(der))
    assert curves.CURVES[oid].name == "P-256"
    version, _, curve, *_ = tlv.read_only(der).children()
    seed = curve.children()[2].whole
    of_no_matter = {der.index(one) + n for one in (version.whole, seed) for n in range(len(one))}
    for at in range(len(der)):
        changed = der[:at] + bytes([der[at] ^ 1]) + der[at:][1:]
        try:
            found = curves.named(tlv.read_only(changed))
        except tlv.TlvError:
            continue
        assert not found or at in of_no_matter


def test_the_cofactor_may_be_left_out_and_is_no_other():
    options = ["ecparam", "-name", "prime256v1", "-param_enc", "explicit", "-outform", "DER"]
    der = subprocess.run(["openssl", *options], check=True, capture_output=True).stdout
    *parts, _ = (child.whole for child in tlv.read_only(der).children())
    for cofactor, known in ((b"", True), (b"\2\1\1", True), (b"\2\1\2", False), (b"\2\1\0", False)):
        assert bool(curves.named(tlv.read_only(element(0x30, *parts, cofactor)))) is known


def test_ml_kem_512_is_told_what_to_be_instead():
    oid = bytes.fromhex("0609608648016503040401")
    info = element(0x30, element(0x30, oid), element(0x03, b"\0", bytes(800)))
    with pytest.raises(CertificateError, match="ML-KEM-768 or ML-KEM-1024") as caught:
        keys.load(tlv.read_only(info), "CN=Alice")
    assert caught.value.code == "unsupported-key"
