"""Tests whether the time that a message takes to fail shows why it fails, by the statistics that an
attacker would use.

Each message is opened in one call. An attacker sends changed messages and sees how long it takes
until each is refused. If that showed whether the padding of the RSA block was right, or the length
of the key in it, it would give away the key of another message step by step. So the failing cases
must not differ from each other. The good message does differ: its content comes out.
"""

from __future__ import annotations

import gc
import itertools
import math
import random
import secrets
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

import cmstream
from samples import identity, message, recipients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Tell = Callable[[str], object]

CONTENT = 4 << 10
VARIANTS = 32  # messages of each case, so that no case is recognised by its own bytes
KEY_OCTETS = 32
WRONG_LENGTHS = (5, 16, 31)
RSA_OCTETS = 256
KEPT = (0.5, 0.75, 0.9)  # shares of the samples, the fastest ones, that are tested
SUSPICIOUS = 4.5  # a |t| that chance alone gives once in some 100,000 times

GOOD = "right key, good content"
PADDING = "wrongly padded key"
LENGTH = "key of a wrong length"
KEY = "wrong key of the right length"
DAMAGED = "damaged padding of the content"
AGAIN = f"{DAMAGED}, again"
FAILING = (PADDING, LENGTH, KEY, DAMAGED, AGAIN)
TEXT = f"""\
Each pair of failing cases is tested by Welch's t, three times: without the slowest tenth, quarter
and half of the samples. The greatest |t| counts. The last two cases are the same messages, so their
t shows what chance gives. A |t| of {SUSPICIOUS} or more is a difference that an attacker in the
place of this program could find; "shows from" is about the smallest difference that so many samples
can show. A smaller |t| means that none was found here, with this release of `cryptography`; it
doesn't prove that there is none. The good message gives its content instead of an error. That may
take another time, and tells its sender nothing new."""


class Times(NamedTuple):
    """Seconds of each case, and how many of its samples weren't counted because the random key
    happened to give well padded content."""

    seconds: dict[str, list[float]]
    noise: dict[str, int]


class Spread(NamedTuple):
    """The times of one case, in seconds."""

    samples: int
    noise: int
    median: float
    tenth: float
    ninetieth: float


class Difference(NamedTuple):
    """Between two failing cases: that of their medians without the slowest samples, in seconds;
    Welch's t; and the smallest difference that would show, in seconds."""

    one: str
    other: str
    seconds: float
    t: float
    shows_from: float

    @property
    def verdict(self) -> str:
        return "differ" if abs(self.t) >= SUSPICIOUS else "no difference found"


# Messages


def cases() -> dict[str, list[bytes]]:
    """The messages of each case, all of one length."""
    good = [cmstream.encrypt(message(CONTENT), recipients()) for _ in range(VARIANTS)]
    lengths = itertools.cycle(WRONG_LENGTHS)
    return {
        GOOD: good,
        PADDING: [_with_block(*both) for both in zip(good, _unpadded(), strict=True)],
        LENGTH: [_with_key(sealed, next(lengths)) for sealed in good],
        KEY: [_with_wrong_key(sealed) for sealed in good],
        DAMAGED: [_damaged(sealed) for sealed in good],
        AGAIN: [_damaged(sealed) for sealed in good],
    }


def _damaged(sealed: bytes) -> bytes:
    """With a bit changed in the block before the last: the padding claims more than a block."""
    return sealed[:-17] + bytes([sealed[-17] ^ 0x80]) + sealed[-16:]


def _with_key(sealed: bytes, count: int) -> bytes:
    """With a random key of ``count`` bytes, well padded."""
    filler = _not_zero(RSA_OCTETS - 3 - count)
    return _with_block(sealed, b"\0\2" + filler + b"\0" + secrets.token_bytes(count))


def _with_block(sealed: bytes, block: bytes) -> bytes:
    """With another encrypted key: raw RSA of ``block``."""
    numbers = identity().key.public_key().public_numbers()
    wrapped = pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(RSA_OCTETS, "big")
    start = sealed.index(b"\x04\x82\x01\x00") + 4  # the OCTET STRING with the encrypted key
    return sealed[:start] + wrapped + sealed[start + RSA_OCTETS :]


def _unpadded() -> Iterator[bytes]:
    """Blocks with a wrong start, without an end of the padding, or with too early an end."""
    key = secrets.token_bytes(KEY_OCTETS)
    for number in range(VARIANTS):
        filler = _not_zero(RSA_OCTETS - 3 - KEY_OCTETS)
        yield (
            b"\0\1" + filler + b"\0" + key,
            b"\0\2" + filler + b"\1" + _not_zero(KEY_OCTETS),
            b"\0\2" + filler[:3] + b"\0" + filler[4:] + b"\0" + key,
            b"\1\2" + filler + b"\0" + key,
        )[number % 4]


def _not_zero(count: int) -> bytes:
    return bytes(1 + secrets.randbelow(255) for _ in range(count))


def _with_wrong_key(sealed: bytes) -> bytes:
    """With a wrong key of the right length, but none that happens to give well padded content."""
    while True:
        one = _with_key(sealed, KEY_OCTETS)
        if _timed(one, identity())[1]:
            return one


# Samples


def measure(rounds: int, tell: Tell) -> Times:
    """One sample of each case in every round, in random order."""
    every, who = cases(), identity()
    found = Times({name: [] for name in every}, dict.fromkeys(every, 0))
    names = list(every)
    gc.disable()
    try:
        for number in range(rounds):
            if number % 100 == 0:
                tell(f"round {number + 1} of {rounds}")
            random.shuffle(names)
            for name in names:
                _add(found, name, *_timed(every[name][number % VARIANTS], who))
    finally:
        gc.enable()
    return found


def _add(found: Times, name: str, seconds: float, failed: bool) -> None:
    if failed == (name != GOOD):
        found.seconds[name].append(seconds)
    else:
        found.noise[name] += 1


def _timed(sealed: bytes, who: cmstream.Identity) -> tuple[float, bool]:
    start = time.perf_counter()
    try:
        cmstream.decrypt(sealed, who)
    except cmstream.DecryptionError:
        return time.perf_counter() - start, True
    return time.perf_counter() - start, False


# Statistics


def spreads(times: Times) -> dict[str, Spread]:
    """The spread of each case."""
    found = {}
    for name, seconds in times.seconds.items():
        tenths = statistics.quantiles(seconds, n=10)
        noise, median = times.noise[name], statistics.median(seconds)
        found[name] = Spread(len(seconds), noise, median, tenths[0], tenths[-1])
    return found


def differences(times: Times) -> list[Difference]:
    """The differences of all pairs of failing cases."""
    failing = {name: times.seconds[name] for name in FAILING}
    kept = [_fast(failing, share) for share in KEPT]
    return [
        _difference(one, other, [(fast[one], fast[other]) for fast in kept])
        for one, other in itertools.combinations(FAILING, 2)
    ]


def _difference(one: str, other: str, pairs: list[tuple[list[float], list[float]]]) -> Difference:
    """``pairs``: the samples of both, without fewer and fewer of the slowest."""
    seconds = statistics.median(pairs[-1][0]) - statistics.median(pairs[-1][1])
    t = max(itertools.starmap(welch, pairs), key=abs)
    return Difference(one, other, seconds, t, SUSPICIOUS * _error(*pairs[0]))


def _fast(seconds: Mapping[str, Sequence[float]], share: float) -> dict[str, list[float]]:
    """Without the slowest samples, which other programs disturbed. All cases have one bound, so
    that a case which is slower as a whole stays slower."""
    every = sorted(itertools.chain(*seconds.values()))
    bound = every[int(share * (len(every) - 1))]
    return {name: [one for one in case if one <= bound] for name, case in seconds.items()}


def welch(one: Sequence[float], other: Sequence[float]) -> float:
    """The t statistic of two samples whose variances may differ."""
    return (statistics.fmean(one) - statistics.fmean(other)) / _error(one, other)


def _error(one: Sequence[float], other: Sequence[float]) -> float:
    """The standard error of the difference of their means."""
    return math.sqrt(sum(statistics.variance(each) / len(each) for each in (one, other)))


# As text


def text(times: Times) -> Iterator[str]:
    """Each case, each pair, and how to read them."""
    yield f"{'time of decrypt, µs':34}{'median':>10}{'10 %':>10}{'90 %':>10}{'n':>8}{'noise':>8}"
    for name, one in spreads(times).items():
        micros = "".join(f"{x * 1e6:10.2f}" for x in (one.median, one.tenth, one.ninetieth))
        yield f"{name:34}{micros}{one.samples:8}{one.noise:8}"
    yield ""
    yield f"{'failing cases, one less the other':70}{'µs':>8}{'shows from':>12}{'t':>8}"
    for pair in differences(times):
        both = f"{pair.one} - {pair.other}"
        micros = f"{pair.seconds * 1e6:8.2f}{pair.shows_from * 1e6:12.2f}"
        yield f"{both:70}{micros}{pair.t:8.2f}  {pair.verdict}"
    yield TEXT


def as_document(times: Times) -> dict[str, object]:
    """For programs; seconds."""
    return {
        "cases": {name: one._asdict() for name, one in spreads(times).items()},
        "differences": [pair._asdict() for pair in differences(times)],
    }


def markdown(times: Times) -> str:
    """As Markdown."""
    lines = [
        "| time of decrypt, µs | median | 10 % | 90 % | samples |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, one in spreads(times).items():
        micros = (f"{x * 1e6:.1f}" for x in (one.median, one.tenth, one.ninetieth))
        lines.append(f"| {name} | {' | '.join(micros)} | {one.samples} |")
    lines += ["", "| failing cases | difference, µs | shows from, µs | t |", "|---|---:|---:|---:|"]
    for pair in differences(times):
        micros = f"{pair.seconds * 1e6:.2f} | {pair.shows_from * 1e6:.2f}"
        lines.append(f"| {pair.one} - {pair.other} | {micros} | {pair.t:.2f} |")
    return "\n".join([*lines, "", TEXT])
