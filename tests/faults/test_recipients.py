"""Thousands of recipients: as many as a reader takes are sealed to and opened, one more is refused
when it is opened, and nothing takes time that grows faster than their number."""

from __future__ import annotations

import pytest

import cmstream
from helpers.opening import envelope

CONTENT = b"third flower pot"
MOST = 4096


def keks(count):
    """Key-encryption keys are recipients that are quickly made."""
    return [
        cmstream.Recipient.from_kek(number.to_bytes(32, "big"), b"%d" % number)
        for number in range(count)
    ]


@pytest.mark.parametrize("form", ["der", "message"])
def test_as_many_as_a_reader_takes(form):
    everybody = keks(MOST)
    content = CONTENT if form == "der" else b"Subject: x\r\n\r\n" + CONTENT
    one_shot = cmstream.encrypt(content, everybody, form=form)
    (of_many,) = cmstream.encrypt_many([(content, everybody)], form=form)
    for sealed in (one_shot, bytes(of_many)):
        assert len(cmstream.inspect(sealed).addressees) == MOST
        for number in (0, 1, MOST // 2, MOST - 1):
            opened = cmstream.decrypt(sealed, everybody[number])
            assert CONTENT in opened


def test_one_more_is_refused_by_the_reader():
    everybody = keks(MOST + 1)
    sealed = cmstream.encrypt(CONTENT, everybody)
    assert len(envelope(sealed)["recipientInfos"]) == MOST + 1
    for look in (lambda: cmstream.decrypt(sealed, everybody[0]), lambda: cmstream.inspect(sealed)):
        with pytest.raises(cmstream.EnvelopeError) as caught:
            look()
        assert caught.value.code == "too-many-recipients"


def test_certificates_by_the_thousand(alice, bob, me):
    """The same certificate many times is sealed to once; RSA's blocks are wrapped in batches."""
    sealed = cmstream.encrypt(CONTENT, [alice.recipient] * 3000 + [bob.recipient])
    assert len(envelope(sealed)["recipientInfos"]) == 2
    assert cmstream.decrypt(sealed, me) == CONTENT


@pytest.mark.slow
def test_thousands_of_certificates(alice, me):
    """Each with a serial number of its own, one key for all."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from helpers.authorities import certificate

    count = 3000
    everybody = [alice.recipient]
    for serial in range(1, count):
        made = certificate(alice.key, serial=serial).public_bytes(Encoding.DER)
        everybody += cmstream.load_recipients(made)
    sealed = cmstream.encrypt(CONTENT, everybody)
    infos = envelope(sealed)["recipientInfos"]
    assert len(infos) == count
    assert len({bytes(one["ktri"]["encryptedKey"]) for one in infos}) == count
    assert cmstream.decrypt(sealed, me) == CONTENT
    opened = cmstream.decrypt(sealed, cmstream.Identity(alice.key, everybody[-1]))
    assert opened == CONTENT
