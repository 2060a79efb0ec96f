"""The rows of the gateway's measurement, what they are to reach, and how they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import goals
import run
from goals import Goal, Reached
from report import NOISY_MARK, SPREAD, goals_table, goals_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conditions import Conditions
    from goals import Figures
    from measure import Figure

DOVECOT = "Postfix, Dovecot"
DOVECOT_BY_GATEWAY = "Postfix, gateway, Dovecot"
DOVECOT_BY_PIPE = "Postfix, pipe with cmstream seal, dovecot-lda"
DOVECOT_BY_SOCKET = "the same by the gateway's socket"
SINK = "Postfix, smtp-sink"
SINK_BY_GATEWAY = "Postfix, gateway, smtp-sink"
MILTER = "Postfix with the gateway as milter, smtp-sink"
CPU = "gateway"
CPU_LEFT = "gateway, mail left as it is"
CPU_PROXY = "proxy on aiosmtpd"
HAND_OVER = "Dovecot"
HAND_OVER_BY_GATEWAY = "gateway, Dovecot"
HAND_OVER_SINK = "smtp-sink"
HAND_OVER_SINK_BY_GATEWAY = "gateway, smtp-sink"
COMMAND = "cmstream seal by the gateway's socket"
COMMAND_ALONE = "cmstream seal by itself"
NOTHING = "python -c pass"

THROUGH = (DOVECOT, DOVECOT_BY_GATEWAY, DOVECOT_BY_PIPE, DOVECOT_BY_SOCKET, SINK, SINK_BY_GATEWAY,
           MILTER)  # fmt: skip
TIMES = {
    "processor time of the process, µs a message": (CPU, CPU_LEFT, CPU_PROXY),
    "hand-over by LMTP, one message at a time, µs": (
        HAND_OVER, HAND_OVER_BY_GATEWAY, HAND_OVER_SINK, HAND_OVER_SINK_BY_GATEWAY,
    ),
    "processor time of a command, µs": (COMMAND, COMMAND_ALONE, NOTHING),
}  # fmt: skip

GOALS = (
    Goal("to Dovecot, share of without gateway", "4 KiB", DOVECOT_BY_GATEWAY, DOVECOT, 0.75, 0.9),
    Goal("to smtp-sink, share of without", "4 KiB", SINK_BY_GATEWAY, SINK, 0.55, 0.75),
    Goal("to smtp-sink, share of without", "75 KiB", SINK_BY_GATEWAY, SINK, 0.55, 0.8),
    Goal("milter, share of without", "4 KiB", MILTER, SINK, 0.6, 0.85),
    Goal("milter, share of without", "75 KiB", MILTER, SINK, 0.9, 0.95),
    Goal("to Dovecot against a pipe", "4 KiB", DOVECOT_BY_GATEWAY, DOVECOT_BY_PIPE, 40, 100),
    Goal("CPU against the proxy on aiosmtpd", "4 KiB", CPU, CPU_PROXY, 2.5, 5),
    Goal("CPU against the proxy on aiosmtpd", "75 KiB", CPU, CPU_PROXY, 4.5, 10),
    Goal("CPU of sealed against left", "4 KiB", CPU, CPU_LEFT, 1.4, 1.15, at_most=True),
    Goal("hand-over to Dovecot against direct", "4 KiB", HAND_OVER_BY_GATEWAY, HAND_OVER, 2, 1.3,
         at_most=True),
    Goal("cmstream seal against python -c pass", "4 KiB", COMMAND, NOTHING, 3, 1.5, at_most=True),
)  # fmt: skip


class Found(NamedTuple):
    """All that was measured. ``memory``: bytes above the base, for a message of ``mib`` MiB."""

    conditions: Conditions
    figures: Figures
    mib: int
    memory: int


def reached(found: Found) -> Iterator[Reached]:
    """Ratios, and the memory in MiB."""
    yield from goals.reached(found.figures, GOALS)
    memory = Goal("memory above base, MiB", f"{found.mib} MiB", "", "", 32, 8, at_most=True)
    yield Reached(memory, found.memory / (1 << 20), found.memory / (1 << 20), noisy=False)


def as_document(found: Found) -> dict[str, Any]:
    """For programs; seconds a message, bytes."""
    everything = run.document(found.conditions, found.figures, (), peers=())
    everything["goals"] = [
        one.goal._asdict() | {"median": one.median, "best": one.best, "noisy": one.noisy}
        for one in reached(found)
    ]
    return everything | {"memory": {"MiB": found.mib, "above base": found.memory}}


def text(found: Found) -> Iterator[str]:
    """For people."""
    yield from found.conditions.lines()
    yield SPREAD + "."
    for title, rows, cell in _tables():
        yield ""
        yield f"{title:48}{''.join(f'{column:>18}' for column in found.figures)}"
        for name in rows:
            cells = (cell(row.get(name)) for row in found.figures.values())
            yield f"{name:48}{''.join(f'{one:>18}' for one in cells)}"
    yield ""
    yield from goals_text(reached(found))


def markdown(found: Found) -> str:
    """The same in Markdown."""
    parts = ["\n".join(found.conditions.lines()), SPREAD[0].upper() + SPREAD[1:] + "."]
    for title, rows, cell in _tables():
        lines = [
            f"| {title} | {' | '.join(found.figures)} |",
            f"| --- | {' | '.join(['---:'] * len(found.figures))} |",
        ]
        for name in rows:
            cells = [cell(row.get(name)) for row in found.figures.values()]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    parts.append(goals_table(reached(found)))
    return "\n\n".join(parts) + "\n"


def _tables() -> Iterator[tuple[str, tuple[str, ...], Callable[[Figure | None], str]]]:
    yield "messages a second until the last has arrived", THROUGH, _rate
    for title, rows in TIMES.items():
        yield title, rows, _time


def _rate(figure: Figure | None) -> str:
    return _cell(figure, 1 / figure.median) if figure else ""


def _time(figure: Figure | None) -> str:
    return _cell(figure, figure.median * 1e6) if figure else ""


def _cell(figure: Figure, value: float) -> str:
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{NOISY_MARK if figure.noisy else ''}{shown} ±{figure.spread:.0%}"
