"""Every shape of opening gives what was sealed, however the message comes in."""

from __future__ import annotations

import io
import itertools
import os
import random
import re
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cmstream
from cmstream.ciphers import KEY_LEN
from helpers import handmade
from helpers.people import identity, person
from helpers.shapes import SHAPES, WEAK_TOO, StandIn, pieces, pushed

SIZES = [0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 4095, 4096, 4097, 16383, 16384, 16385, 70_000]
DATA = random.Random(1).randbytes(70_000)
FORMS = ["der", "pem", "smime"]


def sealed_as(to, data, form, *, sized, policy=WEAK_TOO):
    context = cmstream.encryptor(to, form=form, size=len(data) if sized else None, policy=policy)
    return context.update(data) + context.finalize()


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_every_shape_opens_every_form(alice, me, shape, form, sized):
    for size in SIZES:
        sealed = sealed_as(alice.recipient, DATA[:size], form, sized=sized)
        assert shape(sealed, me) == DATA[:size]


@pytest.mark.parametrize("cipher", KEY_LEN)
@pytest.mark.parametrize("form", FORMS)
def test_every_cipher_opens(alice, me, shape, cipher, form):
    policy = cmstream.Policy(cipher=cipher)
    for size, sized in zip(SIZES, itertools.cycle([True, False, False])):
        sealed = sealed_as(alice.recipient, DATA[:size], form, sized=sized, policy=policy)
        assert shape(sealed, me) == DATA[:size]


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes128-cbc"])
@pytest.mark.parametrize("key_transport", ["pkcs1v15", "oaep-sha256"])
@pytest.mark.parametrize("recipient_id", ["issuer-serial", "ski"])
def test_every_policy_opens(alice, me, cipher, key_transport, recipient_id):
    policy = cmstream.Policy(cipher=cipher, key_transport=key_transport, recipient_id=recipient_id)
    sealed = cmstream.encrypt(DATA, alice.recipient, policy=policy)
    assert {shape(sealed, me) for shape in SHAPES.values()} == {DATA}


def test_every_level_of_the_processor_opens(level, alice, me):
    for size in SIZES:
        assert cmstream.decrypt(cmstream.encrypt(DATA[:size], alice.recipient), me) == DATA[:size]


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_octet_by_octet_it_is_the_same(alice, me, form, sized):
    for size in (0, 15, 16, 17, 5000):
        sealed = sealed_as(alice.recipient, DATA[:size], form, sized=sized)
        assert pushed(pieces(sealed, 1), me) == DATA[:size]


@given(st.integers(0, 20_000), st.booleans(), st.sampled_from(FORMS), st.randoms())
@settings(max_examples=60, deadline=None)
def test_random_cuts(size, sized, form, chance):
    someone = person()
    sealed = sealed_as(someone.recipient, DATA[:size], form, sized=sized)
    cuts = sorted(chance.randrange(len(sealed) + 1) for _ in range(chance.randrange(9)))
    parts = [sealed[a:b] for a, b in zip([0, *cuts], [*cuts, len(sealed)], strict=True)]
    assert pushed(parts, identity(someone)) == DATA[:size]


def test_any_segments_open(alice, me, shape):
    ciphertext = handmade.encrypt(handmade.pad(DATA[:1000]))
    for size in (1, 15, 16, 17, 100, 2000):
        parts = handmade.segments(ciphertext, size)
        for indefinite in (True, False):
            sealed = handmade.envelope([handmade.ktri(alice)], parts, indefinite=indefinite)
            assert shape(sealed, me) == DATA[:1000]


@pytest.mark.parametrize("length", [16, 24, 32])
def test_every_key_length_opens(alice, me, shape, length):
    key, iv = handmade.KEY[:length], handmade.element(4, handmade.IV)
    cipher = handmade.algorithm(handmade.CIPHERS[length], iv)
    ciphertext = handmade.encrypt(handmade.pad(DATA[:999]), key)
    sealed = handmade.envelope([handmade.ktri(alice, key)], ciphertext, cipher=cipher)
    assert shape(sealed, me) == DATA[:999]


def triple_des(alice, padded, key=bytes(range(24))):
    cipher = handmade.algorithm(handmade.TRIPLE_DES, handmade.element(4, handmade.IV[:8]))
    ciphertext = handmade.encrypt(padded, key, cipher=handmade.TripleDES)
    return handmade.envelope([handmade.ktri(alice, key)], ciphertext, cipher=cipher)


def test_old_mail_opens(alice, me, shape):
    for size in SIZES[:13]:
        sealed = triple_des(alice, handmade.pad(DATA[:size], 8))
        assert shape(sealed, me) == DATA[:size]
        assert pushed(pieces(sealed, 1), me) == DATA[:size]


@pytest.mark.parametrize("last", [bytes(8), b"1234567\t", b"12345\3\2\3", b"12345678", b""])
def test_old_mail_with_wrong_padding_fails_as_any_other(alice, me, shape, last):
    with pytest.raises(cmstream.DecryptionError) as caught:
        shape(triple_des(alice, last), me)
    with pytest.raises(cmstream.DecryptionError, match=re.escape(str(caught.value))):
        shape(handmade.envelope([handmade.ktri(alice)], b"no whole block"), me)


def test_each_of_several_recipients_opens(alice, bob, shape):
    people = [alice, bob, person(1024, number=3), person(3072, number=4)]
    sealed = cmstream.encrypt(DATA, [p.recipient for p in people], policy=WEAK_TOO)
    for someone in people:
        assert shape(sealed, identity(someone)) == DATA
        assert shape(sealed, [identity(person(number=5)), identity(someone)]) == DATA
    assert shape(sealed, map(identity, people)) == DATA


def test_any_bytes_like_object_is_taken(alice, me):
    import array

    sealed = cmstream.encrypt(DATA, alice.recipient, form="pem")
    sealed += b" " * (-len(sealed) % 4)
    for given_as in (bytearray(sealed), memoryview(sealed), array.array("I", sealed)):
        assert cmstream.decrypt(given_as, me) == DATA


def test_white_space_may_follow_and_nothing_else(alice, me, shape):
    for form in FORMS:
        sealed = cmstream.encrypt(DATA, alice.recipient, form=form)
        assert shape(sealed + b" \t\r\n\n", me) == DATA
        if form != "pem":
            with pytest.raises(cmstream.EnvelopeError) as caught:
                shape(sealed + b"MIIB", me)
            assert caught.value.code in {"trailing-data", "malformed"}


# How a stream ends


def test_errors_are_for_good(alice, me):
    context = cmstream.decryptor(me)
    with pytest.raises(cmstream.EnvelopeError):
        context.update(cmstream.encrypt(DATA, alice.recipient).replace(b"\x31", b"\x30", 1))
    for call in (lambda: context.update(b"x"), context.finalize):
        with pytest.raises(cmstream.AlreadyFinalized):
            call()


def test_finalize_and_abort_end_a_stream(alice, me):
    for end in ("finalize", "abort"):
        context = cmstream.decryptor(me)
        context.update(cmstream.encrypt(DATA, alice.recipient))
        getattr(context, end)()
        for call in (lambda c=context: c.update(b""), context.finalize):
            with pytest.raises(cmstream.AlreadyFinalized):
                call()


@pytest.mark.parametrize("form", FORMS)
def test_too_small_a_buffer_is_an_error_without_harm(alice, me, form):
    sealed = cmstream.encrypt(DATA, alice.recipient, form=form)
    context, out = cmstream.decryptor(me), b""
    for part in pieces(sealed, 20_000):
        for room in (0, context.bound(len(part)) - 1):
            with pytest.raises(ValueError, match="too small"):
                context.update_into(part, bytearray(room))
        out += context.update(part)
    with pytest.raises(ValueError, match="too small"):
        context.finalize_into(bytearray(context.bound(0) - 1))
    assert out + context.finalize() == DATA


def test_nothing_is_written_past_the_bound(alice, me):
    context = cmstream.decryptor(me)
    for part in pieces(cmstream.encrypt(DATA, alice.recipient), 999):
        room = context.bound(len(part))
        buffer = bytearray(b"\xaa" * (room + 8))
        context.update_into(part, memoryview(buffer)[:room])
        assert buffer[room:] == b"\xaa" * 8
    context.finalize()


def test_a_stand_in_for_the_key_is_asked_once(alice, shape):
    key = StandIn(alice.key)
    who = cmstream.Identity(key, alice.recipient)
    assert shape(cmstream.encrypt(DATA, alice.recipient), who) == DATA
    assert key.calls == 1


def test_a_second_thread_in_one_stream_gets_an_error(alice):
    errors = []

    def intrude():
        for call in (lambda: context.update(b"x"), context.finalize, context.abort):
            try:
                call()
            except cmstream.ConcurrentUseError as error:  # noqa: PERF203
                errors.append(error)

    def meanwhile():
        thread = threading.Thread(target=intrude)
        thread.start()
        thread.join()

    who = cmstream.Identity(StandIn(alice.key, meanwhile), alice.recipient)
    context = cmstream.decryptor(who)
    assert context.update(cmstream.encrypt(DATA, alice.recipient)) + context.finalize() == DATA
    assert len(errors) == 3


def test_a_key_that_breaks_down_says_so_itself(alice, shape):
    def breakdown():
        raise OSError("the token is gone")

    who = cmstream.Identity(StandIn(alice.key, breakdown), alice.recipient)
    with pytest.raises(OSError, match="token"):
        shape(cmstream.encrypt(DATA, alice.recipient), who)


def test_there_must_be_an_identity(shape):
    for nobody in ([], (), iter([])):
        with pytest.raises(ValueError, match="identity"):
            shape(b"", nobody)


# Files


def test_an_exception_in_the_block_gives_no_end(alice, me):
    sink, sealed = io.BytesIO(), cmstream.encrypt(DATA[:-1], alice.recipient)
    with (
        pytest.raises(RuntimeError, match="upload"),
        cmstream.DecryptWriter(sink, me) as out,
    ):
        out.write(sealed)
        raise RuntimeError("upload broke")
    assert len(sink.getvalue()) == len(DATA) - 16
    with pytest.raises(cmstream.AlreadyFinalized):
        out.write(b"more")


def test_a_cut_file_fails_every_shape(alice, me, shape):
    for form in FORMS:
        sealed = cmstream.encrypt(DATA, alice.recipient, form=form)
        with pytest.raises(cmstream.EnvelopeError) as caught:
            shape(sealed[: len(sealed) // 2], me)
        assert caught.value.code == "truncated"


def test_a_reader_reads_a_little_at_a_time_and_closes(alice, me):
    source = io.BytesIO(cmstream.encrypt(DATA, alice.recipient))
    with cmstream.DecryptReader(source, me) as reader:
        assert b"".join(iter(lambda: reader.read(777), b"")) == DATA
    assert not source.closed
    with pytest.raises(ValueError, match="closed"):
        reader.read(1)


def test_memory_does_not_grow_with_the_message(alice, me):
    part, count = DATA[: 1 << 16], 512
    sealed = cmstream.encrypt_iter((part for _ in range(count)), alice.recipient, form="smime")
    tracemalloc.start()
    try:
        total = sum(map(len, cmstream.decrypt_iter(sealed, me)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == len(part) * count
    assert peak < 4 << 20


# Many


def test_many_come_in_their_order(alice, bob, me):
    jobs = []
    for size in SIZES:
        someone = (alice, bob)[size % 2]
        jobs.append((cmstream.encrypt(DATA[:size], someone.recipient), identity(someone)))
    assert cmstream.decrypt_many(iter(jobs), form="content") == [DATA[:n] for n in SIZES]


def test_one_failure_among_many(alice, bob, me):
    good = cmstream.encrypt(DATA, alice.recipient)
    other = cmstream.encrypt(DATA, bob.recipient)
    jobs = [(good, me), (other, me), (good, []), good, (good, me)]
    answers = cmstream.decrypt_many(jobs, form="content", return_exceptions=True)
    assert answers[0] == answers[4] == DATA
    assert isinstance(answers[1], cmstream.NoRecipientError)
    assert isinstance(answers[2], ValueError)
    assert isinstance(answers[3], TypeError)
    with pytest.raises(cmstream.NoRecipientError):
        cmstream.decrypt_many(jobs)
    with pytest.raises(ValueError, match="form"):
        cmstream.decrypt_many([], form="pem")


def test_what_ends_a_thread_of_many_is_raised(alice):
    """As a key in a token's object may do: none of the messages beside it counts as answered."""

    class Broken:
        key_size = 2048

        def public_key(self):
            return alice.key.public_key()

        def decrypt(self, *given):
            if threading.current_thread() is not threading.main_thread():
                raise SystemExit("the token is gone")
            time.sleep(0.001)  # the other thread gets its turn
            return alice.key.decrypt(*given)

    who = cmstream.Identity(Broken(), alice.recipient)
    sealed = cmstream.encrypt(DATA, alice.recipient)
    with pytest.raises(SystemExit, match="the token is gone"):
        cmstream.decrypt_many([(sealed, who)] * 64, workers=2, form="content")


FEW_THREADS = """
import resource, threading, cmstream
archive = cmstream.Recipient.from_kek(bytes(32), b"2026")
jobs = [(cmstream.encrypt(b"%d" % i, archive), archive) for i in range(300)]
cmstream.decrypt_many(jobs, form="content", workers=1)
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
threading.stack_size(256 << 20)
answers = cmstream.decrypt_many(jobs, form="content", workers=100)
print(answers == [b"%d" % i for i in range(300)], threading.active_count())
"""


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="it maps terabytes itself")
@pytest.mark.skipif(sys.platform != "linux", reason="no such limit elsewhere")
def test_with_fewer_threads_than_it_wants_it_opens_all():
    done = subprocess.run(
        [sys.executable, "-c", FEW_THREADS],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "True 1\n", done.stderr
