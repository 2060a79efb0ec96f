"""Draws what was measured, as SVG with a light ground of its own and letters as paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import ticker
from matplotlib.figure import Figure

from goals import BARE_GCM, CHAIN, GCM, MANY, OPENSSL, PYCA, WIDE
from report import split
from samples import MIX, SIZES

if TYPE_CHECKING:
    from pathlib import Path

    from goals import Figures

# Colours that most of those who see few of them tell apart (Okabe and Ito), and marks besides.
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


def draw(figures: Figures, memory: dict[str, dict[int, int]], out: Path) -> None:
    """Writes the three plots."""
    mpl.rcParams["svg.hashsalt"] = "cmstream"  # the same figures give the same file
    for name, figure in (
        ("throughput", throughput(figures)),
        ("split", split_bars(figures)),
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
    """Octets a second over the message's size."""
    figure, axes = _axes("Sealing: AES-256, one RSA-2048 recipient", 9, 5.2)
    for name, (colour, mark, style) in LINES.items():
        rates = {
            size: size / figures[column][name].median / 1e6
            for column, (size, _) in SIZES.items()
            if name in figures.get(column, {})
        }
        if rates:
            axes.plot(rates.keys(), rates.values(), style, color=colour, marker=mark, label=name)
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


def split_bars(figures: Figures) -> Figure:
    """Where the time of ``encrypt_many`` goes."""
    figure, axes = _axes("encrypt_many: µs of a message, by what they are spent on", 9, 4.6)
    columns = [column for column in (*SIZES, MIX) if column in figures]
    for place, column in enumerate(columns):
        parts = split(figures[column])
        bottom, total = 0.0, sum(parts.values())
        for (name, seconds), colour in zip(parts.items(), PIECES, strict=True):
            share = seconds / total
            axes.bar(place, share, 0.7, bottom, color=colour, label=name if not place else None)
            if share > 0.04:
                axes.text(place, bottom + share / 2, _micros(seconds), ha="center", va="center",
                          color="black" if colour in {ORANGE, PIECES[-1]} else "white")  # fmt: skip
            bottom += share
        axes.text(place, 1.01, f"{_micros(total)} µs", ha="center", va="bottom")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_ylim(0, 1.08)
    axes.yaxis.set_major_locator(ticker.MultipleLocator(0.2))
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1))
    figure.legend(loc="outside right center", frameon=False, reverse=True)
    return figure


def _micros(seconds: float) -> str:
    micros = seconds * 1e6
    return f"{micros:,.0f}" if micros >= 100 else f"{micros:.{1 if micros >= 10 else 2}f}"


def memory_lines(memory: dict[str, dict[int, int]]) -> Figure:
    """The peak of a process over the message's size."""
    figure, axes = _axes("Memory of a process that seals one message", 9, 4.2)
    for (name, peaks), (colour, mark) in zip(
        memory.items(), ((BLUE, "o"), (ORANGE, "s"), (RED, "^")), strict=False
    ):
        octets = [peak / MIB for peak in peaks.values()]
        axes.plot(peaks.keys(), octets, color=colour, marker=mark, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(lambda mib, _: f"{mib:,g}"))
    axes.set_xlabel("MiB of message")
    axes.set_ylabel("MiB resident at most, Python included")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False)
    return figure
