"""Whatever is wrong with a sealed message, the end is a documented error that tells no more."""

from __future__ import annotations

import base64
import itertools
import re
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from cmstream import spool
from cmstream.cms import enveloped
from helpers import handmade
from helpers.authorities import element, key_usage
from helpers.authorities import identity as certified
from helpers.handmade import KEY, encrypt, envelope, ktri, pad
from helpers.opening import dearmour
from helpers.opening import envelope as parsed
from helpers.people import Person, identity, person
from helpers.shapes import WEAK_TOO, StandIn, pieces, pushed

DOCUMENTED = {
    error: set(re.findall("``([a-z-]+)``", error.__doc__)) - {"recipients"}
    for error in (cmstream.EnvelopeError, cmstream.DecryptionError, cmstream.NoRecipientError)
}
TEXT = b"Hello, Alice"
MAIL = b"Subject: x\r\nContent-Type: text/plain\r\n\r\n" + TEXT
ERRORS = tuple(DOCUMENTED)


@pytest.fixture(scope="module")
def small():
    """A person whose key is quick."""
    return person(1024)


def outcome(work, *arguments, **options):
    """What comes out, or the code of a documented error."""
    try:
        return work(*arguments, **options)
    except ERRORS as error:
        assert error.code in DOCUMENTED[type(error)]
        return error.code


def failure(make, identities):
    """The error of a message whose key doesn't unwrap, which once in 256 times gives noise."""
    for _ in range(6):
        try:
            cmstream.decrypt(make(), identities)
        except cmstream.CmstreamError as error:  # noqa: PERF203
            return type(error), error.code, str(error)
    return None


ALIKE = (
    cmstream.DecryptionError,
    "decryption-failed",
    "the message doesn't decrypt: it is damaged, or it isn't for this key after all",
)


# Damage


def small_messages(someone):
    """DER, BER and mail, each with the octets that are the content once it is opened."""
    der = cmstream.encrypt(TEXT, someone.recipient, policy=WEAK_TOO)
    context = cmstream.encryptor(someone.recipient, policy=WEAK_TOO)
    ber = context.update(TEXT) + context.finalize()
    assert ber[1] == 0x80
    mail = cmstream.encrypt_message(MAIL, someone.recipient, policy=WEAK_TOO)
    return {"der": (der, TEXT), "ber": (ber, TEXT), "mail": (mail, MAIL.partition(b"\r\n")[2])}


@pytest.mark.parametrize("form", ["der", "ber", "mail"])
def test_a_message_cut_anywhere_is_no_message(small, form):
    sealed, content = small_messages(small)[form]
    who = identity(small)
    for length in range(len(sealed)):
        cut = sealed[:length]
        codes = {outcome(cmstream.decrypt, cut, who), outcome(pushed, pieces(cut, 1), who)}
        assert len(codes) == 1
        if codes == {content}:  # a line end is missing, or what fills the base64 up
            assert sealed[length:].strip(b"=\r\n") == b""
        else:
            allowed = {"truncated"} if form != "mail" else {"truncated", "malformed"}
            assert codes <= allowed or length <= sealed.find(b"\r\n\r\n") + 1


def fragile(cms):
    """Where the octets are that nothing guards: key, IV, ciphertext."""
    content = parsed(cms)["encryptedContentInfo"]
    (info,) = parsed(cms)["recipientInfos"]
    iv = bytes(content["contentEncryptionAlgorithm"]["parameters"])[2:]
    found = set()
    for part in (bytes(info["ktri"]["encryptedKey"]), iv, bytes(content["encryptedContent"])):
        start = cms.index(part)
        found.update(range(start, start + len(part)))
    return found


def fragile_text(sealed):
    """The same of a mail: where the characters stand."""
    start = sealed.index(b"\r\n\r\n") + 4
    letters = (i for i in range(start, len(sealed)) if sealed[i : i + 1] not in b"\r\n")
    places = fragile(dearmour(sealed))
    return {i for n, i in enumerate(letters) if {6 * n // 8, (6 * n + 5) // 8} & places}


@pytest.mark.parametrize("form", ["der", "ber", "mail"])
def test_a_message_with_any_bit_flipped(small, form):
    """EnvelopedData isn't authenticated: where the ciphertext is touched other octets may come."""
    sealed, content = small_messages(small)[form]
    who = identity(small)
    unguarded = fragile_text(sealed) if form == "mail" else fragile(sealed)
    for place, bit in itertools.product(range(len(sealed)), range(8)):
        damaged = bytearray(sealed)
        damaged[place] ^= 1 << bit
        result = outcome(cmstream.decrypt, damaged, who)
        assert isinstance(result, str) or result == content or place in unguarded
        assert isinstance(outcome(cmstream.inspect, damaged), str | cmstream.Inspection)
        if place % 8 == bit:
            assert outcome(pushed, pieces(bytes(damaged), 7), who) == result or place in unguarded


# Padding


@pytest.mark.parametrize("size", range(33))
def test_right_padding_of_every_length(alice, me, size):
    sealed = envelope([ktri(alice)], encrypt(pad(bytes(size))))
    assert cmstream.decrypt(sealed, me) == bytes(size)


WRONG = {
    "zero": bytes(16),
    "seventeen": b"\x11" * 48,
    "thirty-two": b"\x20" * 48,
    "two hundred fifty-five": b"\xff" * 272,
    "top bit set": b"x" * 15 + b"\x81",
    "none": b"sixteen letters.",
    "less than it says": b"x" * 13 + b"\4" * 3,
    "no block": b"",
} | {
    f"octet {i} of {n}": b"x" * (16 - n) + bytes([n]) * i + b"\0" + bytes([n]) * (n - i - 1)
    for n in range(2, 17)
    for i in range(n - 1)
}


@pytest.mark.parametrize("padded", WRONG.values(), ids=WRONG)
def test_wrong_padding(alice, me, padded):
    for before in (b"", b"block of content", b"block of content" * 300):
        sealed = envelope([ktri(alice)], encrypt(before + padded if padded else b""))
        assert failure(lambda sealed=sealed: sealed, me) == ALIKE


def test_ciphertext_that_ends_within_a_block(alice, me):
    ciphertext = encrypt(pad(bytes(100)))
    for length in {*range(1, len(ciphertext))} - {*range(16, 112, 16)}:
        assert failure(lambda n=length: envelope([ktri(alice)], ciphertext[:n]), me) == ALIKE


# Keys


def raw(someone, block):
    """Encrypts a block that is padded in some way, or none."""
    numbers = someone.key.public_key().public_numbers()
    count = (numbers.n.bit_length() + 7) // 8
    block = block.rjust(count, b"\0") if isinstance(block, bytes) else block(count)
    return pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(count, "big")


def filler(count, key=KEY):
    return b"\xbb" * (count - len(key) - 3)


WRONG_BLOCKS = {
    "type 1": lambda n: b"\0\1" + filler(n) + b"\0" + KEY,
    "no leading zero": lambda n: b"\1\2" + filler(n) + b"\0" + KEY,
    "no separator": lambda n: b"\0\2" + b"\xbb" * (n - 2),
    "short padding": lambda n: (b"\0\2" + b"\xbb" * 7 + b"\0" + KEY).ljust(n, b"\xbb"),
    "zero in the padding": lambda n: b"\0\2\0" + filler(n)[1:] + b"\0" + KEY,
    "nothing": bytes,
    "only the key": lambda n: KEY.rjust(n, b"\0"),
} | {
    f"key of {length}": lambda n, key=bytes(length): b"\0\2" + filler(n, key) + b"\0" + key
    for length in (0, 1, 5, 16, 24, 31, 33, 64)
}


@pytest.mark.parametrize("block", WRONG_BLOCKS.values(), ids=WRONG_BLOCKS)
def test_wrong_padding_of_the_key_looks_like_a_wrong_key(alice, me, block):
    ciphertext = encrypt(pad(TEXT))
    infos = [ktri(alice, encrypted=raw(alice, block))]
    assert failure(lambda: envelope(infos, ciphertext), me) in (ALIKE, None)
    random = iter(range(1, 9))
    texts = (pad(bytes([n]) * 99) for n in random)
    assert failure(lambda: envelope(infos, encrypt(next(texts))), me) == ALIKE


def test_an_encrypted_key_of_wrong_length_or_value(alice, me):
    for encrypted in (b"", b"\0", b"\xff" * 255, b"\xff" * 256, b"\xff" * 257, bytes(9999)):
        infos = [ktri(alice, encrypted=encrypted)]
        assert failure(lambda infos=infos: envelope(infos, encrypt(pad(TEXT))), me) == ALIKE


def test_a_key_for_somebody_else_under_our_name(alice, bob, me):
    name = handmade.issuer_and_serial(alice.recipient)
    oaep = handmade.algorithm(handmade.OAEP, element(0x30))
    for how in (None, oaep):
        infos = [ktri(bob, name=name, how=how)]
        assert failure(lambda infos=infos: envelope(infos, encrypt(pad(TEXT))), me) == ALIKE


def test_failing_tells_nothing_though_the_random_key_fits(alice, bob, me, monkeypatch):
    """The random key opens what was sealed with it, as a right one does: noise, and no error."""
    monkeypatch.setattr("cmstream.recipients.content_key.os.urandom", lambda count: KEY[:count])
    name = handmade.issuer_and_serial(alice.recipient)
    sealed = envelope([ktri(bob, name=name)], encrypt(pad(TEXT)))
    assert outcome(cmstream.decrypt, sealed, me) in {TEXT, "decryption-failed"}
    short = envelope([ktri(alice, KEY[:31])], encrypt(pad(TEXT)))
    assert cmstream.decrypt(short, me) == TEXT


def test_a_message_that_names_us_often_costs_one_operation(alice):
    key = StandIn(alice.key)
    who = cmstream.Identity(key, alice.recipient)
    sealed = envelope([ktri(alice)] * 3000, encrypt(pad(TEXT)))
    assert cmstream.decrypt(sealed, who) == TEXT
    assert key.calls == 1


def test_only_the_first_that_names_us_is_tried(alice, bob, me):
    infos = [ktri(alice, encrypted=bytes(256)), ktri(alice)]
    for who in (me, [identity(bob), me]):
        assert failure(lambda: envelope(infos, encrypt(pad(TEXT))), who) == ALIKE
        assert cmstream.decrypt(envelope(infos[::-1], encrypt(pad(TEXT))), who) == TEXT


def test_the_first_identity_is_the_one_that_is_tried(alice, bob):
    infos = [ktri(bob), ktri(alice, encrypted=bytes(256))]
    people = [identity(alice), identity(bob)]
    assert failure(lambda: envelope(infos, encrypt(pad(TEXT))), people) == ALIKE
    assert cmstream.decrypt(envelope(infos, encrypt(pad(TEXT))), people[::-1]) == TEXT


# OAEP with parameters of its own


def oaep(*, digest=b"", mask=b"", source=b""):
    return handmade.algorithm(handmade.OAEP, element(0x30, digest, mask, source))


SHA_1 = SHA1()  # noqa: S303 - the default of RFC 4055
SHA_256 = handmade.algorithm("2.16.840.1.101.3.4.2.1")
MGF1 = "1.2.840.113549.1.1.8"
OAEPS = [
    (oaep(), padding.OAEP(padding.MGF1(SHA_1), SHA_1, None)),
    (oaep(digest=element(0xA0, SHA_256)), padding.OAEP(padding.MGF1(SHA_1), SHA256(), None)),
    (
        oaep(mask=element(0xA1, handmade.algorithm(MGF1, SHA_256))),
        padding.OAEP(padding.MGF1(SHA256()), SHA_1, None),
    ),
    (
        oaep(source=element(0xA2, handmade.algorithm("1.2.840.113549.1.1.9", element(4, b"us")))),
        padding.OAEP(padding.MGF1(SHA_1), SHA_1, b"us"),
    ),
]


@pytest.mark.parametrize(("how", "padded"), OAEPS)
def test_oaep_with_any_parameters(alice, me, how, padded):
    encrypted = alice.key.public_key().encrypt(KEY, padded)
    sealed = envelope([ktri(alice, encrypted=encrypted, how=how)], encrypt(pad(TEXT)))
    assert cmstream.decrypt(sealed, me) == TEXT


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (handmade.algorithm("1.2.3.4"), "unsupported-cipher"),
        (oaep(digest=element(0xA0, handmade.algorithm("1.2.3.4"))), "unsupported-cipher"),
        (oaep(mask=element(0xA1, handmade.algorithm("1.2.3.4", SHA_256))), "unsupported-cipher"),
        (oaep(mask=element(0xA1, handmade.algorithm(MGF1))), "malformed"),
        (oaep(source=element(0xA2, handmade.algorithm("1.2.3.4"))), "malformed"),
        (oaep(digest=element(0xA0)), "malformed"),
    ],
)
def test_key_transport_that_is_not_known(alice, me, how, code):
    sealed = envelope([ktri(alice, how=how)], encrypt(pad(TEXT)))
    assert outcome(cmstream.decrypt, sealed, me) == code


# Whom it is for


def with_curve():
    key, certificate = certified("SECP256R1", usage=key_usage("key_agreement"))
    (recipient,) = cmstream.load_recipients(certificate.public_bytes(Encoding.DER))
    return Person(key, recipient)


def test_who_it_is_for_is_told(alice, bob, me):
    ec = with_curve()
    infos = [
        ktri(bob),
        ktri(bob, name=element(0x80, b"\xab\xcd")),
        handmade.kari(handmade.issuer_and_serial(ec.recipient), handmade.agreed_by_key(b"\1\2")),
        handmade.kekri(b"\xfe"),
        handmade.pwri(),
        handmade.ori(),
    ]
    with pytest.raises(cmstream.NoRecipientError) as caught:
        cmstream.decrypt(envelope(infos, b""), me)
    serials = [f"serial {one.recipient.serial:x} of CN=Test CA" for one in (bob, ec)]
    assert caught.value.recipients == (
        serials[0],
        "key identifier abcd",
        f"{serials[1]} and key identifier 0102",
        "key-encryption key fe",
        "a password recipient",
        "a recipient of another kind",
    )
    assert all(text in str(caught.value) for text in caught.value.recipients)


def test_a_long_list_is_cut_in_the_sentence_alone(bob, me):
    with pytest.raises(cmstream.NoRecipientError, match="and 80 more") as caught:
        cmstream.decrypt(envelope([ktri(bob)] * 100, b""), me)
    assert len(caught.value.recipients) == 100
    with pytest.raises(cmstream.NoRecipientError, match="nobody"):
        cmstream.decrypt(envelope([], bytes(128)), me)


def test_our_serial_number_of_another_issuer_is_not_ours(alice, me):
    stranger = element(0x30, element(0x30), alice.recipient.serial_der)
    sealed = envelope([ktri(alice, name=stranger)], encrypt(pad(TEXT)))
    assert outcome(cmstream.decrypt, sealed, me) == "no-recipient"


def test_a_way_that_our_key_can_not_go_though_it_is_for_us(me, alice):
    ec = with_curve()
    by_agreement = handmade.kari(handmade.agreed_by_key(alice.recipient.key_identifier))
    by_transport = ktri(alice, name=handmade.issuer_and_serial(ec.recipient))
    for who, info in ((me, by_agreement), (identity(ec), by_transport)):
        sealed = envelope([info], encrypt(pad(TEXT)))
        assert outcome(cmstream.decrypt, sealed, who) == "unsupported-cipher"
        # Another that it can go comes first, wherever it stands.
    sealed = envelope([by_agreement, ktri(alice)], encrypt(pad(TEXT)))
    assert cmstream.decrypt(sealed, me) == TEXT


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (handmade.AUTHENTICATED, "unsupported-cipher"),
        (handmade.DATA, "not-enveloped"),
        ("1.2.840.113549.1.7.2", "not-enveloped"),
        ("1.2.3", "not-enveloped"),
    ],
)
def test_cms_of_another_type(alice, me, kind, code):
    sealed = envelope([ktri(alice)], encrypt(pad(TEXT)), kind=kind)
    assert outcome(cmstream.decrypt, sealed, me) == code


@pytest.mark.parametrize("iv", [b"", b"\5\0", element(4, bytes(15)), element(4, bytes(17))])
def test_an_iv_of_another_length(alice, me, iv):
    cipher = handmade.algorithm(handmade.CIPHERS[32], iv)
    sealed = envelope([ktri(alice)], encrypt(pad(TEXT)), cipher=cipher)
    assert outcome(cmstream.decrypt, sealed, me) == "malformed"


# Limits


def nested(count, *, tag=0x24, indefinite=False):
    inner = element(4, b"x")
    for _ in range(count):
        inner = element(tag, inner, indefinite=indefinite)
    return inner


def quickly(sealed, identities, code):
    """Refused in no more time than reading takes, whole and in pieces."""
    begin = time.process_time()
    assert outcome(cmstream.decrypt, sealed, identities) == code
    assert outcome(pushed, pieces(sealed, 1000), identities) == code
    assert outcome(cmstream.inspect, sealed) == code
    assert time.process_time() - begin < 3


@pytest.mark.parametrize("indefinite", [True, False])
def test_segments_nest_only_so_deep(alice, me, indefinite):
    deep = (element(0xA0, nested(10_000, indefinite=indefinite), indefinite=True),)
    quickly(envelope([ktri(alice)], deep), me, "too-deep")
    flat = (element(0xA0, nested(8, indefinite=indefinite), indefinite=True),)
    assert outcome(cmstream.decrypt, envelope([ktri(alice)], flat), me) == "decryption-failed"


def test_open_ends_without_an_end(alice, me):
    start = envelope([ktri(alice)], b"", indefinite=True).removesuffix(b"\x80\0" + bytes(8))
    quickly(start + b"\xa0\x80" + b"\x24\x80" * 100_000, me, "too-deep")
    quickly(start + b"\xa0\x80" + b"\4\0" * 1_000_000, me, "truncated")
    quickly(b"\x30\x80" * 100_000, me, "malformed")


def test_a_head_that_nests_deep(alice, me):
    before = element(0xA0, nested(10_000, tag=0x30))
    quickly(envelope([ktri(alice)], b"", before=before), me, "too-deep")


def test_too_many_recipients(alice, me):
    info = ktri(alice, encrypted=bytes(256))
    quickly(envelope([info] * 4097, encrypt(pad(TEXT))), me, "too-many-recipients")
    sealed = envelope([ktri(alice), *[info] * 4095], encrypt(pad(TEXT)))
    assert cmstream.decrypt(sealed, me) == TEXT
    quickly(envelope([b"\x30\0"] * 1_000_000, b""), me, "malformed")


def test_too_large_a_head(alice, me):
    for size in (3 << 20, 5 << 20):
        before = element(0xA0, element(0xA0, element(0x30, element(4, bytes(size)))))
        sealed = envelope([ktri(alice)], encrypt(pad(TEXT)), before=before)
        if size < 4 << 20:
            assert cmstream.decrypt(sealed, me) == TEXT
        else:
            quickly(sealed, me, "too-large")


@pytest.mark.parametrize(
    ("length", "code"),
    [
        (b"\x84\xff\xff\xff\xff", "truncated"),
        (b"\x87" + b"\xff" * 7, "truncated"),
        (b"\x88\x7f" + b"\xff" * 7, "malformed"),
        (b"\x88" + b"\xff" * 8, "malformed"),
        (b"\x89\1" + bytes(8), "malformed"),
        (b"\xfe" + b"\xff" * 126, "malformed"),
        (b"\xff" + b"\xff" * 127, "malformed"),
    ],
)
def test_lengths_that_are_claimed_cost_nothing(alice, me, length, code):
    inner = handmade.oid(handmade.ENVELOPED) + b"\xa0\x80\x30\x80\2\1\0"
    quickly(b"\x30" + length + inner, me, code)
    quickly(b"\x30\x80" + inner + b"\x31" + length, me, code)
    sealed = envelope([ktri(alice)], b"", indefinite=True)
    assert sealed.endswith(b"\x80\0" + bytes(8))
    quickly(sealed[:-9] + length + bytes(100), me, code)


def test_a_header_block_without_end(me):
    quickly(b"X: " + b"y" * (5 << 20), me, "too-large")
    quickly(b"a:\n" * (2 << 20), me, "too-large")


def test_small_segments_take_linear_time(alice, me):
    ciphertext = encrypt(pad(bytes(300_000)))
    sealed = envelope([ktri(alice)], handmade.segments(ciphertext, 1))
    begin = time.process_time()
    assert cmstream.decrypt(sealed, me) == bytes(300_000)
    assert time.process_time() - begin < 2


def test_what_is_nested_behind_the_content_is_read_once(monkeypatch):
    deep, value = 26, element(5) * 9900
    nested = b"\x30\x80" * deep + value + bytes(2 * deep)
    attribute = handmade.attribute("1.2.3", nested)
    tail = element(0xA1, attribute, indefinite=True) + element(4)
    read, header = [], enveloped.tlv._header
    monkeypatch.setattr(enveloped.tlv, "_header", lambda *at: read.append(at) or header(*at))
    proved, _ = enveloped.read_tail(tail)
    assert len(read) < 3 * 9900  # to find its end, and to bring it into DER
    assert value in proved


@pytest.mark.parametrize("where", [0, 100])
def test_white_space_does_not_fill_the_disk(small, where):
    """Of base64, before the content is reached, there may be any amount of it."""
    old = envelope([ktri(small)], encrypt(pad(TEXT)))
    for sealed, expected in ((handmade.authenticated([ktri(small)], TEXT), "too-large"),
                             (old, TEXT)):  # fmt: skip
        text = base64.b64encode(sealed)
        context = cmstream.decryptor(identity(small), spool_limit=10_000)
        context.update(b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64")
        context.update(b"\r\n\r\n" + text[:where])
        waiting = next(x for x in vars(context).values() if isinstance(x, spool.Spool))
        for _ in range(10):
            context.update(b"\r\n" * 1000)
            assert sum(map(len, waiting.chunks())) <= 10_000
        given = outcome(context.update, text[where:])
        assert (given if given == "too-large" else given + context.finalize()) == expected
