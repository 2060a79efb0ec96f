"""pytest-benchmark cases: ``pytest bench``. No timing is asserted here or anywhere."""

from __future__ import annotations

import pytest

import samples

SIZES = {"4KiB": 4 << 10, "1MiB": 1 << 20, "25MiB": 25 << 20}
ENGINES = {label: samples.engines(samples.message(size)) for label, size in SIZES.items()}


@pytest.mark.parametrize("engine", list(ENGINES["4KiB"]))
@pytest.mark.parametrize("size", list(SIZES))
def test_seal(benchmark, size, engine):  # noqa: ANN001, ANN201
    benchmark.group = size
    rounds = 5 if size == "25MiB" else 50
    benchmark.pedantic(ENGINES[size][engine], rounds=rounds, warmup_rounds=1)
