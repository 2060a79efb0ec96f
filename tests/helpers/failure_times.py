"""How long a message takes to fail, by the kind of its RecipientInfo and by what is wrong with it:
``PYTHONPATH=tests python -m helpers.failure_times [ROUNDS]`` from the project's folder.

For each kind the causes are compared by Welch's t over the fastest half of the samples. Two causes
that are the same show what chance gives. A table in Markdown comes out; nothing is asserted.
RSA with PKCS #1 v1.5 has a closer look in bench/failure_times.py."""

from __future__ import annotations

import gc
import itertools
import math
import random
import secrets
import statistics
import sys
import time

from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from helpers.authorities import identity as certified
from helpers.people import Person, identity, person

CONTENT = bytes(4096)
VARIANTS = 16
INNER = bytes.fromhex("06092a864886f70d010701")  # id-data, in EncryptedContentInfo
CASES = ("key's first byte", "key's last byte", "another key", "content", "content again")


def people():
    """Of each kind: recipient, identity, policy."""
    rsa = person()
    for transport in ("pkcs1v15", "oaep-sha256"):
        policy = cmstream.DEFAULT.clone(key_transport=transport)
        yield f"ktri, RSA-2048 {transport}", rsa.recipient, identity(rsa), policy
    for name, kind in (
        ("kari, P-256", "SECP256R1"),
        ("kari, X25519", "x25519"),
        ("kemri, ML-KEM-768", "mlkem768"),
    ):
        key, certificate = certified(kind)
        (recipient,) = cmstream.load_recipients(certificate.public_bytes(Encoding.DER))
        yield name, recipient, identity(Person(key, recipient)), cmstream.DEFAULT
    kek = cmstream.Recipient.from_kek(bytes(32), b"1")
    yield "kekri", kek, kek, cmstream.DEFAULT


def cases(recipient, policy):
    """Messages of each cause, all of one length."""
    sealed = []
    while len(sealed) < 2 * VARIANTS:  # some keys have encodings of another length
        one = cmstream.encrypt(CONTENT, recipient, policy=policy)
        if not sealed or len(one) == len(sealed[0]):
            sealed.append(one)
    good, others = sealed[:VARIANTS], sealed[VARIANTS:]
    end = good[0].index(INNER) - 4  # of the recipients
    octets = 256 if b"\x04\x82\x01\x00" in good[0][:end] else 40
    return {
        CASES[0]: [_changed(one, end - octets) for one in good],
        CASES[1]: [_changed(one, end - 1) for one in good],
        CASES[2]: [other[:end] + one[end:] for one, other in zip(good, others, strict=True)],
        CASES[3]: [_changed(one, -17) for one in good],
        CASES[4]: [_changed(one, -17) for one in good],
    }


def _changed(sealed, at):
    changed = bytearray(sealed)
    changed[at] ^= 1 << secrets.randbelow(4) if at >= 0 else 0x80
    return bytes(changed)


def measured(every, who, rounds):
    """Seconds of each cause; those that gave content by chance aren't counted."""
    found, names = {name: [] for name in every}, [*every]
    gc.disable()
    for number in range(rounds):
        random.shuffle(names)
        for name in names:
            sealed = every[name][number % VARIANTS]
            start = time.perf_counter()
            try:
                cmstream.decrypt(sealed, who)
            except cmstream.DecryptionError:
                found[name].append(time.perf_counter() - start)
    gc.enable()
    return found


def welch(one, other):
    error = math.sqrt(sum(statistics.variance(each) / len(each) for each in (one, other)))
    return (statistics.fmean(one) - statistics.fmean(other)) / error


def fastest(found):
    every = sorted(itertools.chain(*found.values()))
    bound = every[len(every) // 2]
    return {name: [one for one in some if one <= bound] for name, some in found.items()}


def table(rounds):
    yield (
        "| kind | "
        + " | ".join(f"{one}, µs" for one in CASES[:4])
        + " | t, keys | t, content | t, chance |"
    )
    yield "| --- |" + " ---: |" * 7
    for kind, recipient, who, policy in people():
        every = cases(recipient, policy)
        found = measured(every, who, rounds)
        fast = fastest(found)
        medians = (f"{statistics.median(found[one]) * 1e6:.1f}" for one in CASES[:4])
        pairs = (CASES[0], CASES[1]), (CASES[2], CASES[3]), (CASES[3], CASES[4])
        figures = (
            f"{welch(fast[a], fast[b]):.1f}" if min(len(fast[a]), len(fast[b])) > 30 else "apart"
            for a, b in pairs
        )
        yield f"| {kind} | {' | '.join([*medians, *figures])} |"


if __name__ == "__main__":
    for line in table(int(sys.argv[1]) if sys.argv[1:] else 4000):
        print(line, flush=True)  # noqa: T201
