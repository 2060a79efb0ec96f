"""Memory that stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """\
import resource, sys
from cmstream.gateway import heap
if "keep" in sys.argv:
    heap.keep()
def work():
    pieces = [bytes([number]) * 100_000 for number in range(6)]
    return b"".join(pieces)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*words):
    command = [sys.executable, "-c", FAULTS, *words]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_pages_are_used_again():
    assert faults("keep") < 1000 < faults()
