"""A broken certificate doesn't take the person's own with it, and what sealing doesn't need may be
broken in that."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cmstream.certificates.recipient import read_certificates
from cmstream.errors import CertificateError
from helpers.authorities import authority, certificate, element, rsa_identity, rsa_key
from helpers.pfx_files import CERTIFICATE, DATA, X509, bag, clear, sealed, whole

KEY, ALICE = rsa_identity()
DER = ALICE.public_bytes(Encoding.DER)
BOB_KEY, BOB = rsa_identity(emails=("bob@example.org",), common_name="Bob", number=1)
CA = authority()[1].public_bytes(Encoding.DER)
SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")


def patched(der, old, new):
    assert der.count(old) == 1
    assert len(old) == len(new)
    return der.replace(old, new)


BOB_DER = BOB.public_bytes(Encoding.DER)
DATE = b"\x17\x0d" + BOB.not_valid_after_utc.strftime("%y%m%d%H%M%SZ").encode()
MODULUS = BOB_KEY.public_key().public_numbers().n.to_bytes(256, "big")
BROKEN = {
    "impossible date": patched(BOB_DER, DATE, DATE[:4] + b"1332" + DATE[8:]),
    "no digits in a date": patched(BOB_DER, DATE, DATE[:2] + b"x" + DATE[3:]),
    "negative modulus": patched(BOB_DER, b"\0" + MODULUS, b"\x80" + MODULUS),
    "extension that isn't one": patched(
        BOB_DER, bytes.fromhex("0603551d25"), bytes.fromhex("0503551d25")
    ),
    "extension twice": patched(BOB_DER, bytes.fromhex("0603551d25"), bytes.fromhex("0603551d11")),
    "nothing inside": element(0x30, element(0x30), element(0x30), element(0x03, b"\0")),
}


def as_pem(ders):
    return b"".join(
        b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % base64.encodebytes(der)
        for der in ders
    )


def as_p7b(ders):
    inner = element(0x30, DATA)
    signed = element(0x30, element(2, b"\1"), element(0x31), inner, element(0xA0, *ders))
    return element(0x30, SIGNED_DATA, element(0xA0, signed))


def as_clear_pfx(ders):
    return clear(*map(_bag, ders))


def as_sealed_pfx(ders):
    return whole(sealed(*map(_bag, ders)))


def _bag(der):
    return bag(CERTIFICATE, element(0x30, X509, element(0xA0, element(4, der))))


CONTAINERS = [as_pem, as_p7b, as_clear_pfx, as_sealed_pfx]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_bystander_is_set_aside(container, broken):
    for order in ([broken, DER], [DER, broken]):
        found = read_certificates(container(order), password="correct horse")
        assert [one.emails for one in found.recipients] == [("alice@example.org",)]
        (aside,) = found.set_aside
        assert aside.der == broken
        assert "corrupt" in aside.reason


@pytest.mark.parametrize("container", CONTAINERS)
def test_mail_is_never_sealed_to_the_authority_of_a_broken_one(container):
    for broken in BROKEN.values():
        with pytest.raises(CertificateError) as caught:
            read_certificates(container([broken, CA]), password="correct horse")
        assert caught.value.code == "corrupt"


def test_an_authority_with_an_address_is_known_by_a_broken_one_that_it_issued():
    key = rsa_key(2048, 1)
    own = certificate(key, common_name="Test CA", ca=True, self_signed=True)
    data = as_pem([own.public_bytes(Encoding.DER), BROKEN["impossible date"]])
    with pytest.raises(CertificateError):
        read_certificates(data)


def test_a_person_who_says_ca_stays_beside_a_broken_bystander():
    own = certificate(rsa_key(), common_name="Eve", ca=True, self_signed=True)
    data = as_pem([own.public_bytes(Encoding.DER), BROKEN["impossible date"]])
    assert [one.subject for one in read_certificates(data).recipients] == ["CN=Eve"]


def test_the_broken_one_alone_is_an_error():
    for broken in BROKEN.values():
        with pytest.raises(CertificateError) as caught:
            read_certificates(as_pem([broken]))
        assert caught.value.code == "corrupt"
        assert "again" not in str(caught.value)


# --- what sealing doesn't need ---------------------------------------------------------------


def with_extension(oid, value):
    raw = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
    options = {} if oid != "2.5.29.14" else {"subject_key_identifier": False}
    emails = () if oid == "2.5.29.17" else ("alice@example.org",)
    cert = certificate(
        rsa_key(),
        emails=emails,
        purposes=(),
        ca=None,
        extra=(raw,),
        **options,
    )
    (found,) = read_certificates(cert.public_bytes(Encoding.DER)).recipients
    return found


def other_name(value, oid="06082b06010505070809"):
    return element(0xA0, bytes.fromhex(oid), element(0xA0, value))


MAIL = element(0x81, b"alice@example.org")


@pytest.mark.parametrize("value", [b"\xde\xad\xbe\xef" * 5, b"", b"\x04", b"\x04\x05ab", b"\4\0"])
def test_a_malformed_key_identifier_is_none(value):
    assert with_extension("2.5.29.14", value).key_identifier is None


@pytest.mark.parametrize(
    "odd",
    [
        element(5),
        element(2, b"\1"),
        element(0x1C, b"abc"),
        element(0x0C, b"\xff\xfe"),
        element(0x30, element(0x16, b"x")),
        b"\x0c\x7f",
    ],
    ids=bytes.hex,
)
def test_an_odd_other_name_hides_no_address(odd):
    alternatives = element(0x30, other_name(odd), MAIL)
    assert with_extension("2.5.29.17", alternatives).emails == ("alice@example.org",)


def test_an_other_name_that_is_none_hides_no_address():
    for odd in (element(0xA0), element(0xA0, b"\x06"), element(0x80, b"x"), element(0xA5)):
        found = with_extension("2.5.29.17", element(0x30, odd, MAIL))
        assert found.emails == ("alice@example.org",)


@pytest.mark.parametrize("tag", [0x0C, 0x16, 0x13])
def test_an_internationalised_address_in_any_string(tag):
    alternatives = element(0x30, other_name(element(tag, b"real@example.com")), MAIL)
    assert with_extension("2.5.29.17", alternatives).emails == (
        "real@example.com",
        "alice@example.org",
    )


def test_alternative_names_that_cannot_be_read_are_none():
    found = with_extension("2.5.29.17", b"\x30\x7f\x81")
    assert (found.emails, [one.code for one in found.problems()]) == ((), ["no-email"])


def test_what_the_key_is_for_is_unknown_where_it_cannot_be_read():
    assert "no-key-encipherment" in codes(with_extension("2.5.29.15", b"\3"))
    assert "no-email-protection" in codes(with_extension("2.5.29.37", b"\x30\x04\1"))
    assert "ca-certificate" not in codes(with_extension("2.5.29.19", b"\x30\x04\1"))


def codes(found):
    return [one.code for one in found.problems()]
