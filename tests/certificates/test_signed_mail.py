"""Certificates from signed mails: whose is taken, and what the signature proves."""

from __future__ import annotations

import base64
import itertools
import random
import shutil

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cmstream import CertificateError, Policy, Recipient, encrypt_message
from cmstream.certificates import signed_mail
from cmstream.certificates.recipient import read_certificates
from helpers.authorities import authority, element, identity, key_usage, rsa_identity
from helpers.peers.program import must

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")

TEXT = b"Content-Type: text/plain\r\n\r\nDear Bob,\r\nit is me.\r\n"
RIGHT = "The signature of the mail is right"
CHANGED = "The mail isn't what was signed"
SIGNERS = {
    "RSA": (rsa_identity, ()),
    "RSA-PSS": (rsa_identity, ("-keyopt", "rsa_padding_mode:pss")),
    "RSA, SHA-512, key identifier": (rsa_identity, ("-md", "sha512", "-keyid")),
    "RSA without attributes": (rsa_identity, ("-noattr",)),
    "P-256": (lambda: identity("SECP256R1"), ()),
    "P-384": (lambda: identity("SECP384R1"), ("-md", "sha384")),
}
FORMS = {
    "beside": (),
    "opaque": ("-nodetach",),
    "opaque, indefinite lengths": ("-nodetach", "-stream"),
}


def signed(folder, who, *options, text=TEXT, extra=()):
    key, certificate = who
    paths = {name: folder / name for name in ("key", "signer", "others", "text", "mail")}
    paths["key"].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    paths["signer"].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths["others"].write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in extra))
    paths["text"].write_bytes(text)
    others = ("-certfile", paths["others"]) if extra else ()
    must(
        "openssl", "cms", "-sign", "-in", paths["text"], "-signer", paths["signer"], "-inkey",
        paths["key"], "-from", "alice@example.org", "-to", "bob@example.org", "-subject", "Me",
        *others, *options, "-out", paths["mail"],
    )  # fmt: skip
    return paths["mail"].read_bytes()


def taken(data):
    """The subjects of what is taken, of what is set aside, and whether the signature is right."""
    found = read_certificates(data)
    aside = [one.subject for one in found.set_aside]
    return [one.der for one in found.recipients], aside, found.signature


def der(certificate):
    return certificate.public_bytes(Encoding.DER)


@needs_openssl
@pytest.mark.parametrize(
    ("kind", "form"),
    # OpenSSL can't write a stream that is signed with PSS.
    sorted({*itertools.product(SIGNERS, FORMS)} - {("RSA-PSS", "opaque, indefinite lengths")}),
)
def test_the_signers_certificate_is_taken_and_the_signature_checked(tmp_path, kind, form):
    make, options = SIGNERS[kind]
    who = make()
    mail = signed(tmp_path, who, *options, *FORMS[form], extra=[authority()[1]])
    ders, aside, check = taken(mail)
    assert (ders, aside, check.verified) == ([der(who[1])], ["CN=Test CA"], True)
    assert str(check).startswith(RIGHT)


@needs_openssl
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_the_line_ends_of_a_saved_mail_do_not_matter(tmp_path, ends):
    mail = signed(tmp_path, rsa_identity())
    assert taken(mail.replace(b"\r\n", b"\n").replace(b"\n", ends))[2].verified


@needs_openssl
def test_what_a_mailing_list_puts_around_it_does_not_matter(tmp_path):
    mail = signed(tmp_path, rsa_identity())
    inner = mail[mail.index(b"MIME-Version") :].partition(b"\n")[2]
    around = (
        b"Received: from list\nContent-Type: multipart/mixed; boundary=list\n\n--list\n"
        + inner
        + b"\n--list\nContent-Type: text/plain\n\nTo unsubscribe ...\n--list--\n"
    )
    assert taken(around)[2].verified
    forwarded = b"From: bob@example.org\nContent-Type: message/rfc822\n\n" + mail
    assert taken(forwarded)[2].verified


@needs_openssl
def test_a_mail_that_was_changed_proves_nothing(tmp_path):
    mail = signed(tmp_path, rsa_identity())
    ders, _, check = taken(mail.replace(b"it is me", b"it is he"))
    assert (len(ders), check.verified) == (1, False)
    assert str(check).startswith(CHANGED)


@needs_openssl
def test_a_signature_by_another_key_proves_nothing(tmp_path):
    """The attributes fit the content, and the key doesn't fit them."""
    mail = signed(tmp_path, rsa_identity(), "-nodetach")
    head, _, body = mail.partition(b"\n\n")
    cms = bytearray(base64.b64decode(body))
    cms[-1] ^= 1
    check = taken(head + b"\n\n" + base64.encodebytes(cms))[2]
    assert not check.verified
    assert "isn't by the key of this certificate" in str(check)


@needs_openssl
def test_sha1_proves_nothing_any_more(tmp_path):
    check = taken(signed(tmp_path, rsa_identity(), "-md", "sha1"))[2]
    assert not check.verified
    assert "SHA-1" in str(check)


@needs_openssl
def test_a_certificate_that_somebody_put_beside_it_is_set_aside(tmp_path):
    """These certificates aren't signed: one for the same address could be anybody's."""
    alice, other = rsa_identity(), rsa_identity(number=1)
    ders, aside, check = taken(signed(tmp_path, alice, extra=[other[1]]))
    assert (ders, aside, check.verified) == ([der(alice[1])], ["CN=Alice"], True)


@needs_openssl
def test_a_signature_without_its_certificate_is_refused(tmp_path):
    mail = signed(tmp_path, rsa_identity(), "-nocerts", extra=[authority()[1]])
    with pytest.raises(CertificateError, match="the signer's certificate isn't in it") as refused:
        read_certificates(mail)
    assert refused.value.code == "not-a-certificate"


def test_a_mail_with_certificates_alone_has_no_signature_to_check():
    _, certificate = rsa_identity()
    body = base64.encodebytes(der(certificate))
    head = b"From: a@example.org\nContent-Type: application/pkix-cert\n"
    mail = head + b"Content-Transfer-Encoding: base64\n\n" + body
    ders, _, check = taken(mail)
    assert (ders, check.verified) == ([der(certificate)], False)
    assert read_certificates(der(certificate)).signature is None


# --- a signature made by hand --------------------------------------------------------------------

DATA, SHA256, RSA = ("1.2.840.113549.1.7.1", "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.1")
PREFERENCE = "1.2.840.113549.1.9.16.2.11"


def oid(dotted):
    first, second, *rest = map(int, dotted.split("."))
    octets = bytes([40 * first + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        octets += bytes(reversed(groups))
    return element(6, octets)


def names(certificate):
    number = certificate.serial_number
    serial = element(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))
    return certificate.issuer.public_bytes() + serial


def attribute(kind, value):
    return element(0x30, oid(kind), element(0x31, value))


def attributes_of(preference, text=TEXT):
    """Signed attributes, one of which says by what names the signer prefers a certificate."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(text)
    return b"".join(
        (
            attribute("1.2.840.113549.1.9.3", oid(DATA)),
            attribute("1.2.840.113549.1.9.4", element(4, digest.finalize())),
            attribute(PREFERENCE, preference),
        )
    )


def by_hand(who, preferred, *, forged=False, tag=0xA0, preference=None, beside=None):
    """An opaque mail whose signer prefers another certificate."""
    attributes = attributes_of(preference or element(tag, names(preferred)))
    signature = who[0].sign(element(0x31, attributes), padding.PKCS1v15(), hashes.SHA256())
    signature = signature[::-1] if forged else signature
    ders = beside or [der(who[1]), der(preferred)]
    return opaque(who[1], ders, TEXT, signature, element(0xA0, attributes))


def opaque(certificate, ders, text, signature, attributes=b""):
    """An opaque mail of these certificates and this signature."""
    algorithms = element(0x30, oid(SHA256)), element(0x30, oid(RSA))
    info = element(
        0x30, element(2, b"\1"), element(0x30, names(certificate)), algorithms[0],
        attributes, algorithms[1], element(4, signature),
    )  # fmt: skip
    data = element(
        0x30, element(2, b"\1"), element(0x31, algorithms[0]),
        element(0x30, oid(DATA), element(0xA0, element(4, text))),
        element(0xA0, *ders), element(0x31, info),
    )  # fmt: skip
    cms = element(0x30, oid("1.2.840.113549.1.7.2"), element(0xA0, data))
    head = b"From: alice@example.org\nContent-Type: application/x-pkcs7-mime\n"
    return head + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(cms)


@pytest.mark.parametrize("tag", [0xA0, 0x30])
def test_the_certificate_that_the_signer_wants_mail_sealed_to_is_taken_and_not_proved(tag):
    for_signing = rsa_identity(usage=key_usage("digital_signature"))
    _, for_mail = rsa_identity(number=1)
    ders, aside, check = taken(by_hand(for_signing, for_mail, tag=tag))
    assert (ders, aside, check.verified) == ([der(for_mail)], ["CN=Alice"], False)
    assert "by another key" in str(check)
    assert "compare its fingerprint" in str(check)


@pytest.mark.parametrize("first", ["the real one", "the other one"])
def test_only_the_certificate_whose_key_has_signed_is_proved(first):
    """Another one has its name: whoever passes a mail on can put that beside the signature."""
    real = rsa_identity()
    twin = rsa_identity(number=1, serial=real[1].serial_number)[1]
    assert names(twin) == names(real[1])
    beside = [der(real[1]), der(twin)]
    mail = by_hand(real, real[1], beside=beside if first == "the real one" else beside[::-1])
    ders, aside, check = taken(mail)
    assert (ders, len(aside), check.verified) == ([der(real[1])], 1, True)


def test_signed_attributes_given_out_for_a_text_prove_nothing():
    key, certificate = rsa_identity()
    text = element(0x31, attributes_of(element(0x30, names(certificate))))
    signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    _, _, check = taken(opaque(certificate, [der(certificate)], text, signature))
    assert not check.verified
    signature = key.sign(TEXT, padding.PKCS1v15(), hashes.SHA256())
    _, _, check = taken(opaque(certificate, [der(certificate)], TEXT, signature))
    assert check.verified


def test_a_text_beside_the_one_that_is_signed_proves_nothing(tmp_path):
    """People see the one, and the signature is of the other."""
    key, certificate = rsa_identity()
    signature = key.sign(TEXT, padding.PKCS1v15(), hashes.SHA256())
    mail = opaque(certificate, [der(certificate)], TEXT, signature)
    cms = mail.partition(b"\n\n")[2]
    head = b"From: a@example.org\nContent-Type: multipart/signed; boundary=b\n\n--b\n"
    part = b"--b\nContent-Type: application/pkcs7-signature\nContent-Transfer-Encoding: base64\n\n"
    ders, _, check = taken(head + b"\nAnother text\n" + part + cms + b"\n--b--\n")
    assert (ders, check.verified) == ([der(certificate)], False)


def test_and_is_not_where_the_signature_is_wrong():
    alice, (_, other) = rsa_identity(), rsa_identity(number=1)
    ders, _, check = taken(by_hand(alice, other, forged=True))
    assert (ders, check.verified) == ([der(alice[1])], False)


def test_a_preference_without_a_name_is_none():
    alice = rsa_identity()
    mail = by_hand(alice, alice[1], preference=element(0xA1))
    ders, _, check = taken(mail)
    assert (ders, check.verified) == ([der(alice[1])], True)


# --- input from anywhere -------------------------------------------------------------------------


def test_a_mail_changed_at_random_never_ends_in_another_error():
    chance = random.Random(7)
    whole = by_hand(rsa_identity(), rsa_identity(number=1)[1])
    cms = base64.b64decode(whole.partition(b"\n\n")[2])
    head = whole.partition(b"\n\n")[0] + b"\n\n"
    for _ in range(400):
        changed = bytearray(cms)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(len(cms))] = chance.randrange(256)
        outcome(head + base64.encodebytes(changed[: chance.choice([None, len(cms) // 2])]))


def outcome(data):
    try:
        return read_certificates(data)
    except CertificateError as error:
        return error


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: multipart/signed",
        b"Content-Type: multipart/signed; boundary=",
        b'Content-Type: multipart/signed; boundary="\xff\x00"',
        b"Content-Type: multipart/mixed; boundary*0=a; boundary*1*=%zz",
        b"Content-Type: multipart/signed; boundary*=nothing'x'%FF",
        b"Content-Type: multipart/mixed; boundary*=idna''%C3",
        b"Content-Type: multipart/mixed" + b";" * 100 + b"boundary=a",
        b"Content-Type: " + b'";' * 30_000,
        b"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: quoted-printable",
        b"Content-Type: =?utf-8?q?multipart/signed?=; boundary=a",
    ],
)
def test_odd_headers_are_no_signed_mail(head):
    assert not signed_mail.is_signed(b"From: a@example.org\n" + head + b"\n\n--a\n\n--a--\n")


@pytest.mark.parametrize(("length", "signed"), [(1900, True), (2200, False)])
def test_a_field_has_two_kibibytes_at_most(length, signed):
    assert signed_mail.is_signed(with_field(b"Content-Type", length)) is signed


@pytest.mark.parametrize(("length", "signed"), [(65_000, True), (66_000, False)])
def test_a_header_block_has_64_kibibytes_at_most(length, signed):
    assert signed_mail.is_signed(with_field(b"X-Long", length)) is signed


def with_field(name, length):
    """A mail that looks signed, with a field of about that length."""
    kind = b'Content-Type: multipart/signed; boundary=a; protocol="application/pkcs7-signature"'
    fields = {b"Content-Type": kind, b"X-Long": b"X-Long: x"}
    fields[name] += b"; x=" + b"y" * (length - len(fields[name]))
    part = b"\n--a\nContent-Type: %s\n\nAA==\n"
    parts = part % b"text/plain" + part % b"application/pkcs7-signature" + b"--a--\n"
    return b"\n".join([fields[b"X-Long"], fields[b"Content-Type"], parts])


def test_nothing_is_looked_into_without_end():
    part = b"Content-Type: multipart/mixed; boundary=a\n\n--a\n"
    assert not signed_mail.is_signed(part * 20_000)
    lines = b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n" * 250_000
    assert not signed_mail.is_signed(lines)
    nested = b"Content-Type: message/rfc822\n\n" * 30_000
    assert not signed_mail.is_signed(nested)


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes256-gcm"])
@pytest.mark.parametrize("forwarded", [False, True])
def test_an_encrypted_mail_is_called_so(cipher, forwarded):
    message = b"From: alice@example.org\r\nTo: bob@example.org\r\n" + TEXT
    recipient = Recipient.from_der(rsa_identity()[1].public_bytes(Encoding.DER))
    mail = bytes(encrypt_message(message, [recipient], policy=Policy(cipher=cipher)))
    if forwarded:
        mail = b"From: bob@example.org\r\nContent-Type: message/rfc822\r\n\r\n" + mail
    with pytest.raises(CertificateError, match="this mail is encrypted") as caught:
        read_certificates(mail)
    assert caught.value.code == "not-a-certificate"
    assert "a signed one that isn't encrypted" in str(caught.value)
