"""A power cut at any instant: what the program had promised by then is on the disk, nothing half
looks whole, and the next run goes on; also where that one is cut off too.

The disk is as :mod:`helpers.disk.cut` says. CMSTREAM_CUTS sets how many cuts of each kind there are
(default 24), CMSTREAM_CUT_SEED which ones."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

import cmstream
from cmstream.accounts import create_store, open_store
from cmstream.archive.verifying import verify
from helpers.accounts.support import ADMINISTRATOR
from helpers.archives import check_nothing_is_left, mbox, numbered, rows, sealed, write
from helpers.disk import works
from helpers.disk.cut import WAYS, Disk, cuts, laid
from helpers.disk.record import Event, recorded
from helpers.mailboxes import files, fill, mails, make, plain, protected, text
from helpers.mailboxes import sealed as are_sealed

CUTS = int(os.environ.get("CMSTREAM_CUTS", "24"))
SEED = int(os.environ.get("CMSTREAM_CUT_SEED", "20"))


def each_cut(disk_faults, root, name, *words, systems=()):
    """Does the work once; then puts into ``root``, after each of many cuts, what is there then.
    Gives what had been promised."""
    disk = Disk(root, systems)
    events = recorded(disk_faults, root, root.with_name("log"), name, *words)
    assert len(events) > 20
    counts: Counter[str] = Counter()
    whole = root.rename(root.with_name("whole"))
    for number, cut in enumerate(cuts(events, CUTS, SEED, disk)):
        counts[cut.way] += 1
        laid(cut.found, root)
        print(f"{number}: after {cut.at} of {len(events)} events, {cut.way}")  # noqa: T201
        yield cut.marks
        shutil.rmtree(root)
    print(dict(counts))  # noqa: T201 - for whoever runs it with -s
    assert without_shared(disk.now(), root) == without_shared(found_in(whole), whole)


def cut_again(seed, disk_faults, root, name, *words, systems=()):
    """The run after a cut is cut off too, once right before something is synced, and once anywhere;
    puts into ``root`` what is there then. Gives what that run had promised."""
    disk, log = Disk(root, systems), root.with_name("log again")
    log.unlink(missing_ok=True)
    events = recorded(disk_faults, root, log, name, *words)
    shutil.rmtree(root)
    *cut_off, _ = cuts(events, 3, seed, disk)
    for cut in cut_off:
        laid(cut.found, root)
        yield cut.marks
        shutil.rmtree(root)
    root.mkdir()


def found_in(folder):
    return {str(path): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


def without_shared(found, folder):
    """Without SQLite's shared memory, which isn't written by calls."""
    return {
        os.path.relpath(path, folder): content
        for path, content in found.items()
        if not path.endswith("-shm")
    }


def test_a_disk_keeps_what_was_synced_and_may_lose_the_rest(root):
    """The model itself: data by the file's fsync, the name by its folder's."""
    (root / "old").write_bytes(b"before")
    old, new = f"{root}/old", f"{root}/new"
    steps = [
        Event("o", inode=1, path=new),
        Event("w", inode=1, path=new, data=b"after"),
        Event("s", inode=1, path=new),
        Event("r", path=new, other=old),
        Event("s", path=str(root)),
    ]
    seen = []
    disk = Disk(root)
    for step in steps:
        disk.do(step)
        found = set()
        for way, seed in itertools.product(WAYS, range(40)):
            there = disk.after(way, random.Random(seed))
            found.add(tuple(sorted((path[-3:], content) for path, content in there.items())))
        seen.append(found)
    before, empty, whole = ("old", b"before"), ("new", b""), ("new", b"after")
    zeros = ("new", bytes(5))
    assert seen == [
        {(before,), (empty, before)},
        {(before,), (empty, before), (whole, before), (zeros, before)},
        {(before,), (whole, before)},
        {(before,), (whole, before), (("old", b"after"),)},
        {(("old", b"after"),)},
    ]


# The store


def test_store(disk_faults, root):
    for marks in each_cut(disk_faults, root, "store"):
        check_store(root, marks)


def check_store(folder, marks):
    if "created" not in marks:
        create_store(works.url(folder)).close()
    with open_store(works.url(folder)) as store:
        there = {one.address: one for one in store.accounts()}
        for number in numbers(marks, "account"):
            assert works.address(number) in there
        for number in numbers(marks, "certificate"):
            assert len(store.certificates(works.address(number))) == 1
        for number in numbers(marks, "cipher"):
            assert there[works.address(number)].cipher == "aes256-cbc"
        assert len(there) <= len(numbers(marks, "account")) + 1
        store.add_account("new@example.org", by=ADMINISTRATOR)
    with closing(sqlite3.connect(folder / "accounts.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    copy = folder / "copy.sqlite3"
    assert copy.exists() or "backup" not in marks
    if copy.exists():
        with open_store(f"sqlite:///{copy}") as store:
            assert len(store.accounts()) == 2 * works.ACCOUNTS


def numbers(marks, what):
    return [int(one.split()[1]) for one in marks if one.split()[0] == what]


# Files that the command writes


def test_output(disk_faults, root):
    """A file that was reported is there and whole; no other is half."""
    for marks in each_cut(disk_faults, root, "output"):
        written = len(numbers(marks, "output"))
        there = {one.name: one for one in root.iterdir() if not one.name.startswith(".")}
        assert {"0", "1", "2"} >= there.keys() >= {str(one) for one in range(min(written, 3))}
        for one in there.values():
            opened = cmstream.decrypt_message(one.read_bytes(), works.me())
            assert b"third flower pot" in opened


# Mailboxes


@pytest.fixture
def database(sqlite_url):
    protected(sqlite_url, works.recipients()[0]).close()
    return sqlite_url


@pytest.mark.parametrize(
    ("task", "systems"),
    [
        ("seal", ("state",)),
        pytest.param("open", ("state",), marks=pytest.mark.slow),
        pytest.param("seal", (), marks=pytest.mark.slow),
    ],
    ids=["seal, two disks", "open, two disks", "seal, one disk"],
)
def test_maildir(task, systems, disk_faults, root, database):
    """The journal may be on another disk, and what was brought to one isn't on the other then."""
    before, words = maildir(task, root, database)
    for marks in each_cut(disk_faults, root, "mailbox", *words, systems=systems):
        check_maildir(root, before, marks, *words)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["seal", "open"])
def test_maildir_cut_twice(task, disk_faults, root, database):
    before, words = maildir(task, root, database)
    first = each_cut(disk_faults, root, "mailbox", *words, systems=("state",))
    for seed, marks in enumerate(first):
        second = cut_again(seed, disk_faults, root, "mailbox", *words, systems=("state",))
        for more in second:
            check_maildir(root, before, marks + more, *words)


def maildir(task, root, database):
    """Gives its messages, and the words for the work. It is sealed where the task is to open it."""
    box = root / "Maildir"
    for one in (box, box / ".Sent"):
        make(one)
    (root / "state").mkdir()
    before = fill(box, 7) | fill(box / ".Sent", 2, seed=1, size=900)
    words = "maildir:Maildir", database
    if task == "open":
        works.mailbox(root, "seal", *words)
        shutil.rmtree(root / "state" / "journal")
    return before, (task, *words)


def check_maildir(root, before, marks, task, *words):
    me, box = works.me(), root / "Maildir"
    boxes = box, box / ".Sent"
    there = {plain(path.read_bytes(), me) for one in boxes for path in files(one)}
    assert there == before.keys()
    if "done" in marks:
        assert is_done(boxes, task)
    assert works.mailbox(root, task, *words).failures == []
    assert is_done(boxes, task)
    assert flags(mails(box, me) | mails(boxes[1], me)) == flags(before)
    assert not [*(box / "tmp").iterdir()]
    assert works.mailbox(root, task, *words).messages == 0


def is_done(boxes, task):
    return {done for one in boxes for done in are_sealed(one)} == {task == "seal"}


def flags(found):
    return {content: (one.part, one.flags) for content, one in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("twice", [False, True], ids=["cut once", "cut twice"])
def test_mbox(twice, disk_faults, root, database):
    box = root / "box"
    write(box, mbox(*map(text, range(7))))
    before = contents(box, works.me())
    (root / "state").mkdir()
    words = "seal", "mbox:box", database
    for seed, _ in enumerate(each_cut(disk_faults, root, "mailbox", *words)):
        aged(root / "box.lock")
        for _ in cut_again(seed, disk_faults, root, "mailbox", *words) if twice else [()]:
            aged(root / "box.lock")
            check_mbox(root, before, *words)


def check_mbox(root, before, *words):
    me, box = works.me(), root / "box"
    assert contents(box, me) == before
    assert works.mailbox(root, *words).failures == []
    assert contents(box, me) == before
    assert b"nowhere else" not in box.read_bytes()
    left = {one.name for one in root.iterdir()}
    assert left - {"box.lock"} == {"box", "state"}  # unless there was nothing to do
    assert works.mailbox(root, *words).messages == 0


def aged(lock):
    """Nobody knows whose it is if what it said was lost: then others wait for some minutes."""
    if lock.exists() and b"\n" not in lock.read_bytes():
        os.utime(lock, (1_600_000_000, 1_600_000_000))


def contents(path, me):
    """Its messages in their order, opened."""
    import mailbox

    with closing(mailbox.mbox(path)) as box:
        return [plain(one.as_bytes(), me).rstrip(b"\n") for one in box]


# Archives


@pytest.mark.parametrize(
    "twice", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["cut once", "cut twice"]
)
def test_archive(twice, disk_faults, root, tmp_path):
    source = numbered(tmp_path / "source", 14)
    write(source / "inbox", mbox(*[b"From: a\nSubject: %d\n\nSECRET\n" % one for one in range(4)]))
    write(source / "long", os.urandom(5 << 20))
    first = shutil.copytree(source, tmp_path / "first")
    for seed, marks in enumerate(each_cut(disk_faults, root, "archive", source)):
        now = tmp_path / "now" / "source"
        shutil.copytree(source if "changed" in marks else first, now)
        for more in cut_again(seed, disk_faults, root, "seal", now) if twice else [[]]:
            check_archive(root, now, marks + more)
        shutil.rmtree(now.parent)


def check_archive(root, source, marks):
    target = root / "sealed"
    if ("sealed" in marks and "changed" not in marks) or "sealed again" in marks:
        assert verify(str(target), processes=1).clean
    report = works.seal(root, source)
    assert report.clean, report.as_document()
    count = 14 + 4 + 1
    assert report.done + report.known == count
    report = verify(str(target), processes=1)
    assert report.clean, report.as_document()
    assert report.done == count
    assert {one["target"].encode() for one in rows(target).values()} == set(sealed(target))
    check_nothing_is_left(target)
