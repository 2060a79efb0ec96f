"""Mailboxes in Dovecot's own formats, through doveadm."""

from __future__ import annotations

import os
import signal
import time

import pytest

from cmstream.mailboxes.errors import MailboxError
from helpers import imap_mail as mail
from helpers.servers.imap import running


@pytest.fixture(scope="module", params=["mdbox:~/mdbox", "sdbox:~/sdbox", "maildir:~/Maildir"])
def server(request):
    with running("dovecot", settings=f"mail_location = {request.param}\n") as made:
        made.dbox = f"dbox:{made.configuration}"
        yield made


def test_sealed_and_opened_again(server, notes):
    user = server.free_user()
    with server.client(user) as client:
        client.create_folder("Büro")
        mail.fill(client, "INBOX", 9)
        mail.fill(client, "Büro", 2)
        before = {name: mail.filed(client, name) for name in ("INBOX", "Büro")}
        with mail.mailbox(server.dbox, user, notes) as box:
            assert [one.name for one in box.folders()] == ["INBOX", "Büro"]
            assert mail.results(mail.sweep(box)) == ["replaced"] * 11
            assert mail.sweep(box) == []
        for name, filed in before.items():
            after = mail.filed(client, name)
            assert all(mail.is_sealed(one.content) for one in after)
            assert mail.opened(after) == filed
        with mail.mailbox(server.dbox, user, notes, task="open") as box:
            mail.sweep(box, make=mail.opened_content)
        assert {name: mail.filed(client, name) for name in before} == before


def test_long_messages(server, notes):
    """More than a socket holds at once."""
    user = server.free_user()
    with server.client(user) as client:
        for number in range(6):
            mail.put(client, "INBOX", mail.message(number, (b"0123456789" * 7 + b"\r\n") * 7000))
        before = mail.filed(client)
        with mail.mailbox(server.dbox, user, notes) as box:
            assert mail.results(mail.sweep(box)) == ["replaced"] * 6
        assert mail.opened(mail.filed(client)) == before


def test_what_is_filed_is_told_at_once(server, notes):
    user = server.free_user()
    with server.client(user) as client, mail.mailbox(server.dbox, user, notes) as box:
        mail.sweep(box)
        assert box.wait(0) == []
        mail.put(client, "INBOX", mail.message())
        assert box.wait(60) == ["INBOX"]


def test_a_program_that_is_killed(server, notes):
    """The next command starts another."""
    user = server.free_user()
    with server.client(user) as client:
        mail.fill(client, "INBOX", 4)
        before = mail.filed(client)
        with mail.mailbox(server.dbox, user, notes) as box:
            folder = box.folders()[0]
            changes = [*mail.changes(folder, [*folder.messages()])]
            append = folder._folder.append

            def killed(messages):
                append(messages)
                os.kill(box._session._process.pid, signal.SIGKILL)
                time.sleep(0.1)
                return []

            folder._folder.append = killed
            with pytest.raises(MailboxError) as caught:
                folder.replace(changes)
            assert caught.value.code == "unavailable"
            folder._folder.append = append
            assert len(mail.filed(client)) == 8
            assert mail.sweep(box) == []  # finished by what the journal says
        assert sorted(mail.opened(mail.filed(client))) == sorted(before)
        assert all(mail.is_sealed(one.content) for one in mail.filed(client))


def test_nobody_of_this_name(server, notes, monkeypatch):
    with pytest.raises(MailboxError) as caught, mail.mailbox(server.dbox, "bob@nowhere", notes):
        pass
    assert caught.value.code == "no-such-mailbox"
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MailboxError) as caught, mail.mailbox(server.dbox, "bob@nowhere", notes):
        pass
    assert caught.value.code == "needs-package"
