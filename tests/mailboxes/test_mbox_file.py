"""Mailboxes of mbox files, written and read back by Dovecot and by Python's mailbox module."""

from __future__ import annotations

import contextlib
import fcntl
import mailbox
import os
import signal
import socket

import pytest

from cmstream.mailboxes import mbox_lock, mbox_rewrite
from cmstream.mailboxes.errors import MailboxError
from helpers import imap_mail as mail
from helpers.people import person
from helpers.servers.imap import running
from helpers.somebody import only_root

ALICE = "alice@example.org"
FROM = b"From bob@example.net Thu Nov 29 22:33:52 2001\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "box"


def lines(content):
    return content.replace(b"\r\n", b"\n")


def text(number, body=b"Dear Bob,\n\nFrom here on it is mine.\n"):
    return lines(mail.message(number, body))


def written(path, count=5, *, first=0):
    """A file that Python's module wrote; gives what it reads."""
    with contextlib.closing(mailbox.mbox(path)) as box:
        for i in range(first, first + count):
            one = mailbox.mboxMessage(text(i))
            one.set_flags(("", "RO", "ROAF", "RD", "F")[i % 5])
            one.set_from(f"bob@example.net Thu Nov 29 22:33:0{i} 2001")
            box.add(one)
    return read(path)


def read(path):
    """From_ line, flags and content, unquoted and opened, of each message."""
    with contextlib.closing(mailbox.mbox(path)) as box:
        found = []
        for one in box:
            marks, flags = one.get_from(), one.get_flags()
            del one["Status"], one["X-Status"]
            content = mail.opened_content(one.as_bytes())
            found.append((marks, flags, lines(content).replace(b"\n>From ", b"\nFrom ")))
    return found


def sweep(path, notes, **options):
    with mail.mailbox(f"mbox:{path}", ALICE, notes) as box:
        return mail.results(mail.sweep(box, **options))


def test_what_python_wrote_it_reads_back(path, notes):
    before = written(path)
    path.chmod(0o640)
    os.utime(path, (1_600_000_000, 1_600_000_001))
    assert sweep(path, notes, batch=2) == ["replaced"] * 5
    assert b"here on" not in path.read_bytes()
    assert read(path) == before
    assert (path.stat().st_mode & 0o777, path.stat().st_mtime) == (0o640, 1_600_000_001)
    assert sweep(path, notes) == []
    notes.unlink()
    assert sweep(path, notes, make=mail.opened_content) == ["replaced"] * 5
    assert b"\n>From here on" in path.read_bytes()
    assert read(path) == before
    assert sorted(one.name for one in path.parent.iterdir() if one.name.startswith("box")) == [
        "box"
    ]


def test_crlf_and_messages_alike(path, notes):
    one = FROM + text(1) + b"\n"
    path.write_bytes((one + one + FROM + text(2)).replace(b"\n", b"\r\n"))
    assert sweep(path, notes) == ["replaced"] * 3
    found = path.read_bytes()
    assert found.count(b"\n") == found.count(b"\r\n")
    assert [each[2] for each in read(path)] == [text(1), text(1), text(2)]
    assert sweep(path, notes) == []


def test_messages_alike_in_several_batches(path, notes):
    """None is taken for one that its owner removed, and so stays readable."""
    alike = FROM + text(1) + b"\n"
    path.write_bytes(alike + FROM + text(2) + b"\n" + alike * 3)
    assert sweep(path, notes, batch=2) == ["replaced"] * 5
    assert b"here on" not in path.read_bytes()
    assert [each[2] for each in read(path)] == [text(1), text(2), *[text(1)] * 3]
    again = path.read_bytes()
    path.write_bytes(again + again)
    notes.unlink()
    assert sweep(path, notes, batch=3, make=mail.opened_content) == ["replaced"] * 10


def test_what_stays_is_not_touched(path, notes):
    """Also where it is odd."""
    odd = FROM + b"Content-Length: 200\nno field\n\nx\n>From y\n\n"
    path.write_bytes(odd + FROM + text(1) + b"\n" + odd)
    with mail.mailbox(f"mbox:{path}", ALICE, notes) as box:
        (folder,) = box.folders()
        middle = [*folder.messages()][1:2]
        assert mail.results(folder.replace([*mail.changes(folder, middle)])) == ["replaced"]
    found = path.read_bytes()
    assert found.startswith(odd + FROM)
    assert found.endswith(b"\n\n" + odd)


def test_mail_that_comes_or_goes_meanwhile(path, notes):
    written(path, 3)
    with mail.mailbox(f"mbox:{path}", ALICE, notes) as box:
        (folder,) = box.folders()
        changes = [*mail.changes(folder, [*folder.messages()])]
        with contextlib.closing(mailbox.mbox(path)) as other:
            other.remove(0)
            other[1].set_flags("RF")
        written(path, 1, first=7)
        assert mail.results(folder.replace(changes)) == ["gone", "replaced", "replaced"]
        assert [one[2] for one in read(path)] == [text(1), text(2), text(7)]
        assert box.wait(5) == ["INBOX"]
        assert mail.results(mail.sweep(box)) == ["replaced"]
        box.wait(0)
        [*folder.messages()]
        assert box.wait(0) == []


def test_a_folder_of_files(tmp_path, notes):
    root = tmp_path / "mail"
    (root / "Lists").mkdir(parents=True)
    for name in ("inbox", "Sent", "Drafts", "Lists/Python"):
        written(root / name, 1)
    (root / "notes.txt").write_text("no mail\n")
    (root / "Sent.lock.txt").write_bytes(b"")
    with mail.mailbox(f"mbox:{root}", ALICE, notes) as box:
        found = box.folders()
        assert [one.name for one in found] == ["INBOX", "Drafts", "Lists/Python", "Sent"]
        assert [one.name for one in found if one.drafts] == ["Drafts"]
        assert mail.results(mail.sweep(box)) == ["replaced"] * 4


def test_two_files_that_are_called_as_the_inbox(tmp_path, notes):
    """Each has its turn, also where the second comes later."""
    root = tmp_path / "mail"
    root.mkdir()
    written(root / "inbox", 1)
    with mail.mailbox(f"mbox:{root}", ALICE, notes) as box:
        assert [one.name for one in box.folders()] == ["INBOX"]
        written(root / "Inbox", 2)
        assert mail.results(mail.sweep(box)) == ["replaced"] * 3
    assert not [one for one in root.iterdir() if b"here on" in one.read_bytes()]


@only_root
def test_a_spool_of_several_users(tmp_path, notes):
    """One of them must not get the mail of all, nor when another's file comes later."""
    root = tmp_path / "mail"
    root.mkdir()
    for number, name in enumerate(["alice", "lists"]):
        written(root / name, 1)
        os.chown(root / name, 4001, 4001 + number)
    with mail.mailbox(f"mbox:{root}", ALICE, notes) as box:
        assert mail.results(mail.sweep(box)) == ["replaced"] * 2
        written(root / "bob", 1)
        os.chown(root / "bob", 4002, 4001)
        before = (root / "bob").read_bytes()
        with pytest.raises(MailboxError, match="several users") as caught:
            mail.sweep(box)
    assert caught.value.code == "invalid-place"
    assert (root / "bob").read_bytes() == before


NOTES = b"1029384756 0000000012"


@pytest.mark.parametrize("value", [b"1", b"yes", NOTES])
def test_a_sender_makes_no_message_a_servers_own(path, notes, value):
    """Only the first of a file is one, if it has what servers write; nor does any vanish from the
    report."""
    named = text(2).replace(b"\n\n", b"\nX-IMAP: " + value + b"\n\n", 1)
    path.write_bytes(FROM + text(1) + b"\n" + FROM + named)
    assert sweep(path, notes) == ["replaced"] * 2
    assert [each[2] for each in read(path)] == [text(1), text(2)]


@pytest.mark.parametrize(("value", "left"), [(NOTES, 1), (b"hidden", 0)])
def test_the_servers_own_message_stays(path, notes, value, left):
    first = FROM + b"Subject: FOLDER INTERNAL DATA\nX-IMAP: " + value + b"\n\nnotes\n\n"
    path.write_bytes(first + FROM + text(1))
    assert sweep(path, notes) == ["replaced"] * (2 - left)
    assert path.read_bytes().startswith(first) == bool(left)


def test_files_that_are_none(tmp_path, notes):
    with pytest.raises(MailboxError) as caught:
        sweep(tmp_path / "nowhere", notes)
    assert caught.value.code == "no-such-mailbox"
    (tmp_path / "box").write_bytes(b"hello\n")
    with pytest.raises(MailboxError, match="no mbox file") as caught:
        sweep(tmp_path / "box", notes)
    assert caught.value.code == "no-such-mailbox"


def test_a_file_that_somebody_has_locked(path, notes, monkeypatch):
    written(path, 1)
    monkeypatch.setattr(mbox_lock, "_WAIT", 0.3)
    before = path.read_bytes()
    lock = path.with_name("box.lock")
    lock.touch()
    with pytest.raises(MailboxError) as caught:
        sweep(path, notes)
    assert (caught.value.code, path.read_bytes()) == ("busy", before)
    assert str(lock) in str(caught.value)
    os.utime(lock, (1, 1))  # left behind long ago
    child = os.fork()
    if not child:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            signal.pause()
    try:
        with pytest.raises(MailboxError) as caught:
            while not sweep(path, notes, names=()):
                sweep(path, notes)
        assert caught.value.code == "busy"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert sweep(path, notes) == ["replaced"]
    assert not lock.exists()


@pytest.mark.parametrize(
    "owner",
    ["", "\n", "0:{here}\n", "{dead}:elsewhere.{here}\n", "{dead}\n", "{alive}:{here}\n",
     "-1:{here}\n", "99999999999999999999:{here}\n"],
)  # fmt: skip
def test_a_lock_of_somebody_who_may_be_there_is_waited_for(path, notes, monkeypatch, owner):
    written(path, 1)
    monkeypatch.setattr(mbox_lock, "_WAIT", 0.05)
    dead = os.fork() or os._exit(0)
    os.waitpid(dead, 0)
    lock = path.with_name("box.lock")
    here = socket.gethostname()
    lock.write_text(owner.format(dead=dead, alive=os.getpid(), here=here))
    with pytest.raises(MailboxError) as caught:
        sweep(path, notes)
    assert caught.value.code == "busy"
    lock.write_text(f"{dead}:{here}\n")
    monkeypatch.setattr(mbox_lock, "_WAIT", 5)
    assert sweep(path, notes) == ["replaced"]
    assert not lock.exists()


@pytest.mark.parametrize("step", ["_put", "write", "settle", "close"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_step(path, notes, monkeypatch, step, after):
    before = written(path, 4)
    assert person().recipient  # made before the child needs it
    child = os.fork()
    if not child:
        kind, step_of = mbox_rewrite.Rewritten, getattr(mbox_rewrite.Rewritten, step)

        def killed(self, *arguments):
            if after:
                step_of(self, *arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(kind, step, killed)
        sweep(path, notes)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert read(path) == before
    sweep(path, notes)  # at once: whoever made the lock isn't there any more
    assert read(path) == before
    assert b"here on" not in path.read_bytes()
    assert sweep(path, notes) == []
    left = {one.name for one in path.parent.iterdir() if "box" in one.name}
    assert left == {"box"}


def test_a_new_file_that_reads_otherwise_is_dropped(path, notes, monkeypatch):
    before = written(path, 2)
    monkeypatch.setattr(mbox_rewrite.Rewritten, "_copy", lambda *_: None)
    with pytest.raises(MailboxError, match="reads otherwise"):
        sweep(path, notes, batch=1)
    assert read(path) == before


def test_what_dovecot_wrote_it_reads_back(notes):
    settings = "mail_location = mbox:~/mbox:INBOX=~/inbox\nmail_save_crlf = no\n"
    with running("dovecot", settings=settings) as server, server.client("user0@example.org") as one:
        body = b"Dear Bob,\r\n\r\nFrom here on Thu Nov 29 22:33:52 2001\r\n>From there\r\n"
        mail.fill(one, "INBOX", 6, body=body)
        one.create_folder("Sent")
        mail.fill(one, "Sent", 3)
        before = {name: mail.filed(one, name) for name in ("INBOX", "Sent")}
        home = server.folder / "mail/user0@example.org"
        for name, path in (("INBOX", home / "inbox"), ("Sent", home / "mbox/Sent")):
            assert sweep(path, notes.with_name(name)) == ["replaced"] * len(before[name])
            assert b"Dear Bob" not in path.read_bytes()
            after = mail.filed(one, name)
            assert all(mail.is_sealed(each.content) for each in after)
            assert mail.opened(after) == before[name]


def test_a_program_that_heeds_no_lock_loses_nothing(path, notes, monkeypatch):
    written(path, 3)
    write, late = mbox_rewrite.Rewritten.write, FROM + text(9) + b"\n"

    def slow(*words):
        done = write(*words)
        with path.open("ab") as file:
            file.write(late)
        return done

    with monkeypatch.context() as patched:
        patched.setattr(mbox_rewrite.Rewritten, "write", slow)
        with pytest.raises(MailboxError) as caught:
            sweep(path, notes)
    assert caught.value.code == "busy"
    assert path.read_bytes().endswith(late)
    assert sweep(path, notes) == ["replaced"] * 4
    assert [one[2] for one in read(path)] == [text(0), text(1), text(2), text(9)]


def test_what_is_no_file_is_no_folder(tmp_path, notes):
    root = tmp_path / "mail"
    root.mkdir()
    written(root / "inbox", 1)
    (root / "link").symlink_to(root / "inbox")
    os.mkfifo(root / "pipe")
    assert sweep(root, notes) == ["replaced"]
    for name, said in (("link", "is a link"), ("pipe", "no regular file")):
        with pytest.raises(MailboxError, match=said) as caught:
            sweep(root / name, notes)
        assert caught.value.code == "no-such-mailbox"
