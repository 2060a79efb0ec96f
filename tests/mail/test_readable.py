"""What C counts of octets that should look random comes to what the plainest code comes to."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from math import ceil, log2

import pytest

from cmstream.engine.text_signs import WINDOW, suspects
from cmstream.mail import readable
from cmstream.mail.unproved import UnprovedError

LOWER, UPPER = b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
STOPS = b"\t\r\n ,."
SCRIPTS = [
    b"0123456789 .,:/-+",
    LOWER + b" ",
    UPPER + LOWER + STOPS,
    bytes(range(0x20, 0x7F)) + b"\t\r\n",
    bytes(range(0x80, 0x100)) + STOPS,
]
WIDE = [bytes((0x30, *range(0x4E, 0xA0))), bytes(range(0xAC, 0xD8))]
WIDE_RUNS = [*WIDE, bytes(range(1, 0x20))]
DIGITS = [LOWER, LOWER + b"+/", UPPER + b"+/"]
ALPHABET = UPPER + LOWER + b"0123456789+/"
LENGTHS = [*range(70), 127, 128, 129, 511, 512, 513, 4095, 4096, 4097, 9000]


def runs_of(octets, script):
    """The lengths of all runs, as if no octet were 0."""
    run = 0
    for octet in octets.replace(b"\0", b"") + b"\0":
        if octet in script:
            run += 1
        elif run:
            yield run
            run = 0


def has_runs(octets, scripts, others=256):
    places, seen = log2(len(octets) + 1), log2(len(octets) - octets.count(0) + 1)
    for script in scripts:
        bits = log2(others / len(script))
        runs = [one for one in runs_of(octets, script) if one >= ceil((seen + 3) / bits)]
        rare = sum(max(bits * one - places - 3, 0) for one in runs)
        if max(bits * max(runs, default=0) - places, rare) > 30:
            return True
    return False


def has_share(octets, scripts, others=256):
    for script in scripts if octets else []:
        chance, share = len(script) / others, sum(o in script for o in octets) / len(octets)
        if share > chance:
            rare = share * log2(share / chance)
            rare += (1 - share) * log2((1 - share) / (1 - chance)) if share < 1 else 0
            if len(octets) * rare > 30:
                return True
    return False


def windows(octets, size=4096):
    return [octets[at : at + size] for at in range(0, len(octets), size)]


def no_text(octets):
    halves = (octets[::2], octets[1::2])
    return not has_runs(octets, SCRIPTS) and not any(has_runs(one, WIDE_RUNS) for one in halves)


def little_text(octets):
    halves = (octets[::2], octets[1::2]) if len(octets) <= 4096 else ()
    shares = any(has_share(one, SCRIPTS) for one in windows(octets))
    shares |= any(has_share(half, WIDE + SCRIPTS) for half in halves)
    return no_text(octets) and not shares


def compressible(octets):
    return len(octets) >= 64 and len(zlib.compress(octets, 1)) < len(octets)


def is_random(octets):
    return little_text(octets) and not any(map(compressible, windows(octets)))


def wordless(digits, names):
    scripts = DIGITS[: 2 if names else 3]
    shares = any(
        has_share(one, scripts, 64) for size in (128, 512) for one in windows(digits, size)
    )
    return not has_runs(digits, scripts, 64) and not shares


def passes(check, *given, **options):
    try:
        check(*given, **options)
    except UnprovedError:
        return False
    return True


def with_text(source, octets, scripts):
    """The same with signs of one script: a run, or here and there; in every octet or every second,
    with NULs between them or not."""
    octets = bytearray(octets)
    script = source.choice(scripts)
    step, at = source.choice([1, 1, 2]), source.randrange(len(octets) + 1)
    for _ in range(source.choice([8, 12, 20, 40, 60, len(octets) // 4, len(octets)])):
        if at >= len(octets):
            break
        octets[at] = source.choice(script)
        if step == 2 and at + 1 < len(octets) and source.random() < 0.9:
            octets[at + 1] = 0
        at += step + (source.random() < 0.02)
    return bytes(octets)


def some(seed, length, scripts, others):
    source = random.Random(seed)
    plain = bytes(source.choices(others, k=length))
    yield plain
    for _ in range(12):
        yield with_text(source, plain, scripts)


@pytest.mark.parametrize("length", LENGTHS)
def test_octets_are_random_for_c_where_they_are_by_the_plainest_code(length):
    for octets in some(length, length, SCRIPTS + WIDE_RUNS, range(256)):
        assert passes(readable.check_no_text, octets) == no_text(octets)
        assert passes(readable.check_little_text, octets) == little_text(octets)
        assert passes(readable.check_random, octets) == is_random(octets)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
def test_digits_make_words_for_c_where_they_do_by_the_plainest_code(length, names):
    for digits in some(length, length, DIGITS, ALPHABET):
        assert passes(readable.check_digits, digits, names=names) == wordless(digits, names)


@pytest.mark.parametrize("script", range(len(SCRIPTS)))
@pytest.mark.parametrize("length", [1000, 100_000])
def test_a_run_is_found_from_its_limit_on(script, length):
    """Wherever it stands: at either end, and across what C looks at together."""
    signs = SCRIPTS[script]
    other = next(octet for octet in b"\x80a0" if octet not in signs)
    limit = ceil((30 + log2(length + 1)) / log2(256 / len(signs)))
    alone = readable._Scripts(readable._SCRIPTS.all[script])
    for run in (limit - 1, limit + 1, 200, length):
        for at in {0, 1, length - run, *(one - run // 2 for one in (4096, 8192))} - {-1}:
            if 0 <= at <= length - run:
                octets = bytearray([other]) * length
                octets[at : at + run] = bytes(signs[:1]) * run
                assert passes(alone.check_runs, bytes(octets)) == (run < limit)


def test_runs_of_several_pieces_count_together():
    source = random.Random(18)
    pieces = [with_text(source, source.randbytes(5000), [LOWER]) for _ in range(20)]
    together, one_by_one = readable.Runs(), readable.Runs()
    for piece in pieces:
        together.add(piece)
        own = readable.Runs()
        own.add(piece)
        one_by_one.include(own)
    expected = Counter(
        one
        for piece in pieces
        for one in runs_of(piece, SCRIPTS[1])
        if one >= ceil((log2(len(piece) - piece.count(0) + 1) + 3) / log2(256 / 27))
    )
    script = readable._SCRIPTS.all[1]
    for runs in (together, one_by_one):
        found = {run: count for (whose, run), count in runs._counts.items() if whose is script}
        assert sum(found.values()) == expected.total() > 3
        assert all(found.get(one, 0) == expected[one] for one in range(127))


# What may be compressed


def crafted(source):
    """Octets between random and not: few values, values that are more frequent, repeats."""
    length = source.choice([64, 65, 100, 300, 1000, 4000, 4095, 4096, source.randrange(64, 4097)])
    kind = source.randrange(4)
    octets = bytearray(source.randbytes(length))
    if kind == 0:
        octets = bytearray(source.choices(range(source.randrange(2, 257)), k=length))
    elif kind == 1:
        weights = [1 + source.random() * source.choice([0.2, 1, 4]) for _ in range(256)]
        octets = bytearray(source.choices(range(256), weights, k=length))
    elif kind == 2:
        for _ in range(source.randrange(1, 12)):
            size = source.choice([3, 3, 4, 5, 6, 8, 12, 40])
            start, to = source.randrange(length - 3), source.randrange(length - 3)
            octets[to : to + size] = octets[start : start + size]
        del octets[length:]
    else:
        for at in range(0, length, source.randrange(2, 400)):
            octets[at] = source.choice([0, 65])
    return bytes(octets)


def test_what_zlib_compresses_is_suspect():
    source = random.Random(18)
    found = 0
    for _ in range(3000):
        octets = crafted(source)
        if compressible(octets):
            found += 1
            assert list(suspects(octets)) == [0]
    assert 300 < found < 2700


def test_few_random_windows_are_suspect():
    source = random.Random(18)
    octets = source.randbytes(2000 * WINDOW + 63)
    assert len(list(suspects(octets))) < 20
    short = [source.randbytes(source.randrange(64, WINDOW)) for _ in range(2000)]
    assert sum(len(list(suspects(one))) for one in short) < 20


def test_each_suspect_window_is_named():
    source = random.Random(18)
    octets = bytearray(source.randbytes(6 * WINDOW + 63))
    for at in (0, 2, 5):
        octets[at * WINDOW : (at + 1) * WINDOW] = bytes(WINDOW)
    assert {0, 2 * WINDOW, 5 * WINDOW} <= set(suspects(bytes(octets)))
    octets[6 * WINDOW :] = bytes(63)
    assert 6 * WINDOW not in set(suspects(bytes(octets)))
    assert 6 * WINDOW in set(suspects(bytes(octets) + b"\0"))
    assert not list(suspects(b""))


def test_groups_that_share_a_place_are_not_searched_for_ever():
    """Groups of three whose hashes lie side by side: the octets are suspect, though they are even,
    and none comes again."""
    back = pow(0x9E3779B1, -1, 1 << 32)
    hashes = range(77 << 18, 97 << 18)  # of neighbouring places
    same = [group for one in hashes if (group := one * back % (1 << 32)) < 1 << 24]
    octets = b"".join(group.to_bytes(3, "big") for group in random.Random(18).sample(same, 1000))
    length, squares = len(octets), sum(octets.count(one) ** 2 for one in range(256))
    assert squares <= length + length**2 / 256 + length * 17 / 32
    assert len({octets[at : at + 3] for at in range(length - 2)}) >= length - 2 - 4
    assert list(suspects(octets)) == [0]
