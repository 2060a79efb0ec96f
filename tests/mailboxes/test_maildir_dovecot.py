"""The Maildirs of a running Dovecot, which has them open, and whose clients work on them."""

from __future__ import annotations

import random
import re
import threading
from datetime import datetime, timedelta, timezone

import pytest
from imapclient.exceptions import IMAPClientError

import cmstream
from cmstream.mailboxes.places import Access
from helpers.mailboxes import plain, seal, text, unseal
from helpers.servers.dovecot_imap import ImapDovecot
from helpers.servers.place import folder

FOLDERS = ("INBOX", "Sent", "Lists.Python", "Entwürfe")
FLAGS = ((), (b"\\Seen",), (b"\\Answered", b"\\Seen"), (b"\\Flagged", b"$Forwarded"),
         (b"Holiday", b"Work", b"\\Seen"))  # fmt: skip
QUOTA = """
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=1G
}
"""


@pytest.fixture(scope="module")
def server():
    users = ["alice", "bob", "carol"]
    with folder("dovecot") as own, ImapDovecot(own, users, settings=QUOTA) as one:
        yield one


@pytest.fixture
def home(server):
    """The Maildir of somebody who has nothing yet, and a mail program."""
    user = next(one for one in ("alice", "bob", "carol") if not maildir(server, one).exists())
    with server.client(user) as client:
        for name in FOLDERS[1:]:
            client.create_folder(name)
        yield user, client


def maildir(server, user):
    return server.folder / "mail" / user / "Maildir"


def append(client, name, number, flags=()):
    at = datetime(2015, 1, 1, 12, tzinfo=timezone.utc) + timedelta(hours=number, seconds=number)
    content = text(number).replace(b"\n", b"\r\n")
    client.append(name, content, flags, at)


def fetch(client, name, me=None):
    """What a mail program sees of each message, in the folder's order."""
    client.select_folder(name, readonly=True)
    items = ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"]
    found = []
    for uid in client.search():
        one = client.fetch([uid], items)[uid]
        body = one[b"BODY[]"]
        assert one[b"RFC822.SIZE"] == len(body)
        flags = {*one[b"FLAGS"]} - {b"\\Recent"}
        found.append((number(body), flags, one[b"INTERNALDATE"], plain(body, me)))
    client.unselect_folder()
    return found


def number(body):
    return int(re.search(rb"Message-ID: <(\d+)@", body)[1])


def test_what_a_mail_program_sees_stays(server, home, store, notes, me):
    user, client = home
    for index in range(320):
        append(client, FOLDERS[index % 7 % 4], index, FLAGS[index % 5])
    before = {name: fetch(client, name) for name in FOLDERS}
    root = maildir(server, user)
    server.forget()
    client.select_folder("INBOX")  # it is open meanwhile
    report = seal(store, root, notes)
    client.noop()
    assert (report.replaced, report.left, report.failures) == (320, {}, [])
    after = {name: fetch(client, name, me) for name in FOLDERS}
    assert after == before
    for name in FOLDERS:
        client.select_folder(name)
        for one in client.fetch(client.search(), ["BODY.PEEK[]"]).values():
            assert cmstream.is_encrypted(one[b"BODY[]"])
    assert unseal(me, root, notes).replaced == 320
    assert {name: fetch(client, name) for name in FOLDERS} == before
    assert complaints(server) == []
    assert quota(client) == recounted(server, client, user)


def complaints(server):
    words = ("Error", "Warning", "Panic", "Corrupt", "wrong")
    return [line for line in server.log().splitlines() if any(word in line for word in words)]


def quota(client):
    """KiB in use."""
    _, quotas = client.get_quota_root("INBOX")
    return next(one.usage for one in quotas if one.resource == "STORAGE")


def recounted(server, client, user):
    server.doveadm("quota", "recalc", "-u", user)
    return quota(client)


# --- a mail program that works at the same time ------------------------------------------------


class Busy(threading.Thread):
    """Changes flags, removes and moves messages at random, and files new ones. ``flags``: what each
    message has, by its number (but of ``doubted``); ``removed``, ``moved``: what it asked."""

    def __init__(self, server, user, numbers, times):
        super().__init__()
        self._server, self._user, self._times = server, user, times
        self._random = random.Random(times)
        self.flags = {number: set() for number in numbers}
        self.removed, self.moved, self.doubted, self.error = set(), set(), set(), None

    def run(self):
        try:
            with self._server.client(self._user) as client:
                for turn in range(self._times):
                    self._turn(client, turn)
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.error = error

    def _turn(self, client, turn):
        client.select_folder("INBOX")
        uids = client.search()
        heads = client.fetch(self._random.sample(uids, min(8, len(uids))), ["BODY.PEEK[HEADER]"])
        for uid, one in heads.items():
            if one.get(b"BODY[HEADER]"):  # it may be gone since
                self._work(client, uid, number(one[b"BODY[HEADER]"]))
        if turn % 5 == 0:
            new = 10_000 + turn
            append(client, "INBOX", new)
            self.flags[new] = set()

    def _work(self, client, uid, index):
        if index in self.removed | self.moved:
            return
        what = self._random.choice(["flag", "flag", "flag", "unflag", "remove", "move"])
        flag = self._random.choice([b"\\Seen", b"\\Flagged", b"\\Answered", b"Work"])
        if what == "flag" and uid in client.add_flags([uid], [flag]):
            self.flags[index].add(flag)
            self._doubt(client, uid, index)
        elif what == "unflag" and uid in client.remove_flags([uid], [flag]):
            self.flags[index].discard(flag)
            self._doubt(client, uid, index)
        elif what == "remove" and uid in client.delete_messages([uid]):
            self.removed.add(index)
            client.uid_expunge([uid])
        elif what == "move":
            self.moved.add(index)
            try:
                client.move([uid], "Sent")
            except IMAPClientError as error:  # it was replaced meanwhile, and stays where it is
                assert "EXPUNGEISSUED" in str(error)

    def _doubt(self, client, uid, index):
        """Dovecot says that it changed flags before it looks for the file. Where the message is
        another one by then, nobody knows."""
        client.noop()
        if uid not in client.search():
            self.doubted.add(index)


def test_a_mail_program_that_works_at_the_same_time(server, home, store, notes, me):
    user, client = home
    for index in range(500):
        append(client, "INBOX", index)
    root = maildir(server, user)
    busy = Busy(server, user, range(500), 60)
    server.forget()
    busy.start()
    failures = []
    while busy.is_alive():
        failures += seal(store, root, notes).failures
        failures += unseal(me, root, notes).failures
    busy.join()
    if busy.error:
        raise busy.error
    seal(store, root, notes)
    seal(store, root, notes)
    inbox, sent = fetch(client, "INBOX", me), fetch(client, "Sent", me)
    there = [one[0] for one in (*inbox, *sent)]
    assert {*there} | busy.removed == busy.flags.keys()
    assert all("somebody removed the new one" in one for one in failures)
    twice = {one for one in there if there.count(one) > 1}
    assert twice <= busy.moved
    lost = []
    for index, flags, _, content in inbox:
        assert content == plain(text(index))
        if index in busy.removed:
            # Marked while it was replaced, and not removed then. Or the new one was removed while
            # the old one was still there: then that stays.
            assert b"\\Deleted" in flags or failures
        elif index not in busy.moved | busy.doubted and flags != busy.flags[index]:
            lost.append((index, flags))  # between Dovecot's answer and its look at the file
    assert len(lost) < len(busy.flags) / 50, lost
    assert len(busy.doubted) < len(busy.flags) / 4
    assert not list((root / "tmp").iterdir())
    assert seal(store, root, notes).messages == 0
    # Dovecot may miss a file that is renamed while it reads the directory, and finds it again.
    again = "reappeared", "Duplicate file entry"
    assert [one for one in complaints(server) if not any(word in one for word in again)] == []


def test_drafts_as_dovecot_names_them(server, home, store, notes):
    user, client = home
    client.create_folder("Drafts")
    append(client, "Drafts", 1, (b"\\Draft",))
    append(client, "Entwürfe", 2)
    access = Access(drafts=("Drafts", "Entwürfe"))
    report = seal(store, maildir(server, user), notes, access=access)
    assert (report.replaced, report.left) == (0, {"draft": 2})
