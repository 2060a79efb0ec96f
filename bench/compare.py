"""Compares how fast cmstream encrypts with its peers and with the processor's own limits.

python bench/compare.py [--rounds N] [--quick] [--out FOLDER]

All are measured in turns in one run, which takes about 12 minutes on two cores that others use
too; --quick takes one or two. The first run also builds peers, which takes some minutes more. Ends
with 1 if the parts of encrypt_many don't add up to the whole within 10 %; then nothing is written.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import bouncy_castle
import cmstream_encrypt
import commands
import compiled_peers
import goals
import libcrypto
import limits
import measure
import peak_memory
import pyca
import report
import results
import samples
import split
from cmstream.engine import gate
from conditions import Conditions
from engines import Lab
from run import (
    QUICKLY,
    Extent,
    Progress,
    add_rounds,
    document,
    effort,
    figures_of,
    measured,
    present,
)

if TYPE_CHECKING:
    from pathlib import Path

    from goals import Figures, Row
    from samples import Column
    from split import Split

PEERS = {
    "OpenSSL": libcrypto.engines,
    "cryptography": pyca.engines,
    "Bouncy Castle": bouncy_castle.engines,
    goals.STALWART: compiled_peers.stalwart,
    goals.SMALLSTEP: compiled_peers.smallstep,
    "openssl": commands.openssl,
    "gpgsm": commands.gpgsm,
}
AGAIN = [measure.Effort(15), measure.Effort(31), measure.Effort(61)]
"""How the parts of a column are measured again before their sum is called wrong."""


def extent(options: argparse.Namespace) -> Extent:
    """Everything, or enough to see that it runs."""
    if options.quick:
        return Extent(["4 KiB", "75 KiB", samples.MIX], 8, effort(options))
    return Extent([*samples.SIZES, samples.MIX], 1, effort(options))


class Splits:
    """The parts of ``encrypt_many``, column by column."""

    def __init__(self, progress: Progress) -> None:
        self.found: dict[str, Split] = {}
        self._progress = progress
        whole = [one for one in cmstream_encrypt.many() if one.name == goals.MANY]
        self._rows = [*whole, *split.engines()]

    def check(self, column: Column, row: Row) -> None:
        """Takes the parts from the row. If they don't add up, measures them and the whole again;
        raises SplitError if that doesn't help."""
        found = split.of(row, rsa_in_c=bool(gate.rsa_radixes))
        for longer in AGAIN:
            if found.adds_up:
                break
            self._progress.heading(f"the parts of encrypt_many again, {column.name}")
            row |= measured(self._rows, column, longer, self._progress)
            found = split.of(row, rsa_in_c=bool(gate.rsa_radixes))
        self.found[column.name] = found
        if not found.adds_up:
            raise split.SplitError(found.complaint(column.name))

    def as_document(self) -> dict[str, Any]:
        """For programs; seconds of processor time a message."""
        return {
            name: {"whole": one.whole, "sum": one.sum, "parts": one.parts}
            for name, one in self.found.items()
        }


def write(out: Path, conditions: Conditions, figures: Figures, splits: Splits, memory: Any) -> None:
    """The figures for programs, the table, the plots."""
    everything = document(conditions, figures, conditions.goals.encrypting)
    everything |= {"split": splits.as_document(), "memory": memory}
    results.write_json(out / results.ENCRYPTING, everything)
    table = report.markdown(conditions, figures)
    (out / "table.md").write_text(table, "utf-8")
    if importlib.util.find_spec("matplotlib"):
        importlib.import_module("plots").draw(figures, splits.found, memory, out)
    else:
        print("the plots are left out: matplotlib is not installed")
    results.publish(out)


def show(options: argparse.Namespace, conditions: Conditions, figures: Figures) -> None:
    """Prints everything."""
    print(*conditions.lines(), sep="\n")
    if options.quick:
        print(QUICKLY)
    print(f"µs a message: {report.SPREAD}.")
    for column, row in figures.items():
        print("", *report.text(column, row), sep="\n")
    found = goals.reached(figures, conditions.goals.encrypting)
    print(f"\nGoals for {conditions.goals.processor}:", *report.goals_text(found), sep="\n")


def run(options: argparse.Namespace) -> None:
    """Measures, prints, writes."""
    wanted, progress, conditions = extent(options), Progress(), Conditions()
    splits = Splits(progress)
    progress.heading("looking for peers")
    with Lab() as lab:
        engines = cmstream_encrypt.engines(lab) + present(PEERS, lab)
        engines += limits.encrypting() + split.engines()
        figures = figures_of(engines, wanted, progress, check=splits.check)
        progress.heading("memory")
        sizes = [1, 16] if options.quick else [1, 4, 16, 64, 256, 1024]
        memory = peak_memory.peaks(lab, sizes, progress.step)
    conditions.end(lab.versions.values())
    progress.end()
    show(options, conditions, figures)
    write(options.out, conditions, figures, splits, memory)


def main() -> None:
    """Runs it as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_rounds(parser)
    results.add_options(parser)
    try:
        run(parser.parse_args())
    except split.SplitError as error:
        sys.exit(f"\ncompare.py: {error}. Nothing was written.")


if __name__ == "__main__":
    main()
