"""Signals, KeyboardInterrupt and fork while C works on a batch: what runs is finished or dropped as
a whole, the next batch is right, and no two processes use the same random bytes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import padding

import cmstream
from helpers.opening import dearmour, envelope

INTERRUPTS = int(os.environ.get("CMSTREAM_INTERRUPTS", "60"))

PROGRAM = """
import io, json, pathlib, random, signal, sys, threading, time
import cmstream

folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
to = cmstream.Recipients(cmstream.load_recipients((folder / "certificate").read_bytes()))
key = cmstream.Recipient.from_kek(bytes(32), b"1")
kek = cmstream.Recipients([key])
CONTENT = bytes(range(256)) * 600
MESSAGE = b"Subject: x\\r\\n\\r\\n" + b"third flower pot\\r\\n" * 3000

def many():
    return cmstream.encrypt_many([(CONTENT, kek)] * 40, form="der")

def opened(sealed):
    return cmstream.decrypt_many([(one, key) for one in sealed], form="content")

sealed = [bytes(one) for one in many()]

def streams():
    sink = io.BytesIO()
    with cmstream.EncryptWriter(sink, kek) as out:
        for _ in range(20):
            out.write(CONTENT)
    return [sink.getvalue()]

def gathered():
    with cmstream.Gatherer(workers=2) as gather:
        return [one.result() for one in [gather.submit(MESSAGE, to) for _ in range(20)]]

works = {
    "encrypt_many": many,
    "with RSA": lambda: cmstream.encrypt_many([(MESSAGE, to)] * 40),
    "decrypt_many": lambda: opened(sealed),
    "EncryptWriter": streams,
    "Gatherer": gathered,
}
chance = random.Random(int(sys.argv[3]))
interrupted = dict.fromkeys(works, 0)
for number in range(count):
    name = [*works][number % len(works)]
    begun = time.perf_counter()
    works[name]()
    span = time.perf_counter() - begun
    try:
        signal.setitimer(signal.ITIMER_REAL, max(1e-5, chance.uniform(0, span)))
        works[name]()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted[name] += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    answers = many()
    assert opened(answers) == [CONTENT] * 40
    assert opened(sealed) == [CONTENT] * 40
for thread in threading.enumerate():
    if thread is not threading.current_thread() and not thread.daemon:
        thread.join()  # it ends by itself
print(json.dumps(interrupted))
"""


def test_an_interrupt_leaves_all_as_it_should_be(tmp_path, alice):
    (tmp_path / "certificate").write_bytes(alice.recipient.der)
    program = "import signal\nsignal.signal(signal.SIGALRM, signal.default_int_handler)" + PROGRAM
    command = [sys.executable, "-c", program, tmp_path, str(INTERRUPTS), "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    print(done.stdout)  # noqa: T201
    assert sum(json.loads(done.stdout).values()) > INTERRUPTS // 4


@pytest.mark.parametrize("end", ["abort", "update"])
def test_an_interrupted_stream_ends_by_its_own_thread(end):
    """Wherever the interrupt comes: also between the taking of the lock and what follows."""
    key = cmstream.Recipients([cmstream.Recipient.from_kek(bytes(32), b"1")])
    chance, buffer, interrupted = random.Random(7), bytearray(4096), 0
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(1000):
            stream = cmstream.encryptor(key, form="der")
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(2e-5, 2e-4))
                while True:
                    stream.update_into(b"x", buffer)
            except KeyboardInterrupt:
                interrupted += 1
            if end == "abort":
                stream.abort()
            with contextlib.suppress(cmstream.AlreadyFinalized):  # if it was within a call
                stream.update(b"x")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted == 1000


def test_signals_that_are_handled_change_nothing(alice, me):
    """Each system call and wait is interrupted again and again."""
    handled = []
    before = signal.signal(signal.SIGALRM, lambda *_: handled.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    message = b"Subject: x\r\n\r\n" + b"third flower pot\r\n" * 2000
    try:
        with cmstream.Gatherer(workers=2) as gather:
            waiting = [gather.submit(message, alice.recipient) for _ in range(100)]
            answers = [bytes(one.result()) for one in waiting]
        answers += map(bytes, cmstream.encrypt_many([(message, alice.recipient)] * 100))
        opened = cmstream.decrypt_many([(one, me) for one in answers])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len({*opened}) == 1
    assert handled


def content_key(sealed, key):
    der = sealed if sealed.startswith(b"0") else dearmour(sealed)
    (info,) = envelope(der)["recipientInfos"]
    return key.decrypt(bytes(info["ktri"]["encryptedKey"]), padding.PKCS1v15())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_no_two_processes_have_the_same_random_bytes(alice, tmp_path):
    """Forked while another thread is within a batch, too. Of each message the key, of each process
    the names of files and boundaries."""
    to, stop = alice.recipient, threading.Event()

    def seal(count):
        return [
            *map(bytes, cmstream.encrypt_many([(b"x" * 99, to)] * count, form="der")),
            cmstream.encrypt(b"x", to),
            b"".join(cmstream.encrypt_iter([b"x"], to)),
        ]

    def work():
        while not stop.is_set():
            cmstream.encrypt_many([(b"x" * 50_000, to)] * 8, form="der")

    thread = threading.Thread(target=work)
    thread.start()
    children = []
    try:
        for number in range(12):
            child = os.fork()
            if not child:
                signal.alarm(60)
                try:
                    for at, one in enumerate(seal(3)):
                        (tmp_path / f"{number}.{at}").write_bytes(one)
                finally:
                    os._exit(0)
            children.append(child)
    finally:
        stop.set()
        thread.join()
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 12
    found = [path.read_bytes() for path in tmp_path.iterdir()] + seal(3)
    keys = [content_key(one, alice.key) for one in found]
    assert len(keys) == len({*keys}) == 13 * 5
    vectors = [vector(one) for one in found]
    assert len({*vectors}) == 13 * 5


def vector(sealed):
    cipher = envelope(sealed)["encryptedContentInfo"]["contentEncryptionAlgorithm"]
    return bytes(cipher["parameters"])
