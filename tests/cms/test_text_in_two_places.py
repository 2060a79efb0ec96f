"""Text in pieces that stand in several places of a sealed mail: each may be too short to be told
from random octets."""

from __future__ import annotations

import pytest

from cmstream import is_encrypted
from cmstream.cms.already_encrypted import is_encrypted_body
from helpers.already import (
    AES256_CBC,
    AUTH_ENVELOPED,
    BINARY,
    DATA,
    ENVELOPED,
    PKESK,
    RSA,
    SEIPD,
    armour,
    cms,
    info,
    mail,
    name,
    noise,
    tlv,
)


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


LONG = (
    b"dear alice the code of the safe is four seven one one "
    b"and the key is under the mat by the door"
)


def sprinkled(octets: bytes, *, run: int, gap: int) -> bytes:
    """A text in runs that are too short to be told one by one."""
    found = bytearray(octets)
    for number, at in enumerate(range(3, len(octets) - run, run + gap)):
        start = number * run % (len(LONG) - run)
        found[at : at + run] = LONG[start : start + run]
    return bytes(found)


@pytest.mark.parametrize(
    ("length", "run", "gap"),
    [(4096, 10, 200), (4096, 7, 100), (300_000, 10, 5000), (300_000, 8, 1500), (320, 10, 90)],
)
def test_text_in_runs_all_over_the_content(length, run, gap) -> None:
    content = noise(length // 16 * 16, 2)
    assert is_encrypted(mail(BINARY, cms(content=content)))
    content = sprinkled(content, run=run, gap=gap)
    assert not is_encrypted(mail(BINARY, cms(content=content)))
    packet = b"\xd2\xff" + (len(content) + 1).to_bytes(4, "big") + b"\1" + content
    assert not is_encrypted(mail(b"", armour(PKESK + packet)))


def test_text_in_the_keys_of_many_recipients() -> None:
    keys = [noise(256, seed) for seed in range(20)]
    assert is_encrypted(mail(BINARY, cms(infos=b"".join(info(key=key) for key in keys))))
    keys = [sprinkled(key, run=8, gap=240) for key in keys]
    assert all(is_encrypted(mail(BINARY, cms(infos=info(key=key)))) for key in keys)
    assert not is_encrypted(mail(BINARY, cms(infos=b"".join(info(key=key) for key in keys))))


def test_text_in_a_key_and_in_the_middle_of_the_content() -> None:
    content, key = noise(800, 2), noise(256)
    longer = content[:395] + b"even one o" + content[405:]
    other = key[:120] + b"is four se" + key[130:]
    assert is_encrypted(mail(BINARY, cms(content=longer, infos=info(key=key))))
    assert is_encrypted(mail(BINARY, cms(content=content, infos=info(key=other))))
    assert not is_encrypted(mail(BINARY, cms(content=longer, infos=info(key=other))))


def test_text_in_all_that_stands_beside_the_recipients() -> None:
    def sealed(originator: bytes, inner: bytes, cipher: bytes, iv: bytes) -> bytes:
        algorithm = tlv(0x30, tlv(6, cipher), tlv(4, iv))
        content = tlv(0x30, tlv(6, inner), algorithm, tlv(0x80, noise(320, 2)))
        inside = tlv(0x30, tlv(2, b"\2"), originator, tlv(0x31, info()), content)
        return mail(BINARY, tlv(0x30, tlv(6, ENVELOPED), tlv(0xA0, inside)))

    usual = (b"", DATA, AES256_CBC, noise(16))
    assert is_encrypted(sealed(*usual))
    words = (
        tlv(0xA0, tlv(4, b"even one")),
        b"*the safe",
        b"*is seven",
        b"go left " + noise(8),
    )
    for at, word in enumerate(words):
        assert is_encrypted(sealed(*usual[:at], word, *usual[at + 1 :]))
    for at, word in enumerate(usual):
        assert not is_encrypted(sealed(*words[:at], word, *words[at + 1 :]))


@pytest.mark.parametrize("others", [0, 3, 12])
def test_text_in_what_names_session_keys(others) -> None:
    def key(name: bytes, seed: int) -> bytes:
        return b"\x85\x01\x0c\x03" + name + b"\1" + noise(258, seed)

    def password(salt: bytes) -> bytes:
        return b"\xc3\x0d\x04\x09\x03" + salt + noise(2)

    more = [key(noise(8, seed), seed) for seed in range(others)]
    for one in (password, lambda name: key(name, 77)):
        for words in ((), (b"dear ali",)):
            assert is_encrypted(mail(b"", armour(b"".join(map(one, words or [noise(8)])) + SEIPD)))
        words = [LONG[at : at + 8] for at in range(0, 64, 8)]
        for count in (4, 8):
            packets = b"".join([*map(one, words[:count]), *more])
            assert not is_encrypted(mail(b"", armour(packets + SEIPD)))


def test_figures_that_are_no_time() -> None:
    def sealed(*times: bytes) -> bytes:
        attribute = tlv(0x30, tlv(6, b"\x2a\x03"), tlv(0x31, *(tlv(0x17, one) for one in times)))
        return mail(BINARY, cms(around=(b"", tlv(0xA1, attribute)), version=2))

    assert is_encrypted(sealed(b"261129020000Z", b"20261231235959.5Z", b"2612312359+0100"))
    assert not is_encrypted(sealed(b"471108152342Z", b"998877665544Z"))


@pytest.mark.parametrize("at", [3000, 65_530, 131_068])
def test_however_a_text_is_cut_the_answer_is_the_same(at) -> None:
    answers = set()
    for length in range(6, 16):
        content = noise(200_000, 2)
        octets = cms(content=content[:at] + LONG[:length] + content[at + length :])
        whole = mail(BINARY, octets)
        head = whole[: len(whole) - len(octets)]
        place = octets.index(LONG[:length]) + length // 2
        for size in (len(octets), place, 777, 65_536):
            pieces = (octets[cut : cut + size] for cut in range(0, len(octets), size))
            assert is_encrypted_body(head, pieces) == is_encrypted(whole)
        answers.add(is_encrypted(whole))
    assert answers == {True, False}
