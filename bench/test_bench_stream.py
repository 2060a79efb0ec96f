"""pytest-benchmark cases: ``pytest bench``. No timing is asserted here or anywhere."""

from __future__ import annotations

import functools

import pytest

import samples

SIZES = {"4KiB": 4 << 10, "1MiB": 1 << 20, "25MiB": 25 << 20}


@functools.cache
def engines(size):  # noqa: ANN001, ANN201
    return samples.engines(samples.message(SIZES[size]))


@pytest.mark.parametrize("engine", list(engines("4KiB")))
@pytest.mark.parametrize("size", list(SIZES))
def test_seal(benchmark, size, engine):  # noqa: ANN001, ANN201
    benchmark.group = size
    rounds = 5 if size == "25MiB" else 50
    benchmark.pedantic(engines(size)[engine], rounds=rounds, warmup_rounds=1)
