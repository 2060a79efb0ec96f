"""Text half of which is the end of the encrypted content, and half a value beside it: each may be
too short to be told from random octets."""

from __future__ import annotations

import pytest

from cmstream import is_encrypted
from helpers.already import AUTH_ENVELOPED, BINARY, PKESK, RSA, armour, cms, mail, name, noise, tlv


@pytest.mark.parametrize("more", [0, 100, 70_000])
def test_text_in_the_content_and_in_the_tag_behind_it(more) -> None:
    content = noise(more, 7) + b"our seven"
    octets = cms(AUTH_ENVELOPED, content=content)
    assert is_encrypted(mail(BINARY, octets))
    assert not is_encrypted(mail(BINARY, octets.replace(noise(16), b" one one" + noise(8))))


def test_text_goes_on_with_a_value_that_was_there_before() -> None:
    def sealed(beside: bytes) -> bytes:
        algorithm = tlv(0x30, RSA[2:13], tlv(4, beside))
        who = tlv(0x30, name(), tlv(2, b"\1\2\3"))
        infos = tlv(0x30, tlv(2, b"\0"), who, algorithm, tlv(4, noise(256)))
        octets = cms(AUTH_ENVELOPED, infos=infos, content=noise(100, 8) + b"our seven")
        return mail(BINARY, octets.replace(noise(16), beside))

    assert is_encrypted(sealed(noise(16, 9)))
    assert not is_encrypted(sealed(b" one one" + noise(8, 9)))


@pytest.mark.parametrize("more", [0, 160, 70_400])
def test_text_in_the_content_and_in_the_iv_before_it(more) -> None:
    octets = cms(content=b"our seven" + noise(more + 7, 7))
    assert is_encrypted(mail(BINARY, octets))
    assert not is_encrypted(mail(BINARY, octets.replace(noise(16), noise(7) + b"safe is f")))


@pytest.mark.parametrize("more", [40, 70_000])
def test_text_in_a_session_key_and_in_the_data(more) -> None:
    def sealed(end: bytes, beginning: bytes) -> bytes:
        data = b"\1" + beginning + noise(more, 7)
        packet = b"\xd2\xff" + len(data).to_bytes(4, "big") + data
        return mail(b"", armour(PKESK[: len(PKESK) - len(end)] + end + packet))

    assert is_encrypted(sealed(b"is four s", b""))
    assert is_encrypted(sealed(b"", b"even one"))
    assert not is_encrypted(sealed(b"is four s", b"even one"))
