"""Certificates in: containers, what a recipient tells, problems, and what is refused."""

from __future__ import annotations

import base64
import datetime as dt
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from cmstream.asn1 import tlv
from cmstream.certificates import x509 as x509_reader
from cmstream.certificates.recipient import Problem, load_recipients, read_certificates
from cmstream.errors import CertificateError, PrivateKeyIgnored
from helpers.authorities import (
    NOW,
    YEARS,
    authority,
    certificate,
    element,
    identity,
    key_usage,
    name,
    other_key,
    rsa_identity,
    rsa_key,
)

ALICE_KEY, ALICE = rsa_identity()
_, BOB = rsa_identity(emails=("bob@example.org",), common_name="Bob", number=1)
_, CA = authority()
DER = ALICE.public_bytes(Encoding.DER)
PEM = ALICE.public_bytes(Encoding.PEM)
BOB_PEM = BOB.public_bytes(Encoding.PEM)
CA_PEM = CA.public_bytes(Encoding.PEM)
KEY_PEM = ALICE_KEY.private_bytes(
    Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


def load(cert):
    (found,) = load_recipients(cert.public_bytes(Encoding.DER))
    return found


def codes(cert, at=NOW):
    return {problem.code for problem in load(cert).problems(at)}


def refusal(data, **options):
    with pytest.raises(CertificateError) as caught:
        load_recipients(data, **options)
    return caught.value.code


def subjects(data):
    return [one.subject for one in load_recipients(data)]


def test_a_recipient_tells_what_its_certificate_says():
    alice = load(ALICE)
    assert alice.emails == ("alice@example.org",)
    assert (alice.subject, alice.issuer) == ("CN=Alice", "CN=Test CA")
    assert alice.serial == ALICE.serial_number
    assert (alice.not_before, alice.not_after) == (NOW - YEARS, NOW + YEARS)
    assert alice.key == "RSA-2048"
    assert alice.fingerprint == ALICE.fingerprint(hashes.SHA256()).hex()
    assert alice.public_key.public_numbers() == ALICE_KEY.public_key().public_numbers()
    assert not alice.oaep_only
    assert alice.problems(NOW) == ()


def test_what_cms_needs_is_cut_from_the_certificate():
    alice = load(ALICE)
    assert alice.issuer_der == ALICE.issuer.public_bytes()
    assert alice.serial_der in DER
    assert int.from_bytes(alice.serial_der[2:], "big") == ALICE.serial_number
    extension = ALICE.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert alice.key_identifier == extension.value.digest
    assert load(rsa_identity(subject_key_identifier=False)[1]).key_identifier is None


def test_a_recipient_is_exported_as_it_came():
    assert load(ALICE).der == DER
    assert load(ALICE).pem == PEM


def test_a_recipient_is_its_fingerprint():
    assert load(ALICE) == load(ALICE) != load(BOB)
    assert len({load(ALICE), load(ALICE), load(BOB)}) == 2
    assert load(ALICE) != "alice"
    with pytest.raises(AttributeError):
        load(ALICE).serial = 7
    assert "alice@example.org" in repr(load(ALICE))
    assert len(repr(load(ALICE))) < 80


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_taken(kind):
    assert load_recipients(kind(DER)) == [load(ALICE)]


LAYOUTS = {
    "plain": PEM,
    "crlf": PEM.replace(b"\n", b"\r\n"),
    "cr": PEM.replace(b"\n", b"\r"),
    "mark": b"\xef\xbb\xbf" + PEM,
    "indented": PEM.replace(b"\n", b"\n \t "),
    "blank lines inside": PEM.replace(b"\n", b"\n\n"),
    "one line": b"".join(PEM.splitlines()),
    "text": b"Bag Attributes\n    localKeyID: 00 -- \nsubject=/CN=A\n" + PEM + b"-- \nAlice\n",
    "label": PEM.replace(b"CERTIFICATE", b"X509 CERTIFICATE"),
    "twice": PEM + PEM,
    "text that begins like DER": b"0 s:CN=Alice\n" + PEM,
    "an empty label": b"-----BEGIN -----\n" + PEM,
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_pem_in_every_layout(layout):
    assert load_recipients(layout) == [load(ALICE)]


def test_trust_settings_after_a_certificate_are_cut_off():
    body = pem("TRUSTED CERTIFICATE", DER + element(0x30, element(0x0C, b"Alice")))
    assert load_recipients(body)[0].der == DER
    assert refusal(body.replace(b"TRUSTED ", b"")) == "trailing-data"


def pem(label, der):
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


def test_what_is_inside_an_armour_decides():
    bundle = pkcs7.serialize_certificates([CA, ALICE], Encoding.DER)
    assert subjects(pem("CERTIFICATE", bundle)) == ["CN=Alice"]
    assert subjects(pem("PKCS7", DER)) == ["CN=Alice"]
    assert refusal(pem("CERTIFICATE", private_key("PKCS8", Encoding.DER))) == "private-key-only"


def test_pem_keeps_the_order_of_the_file():
    assert subjects(BOB_PEM + PEM) == ["CN=Bob", "CN=Alice"]
    assert subjects(PEM + BOB_PEM + PEM) == ["CN=Alice", "CN=Bob"]


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_pkcs7_gives_its_end_entities(encoding):
    data = pkcs7.serialize_certificates([CA, ALICE, BOB], encoding)
    found = read_certificates(data)
    assert {one.subject for one in found.recipients} == {"CN=Alice", "CN=Bob"}
    assert [one.subject for one in found.set_aside] == ["CN=Test CA"]
    assert refusal(data[:-40]) == "truncated"


def test_an_authority_beside_a_person_is_set_aside():
    found = read_certificates(CA_PEM + PEM)
    assert [one.subject for one in found.recipients] == ["CN=Alice"]
    (aside,) = found.set_aside
    assert aside.subject == "CN=Test CA"
    assert aside.fingerprint == CA.fingerprint(hashes.SHA256()).hex()
    assert "e-mail" in aside.reason


def test_an_authority_alone_comes_out_with_its_problem():
    (found,) = load_recipients(CA_PEM)
    assert {p.code for p in found.problems(NOW)} == {"ca-certificate", "no-email"}


def test_an_authority_with_an_address_is_known_by_what_it_issued():
    key = rsa_key(2048, 1)
    own = certificate(key, common_name="Test CA", ca=True, self_signed=True)
    found = read_certificates(own.public_bytes(Encoding.PEM) + PEM)
    assert [one.subject for one in found.recipients] == ["CN=Alice"]
    assert "issued" in found.set_aside[0].reason


def test_self_signed_people_who_say_ca_stay():
    mine = [
        certificate(rsa_key(2048, number), common_name="Eve", ca=True, self_signed=True)
        for number in (0, 1)
    ]
    data = b"".join(one.public_bytes(Encoding.PEM) for one in mine)
    assert subjects(data + PEM) == ["CN=Eve", "CN=Eve", "CN=Alice"]


def test_mail_is_never_sealed_to_the_authority_of_an_unusable_certificate():
    _, signer = identity("ed25519")
    assert refusal(signer.public_bytes(Encoding.PEM) + CA_PEM) == "unsupported-key"


def test_emails_come_from_both_places_each_once():
    cert = certificate(
        rsa_key(), emails=("work@example.org",), subject=name("A", "WORK@example.org")
    )
    assert load(cert).emails == ("work@example.org",)
    cert = certificate(rsa_key(), emails=("b@example.org",), subject=name("A", "a@example.org"))
    assert load(cert).emails == ("b@example.org", "a@example.org")
    assert load(certificate(rsa_key(), emails=())).emails == ()


def test_an_internationalised_address_is_read():
    other = x509.OtherName(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), element(0x0C, "дана@example.org".encode())
    )
    cert = certificate(rsa_key(), emails=(), extra=(x509.SubjectAlternativeName([other]),))
    assert load(cert).emails == ("дана@example.org",)


@pytest.mark.parametrize("address", ["no address", "a@b\nBcc: c@d", "a\u202e@b", "@", ""])
def test_what_is_no_address_is_left_out(address):
    assert load(certificate(rsa_key(), emails=(), subject=name("A", address or "x"))).emails == ()


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ([(NameOID.COMMON_NAME, "A"), (NameOID.COUNTRY_NAME, "DE")], "C=DE,CN=A"),
        ([(NameOID.COMMON_NAME, 'a,b+"c"\\<>;')], r"CN=a\,b\+\"c\"\\\<\>\;"),
        ([(NameOID.COMMON_NAME, "#a ")], r"CN=\#a\ "),
        ([(NameOID.COMMON_NAME, " ")], "CN=\\ "),
        ([(NameOID.COMMON_NAME, "a\\ ")], r"CN=a\\\ "),
        ([(NameOID.COMMON_NAME, "a\u202eb")], r"CN=a\E2\80\AEb"),
        ([(NameOID.COMMON_NAME, "a\nb\x9b")], r"CN=a\0Ab\C2\9B"),
        ([(NameOID.USER_ID, "a")], "UID=a"),
        ([(x509.ObjectIdentifier("1.2.3"), "a")], "1.2.3=#0c0161"),
    ],
)
def test_names_are_written_as_rfc_4514_says(attributes, text):
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    assert load(certificate(rsa_key(), subject=subject)).subject == text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"not_after": NOW - dt.timedelta(days=1)}, {"expired"}),
        ({"not_before": NOW + dt.timedelta(days=1)}, {"not-yet-valid"}),
        ({"usage": key_usage("digital_signature")}, {"no-key-encipherment"}),
        ({"usage": key_usage("key_encipherment")}, set()),
        ({"purposes": (ExtendedKeyUsageOID.SERVER_AUTH,)}, {"no-email-protection"}),
        ({"purposes": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)}, set()),
        ({"purposes": ()}, set()),
        ({"bits": 1024}, {"weak-key"}),
        ({"emails": ()}, {"no-email"}),
        ({"ca": True}, {"ca-certificate"}),
        ({"ca": None}, set()),
    ],
    ids=str,
)
def test_problems(options, expected):
    assert codes(rsa_identity(**options)[1]) == expected


def test_key_agreement_is_its_own_problem():
    usage = key_usage("digital_signature")
    assert codes(certificate(other_key("SECP256R1"), usage=usage)) == {"no-key-agreement"}
    assert codes(certificate(other_key("x25519"), usage=key_usage("key_agreement"))) == set()


def test_validity_is_judged_at_the_moment_asked_for():
    alice = load(ALICE)
    assert alice.problems(alice.not_before) == alice.problems(alice.not_after) == ()
    late = alice.problems(alice.not_after + dt.timedelta(seconds=1))
    assert [p.code for p in late] == ["expired"]
    assert f"{alice.not_after:%Y-%m-%d}" in str(late[0])
    assert [p.code for p in load(rsa_identity(not_after=NOW - YEARS / 2)[1]).problems()] == [
        "expired"
    ]
    with pytest.raises(ValueError, match="time zone"):
        alice.problems(dt.datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_problem_is_a_sentence():
    assert str(Problem("weak-key")).endswith("2048 bits.")
    assert str(Problem("weak-key", "Other words.")) == "Other words."


def patched(old, new, der=DER):
    """A certificate with octets exchanged; no signature is checked here."""
    assert der.count(old) == 1
    assert len(old) == len(new)
    return der.replace(old, new)


def test_a_serial_number_has_a_limit():
    serial = element(0x02, b"\x7f" * (x509_reader.MAX_SERIAL_OCTETS + 1))
    with pytest.raises(tlv.TlvError, match="serial"):
        x509_reader.parse(element(0x30, element(0x30, serial), element(0x30), element(0x03)))


def test_a_long_name_leaves_repr_short():
    subject = x509.Name(
        [
            x509.NameAttribute(oid, "A" * 64)
            for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        ]
    )
    assert len(repr(load(certificate(rsa_key(), emails=(), subject=subject)))) < 110


def test_odd_serial_numbers_are_taken_without_a_warning():
    serial = bytes.fromhex("0201") + b"\x01"
    der = CA.public_bytes(Encoding.DER).replace(b"\xa0\x03\x02\x01\x02" + serial, b"%b", 1)
    for odd, value in ((b"\0", 0), (b"\xff", -1)):
        changed = der.replace(b"%b", b"\xa0\x03\x02\x01\x02\x02\x01" + odd, 1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            (found,) = load_recipients(changed)
        assert (found.serial, found.serial_der) == (value, b"\x02\x01" + odd)


def test_a_latin_1_name_is_read_and_kept():
    subject = name("Jrgen!")
    der = certificate(rsa_key(), subject=subject).public_bytes(Encoding.DER)
    der = patched(b"\x0c\x06Jrgen!", b"\x14\x06J\xfcrgen", der)
    (found,) = load_recipients(der)
    assert found.subject == "CN=Jürgen"


def test_private_keys_are_ignored_with_a_warning():
    found = read_certificates(KEY_PEM + PEM)
    assert found.private_key_ignored
    assert found.recipients == (load(ALICE),)
    with pytest.warns(PrivateKeyIgnored) as caught:
        load_recipients(PEM + KEY_PEM)
    assert caught[0].filename == __file__


def public_key(form, encoding):
    return ALICE_KEY.public_key().public_bytes(encoding, getattr(serialization.PublicFormat, form))


def private_key(form, encoding):
    no_password = serialization.NoEncryption()
    form = getattr(serialization.PrivateFormat, form)
    return ALICE_KEY.private_bytes(encoding, form, no_password)


REQUEST = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(name("Alice"))
    .sign(ALICE_KEY, hashes.SHA256())
)
REVOKED = (
    x509.CertificateRevocationListBuilder()
    .issuer_name(CA.subject)
    .last_update(NOW)
    .next_update(NOW + YEARS)
    .sign(authority()[0], hashes.SHA256())
)
NOT_CERTIFICATES = [
    ("empty", b""),
    ("empty", b" \r\n"),
    ("not-a-certificate", b"<!DOCTYPE html><p>Not found"),
    ("not-a-certificate", PEM.decode().encode("utf-16")),
    ("not-a-certificate", element(0x30)),
    ("not-a-certificate", element(0x30, element(0x30, element(0x02, b"\x01")))),
    ("not-a-certificate", b"0" * (5 << 20)),
    ("private-key-only", KEY_PEM),
    ("private-key-only", private_key("PKCS8", Encoding.DER)),
    ("private-key-only", private_key("TraditionalOpenSSL", Encoding.DER)),
    ("private-key-only", private_key("OpenSSH", Encoding.PEM)),
    ("public-key-only", public_key("SubjectPublicKeyInfo", Encoding.PEM)),
    ("public-key-only", public_key("SubjectPublicKeyInfo", Encoding.DER)),
    ("public-key-only", public_key("PKCS1", Encoding.DER)),
    ("public-key-only", public_key("OpenSSH", Encoding.OpenSSH)),
    ("csr", REQUEST.public_bytes(Encoding.PEM)),
    ("csr", REQUEST.public_bytes(Encoding.DER)),
    ("crl", REVOKED.public_bytes(Encoding.PEM)),
    ("crl", REVOKED.public_bytes(Encoding.DER)),
    ("openpgp-key", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----"),
    ("openpgp-key", b"\x99\x01\x0d\x04\x5f\0\0\0\x01"),
    ("truncated", DER[:1]),
    ("truncated", DER[:300]),
    ("truncated", PEM[:300]),
    ("truncated", PEM[:300] + PEM),
    ("trailing-data", DER + b"\0x"),
    ("trailing-data", DER + DER),
    ("corrupt", PEM.replace(b"\nMII", b"\nM?I")),
    ("corrupt", PEM.replace(b"\nMII", b"\nMI")),
    ("corrupt", PEM.replace(b"END CERT", b"END X509 CERT")),
    ("corrupt", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"),
    ("corrupt", patched(b"\x55\x1d\x25", b"\x55\x1d\x11")),
]


@pytest.mark.parametrize(("code", "data"), NOT_CERTIFICATES)
def test_what_is_no_certificate_is_named(code, data):
    assert refusal(data) == code


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_only_its_own_error_comes_out_of_damaged_files(data):
    bundle = pkcs7.serialize_certificates([CA, ALICE], Encoding.DER)
    octets = bytearray(data.draw(st.sampled_from([DER, PEM + CA_PEM, bundle])))
    for _ in range(data.draw(st.integers(1, 3))):
        damage(octets, data.draw(st.integers(0, len(octets) - 1)), data.draw(st.integers(0, 3)))
    try:
        for one in load_recipients(octets):
            one.problems()
    except CertificateError as error:
        assert str(error)


def damage(octets, where, how):
    if how == 0:
        octets[where] ^= 1 << where % 8
    elif how == 1:
        del octets[where : where + 1 + where % 5]
    elif how == 2:
        octets[where:where] = b"\x80\x30"
    else:
        octets[where] = 0xFF
    octets += b"" if octets else b"\0"
