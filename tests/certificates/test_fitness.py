"""A person's certificate for encrypting beside those that are meant for something else."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    pkcs7,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cmstream import CmstreamError, Policy, Recipients, encrypt_message, inspect
from cmstream.certificates import fitness
from cmstream.certificates.recipient import load_recipients, read_certificates
from helpers.authorities import authority, certificate, key_usage, other_key, rsa_identity, rsa_key

CARLA = ("carla@example.org",)
SIGNS = key_usage("digital_signature", "content_commitment")
ENCRYPTS = key_usage("key_encipherment")


def made(key, common_name, usage, **options):
    options.setdefault("emails", CARLA)
    return certificate(key, common_name=common_name, usage=usage, **options)


KEY = rsa_key(2048, 1)
ENCRYPTION = made(KEY, "Carla Enc", ENCRYPTS)
RSA_SIGNATURE = made(rsa_key(), "Carla Sign", SIGNS)
EC_SIGNATURE = made(other_key("SECP256R1"), "Carla EC Sign", SIGNS)
AUTHENTICATION = made(
    rsa_key(), "Carla Auth", SIGNS, purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,), emails=()
)
VPN = made(rsa_key(), "Carla VPN", None, purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,), emails=())
NAMELESS = made(rsa_key(), "Somebody", ENCRYPTS, emails=())
CA = authority()[1]
BOB_SIGNATURE = rsa_identity(emails=("bob@example.org",), common_name="Bob", usage=SIGNS)[1]


def as_pem(certificates):
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def as_p7b(certificates):
    return pkcs7.serialize_certificates(list(certificates), Encoding.DER)


def as_p7b_in_pem(certificates):
    return pkcs7.serialize_certificates(list(certificates), Encoding.PEM)


def as_sealed_pfx(certificates):
    encryption = BestAvailableEncryption(b"secret")
    return pkcs12.serialize_key_and_certificates(None, None, None, certificates, encryption)


CONTAINERS = [as_pem, as_p7b, as_p7b_in_pem, as_sealed_pfx]
BESIDE = {
    "RSA for signing": RSA_SIGNATURE,
    "P-256 for signing": EC_SIGNATURE,
    "authentication": AUTHENTICATION,
    "another purpose": VPN,
    "no address": NAMELESS,
}


def subjects(found):
    return [one.subject for one in found]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("other", BESIDE.values(), ids=BESIDE)
def test_the_unfit_is_set_aside_with_its_reason(container, other):
    for order in ([other, ENCRYPTION], [ENCRYPTION, other]):
        found = read_certificates(container(order), password="secret")
        assert subjects(found.recipients) == ["CN=Carla Enc"]
        (aside,) = found.set_aside
        assert aside.subject == other.subject.rfc4514_string()
        (problem, *_) = load_recipients(other.public_bytes(Encoding.DER))[0].problems()
        assert str(problem).rstrip(".") in aside.reason


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_card_gives_its_one_certificate_for_mail(container):
    data = container([AUTHENTICATION, RSA_SIGNATURE, ENCRYPTION, CA])
    found = read_certificates(data, password="secret")
    assert subjects(found.recipients) == ["CN=Carla Enc"]
    assert len(found.set_aside) == 3


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("other", BESIDE.values(), ids=BESIDE)
def test_the_unfit_alone_is_used_with_its_problem(container, other):
    (found,) = read_certificates(container([other]), password="secret").recipients
    assert found.problems()


def test_the_unfit_among_themselves_all_stay():
    assert len(load_recipients(as_pem([RSA_SIGNATURE, EC_SIGNATURE]))) == 2


def test_what_must_not_encrypt_is_worse_than_what_names_nobody():
    # The encryption certificates of some cards name no address.
    (found,) = load_recipients(as_pem([RSA_SIGNATURE, NAMELESS]))
    assert found.subject == "CN=Somebody"


def test_somebody_elses_only_certificate_stays():
    found = load_recipients(as_pem([ENCRYPTION, RSA_SIGNATURE, BOB_SIGNATURE]))
    assert subjects(found) == ["CN=Carla Enc", "CN=Bob"]


@pytest.mark.parametrize("subject", [None, "Example Ltd"])
def test_a_name_that_is_nobodys_own_makes_no_two_people_one(subject):
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject)] if subject else []
    nameless = x509.Name([x509.RelativeDistinguishedName([one]) for one in attributes])
    alice, bob = (
        certificate(rsa_key(2048, n), emails=(mail,), subject=nameless, usage=usage)
        for n, (mail, usage) in enumerate([("a@example.org", ENCRYPTS), ("b@example.org", SIGNS)])
    )
    found = load_recipients(as_pem([alice, bob]))
    assert [one.emails for one in found] == [("a@example.org",), ("b@example.org",)]


def test_two_keys_of_one_pfx():
    both = pkcs12.serialize_key_and_certificates(
        b"x", KEY, ENCRYPTION, [RSA_SIGNATURE], BestAvailableEncryption(b"secret")
    )
    assert subjects(load_recipients_quietly(both)) == ["CN=Carla Enc"]


def load_recipients_quietly(data):
    return read_certificates(data, password="secret").recipients


def test_refusing_leaves_out_where_a_fit_one_remains():
    policy = Policy(refuse=frozenset({"no-key-encipherment", "no-key-agreement"}))
    message = b"Subject: x\r\n\r\nHello\r\n"
    for beside in (RSA_SIGNATURE, EC_SIGNATURE):
        sealed = encrypt_message(
            message, load_recipients(as_pem([beside, ENCRYPTION])), policy=policy
        )
        assert len(inspect(sealed).addressees) == 1
        with pytest.raises(CmstreamError) as caught:
            Recipients(load_recipients(as_pem([beside]))).check(policy)
        assert caught.value.code == "unusable-recipient"


def test_nothing_is_unfit_among_nobody():
    assert fitness.unfit([]) == {}
