"""A connection to a real IMAP server that is lost at any step: nothing is lost, and nothing is
there twice once the next run has ended."""

from __future__ import annotations

import os
from itertools import count

import pytest

from cmstream.mailboxes.errors import MailboxError
from helpers import imap_mail as mail
from helpers.servers.cutting import Cutting
from helpers.servers.imap import running


@pytest.fixture(scope="module", params=["dovecot", "cyrus"])
def server(request):
    with running(request.param) as made:
        made.cutting = Cutting(made.imap)
        yield made
        made.cutting.stop()


WAYS = ["before", "half", "answer"]
APART = int(os.environ.get("CMSTREAM_CUTS_APART", "6"))
"""How many steps lie between two cuts of one way; the other ways cut between them."""


def run(server, user, notes):
    with mail.mailbox(f"imap://{server.cutting.place}/", user, notes) as box:
        return mail.results(mail.sweep(box, batch=4))


def empty(client):
    client.select_folder("INBOX")
    client.delete_messages(client.search("ALL"), silent=True)
    client.expunge()
    client.unselect_folder()


def look(server, user):
    with server.client(user) as client:
        return mail.filed(client)


def fill(server, user, *, message_id):
    with server.client(user) as client:
        empty(client)
        mail.fill(client, "INBOX", 6, message_id=message_id)
        return mail.filed(client)


def check(server, tmp_path, how, *, message_id=True):
    """A cut at one step and at later ones, until a run has no such step."""
    user, cutting = server.free_user(), server.cutting
    for step in count(1 + WAYS.index(how) % APART, APART):
        before = fill(server, user, message_id=message_id)
        notes = tmp_path / f"notes{step}"
        cutting.cut(step, how)
        try:
            run(server, user, notes)
        except MailboxError as error:
            assert error.code == "unavailable", step
        if not cutting.is_cut:
            break
        left = {one.content for one in mail.opened(look(server, user))}
        assert left == {one.content for one in before}, step
        cutting.mend()
        run(server, user, notes)
        after = look(server, user)
        assert all(mail.is_sealed(one.content) for one in after), step
        assert sorted(mail.opened(after)) == sorted(before), step
    assert step > 25


@pytest.mark.parametrize("how", WAYS)
def test_cut_at_each_step(server, tmp_path, how):
    check(server, tmp_path, how)


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS)
def test_mail_without_a_message_id(server, tmp_path, how):
    check(server, tmp_path, how, message_id=False)
