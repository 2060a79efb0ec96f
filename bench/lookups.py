"""Measures how many lookups a second the certificate store answers on one core: from its cache,
and from the database. Needs the extra ``manage``.

python bench/lookups.py [--database URL] [--accounts N] [--seconds S] [--quick] [--out FOLDER]

The database is a new SQLite file. A URL names another one, which must be empty and is filled.
Takes some 20 seconds.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import random
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

import results
from cmstream.accounts import Actor, Store, create_store
from conditions import Conditions
from measure import NOISY, quartiles
from report import NOISY_MARK
from samples import recipients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BY = Actor("bench", "administrator")
GOAL = 100_000
"""Lookups a second from the cache."""
ROUNDS = 7
STEP = 1000


class Rate(NamedTuple):
    """Lookups a second: the median and the quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, rates: Sequence[float]) -> Rate:
        """Of some samples."""
        low, median, high = quartiles(rates)
        return cls(median, low, high)

    @property
    def spread(self) -> float:
        """Half of the interquartile range, as a share of the median."""
        return (self.high - self.low) / 2 / self.median


def fill(store: Store, count: int) -> list[str]:
    """Makes accounts whose mail is encrypted; gives their addresses."""
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
    """Lookups a second; by default of processor time, which other programs disturb least."""
    look = store.seal_for
    done, begun, spent = 0, time.perf_counter(), clock()
    while time.perf_counter() < begun + seconds:
        for address in itertools.islice(asked, step):
            look(address)
        done += step
    return done / (clock() - spent)


def cases(addresses: list[str]) -> dict[str, Callable[[], Iterator[str]]]:
    """The addresses that are asked for, by the name of the case."""
    shuffled = random.Random(1).sample(addresses, len(addresses))  # noqa: S311 - no secret
    details = [address.replace("@", "+News@") for address in shuffled]
    strangers = [address.replace("example", "elsewhere") for address in shuffled]
    return {
        "cached, one address": lambda: itertools.repeat(addresses[0]),
        "cached, all of them": lambda: itertools.cycle(shuffled),
        "cached, with +detail": lambda: itertools.cycle(details),
        "cached, unknown": lambda: itertools.cycle(strangers),
    }


def measured(store: Store, addresses: list[str], seconds: float) -> dict[str, Rate]:
    """Each case in several samples."""
    found = {}
    for name, asked in cases(addresses).items():
        for address in itertools.islice(asked(), len(addresses)):
            store.seal_for(address)
        found[name] = Rate.of([rate(store, asked(), seconds / ROUNDS) for _ in range(ROUNDS)])
    fresh = (f"stranger{number}@example.com" for number in itertools.count())
    found["never asked before"] = Rate.of(
        [rate(store, fresh, seconds / ROUNDS, 10, time.perf_counter) for _ in range(ROUNDS)]
    )
    return found


def show(found: dict[str, Rate], accounts: int) -> None:
    """Prints the rates and whether the goal is reached."""
    print(f"\nlookups a second on one core, {accounts} accounts: median ± half of the "
          f"interquartile range; {NOISY_MARK} marks a spread above {NOISY:.0%}")  # fmt: skip
    for name, figure in found.items():
        mark = NOISY_MARK if figure.spread > NOISY else " "
        print(f"{name:24}{figure.median:12,.0f} ±{figure.spread:.1%}{mark}")
    cached = min(figure.median for name, figure in found.items() if name.startswith("cached"))
    print(f"goal for the cache: {GOAL:,}; reached: {'yes' if cached >= GOAL else 'NO'}")


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", metavar="URL")
    parser.add_argument("--accounts", type=int, metavar="N", help="default: 500; with --quick 50")
    parser.add_argument("--seconds", type=float, metavar="S", help="default: 3; with --quick 0.2")
    results.add_options(parser)
    options = parser.parse_args()
    accounts = options.accounts or (50 if options.quick else 500)
    seconds = options.seconds or (0.2 if options.quick else 3)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    conditions = Conditions()
    with tempfile.TemporaryDirectory() as folder:
        url = options.database or f"sqlite:///{folder}/accounts.sqlite3"
        with create_store(url) as store:
            addresses = fill(store, accounts)
            gc.collect()
            found = measured(store, addresses, seconds)
    conditions.end()
    print(*conditions.lines(), sep="\n")
    show(found, accounts)
    rates = {name: one._asdict() | {"spread": one.spread} for name, one in found.items()}
    document = {"conditions": conditions.as_document(), "accounts": accounts, "rates": rates}
    results.write_json(options.out / "lookups.json", document)
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    main()
