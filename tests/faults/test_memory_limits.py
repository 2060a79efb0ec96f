"""A process that may not have more memory: each shape gives the right answer or MemoryError, and
works again as soon as there is room. Streams need no more for a long message than for a short one.
The gateway's own limit is in test_gateway_faults.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

if not Path("/proc/self/statm").exists():
    pytest.skip("wants /proc", allow_module_level=True)

PROGRAM = """
import faulthandler, io, resource
import cmstream

faulthandler.dump_traceback_later(200, exit=True)
key = cmstream.Recipient.from_kek(bytes(32), b"1")
to = cmstream.Recipients([key])
SIZE = 34 << 20  # longer than what malloc keeps
content = bytes(SIZE)
message = b"Subject: x\\r\\n\\r\\n" + content
sealed = cmstream.encrypt(content, to)
mail = cmstream.encrypt_message(message, to)
small = bytes(1000)

class Sink:
    count = 0
    def write(self, data):
        self.count += len(data)
        return len(data)

def push(make, data, form=None):
    context = make(to, form=form) if form else make([key])
    view, count = memoryview(data), 0
    for at in range(0, len(data), 65536):
        count += len(context.update(view[at : at + 65536]))
    return count + len(context.finalize())

def writer(make, who, data):
    sink = Sink()
    with make(sink, who) as out:
        for at in range(0, len(data), 65536):
            out.write(memoryview(data)[at : at + 65536])
    return sink.count

def reader(make, who, data):
    count, source = 0, make(io.BytesIO(data), who)
    while piece := source.read(65536):
        count += len(piece)
    return count

def pieces(chunks):
    return sum(map(len, chunks))

gather = cmstream.Gatherer(workers=1)  # before: Python waits for ever for a thread without room

def gathered():
    return len(gather.submit(message, to).result())

def first(answers):
    return len(answers[0])

whole = {
    "encrypt": lambda: len(cmstream.encrypt(content, to)),
    "encrypt_message": lambda: len(cmstream.encrypt_message(message, to)),
    "encrypt_many": lambda: first(cmstream.encrypt_many([(content, to)], form="der")),
    "encrypt_many, mail": lambda: first(cmstream.encrypt_many([(message, to)] * 2)),
    "Gatherer": gathered,
    "decrypt": lambda: len(cmstream.decrypt(sealed, [key])),
    "decrypt_message": lambda: len(cmstream.decrypt_message(mail, [key])),
    "decrypt_many": lambda: first(cmstream.decrypt_many([(sealed, [key])], form="content")),
}
streams = {
    "encryptor": lambda: push(cmstream.encryptor, content, "der"),
    "encryptor, mail": lambda: push(cmstream.encryptor, message, "message"),
    "EncryptWriter": lambda: writer(cmstream.EncryptWriter, to, content),
    "EncryptReader": lambda: reader(cmstream.EncryptReader, to, content),
    "encrypt_iter": lambda: pieces(cmstream.encrypt_iter(io.BytesIO(content), to)),
    "decryptor": lambda: push(cmstream.decryptor, sealed),
    "DecryptWriter": lambda: writer(cmstream.DecryptWriter, [key], sealed),
    "DecryptReader": lambda: reader(cmstream.DecryptReader, [key], sealed),
    "decrypt_iter": lambda: pieces(cmstream.decrypt_iter(io.BytesIO(sealed), [key])),
    "is_encrypted": lambda: int(cmstream.is_encrypted(mail)),
    "inspect": lambda: len(cmstream.inspect(io.BytesIO(sealed)).addressees),
}
expected = {name: work() for name, work in (whole | streams).items()}

def limited(megabytes, work):
    pages = int(open("/proc/self/statm").read().split()[0])
    limits = (pages * 4096 + (megabytes << 20), resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, limits)
    try:
        return work()
    except MemoryError:
        return "MemoryError"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)

refused = 0
for name, work in whole.items():
    for megabytes in (0, 8, 40):
        answer = limited(megabytes, work)
        assert answer in ("MemoryError", expected[name]), (name, megabytes, answer)
        refused += answer == "MemoryError"
        assert cmstream.decrypt(cmstream.encrypt(small, to), [key]) == small
        assert bytes(cmstream.encrypt_many([(small, to)], form="der")[0])
    assert work() == expected[name], name
for name, work in streams.items():
    assert limited(12, work) == expected[name], name
    limited(0, work)
    assert work() == expected[name], name
print(refused)
"""


@pytest.mark.slow
def test_each_shape_with_too_little_memory():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    print(f"{done.stdout.strip()} of 24 refused")  # noqa: T201
    assert int(done.stdout) >= 4
