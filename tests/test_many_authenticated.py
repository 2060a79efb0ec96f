"""Messages with an authenticated cipher, and those with protected fields, among many: each is what
the stream makes of it, in its place, and no plaintext or key stays behind."""

from __future__ import annotations

import itertools
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

import cmstream
from cmstream import many
from cmstream.cms import aead, authenticated
from cmstream.engine import batch, gate
from cmstream.recipients.recipients import prepare
from helpers.opening import auth_envelope, dearmour, open_cms, open_message
from helpers.people import identity, person

CIPHERS = ["aes256-gcm", "aes128-gcm", "chacha20-poly1305"]
PIECE = 128 << 10
"""Bytes of a body that C hands over at a time."""
POLICIES = [
    cmstream.DEFAULT.clone(cipher=cipher, header_protection=protection)
    for cipher, protection in itertools.product(["aes256-cbc", *CIPHERS], [None, "baseline", "shy"])
]
GCM = cmstream.DEFAULT.clone(cipher="aes256-gcm")
SHY = cmstream.DEFAULT.clone(header_protection="shy")
SECRET = b"nobody may find this line\n"


def mail(source, size):
    """A message with random fields and line ends, some of which come late."""
    fields = [
        b"From: Anna <a@x.org>\n", b"Subject: %d\r\n" % size, b"MIME-Version: 1.0\n",
        b"Content-Type: text/plain; charset=utf-8\r\n", b"Received: by x\r\n",
        b"Date: Mon, 1 Jan 2024 10:00:00 +0200\r\n", b"Content-Transfer-Encoding: binary\r\n",
    ]  # fmt: skip
    end = source.choice([b"\r\n", b"\n"])
    body = (b"line of text" * 5 + end) * (size // 61 + 1)
    if source.random() < 0.3:
        body += b"\n"
    return b"".join(source.sample(fields, source.randrange(1, 7))) + end + body


def streamed(message, to, policy):
    """What a stream, which C serves by other functions, makes of the message."""
    context = cmstream.encryptor(to, form="message", policy=policy)
    parts = [context.update(message[i : i + 9000]) for i in range(0, len(message), 9000)]
    return b"".join([*parts, context.finalize()])


@pytest.mark.parametrize("count", [1, 2, 17, 40])
def test_each_message_is_what_the_stream_makes_of_it(count, alice):
    source = random.Random(count)
    to = cmstream.Recipients([alice.recipient])
    sizes = source.choices([0, 1, 300, 4096, 9000, 100_000, PIECE, 3 * PIECE], k=count)
    jobs = [(mail(source, size), to, source.choice(POLICIES)) for size in sizes]
    for (message, _, policy), answer in zip(jobs, cmstream.encrypt_many(jobs), strict=True):
        assert answer.readonly
        expected = streamed(message, to, policy)
        assert open_message(bytes(answer), alice.key) == open_message(expected, alice.key)
        opened = open_cms(dearmour(bytes(answer)), alice.key)
        assert opened.cipher == policy.cipher


@pytest.mark.parametrize("form", ["der", "pem", "smime"])
@pytest.mark.parametrize("cipher", CIPHERS)
def test_content_of_every_size_opens_in_every_form(form, cipher):
    source = random.Random(form)
    people = [person(2048, number=1), person(3072, number=2)]
    to = cmstream.Recipients([one.recipient for one in people])
    policy = cmstream.DEFAULT.clone(cipher=cipher, header_protection="shy")
    sizes = [0, 1, 47, 48, 49, 9000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 300_000]
    contents = [source.randbytes(size) for size in sizes]
    for content, answer in zip(
        contents, cmstream.encrypt_many([(c, to, policy) for c in contents], form=form), strict=True
    ):
        context = cmstream.encryptor(to, form=form, size=len(content), policy=policy)
        expected = context.update(content) + context.finalize()
        assert len(answer) == len(expected)
        assert bytes(answer[:60]) == expected[:60]
        der = bytes(answer) if form == "der" else dearmour(bytes(answer))
        # DER sorts the shorter RecipientInfo first.
        opened = {open_cms(der, one.key, index) for index, one in enumerate(people)}
        assert opened == {(content, cipher, 0, 2)}


def test_keys_that_python_encrypts_to(alice):
    """The batch brings their RecipientInfos for authenticated ciphers too."""
    kek = cmstream.Recipient.from_kek(bytes(32), b"1")
    to = cmstream.Recipients([alice.recipient, kek])
    policy = GCM.clone(header_protection="baseline")
    jobs = [(b"Subject: x\r\n\r\n" + b"body\r\n" * i, to, policy) for i in range(20)]
    who = cmstream.Identity.from_kek(bytes(32), b"1")
    for (message, *_), answer in zip(jobs, cmstream.encrypt_many(jobs), strict=True):
        opened = cmstream.decrypt_message(bytes(answer), [who])
        head, _, body = opened.partition(b"\r\n\r\n")
        assert b"Subject: x\r\n" in head
        assert message == b"Subject: x\r\n\r\n" + body


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("body", [0, 1, 40, 9000, 200_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_long_inner_header_goes_before_the_body(alice, count, body, end):
    """It isn't copied to the queue of a lane, but read as part of the body."""
    to = cmstream.Recipients([alice.recipient])
    source = random.Random(body)
    fields = [b"%b-%d: %b" % (b"X" if i % 3 else b"Content-X", i, b"y" * source.randrange(990))
              for i in range(150)]  # fmt: skip
    message = end.join([*fields, b"", source.randbytes(body).replace(b"\n", end)])
    jobs = [(message, to, policy) for policy in POLICIES] * count + [(b"A: b\r\n\r\nx", to)]
    answers = cmstream.encrypt_many(jobs)
    expected = [open_message(streamed(message, to, one), alice.key) for one in POLICIES] * count
    assert [open_message(bytes(one), alice.key) for one in answers[:-1]] == expected
    assert open_message(bytes(answers[-1]), alice.key)[1] == b"\r\nx"


@pytest.mark.parametrize("policy", [GCM, SHY, GCM.clone(header_protection="shy")])
def test_late_bare_line_feeds(alice, policy):
    to = cmstream.Recipients([alice.recipient])
    start = b"Subject: x\r\n\r\n" + b"line\r\n" * 2000
    messages = [start, start + b"x\n", start + b"x\r\n" * 90_000 + b"\ny" * 9000, start]
    answers = cmstream.encrypt_many([(m, to, policy) for m in messages])
    for message, answer in zip(messages, answers, strict=True):
        _, inside = open_message(bytes(answer), alice.key)
        assert inside == open_message(streamed(message, to, policy), alice.key)[1]
        assert inside.count(b"\n") == inside.count(b"\r\n") >= message.count(b"\n") - 3


def test_no_key_and_no_nonce_comes_twice(alice):
    to = cmstream.Recipients([alice.recipient])
    answers = cmstream.encrypt_many([(b"same" * 10, to)] * 40, form="der", policy=GCM)
    parts = [auth_envelope(bytes(one))["authEncryptedContentInfo"] for one in answers]
    nonces = {bytes(one["contentEncryptionAlgorithm"]["parameters"]) for one in parts}
    assert len(nonces) == len({bytes(one["encryptedContent"]) for one in parts}) == 40


# Errors


def test_what_is_too_long_for_a_cipher_harms_no_other(monkeypatch, alice):
    monkeypatch.setattr(aead, "GCM_LIMIT", 1000)
    to = cmstream.Recipients([alice.recipient])
    jobs = [(bytes(size), to, policy) for size in (1000, 1001, 5) for policy in (GCM, SHY)]
    answers = cmstream.encrypt_many(jobs, form="der", return_exceptions=True)
    assert [getattr(one, "code", None) for one in answers] == [None, None, "too-large", *[None] * 3]
    for (content, *_), answer in zip(jobs, answers, strict=True):
        if not isinstance(answer, Exception):
            assert open_cms(bytes(answer), alice.key).content == content
    with pytest.raises(cmstream.MessageError, match="chacha20-poly1305 takes"):
        cmstream.encrypt_many(jobs, form="der")


def test_each_error_stays_in_its_place(alice):
    to = cmstream.Recipients([alice.recipient])
    good = b"Subject: x\r\n\r\nbody\r\n"
    sealed = bytes(cmstream.encrypt_many([(good, to, GCM)])[0])
    refusing = GCM.clone(already_encrypted="refuse", header_protection="shy")
    jobs = [
        (good, to, GCM), (b"", to, GCM), (b"A: " + b"b" * (5 << 20), to, SHY),
        (sealed, to, refusing), (sealed, to, GCM), (good, [], GCM), (good, to, refusing),
    ]  # fmt: skip
    answers = cmstream.encrypt_many(jobs, return_exceptions=True)
    codes = [getattr(answer, "code", None) for answer in answers]
    assert codes == [None, "malformed-message", "header-too-large", "already-encrypted", None,
                     "no-recipients", None]  # fmt: skip
    assert answers[4] == sealed
    for index in (0, 6):
        inside = open_message(bytes(answers[index]), alice.key)[1]
        assert inside.endswith(b"\r\nbody\r\n")


@pytest.mark.parametrize("policy", [GCM, SHY, GCM.clone(header_protection="shy")])
@pytest.mark.parametrize("change", [b"\n", b"x", b"\r\n"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_nothing_is_written_beyond_the_room_of_a_message_that_changes(
    monkeypatch, alice, policy, change, end
):
    message = b"A: b\nSubject: x\n\n" + (b"line" + end) * 60_000
    data, real = bytearray(message), many.Group.plan_sizes

    def plan_sizes(group):
        found = real(group)
        data[:] = (change * len(data))[: len(data)]
        return found

    size = len(cmstream.encrypt_message(message, alice.recipient, policy=policy))
    monkeypatch.setattr(many.Group, "plan_sizes", plan_sizes)
    buffer = bytearray(b"\xa5" * (size + 100_000))
    jobs = [(data, alice.recipient, policy)]
    (answer,) = cmstream.encrypt_many_into(jobs, buffer, return_exceptions=True)
    assert buffer[size:] == b"\xa5" * 100_000
    assert isinstance(answer, ValueError) or len(answer) == size


def test_a_message_that_changes_harms_no_other(monkeypatch, alice):
    good = b"A: b\r\n\r\n" + b"line\n" * 5000
    data, real = bytearray(good), many.Group.plan_sizes

    def plan_sizes(group):
        found = real(group)
        data[:] = b"\n" * len(data)
        return found

    monkeypatch.setattr(many.Group, "plan_sizes", plan_sizes)
    to = cmstream.Recipients([alice.recipient])
    jobs = [(good, to), (data, to), (good, to)]
    one, bad, other = cmstream.encrypt_many(jobs, policy=GCM, return_exceptions=True)
    assert isinstance(bad, ValueError)
    for answer in (one, other):
        assert open_message(bytes(answer), alice.key)[1] == b"\r\n" + b"line\r\n" * 5000


# Secrets


def group_of(alice, messages, encrypt=authenticated.encrypt_pieces):
    native = prepare(cmstream.Recipients([alice.recipient]), GCM).native
    form = batch.Form(b"", b"", base64=True, message=True)
    group = batch.Batch(form, messages, [native] * len(messages), encrypt)
    rooms = [bytearray(total) for total in group.plan_sizes(count_all=True)]
    return group, [gate.address(room) for room in rooms], rooms


def keys(group, count):
    return [bytes(gate.ffi.buffer(gate.ffi.addressof(group._jobs[i].key))) for i in range(count)]


@pytest.fixture
def memory(monkeypatch):
    """The working memory that the next batch uses, cleared."""
    own = gate.ffi.new("struct seal_aead *")
    monkeypatch.setattr(batch, "_aead", [own])
    return own


def test_keys_and_plaintext_are_wiped(alice, memory):
    messages = [b"A: b\n\n" + SECRET * count for count in (1, 1000, 20_000)]
    group, addresses, rooms = group_of(alice, messages)
    made = keys(group, 3)
    assert all(map(any, made))
    assert group.run(addresses) == 0
    assert not any(map(any, keys(group, 3)))
    left = bytes(gate.ffi.buffer(memory))
    assert SECRET[:16] not in left
    assert not any(key[:16] in left for key in made)
    assert [group.written(i) for i in range(3)] == list(map(len, rooms))


@pytest.mark.parametrize("pieces", [0, 1])
def test_they_are_wiped_when_the_cipher_fails(alice, memory, pieces):
    seen = []

    def encrypt(_cipher, _key, _nonce, some):
        seen.extend(bytes(piece.text)[:60] for piece in itertools.islice(some, pieces + 1))
        raise MemoryError

    messages = [b"A: b\n\n" + SECRET * 20_000] * 2
    group, addresses, _ = group_of(alice, messages, encrypt)
    assert group.run(addresses) == 2
    assert all(isinstance(group.errors[index], MemoryError) for index in range(2))
    assert all(SECRET[:16] in text for text in seen)
    assert len(seen) == 2 * (pieces + 1)
    assert SECRET[:16] not in bytes(gate.ffi.buffer(memory))
    assert not any(map(any, keys(group, 2)))


def test_a_message_without_a_key_for_its_recipients_is_left_out(alice, memory):
    """As where the random generator fails in the middle: C has noted an error."""
    group, addresses, _ = group_of(alice, [b"A: b\n\nx", b"A: b\n\ny"])
    group._jobs[0].total = batch.NO_RANDOM
    assert group.run(addresses) == 0
    assert group.written(0) == 0
    assert group.written(1) > 0
    assert not any(map(any, keys(group, 2)))
    assert memory in batch._aead


def test_threads(alice):
    to = cmstream.Recipients([alice.recipient])

    def work(number):
        jobs = [
            (b"%d" % number * size, to, policy)
            for size in (1, 1000, 70_000, 200_000)
            for policy in (GCM, POLICIES[-1], cmstream.DEFAULT)
        ]
        answers = [cmstream.encrypt_many(jobs, form="der") for _ in range(6)]
        return all(
            open_cms(bytes(answer), alice.key).content == job[0]
            for some in answers
            for job, answer in zip(jobs, some, strict=True)
        )

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [True] * 4


def test_a_cipher_that_fails_for_one_message_harms_no_other(alice, monkeypatch):
    """As ChaCha20 fails where only FIPS's ciphers are allowed."""
    whole = aead.encrypt_into

    def refused(cipher, *given):
        if cipher == "chacha20-poly1305":
            raise MemoryError("no room for this one")
        whole(cipher, *given)

    monkeypatch.setattr("cmstream.cms.aead.encrypt_into", refused)
    to, message = cmstream.Recipients([alice.recipient]), b"Subject: x\r\n\r\ntext\r\n"
    policies = [cmstream.DEFAULT.clone(cipher=cipher) for cipher in ["aes256-cbc", *CIPHERS] * 2]
    answers = cmstream.encrypt_many(
        [(message, to, policy) for policy in policies], return_exceptions=True
    )
    for policy, answer in zip(policies, answers, strict=True):
        if policy.cipher == "chacha20-poly1305":
            assert isinstance(answer, MemoryError)
        else:
            assert cmstream.decrypt_message(answer, identity(alice)).endswith(b"text\r\n")
    with pytest.raises(MemoryError, match="this one"):
        cmstream.encrypt_message(message, to, policy=policies[3])
