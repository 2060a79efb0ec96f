"""Draws the plots, as SVG with a white background and letters as paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import ticker
from matplotlib.figure import Figure

from goals import BARE_GCM, CHAIN, GCM, MANY, OPENSSL, PYCA, SMALLSTEP, STALWART, WIDE
from samples import MIX, SIZES

if TYPE_CHECKING:
    from pathlib import Path

    from goals import Figures
    from split import Split

# Colours that people who are colour-blind can tell apart (Okabe and Ito), and marks.
BLUE, SKY, GREEN, ORANGE, RED, PURPLE, YELLOW = (
    "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7", "#f0e442",
)  # fmt: skip
GREY, BLACK = "#777777", "#222222"

LINES = {
    MANY: (BLUE, "o", "-"),
    f"{MANY}, halves, two threads": (SKY, "D", "-"),
    f"{MANY}, CPU level aesni": (PURPLE, "s", "-"),
    "cmstream encrypt_message": (GREEN, "^", "-"),
    GCM: (YELLOW, "^", "-"),
    OPENSSL: (ORANGE, "o", "-"),
    "cryptography DER": (RED, "s", "-"),
    PYCA: (RED, "^", "-"),
    STALWART: (PURPLE, "x", "-"),
    SMALLSTEP: (SKY, "+", "-"),
    "Bouncy Castle": (BLACK, "v", "-"),
    "openssl cms (whole process)": (GREY, "x", "-"),
    "gpgsm (whole process)": (GREY, "+", "-"),
    "memory copy": (BLACK, "", ":"),
    WIDE: (BLUE, "", ":"),
    CHAIN: (GREEN, "", ":"),
    BARE_GCM: (YELLOW, "", ":"),
}
PIECES = (BLUE, GREEN, ORANGE, PURPLE, "#bbbbbb")
MIB = 1 << 20


def draw(
    figures: Figures, splits: dict[str, Split], memory: dict[str, dict[int, int]], out: Path
) -> None:
    """Writes the three plots."""
    mpl.rcParams["svg.hashsalt"] = "cmstream"  # the same figures give the same file
    for name, figure in (
        ("throughput", throughput(figures)),
        ("split", split_bars(splits)),
        ("memory", memory_lines(memory)),
    ):
        figure.savefig(out / f"{name}.svg", metadata={"Date": None})


def _axes(title: str, width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def throughput(figures: Figures) -> Figure:
    """Bytes a second over the message's size; the bars show the interquartile range."""
    figure, axes = _axes("Encrypting: AES-256, one RSA-2048 recipient", 9, 5.2)
    for name, (colour, mark, style) in LINES.items():
        found = {
            size: figures[column][name]
            for column, (size, _) in SIZES.items()
            if name in figures.get(column, {})
        }
        if found:
            rates = [size / one.median / 1e6 for size, one in found.items()]
            below = [size * (1 / one.median - 1 / one.high) / 1e6 for size, one in found.items()]
            above = [size * (1 / one.low - 1 / one.median) / 1e6 for size, one in found.items()]
            axes.errorbar(found.keys(), rates, [below, above], fmt=style, color=colour,
                          marker=mark, label=name, capsize=3, elinewidth=1)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    shown = {column: size for column, (size, _) in SIZES.items() if column in figures}
    axes.set_xticks(list(shown.values()), [name.replace(" ", "\n") for name in shown])
    axes.minorticks_off()
    axes.set_xlabel("size of a message")
    axes.set_ylabel("MB of message a second")
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda rate, _: f"{rate:,g}"))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False)
    return figure


def split_bars(splits: dict[str, Split]) -> Figure:
    """Where the time of ``encrypt_many`` goes. The shares are of the whole, measured for itself, so
    that a bar which doesn't end at 100 % shows how well the parts add up."""
    figure, axes = _axes("encrypt_many: processor time of a message in µs, by its parts", 9, 4.6)
    columns = [column for column in (*SIZES, MIX) if column in splits]
    for place, column in enumerate(columns):
        one = splits[column]
        bottom = 0.0
        for (name, seconds), colour in zip(one.parts.items(), PIECES, strict=True):
            share = seconds / one.whole
            axes.bar(place, share, 0.7, bottom, color=colour, label=name if not place else None)
            if share > 0.04:
                axes.text(place, bottom + share / 2, _micros(seconds), ha="center", va="center",
                          color="black" if colour in {ORANGE, PIECES[-1]} else "white")  # fmt: skip
            bottom += share
        top = max(bottom, 1.0) + 0.01
        axes.text(place, top, f"{_micros(one.whole)} µs", ha="center", va="bottom")
    axes.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_ylim(0, 1.18)
    axes.yaxis.set_major_locator(ticker.MultipleLocator(0.2))
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1))
    figure.legend(loc="outside right center", frameon=False, reverse=True)
    return figure


def _micros(seconds: float) -> str:
    micros = seconds * 1e6
    return f"{micros:,.0f}" if micros >= 100 else f"{micros:.{1 if micros >= 10 else 2}f}"


def memory_lines(memory: dict[str, dict[int, int]]) -> Figure:
    """The peak of a process over the message's size; one process each, so without error bars."""
    figure, axes = _axes("Memory of a process that encrypts one message", 9, 4.2)
    for (name, peaks), (colour, mark) in zip(
        memory.items(), ((BLUE, "o"), (ORANGE, "s"), (RED, "^")), strict=False
    ):
        mib = [peak / MIB for peak in peaks.values()]
        axes.plot(peaks.keys(), mib, color=colour, marker=mark, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(lambda mib, _: f"{mib:,g}"))
    axes.set_xlabel("MiB of message")
    axes.set_ylabel("MiB resident at most, Python included")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False)
    return figure
