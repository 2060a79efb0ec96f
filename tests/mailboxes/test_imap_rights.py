"""Folders on real IMAP servers in which a user may do some things, and others not: each is left as
it is, and says why; what a server refuses only when it is asked is done once at most."""

from __future__ import annotations

import pytest

from cmstream.mailboxes.errors import MailboxError
from helpers import imap_mail as mail
from helpers.servers.imap import running

ALICE = "user39@example.org"
ALL = "lrswipkxtea"
ACL = "mail_plugins = acl\nplugin {\n  acl = vfile\n}\n"
TOLD = ACL + "protocol imap {\n  mail_plugins = acl imap_acl\n}\n"
"""As another user than the owner needs it, who may ask for the rights."""


@pytest.fixture(scope="module", params=["dovecot", "cyrus"])
def server(request):
    settings = TOLD if request.param == "dovecot" else ""
    with running(request.param, settings=settings) as made:
        yield made


def run(url, user, notes, folder="Work"):
    with mail.mailbox(url, user, notes) as box:
        return mail.sweep(box, names={folder})


def filled(client, count=4):
    client.create_folder("Work")
    mail.fill(client, "Work", count)
    return mail.filed(client, "Work")


@pytest.mark.parametrize("lacking", ["i", "t", "e", "s", "w", "te", "swite"])
def test_a_right_that_is_lacking(server, user, client, notes, lacking):
    """The next folder has its turn, on the same connection."""
    before = filled(client)
    mail.fill(client, "INBOX", 2)
    rights = "".join(one for one in ALL if one not in lacking)
    client._imap.setacl("Work", user, rights)
    with mail.mailbox(server.url, user, notes) as box:
        with pytest.raises(MailboxError, match="give user") as caught:
            mail.sweep(box, names={"Work"})
        assert caught.value.code == "permission-denied"
        assert mail.results(mail.sweep(box, names={"INBOX"})) == ["replaced"] * 2
    client._imap.setacl("Work", user, ALL)
    assert mail.filed(client, "Work") == before
    assert mail.results(run(server.url, user, notes)) == ["replaced"] * 4
    assert mail.opened(mail.filed(client, "Work")) == before


def test_sent_mail_that_can_only_be_read_is_no_hindrance(server, user, client, notes):
    """To a watch, which waits for word of it; nor is it looked at again and again."""
    if server.kind == "cyrus":
        client._imap._simple_command("CREATE", "Sent", "(USE (\\Sent))")
    else:
        client.create_folder("Sent")
    client._imap.setacl("Sent", user, "lra")
    with mail.mailbox(server.url, user, notes) as box:
        mail.sweep(box, names={"INBOX"})
        mail.put(client, "INBOX", mail.message())
        assert "INBOX" in box.wait(0.2)
        mail.sweep(box, names={"INBOX"})
        assert box.wait(0.2) == ["INBOX"]  # its own new message
        mail.sweep(box, names={"INBOX"})
        assert box.wait(0.2) == []


@pytest.fixture(scope="module")
def silent():
    """A server that doesn't tell the rights: Dovecot without its plugin imap_acl."""
    with running("dovecot", settings=ACL) as made:
        yield made


def allow(server, user, rights):
    folder = server.folder / "mail" / user / "Maildir" / ".Work"
    (folder / "dovecot-acl").write_text(f"owner {rights}\n")


def test_what_is_not_let_go_is_sealed_once(silent, notes):
    user = silent.free_user()
    with silent.client(user) as client:
        before = filled(client)
        allow(silent, user, "lrswit")
        for _ in range(3):
            outcomes = run(silent.url, user, notes)
            assert mail.results(outcomes) == ["failed"] * 4
            assert all("be removed" in one.why for one in outcomes)
            found = mail.filed(client, "Work")
            assert mail.opened(found) == before * 2
            assert [mail.is_sealed(one.content) for one in found] == [False] * 4 + [True] * 4
        allow(silent, user, "lrswite")
        assert run(silent.url, user, notes) == []
        after = mail.filed(client, "Work")
        assert all(mail.is_sealed(one.content) for one in after)
        assert mail.opened(after) == before


def test_flags_that_a_new_message_does_not_get(silent, notes):
    """The message stays, with its flags."""
    user = silent.free_user()
    with silent.client(user) as client:
        before = filled(client)
        allow(silent, user, "lrsite")
        outcomes = run(silent.url, user, notes)
        assert mail.results(outcomes) == ["replaced"] * 2 + ["failed"] * 2
        assert all("flags" in one.why for one in outcomes[2:])
        assert sorted(mail.opened(mail.filed(client, "Work"))) == sorted(before)
        allow(silent, user, "lrswite")
        assert mail.results(run(silent.url, user, notes)) == ["replaced"] * 2
        assert sorted(mail.opened(mail.filed(client, "Work"))) == sorted(before)
