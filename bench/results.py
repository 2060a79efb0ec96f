"""Where results go: the option ``--out``, the files, and the README's block of figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import conditions
import goals
import report
from measure import Figure

if TYPE_CHECKING:
    import argparse

    from goals import Figures

HERE = Path(__file__).parent
TRACKED = HERE / "results"
DEFAULT = HERE / "out"
README = HERE / "README.md"
START, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
ENCRYPTING, OPENING, GATEWAY = "results.json", "opening.json", "gateway.json"

_INTRODUCTION = """\
{conditions}

µs a message, AES-256-CBC where no other cipher is named, one RSA-2048 recipient: {spread}. In
brackets: how many times as fast as OpenSSL's libcrypto in its better mode."""
_GOALS = """\
Goals for {processor}, in the same run (the bar for GCM
is 2 GB/s, or 0.7 of `cryptography`'s own rate if that is less):"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """``--out`` and ``--quick``, which all programs have."""
    parser.add_argument("--quick", action="store_true",
                        help="only see that it runs: the figures mean little")  # fmt: skip
    parser.add_argument("--out", type=Path, default=DEFAULT, metavar="FOLDER",
                        help="write the results there (default: bench/out, which git ignores; "
                             "bench/results holds the published ones)")  # fmt: skip


def write_json(path: Path, everything: dict[str, Any]) -> None:
    """For programs to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(everything, indent=2) + "\n", "utf-8")


def publish(out: Path) -> None:
    """Says where the results are. Those in the tracked folder go into the README, too."""
    print(f"\nwritten to {out}")
    if out.resolve() != TRACKED.resolve():
        return
    if not README.exists():
        print(f"{README.name}: there is no such file in bench/; no figures were written into it")
        return
    before, start, rest = README.read_text("utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        print(f"bench/{README.name}: no figures were written into it, since it has no lines "
              f"{START.strip()} and {END.strip()}", file=sys.stderr)  # fmt: skip
        return
    try:
        block = readme_block(out)
    except (OSError, KeyError, TypeError, ValueError) as error:
        print(f"bench/{README.name}: no figures were written into it, since {ENCRYPTING} or "
              f"{OPENING} is missing or has an older form ({error!r}): run compare.py and "
              "opening.py, both with --out bench/results", file=sys.stderr)  # fmt: skip
        return
    README.write_text(before + START + block + END + after, "utf-8")
    print(f"figures written into bench/{README.name}")


def readme_block(folder: Path) -> str:
    """The main tables of both directions, and the goals."""
    encrypting, about = _read(folder / ENCRYPTING)
    opening, about_opening = _read(folder / OPENING)
    backward = [name for name in report.OPENING if name in report.names(opening)]
    wanted = conditions.goals_of(about)
    parts = [
        _INTRODUCTION.format(conditions=_sentences(about), spread=report.SPREAD),
        report.table("", report.main_names(encrypting), encrypting),
        _GOALS.format(processor=wanted.processor),
        report.goals_table(goals.reached(encrypting, wanted.encrypting)),
        f"To open a message again:\n{_sentences(about_opening).splitlines()[-1]}",
        report.table("", backward, opening, goals.OPENSSL_BACK),
        report.goals_table(goals.reached(opening, conditions.goals_of(about_opening).opening)),
    ]
    return "\n\n".join(parts) + "\n"


def _sentences(about: dict[str, Any]) -> str:
    return "\n".join(conditions.lines(about))


def _read(path: Path) -> tuple[Figures, dict[str, Any]]:
    """The figures and the conditions that a run wrote."""
    everything = json.loads(path.read_text("utf-8"))
    figures = {
        column: {
            name: Figure(**{field: found[field] for field in Figure._fields})
            for name, found in row.items()
        }
        for column, row in everything["figures"].items()
    }
    return figures, everything["conditions"]
