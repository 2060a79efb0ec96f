"""Puts figures into tables: all of them as text, the main ones as Markdown; and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cmstream
from goals import BARE_GCM, CHAIN, GCM, GCM_PUSHED, MANY, OPENSSL, PYCA, WIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from goals import Figures, Reached, Row

_CAPTION = """\
µs a message, AES-256-CBC where no other cipher is named, one RSA-2048 recipient, median; in
brackets how many times as fast as OpenSSL's libcrypto in its better mode."""
PIECE = "piece "
PEERS = {OPENSSL: "x OpenSSL", PYCA: "x pyca", CHAIN: "of chain", WIDE: "of wide"}
"""What rows are compared with, and how a table's head says so."""
REST = "memory and the rest"

MAIN = (
    "cmstream encrypt_message",
    "cmstream update_into, 256 KiB",
    "cmstream EncryptWriter",
    GCM,
    GCM_PUSHED,
    MANY,
    f"{MANY}, CPU level aesni",
    OPENSSL,
    PYCA,
    "cryptography DER",
    "Bouncy Castle",
    "openssl cms (whole process)",
    "gpgsm (whole process)",
)
LIMITS = (CHAIN, WIDE, BARE_GCM, "memory copy")


def machine() -> dict[str, Any]:
    """What was measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "kernels": cmstream.kernels(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    return platform.processor()


def ratios(row: Row, peers: Iterable[str] = PEERS) -> dict[str, dict[str, float]]:
    """How many times as fast as each peer and limit every engine is, by medians."""
    return {
        name: {peer: row[peer].median / figure.median for peer in peers if peer in row}
        for name, figure in row.items()
    }


def split(row: Row) -> dict[str, float]:
    """Where the seconds of one message in ``encrypt_many`` go."""
    parts = {n.removeprefix(PIECE): f.median for n, f in row.items() if n.startswith(PIECE)}
    if not cmstream.kernels()["rsa"]:  # then it is done outside C, where that clock runs
        parts["Python"] = max(0.0, parts["Python"] - parts["RSA"])
    return parts | {REST: max(0.0, row[MANY].median - sum(parts.values()))}


def heading(versions: Iterable[str]) -> Iterator[str]:
    """Who was measured on what."""
    about = machine()
    yield "; ".join(versions) + "."
    yield (f"{about['processor']}, cores: {about['cores']}, {about['system']}, "
           f"Python {about['python']}.")  # fmt: skip
    kernels = about["kernels"].items()
    rows = "; ".join(f"{what} {', '.join(names) or 'none'}" for what, names in kernels)
    yield f"Kernels: {rows}."


# As text


def text(label: str, row: Row, peers: Mapping[str, str] = PEERS) -> Iterator[str]:
    """Every figure of a column."""
    yield (f"{label:48}{'median µs':>12}{'best µs':>12}{'spread':>8}{'n':>4}"
           f"{''.join(f'{head:>11}' for head in peers.values())}")  # fmt: skip
    for name, found in ratios(row, peers).items():
        figure = row[name]
        cells = "".join(f"{found[peer]:11.2f}" if peer in found else f"{'-':>11}" for peer in peers)
        yield (f"{name:48}{figure.median * 1e6:12.2f}{figure.best * 1e6:12.2f}"
               f"{figure.spread:8.0%}{figure.samples:4}{cells}")  # fmt: skip


def goals_text(found: Iterable[Reached]) -> Iterator[str]:
    """What was to be reached and what was."""
    yield f"{'goal':44}{'size':>8}{'at least':>10}{'aim':>7}{'reached':>9}{'by best':>9}"
    for one in found:
        goal = one.goal
        yield (f"{goal.text:44}{goal.column:>8}{goal.least:10.3g}{goal.aim:7g}"
               f"{one.median:9.2f}{one.best:9.2f}  {one.verdict}")  # fmt: skip


# As Markdown


def markdown(versions: Iterable[str], figures: Figures, found: Iterable[Reached]) -> str:
    """Three tables and the goals."""
    names = {name: None for row in figures.values() for name in row}
    batches = [n for n in names if n.startswith(f"{MANY},") and n != f"{MANY}, CPU level aesni"]
    parts = [
        "\n".join(heading(versions)),
        _CAPTION,
        table("", [n for n in MAIN if n in names], figures),
        table("in batches", batches, figures),
        table("limits", [n for n in LIMITS if n in names], figures),
        goals_table(found),
    ]
    return "\n\n".join(parts) + "\n"


def table(title: str, names: Iterable[str], figures: Figures, peer: str = OPENSSL) -> str:
    """Rows by columns; in brackets how many times as fast as ``peer``."""
    lines = [_line(title, figures), _line("---", ["---:"] * len(figures))]
    lines += [_line(name, (_cell(name, row, peer) for row in figures.values())) for name in names]
    return "\n".join(lines)


def _line(*cells: Any) -> str:
    first, rest = cells
    return f"| {' | '.join([first, *rest])} |"


def _cell(name: str, row: Row, peer: str) -> str:
    if name not in row:
        return ""
    micros = row[name].median * 1e6
    # Three digits, as far as they are figures at all.
    value = f"{micros:,.0f}" if micros >= 100 else f"{micros:.{2 if micros < 10 else 1}f}"
    times = f" ({_short(row[peer].median / row[name].median)})" if peer in row else ""
    return value + times


def _short(ratio: float) -> str:
    return f"{ratio:.{0 if ratio >= 10 else 1 if ratio >= 1 else 2}f}"


def goals_table(found: Iterable[Reached]) -> str:
    """What was to be reached and what was."""
    lines = ["| goal | size | at least | aim | reached |", "| --- | --- | ---: | ---: | ---: |"]
    lines += [
        f"| {goal.text} | {goal.column} | {goal.least:.3g} | {goal.aim:g} | {median:.2f} |"
        for goal, median, _ in found
    ]
    return "\n".join(lines)
