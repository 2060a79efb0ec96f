"""Which extensions of the processor C finds: those that Linux tells of too."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from cmstream.engine.gate import lib, restrict_cpu

CPUINFO = Path("/proc/cpuinfo")
X86 = {
    lib.CPU_AESNI: "aes ssse3 sse4_1",
    lib.CPU_ADX: "adx bmi2",
    lib.CPU_AVX2: "avx2",
    lib.CPU_VAES256: "avx2 vaes",
    lib.CPU_AVX512: "avx512f avx512bw avx512vl avx512vbmi avx512_vbmi2 bmi2",
    lib.CPU_VAES512: "avx512f avx512bw avx512vl avx512vbmi avx512_vbmi2 bmi2 vaes",
    lib.CPU_IFMA: "avx512f avx512bw avx512vl avx512vbmi avx512_vbmi2 bmi2 avx512ifma",
}
ARM = {lib.CPU_NEON: "asimd", lib.CPU_ARMAES: "asimd aes"}


@pytest.fixture
def all_of_the_cpu():
    restrict_cpu(None)
    yield
    restrict_cpu(os.environ.get("CMSTREAM_CPU"))


@pytest.mark.skipif(not CPUINFO.exists(), reason="wants Linux")
@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "aarch64"}, reason="has no extensions that are used"
)
def test_c_finds_the_extensions_that_the_kernel_tells_of(all_of_the_cpu):
    known = X86 if platform.machine() == "x86_64" else ARM
    lines = CPUINFO.read_text().splitlines()
    told = next(set(one.split()) for one in lines if one.lower().startswith(("flags", "features")))
    expected = {bit for bit, words in known.items() if told.issuperset(words.split())}
    assert {bit for bit in known if lib.cpu_features() & bit} == expected
