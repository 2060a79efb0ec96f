"""Many messages at once: answers, order, errors, memory; every row and lane count."""

from __future__ import annotations

import gc
import itertools
import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

import cmstream
from cmstream import many
from cmstream.cms.already_encrypted import is_encrypted_body
from cmstream.engine import batch, gate
from cmstream.engine.buffer_pool import Pool
from cmstream.mail import mime
from cmstream.recipients.recipients import prepare
from helpers.opening import open_cms, open_message
from helpers.people import person

AES128 = cmstream.DEFAULT.clone(cipher="aes128-cbc")


@pytest.fixture(scope="module")
def several():
    """Recipients with keys of different sizes."""
    return [person(bits, number=i, emails=(f"{i}@x.org",)) for i, bits in enumerate((3072, 2048))]


def mail(source, size):
    """A message with random fields and line ends."""
    head = [b"Subject: %d\r\n" % size, b"MIME-Version: 1.0\n", b"Content-Type: text/plain\r\n"]
    end = source.choice([b"\r\n", b"\n"])
    body = (b"line of text" * 5 + end) * (size // 61 + 1)
    if source.random() < 0.2 and size > 10_000:
        at = source.randrange(8000, size)
        body = body[:at] + b"\n" + body[at:]
    return b"".join(source.sample(head, source.randrange(4))) + end + body[:size]


def inner(message):
    """What must come out of a sealed message."""
    end = mime.header_end(message, 0, final=True)[0]
    framing = mime.frame(message[:end])
    body = message[end:]
    return framing.inside + body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def sizes(source, count):
    return source.choices([0, 1, 15, 16, 47, 300, 4096, 9000, 40_000, 100_000], k=count)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 70])
def test_messages_open(level, count, alice):
    source = random.Random(count)
    messages = [mail(source, size) for size in sizes(source, count)]
    to = cmstream.Recipients([alice.recipient])
    jobs = [(m, to, source.choice([cmstream.DEFAULT, AES128])) for m in messages]
    for (message, *_), answer in zip(jobs, cmstream.encrypt_many(jobs), strict=True):
        assert answer.readonly
        outside, content = open_message(bytes(answer), alice.key)
        assert content == inner(message)
        assert outside.count(b"MIME-Version: 1.0") == 1


@pytest.mark.parametrize("form", ["der", "pem", "smime"])
def test_content_opens_in_every_form(form, several):
    source = random.Random(form)
    contents = [source.randbytes(size) for size in sizes(source, 40)]
    to = cmstream.Recipients([one.recipient for one in several])
    answers = cmstream.encrypt_many([(c, to) for c in contents], form=form)
    for content, answer in zip(contents, answers, strict=True):
        single = cmstream.encrypt(content, to, form=form)
        assert len(single) == len(answer)
        sealed = bytes(answer)
        if form == "der":
            opened = [open_cms(sealed, one.key, i).content for one, i in openers(sealed, several)]
            assert opened == [content] * len(several)
        else:
            assert sealed[:60] == single[:60]


def openers(sealed, people):
    """Who opens which RecipientInfo: each one of them."""
    for one, index in itertools.product(people, range(len(people))):
        try:
            open_cms(sealed, one.key, index)
        except ValueError:
            continue
        yield one, index


def test_lanes_give_what_one_message_alone_gives(level):
    """Octet for octet, with keys of our choosing."""
    source = random.Random(3)
    to = cmstream.Recipients([person().recipient])
    for count in (1, 5, 16, 40):
        data = [source.randbytes(size) for size in sizes(source, count)]
        assert fixed(data, to) == [octets for one in data for octets in fixed([one], to)]


def fixed(data, to):
    """Sealed with keys that depend on the message's length alone, as DER; without the encrypted
    key, which has random padding."""
    prepared = prepare(to, cmstream.DEFAULT)
    form = batch.Form(b"", b"", base64=False, message=False)
    group = batch.Batch(form, data, [prepared.native] * len(data))
    totals = group.plan_sizes(count_all=False)
    rooms = [bytearray(total) for total in totals]
    for index in range(len(data)):
        key = group._jobs[index].key
        secret = random.Random(len(data[index])).randbytes(48)
        gate.ffi.memmove(key.key, secret[:32], 32)
        gate.ffi.memmove(key.iv, secret[32:], 16)
        if not prepared.native.wraps:
            group.bring(index, prepared.encode(secret[:32]))
    assert group.run([gate.address(room) for room in rooms]) == 0
    starts = [-(len(one) // 16 + 1) * 16 for one in data]
    return [bytes(room[start:]) for room, start in zip(rooms, starts, strict=True)]


# Errors and what passes


def test_one_bad_job_does_not_harm_the_others(alice):
    to = cmstream.Recipients([alice.recipient])
    good = b"Subject: x\r\n\r\nbody\r\n"
    jobs = [
        (good, to),
        (good, []),
        (b"A: " + b"b" * (5 << 20), to),
        (42, to),
        (good, to, cmstream.DEFAULT.clone(refuse={"expired"})),
        (good,),
        (memoryview(b"abcdef")[::2], to),
        (good, to),
    ]
    answers = cmstream.encrypt_many(jobs, return_exceptions=True)
    codes = [getattr(answer, "code", type(answer).__name__) for answer in answers]
    assert codes[1:4] == ["no-recipients", "header-too-large", "TypeError"]
    assert codes[5:7] == ["TypeError", "TypeError"]
    for index in (0, 4, 7):
        assert open_message(bytes(answers[index]), alice.key)[1] == b"\r\nbody\r\n"
    with pytest.raises(cmstream.RecipientError, match="nobody"):
        cmstream.encrypt_many(jobs)


def test_encrypted_messages_pass_are_refused_or_sealed_again(alice):
    to = cmstream.Recipients([alice.recipient])
    sealed = cmstream.encrypt_message(b"Subject: x\r\n\r\nbody\r\n", to)
    jobs = [
        (sealed, to, cmstream.DEFAULT.clone(already_encrypted=choice))
        for choice in ("pass", "refuse", "encrypt")
    ]
    passed, refused, again = cmstream.encrypt_many(jobs, return_exceptions=True)
    assert passed == sealed
    assert refused.code == "already-encrypted"
    _, entity = open_message(bytes(again), alice.key)
    head, _, body = entity.partition(b"\r\n\r\n")
    assert is_encrypted_body(head + b"\r\n\r\n", [body])


def test_what_c_leaves_to_python_is_sealed_too(alice):
    binary = b"Content-Transfer-Encoding: binary\r\n\r\na\nb\n"
    many_fields = b"".join(b"Content-%d: x\r\n" % i for i in range(40)) + b"\r\na\nb\n"
    long_field = b"Content-Type: text/plain; x=" + b"y" * 40_000 + b"\r\n\r\nbody\r\n"
    to = cmstream.Recipients([alice.recipient])
    messages = [binary, many_fields, long_field]
    answers = cmstream.encrypt_many([(m, to) for m in messages])
    opened = [open_message(bytes(answer), alice.key)[1] for answer in answers]
    assert opened == [binary, *map(inner, messages[1:])]


def test_late_bare_line_feeds(alice):
    """The first line feeds all have their CR, a later one hasn't: sealed in a second call."""
    to = cmstream.Recipients([alice.recipient])
    start = b"\r\n" + b"line\r\n" * 2000
    messages = [start, start + b"x\n", start + b"x\r\n" * 9000 + b"\ny" * 9000, start]
    answers = cmstream.encrypt_many([(m, to) for m in messages])
    for message, answer in zip(messages, answers, strict=True):
        assert open_message(bytes(answer), alice.key)[1] == inner(message)


def test_an_unknown_form_is_refused(alice):
    for function in (cmstream.encrypt_many, cmstream.encrypt_many_iter):
        with pytest.raises(ValueError, match="form='cms'"):
            function([(b"", alice.recipient)], form="cms")


# Shapes


def test_the_iterator_takes_no_more_than_it_may(alice):
    taken = []

    def jobs():
        for number in itertools.count():
            taken.append(number)
            yield b"%d" % number, alice.recipient

    answers = cmstream.encrypt_many_iter(jobs(), form="der", in_flight=5)
    for number in range(12):
        assert open_cms(bytes(next(answers)), alice.key).content == b"%d" % number
        assert len(taken) <= number - number % 5 + 5
    with pytest.raises(ValueError, match="in_flight"):
        cmstream.encrypt_many_iter([], in_flight=0)


def test_into_the_callers_buffer(alice):
    to = cmstream.Recipients([alice.recipient])
    contents = [bytes(size) for size in (0, 100, 5000)]
    jobs = [(content, to) for content in contents]
    need = sum(map(len, cmstream.encrypt_many(jobs, form="der")))
    buffer = bytearray(need)
    answers = cmstream.encrypt_many_into(jobs, buffer, form="der")
    assert sum(map(len, answers)) == need
    for content, answer in zip(contents, answers, strict=True):
        assert answer.obj is buffer
        assert open_cms(bytes(answer), alice.key).content == content
    with pytest.raises(ValueError, match=f"give {need} or more"):
        cmstream.encrypt_many_into(jobs, bytearray(need - 1), form="der")
    with pytest.raises((BufferError, TypeError, ValueError)):
        cmstream.encrypt_many_into(jobs, bytes(need), form="der")


def test_nothing_to_do():
    assert cmstream.encrypt_many([]) == []
    assert list(cmstream.encrypt_many_iter([])) == []


def test_threads(alice):
    to = cmstream.Recipients([alice.recipient])

    def work(number):
        contents = [b"%d" % number * size for size in (1, 1000, 70_000)] * 8
        answers = [cmstream.encrypt_many([(c, to) for c in contents], form="der") for _ in range(4)]
        return all(
            open_cms(bytes(answer), alice.key).content == content
            for some in answers
            for content, answer in zip(contents, some, strict=True)
        )

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [True] * 4


# Memory


def test_a_held_answer_never_changes(alice):
    to = cmstream.Recipients([alice.recipient])
    held, copies = [], []
    for round_ in range(12):
        answers = cmstream.encrypt_many([(bytes(3000 * i), to) for i in range(20)], form="der")
        held += answers[round_::7]
        copies += map(bytes, answers[round_::7])
        parts = [answer[5:9] for answer in answers]
        del answers
        held.append(parts[3])
        copies.append(bytes(parts[3]))
    assert held == copies


def test_memory_is_used_again_and_little_is_kept():
    pool = Pool(1 << 20)
    first = pool.borrow(5000)
    start, view, _ = first.open()
    answer = view[:100]
    del view
    first.close(len(first))
    pool.give_back(first)
    other = pool.borrow(5000)
    assert other is not first
    pool.give_back(other)
    del answer, start
    gc.collect()
    assert {pool.borrow(5000), pool.borrow(5000)} == {first, other}
    for _ in range(20):
        pool.give_back(pool.borrow(1 << 19) if _ % 2 else pool.borrow(1 << 18))
    borrowed = [pool.borrow(1 << 19) for _ in range(20)]
    for slab in borrowed:
        pool.give_back(slab)
    assert pool._kept <= 1 << 20


def test_groups_are_bounded(monkeypatch, alice):
    calls = []
    real = many._sealed
    monkeypatch.setattr(many, "GROUP_COUNT", 3)
    monkeypatch.setattr(many, "GROUP_OCTETS", 100)
    monkeypatch.setattr(many, "GROUP_LEAST", 2)
    watched = lambda jobs, *rest: calls.append(jobs) or real(jobs, *rest)  # noqa: E731
    monkeypatch.setattr(many, "_sealed", watched)
    contents = [bytes(size) for size in (1, 1, 1, 1, 99, 1, 500, 2, 98, 1)]
    answers = cmstream.encrypt_many([(c, alice.recipient) for c in contents], form="der")
    assert [len(call) for call in calls] == [3, 2, 2, 2, 1]
    opened = [open_cms(bytes(answer), alice.key).content for answer in answers]
    assert opened == contents


# What others do meanwhile


@pytest.mark.parametrize("change", [b"\n", b"x", b"\r\n"])
@pytest.mark.parametrize(
    "message",
    [
        b"A: b\n" * 3000 + b"\nbody\n",
        b"A: b\r\n\r\n" + b"line\n" * 9000,
        b"A: b\r\n\r\n" + b"line\r\n" * 9000,
        b"A: b\r\nContent-Type: text/plain\n x\n\n" + b"line\n" * 2000,
    ],
)
def test_nothing_is_written_beyond_the_room_of_a_message_that_changes(
    monkeypatch, alice, message, change
):
    data, real = bytearray(message), many.Group.plan_sizes

    def plan_sizes(group):
        found = real(group)
        data[:] = (change * len(data))[: len(data)]
        return found

    size = len(cmstream.encrypt_message(message, alice.recipient))
    monkeypatch.setattr(many.Group, "plan_sizes", plan_sizes)
    buffer = bytearray(b"\xa5" * (size + 100_000))
    jobs = [(data, alice.recipient)]
    (answer,) = cmstream.encrypt_many_into(jobs, buffer, return_exceptions=True)
    assert buffer[size:] == b"\xa5" * 100_000
    assert isinstance(answer, ValueError) or len(answer) == size


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer Pythons warn of threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_process_that_forks_has_answers_of_its_own(alice):
    content = bytes(5 << 20)
    (answer,) = cmstream.encrypt_many([(content, alice.recipient)], form="der")
    before = bytes(answer)
    child = os.fork()
    if not child:
        answer = None
        cmstream.encrypt_many([(content, alice.recipient)] * 3, form="der")
        os._exit(0)
    os.waitpid(child, 0)
    assert answer == before


def test_a_buffer_too_small_tells_at_once_what_all_need(alice):
    late = b"A: b\r\n\r\n" + b"line\r\n" * 2000 + b"bare\n"
    jobs = [(message, alice.recipient) for message in (late, b"A: b\n\nx\n", late)]
    with pytest.raises(ValueError, match="give") as caught:
        cmstream.encrypt_many_into(jobs, bytearray(10))
    need = int(str(caught.value).split("give ")[1].split()[0])
    answers = cmstream.encrypt_many_into(jobs, bytearray(need))
    assert sum(map(len, answers)) == need
