"""A disk that is full, or broken, at any of the calls that change something: the command ends with
a code and one line that says why, nothing half looks whole, and the next run goes on.

CMSTREAM_FAULTS sets at how many calls of each kind (default 5; 0 is all of them)."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import closing

import pytest

import cmstream
from cmstream.accounts import open_store
from cmstream.archive.verifying import verify
from helpers.archives import check_nothing_is_left, mbox, numbered, write
from helpers.disk import works
from helpers.disk.failing import failing
from helpers.mailboxes import files, fill, mails, make, plain, protected

FAULTS = int(os.environ.get("CMSTREAM_FAULTS", "5"))
ALICE, OLD = works.ALICE, b"what was there before"
FULL, BROKEN = (errno.ENOSPC, True), (errno.EIO, False)
CERTIFICATE, KEY = works.SAMPLES / "alice.pem", works.SAMPLES / "alice.key.pem"


@pytest.fixture
def place(disk_faults, tmp_path):
    """A disk that fails below ``root``, and what it begins with."""
    return Place(disk_faults, tmp_path)


class Place:
    def __init__(self, library, folder):
        self.library, self.folder, self.root = library, folder, folder / "root"
        self.root.mkdir()

    def each(self, *words, **options):
        """Runs the command once for each fault, and each time from the beginning. Gives how it
        ended, with a function that runs it again on a disk that works."""
        begun = shutil.copytree(self.root, self.folder / "begun", symlinks=True)
        with failing(self.library, self.root, self.folder / "streams") as disk:
            whole = disk.run(*words, **options)
            assert (whole.code, whole.err.count(b"Traceback")) == (0, 0), whole.err
            assert whole.calls > 2
            tried = 0
            for error, lasts in (FULL, BROKEN):
                for number in self.numbers(whole.calls):
                    shutil.rmtree(self.root)
                    shutil.copytree(begun, self.root)
                    fault = {"number": number, "error": error, "lasts": lasts}
                    print(errno.errorcode[error], f"at {number} of {whole.calls}")  # noqa: T201
                    done = disk.run(*words, **fault, **options)
                    said(done)
                    tried += 1
                    yield done, lambda: well(disk.run(*words, **options))
            print(f"{tried} faults in {whole.calls} calls")  # noqa: T201

    @staticmethod
    def numbers(calls):
        count = min(FAULTS or calls, calls)
        return sorted({round(at * (calls - 1) / max(1, count - 1)) for at in range(count)})


def said(done):
    """An error has a code for it, and each line of it says something."""
    assert b"Traceback" not in done.err, done.err.decode()
    assert done.code in {0, os.EX_DATAERR, os.EX_CANTCREAT, os.EX_IOERR, os.EX_TEMPFAIL}, done
    if done.code:
        assert done.err.strip(), done
        assert len(done.err.splitlines()) <= 6, done.err.decode()


def well(done):
    assert done.code == 0, done
    return done


# One file


@pytest.mark.parametrize("size", [2000, pytest.param(3 << 20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", ["encrypt", "decrypt"])
def test_an_output_file(what, size, place):
    """Either the old file or the whole new one is there, and no temporary file."""
    content = os.urandom(size)
    given, out = place.folder / "given", place.root / "out"
    given.write_bytes(content)
    words = ["encrypt", "--binary", "--form", "der", "-r", CERTIFICATE]
    if what == "decrypt":
        given.write_bytes(cmstream.encrypt(content, works.recipients()))
        words = ["decrypt", "-k", KEY, "-c", CERTIFICATE]
    out.write_bytes(OLD)
    for done, again in place.each(*words, "-o", out, given):
        there = out.read_bytes()
        assert there == OLD or opened(what, there) == content
        assert there != OLD or done.code
        assert [*place.root.iterdir()] == [out] or done.code  # a disk may not let it be removed
        again()
        assert opened(what, out.read_bytes()) == content


def opened(what, data):
    return cmstream.decrypt(data, works.me()) if what == "encrypt" else data


# The store


def counted(root):
    with closing(sqlite3.connect(root / "accounts.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with open_store(works.url(root)) as store:
        return {one.address for one in store.accounts()}, len(store.audit(limit=1000))


def test_a_change_of_the_store(place, sqlite_template):
    shutil.copy(sqlite_template, place.root / "accounts.sqlite3")
    with open_store(works.url(place.root)) as store:
        works.add(store, 0)
    before, lines = counted(place.root)
    words = "account", "add", "--database", works.url(place.root), ALICE
    for done, again in place.each(*words):
        there, now = counted(place.root)
        assert there - {ALICE} == before
        assert now == lines + (ALICE in there)
        if done.code:
            assert b"store" in done.err or b"database" in done.err, done.err
        else:
            assert ALICE in there
        if ALICE not in there:
            again()
            assert counted(place.root) == (before | {ALICE}, lines + 1)


def test_a_backup(place, sqlite_template):
    """The old one is there, or the new one; never a part."""
    shutil.copy(sqlite_template, place.root / "accounts.sqlite3")
    copy = place.root / "copy" / "copy.sqlite3"
    copy.parent.mkdir()
    copy.write_bytes(OLD)
    words = "account", "backup", "--force", "--database", works.url(place.root), copy
    for done, again in place.each(*words):
        if copy.read_bytes() == OLD:
            assert done.code
        else:
            with open_store(f"sqlite:///{copy}") as store:
                assert store.accounts() == []
        again()
        with open_store(f"sqlite:///{copy}") as store:
            assert store.accounts() == []


@pytest.fixture
def sqlite_template(_sqlite_template):
    return _sqlite_template


# Mailboxes and archives


@pytest.mark.parametrize("kind", ["maildir", pytest.param("mbox", marks=pytest.mark.slow)])
def test_a_mailbox(kind, place, sqlite_url):
    """Each message is there at each moment; in the end each is there once and sealed."""
    protected(sqlite_url, works.recipients()[0]).close()
    box, me = place.root / "box", works.me()
    if kind == "maildir":
        make(box)
        before = fill(box, 5)
    else:
        write(box, mbox(*(b"From: a\nSubject: %d\n\nSECRET\n" % one for one in range(5))))
    words = (
        "mailbox", "seal", "--database", sqlite_url, "--yes-the-owner-has-the-key", "--journal",
        place.root / "journal", "--for", ALICE, f"{kind}:{box}",
    )  # fmt: skip
    for done, again in place.each(*words):
        if kind == "maildir":
            assert {plain(one.read_bytes(), me) for one in files(box)} == before.keys()
        else:
            assert subjects(box) == list(range(5))
        again()
        if kind == "maildir":
            assert mails(box, me) == before
            assert not [*(box / "tmp").iterdir()]
        else:
            assert subjects(box) == list(range(5))
            assert b"SECRET" not in box.read_bytes()
        assert done.code or b"failed" not in done.out


def subjects(path):
    import mailbox

    with closing(mailbox.mbox(path)) as box:
        return [int(one["Subject"]) for one in box]


def test_an_archive(place):
    source = numbered(place.folder / "source", 8)
    write(source / "inbox", mbox(b"From: a\n\nSECRET\n", b"From: b\n\nSECRET\n"))
    write(source / "long", os.urandom(5 << 20))
    target = place.root / "sealed"
    words = "archive", "seal", "--processes", "1", "--to", CERTIFICATE, source, target
    for done, again in place.each(*words):
        if not done.code:
            assert verify(str(target), processes=1).done == 11
        again()
        report = verify(str(target), processes=1)
        assert (report.clean, report.done) == (True, 11)
        check_nothing_is_left(target)


@pytest.mark.slow
def test_what_waits_on_the_disk_until_it_is_sealed(place, sqlite_url):
    """A long message for ``cmstream seal``: all of it comes out, or nothing."""
    protected(sqlite_url, works.recipients()[0]).close()
    given = place.folder / "given"
    given.write_bytes(b"Subject: x\r\n\r\n" + b"SECRET line\r\n" * (17 << 20 >> 3))
    words = "seal", "--database", sqlite_url, "--for", ALICE
    for done, _ in place.each(*words, given=given, tmp=place.root):
        assert b"SECRET" not in done.out
        assert (done.code, done.out) == (os.EX_TEMPFAIL, b"") or done.code == 0
        left = [one.read_bytes() for one in place.root.iterdir()]
        assert {*left} <= {b"", b"blat"}  # Python's own try whether the folder can be written
