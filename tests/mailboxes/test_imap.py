"""Mailboxes on real IMAP servers: what a mail program sees before and after."""

from __future__ import annotations

import hashlib

import pytest

from cmstream.mailboxes.journal import Row
from helpers import imap_mail as mail


def test_everything_but_the_text_is_kept(server, user, client, notes):
    mail.fill(client, "INBOX", 9)
    before = mail.filed(client)
    with mail.mailbox(server.url, user, notes) as box:
        assert mail.results(mail.sweep(box)) == ["replaced"] * 9
    after = mail.filed(client)
    assert all(mail.is_sealed(one.content) for one in after)
    assert mail.opened(after) == before
    with mail.mailbox(server.url, user, notes) as box:  # nothing is left to do
        assert [*box.folders()[0].messages()] == []
        assert mail.sweep(box) == []
    assert mail.filed(client) == after


def test_and_back(server, user, client, notes):
    mail.fill(client, "INBOX", 5)
    before = mail.filed(client)
    with mail.mailbox(server.url, user, notes) as box:
        mail.sweep(box, batch=2)
    notes.unlink()
    with mail.mailbox(server.url, user, notes) as box:
        assert mail.results(mail.sweep(box, make=mail.opened_content)) == ["replaced"] * 5
    assert mail.filed(client) == before


def test_mail_without_a_message_id(server, user, client, notes):
    mail.fill(client, "INBOX", 3, message_id=False)
    before = mail.filed(client)
    with mail.mailbox(server.url, user, notes) as box:
        mail.sweep(box)
    assert mail.opened(mail.filed(client)) == before


def test_folders_with_any_names(server, user, client, notes):
    separator = client.list_folders()[0][1].decode()
    names = ["Sent", "Büro", "Lists" + separator + "Pythön & Co", "日本"]
    for name in names:
        client.create_folder(name)
        mail.put(client, name, mail.message())
    with mail.mailbox(server.url, user, notes) as box:
        found = [one.name for one in box.folders()]
        assert found[0] == "INBOX"
        wanted = {one.replace(separator, "/") for one in names}
        assert {*found} - {"Lists"} == {"INBOX", *wanted}
        assert mail.results(mail.sweep(box, names=wanted)) == ["replaced"] * 4
    for name in names:
        assert [mail.is_sealed(one.content) for one in mail.filed(client, name)] == [True]


def test_what_is_kept_needs_no_other_look(server, user, client, notes):
    for i in range(3):
        mail.put(client, "INBOX", mail.message(i))
    with mail.mailbox(server.url, user, notes) as box:
        folder = box.folders()[0]
        first, *others = folder.messages()
        folder.keep([first])
        assert [*folder.messages()] == others
    client.select_folder("INBOX")
    client.delete_messages(client.search("ALL")[:1], silent=True)
    client.expunge()
    with mail.mailbox(server.url, user, notes) as box:
        assert [*box.folders()[0].messages()] == others
        assert box.folders()[0]._journal.skip("INBOX") == {}  # nor does the journal grow


def test_drafts_are_told(server, user, client, notes):
    for name in ("Entwürfe", "Drafts", "Draft letters"):
        client.create_folder(name)
    client._imap._simple_command("CREATE", "Pending", "(USE (\\Drafts))")
    marked = {name for marks, _, name in client.list_folders() if b"\\Drafts" in marks}
    assert marked == ({"Pending"} if server.kind == "cyrus" else {"Drafts"})
    with mail.mailbox(server.url, user, notes, drafts=("entwürfe",)) as box:
        assert {one.name for one in box.folders() if one.drafts} == {"Entwürfe", *marked}


def test_a_folder_becomes_one_for_drafts(server, user, client, notes):
    """While it is watched: mail programs mark it after they have made it."""
    if server.kind != "cyrus":
        pytest.skip("its marks go by the folder's name")
    client.create_folder("Pending")
    with mail.mailbox(server.url, user, notes) as box:
        assert not any(one.drafts for one in box.folders())
        client.delete_folder("Pending")
        client._imap._simple_command("CREATE", "Pending", "(USE (\\Drafts))")
        assert {one.name for one in box.folders() if one.drafts} == {"Pending"}


def test_the_marks_that_a_client_makes_meanwhile(server, user, client, notes):
    """Each between two steps of the sweep."""
    mail.fill(client, "INBOX", 4)
    client.select_folder("INBOX")
    uids = client.search("ALL")
    with mail.mailbox(server.url, user, notes) as box:
        folder = box.folders()[0]
        changes = [*mail.changes(folder, [*folder.messages()])]
        client.set_flags(uids[0], ["\\Flagged", "$Late"])  # read, not yet appended
        client.delete_messages(uids[1])
        client.uid_expunge(uids[1])
        client.delete_messages(uids[2])
        steps = folder._folder
        compared = steps.digests

        def digests(these):  # appended, the old ones not yet marked
            client.set_flags(uids[3], ["\\Answered"])
            client.noop()
            return compared(these)

        steps.digests = digests
        outcomes = folder.replace(changes)
    assert mail.results(outcomes) == ["replaced", "gone", "replaced", "replaced"]
    found = mail.filed(client)
    assert [one.flags for one in found] == [
        {b"\\Flagged", b"$Late"},
        {*mail.FLAGS[2], b"\\Deleted"},
        {b"\\Answered"},
    ]
    assert all(mail.is_sealed(one.content) for one in found)


@pytest.mark.parametrize("removed", ["old", "new"])
def test_a_client_removes_one_of_the_two(server, user, client, notes, removed):
    mail.fill(client, "INBOX", 2)
    before = mail.filed(client)
    client.select_folder("INBOX")
    with mail.mailbox(server.url, user, notes) as box:
        folder = box.folders()[0]
        steps = folder._folder
        marked = steps.mark_deleted

        def mark_deleted(these):
            marked(these)
            steps.mark_deleted = marked
            client.noop()
            uids = client.search("ALL")
            assert len(uids) == 4
            client.delete_messages(uids[0 if removed == "old" else 2])
            client.uid_expunge(uids[0 if removed == "old" else 2])

        steps.mark_deleted = mark_deleted
        outcomes = folder.replace([*mail.changes(folder, [*folder.messages()])])
        assert folder._journal.unfinished("INBOX") == []
    found = mail.filed(client)
    if removed == "old":  # its owner wanted it away
        assert mail.results(outcomes) == ["gone", "replaced"]
        assert mail.opened(found) == before[1:]
    else:
        assert mail.results(outcomes) == ["failed", "replaced"]
        assert "removed the new one" in outcomes[0].why
        assert mail.opened(found) == before  # not marked for removal
        assert [mail.is_sealed(one.content) for one in found] == [False, True]


@pytest.mark.parametrize("which", [0, 2])
def test_a_server_that_tells_no_flags_of_one(server, user, client, notes, which):
    """The one message or the other of a pair. It isn't taken for gone: nothing is removed."""
    mail.fill(client, "INBOX", 2)
    before = mail.filed(client)
    with mail.mailbox(server.url, user, notes) as box:
        folder = box.folders()[0]
        steps = folder._folder
        told = steps.states

        def states(uids):
            there = steps.search(["ALL"])
            silent = there[which] if len(there) > 2 else None
            return {uid: one for uid, one in told(uids).items() if uid != silent}

        steps.states = states
        outcomes = folder.replace([*mail.changes(folder, [*folder.messages()])])
        assert mail.results(outcomes) == ["failed", "replaced"]
        assert "doesn't tell its flags" in outcomes[0].why
        steps.states = told
    found = mail.filed(client)
    assert [mail.is_sealed(one.content) for one in found] == [False, True, True]
    assert {one.content for one in mail.opened(found)} == {one.content for one in before}


def test_a_folder_that_was_made_anew(server, user, client, notes):
    """Identities of before name nothing any more."""
    client.create_folder("Work")
    mail.fill(client, "Work", 3)
    with mail.mailbox(server.url, user, notes) as box:
        (folder,) = (one for one in box.folders() if one.name == "Work")
        found = [*folder.messages()]
        changes = [*mail.changes(folder, found)]
        folder.keep(found[:1])
        client.delete_folder("Work")
        assert folder.read(found[0]) is None
        assert mail.results(folder.replace(changes)) == ["gone"] * 3
        assert [*folder.messages()] == []
        client.create_folder("Work")
        mail.fill(client, "Work", 3, first=10)
        before = mail.filed(client, "Work")
        assert folder.read(found[0]) is None
        assert mail.results(folder.replace(changes)) == ["gone"] * 3
        assert mail.filed(client, "Work") == before
        assert mail.results(mail.sweep(box, names={"Work"})) == ["replaced"] * 3
    assert mail.opened(mail.filed(client, "Work")) == before


def test_a_half_done_pair_is_known_by_its_content_in_a_folder_made_anew(
    server, user, client, notes
):
    """As after a server's restore: UIDVALIDITY is another, and both messages are there."""
    mail.put(client, "INBOX", mail.message(1), [b"\\Seen"])
    before = mail.filed(client)
    sealed = mail.seal(before[0].content)
    mail.put(client, "INBOX", sealed)
    with mail.mailbox(server.url, user, notes) as box:
        journal = box.folders()[0]._journal
        hashes = [hashlib.sha256(one).digest() for one in (before[0].content, sealed)]
        row = Row("77/1", "77/2", *hashes, "<1.mail@example.org>", "removing")
        journal.stage("INBOX", [row])
        assert mail.sweep(box) == []
        assert journal.unfinished("INBOX") == []
    (after,) = mail.filed(client)
    assert mail.opened([after]) == before
    assert after.content == sealed


@pytest.mark.parametrize("size", [mail.LONG, 30 << 20])
def test_long_messages(server, user, client, notes, size):
    line = b"0123456789" * 7 + b"\r\n"
    mail.put(client, "INBOX", mail.message(1, line * (size // len(line))))
    mail.put(client, "INBOX", mail.message(2))
    before = mail.filed(client)
    with mail.mailbox(server.url, user, notes) as box:
        assert mail.results(mail.sweep(box)) == ["replaced"] * 2
    assert mail.opened(mail.filed(client)) == before
