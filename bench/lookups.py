"""How many lookups a second the store of accounts answers on one core: from its cache, and, for
comparison, where each must ask the database. Needs the extra ``manage``.

python bench/lookups.py [--database URL] [--accounts N] [--seconds S]

The database is a new file of SQLite unless a URL names an empty one, which is filled.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import random
import statistics
import tempfile
import time
from typing import TYPE_CHECKING

from cmstream.accounts import Actor, Store, create_store
from report import machine
from samples import recipients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BY = Actor("bench", "administrator")
GOAL = 100_000
"""Lookups a second from the cache that are wanted."""
ROUNDS = 7
STEP = 1000


def fill(store: Store, count: int) -> list[str]:
    """Accounts whose mail is sealed; their addresses."""
    addresses = [f"person{number}@example.org" for number in range(count)]
    (someone,) = recipients()
    for address in addresses:
        store.add_account(address, by=BY)
        store.import_certificates(address, someone.pem, by=BY, confirm_mismatch=True)
        store.change_account(address, cipher="aes256-cbc", by=BY)
    return addresses


def rate(
    store: Store,
    asked: Iterator[str],
    seconds: float,
    step: int = STEP,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Lookups a second, by default of what this process has of the core, so that others on the
    machine count for nothing."""
    look = store.seal_for
    done, begun, spent = 0, time.perf_counter(), clock()
    while time.perf_counter() < begun + seconds:
        for address in itertools.islice(asked, step):
            look(address)
        done += step
    return done / (clock() - spent)


def cases(addresses: list[str]) -> dict[str, Callable[[], Iterator[str]]]:
    """What is asked for, by what it is called."""
    shuffled = random.Random(1).sample(addresses, len(addresses))  # noqa: S311 - no secret
    details = [address.replace("@", "+News@") for address in shuffled]
    strangers = [address.replace("example", "elsewhere") for address in shuffled]
    return {
        "cached, one address": lambda: itertools.repeat(addresses[0]),
        "cached, all of them": lambda: itertools.cycle(shuffled),
        "cached, with +detail": lambda: itertools.cycle(details),
        "cached, unknown": lambda: itertools.cycle(strangers),
    }


def measured(store: Store, addresses: list[str], seconds: float) -> dict[str, float]:
    """Medians, in lookups a second."""
    found = {}
    for name, asked in cases(addresses).items():
        for address in itertools.islice(asked(), len(addresses)):
            store.seal_for(address)
        rates = [rate(store, asked(), seconds / ROUNDS) for _ in range(ROUNDS)]
        found[name] = statistics.median(rates)
    fresh = (f"stranger{number}@example.com" for number in itertools.count())
    found["never asked before"] = rate(store, fresh, seconds / 2, 10, time.perf_counter)
    return found


def main() -> None:
    """Measures, and prints the machine with the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", metavar="URL")
    parser.add_argument("--accounts", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(machine(), indent=1))
    with tempfile.TemporaryDirectory() as folder:
        url = options.database or f"sqlite:///{folder}/accounts.sqlite3"
        with create_store(url) as store:
            addresses = fill(store, options.accounts)
            gc.collect()
            found = measured(store, addresses, options.seconds)
    print(f"\nlookups a second on one core, {options.accounts} accounts")
    for name, figure in found.items():
        print(f"{name:24}{figure:12,.0f}")
    cached = min(figure for name, figure in found.items() if name.startswith("cached"))
    print(f"wanted from the cache: {GOAL:,}; reached: {'yes' if cached >= GOAL else 'NO'}")


if __name__ == "__main__":
    main()
