"""No content-encryption key stays in memory once its message is sealed: the memory of a process
that has only the certificate is searched by its parent, which has the private key. A stream that
still runs has its key there: so the search finds what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding

from helpers.opening import dearmour

if not Path("/proc/self/mem").exists():
    pytest.skip("wants /proc", allow_module_level=True)

PROGRAM = """
import asyncio, gc, io, pathlib, sys
import cmstream

folder = pathlib.Path(sys.argv[1])
to = cmstream.Recipients(cmstream.load_recipients((folder / "certificate").read_bytes()))
MESSAGE = b"Subject: x\\r\\n\\r\\n" + b"SECRET line\\r\\n" * 5000

def push(form="der", **options):
    context = cmstream.encryptor(to, form=form, **options)
    out = bytearray(context.bound(len(MESSAGE)))
    return out[: context.update_into(MESSAGE, out)] + context.finalize()

def written():
    sink = io.BytesIO()
    with cmstream.EncryptWriter(sink, to) as out:
        out.write(MESSAGE)
    return sink.getvalue()

def broken():
    sink = io.BytesIO()
    try:
        with cmstream.EncryptWriter(sink, to, size=2 * len(MESSAGE)) as out:
            out.write(MESSAGE)
            raise KeyError
    except KeyError:
        return sink.getvalue()

def too_short():
    context = cmstream.encryptor(to, size=len(MESSAGE) + 1)
    out = context.update(MESSAGE)
    try:
        context.finalize()
    except cmstream.CmstreamError:
        return out

def dropped():
    return cmstream.encryptor(to, size=len(MESSAGE)).update(MESSAGE)

def gathered():
    with cmstream.Gatherer(workers=1) as gather:
        return bytes(gather.submit(MESSAGE, to).result(60))

def many(form):
    return [bytes(one) for one in cmstream.encrypt_many([(MESSAGE, to)] * 20, form=form)][::7]

shapes = {
    "encrypt": lambda: cmstream.encrypt(MESSAGE, to),
    "encrypt_message": lambda: cmstream.encrypt_message(MESSAGE, to),
    "encryptor": push,
    "encryptor, a mail": lambda: push("message"),
    "EncryptWriter": written,
    "EncryptReader": lambda: cmstream.EncryptReader(io.BytesIO(MESSAGE), to).read(),
    "encrypt_iter": lambda: b"".join(cmstream.encrypt_iter(io.BytesIO(MESSAGE), to)),
    "encrypt_many": lambda: many("message"),
    "encrypt_many, DER": lambda: many("der"),
    "Gatherer": gathered,
    "an exception in the writer": broken,
    "a stream that ends too early": too_short,
    "a stream that is dropped": dropped,
}
for name, shape in shapes.items():
    answers = shape()
    for number, one in enumerate(answers if isinstance(answers, list) else [answers]):
        (folder / f"{name}.{number}").write_bytes(one)
del answers, one
gc.collect()
live = cmstream.encryptor(to, size=1 << 20)
(folder / "live").write_bytes(live.update(bytes(10000)))
print("runs", flush=True)
sys.stdin.readline()
live.abort()
print("ended", flush=True)
sys.stdin.readline()
"""


def words(key):
    """Its parts as digits of a number in which it is the lowest, least significant word first, as
    big numbers are kept."""
    number = int.from_bytes(key, "big")
    for bits in (52, 64):
        for at in range(0, 8 * len(key) - bits + 1, bits):
            yield number >> at & (1 << bits) - 1


def memory(process):
    """All that it may write to."""
    with open(f"/proc/{process}/mem", "rb", buffering=0) as file:  # noqa: PTH123
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found and "[v" not in line:
                begin, end = (int(one, 16) for one in found.groups())
                file.seek(begin)
                while begin < end and (piece := file.read(min(end - begin, 8 << 20))):
                    yield piece
                    begin += len(piece)


def found(process, keys):
    """The names of those keys of which a part is somewhere in its memory."""
    digits = {word: name for name, key in keys.items() for word in words(key)}
    seen = set()
    for piece in memory(process):
        for name, key in keys.items():
            if any(half in piece for half in (key[:16], key[16:])):
                seen.add(name)
        seen |= {digits[word] for word in digits.keys() & {*memoryview(piece).cast("Q")}}
    return seen


def key_of(sealed, private):
    der = sealed if sealed.startswith(b"0") else dearmour(sealed)
    (encrypted,) = re.findall(rb"\x04\x82\x01\x00(.{256})", der, re.DOTALL)[:1]
    return private.decrypt(encrypted, padding.PKCS1v15())


@pytest.fixture
def sealer(tmp_path, alice):
    """A process that has sealed in every shape and has one stream still open."""
    (tmp_path / "certificate").write_bytes(alice.recipient.der)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path], **pipes) as process:
        assert process.stdout.readline() == b"runs\n"
        yield process
        process.stdin.close()


def test_sealing_leaves_no_key(sealer, tmp_path, alice):
    files = [one for one in tmp_path.iterdir() if one.name != "certificate"]
    keys = {one.name: key_of(one.read_bytes(), alice.key) for one in files}
    assert len({*keys.values()}) == len(keys) == 11 + 2 * 3 + 1
    assert found(sealer.pid, keys) == {"live"}
    sealer.stdin.write(b"\n")
    sealer.stdin.flush()
    assert sealer.stdout.readline() == b"ended\n"
    assert found(sealer.pid, keys) == set()


def test_the_search_finds_a_key_in_each_form():
    """In a process that keeps the key as bytes, backwards, and as digits in several radixes."""
    key = bytes(range(100, 132))
    forms = [key, key[:16], key[16:], key[::-1], *[one.to_bytes(8, "little") for one in words(key)]]
    for number, form in enumerate(forms):
        keeps = f"kept = bytes.fromhex({form.hex()!r}); print(flush=True); input()"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", keeps], **pipes) as process:
            process.stdout.readline()
            assert found(process.pid, {"kept": key}) == {"kept"}, number
            process.stdin.close()
