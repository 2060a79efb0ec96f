"""What the table of standards in this folder's README says: each test that it names exists, and
what had no test elsewhere has one here."""

from __future__ import annotations

import base64
import email
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import cmstream
from cmstream.asn1 import tlv
from cmstream.certificates import keys
from cmstream.errors import CertificateError
from helpers import handmade, pfx_files
from helpers.authorities import certificate, element, rsa_identity
from helpers.authorities import identity as certified
from helpers.handmade import AES_WRAP, KEY, algorithm, number, oid, pad
from helpers.opening import auth_envelope, envelope
from helpers.peers import NewestOpenSSL, must
from helpers.peers.program import need
from helpers.people import Person, identity

TESTS = Path(__file__).parents[1]
README = TESTS / "interop" / "README.md"
TEXT = b"Whoever claims conformance shows it."
PASSWORD = "correct horse"


# The table


def rows():
    """The rows of the standards' tables, each as the list of its cells."""
    text = README.read_text().split("<!-- standards -->")[1].split("<!-- end of standards -->")[0]
    cells = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in cells if set(row[0].strip()) - {"-"}]


ROWS = [row for row in rows() if row[0] != "§"]


def test_every_standard_has_its_table():
    text = README.read_text()
    numbers = (5652, 3565, 5083, 5084, 8551, 5753, 8418, 9629, 9690, 9788, 5958, 7292, 9579)
    for rfc in numbers:
        _, title, section = text.partition(f"\n### RFC {rfc}: ")
        assert title
        assert "\n| § | what it asks | where | test, or why not |\n" in section.split("\n### ")[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1][:30]}")
def test_each_row_names_tests_that_exist_or_a_reason(row):
    _, clause, where, proof = row
    assert clause[0].isupper() or clause[0] == "`"
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", proof)
    for path, name in named:
        text = (TESTS / path).read_text()
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{path} has no {name}"
    for module in re.findall(r"`([\w/]+\.(?:py|c))`", where):
        folder = TESTS.parent / ("native" if module.endswith(".c") else "src/cmstream")
        assert (folder / module).is_file(), module
    assert named or "not" in proof.lower().split(), "neither a test nor a reason"
    assert where == "nowhere" or "`" in where


# What had no test elsewhere


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes256-gcm"])
def test_the_content_is_called_data(alice, cipher):
    """RFC 8551 section 2.4.1; RFC 5083 section 2.1 wants attributes for other content alone."""
    policy = cmstream.Policy(cipher=cipher)
    sealed = cmstream.encrypt(TEXT, alice.recipient, policy=policy)
    if cipher.endswith("gcm"):
        whole = auth_envelope(sealed)
        assert not whole["authAttrs"].isValue
        assert not whole["unauthAttrs"].isValue
        content = whole["authEncryptedContentInfo"]
    else:
        content = envelope(sealed)["encryptedContentInfo"]
    assert str(content["contentType"]) == handmade.DATA


@pytest.mark.parametrize(
    ("cipher", "kind"),
    [("aes256-cbc", "enveloped-data"), ("aes256-gcm", "authEnveloped-data")],
)
def test_a_message_says_what_it_is(alice, cipher, kind):
    """RFC 8551 sections 3.2 and 3.2.1."""
    policy = cmstream.Policy(cipher=cipher)
    sealed = cmstream.encrypt_message(b"Subject: x\n\ntext\n", alice.recipient, policy=policy)
    found = email.message_from_bytes(sealed)
    assert found.get_content_type() == "application/pkcs7-mime"
    assert (found.get_param("smime-type"), found.get_param("name")) == (kind, "smime.p7m")
    assert found.get_content_disposition() == "attachment"
    assert found.get_filename() == "smime.p7m"


def test_hybrid_points_are_refused():
    """RFC 5753 section 7.2; compressed and uncompressed ones open."""
    key, cert = certified("SECP256R1", common_name="Carol")
    who = cmstream.Identity(key, cert.public_bytes(Encoding.DER))
    someone = Person(key, who.recipient)
    ephemeral = ec.generate_private_key(key.curve)
    kek = handmade.derived(
        ephemeral.exchange(ec.ECDH(), key.public_key()), "sha256", algorithm(AES_WRAP[32], b""), 32
    )
    forms = PublicFormat.CompressedPoint, PublicFormat.UncompressedPoint
    short, long = (ephemeral.public_key().public_bytes(Encoding.X962, form) for form in forms)
    hybrid = bytes([short[0] + 4]) + long[1:]
    for point, opens in ((short, True), (long, True), (hybrid, False)):
        wrapped = handmade.aes_key_wrap(kek, KEY)
        info = handmade.agreed([handmade.issuer_and_serial(someone.recipient)], point, wrapped)
        sealed = handmade.envelope([info], handmade.encrypt(pad(TEXT)))
        if opens:
            assert cmstream.decrypt(sealed, who) == TEXT
        else:
            with pytest.raises(cmstream.DecryptionError):
                cmstream.decrypt(sealed, who)


RSA_KEM, RSA_KEM_KEY = "1.0.18033.2.2.4", "1.2.840.113549.1.9.16.3.14"
KDF3 = algorithm("1.3.133.16.840.9.44.1.2", algorithm("2.16.840.1.101.3.4.2.1", b""))


def rsa_kem(someone):
    """KEMRecipientInfo as RFC 9690 section 2.2 has it."""
    parts = (
        number(0), handmade.issuer_and_serial(someone.recipient), algorithm(RSA_KEM, b""),
        element(4, bytes(256)), KDF3, number(16), algorithm(AES_WRAP[16], b""),
        element(4, bytes(40)),
    )  # fmt: skip
    return element(0xA4, oid("1.2.840.113549.1.9.16.13.3"), element(0x30, *parts))


def test_rsa_kem_is_said_to_be_unsupported_and_hinders_nobody(alice, bob):
    sealed = handmade.envelope([rsa_kem(alice)], handmade.encrypt(pad(TEXT)))
    with pytest.raises(cmstream.EnvelopeError) as caught:
        cmstream.decrypt(sealed, identity(alice))
    assert caught.value.code == "unsupported-cipher"
    beside = handmade.envelope([rsa_kem(alice), handmade.ktri(bob)], handmade.encrypt(pad(TEXT)))
    assert cmstream.decrypt(beside, identity(bob)) == TEXT


def test_a_key_for_rsa_kem_alone_is_never_used_otherwise():
    """RFC 9690 section 2.3."""
    public = rsa_identity()[0].public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    info = element(0x30, algorithm(RSA_KEM_KEY, b""), element(3, b"\0" + public))
    with pytest.raises(CertificateError) as caught:
        keys.load(tlv.read_only(info), "Alice")
    assert caught.value.code == "unsupported-key"


def test_what_a_signed_mail_says_of_ciphers_is_not_believed(tmp_path):
    """RFC 8551 section 2.7.1: not before its signature is verified, and here it never counts."""
    need("openssl")
    key, cert = rsa_identity()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "pem").write_bytes(pem + cert.public_bytes(Encoding.PEM))
    (tmp_path / "mail").write_bytes(b"Subject: x\r\n\r\ntext\r\n")
    signed = must("openssl", "cms", "-sign", "-nodetach", "-in", tmp_path / "mail", "-signer",
                  tmp_path / "pem").stdout  # fmt: skip
    body = base64.b64decode(signed.partition(b"\n\n")[2])
    assert oid("1.2.840.113549.1.9.15") in body
    (recipient,) = cmstream.load_recipients(signed)
    assert recipient.subject == "CN=Alice"
    assert recipient.capabilities is None


# PKCS #12


def exported(program, folder, *options):
    """A PFX of Alice's, by OpenSSL."""
    key, cert = rsa_identity()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "pem").write_bytes(pem + cert.public_bytes(Encoding.PEM))
    must(program, "pkcs12", "-export", "-in", folder / "pem", "-out", folder / "pfx", "-passout",
         f"pass:{PASSWORD}", *options)  # fmt: skip
    return (folder / "pfx").read_bytes()


def assert_opens(pfx):
    assert cmstream.Identity.from_pkcs12(pfx, PASSWORD).recipient.subject == "CN=Alice"
    for password in ("wrong", None):
        with pytest.raises(CertificateError):
            cmstream.Identity.from_pkcs12(pfx, password)


@pytest.mark.parametrize(
    "digest", ["sha1", "sha224", "sha256", "sha384", "sha512", "sha512-224", "sha512-256"]
)
def test_every_mac_of_pkcs_12(tmp_path, digest):
    """RFC 7292 section 5.1 and appendix A."""
    need("openssl")
    assert_opens(exported("openssl", tmp_path, "-macalg", digest))


@pytest.mark.parametrize("prf", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_every_pbmac1(tmp_path, digest, prf):
    """RFC 9579, as the newest OpenSSL writes it."""
    options = "-pbmac1_pbkdf2", "-pbmac1_pbkdf2_md", prf, "-macalg", digest
    pfx = exported(NewestOpenSSL(tmp_path).program, tmp_path, *options)
    assert pfx_files.PBMAC1 in pfx
    assert_opens(pfx)


def test_what_a_pfx_has_besides_is_ignored():
    """RFC 7292 section 5.2: revocation lists, secrets, bags and attributes of unknown types."""
    key, cert = rsa_identity()
    kinds = [bytes.fromhex(f"060b2a864886f70d010c0a010{n}") for n in (4, 5, 9)]
    others = [
        pfx_files.bag(kind, element(0x30, oid("1.2.3.4"), element(4, b"?"))) for kind in kinds
    ]
    friendly = element(0x30, oid("1.2.3.4.5"), element(0x31, element(12, b"?")))
    odd = pfx_files.cert_bag(cert)[4:] + element(0x31, friendly)
    pfx = pfx_files.clear(pfx_files.plain_key_bag(key), *others, element(0x30, odd))
    assert cmstream.Identity.from_pkcs12(pfx, "").recipient.subject == "CN=Alice"


def test_a_pfx_of_another_version_is_none():
    """RFC 7292 section 4."""
    key, cert = rsa_identity()
    pfx = pfx_files.clear(pfx_files.plain_key_bag(key), pfx_files.cert_bag(cert))
    assert cmstream.Identity.from_pkcs12(pfx, "").recipient.subject == "CN=Alice"
    assert pfx.count(number(3)) == 1
    with pytest.raises(CertificateError):
        cmstream.Identity.from_pkcs12(pfx.replace(number(3), number(4)), "")


def test_a_pfx_for_a_public_key_is_said_to_be_unsupported():
    """RFC 7292 section 3.1: the modes with public keys."""
    cert = certificate(rsa_identity()[0])
    for kind in ("1.2.840.113549.1.7.3", "1.2.840.113549.1.7.2"):
        inner = pfx_files.content_info(element(0x30, pfx_files.cert_bag(cert)), oid(kind))
        for pfx in (
            pfx_files.whole(inner),
            pfx_files.clear(pfx_files.cert_bag(cert), kind=oid(kind)),
        ):
            with pytest.raises(CertificateError) as caught:
                cmstream.Identity.from_pkcs12(pfx, "")
            assert caught.value.code == "unsupported-cipher"
