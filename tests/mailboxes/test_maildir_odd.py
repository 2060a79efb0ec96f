"""Maildirs as no mail server should leave them, and owners who tidy up before the next run."""

from __future__ import annotations

import os

import pytest

from cmstream.mailboxes.journal import Journal
from cmstream.mailboxes.maildir_batch import Batch
from cmstream.mailboxes.places import open_mailbox
from helpers import mailboxes


class Killed(BaseException):
    pass


def killed_at(step, mine, monkeypatch):
    """A run that ends before this step of its batch, as by kill -9."""

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Batch, step, killed)
        with pytest.raises(Killed):
            mine.run("seal")


def both(root):
    """The readable message and the sealed one."""
    return sorted(mailboxes.files(root), key=mailboxes._is_sealed)


@pytest.mark.parametrize("step", ["parts", "remove"])
def test_an_owner_who_sees_both_after_a_kill_may_remove_either(mine, root, monkeypatch, step):
    mailboxes.put(root, mailboxes.text(1))
    before = mine.mails()
    killed_at(step, mine, monkeypatch)
    readable, sealed = both(root)
    assert mailboxes.sealed(root).count(True) == 1
    readable.unlink()
    mine.run("seal")
    assert mailboxes.files(root) == [sealed]
    assert mine.mails() == before


@pytest.mark.parametrize("step", ["parts", "remove"])
def test_an_owner_who_removes_the_sealed_one_keeps_the_other(mine, root, monkeypatch, step):
    mailboxes.put(root, mailboxes.text(1))
    before = mine.mails()
    killed_at(step, mine, monkeypatch)
    both(root)[1].unlink()
    mine.run("seal")
    assert mine.mails() == before
    assert mine.finished("seal")


def test_what_somebody_writes_meanwhile_is_not_lost(mine, root, monkeypatch):
    """Not in a mail program, which makes a new file: with an editor, a filter, a backup."""
    path = mailboxes.put(root, mailboxes.text(1))
    mailboxes.put(root, mailboxes.text(2))
    write = Batch.write

    def late(batch, changes):
        path.write_bytes(mailboxes.text(3))
        write(batch, changes)

    with monkeypatch.context() as patched:
        patched.setattr(Batch, "write", late)
        report = mine.run("seal")
    assert (report.replaced, len(report.failures)) == (1, 1)
    assert path.read_bytes() == mailboxes.text(3)
    mine.run("seal")
    assert all(mailboxes.sealed(root))


def test_two_messages_of_one_base_name_stay_and_are_told(mine, root):
    mailboxes.put(root, mailboxes.text(1), name="1600000000.M1P1.host")
    mailboxes.put(root, mailboxes.text(2), name="1600000000.M1P1.host", flags=":2,")
    mailboxes.put(root, mailboxes.text(3), name="1600000000.M1P1.host", part="new")
    mailboxes.put(root, mailboxes.text(4))
    before = mine.mails()
    report = mine.run("seal")
    assert (report.messages, report.left) == (4, {"shared-name": 3})
    assert mine.mails() == before
    assert mailboxes.sealed(root).count(True) == 1


def test_a_message_with_a_time_in_its_name_isnt_taken_for_another(mine, root, monkeypatch):
    first = mailboxes.put(root, mailboxes.text(1), name="12:00:01.host")
    place = Batch.place

    def moved(batch):
        """Its owner moves it away, and another comes whose name begins as its."""
        first.rename(root / "moved")
        mailboxes.put(root, mailboxes.text(2), name="12:00:02.host")
        place(batch)

    monkeypatch.setattr(Batch, "place", moved)
    assert mine.run("seal").gone == 1
    (left,) = mailboxes.files(root)
    assert left.read_bytes() == mailboxes.text(2)


@pytest.mark.parametrize("flags", [":1,x", ":2,SZ", ":2,zS", ":2", ":", ":2,S:2,F", ",S=3:2,S"])
def test_odd_flags_are_kept(mine, root, flags):
    mailboxes.put(root, mailboxes.text(1), flags=flags, name="1600000000.M1P1.h")
    before = mine.mails()
    assert mine.run("seal").replaced == 1
    assert {one.mtime for one in mine.mails().values()} == {one.mtime for one in before.values()}
    assert [one.flags for one in mine.mails().values()] == [flags.partition(":")[2]]


def test_names_and_folders_in_latin_1(mine, root):
    odd = os.fsdecode(b"1600000000.M1P1.m\xfcller")
    folder = root / os.fsdecode(b".Entw\xfcrfe alt")
    mailboxes.make(folder)
    mailboxes.put(root, mailboxes.text(1), name=odd)
    mailboxes.put(folder, mailboxes.text(2), name=odd)
    assert mine.run("seal").replaced == 2
    assert mailboxes.sealed(root) == mailboxes.sealed(folder) == [True]
    assert mine.run("seal").messages == 0
    with (
        Journal(mine.notes) as notes,
        open_mailbox(f"maildir:{root}", mailboxes.ALICE, notes) as mailbox,
    ):
        names = [one.name for one in mailbox.folders()]
    assert names == ["INBOX", r"Entw\xfcrfe alt"]


def test_folders_of_the_same_name_for_people_have_each_their_journal(mine, root, monkeypatch):
    folders = [root / ".Lists.Python", root / "Lists" / "Python", root / ".INBOX", root / "INBOX"]
    for number, folder in enumerate(folders):
        mailboxes.make(folder)
        mailboxes.put(folder, mailboxes.text(number))
    mailboxes.put(root, mailboxes.text(9))
    assert mine.run("seal").replaced == 5
    assert mine.run("seal").messages == 0
    mailboxes.put(folders[0], mailboxes.text(10))
    killed_at("remove", mine, monkeypatch)
    mine.run("seal")
    assert [len(mailboxes.files(one)) for one in folders] == [2, 1, 1, 1]


def test_a_folder_named_cur_and_links(mine, root):
    inner = root / ".cur"
    mailboxes.make(inner)
    mailboxes.put(inner, mailboxes.text(1))
    other = root.parent / "other"
    mailboxes.make(other)
    kept = mailboxes.put(other, mailboxes.text(2))
    (root / ".link").symlink_to(other)
    (root / "cur" / "1.link:2,S").symlink_to(kept)
    assert mine.run("seal").replaced == 1
    assert kept.read_bytes() == mailboxes.text(2)
