"""Measures how fast a Maildir is sealed where it lies, against `cp -r` of it with `sync`, and
against a loop of `openssl cms -encrypt`.

python bench/mailboxes.py [--messages N] [--rounds N] [--quick] [--folder FOLDER] [--out FOLDER]

All rows take turns in one run, each on a fresh copy of the same Maildir with messages of 4 KiB. It
takes about two minutes; --quick takes some seconds. --folder is on the disk that is measured. Needs
the extras manage and test; without openssl that row is left out.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import resident
import results
from cmstream.accounts import Actor, create_store
from cmstream.mailboxes.change import Opening, Sealing
from cmstream.mailboxes.journal import Journal
from cmstream.mailboxes.pace import Pace
from cmstream.mailboxes.places import open_mailbox
from cmstream.mailboxes.report import Report
from cmstream.mailboxes.sweep import Sweep
from conditions import Conditions
from measure import median_ratio
from samples import CERTIFICATE, identity, message

if TYPE_CHECKING:
    from collections.abc import Callable

    from cmstream.accounts import Store
    from cmstream.mailboxes.change import Changing
    from cmstream.mailboxes.journal import Task

ALICE = "alice@example.org"
SIZE = 4 << 10
SEALED, OPENED, AGAIN = "cmstream mailbox seal", "cmstream mailbox open", "a second run"
COPIED, LOOPED = "cp -r and sync", "openssl cms -encrypt, xargs -P 2"
MEMORY = "memory above base, MiB"


class Goal(NamedTuple):
    """How many times as fast as ``peer`` sealing is to be."""

    peer: str
    least: float
    aim: float


GOALS = (Goal(COPIED, 0.4, 0.7), Goal(LOOPED, 30, 100))


class Bench:
    """A Maildir, a store, and what is done to copies of them in ``folder``."""

    def __init__(self, folder: Path, store: Store, messages: int) -> None:
        self._folder, self._store, self.messages = folder, store, messages
        self._template = folder / "template"
        for part in ("cur", "new", "tmp"):
            (self._template / part).mkdir(parents=True)
        for number in range(messages):
            name = f"{1_500_000_000 + number}.M{number}P1.mail,S={SIZE},W={SIZE}:2,S"
            (self._template / "cur" / name).write_bytes(message(SIZE, number))

    def fresh(self, name: str) -> Path:
        """A copy that is on the disk."""
        root = self._folder / name
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self._template, root)
        subprocess.run(["sync"], check=True)
        return root

    def seal(self, root: Path) -> int:
        """By the sweep; how many messages."""
        return self._sweep(root, Sealing(self._store, ALICE), "seal")

    def open(self, root: Path) -> int:
        """The way back."""
        return self._sweep(root, Opening([identity()]), "open")

    def _sweep(self, root: Path, changing: Changing, task: Task) -> int:
        report = Report()
        with (
            Journal(root.with_suffix(".journal")) as journal,
            open_mailbox(f"maildir:{root}", ALICE, journal, task=task) as mailbox,
        ):
            Sweep(mailbox, changing, report, Pace()).run()
        return report.replaced

    def copy(self, root: Path) -> int:
        """`cp -r`, and `sync` at the end."""
        target = root.with_suffix(".copy")
        subprocess.run(["cp", "-r", str(root), str(target)], check=True)
        subprocess.run(["sync"], check=True)
        return self.messages

    def loop(self, root: Path) -> int:
        """One process of openssl for each message, two at a time; of some of them, since it takes
        so long."""
        some = sorted((root / "cur").iterdir())[: max(20, self.messages // 40)]
        command = f"openssl cms -encrypt -aes256 -in {{}} -out {{}}.new {CERTIFICATE}"
        subprocess.run(
            ["xargs", "-P", "2", "-I{}", *command.split()],
            input="\n".join(map(str, some)), text=True, check=True,
        )  # fmt: skip
        return len(some)


def clear(root: Path) -> None:
    """Takes away what a sample left."""
    for path in root.parent.glob(f"{root.name}*"):
        (shutil.rmtree if path.is_dir() else Path.unlink)(path)


def samples(bench: Bench, rounds: int) -> dict[str, list[float]]:
    """Messages a second, of each row in each round."""
    rows: dict[str, Callable[[Path], int]] = {SEALED: bench.seal, COPIED: bench.copy}
    if shutil.which("openssl"):
        rows[LOOPED] = bench.loop
    found: dict[str, list[float]] = {name: [] for name in (*rows, AGAIN, OPENED)}
    for turn in range(rounds):
        for name, work in rows.items():
            root = bench.fresh("mailbox")
            found[name].append(rate(work, root))
            if name == SEALED:
                begin = time.perf_counter()
                assert not bench.seal(root)
                found[AGAIN].append(bench.messages / (time.perf_counter() - begin))
                found[OPENED].append(rate(bench.open, root))
            clear(root)
        print(f"round {turn + 1} of {rounds}", flush=True)
    return found


def rate(work: Callable[[Path], int], root: Path) -> float:
    """Messages a second."""
    begin = time.perf_counter()
    count = work(root)
    return count / (time.perf_counter() - begin)


def memory(bench: Bench) -> float:
    """By how many MiB resident memory grows at most while a Maildir is sealed."""
    root = bench.fresh("mailbox")
    grown = resident.above_base(lambda: bench.seal(root))
    clear(root)
    return grown / (1 << 20)


def reached(medians: dict[str, float], rounds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Each goal, and the median of the ratios of each round."""
    return [
        {
            "goal": f"{SEALED} against {goal.peer}",
            "ratio": median_ratio(rounds[SEALED], rounds[goal.peer]),
            "least": goal.least,
            "aim": goal.aim,
        }
        for goal in GOALS
        if goal.peer in medians
    ]


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    results.add_options(parser)
    parser.add_argument("--messages", type=int, metavar="N", help="default: 4000; --quick 600")
    parser.add_argument("--rounds", type=int, metavar="N", help="default: 7; --quick 3")
    parser.add_argument("--folder", type=Path, help="default: the system's for temporary files")
    options = parser.parse_args()
    messages = options.messages or (600 if options.quick else 4000)
    rounds = options.rounds or (3 if options.quick else 7)
    conditions = Conditions()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        by = Actor("bench", "administrator")
        with closing(create_store(f"sqlite:///{folder}/accounts.sqlite3")) as store:
            store.add_account(ALICE, by=by)
            store.import_certificates(ALICE, CERTIFICATE.read_bytes(), by=by, confirm_mismatch=True)
            store.change_account(ALICE, by=by, cipher="aes256-cbc")
            bench = Bench(folder, store, messages)
            grown = memory(bench)
            found = samples(bench, rounds)
    conditions.end()
    medians = {row: statistics.median(rates) for row, rates in found.items()}
    for row, one in medians.items():
        print(f"{row:<36} {one:9.0f} messages/s")
    print(f"{MEMORY:<36} {grown:9.1f}")
    goals = reached(medians, found)
    for goal in goals:
        print(f"{goal['goal']}: {goal['ratio']:.2f} (at least {goal['least']}, aim {goal['aim']})")
    print("\n".join(conditions.lines()))
    everything = {
        "messages": messages, "bytes": SIZE, "rates": found, "goals": goals, MEMORY: grown,
        "conditions": conditions.as_document(),
    }  # fmt: skip
    results.write_json(options.out / "mailboxes.json", everything)


if __name__ == "__main__":
    main()
