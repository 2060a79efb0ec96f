"""Measures one message at a time against the bare CBC chain and the peers, interleaved in one run.

python bench/compare.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cmstream
import samples

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {"4 KiB": 4 << 10, "75 KiB": 75 << 10, "1 MiB": 1 << 20, "25 MiB": 25 << 20}
LEAST = 0.02  # seconds that one sample should last, so that the clock's grain doesn't show


def measure(engines: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds a call, ``rounds`` samples of each engine, one after the other in every round."""
    repeats = {name: max(1, int(LEAST / seconds(run, 1))) for name, run in engines.items()}
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, run in engines.items():
            times[name].append(seconds(run, repeats[name]))
    return times


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The mean over ``repeats`` calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def report(label: str, times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Prints a table; gives its figures."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    chain = medians["bare CBC chain"]
    peers = [value for name, value in medians.items() if name.startswith("OpenSSL")]
    best, pyca = min(peers, default=0.0), medians["cryptography SMIME"]
    print(f"\n{label:32}{'median µs':>11}{'min':>11}{'spread':>8}{'of chain':>10}"
          f"{'x OpenSSL':>11}{'x pyca':>9}")  # fmt: skip
    rows = {}
    for name, median in medians.items():
        low, high = min(times[name]), max(times[name])
        rows[name] = {"median": median, "min": low, "max": high, "of_chain": chain / median,
                      "openssl": best / median, "pyca": pyca / median}  # fmt: skip
        print(f"{name:32}{median * 1e6:11.1f}{low * 1e6:11.1f}{(high - low) / median:8.0%}"
              f"{chain / median:10.2f}{best / median:11.2f}{pyca / median:9.1f}")  # fmt: skip
    return rows


def main() -> None:
    """Runs every size and writes what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    machine = f"{platform.machine()}, {platform.platform()}, Python {platform.python_version()}"
    print(f"cmstream {cmstream.__version__} on {machine}\nkernels: {cmstream.kernels()}")
    figures = {}
    for label, size in SIZES.items():
        print(f"measuring {label} …", end="\r", file=sys.stderr)
        times = measure(samples.engines(samples.message(size)), options.rounds)
        figures[label] = report(f"{label}, AES-256, RSA-2048", times)
    if options.json:
        document = {"machine": machine, "kernels": cmstream.kernels(), "seconds": figures}
        options.json.write_text(json.dumps(document, indent=2), "utf-8")


if __name__ == "__main__":
    main()
