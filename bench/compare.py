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

    Rows = dict[str, dict[str, float]]

SIZES = {"4 KiB": 4 << 10, "75 KiB": 75 << 10, "1 MiB": 1 << 20, "25 MiB": 25 << 20}
PEERS = {"chain": "bare CBC chain", "openssl": "OpenSSL", "pyca": "cryptography"}
GOALS = (
    ("25 MiB", "chain", "of the bare CBC chain (0.90, better 0.97)"),
    ("25 MiB", "openssl", "x OpenSSL's best mode (1.5, better 2)"),
    ("25 MiB", "pyca", "x cryptography (20)"),
    ("4 KiB", "openssl", "x OpenSSL's best mode (1)"),
)
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


def compare(times: dict[str, list[float]]) -> Rows:
    """Figures of each engine: seconds, and by medians and by minima its share of the bare chain
    and how often it is as fast as OpenSSL's best mode and as cryptography, where they are."""
    rows = {
        name: {
            "median": statistics.median(values),
            "min": min(values),
            "spread": (max(values) - min(values)) / statistics.median(values),
        }
        for name, values in times.items()
    }
    for key, start in PEERS.items():
        for by in ("median", "min"):
            peer = min((row[by] for name, row in rows.items() if name.startswith(start)), default=0)
            for row in rows.values():
                row[f"{key} by {by}"] = peer / row[by]
    return rows


def table(label: str, rows: Rows) -> None:
    """Prints the figures, ratios by medians."""
    print(f"\n{label:32}{'median µs':>11}{'min µs':>11}{'spread':>8}"
          f"{'of chain':>10}{'x OpenSSL':>11}{'x pyca':>9}")  # fmt: skip
    for name, row in rows.items():
        print(f"{name:32}{row['median'] * 1e6:11.1f}{row['min'] * 1e6:11.1f}{row['spread']:8.0%}"
              f"{row['chain by median']:10.2f}{row['openssl by median']:11.2f}"
              f"{row['pyca by median']:9.1f}")  # fmt: skip


def summary(figures: dict[str, Rows]) -> None:
    """Prints the ratios that have a goal, by medians and, since others use the machine too, by
    minima; a peer that isn't here is left out."""
    print("\nby medians / by minima")
    for label, key, text in GOALS:
        for name, row in figures[label].items():
            if name.startswith("cmstream") and row[f"{key} by min"]:
                ratios = f"{row[f'{key} by median']:.2f} / {row[f'{key} by min']:.2f}"
                print(f"{label:8}{name:32}{ratios:>15} {text}")


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
        figures[label] = compare(times)
        table(f"{label}, AES-256, RSA-2048", figures[label])
    summary(figures)
    if options.json:
        document = {"machine": machine, "kernels": cmstream.kernels(), "figures": figures}
        options.json.write_text(json.dumps(document, indent=2), "utf-8")


if __name__ == "__main__":
    main()
