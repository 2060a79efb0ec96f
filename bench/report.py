"""Puts figures into tables: all of them as text, the main ones as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from goals import (
    BARE_GCM,
    CHAIN,
    GCM,
    GCM_PUSHED,
    ITERATED,
    LIBCRYPTO_RSA,
    MANY,
    MANY_BACK,
    MESSAGE,
    MESSAGE_BACK,
    OPENSSL,
    OPENSSL_BACK,
    PUSHED,
    PYCA,
    PYCA_BACK,
    READER,
    RSA,
    SMALLSTEP,
    STALWART,
    STALWART_ENCODIFY,
    UPDATED,
    WIDE,
    WRITER,
    reached,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from conditions import Conditions
    from goals import Figures, Goal, Reached, Row
    from measure import Figure

NOISY_MARK = "≈"
SPREAD = f"""\
median ± half of the interquartile range; {NOISY_MARK} marks what is too noisy to compare (a spread
above 5 %, fewer than three samples, or 10 % more time on the wall than of the processor)"""
_CAPTION = f"""\
µs a message, AES-256-CBC where no other cipher is named, one RSA-2048 recipient; {SPREAD}. In
brackets: how many times as fast as OpenSSL's libcrypto in its better mode."""
PEERS = {OPENSSL: "x OpenSSL", PYCA: "x pyca", CHAIN: "of chain", WIDE: "of wide"}
"""What rows are compared with, and how a table's head says so."""

MAIN = (
    MESSAGE,
    PUSHED,
    UPDATED,
    WRITER,
    ITERATED,
    READER,
    GCM,
    GCM_PUSHED,
    MANY,
    f"{MANY}, CPU level aesni",
    OPENSSL,
    PYCA,
    "cryptography DER",
    STALWART,
    STALWART_ENCODIFY,
    SMALLSTEP,
    "Bouncy Castle",
    "openssl cms (whole process)",
    "gpgsm (whole process)",
)
OPENING = (
    MESSAGE_BACK,
    "cmstream decryptor, 256 KiB",
    "cmstream DecryptReader",
    MANY_BACK,
    "cmstream is_encrypted, without a key",
    OPENSSL_BACK,
    PYCA_BACK,
)
LIMITS = (CHAIN, WIDE, RSA, LIBCRYPTO_RSA, BARE_GCM, "memory copy")


def names(figures: Figures) -> list[str]:
    """All rows of all columns, each once."""
    return list(dict.fromkeys(name for row in figures.values() for name in row))


def main_names(figures: Figures) -> list[str]:
    """The rows of the main table that could be measured here."""
    return [name for name in MAIN if name in names(figures)]


def ratios(row: Row, peers: Iterable[str] = PEERS) -> dict[str, dict[str, float]]:
    """How many times as fast as each peer and limit every engine is, by medians."""
    return {
        name: {peer: row[peer].median / figure.median for peer in peers if peer in row}
        for name, figure in row.items()
    }


# As text


def text(label: str, row: Row, peers: Mapping[str, str] = PEERS) -> Iterator[str]:
    """Every figure of a column, in µs."""
    yield (f"{label:48}{'median':>12}{'±':>8}{'best':>12}{'CPU time':>12}{'n':>4}"
           f"{''.join(f'{head:>11}' for head in peers.values())}")  # fmt: skip
    for name, found in ratios(row, peers).items():
        figure = row[name]
        cells = "".join(f"{found[peer]:11.2f}" if peer in found else f"{'-':>11}" for peer in peers)
        cpu = "-" if figure.cpu is None else f"{figure.cpu * 1e6:.2f}"
        mark = NOISY_MARK if figure.noisy else " "
        spread = f"{figure.spread:.1%}" if figure.samples > 1 else "-"
        yield (f"{name:48}{figure.median * 1e6:12.2f}{spread:>7}{mark}"
               f"{figure.best * 1e6:12.2f}{cpu:>12}{figure.samples:4}{cells}")  # fmt: skip


def goals_text(found: Iterable[Reached]) -> Iterator[str]:
    """What was to be reached and what was."""
    yield (f"{'goal':44}{'size':>8}{'at least':>10}{'aim':>7}{'reached':>9}{'by best':>9}"
           f"{'by CPU':>9}")  # fmt: skip
    for one in found:
        goal, cpu = one.goal, "-" if one.cpu is None else f"{one.cpu:.2f}"
        yield (f"{goal.text:44}{goal.column:>8}{_bar(goal):>10}{goal.aim:7g}"
               f"{one.median:9.2f}{NOISY_MARK if one.noisy else ' '}{one.best:8.2f}{cpu:>9}  "
               f"{one.verdict}")  # fmt: skip


# As Markdown


def markdown(conditions: Conditions, figures: Figures) -> str:
    """Three tables and the goals."""
    batches = [
        name
        for name in names(figures)
        if name.startswith(f"{MANY},") and name != f"{MANY}, CPU level aesni"
    ]
    parts = [
        "\n".join(conditions.lines()),
        _CAPTION,
        table("", main_names(figures), figures),
        table("in batches", batches, figures),
        table("limits", [name for name in LIMITS if name in names(figures)], figures),
        f"Goals for {conditions.goals.processor}:",
        goals_table(reached(figures, conditions.goals.encrypting)),
    ]
    return "\n\n".join(parts) + "\n"


def table(title: str, rows: Iterable[str], figures: Figures, peer: str = OPENSSL) -> str:
    """Rows by columns; in brackets how many times as fast as ``peer``."""
    lines = [_line(title, figures), _line("---", ["---:"] * len(figures))]
    lines += [_line(name, (_cell(name, row, peer) for row in figures.values())) for name in rows]
    return "\n".join(lines)


def _line(*cells: Any) -> str:
    first, rest = cells
    return f"| {' | '.join([first, *rest])} |"


def _cell(name: str, row: Row, peer: str) -> str:
    if name not in row:
        return ""
    times = f" ({_short(row[peer].median / row[name].median)})" if peer in row else ""
    return with_spread(row[name]) + times


def with_spread(figure: Figure) -> str:
    """In µs with three digits, or as many as stand before the point."""
    micros = figure.median * 1e6
    value = f"{micros:,.0f}" if micros >= 100 else f"{micros:.{2 if micros < 10 else 1}f}"
    spread = f" ±{figure.spread:.0%}" if figure.samples > 1 else ""
    return f"{NOISY_MARK if figure.noisy else ''}{value}{spread}"


def _short(ratio: float) -> str:
    return f"{ratio:.{0 if ratio >= 10 else 1 if ratio >= 1 else 2}f}"


def goals_table(found: Iterable[Reached]) -> str:
    """What was to be reached and what was."""
    lines = ["| goal | size | at least | aim | reached | by CPU time | |",
             "| --- | --- | ---: | ---: | ---: | ---: | --- |"]  # fmt: skip
    lines += [
        f"| {one.goal.text} | {one.goal.column} | {_bar(one.goal)} | {one.goal.aim:g} "
        f"| {NOISY_MARK if one.noisy else ''}{one.median:.2f} "
        f"| {'' if one.cpu is None else f'{one.cpu:.2f}'} "
        f"| {'**missed**' if one.verdict == 'missed' else one.verdict} |"
        for one in found
    ]
    return "\n".join(lines)


def _bar(goal: Goal) -> str:
    return f"{'≤ ' if goal.at_most else ''}{goal.least:.3g}"
