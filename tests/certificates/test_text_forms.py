"""What people make of a certificate on its way: read, or named for what it is."""

from __future__ import annotations

import base64
import json
import struct
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from cmstream.certificates.recipient import load_recipients, read_certificates
from cmstream.errors import CertificateError
from helpers.authorities import authority, element, rsa_identity

KEY, ALICE = rsa_identity()
CA = authority()[1]
DER, PEM = (ALICE.public_bytes(form) for form in (Encoding.DER, Encoding.PEM))
BASE64 = base64.b64encode(DER).decode()
P7B = pkcs7.serialize_certificates([ALICE, CA], Encoding.DER)
SIGNED = (
    pkcs7.PKCS7SignatureBuilder()
    .set_data(b"Hello\r\n")
    .add_signer(ALICE, KEY, hashes.SHA256())
    .add_certificate(CA)
)
DETACHED, OPAQUE = (
    SIGNED.sign(Encoding.SMIME, options) for options in ([pkcs7.PKCS7Options.DetachedSignature], [])
)


def folded(text, width=76):
    return "\n ".join(text[i : i + width] for i in range(0, len(text), width))


def sst(*ders):
    parts = [struct.pack("<III", 32, 1, len(der)) + der for der in ders]
    named = struct.pack("<III", 11, 1, 4) + b"a\0\0\0"  # a friendly name
    return b"\0\0\0\0CERT" + named + b"".join(parts) + bytes(12)


def attached(kind, octets, extra=""):
    body = base64.encodebytes(octets).decode()
    return (
        'From: a@example.org\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
        f"--b\nContent-Type: text/plain\n\nMy certificate\n--b\n{extra}Content-Type: {kind}\n"
        f"Content-Transfer-Encoding: base64\n\n{body}--b--\n"
    ).encode()


def passed_on():
    """A signed mail that carries another one's, signed by somebody else."""
    bob_key, bob = rsa_identity(emails=("bob@example.org",), common_name="Bob", number=1)
    builder, options = pkcs7.PKCS7SignatureBuilder(), [pkcs7.PKCS7Options.DetachedSignature]
    theirs = builder.set_data(b"Hello\r\n").add_signer(bob, bob_key, hashes.SHA256())
    carried = b"Content-Type: message/rfc822\n\n" + theirs.sign(Encoding.SMIME, options)
    ours = builder.set_data(carried).add_signer(ALICE, KEY, hashes.SHA256())
    return b"From: a@example.org\n" + ours.sign(Encoding.SMIME, options)


DASHED = PEM.decode()
READ = {
    "em dashes": DASHED.replace("-----", "——-").encode(),
    "en dashes": DASHED.replace("-----", "\u2013" * 3).encode(),
    "one long dash": DASHED.replace("-----", "—").encode(),
    "dashes of Windows": DASHED.replace("-----", "\x97\x97-").encode("latin-1"),
    "hyphens of another kind": DASHED.replace("-", "\u2010").encode(),
    "no-break spaces": DASHED.replace(" ", "\xa0").encode(),
    "no-break spaces in lines": DASHED.replace("\n", "\xa0\n").encode(),
    "no-break spaces in Latin-1": DASHED.replace(" ", "\xa0").encode("latin-1"),
    "marks of no width": DASHED.replace("\n", "\u200b\n").encode(),
    "literal line ends": DASHED.replace("\n", "\\n").encode(),
    "literal CRLF": DASHED.replace("\n", "\\r\\n").encode(),
    "JSON": json.dumps({"cert": DASHED}).encode(),
    "JSON of PHP": json.dumps({"cert": DASHED}).replace("/", "\\/").encode(),
    "JSON of .NET": json.dumps({"cert": DASHED}).replace("+", "\\u002B").encode(),
    "JSON in JSON": json.dumps(json.dumps({"cert": DASHED})).encode(),
    "percent signs": quote(DASHED).encode(),
    "quoted in an answer": b"> " + PEM.replace(b"\n", b"\n> "),
    "quoted twice": b">> " + PEM.replace(b"\n", b"\n>> "),
    "quoted-printable": PEM.replace(b"=", b"=3D"),
    "base64 in lines": base64.encodebytes(DER),
    "base64 in one line": BASE64.encode(),
    "base64 without padding": BASE64.rstrip("=").encode(),
    "base64 in quotation marks": f'"{BASE64}"'.encode(),
    "base64 of PEM": base64.b64encode(PEM),
    "base64 of PKCS #7": base64.encodebytes(P7B),
    "LDIF": f"dn: cn=A\nuserCertificate;binary:: {folded(BASE64)}\n".encode(),
    "LDIF with CRLF": f"dn: cn=A\nusercertificate:: {folded(BASE64)}\n".replace(
        "\n", "\r\n"
    ).encode(),
    "LDIF with PKCS #7": (
        "version: 1\ndn: cn=A\nuserSMIMECertificate;binary:: "
        + folded(base64.b64encode(P7B).decode())
    ).encode(),
    "vCard": (
        f"BEGIN:VCARD\nVERSION:3.0\nKEY;ENCODING=B;TYPE=X509:{folded(BASE64)}\nEND:VCARD\n"
    ).encode(),
    "XML": f"<a:X509Data><a:X509Certificate>\n{BASE64}\n</a:X509Certificate></a:X509Data>".encode(),
    "signed mail": b"From: a@example.org\nSubject: x\n" + DETACHED,
    "signed mail with CRLF": b"\r\n".join((b"From: a@example.org\n" + DETACHED).splitlines()),
    "opaque signed mail": b"From: a@example.org\n" + OPAQUE,
    "signed mail that passes another on": passed_on(),
    "folded fields": (
        b"From: a@example.org\n" + DETACHED.replace(b"Encoding: base64", b"Encoding:\n base64")
    ),
    "six hyphens": PEM.replace(b"-----", b"------"),
    "attached": attached("application/pkix-cert; name=a.cer", DER),
    "attached PEM": attached('application/octet-stream;\n name="a.pem"', PEM),
    "attached PKCS #7": attached("application/x-pkcs7-certificates", P7B),
    "Windows's store": sst(DER),
    "Windows's store of two": sst(DER, CA.public_bytes(Encoding.DER)),
    "white space before DER": b"\r\n" + DER,
}


@pytest.mark.parametrize("data", READ.values(), ids=READ)
def test_it_is_read(data):
    found = read_certificates(data)
    assert [one.der for one in found.recipients] == [DER]
    assert not found.private_key_ignored


@pytest.mark.parametrize("behind", [b"\n", b"\r\n", b"\0", b" ", b"\t\n", b"\0\0\0", b"\x1a"])
@pytest.mark.parametrize("data", [DER, P7B], ids=["DER", "PKCS #7"])
def test_white_space_behind_a_binary_file_does_no_harm(data, behind):
    assert load_recipients(data + behind) == load_recipients(DER)
    with pytest.raises(CertificateError) as caught:
        load_recipients(data + behind + b"x")
    assert caught.value.code == "trailing-data"


NAMED = {
    "JKS": (b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1", "Java key store (JKS)"),
    "JCEKS": (b"\xce\xce\xce\xce\0\0\0\2\0\0\0\1", "JCEKS"),
    "BKS": (b"\0\0\0\2\0\0\0\x14" + bytes(20), "Bouncy Castle"),
    "UTF-16": (PEM.decode().encode("utf-16"), "UTF-16"),
    "UTF-16, the other order": (b"\xfe\xff" + PEM.decode().encode("utf-16-be"), "UTF-16"),
    "UTF-16 with words before": (("x\n" + PEM.decode()).encode("utf-16-be"), "UTF-16"),
    "base64 in UTF-16": (BASE64.encode("utf-16-le"), "UTF-16"),
    "UTF-16 without a mark": (PEM.decode().encode("utf-16-le"), "UTF-16"),
    "a zip": (b"PK\3\4\x14\0", "unpack"),
    "a PDF": (b"%PDF-1.7\n", "PDF"),
    "a web page": (b"\n<!DOCTYPE html><p>Not found", "web page"),
    "four hyphens": (PEM.replace(b"-----", b"----"), "five hyphens"),
    "a mail": (b"From: a@example.org\nSubject: x\n\nHello\n", "mail in which no certificate"),
    "a sealed mail": (
        attached("application/pkcs7-mime", element(0x30, bytes.fromhex("06092a864886f70d010703"))),
        "mail in which no certificate",
    ),
    "LDIF": (b"version: 1\n\ndn: cn=A\nobjectClass: person\n", "userCertificate"),
    "an empty store": (sst(), "store (.sst) is empty"),
}


@pytest.mark.parametrize(("data", "words"), NAMED.values(), ids=NAMED)
def test_it_is_named_with_the_way_out(data, words):
    with pytest.raises(CertificateError) as caught:
        read_certificates(data)
    assert caught.value.code == "not-a-certificate"
    assert words in str(caught.value)
    assert "again" not in str(caught.value)


def test_all_values_of_an_entry_are_read():
    bob = rsa_identity(emails=("bob@example.org",), common_name="Bob", number=1)[1]
    values = (DER, b"\x99\1nonsense" * 20, bob.public_bytes(Encoding.DER))
    lines = [f"userCertificate;binary:: {folded(base64.b64encode(one).decode())}" for one in values]
    found = load_recipients("\n".join(["dn: cn=A", *lines, ""]).encode())
    assert [one.subject for one in found] == ["CN=Alice", "CN=Bob"]


@pytest.mark.parametrize("cut", [9, 30, 400])
def test_a_store_that_was_cut_off_is_truncated(cut):
    with pytest.raises(CertificateError) as caught:
        read_certificates(sst(DER)[:cut])
    assert caught.value.code == "truncated"


def test_base64_that_was_cut_off_is_truncated():
    with pytest.raises(CertificateError) as caught:
        read_certificates(BASE64[:400].encode())
    assert caught.value.code == "truncated"


@pytest.mark.parametrize("before", [49, 50])
def test_the_first_fifty_parts_of_a_mail_are_looked_at(before):
    part = b"\n--b\nContent-Type: application/pkix-cert\nContent-Transfer-Encoding: base64\n\n%s\n"
    others = part % base64.b64encode(b"no certificate") * before
    mail = b"Content-Type: multipart/mixed; boundary=b\n" + others + part % BASE64.encode()
    if before < 50:
        assert [one.subject for one in load_recipients(mail)] == ["CN=Alice"]
    else:
        with pytest.raises(CertificateError):
            load_recipients(mail)


LINE = b"Content-Type: application/pkix-cert\n"
SAME = LINE + b"Content-Transfer-Encoding: base64\n"


def shared(octets):
    return SAME * 50 + b"\n" + base64.b64encode(octets)


HOSTILE = {
    "hyphens": b"-" * (4 << 20),
    "backslashes": b"\\" * (4 << 20),
    "quotation": b">" * (4 << 20),
    "many fields of one header": shared(bytes(3 << 20)),
    "many fields in many layers": shared(shared(shared(bytes(2000)))),
    "parts without an end": LINE * ((4 << 20) // len(LINE)),
    "attributes": b"userCertificate:: A\n" * 200_000,
    "elements": b"<X509Certificate>" * 240_000,
    "base64 in base64": b"QUFB" * (1 << 20),
    "a store of empty certificates": sst(*[b""] * 300_000),
    "dashes": "—".encode() * (1 << 20),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_soon_refused(data):
    # Quadratic work would take hours.
    with pytest.raises(CertificateError):
        read_certificates(data)
