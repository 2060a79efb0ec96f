"""What is written is strict DER, by an independent parser and by hand-counted lengths."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.der import decoder, encoder

import cmstream
from cmstream.engine.encoder import NativeEncoder
from engine.test_engine import seal_with
from helpers.opening import ContentInfo, envelope
from helpers.people import person

ENCRYPTED = "encryptedContentInfo"


@pytest.mark.parametrize("size", [0, 1, 100, 111, 112, 127, 128, 255, 256, 65_000, 65_535, 65_536])
@pytest.mark.parametrize("recipients", [1, 5])
def test_encoding_again_gives_the_same_octets(size, recipients):
    people = [person(number=n, common_name=f"Person {n}").recipient for n in range(recipients)]
    for change in ({}, {"recipient_id": "ski"}, {"key_transport": "oaep-sha256"}):
        policy = cmstream.DEFAULT.clone(**change)
        sealed = cmstream.encrypt(bytes(size), people, policy=policy)
        info, rest = decoder.decode(sealed, asn1Spec=ContentInfo())
        assert rest == b""
        assert encoder.encode(info) == sealed


def elements(octets):
    """Checks that each length is the shortest (X.690 section 10.1), gives the number of elements.
    pyasn1's decoder lets longer ones pass in what it doesn't look into."""
    count = 0
    while octets:
        assert octets[0] & 0x1F != 0x1F
        first, head = octets[1], 2
        length = first
        if first >= 0x80:
            head += first & 0x7F
            length = int.from_bytes(octets[2:head], "big")
            assert length >= 0x80
            assert octets[2] != 0
        assert head + length <= len(octets)
        if octets[0] & 0x20:
            count += elements(octets[head : head + length])
        octets = octets[head + length :]
        count += 1
    return count


@pytest.mark.parametrize("change", [{"recipient_id": "ski"}, {"key_transport": "oaep-sha256"}, {}])
def test_every_length_is_the_shortest(alice, bob, change):
    policy = cmstream.DEFAULT.clone(**change)
    for size in (0, 100, 255, 65_536):
        to = [alice.recipient, bob.recipient]
        assert elements(cmstream.encrypt(bytes(size), to, policy=policy)) > 25


def test_versions_follow_from_how_recipients_are_named(alice):
    """RFC 5652 sections 6.1 and 6.2.1: 0 and 0 with issuer and serial number; a key identifier
    makes its own RecipientInfo 2 and the whole 2; a certificate without one stays 0 beside it."""
    policy = cmstream.DEFAULT.clone(recipient_id="ski")
    bare = person(number=2, subject_key_identifier=False).recipient

    def versions(to, policy):
        sealed = envelope(cmstream.encrypt(b"", to, policy=policy))
        infos = [(int(i["ktri"]["version"]), i["ktri"]["rid"].getName())
                 for i in sealed["recipientInfos"]]  # fmt: skip
        return int(sealed["version"]), sorted(infos)

    issuer, key = (0, "issuerAndSerialNumber"), (2, "subjectKeyIdentifier")
    assert versions([alice.recipient, bare], cmstream.DEFAULT) == (0, [issuer, issuer])
    assert versions([alice.recipient], policy) == (2, [key])
    assert versions([alice.recipient, bare], policy) == (2, [issuer, key])
    assert versions([bare], policy) == (0, [issuer])


def test_recipient_infos_stand_in_the_order_of_a_set():
    people = [person(number=n, common_name="P" * (9 - n)).recipient for n in range(5)]
    infos = envelope(cmstream.encrypt(b"", people))["recipientInfos"]
    encoded = [encoder.encode(info) for info in infos]
    assert encoded == sorted(encoded)


def test_issuer_and_serial_are_the_certificate_s_own_octets(alice):
    sealed = cmstream.encrypt(b"", alice.recipient)
    assert alice.recipient.issuer_der + alice.recipient.serial_der in sealed


def test_oaep_parameters_are_sha_256_with_null(alice):
    policy = cmstream.Policy(key_transport="oaep-sha256")
    ktri = envelope(cmstream.encrypt(b"", alice.recipient, policy=policy))["recipientInfos"][0][0]
    sha256 = "300d06096086480165030402010500"
    mgf1 = f"301a06092a864886f70d010108{sha256}"
    expected = bytes.fromhex(f"302fa00f{sha256}a11c{mgf1}")
    assert bytes(ktri["keyEncryptionAlgorithm"]["parameters"]) == expected


@given(st.integers(0, (1 << 63) - (1 << 51)))
@settings(max_examples=300)
def test_the_total_is_what_the_lengths_add_up_to(size):
    """For sizes that nobody could write: the frame's lengths, counted here anew."""
    seal = NativeEncoder("aes256-cbc")
    seal.plan(infos=b"\x30\x00", version=0, size=size)

    def element(length):
        return length + 2 + (0 if length < 128 else (length.bit_length() + 7) // 8)

    cipher = (size // 16 + 1) * 16
    content_info = element(11 + 31 + element(cipher))
    enveloped = element(3 + element(2) + content_info)
    assert seal.total == element(11 + element(enveloped))


@given(st.integers(0, 3000))
@settings(max_examples=100, deadline=None)
def test_lengths_near_every_border(size):
    sealed = seal_with(bytes(16), bytes(size), size=size)
    seal = NativeEncoder("aes128-cbc")
    seal.plan(infos=b"\x30\x00", version=0, size=size)
    assert len(sealed) == seal.total


def test_more_than_any_length_is_refused(alice):
    with pytest.raises(ValueError, match="2\\*\\*63"):
        cmstream.encryptor(alice.recipient, size=(1 << 63) - 1)
    with pytest.raises(ValueError, match="2\\*\\*63"):
        cmstream.encryptor(alice.recipient, size=1 << 64)
