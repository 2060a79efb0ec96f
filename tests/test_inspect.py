"""What a sealed message says of itself, without any key."""

from __future__ import annotations

import array
import io
import json
import tracemalloc

import pytest

import cmstream
from cmstream.command.show import inspection_json, inspection_text
from helpers import handmade
from helpers.authorities import element
from helpers.handmade import encrypt, envelope, ktri, pad
from helpers.peers import OpenSSL, must
from helpers.people import person
from helpers.shapes import pieces

DATA = bytes(range(256)) * 300
FORMS = {"der": "binary", "pem": "pem", "smime": "mail"}


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes128-cbc"])
@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_our_own(alice, form, sized, cipher):
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    size = len(DATA) if sized else None
    context = cmstream.encryptor(alice.recipient, form=form, size=size, policy=policy)
    sealed = context.update(DATA) + context.finalize()
    found = cmstream.inspect(sealed)
    assert found[:7] == (
        FORMS[form],
        "enveloped-data",
        "DER" if sized else "BER",
        0,
        "data",
        cipher,
        len(DATA) + 16,
    )
    issuer, serial = "CN=Test CA", alice.recipient.serial
    expected = ("key-transport", issuer, serial, None, "rsa-pkcs1v15", 256, None)
    assert found.addressees == (expected,)


def test_every_source_will_do(alice, tmp_path):
    sealed = cmstream.encrypt(DATA, alice.recipient, form="smime")
    path = tmp_path / "sealed"
    path.write_bytes(sealed)
    expected = cmstream.inspect(sealed)
    with path.open("rb") as file:
        sources = [bytearray(sealed), memoryview(sealed), array.array("b", sealed),
                   io.BytesIO(sealed), file, [sealed], iter(pieces(sealed, 1))]  # fmt: skip
        assert [cmstream.inspect(source) for source in sources] == [expected] * 7


def test_a_long_message_takes_little_memory(alice):
    sealed = cmstream.encrypt(bytes(32 << 20), alice.recipient)
    tracemalloc.start()
    try:
        assert cmstream.inspect(sealed).content_octets == (32 << 20) + 16
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 << 20


def test_bare_base64(alice):
    text = cmstream.encrypt(DATA, alice.recipient, form="smime").partition(b"\r\n\r\n")[2]
    assert cmstream.inspect(text).form == "base64"


def test_the_hash_of_oaep(alice):
    for name in ("oaep-sha384", "oaep-sha512"):
        sealed = cmstream.encrypt(DATA, alice.recipient, policy=cmstream.Policy(key_transport=name))
        assert cmstream.inspect(sealed).addressees[0].algorithm == f"rsa-{name}"
    empty = handmade.element(0x30)
    broken = handmade.element(0x30, handmade.element(0xA0, empty))
    for parameters, expected in ((b"", "-sha1"), (empty, "-sha1"), (broken, "")):
        how = handmade.algorithm("1.2.840.113549.1.1.7", parameters)
        sealed = envelope([ktri(alice, how=how)], bytes(16))
        assert cmstream.inspect(sealed).addressees[0].algorithm == f"rsa-oaep{expected}"


def test_key_identifiers_and_oaep(alice):
    policy = cmstream.Policy(recipient_id="ski", key_transport="oaep-sha256")
    found = cmstream.inspect(cmstream.encrypt(DATA, alice.recipient, policy=policy))
    identifier = alice.recipient.key_identifier
    expected = ("key-transport", None, None, identifier, "rsa-oaep-sha256", 256, None)
    assert (found.version, found.addressees) == (2, (expected,))


@pytest.mark.parametrize("recipient_id", ["issuer-serial", "ski"])
def test_certificates_that_are_meant_are_found(alice, bob, recipient_id):
    policy = cmstream.Policy(recipient_id=recipient_id)
    stranger = person(number=5, common_name="Stranger")
    sealed = cmstream.encrypt(DATA, [alice.recipient, bob.recipient], policy=policy)
    known = iter([stranger.recipient, bob.recipient])
    found = [one.recipient for one in cmstream.inspect(sealed, certificates=known).addressees]
    assert set(found) == {None, bob.recipient}


KARI = handmade.kari(
    element(0x30, element(0x30), element(2, b"\7")), handmade.agreed_by_key(b"\1\2")
)


def test_every_kind_of_recipient_is_told(alice):
    infos = [ktri(alice), KARI, handmade.kekri(b"\xfe"), handmade.pwri(), handmade.ori()]
    found = cmstream.inspect(envelope(infos, encrypt(pad(b"x")))).addressees
    assert [one[:4] for one in found] == [
        ("key-transport", "CN=Test CA", alice.recipient.serial, None),
        ("key-agreement", "", 7, None),
        ("key-agreement", None, None, b"\1\2"),
        ("kek", None, None, b"\xfe"),
        ("password", None, None, None),
        ("other", None, None, None),
    ]
    assert [one[4:] for one in found[1:]] == [
        ("ecdh-sha256/aes128-wrap", 0, None),
        ("ecdh-sha256/aes128-wrap", 0, None),
        ("aes256-wrap", 0, None),
        ("pwri-kek", 0, None),
        ("1.2.3.4", 0, None),
    ]


NEWER = [
    element(0xA5, b"\5\0"),
    element(0xBE),
    *[element(tag, handmade.number(9), b"\5\0") for tag in (0x30, 0xA1, 0xA2, 0xA3)],
]


@pytest.mark.parametrize("newer", NEWER, ids=lambda info: info.hex())
def test_a_recipient_that_is_newer_than_we_are_hinders_nobody(alice, me, newer):
    """RFC 5652 section 6.2: a kind or a version that isn't implemented is passed over."""
    for infos in ([newer, ktri(alice)], [ktri(alice), newer]):
        sealed = envelope(infos, encrypt(pad(DATA)))
        assert cmstream.decrypt(sealed, me) == DATA
        assert cmstream.decrypt_many([(sealed, me)], form="content") == [DATA]
        assert [one.kind for one in cmstream.inspect(sealed).addressees].count("other") == 1
        assert not cmstream.is_encrypted(sealed)  # what it says can't be known
    with pytest.raises(cmstream.NoRecipientError, match="a recipient of another kind"):
        cmstream.decrypt(envelope([newer], encrypt(pad(DATA))), me)


def test_other_algorithms_are_told_as_they_are(alice):
    cipher, how = handmade.algorithm("1.2.3"), handmade.algorithm("1.2.4")
    found = cmstream.inspect(envelope([ktri(alice, how=how)], bytes(99), cipher=cipher))
    assert (found.cipher, found.content_octets) == ("1.2.3", 99)
    assert found.addressees[0].algorithm == "1.2.4"


def test_serial_numbers_below_zero_and_long_ones(alice):
    for serial in (-1, -(1 << 70), 1 << 160):
        octets = serial.to_bytes(21, "big", signed=True)
        name = element(0x30, element(0x30), element(2, octets))
        found = cmstream.inspect(envelope([ktri(alice, name=name)], bytes(99)))
        assert found.addressees[0].serial == serial
        assert inspection_text(found)
        assert json.loads(inspection_json(found))["recipients"][0]["serial"] == str(serial)


def test_what_is_broken_or_cut_is_an_error(alice):
    sealed = cmstream.encrypt(DATA, alice.recipient)
    for broken, code in (
        (sealed[:-1], "truncated"),
        (sealed[:100], "truncated"),
        (sealed + b"x", "trailing-data"),
        (b"", "empty"),
        (b"Subject: x\r\n\r\nHello", "not-enveloped"),
        (envelope([b"\x30\0"], bytes(99)), "malformed"),
        (envelope([element(0x85, b"\5\0")], bytes(99)), "malformed"),
        (envelope([element(0x30, b"\5\0")], bytes(99)), "malformed"),
        (envelope([element(0x30, handmade.number(2), b"\5\0")], bytes(99)), "malformed"),
    ):
        with pytest.raises(cmstream.EnvelopeError) as caught:
            cmstream.inspect(broken)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("cipher", "name"),
    [
        (handmade.gcm(16), "aes128-gcm"),
        (handmade.gcm(24), "aes192-gcm"),
        (handmade.gcm(32), "aes256-gcm"),
        (handmade.chacha20(), "chacha20-poly1305"),
        (handmade.algorithm("2.16.840.1.101.3.4.1.47"), "aes256-ccm"),
    ],
)
def test_authenticated_ciphers_have_names(alice, me, cipher, name):
    sealed = envelope([ktri(alice)], bytes(99), kind=handmade.AUTHENTICATED, cipher=cipher,
                      behind=element(4, bytes(16)))  # fmt: skip
    found = cmstream.inspect(sealed)
    assert found.content_type == "authenticated-enveloped-data"
    assert (found.cipher, found.content_octets) == (name, 99)
    error, text = cmstream.DecryptionError, "doesn't decrypt"
    if "ccm" in name:
        error, text = cmstream.EnvelopeError, "the parameters of aes256-ccm: they are missing"
    with pytest.raises(error, match=text):
        cmstream.decrypt(sealed, me)


@pytest.mark.parametrize("option", [(), ("-stream",), ("-keyid",), ("-des3",), ("-aes-256-gcm",)])
def test_openssl_s(alice, tmp_path, option):
    peer = OpenSSL(tmp_path)
    source = peer.file("in", DATA)
    out, certificate = tmp_path / "out", peer.file("certificate.pem", alice.recipient.pem)
    must("openssl", "cms", "-encrypt", "-binary", "-outform", "DER", "-in", source, "-out", out,
         *(option or ("-aes192",)), certificate)  # fmt: skip
    with out.open("rb") as file:
        found = cmstream.inspect(file, certificates=[alice.recipient])
    kind = "authenticated-enveloped-data" if "gcm" in str(option) else "enveloped-data"
    assert found.content_type == kind
    assert found.encoding == ("BER" if option == ("-stream",) else "DER")
    assert found.content_octets >= len(DATA)
    assert [one.recipient for one in found.addressees] == [alice.recipient]
    assert bool(found.addressees[0].key_identifier) is (option == ("-keyid",))
    ciphers = {(): "aes192-cbc", ("-des3",): "des-ede3-cbc", ("-aes-256-gcm",): "aes256-gcm"}
    assert found.cipher == ciphers.get(option, found.cipher)


def test_it_is_told_in_words(alice):
    infos = [ktri(alice), KARI, handmade.ori()]
    found = cmstream.inspect(envelope(infos, bytes(96)), certificates=[alice.recipient])
    blocks = inspection_text(found).split("\n\n")
    assert len(blocks) == 5
    assert "enveloped-data, version 0, DER" in blocks[0]
    assert "aes256-cbc" in blocks[0]
    assert f"{alice.recipient.serial:x}" in blocks[1]
    assert "CN=Alice" in blocks[1]
    assert "(empty)" in blocks[2]
    assert "0102" in blocks[3]


def test_it_is_told_to_programs(alice):
    found = cmstream.inspect(
        envelope([ktri(alice), KARI], bytes(96)), certificates=[alice.recipient]
    )
    document = json.loads(inspection_json(found))
    assert list(document) == ["form", "content_type", "encoding", "version", "inner_type", "cipher",
                              "content_octets", "unsealed_parts", "recipients"]  # fmt: skip
    first, _, third = document["recipients"]
    assert first["certificate"] == {"subject": "CN=Alice", "sha256": alice.recipient.fingerprint}
    assert first["serial"] == str(alice.recipient.serial)
    assert third["key_identifier"] == "0102"
    assert third["certificate"] is third["issuer"] is third["serial"] is None


def test_a_serial_number_of_any_length_is_told(alice):
    name = element(0x30, element(0x30), element(2, b"\x7f" * 3000))
    sealed = envelope([ktri(alice, name=name)], bytes(16))
    document = json.loads(inspection_json(cmstream.inspect(sealed)))
    assert document["recipients"][0]["serial"] == "0x" + "7f" * 3000


# encryptedContent is OPTIONAL (RFC 5652 section 6.1)


@pytest.mark.parametrize("indefinite", [False, True])
@pytest.mark.parametrize("behind", [b"", element(0xA1, handmade.attribute("1.2.3", b"\5\0"))])
def test_content_that_is_not_in_the_message(alice, me, indefinite, behind):
    sealed = envelope([ktri(alice)], (), behind=behind, indefinite=indefinite)
    for cut in (1, 7, len(sealed)):
        found = cmstream.inspect(pieces(sealed, cut))
        assert found.content_octets is None
        assert found.cipher == "aes256-cbc"
        assert len(found.addressees) == 1
        assert "not in the message" in inspection_text(found)
        assert json.loads(inspection_json(found))["content_octets"] is None
    for piece in (1, len(sealed)):
        with pytest.raises(cmstream.EnvelopeError, match="no encrypted content") as caught:
            b"".join(cmstream.decrypt_iter(pieces(sealed, piece), me))
        assert caught.value.code == "malformed"
    with pytest.raises(cmstream.EnvelopeError):
        cmstream.inspect(sealed[:-1])
    assert cmstream.inspect(envelope([ktri(alice)], b"")).content_octets == 0


def test_authenticated_content_that_is_not_in_the_message(alice):
    sealed = envelope(
        [ktri(alice)], (), kind=handmade.AUTHENTICATED, cipher=handmade.gcm(),
        behind=element(4, bytes(16)),
    )  # fmt: skip
    assert cmstream.inspect(sealed).content_octets is None
    assert not cmstream.is_encrypted(sealed)


def test_what_to_compare_with_may_be_whatever_recipients_are(alice):
    archive = cmstream.Recipient.from_kek(bytes(32), b"2026")
    sealed = cmstream.encrypt(b"x", [alice.recipient, archive])
    for known in (
        alice.recipient,
        [archive, alice.recipient],
        cmstream.Recipients([archive, alice.recipient]),
        iter([alice.recipient]),
    ):
        found = cmstream.inspect(sealed, certificates=known).addressees
        assert {one.recipient for one in found} == {alice.recipient, None}
    for wrong in (None, [None], b"file", [b"file"], "alice.pem", 7):
        with pytest.raises(TypeError, match=r"certificates: .* is no Recipient: give"):
            cmstream.inspect(sealed, certificates=wrong)
