"""AuthEnvelopedData: what was sealed comes out of every shape, and nothing else ever does."""

from __future__ import annotations

import base64
import gc
import io
import itertools
import tracemalloc
from typing import NamedTuple

import pytest

import cmstream
from cmstream import spool
from cmstream.ciphers import BY_OID
from cmstream.cms import aead, content_ciphers
from helpers.authorities import element
from helpers.handmade import (
    AUTHENTICATED,
    KEY,
    attribute,
    authenticated,
    chacha20,
    encrypt,
    envelope,
    gcm,
    ktri,
    pad,
)
from helpers.people import person
from helpers.shapes import SHAPES, StandIn, pieces, pushed
from test_decrypt import DATA
from test_decrypt_failures import outcome

TEXT = b"Hello, Alice"
KIND = attribute("1.2.840.113549.1.9.3", b"\6\t\x2a\x86\x48\x86\xf7\x0d\1\7\1")
MARK = attribute("1.2.3.4", element(0x30, element(4, b"x" * 100)), element(0x31, element(5)))
OTHER = element(0xA2, attribute("1.2.3.5", element(4, b"nobody proves me")))
ATTRIBUTES = (KIND, MARK)
VARIANTS = {
    "plain": {},
    "attributes": {"attributes": ATTRIBUTES},
    "ber": {"indefinite": True, "size": 5},
    "ber-attributes": {
        "indefinite": True, "size": 7, "attributes": ATTRIBUTES, "unauthenticated": OTHER,
    },
    "chacha20": {"cipher": chacha20(), "unauthenticated": OTHER},
}  # fmt: skip
variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


@pytest.fixture(scope="module")
def small():
    """Somebody whose key is quick."""
    someone = person(1024)
    return Small(cmstream.Identity(Remembering(someone.key), someone.recipient), ktri(someone))


class Remembering(StandIn):
    """A key that knows what it decrypted before: the tests that try a thousand messages are
    quicker so."""

    def __init__(self, key):
        super().__init__(key)
        self.known = {}

    def decrypt(self, ciphertext, padding):
        if ciphertext not in self.known:
            self.known[ciphertext] = super().decrypt(ciphertext, padding)
        return self.known[ciphertext]


class Small(NamedTuple):
    who: cmstream.Identity
    info: bytes


class Changing(io.BytesIO):
    """A file that is another one each time it is read from its beginning."""

    def __init__(self, *versions):
        super().__init__(versions[0])
        self.versions, self.begun = versions, 0

    def seek(self, *where):
        if where == (0,):
            self.truncate(0)
            super().seek(0)
            self.write(self.versions[min(self.begun, len(self.versions) - 1)])
            self.begun += 1
        return super().seek(*where)


def given(context, chunks):
    """What comes out before the error, and its code; "" if there is none."""
    out = []
    try:
        out.extend(map(context.update, chunks))
        out.append(context.finalize())
    except cmstream.CmstreamError as error:
        return b"".join(out), error.code
    return b"".join(out), ""


def read(iterator):
    """The same of an iterator."""
    out = b""
    try:
        for piece in iterator:
            out += piece
    except cmstream.CmstreamError as error:
        return out, error.code
    return out, ""


def written(sealed, who, **options):
    """The same of a writer."""
    sink = io.BytesIO()
    try:
        with cmstream.DecryptWriter(sink, who, **options) as out:
            out.write(sealed)
    except cmstream.CmstreamError as error:
        return sink.getvalue(), error.code
    return sink.getvalue(), ""


def every_verified_shape(sealed, who, cut=7):
    """What each gives, which must be all or nothing, and the code of the error."""
    answers = {
        given(cmstream.decryptor(who), pieces(sealed, cut)),
        read(cmstream.decrypt_iter(io.BytesIO(sealed), who)),
        read(cmstream.decrypt_iter(pieces(sealed, cut), who)),
        written(sealed, who),
    }
    result = outcome(cmstream.decrypt, sealed, who)
    answers.add((b"", result) if isinstance(result, str) else (result, ""))
    assert len(answers) == 1
    return answers.pop()


def flip(sealed, place=-1):
    damaged = bytearray(sealed)
    damaged[place] ^= 1
    return bytes(damaged)


# What opens


@variants
def test_every_shape_opens(alice, me, shape, variant):
    for size in (0, 1, 16, 4097, 70_000):
        assert shape(authenticated([ktri(alice)], DATA[:size], **variant), me) == DATA[:size]


@pytest.mark.parametrize("key_len", [16, 24, 32])
@pytest.mark.parametrize("tag_len", [None, 12, 13, 14, 15, 16])
def test_keys_and_tags_of_every_length(alice, me, key_len, tag_len):
    key = KEY[:key_len]
    sealed = authenticated([ktri(alice, key)], TEXT, key=key, tag_len=tag_len)
    assert every_verified_shape(sealed, me) == (TEXT, "")
    wrong = authenticated([ktri(alice, key)], TEXT, key=key, tag_len=tag_len, spoil=flipped_first)
    assert every_verified_shape(wrong, me) == (b"", "decryption-failed")


def flipped_first(tag):
    return flip(tag, 0)


@pytest.mark.parametrize("length", [8, 11, 12, 13, 16, 128])
def test_nonces_of_every_length(alice, me, length):
    sealed = authenticated([ktri(alice)], TEXT, nonce=bytes(range(length)))
    assert every_verified_shape(sealed, me) == (TEXT, "")


@variants
def test_wherever_it_is_cut_in_two(small, variant):
    who = small.who
    sealed = authenticated([small.info], TEXT, **variant)
    for place in range(len(sealed)):
        assert pushed([sealed[:place], sealed[place:]], who) == TEXT
    assert pushed(pieces(sealed, 1), who) == TEXT
    if "attributes" not in variant:
        for cut in (1, 3, 50):
            assert pushed(pieces(sealed, cut), who, unverified=True) == TEXT


@variants
def test_one_operation_with_the_key_is_enough(alice, shape, variant):
    key = StandIn(alice.key)
    who = cmstream.Identity(key, alice.recipient)
    assert shape(authenticated([ktri(alice)], DATA, **variant), who) == DATA
    assert key.calls == 1


@variants
def test_a_whole_message(alice, me, variant):
    inner = b"Content-Type: text/plain\r\n\r\nHello\r\n"
    head = (
        b"Subject: x\r\nContent-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary"
    )
    mail = head + b"\r\n\r\n" + authenticated([ktri(alice)], inner, **variant)
    opened = cmstream.decrypt_message(mail, me)
    assert opened == b"Subject: x\r\nMIME-Version: 1.0\r\n" + inner
    assert cmstream.decrypt_many([(mail, me)]) == [opened]
    for source in (io.BytesIO(mail), pieces(mail, 9)):
        assert b"".join(cmstream.decrypt_iter(source, me, message=True)) == opened
    assert pushed(pieces(mail, 50), me, message=True) == opened
    context = cmstream.decryptor(me, message=True)
    assert given(context, [mail, b"x"]) == (b"", "trailing-data")


def test_attributes_in_ber_are_proved_as_der(alice, me):
    """RFC 5083 section 2.2; and a SET OF has an order."""
    kind = element(0x30, *(KIND[2:13], element(0x31, KIND[15:], indefinite=True)), indefinite=True)
    attributes = tuple(sorted(ATTRIBUTES))
    for parts in ((KIND, MARK), (MARK, KIND), (MARK, kind)):
        for indefinite in (False, True):
            behind = element(0xA1, *parts, indefinite=indefinite)
            sealed = authenticated([ktri(alice)], TEXT, attributes=attributes, written=behind)
            assert every_verified_shape(sealed, me) == (TEXT, "")


# What doesn't


@variants
def test_a_message_cut_anywhere_gives_nothing(small, variant):
    who = small.who
    sealed = authenticated([small.info], TEXT, **variant)
    for length in range(len(sealed)):
        expected = "truncated" if length else "empty"
        assert every_verified_shape(sealed[:length], who)[0] == b""
        assert outcome(cmstream.decrypt, sealed[:length], who) in {expected, "truncated"}


@variants
def test_a_message_with_any_bit_flipped_gives_all_or_nothing(small, variant):
    """Nothing but what no tag proves may be touched: then all comes as it was."""
    who = small.who
    sealed = authenticated([small.info], TEXT, **variant)
    for place, bit in itertools.product(range(len(sealed)), range(8)):
        damaged = bytearray(sealed)
        damaged[place] ^= 1 << bit
        result = outcome(cmstream.decrypt, damaged, who)
        assert isinstance(result, str) or result == TEXT
        if place % 8 == bit:
            out, code = every_verified_shape(bytes(damaged), who, 61)
            assert (out, code) in {(TEXT, ""), (b"", result)}


def test_a_key_that_does_not_unwrap_is_a_wrong_one(alice, bob, me):
    name = element(0x30, alice.recipient.issuer_der, alice.recipient.serial_der)
    for info in (ktri(bob, name=name), ktri(alice, KEY[:31]), ktri(alice, encrypted=b"")):
        assert every_verified_shape(authenticated([info], TEXT), me) == (b"", "decryption-failed")


@pytest.mark.parametrize(
    ("behind", "code"),
    [
        (b"", "malformed"),
        (element(0xA1, KIND), "malformed"),
        (element(0xA2, KIND), "malformed"),
        (element(4, bytes(16)) * 2, "malformed"),
        (element(4, bytes(16)) + element(0xA1, KIND), "malformed"),
        (element(0xA1, KIND) * 2 + element(4, bytes(16)), "malformed"),
        (element(0xA1, element(5)) + element(4, bytes(16)), "malformed"),
        (element(0xA1, element(0x30, KIND[2:])[:-1]) + element(4, bytes(16)), "malformed"),
        (element(0xA2, KIND) + element(4, bytes(16)), "malformed"),
        (element(4, bytes(16)), "decryption-failed"),
        (element(4, b""), "decryption-failed"),
        (element(4, bytes(17)), "decryption-failed"),
        (element(0xA1, KIND) + element(4, bytes(16)), "decryption-failed"),
    ],
)
def test_what_follows_the_content(alice, me, behind, code):
    for indefinite in (False, True):
        sealed = envelope([ktri(alice)], TEXT, kind=AUTHENTICATED, cipher=gcm(), behind=behind,
                          indefinite=indefinite)  # fmt: skip
        assert every_verified_shape(sealed, me) == (b"", code)


def test_too_much_behind_the_content(alice, me):
    for size, code in ((60 << 10, ""), (64 << 10, "too-large")):
        more = element(0xA2, element(4, bytes(size)))
        sealed = authenticated([ktri(alice)], TEXT, unauthenticated=more)
        assert every_verified_shape(sealed, me) == (b"" if code else TEXT, code)
        old = envelope([ktri(alice)], encrypt(pad(TEXT)), behind=element(0xA1, more))
        assert pushed(pieces(old, 1000), me) == TEXT


@pytest.mark.parametrize(
    ("cipher", "code"),
    [
        (gcm(nonce=b""), "malformed"),
        (gcm(nonce=bytes(7)), "unsupported-cipher"),
        (gcm(nonce=bytes(129)), "unsupported-cipher"),
        (gcm(tag_len=11), "malformed"),
        (gcm(tag_len=17), "malformed"),
        (gcm()[:4] + b"", "malformed"),
        (chacha20(bytes(11)), "malformed"),
        (chacha20(b""), "malformed"),
        (None, "unsupported-cipher"),
    ],
)
def test_parameters_that_are_none(alice, me, cipher, code):
    sealed = envelope([ktri(alice)], TEXT, kind=AUTHENTICATED, cipher=cipher,
                      behind=element(4, bytes(16)))  # fmt: skip
    assert every_verified_shape(sealed, me) == (b"", code)


def test_an_authenticated_cipher_without_a_tag_is_refused(alice, me):
    """As EnvelopedData it would be a stream cipher that anybody can bend."""
    for cipher in (gcm(), chacha20()):
        sealed = envelope([ktri(alice)], TEXT, cipher=cipher)
        assert every_verified_shape(sealed, me) == (b"", "unsupported-cipher")


@variants
def test_more_than_the_cipher_may_encrypt(alice, me, monkeypatch, variant):
    monkeypatch.setattr(aead, "GCM_LIMIT", 1000)
    monkeypatch.setattr(aead, "CHACHA20_LIMIT", 1000)
    sealed = authenticated([ktri(alice)], DATA[:1000], **variant)
    assert every_verified_shape(sealed, me) == (DATA[:1000], "")
    sealed = authenticated([ktri(alice)], DATA[:1001], **variant)
    assert every_verified_shape(sealed, me, 100) == (b"", "too-large")


def test_the_key_is_not_shown():
    parameters = content_ciphers.CipherParameters(BY_OID["2.16.840.1.101.3.4.1.46"], b"nonce", 16)
    known = content_ciphers.ContentKey(parameters, b"secret")
    assert "secret" not in repr(known) + repr(content_ciphers.AnotherPassNeeded(known)) + str(
        content_ciphers.AnotherPassNeeded(known)
    )


# The spool


@variants
def test_what_waits_is_the_sealed_message(alice, me, monkeypatch, variant):
    kept, close = [], spool.Spool.close

    def look_and_close(waiting):
        kept.append(b"".join(waiting.chunks()))
        close(waiting)

    monkeypatch.setattr(spool.Spool, "close", look_and_close)
    sealed = authenticated([ktri(alice)], DATA, **variant)
    assert pushed(pieces(sealed, 1000), me) == DATA
    # The empty spools of other tests' streams may be closed here too.
    assert [one for one in kept if one][0] == sealed  # noqa: RUF015


def test_only_so_much_waits(alice, me):
    sealed = authenticated([ktri(alice)], DATA)
    for limit, expected in ((len(sealed), (DATA, "")), (len(sealed) - 1, (b"", "too-large"))):
        for cut in (1000, len(sealed)):
            context = cmstream.decryptor(me, spool_limit=limit)
            assert given(context, pieces(sealed, cut)) == expected
            chunks = pieces(sealed, cut)
            assert read(cmstream.decrypt_iter(iter(chunks), me, spool_limit=limit)) == expected
        assert written(sealed, me, spool_limit=limit) == expected
    assert read(cmstream.decrypt_iter(io.BytesIO(sealed), me, spool_limit=0)) == (DATA, "")
    assert written(sealed, me, spool_limit=0, unverified=True) == (DATA, "")
    old = envelope([ktri(alice)], encrypt(pad(DATA)))
    assert written(old, me, spool_limit=0) == (DATA, "")


def test_little_memory_is_taken_where_it_waits_on_disk(alice, me):
    data = bytes(40 << 20)
    sealed = authenticated([ktri(alice)], data)
    for source in (io.BytesIO(sealed), pieces(sealed, 1 << 18)):
        tracemalloc.start()
        try:
            assert sum(map(len, cmstream.decrypt_iter(source, me))) == len(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < spool.SPOOL_MEMORY * 2 + (4 << 20)


def test_a_stream_that_is_given_up_forgets_what_waits(alice, me):
    context = cmstream.decryptor(me)
    context.update(authenticated([ktri(alice)], DATA))
    (waiting,) = (x for x in vars(context).values() if isinstance(x, spool.Spool))
    context.abort()
    assert list(waiting.chunks()) == []
    with pytest.raises(cmstream.AlreadyFinalized):
        context.finalize()


def test_the_end_in_pieces(alice, me):
    sealed = authenticated([ktri(alice)], DATA * 10)
    context = cmstream.decryptor(me)
    assert context.update(sealed) == b""
    assert context.bound(1) < context.bound(0)
    parts = list(context.finalize_iter())
    assert b"".join(parts) == DATA * 10
    assert max(map(len, parts)) <= 1 << 18
    with pytest.raises(cmstream.AlreadyFinalized):
        context.finalize()


@pytest.mark.parametrize("end", ["finalize", "nothing", "finalize_iter"])
def test_no_spool_is_left_open(alice, me, end, recwarn):
    """Of base64 the form is told only by its end, or much of it; and streams may be left alone."""
    text = base64.b64encode(envelope([ktri(alice)], encrypt(pad(TEXT))))
    for sealed in (text, authenticated([ktri(alice)], DATA)):
        context = cmstream.decryptor(me)
        for part in pieces(sealed, 1000):
            context.update(part)
        if end == "finalize":
            context.finalize()
        elif end == "finalize_iter":
            next(context.finalize_iter())
        del context
        gc.collect()
    assert not recwarn.list


# Files


def test_a_file_is_read_from_where_it_stands(alice, me):
    for variant in VARIANTS.values():
        file = io.BytesIO(b"before" + authenticated([ktri(alice)], DATA, **variant))
        file.seek(6)
        assert cmstream.DecryptReader(file, me).read() == DATA


def test_a_file_that_changes_between_the_passes(alice, me):
    """What comes out then isn't verified yet, and the end says that it is wrong."""
    good = authenticated([ktri(alice)], DATA)
    assert read(cmstream.decrypt_iter(Changing(good), me)) == (DATA, "")
    bad = authenticated([ktri(alice)], DATA[::-1], spoil=flipped_first)
    out, code = read(cmstream.decrypt_iter(Changing(good, bad), me))
    assert code == "decryption-failed"
    assert len(out) <= len(DATA)
    others = [
        envelope([ktri(alice)], encrypt(pad(DATA))),
        authenticated([ktri(alice)], DATA, nonce=bytes(12)),
        authenticated([ktri(alice)], DATA, cipher=chacha20()),
        authenticated([ktri(alice)], DATA, tag_len=12),
    ]
    for other in others:
        assert read(cmstream.decrypt_iter(Changing(good, other), me)) == (b"", "decryption-failed")
    proved = authenticated([ktri(alice)], DATA, attributes=ATTRIBUTES)
    for versions in ((good, proved), (proved, good), (proved, proved, good)):
        assert read(cmstream.decrypt_iter(Changing(*versions), me))[1] == "decryption-failed"
    assert read(cmstream.decrypt_iter(Changing(proved), me)) == (DATA, "")


def test_a_reader_that_is_closed_reads_no_more(alice, me):
    reader = cmstream.DecryptReader(io.BytesIO(authenticated([ktri(alice)], DATA)), me)
    assert reader.read(10) == DATA[:10]
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read(1)


# Unverified


def test_unverified_comes_at_once_and_is_verified_at_the_end(alice, me):
    for variant in ({}, {"cipher": chacha20()}):
        sealed = authenticated([ktri(alice)], DATA, **variant)
        wrong = flip(sealed)
        context = cmstream.decryptor(me, unverified=True)
        assert context.update(sealed[:-50]) == DATA[: len(DATA) - 32]
        for source in (io.BytesIO, lambda octets: pieces(octets, 999)):
            opened = read(cmstream.decrypt_iter(source(sealed), me, unverified=True))
            assert opened == (DATA, "")
            opened = read(cmstream.decrypt_iter(source(wrong), me, unverified=True))
            assert opened == (DATA, "decryption-failed")
        assert written(wrong, me, unverified=True) == (DATA, "decryption-failed")
        with pytest.raises(cmstream.DecryptionError):
            cmstream.DecryptReader(io.BytesIO(wrong), me, unverified=True).read()


def test_attributes_are_not_verified_in_one_pass(alice, me):
    sealed = authenticated([ktri(alice)], DATA, attributes=ATTRIBUTES)
    refused = (DATA, "unsupported-cipher")
    assert given(cmstream.decryptor(me, unverified=True), [sealed]) == refused
    assert written(sealed, me, unverified=True) == refused
    assert read(cmstream.decrypt_iter([sealed], me, unverified=True)) == refused
    with pytest.raises(cmstream.EnvelopeError, match="seekable"):
        pushed([sealed], me, unverified=True)
    for octets, code in ((sealed, ""), (flip(sealed), "decryption-failed")):
        file = io.BytesIO(octets)
        assert read(cmstream.decrypt_iter(file, me, unverified=True)) == (DATA, code)
