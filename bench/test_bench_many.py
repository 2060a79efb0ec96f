"""pytest-benchmark cases of many messages at once, and of peers that take one after the other:
``pytest bench``. No timing is asserted."""

from __future__ import annotations

import pytest

import cmstream_encrypt
from goals import MANY, WIDE
from test_bench_stream import PEERS

BATCHES = [f"{MANY}, {width} at a time" for width in cmstream_encrypt.WIDTHS]
ENGINES = [WIDE, *(engine.name for engine in cmstream_encrypt.many()), *BATCHES, *PEERS]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", ["4 KiB", "75 KiB", "mix"])
def test_encrypt_many(measure, size, engine):  # noqa: ANN001, ANN201
    measure(engine, size, 10, every=True)
