"""What the program does while its disk fails: ``python -m helpers.disk.works NAME ROOT …``. Each
marks what it has promised; and after a cut, or a call that failed, the same work goes on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cmstream
from cmstream.accounts import create_store, open_store
from cmstream.accounts.backup import backup
from cmstream.archive import items, running
from cmstream.archive.sealing import seal as seal_archive
from cmstream.command.cli import main
from cmstream.mailboxes import sweep as sweeping
from cmstream.mailboxes.change import Opening, Sealing
from cmstream.mailboxes.journal import Journal
from cmstream.mailboxes.pace import Pace
from cmstream.mailboxes.places import open_mailbox
from cmstream.mailboxes.report import Report
from cmstream.mailboxes.sweep import Sweep
from helpers.accounts.support import ADMINISTRATOR
from helpers.disk import record

SAMPLES = Path(__file__).parents[2] / "samples"
ALICE = "alice@example.org"
ACCOUNTS = 6
SMALL = 3
"""Messages or files of a batch, so that there are several."""


def mark(text):
    if "DISK_FAULTS_LOG" in os.environ:
        record.mark(text)


def recipients():
    return cmstream.load_recipients((SAMPLES / "alice.pem").read_bytes())


def me():
    key, certificate = (SAMPLES / f"alice{end}.pem" for end in (".key", ""))
    return cmstream.Identity.from_pem(key.read_bytes(), certificate.read_bytes())


def small_batches():
    sweeping.BATCH = items.BATCH_COUNT = running.BATCH_COUNT = SMALL
    running._COMMIT_SECONDS = 0.0


# The store


def url(root):
    return f"sqlite:///{root}/accounts.sqlite3"


def address(number):
    return f"user{number}@example.org"


def store(root):
    """Accounts are added and changed; each write is a process's first and last, or one of many."""
    with create_store(url(root)):
        mark("created")
    for number in range(ACCOUNTS):
        with open_store(url(root)) as opened:
            add(opened, number)
    with open_store(url(root)) as opened:
        for number in range(ACCOUNTS, 2 * ACCOUNTS):
            add(opened, number)
        backup(root / "accounts.sqlite3", root / "copy.sqlite3")
        mark("backup")
        add(opened, 2 * ACCOUNTS)


def add(opened, number):
    opened.add_account(address(number), by=ADMINISTRATOR)
    mark(f"account {number}")
    opened.import_certificates(
        address(number),
        (SAMPLES / "alice.pem").read_bytes(),
        by=ADMINISTRATOR,
        confirm_mismatch=True,
    )
    mark(f"certificate {number}")
    opened.change_account(address(number), by=ADMINISTRATOR, cipher="aes256-cbc")
    mark(f"cipher {number}")


# Files that the command writes


def output(root):
    """New ones, then the same again."""
    for number in range(6):
        name = f"{root}/{number % 3}"
        words = ["encrypt", "-r", str(SAMPLES / "alice.pem"), "-o", name]
        assert main([*words, str(SAMPLES / "mail.eml")]) == 0
        mark(f"output {number}")


# Mailboxes


def mailbox(root, task, place, database):
    """``place``: below the root, as ``maildir:name``."""
    small_batches()
    kind, _, name = place.partition(":")
    report = Report()
    with (
        open_store(database) as opened,
        Journal(root / "state" / "journal" / "mailboxes.sqlite3") as notes,
        open_mailbox(f"{kind}:{root}/{name}", ALICE, notes, task=task) as box,
    ):
        changing = Sealing(opened, ALICE) if task == "seal" else Opening([me()])
        Sweep(box, changing, report, Pace()).run()
    mark("done")
    return report


# Archives


def archive(root, source):
    """Seals a source, and again when some of it has changed."""
    small_batches()
    seal(root, source)
    mark("sealed")
    for path in sorted(Path(source).rglob("*.txt"))[::2]:
        path.write_bytes(path.read_bytes() + b"and more\n")
    mark("changed")
    seal(root, source)
    mark("sealed again")


def seal(root, source):
    return seal_archive([str(source)], f"{root}/sealed", recipients(), update=True, processes=1)


WORKS = {"store": store, "output": output, "mailbox": mailbox, "archive": archive, "seal": seal}

if __name__ == "__main__":
    WORKS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
