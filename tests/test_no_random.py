"""Where the operating system's generator gives nothing, no message is sealed: its key would be
guessable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

SHIM = """
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

int calls_left = -1; /* any number */

ssize_t getrandom(void *octets, size_t len, unsigned flags)
{
    if (!calls_left)
        return -1;
    calls_left -= calls_left > 0;
    return syscall(SYS_getrandom, octets, len, flags);
}
"""

PROGRAM = """
import ctypes
import itertools
import sys

import cmstream

kek = cmstream.Recipient.from_kek(bytes(32), b"1")
to = [cmstream.Recipients([*cmstream.load_recipients(open(sys.argv[1], "rb").read())]),
      cmstream.Recipients([kek])]
messages = [b"A: b\\r\\n\\r\\nx", b"Content-Transfer-Encoding: binary\\n\\nx"]
policies = [cmstream.Policy(cipher=cipher, header_protection=protection)
            for cipher in ("aes256-cbc", "aes256-gcm") for protection in (None, "shy")]
jobs = list(itertools.product(messages, to, policies))
left = ctypes.c_int.in_dll(ctypes.CDLL(sys.argv[2]), "calls_left")

def kinds(answers):
    return {type(answer).__name__ for answer in answers}

assert kinds(cmstream.encrypt_many(jobs)) == {"memoryview"}
left.value = 0
# One by one, since RSA, which wants random bytes too, would stop all of a batch.
answers = [cmstream.encrypt_many([job], return_exceptions=True)[0] for job in jobs]
# The key of a stream comes by the first call, the padding for RSA by the second.
for form, size, calls in itertools.product(("der", "pem", "smime"), (None, 1), (0, 1)):
    left.value = calls
    try:
        cmstream.encryptor(to[0], form=form, size=size)
    except OSError as error:
        answers.append(error)
left.value = -1
assert kinds(answers) == {"OSError"}, kinds(answers)
print(len(answers))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="wants Linux and a C compiler"
)
def test_nothing_is_sealed_without_random_bytes(tmp_path, alice):
    source, shim = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source], check=True)
    certificate = tmp_path / "alice.der"
    certificate.write_bytes(alice.recipient.der)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, certificate, shim],
        env={**os.environ, "LD_PRELOAD": str(shim)}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [b"28"]
