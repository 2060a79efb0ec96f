"""What the cases of pytest-benchmark share: engines and messages, made once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

import cmstream_encrypt
import libcrypto
import limits
import pyca
import samples
from engines import Absent, Engine, Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def pytest_xdist_auto_num_workers() -> int:
    """No others: what runs side by side is measured wrong."""
    return 0


@pytest.fixture(scope="session")
def engines() -> Iterator[dict[str, Engine]]:
    """Those that run in this process, by name."""
    with Lab() as lab:
        rows = cmstream_encrypt.engines(lab) + pyca.engines(lab) + limits.encrypting()
        try:
            rows += libcrypto.engines(lab)
        except Absent as reason:
            print(f"OpenSSL is left out: {reason}")
        yield {row.name: row for row in rows}


# One at a time: the cases come size by size.
_column = functools.lru_cache(maxsize=1)(samples.column)


@pytest.fixture
def measure(benchmark: Any, engines: dict[str, Engine]) -> Callable[..., None]:
    """Measures an engine on a quarter of a column: on one message, or on all of them."""

    def case(name: str, size: str, rounds: int, *, every: bool) -> None:
        if name not in engines:
            pytest.skip(f"{name} is not on this machine")
        column = _column(size, 4)
        run = engines[name].prepare(column)
        if run is None:
            pytest.skip("another row does the same")
        count = len(column.messages) if every else 1

        def seal() -> None:
            done = 0
            while done < count:
                done += run()

        benchmark.group = f"{size}, messages: {count}"
        benchmark.pedantic(seal, rounds=rounds, warmup_rounds=1)

    return case
