"""What C reads of a sealed message is what Python reads, octet for octet; what it doesn't take goes
Python's way."""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

import cmstream
from cmstream.decryption_pass import open_by_passes
from cmstream.engine import whole_message
from cmstream.recipients import content_key
from cmstream.usual_opening import UsualOpening
from helpers.authorities import element
from helpers.handmade import (
    CIPHERS,
    IV,
    KEY,
    RSA,
    algorithm,
    encrypt,
    envelope,
    issuer_and_serial,
    kari,
    ktri,
    number,
    pad,
    segments,
)
from helpers.people import identity, person

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"

HEAD = (
    b"Received: by x\r\nSubject: The\r\n boat\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
)
ENTITY = b"Content-Type: text/plain\r\n\r\nHello,\r\nAlice\r\n"
BLOCK = bytes(range(256))


class Known:
    """A key that always gives the content-encryption key, and tells what it was asked."""

    def __init__(self, key=KEY):
        self.gives, self.asked = key, []

    def decrypt(self, ciphertext, padding):
        self.asked.append((ciphertext, padding.name))
        return self.gives


@pytest.fixture(autouse=True)
def no_chance(monkeypatch):
    """The key in the place of a wrong one is always the same."""
    monkeypatch.setattr(content_key, "os", SimpleNamespace(urandom=bytes))


@pytest.fixture(scope="module")
def known(alice):
    return cmstream.Identity(Known(), alice.recipient)


def by_c(sealed, who, message):
    opening = UsualOpening.begin(sealed, [who], message=message)
    if opening is None:
        return None
    opening.unwrap()
    return opening.finish()


def by_python(sealed, who, message):
    return open_by_passes(sealed, [who], message=message)


def outcome(way, sealed, who, message):
    """What comes out, and what the private key was asked."""
    asked = getattr(who.key, "asked", [])
    del asked[:]
    try:
        found = way(sealed, who, message)
    except cmstream.CmstreamError as error:
        found = type(error), error.code, str(error)
    return found, list(asked)


def both_ways(sealed, who):
    """Whether C takes it; then it comes to the same as Python, by the one operation of the key."""
    taken = False
    for message in (True, False):
        found, asked = outcome(by_c, sealed, who, message)
        if found is not None:
            taken = True
            assert (found, asked) == outcome(by_python, sealed, who, message)
            assert len(asked) <= 1
    return taken


def info(person):
    return ktri(person, encrypted=BLOCK)


def by_identifier(person):
    return ktri(person, encrypted=BLOCK, name=element(0x80, identity(person).key_identifiers[0]))


def mail(cms, head=HEAD):
    return head + base64.encodebytes(cms).replace(b"\n", b"\r\n")


def cms(alice, content=ENTITY, **options):
    return envelope([info(alice)], encrypt(pad(content)), **options)


# What most programs write


@pytest.mark.parametrize("key_len", CIPHERS)
@pytest.mark.parametrize("named", [info, by_identifier])
def test_usual_messages_are_read_by_c(alice, key_len, named):
    who = cmstream.Identity(Known(KEY[:key_len]), alice.recipient)
    cipher = algorithm(CIPHERS[key_len], element(4, IV))
    sealed = encrypt(pad(ENTITY), KEY[:key_len])
    for indefinite in (False, True):
        made = envelope([named(alice)], sealed, cipher=cipher, indefinite=indefinite)
        assert both_ways(made, who)
        assert both_ways(mail(made), who)
        assert by_c(mail(made), who, True).endswith(b"\r\nMIME-Version: 1.0\r\n" + ENTITY)
        assert who.key.asked[-1][0] == BLOCK


@pytest.mark.parametrize("form", ["smime", "der"])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 4096, 100_000])
def test_what_this_engine_writes_is_usual(alice, me, form, size):
    sealed = cmstream.encrypt(os.urandom(size), alice.recipient, form=form)
    assert both_ways(sealed, me)
    assert by_c(sealed, me, False) == cmstream.decrypt(sealed, me)


def test_the_right_recipient_of_several_is_found(alice, bob):
    everyone = [info(bob), by_identifier(bob), by_identifier(alice), info(alice)]
    for chosen in itertools.permutations(everyone, 3):
        for one in (alice, bob):
            sealed = envelope(chosen, encrypt(pad(ENTITY)))
            assert both_ways(sealed, cmstream.Identity(Known(), one.recipient))


def test_all_certificates_and_a_key_without_one_are_looked_for(alice):
    renewed = person(common_name="Alice, renewed")
    both = cmstream.Identity(Known(), alice.recipient, renewed.recipient)
    alone = cmstream.Identity(alice.key)
    for named in (info(alice), info(renewed), by_identifier(alice)):
        assert both_ways(envelope([named], encrypt(pad(ENTITY))), both)
    assert not both_ways(envelope([info(alice)], encrypt(pad(ENTITY))), alone)
    assert both_ways(envelope([by_identifier(alice)], encrypt(pad(ENTITY))), alone)


# What is left to Python


def rare_infos(alice, bob):
    """RecipientInfos; C takes none of them, wherever they stand in front of the right one."""
    name = issuer_and_serial(alice.recipient)
    rsa = algorithm(RSA)
    return {
        "segmented key": element(0x30, number(0), name, rsa, element(0x24, element(4, BLOCK))),
        "another algorithm": ktri(alice, encrypted=BLOCK, how=algorithm("1.2.840.113549.1.1.7")),
        "no parameters": ktri(alice, encrypted=BLOCK, how=algorithm(RSA, b"")),
        "no key": element(0x30, number(0), name, rsa),
        "one too many": element(0x30, number(0), name, rsa, element(4, BLOCK), number(1)),
        "no version": element(0x30, name, rsa, element(4, BLOCK)),
        "a name of three": ktri(
            alice, encrypted=BLOCK, name=element(0x30, *[alice.recipient.issuer_der] * 2)
        ),
        "segmented identifier": ktri(
            bob, encrypted=BLOCK, name=element(0xA0, element(4, bytes(20)))
        ),
        "agreement": kari(issuer_and_serial(bob.recipient)),
        "nothing": element(0x30),
        "no element": b"\x30",
        "a lie": b"\x30\x05\x02\x01\0",
        "end of contents": b"\0\0",
    }


def test_rare_recipients_are_left_to_python(alice, bob, known):
    for name, rare in rare_infos(alice, bob).items():
        sealed = envelope([rare, info(alice)], encrypt(pad(ENTITY)))
        assert not both_ways(sealed, known), name
        assert outcome(by_python, sealed, known, False)[0] is not None


def test_behind_the_right_recipient_anything_may_stand(alice, bob, known):
    for name, rare in rare_infos(alice, bob).items():
        sealed = envelope([info(alice), rare], encrypt(pad(ENTITY)))
        broken = name in {"no element", "a lie", "end of contents"}
        assert both_ways(sealed, known) != broken, name


def test_long_lengths_of_names_are_read(alice, known):
    issuer_serial = alice.recipient.issuer_der + alice.recipient.serial_der
    name = b"\x30\x83" + len(issuer_serial).to_bytes(3, "big") + issuer_serial
    assert both_ways(
        envelope([ktri(alice, encrypted=BLOCK, name=name)], encrypt(pad(ENTITY))), known
    )


def test_many_recipients_are_left_to_python(alice, bob, known):
    few, many = ([info(bob)] * count + [info(alice)] for count in (20, 60))
    assert both_ways(envelope(few, encrypt(pad(ENTITY))), known)
    assert not both_ways(envelope(many, encrypt(pad(ENTITY))), known)
    assert not both_ways(envelope([info(alice), *[b"\x05\0"] * 100], b"-" * 16), known)


@pytest.mark.parametrize(
    "options",
    [
        {"before": element(0xA0)},
        {"cipher": algorithm(CIPHERS[32], element(4, IV[:15]))},
        {"cipher": algorithm(CIPHERS[32], b"\x04\x81\x10" + IV)},
        {"cipher": algorithm("2.16.840.1.101.3.4.1.1", element(4, IV))},
        {"cipher": algorithm("1.2.840.113549.3.7", element(4, IV[:8]))},
        {"kind": "1.2.840.113549.1.7.6"},
    ],
    ids=str,
)
def test_rare_heads_are_left_to_python(alice, known, options):
    sealed = cms(alice, **options)
    assert not both_ways(sealed, known)
    assert outcome(by_python, sealed, known, False)[0] is not None


def test_content_in_segments_is_read(alice, known):
    ciphertext = segments(encrypt(pad(ENTITY)), 7)
    assert both_ways(envelope([info(alice)], ciphertext, indefinite=True), known)


def test_content_that_is_kept_elsewhere_is_left_to_python(alice, known):
    assert not both_ways(envelope([info(alice)], (b"",)), known)


# Header blocks

LABELS = {
    b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n": True,
    b"content-type:APPLICATION/X-pkcs7-MIME;x\r\ncontent-transfer-encoding:BASE64 \t\r\n": True,
    b"Content-Type:\r\n application/pkcs7-mime;\r\n\tname=x\r\nX: y\r\n"
    b"Content-Transfer-Encoding: base64\r\n": True,
    b"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n": True,
    b"Content-Transfer-Encoding: base64\r\nContent-Type: application/pkcs7-mime\r\n"
    b"Content-Type-X: a\r\nContent-Description: x\r\n": True,
    b"Content-Type: application/pkcs7-mime\r\n": False,
    b"Content-Type: application/pkcs7-mimes\r\nContent-Transfer-Encoding: base64\r\n": False,
    b"Content-Type: application/pkcs7\r\nContent-Transfer-Encoding: base64\r\n": False,
    b"Content-Type: (x) application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n": False,
    b"Content-Type : application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n": False,
    b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64x\r\n": False,
    b'Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: "base64"\r\n': False,
    b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64 (x)\r\n": False,
    b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64; x\r\n": False,
    b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: 7bit\r\n": False,
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n": False,
    b"Content-Transfer-Encoding: base64\r\n": False,
    b"\xef\xbb\xbfContent-Type: application/pkcs7-mime\r\n"
    b"Content-Transfer-Encoding: base64\r\n": False,
    b"Content-Type: application/pkcs7-mime\r\nContent-Type: application/pkcs7-mime\r\n"
    b"Content-Transfer-Encoding: base64\r\n": False,
    b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Transfer-Encoding: 7bit\r\n": False,
}


@pytest.mark.parametrize("above", [b"", b"From a@b Tue\r\n", b">From a@b Tue\r\n"])
def test_labels(alice, known, above):
    for label, plain in LABELS.items():
        sealed = mail(cms(alice), above + b"To: x\r\n" + label + b"\r\n")
        assert both_ways(sealed, known) == (plain and not above.startswith(b">")), label
        assert outcome(by_python, sealed, known, True)[0] is not None
        without_line = mail(cms(alice), above + label)
        both_ways(without_line, known)


ENTITIES = [
    b"", b"\r\n", b"\n", b"\r\n\r\nx", b"\nText", b"Text", b"A: b", b"A: b\r\n", b"A: b\r\nText",
    b"A: b\r\n\r\n", b"A: b\n\nText", b"A: b\r\rText", b"A: b\r\n \r\n\r\nx",
    b"\xef\xbb\xbfA: b\r\n\r\nx",
    b"MIME-Version: 1.0\r\nA: b\r\n\r\nText", b"Mime-version : 1\nA: b\n\n",
    b'Content-Type: text/plain; hp="cipher"\r\nSubject: in\r\nHP-Outer: Subject: x\r\n\r\nText',
    b"Content-Type: multipart/mixed; boundary=aHpb; protected-headers=v1\r\nFrom: a@b\r\n\r\nText",
    b"X: graph\r\n\r\nText", b"Content-Transfer-Encoding: binary\r\n\r\nText",
    b"From x\r\nA: b\r\n\r\nText", b"A: b\r\n" * 40 + b"\r\n", b"Content-A: b\r\n" * 40 + b"\r\n",
    b"\x30\x82" + bytes(40),
]  # fmt: skip


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda one: repr(one[:30]))
def test_inner_header_blocks(alice, known, entity):
    sealed = cms(alice, entity)
    assert both_ways(sealed, known)
    assert both_ways(mail(sealed), known)
    assert both_ways(mail(sealed, HEAD.replace(b"\r\n", b"\n")), known)


# Damage


def damaged(octets, chance):
    """One or a few changes, most of them near the beginning."""
    changed = bytearray(octets)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = min(int(chance.expovariate(1 / 120)), len(changed) - 1)
        if chance.random() < 0.1:
            at = len(changed) - 1 - at
        kind = chance.random()
        if kind < 0.5:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind < 0.7:
            changed[at] = chance.choice(b"\0\1\x04\x30\x31\x80\x81\x82\xa0\xff \r\n=;:")
        elif kind < 0.8:
            del changed[at : at + chance.randrange(1, 4)]
        elif kind < 0.9:
            changed[at:at] = chance.randbytes(chance.randrange(1, 4))
        else:
            del changed[-chance.randrange(1, 40) :]
        changed = changed or bytearray(b"0")
    return bytes(changed)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_messages_come_to_the_same(alice, bob, known, seed):
    chance = random.Random(seed)
    infos = [info(bob), info(alice), by_identifier(alice)]
    whole = [
        envelope(infos[: 1 + seed % 3], encrypt(pad(ENTITY)), indefinite=bool(indefinite))
        for indefinite in (0, 1)
    ]
    samples = [*whole, *map(mail, whole), cms(alice), mail(cms(alice))]
    taken = 0
    for _ in range(400):
        one = chance.choice(samples)
        if chance.random() < 0.3:
            head, _, text = one.partition(b"\r\n\r\n")
            one = mail(damaged(base64.b64decode(text) if text else one, chance), head + b"\r\n\r\n")
        else:
            one = damaged(one, chance)
        taken += both_ways(one, known)
    assert taken > 20


@pytest.mark.parametrize("cut", range(0, 420, 7))
def test_cut_messages_come_to_the_same(alice, known, cut):
    for sealed in (cms(alice), mail(cms(alice))):
        both_ways(sealed[:cut], known)
        both_ways(sealed[: len(sealed) - cut // 7], known)


# Failures


def test_a_key_that_is_refused_or_of_another_length_fails_as_wrong_padding_does(alice):
    class Refuses(Known):
        def decrypt(self, ciphertext, padding):
            super().decrypt(ciphertext, padding)
            raise ValueError

    sealed = mail(cms(alice))
    for key in (Refuses(), Known(KEY[:16]), Known(b""), Known(bytes(32))):
        who = cmstream.Identity(key, alice.recipient)
        assert both_ways(sealed, who)
        with pytest.raises(cmstream.DecryptionError):
            by_c(sealed, who, True)


def test_what_else_a_key_raises_passes_and_nothing_is_held(alice):
    class Gone(Known):
        def decrypt(self, *_):
            raise self.gives

    sealed = bytearray(mail(cms(alice)))
    for gives, raised in [
        (OSError("gone"), cmstream.KeyUnavailableError),
        (NotImplementedError("no"), cmstream.EnvelopeError),
        (TypeError("mine"), TypeError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ]:
        who = cmstream.Identity(Gone(gives), alice.recipient)
        with pytest.raises(raised):
            cmstream.decrypt(sealed, who)
        sealed += b"\r\n"  # not while somebody looks at it


def test_no_key_is_left_in_memory_that_is_kept(alice, monkeypatch):
    ffi = whole_message.ffi
    # One that is all zero: in fresh memory there may be anything, this test's own key too.
    monkeypatch.setattr(whole_message, "_kept", [ffi.new("struct whole *")])
    who = cmstream.Identity(Known(random.Random(1).randbytes(32)), alice.recipient)
    sealed = envelope([info(alice)], encrypt(pad(ENTITY), who.key.gives))
    for one in (sealed, sealed[:-1], sealed[:-16] + bytes(16)):
        outcome(by_c, one, who, False)
        kept = [bytes(ffi.buffer(one)) for one in whole_message._kept]
        assert len(kept) == 1
        assert any(kept[0])
        assert not any(who.key.gives[:16] in octets for octets in kept)


# Many


def test_many_of_all_kinds_stay_in_their_order(alice, bob, me, known):
    usual = [mail(cms(alice, ENTITY + b"%d" % n)) for n in range(70)]
    rare = cmstream.encrypt(b"rare", alice.recipient, form="pem")
    jobs = [(one, known) for one in usual]
    jobs[3] = (rare, me)
    jobs[10] = (usual[10], identity(bob))
    jobs[11] = (usual[11][:-9], known)
    jobs[12] = ("text", known)
    jobs[13] = (b"", known)
    jobs[14] = (usual[14], [])
    for workers in (1, 2, 3, 100):
        found = cmstream.decrypt_many(jobs, form="content", return_exceptions=True, workers=workers)
        assert found[3] == b"rare"
        kinds = {at: type(one) for at, one in enumerate(found) if isinstance(one, Exception)}
        assert kinds == {
            10: cmstream.NoRecipientError, 11: cmstream.EnvelopeError, 12: TypeError,
            13: cmstream.EnvelopeError, 14: ValueError,
        }  # fmt: skip
        right = [at for at in range(70) if at not in kinds and at != 3]
        assert all(found[at] == ENTITY + b"%d" % at for at in right)


# The corpus


def records():
    if not (CORPUS / "expected.json").exists():
        return []
    every = json.loads((CORPUS / "expected.json").read_text(encoding="utf-8"))["records"]
    return [one for one in every if one["file"].startswith(("sealed/", "rfc-samples/"))]


@pytest.mark.skipif(not records(), reason="the shared corpus isn't here")
def test_the_corpus_comes_to_the_same():
    def owner(name):
        key, certificate = (CORPUS / "identities" / f"{name}.{one}.pem" for one in ("key", "cert"))
        return cmstream.Identity.from_pem(key.read_bytes(), certificate.read_bytes())

    names = {name for one in records() for name in one["open_with"] or ["rsa2048"]}
    owners = {name: owner(name) for name in names}
    taken = [
        both_ways((CORPUS / one["file"]).read_bytes(), owners[name])
        for one in records()
        for name in one["open_with"] or ["rsa2048"]
    ]
    assert sum(taken) > 20
