"""What real IMAP servers seldom do, and others do: half answers, odd names of folders, folders that
become others. Where no server at hand does it, a proxy before one makes it so."""

from __future__ import annotations

import hashlib
import re

import pytest

from cmstream.mailboxes.errors import MailboxError
from cmstream.mailboxes.journal import Row
from helpers import imap_mail as mail
from helpers.servers.imap import running
from helpers.servers.rewriting import Rewriting

ALICE = "user39@example.org"
LINE = b"0123456789" * 7 + b"\r\n"
SHORTER = mail.message(2, LINE * 13_000)
"""It is sealed as one that comes in slices."""
PART = re.compile(rb"BODY\.PEEK\[\]<(\d+)\.(\d+)>")


@pytest.fixture(scope="module")
def dovecot():
    with running("dovecot") as made:
        yield made


def run(url, user, notes):
    with mail.mailbox(url, user, notes) as box:
        return mail.sweep(box)


def test_a_server_that_gives_less_than_it_is_asked_for(server, user, client, notes):
    """As it may (RFC 9051 section 6.4.5 speaks of the end of the message alone)."""

    def capped(asked):
        return PART.sub(
            lambda part: b"BODY.PEEK[]<%s.%d>" % (part[1], min(300_000, int(part[2]))), asked
        )

    mail.put(client, "INBOX", mail.message(1, LINE * 40_000))
    mail.put(client, "INBOX", SHORTER)
    before = mail.filed(client)
    with Rewriting(server.imap, asked=capped) as proxy:
        assert mail.results(run(proxy.url, user, notes)) == ["replaced"] * 2
    after = mail.filed(client)
    assert all(mail.is_sealed(one.content) for one in after)
    assert mail.opened(after) == before


def test_a_server_that_gives_no_more_than_the_beginning(server, user, client, notes):
    """Of an old message, or of a new one."""

    def silent(asked):
        return PART.sub(lambda part: part[0] if part[1] == b"0" else b"FLAGS", asked)

    mail.put(client, "INBOX", mail.message(1, LINE * 40_000))
    mail.put(client, "INBOX", SHORTER)
    before = mail.filed(client)
    with Rewriting(server.imap, asked=silent) as proxy:
        (outcome,) = run(proxy.url, user, notes)
    assert outcome.result == "failed"
    assert "gives back something else" in outcome.why
    assert mail.filed(client) == before


def test_a_server_that_takes_a_message_and_no_word_after_it(server, user, client, notes):
    """The message is there all the same, and no other is to come."""
    appended = []

    def deaf(asked):
        appended.extend(re.findall(rb" APPEND ", asked))
        if appended and b" NOOP\r\n" in asked:
            appended.clear()
            return asked.replace(b" NOOP\r\n", b" XNOOP\r\n")
        return asked

    mail.fill(client, "INBOX", 3)
    before = mail.filed(client)
    with Rewriting(server.imap, asked=deaf) as proxy:
        assert mail.results(run(proxy.url, user, notes)) == ["replaced"] * 3
    assert mail.opened(mail.filed(client)) == before


@pytest.mark.parametrize("separator", [".", "/"])
def test_names_with_the_other_separator(notes, separator):
    settings = (
        "mail_location = maildir:~/Maildir:LAYOUT=fs\nmail_plugins = listescape\n"
        f"namespace inbox {{\n  separator = {separator}\n}}\n"
    )
    names = ["a.b", "a/b", "a/b.c", "a.b/c"]
    with running("dovecot", settings=settings) as server, server.client(ALICE) as client:
        for number, name in enumerate(names):
            client.create_folder(name)
            mail.fill(client, name, 2, first=2 * number)
        before = [mail.filed(client, name) for name in names]
        with mail.mailbox(server.url, ALICE, notes) as box:
            found = [one.name for one in box.folders()]
            assert len({*found}) == len(found)
            assert {*names} <= {*found}
            assert mail.results(mail.sweep(box)) == ["replaced"] * 8
        assert run(server.url, ALICE, notes) == []
        after = [mail.filed(client, name) for name in names]
        assert all(mail.is_sealed(one.content) for some in after for one in some)
        assert [mail.opened(some) for some in after] == before


@pytest.mark.parametrize(
    ("written", "name"),
    [(b"raw&x", "raw&x"), (b"&AGEAYgBj-", "&AGEAYgBj-"), (b"&2D0-", "&2D0-"),
     (b"B\xc3\xbcro", "B\\xc3\\xbcro"), (b"B&APw-ro", "B\u00fcro")],
)  # fmt: skip
def test_names_that_are_no_modified_utf7(dovecot, notes, written, name):
    """They go back as they came."""
    user = dovecot.free_user()
    with (
        dovecot.client(user) as client,
        Rewriting(
            dovecot.imap,
            asked=lambda said: said.replace(written, b"Stand-in"),
            answered=lambda said: said.replace(b"Stand-in", written),
        ) as proxy,
    ):
        client.create_folder("Stand-in")
        mail.fill(client, "Stand-in", 3)
        with mail.mailbox(proxy.url, user, notes) as box:
            assert [one.name for one in box.folders()] == ["INBOX", name]
            assert mail.results(mail.sweep(box)) == ["replaced"] * 3
        assert all(mail.is_sealed(one.content) for one in mail.filed(client, "Stand-in"))


def test_new_messages_that_come_into_another_folder(dovecot, notes):
    """As where a client gives the folder another name, and makes one anew, while the server keeps
    the first one selected. The UIDs that it tells are others' in this one."""
    user = dovecot.free_user()
    with (
        dovecot.client(user) as client,
        Rewriting(
            dovecot.imap, asked=lambda said: said.replace(b'APPEND "Work"', b'APPEND "Anew"')
        ) as proxy,
    ):
        for name in ("Work", "Anew"):
            client.create_folder(name)
        mail.fill(client, "Work", 6)
        before = mail.filed(client, "Work")
        client.delete_folder("Anew")  # so that UIDVALIDITY differs
        client.create_folder("Anew")
        with mail.mailbox(proxy.url, user, notes) as box:
            folder = next(one for one in box.folders() if one.name == "Work")
            found = [*folder.messages()]
            with pytest.raises(MailboxError, match="made anew") as caught:
                folder.replace([*mail.changes(folder, found[3:])])
        assert caught.value.code == "unavailable"
        assert mail.filed(client, "Work") == before


def test_an_old_message_that_stays_alone_is_not_to_go(server, user, client, notes):
    """A killed run had marked it for removal; then its owner removed the new one."""
    mail.put(client, "INBOX", mail.message(1), [b"\\Seen"])
    before = mail.filed(client)
    sealed = mail.seal(before[0].content)
    client.select_folder("INBOX")
    (uid,) = client.search("ALL")
    client.add_flags(uid, [b"\\Deleted"])
    validity = client.folder_status("INBOX", ["UIDVALIDITY"])[b"UIDVALIDITY"]
    hashes = [hashlib.sha256(one).digest() for one in (before[0].content, sealed)]
    row = Row(f"{validity}/{uid}", f"{validity}/{uid + 1}", *hashes, "1.mail", "removing")
    with mail.mailbox(server.url, user, notes) as box:
        folder = box.folders()[0]
        folder._journal.stage("INBOX", [row])
        folder.recover()
        assert folder._journal.unfinished("INBOX") == []
    assert mail.filed(client) == before


def test_folders_that_show_what_is_in_others(notes):
    """Dovecot marks its virtual folders by nothing. What is appended to one goes elsewhere, or
    nowhere."""
    settings = (
        "mail_plugins = virtual\nnamespace inbox {\n  separator = /\n}\n"
        "namespace views {\n  prefix = Views/\n  separator = /\n  list = yes\n"
        "  location = virtual:~/views:INDEX=~/views-index:CONTROL=~/views-control\n}\n"
    )
    with running("dovecot", settings=settings) as server, server.client(ALICE) as client:
        for name in ("B\u00fcro", "Work"):
            client.create_folder(name)
        views = server.folder / "mail" / ALICE / "views"
        shown = {"All": "*\n-Views/*\n", "Collected": "!INBOX\nB&APw-ro\nWork\n"}
        for name, others in shown.items():
            (views / name).mkdir(parents=True)
            (views / name / "dovecot-virtual").write_text(f"{others}  all\n")
            (views / name).chmod(0o777)
        names = ["INBOX", "B\u00fcro", "Work"]
        for number, name in enumerate(names):
            mail.fill(client, name, 2, first=2 * number)
        before = [mail.filed(client, name) for name in names]
        with mail.mailbox(server.url, ALICE, notes) as box:
            assert {"Views/All", "Views/Collected"} <= {one.name for one in box.folders()}
            assert mail.sweep(box, names={"Views/All", "Views/Collected"}) == []
            assert [mail.filed(client, name) for name in names] == before
            assert mail.results(mail.sweep(box)) == ["replaced"] * 6
        after = [mail.filed(client, name) for name in names]
        assert all(mail.is_sealed(one.content) for some in after for one in some)
        assert [mail.opened(some) for some in after] == before
