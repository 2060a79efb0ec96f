"""The journal of mailboxes: what is noted is there after a crash, and one run at a time."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys

import pytest

from cmstream.mailboxes import journal as journals
from cmstream.mailboxes.errors import MailboxError
from cmstream.mailboxes.journal import Journal, Row, default_place
from cmstream.mailboxes.places import noted_as

ALICE, PLACE = "alice@example.org", "maildir:/mail/alice"


def row(number, **changes):
    one = Row(f"old{number}", f"new{number}", bytes([number]) * 32, bytes([number + 1]) * 32)
    return one._replace(**changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "mailboxes.sqlite3"


@pytest.fixture
def journal(path):
    with Journal(path) as opened:
        yield opened


@pytest.fixture
def mine(journal):
    part = journal.mailbox(ALICE, PLACE)
    yield part
    part.close()


def test_states_of_a_message(mine):
    mine.stage("INBOX", [row(1), row(2, message_id="<2@x>")])
    assert mine.unfinished("INBOX") == [row(1), row(2, message_id="<2@x>")]
    mine.mark("INBOX", ["old2"], "removing")
    assert [one.state for one in mine.unfinished("INBOX")] == ["staged", "removing"]
    assert mine.skip("INBOX") == {}
    mine.mark("INBOX", ["old1", "old2"], "done")
    assert mine.unfinished("INBOX") == []
    assert mine.skip("INBOX") == {"new1": "old1", "new2": "old2"}


def test_a_folder_has_its_own(mine):
    mine.stage("INBOX", [row(1)])
    mine.known("Sent", ["other"])
    assert mine.unfinished("Sent") == []
    assert mine.skip("Sent") == {"other": "other"}
    assert mine.skip("INBOX") == {}


def test_a_name_that_comes_later(mine):
    mine.stage("INBOX", [row(1, new=""), row(2, new="")])
    mine.mark("INBOX", ["old1", "old2"], "removing", new={"old1": "7/1", "old2": "7/2"})
    assert [one.new for one in mine.unfinished("INBOX")] == ["7/1", "7/2"]


def test_done_in_the_transaction_of_the_next_batch(mine):
    mine.stage("INBOX", [row(1)])
    mine.stage("INBOX", [row(2)], done=["old1"])
    assert mine.unfinished("INBOX") == [row(2)]
    assert mine.skip("INBOX") == {"new1": "old1"}


def test_forgotten(mine):
    mine.stage("INBOX", [row(1)])
    mine.known("INBOX", ["a", "b"])
    mine.forget("INBOX", ["old1", "a"])
    assert mine.unfinished("INBOX") == []
    assert mine.skip("INBOX") == {"b": "b"}


def test_what_is_done_keeps_no_hash_of_what_was_readable(mine, path):
    mine.stage("INBOX", [row(1, message_id="<1@x>")])
    mine.mark("INBOX", ["old1"], "done")
    with sqlite3.connect(path) as database:
        query = "SELECT old_hash, message_id, new_hash FROM message"
        assert database.execute(query).fetchall() == [(b"", "", row(1).new_hash)]


def test_another_task_looks_again_and_finishes_what_was_begun(journal, mine):
    mine.stage("INBOX", [row(1), row(2)])
    mine.mark("INBOX", ["old1"], "done")
    mine.known("INBOX", ["other"])
    mine.close()
    again = journal.mailbox(ALICE, PLACE, "open")
    assert again.skip("INBOX") == {}
    assert again.unfinished("INBOX") == [row(2)]
    again.close()


@pytest.mark.parametrize("state", ["staged", "removing"])
def test_what_another_task_began_needs_a_look_when_it_is_finished(journal, path, mine, state):
    """Also where the run that was to finish it is killed, and after a third one."""
    mine.stage("INBOX", [row(1), row(2), row(3)])
    mine.mark("INBOX", ["old1", "old2", "old3"], state)
    mine.close()
    journal.mailbox(ALICE, PLACE, "open").close()
    with Journal(path) as later:
        again = later.mailbox(ALICE, PLACE, "open")
        assert again.unfinished("INBOX") == [row(one, state=state) for one in (1, 2, 3)]
        again.mark("INBOX", ["old1"], "removing")
        assert again.unfinished("INBOX")[0] == row(1, state="removing")
        again.mark("INBOX", ["old1"], "done")
        again.stage("INBOX", [row(4)], done=["old2"])
        again.mark("INBOX", ["old4"], "done")
        assert again.skip("INBOX") == {"new4": "old4"}
        again.close()
        third = later.mailbox(ALICE, PLACE, "seal")
        third.mark("INBOX", ["old3"], "done")
        assert third.skip("INBOX") == {}
        assert third.unfinished("INBOX") == []
        third.close()


def test_another_task_that_came_just_before_counts(journal, path, monkeypatch):
    journal.mailbox(ALICE, PLACE).close()
    lock = journals._Lock

    def late(*args):
        monkeypatch.setattr(journals, "_Lock", lock)
        with Journal(path) as other:
            opening = other.mailbox(ALICE, PLACE, "open")
            opening.known("INBOX", ["plain"])
            opening.close()
        return lock(*args)

    monkeypatch.setattr(journals, "_Lock", late)
    mine = journal.mailbox(ALICE, PLACE)
    assert mine.skip("INBOX") == {}
    mine.close()


def test_a_mailbox_that_cannot_be_begun_is_not_kept(journal, path):
    with sqlite3.connect(path) as database:
        journal.mailbox(ALICE, PLACE).close()
        refuse = "BEGIN SELECT RAISE(ABORT, 'no'); END"
        database.execute(f"CREATE TRIGGER refuse BEFORE UPDATE ON mailbox {refuse}")
    with pytest.raises(MailboxError) as caught:
        journal.mailbox(ALICE, PLACE, "open")
    assert caught.value.code == "journal-unavailable"
    journal.mailbox(ALICE, PLACE).close()


def test_one_run_at_a_time(journal, mine, path):
    other = journal.mailbox("bob@example.org", PLACE)
    other.close()
    with Journal(path) as second, pytest.raises(MailboxError, match="another run") as caught:
        second.mailbox(ALICE, PLACE)
    assert caught.value.code == "busy"
    mine.close()
    journal.mailbox(ALICE, PLACE).close()
    assert not list(path.parent.glob("*.lock"))


KILLED = """
import os, signal, sys
from pathlib import Path
from cmstream.mailboxes.journal import Journal, Row
mine = Journal(Path(sys.argv[1])).mailbox("alice@example.org", "maildir:/mail/alice")
mine.stage("INBOX", [Row(f"old{n}", f"new{n}", bytes(32), bytes(32)) for n in range(300)])
mine.mark("INBOX", ["old0"], "done")
mine.known("INBOX", ["other"])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_its_notes_and_no_lock(path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    with Journal(path) as journal:
        mine = journal.mailbox(ALICE, PLACE)
        assert len(mine.unfinished("INBOX")) == 299
        assert mine.skip("INBOX") == {"new0": "old0", "other": "other"}
        mine.close()


def test_a_transaction_that_fails_notes_nothing(mine):
    with pytest.raises(MailboxError) as caught:
        mine.stage("INBOX", [row(1), row(2, new_hash=None)])
    assert caught.value.code == "journal-unavailable"
    assert mine.unfinished("INBOX") == []
    mine.stage("INBOX", [row(3)])


def test_a_folder_that_could_not_be_noted_is_noted_later(path, mine, journal):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    written = max(one.stat().st_size for one in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, limit[1]))
    try:
        with pytest.raises(MailboxError):
            mine.known("Sent", ["a"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    mine.known("Sent", ["a"])
    mine.close()
    again = journal.mailbox(ALICE, PLACE)
    assert (again.skip("Other"), again.skip("Sent")) == ({}, {"a": "a"})
    again.close()


def test_a_newer_journal(journal, path):
    with journal.transaction() as database:
        database.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(MailboxError) as caught:
        Journal(path)
    assert caught.value.code == "newer-journal"


def test_a_file_that_is_no_journal(path):
    path.parent.mkdir()
    path.write_bytes(b"something else, which is no database" * 100)
    with pytest.raises(MailboxError, match=str(path)) as caught:
        Journal(path)
    assert caught.value.code == "journal-unavailable"


def test_only_its_user_may_read_it(journal, path):
    assert {one.stat().st_mode & 0o077 for one in path.parent.iterdir()} == {0}


def test_where_it_is_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(journals, "EVERYBODYS", tmp_path)
    assert default_place() == tmp_path / "mailboxes.sqlite3"
    monkeypatch.setattr(journals, "EVERYBODYS", tmp_path / "new")
    assert default_place() == tmp_path / "new" / "mailboxes.sqlite3"
    monkeypatch.setattr(journals, "EVERYBODYS", tmp_path / "missing" / "new")
    monkeypatch.setenv("XDG_STATE_HOME", os.fspath(tmp_path / "mine"))
    assert default_place() == tmp_path / "mine" / "cmstream" / "mailboxes.sqlite3"


def test_a_place_is_noted_alike_however_it_is_written(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    assert noted_as(f"maildir:{tmp_path}/link/M/", "a@x") == noted_as(
        f"maildir:{tmp_path}/M", "b@x"
    )
    for one, other in (
        ("imaps://Mail.example.org", "imaps://mail.example.org:993/"),
        ("imap://bob@[::1]/", "imap://bob@[::1]:143"),
    ):
        assert noted_as(one, "a@x") == noted_as(other, "a@x")
    assert noted_as("imaps://host/", "a@x") != noted_as("imap://host/", "a@x")
    assert noted_as("imaps://host:x/", "a@x") == ("a@x", "imaps://host:x/")


def test_another_programs_database_is_no_journal(path):
    """The certificate store, for one: not a byte of it is changed."""
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE accounts (address TEXT)")
    before = path.read_bytes()
    with pytest.raises(MailboxError, match="another program") as caught:
        Journal(path)
    assert caught.value.code == "journal-unavailable"
    assert path.read_bytes() == before
