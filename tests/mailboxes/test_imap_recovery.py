"""What the next run makes of what a killed one left in a folder on an IMAP server, and its owner
did with it meanwhile."""

from __future__ import annotations

import hashlib

import pytest

from cmstream.mailboxes.errors import MailboxError
from cmstream.mailboxes.journal import Row
from helpers import imap_mail as mail


def sha256(content):
    return hashlib.sha256(content).digest()


def validity(client):
    return client.folder_status("INBOX", ["UIDVALIDITY"])[b"UIDVALIDITY"]


def uids(client):
    client.select_folder("INBOX")
    found = sorted(client.search("ALL"))
    client.select_folder("INBOX", readonly=True)
    return found


@pytest.fixture
def mine(server, user, notes):
    with mail.mailbox(server.url, user, notes) as box:
        yield box


@pytest.mark.parametrize("state", ["staged", "removing"])
@pytest.mark.parametrize("removed", ["old", "new"])
def test_an_owner_who_sees_both_may_remove_either(client, mine, state, removed):
    mail.put(client, "INBOX", mail.message(1), [b"\\Seen"])
    (before,) = mail.filed(client)
    sealed = mail.seal(before.content)
    mail.put(client, "INBOX", sealed, [b"\\Seen"])
    old, new = uids(client)
    client.select_folder("INBOX")
    client.delete_messages([old if removed == "old" else new])
    client.expunge()
    was = validity(client)
    row = Row(
        f"{was}/{old}", f"{was}/{new}", sha256(before.content), sha256(sealed),
        "1.mail@example.org", state,
    )  # fmt: skip
    journal = mine.folders()[0]._journal
    journal.stage("INBOX", [row])
    assert mail.results(mail.sweep(mine)) == (["replaced"] if removed == "new" else [])
    assert journal.unfinished("INBOX") == []
    (after,) = mail.filed(client)
    assert mail.opened([after]) == [before]
    assert mail.is_sealed(after.content)


def test_what_opening_left_half_done_is_sealed_again(server, user, client, notes):
    """By the next run that seals: it finishes what was begun, and doesn't take it for sealed."""
    mail.fill(client, "INBOX", 3)
    with mail.mailbox(server.url, user, notes) as box:
        mail.sweep(box)
    before = mail.filed(client)
    with mail.mailbox(server.url, user, notes, task="open") as box:
        folder = box.folders()[0]

        def killed(_):
            raise KeyboardInterrupt

        folder._folder.expunge = killed
        with pytest.raises(KeyboardInterrupt):
            mail.sweep(box, make=mail.opened_content)
    assert len(mail.filed(client)) == 6
    with mail.mailbox(server.url, user, notes) as box:
        assert mail.results(mail.sweep(box)) == ["replaced"] * 3
    after = mail.filed(client)
    assert all(mail.is_sealed(one.content) for one in after)
    assert mail.opened(after) == mail.opened(before)


@pytest.mark.parametrize("appended", [1, 2])
def test_two_messages_alike_are_two_after_a_kill(server, user, client, notes, appended):
    """Opened ones are, where the owner had copied one."""
    content = mail.message(1)
    sealed = [mail.seal(content), mail.seal(content)]
    for one in sealed:
        mail.put(client, "INBOX", one)
    olds = uids(client)
    for _ in range(appended):
        mail.put(client, "INBOX", content)
    was = validity(client)
    rows = [
        Row(f"{was}/{old}", f"{was}/{olds[-1] + 1}", sha256(one), sha256(content), "1.mail")
        for old, one in zip(olds, sealed, strict=True)
    ]
    with mail.mailbox(server.url, user, notes, task="open") as box:
        box.folders()[0]._journal.stage("INBOX", rows)
        mail.sweep(box, make=mail.opened_content)
    assert [one.content for one in mail.filed(client)] == [content] * 2


def test_two_messages_alike_where_the_server_tells_no_uids(server, user, client, notes):
    content = mail.message(1)
    mail.put(client, "INBOX", mail.seal(content), [b"\\Seen"])
    mail.put(client, "INBOX", mail.seal(content), [b"\\Flagged"])
    with mail.mailbox(server.url, user, notes, task="open") as box:
        (folder, *_) = box.folders()
        steps, append = folder._folder, folder._folder.append

        def silent(messages):
            append(messages)
            return []

        steps.append = silent
        mail.sweep(box, make=mail.opened_content)
    found = mail.filed(client)
    assert [one.content for one in found] == [content] * 2
    assert [one.flags for one in found] == [{b"\\Seen"}, {b"\\Flagged"}]


def test_odd_names_of_folders(server, user, client, notes):
    names = ["01", "2019", "NIL", "INBOX2"]
    names += ['say "hi"', "back\\slash", "a(b)"] if server.kind == "dovecot" else []
    for number, name in enumerate(names):
        client.create_folder(name)
        mail.fill(client, name, 1, first=number)
    with mail.mailbox(server.url, user, notes) as box:
        assert {*names} <= {one.name for one in box.folders()}
        assert mail.results(mail.sweep(box)) == ["replaced"] * len(names)


def test_a_host_that_nobody_can_ask_for(user, notes):
    with (
        pytest.raises(MailboxError, match="no host") as caught,
        mail.mailbox(f"imaps://{'a' * 70}.example/", user, notes),
    ):
        pass
    assert caught.value.code == "no-such-host"
