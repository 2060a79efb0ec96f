"""No content-encryption key stays in memory once its message is sealed, nor what is made of it: its
round keys, and the padded block for RSA. After each shape the memory of a process that has only the
certificate is searched by its parent, which has the private key: the heap, and the stacks of all
threads, to which a signal has brought the registers. A stream that still runs has its key there: so
the search finds what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

import cmstream
from cmstream.engine.gate import kernels
from helpers import memory_search
from helpers.memory_search import digits, found, round_keys, unmixed, words
from helpers.opening import dearmour

if not Path("/proc/self/mem").exists():
    pytest.skip("wants /proc", allow_module_level=True)

MESSAGE = b"Subject: x\r\n\r\n" + b"SECRET line\r\n" * 5000
COMMON = """
import gc, io, pathlib, signal, sys, threading
import cmstream

folder = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGUSR1, lambda *_: None)
held, over = [], threading.Event()

def save_registers(depth=40):
    "Brings a signal, so deep in the stack that nothing writes over it soon."
    deeper = lambda _: save_registers(depth - 1) if depth else signal.raise_signal(signal.SIGUSR1)
    max([0], key=deeper)

def in_threads(shape):
    "What it gives in each of three threads, which still run then."
    answers, done = [], threading.Semaphore(0)

    def run():
        answers.extend(shape())
        save_registers()
        done.release()
        over.wait()

    for _ in range(3):
        threading.Thread(target=run, daemon=True).start()
    for _ in range(3):
        done.acquire()
    return answers

def pause(name):
    save_registers()
    for thread in threading.enumerate():
        signal.pthread_kill(thread.ident, signal.SIGUSR1)
    print(name, flush=True)
    sys.stdin.readline()
"""
SEALING = """
cipher = cmstream.DEFAULT.clone(cipher=sys.argv[2])
to = cmstream.Recipients(cmstream.load_recipients((folder / "certificate").read_bytes()))
MESSAGE = b"Subject: x\\r\\n\\r\\n" + b"SECRET line\\r\\n" * 5000

def push(form="der", **options):
    context = cmstream.encryptor(to, form=form, policy=cipher, **options)
    out = bytearray(context.bound(len(MESSAGE)))
    return out[: context.update_into(MESSAGE, out)] + context.finalize()

def written():
    sink = io.BytesIO()
    with cmstream.EncryptWriter(sink, to, policy=cipher) as out:
        out.write(MESSAGE)
    return sink.getvalue()

def broken():
    sink = io.BytesIO()
    try:
        with cmstream.EncryptWriter(sink, to, size=2 * len(MESSAGE), policy=cipher) as out:
            out.write(MESSAGE)
            raise KeyError
    except KeyError:
        return sink.getvalue()

def too_short():
    context = cmstream.encryptor(to, size=len(MESSAGE) + 1, policy=cipher)
    out = context.update(MESSAGE)
    try:
        context.finalize()
    except cmstream.CmstreamError:
        return out

def dropped():
    return cmstream.encryptor(to, size=len(MESSAGE), policy=cipher).update(MESSAGE)

def gathered():
    held.append(cmstream.Gatherer(workers=2))
    calls = [held[-1].submit(MESSAGE, to, policy=cipher) for _ in range(20)]
    return [bytes(one.result(60)) for one in calls][::7]

def many(form, count=20):
    jobs = [(MESSAGE, to, cipher)] * count
    return [bytes(one) for one in cmstream.encrypt_many(jobs, form=form)][::7]

one = lambda: cmstream.encrypt(MESSAGE, to, policy=cipher)
shapes = {
    "encrypt": one,
    "encrypt, a short content": lambda: cmstream.encrypt(MESSAGE[:300], to, policy=cipher),
    "encrypt_message": lambda: cmstream.encrypt_message(MESSAGE, to, policy=cipher),
    "encryptor": push,
    "encryptor, a mail": lambda: push("message"),
    "EncryptWriter": written,
    "EncryptReader": lambda: cmstream.EncryptReader(io.BytesIO(MESSAGE), to, policy=cipher).read(),
    "encrypt_iter": lambda: b"".join(
        cmstream.encrypt_iter(io.BytesIO(MESSAGE), to, policy=cipher)),
    "encrypt_many": lambda: many("message"),
    "encrypt_many, DER": lambda: many("der"),
    "encrypt_many, three": lambda: many("message", 3),
    "encrypt_many, as many as the widest row has lanes": lambda: many("der", 16),
    "Gatherer": gathered,
    "an exception in the writer": broken,
    "a stream that ends too early": too_short,
    "a stream that is dropped": dropped,
    "encrypt_many in threads": lambda: in_threads(lambda: many("message")),
    "encrypt in threads": lambda: in_threads(lambda: [one()]),
}
for name, shape in shapes.items():
    answers = shape()
    for number, one_answer in enumerate(answers if isinstance(answers, list) else [answers]):
        (folder / f"{name}.{number}").write_bytes(one_answer)
    del answers, one_answer
    gc.collect()
    pause(name)
live = cmstream.encryptor(to, size=1 << 20, policy=cipher)
(folder / "live.0").write_bytes(live.update(bytes(10000)))
pause("live")
live.abort()
pause("ended")
"""
OPENING = """
(me,) = cmstream.load_identities((folder / "identity").read_bytes(), password="x")
content, *mails = [(folder / f"{number}.0").read_bytes() for number in range(20)]
file = lambda: io.BytesIO(content)

def push():
    context = cmstream.decryptor(me)
    return context.update(content) + context.finalize()

shapes = {
    "decrypt": lambda: cmstream.decrypt(content, me),
    "decrypt_message": lambda: cmstream.decrypt_message(mails[0], me),
    "decrypt_many": lambda: [*cmstream.decrypt_many([(one, me) for one in mails])],
    "decryptor": push,
    "DecryptReader": lambda: cmstream.DecryptReader(file(), me).read(),
    "decrypt_iter": lambda: [*cmstream.decrypt_iter(file(), me)],
    "a stream that is dropped": lambda: cmstream.decryptor(me).update(content[:-99]),
    "decrypt in threads": lambda: in_threads(lambda: [cmstream.decrypt(content, me)]),
}
for name, shape in shapes.items():
    shape()
    pause(name)
live = cmstream.decryptor(me)
live.update(content[:-99])
pause("live")
"""


@contextmanager
def stopped(program, *arguments, cpu=None):
    """A process, and the names of the places where it stops."""
    more = {"CMSTREAM_CPU": cpu} if cpu else {}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", COMMON + program, *arguments]
    with subprocess.Popen(command, env={**os.environ, **more}, **pipes) as process:

        def places():
            while line := process.stdout.readline():
                yield line.rstrip()
                process.stdin.write("\n")
                process.stdin.flush()

        yield process.pid, places()
        process.stdin.close()


def padded_block(sealed, private):
    """What the key's owner gets from RSA: padding, and the message's key behind its last zero."""
    der = sealed if sealed.startswith(b"0") else dearmour(sealed)
    (encrypted,) = re.findall(rb"\x04\x82\x01\x00(.{256})", der, re.DOTALL)[:1]
    numbers = private.private_numbers()
    number = pow(int.from_bytes(encrypted, "big"), numbers.d, numbers.public_numbers.n)
    return number.to_bytes(256, "big")


def secrets_of(sealed, private):
    """What is searched for, by its name."""
    block = padded_block(sealed, private)
    key = block[block.index(0, 2) + 1 :]
    rounds = round_keys(key)[len(key) // 16 :]
    return {
        "key": [*words(key), *digits(key)],
        "block": [*words(block[: -len(key)]), *digits(block)],
        "round keys": [*chain.from_iterable(map(words, rounds))],
        "inverse keys": [*chain.from_iterable(words(unmixed(one)) for one in rounds[:-1])],
    }


def of_files(folder, name, private):
    """Of the messages that a shape gave."""
    files = sorted(folder.glob(f"{name}.*"))
    assert files
    told = ((one.name, secrets_of(one.read_bytes(), private)) for one in files)
    return {(file, what): each for file, parts in told for what, each in parts.items()}


def every_cpu():
    """The best kernels, and each other one that this machine can run."""
    others = dict.fromkeys(chain.from_iterable(kernels().values()))
    return [None, *(pytest.param(one, marks=pytest.mark.slow) for one in others)]


@pytest.mark.parametrize(
    "cipher", ["aes256-cbc", pytest.param("aes128-cbc", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("cpu", every_cpu())
def test_sealing_leaves_no_key(tmp_path, alice, cipher, cpu):
    (tmp_path / "certificate").write_bytes(alice.recipient.der)
    known, seen = {}, []
    with stopped(SEALING, tmp_path, cipher, cpu=cpu) as (process, places):
        for name in places:
            if name != "ended":
                known |= of_files(tmp_path, name, alice.key)
            expected = {("live.0", "key"), ("live.0", "round keys")} if name == "live" else set()
            assert found(process, known) == expected, name
            seen.append(name)
    assert len(seen) == 18 + 2
    assert len(known) == 4 * (8 + 13 + 3 + 12 + 1)


@pytest.mark.parametrize("cpu", every_cpu())
def test_opening_leaves_no_round_key(tmp_path, alice, cpu):
    """The key itself is `cryptography`'s, a Python object."""
    certificate = x509.load_der_x509_certificate(alice.recipient.der)
    parts = b"alice", alice.key, certificate, None, BestAvailableEncryption(b"x")
    (tmp_path / "identity").write_bytes(pkcs12.serialize_key_and_certificates(*parts))
    known = {}
    for number in range(20):
        seal = cmstream.encrypt_message if number else cmstream.encrypt
        sealed = seal(MESSAGE, [alice.recipient])
        (tmp_path / f"{number}.0").write_bytes(sealed)
        secrets = secrets_of(sealed, alice.key)
        known |= {(number, what): secrets[what] for what in ("round keys", "inverse keys")}
    seen = []
    with stopped(OPENING, tmp_path, cpu=cpu) as (process, places):
        for name in places:
            expected = {(0, "round keys"), (0, "inverse keys")} if name == "live" else set()
            assert found(process, known) == expected, name
            seen.append(name)
    assert len(seen) == 8 + 1


def test_the_search_finds_a_key_in_each_form():
    """In a process that keeps the key as bytes, backwards, and as digits in several radixes."""
    key = bytes(range(100, 132))
    forms = [
        key,
        key[:16],
        key[16:],
        key[::-1],
        *[one.to_bytes(8, "little") for one in digits(key)],
    ]
    for number, form in enumerate(forms):
        keeps = f"kept = bytes.fromhex({form.hex()!r}); print(flush=True); input()"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", keeps], **pipes) as process:
            process.stdout.readline()
            assert found(process.pid, {"kept": [*words(key), *digits(key)]}) == {"kept"}, number
            process.stdin.close()


def test_round_keys_are_those_of_the_standard():
    """FIPS 197 appendices A.1, A.3 and B, and a column of InvMixColumns."""
    last = {
        "2b7e151628aed2a6abf7158809cf4f3c": "d014f9a8c9ee2589e13f0cc8b6630ca6",
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4":
            "fe4890d1e6188d0b046df344706c631e",
    }  # fmt: skip
    for key, expected in last.items():
        assert memory_search.round_keys(bytes.fromhex(key))[-1].hex() == expected
    assert unmixed(bytes.fromhex("8e4da1bc") * 4).hex() == "db135345" * 4
