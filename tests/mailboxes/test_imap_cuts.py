"""A connection to a real IMAP server that is lost at any step: nothing is lost, and nothing is
there twice once the next run has ended."""

from __future__ import annotations

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


@pytest.fixture
def user(server):
    return server.free_user()


@pytest.fixture
def client(server, user):
    with server.client(user) as made:
        yield made


def run(server, user, notes):
    with mail.mailbox(f"imap://{server.cutting.place}/", user, notes) as box:
        return mail.results(mail.sweep(box, batch=4))


def empty(client):
    client.select_folder("INBOX")
    client.delete_messages(client.search("ALL"), silent=True)
    client.expunge()
    client.unselect_folder()


def emptied_and_filled(client, **options):
    empty(client)
    mail.fill(client, "INBOX", 6, **options)
    return mail.filed(client)


@pytest.mark.parametrize("message_id", [True, False])
@pytest.mark.parametrize("how", ["before", "half", "answer"])
def test_cut_at_each_step(server, user, client, tmp_path, how, message_id):
    cutting = server.cutting
    before = emptied_and_filled(client, message_id=message_id)
    cutting.mend()
    assert run(server, user, tmp_path / "uncut") == ["replaced"] * 6
    steps = cutting.turns
    assert steps > 20
    for step in range(1, steps + 1):
        emptied_and_filled(client, message_id=message_id)
        notes = tmp_path / f"notes{step}"
        cutting.cut(step, how)
        try:
            run(server, user, notes)
        except MailboxError as error:
            assert error.code == "unavailable", step
        assert cutting.is_cut, step
        left = [one.content for one in mail.opened(mail.filed(client))]
        assert {*left} == {one.content for one in before}, step
        cutting.mend()
        run(server, user, notes)
        after = mail.filed(client)
        assert all(mail.is_sealed(one.content) for one in after), step
        assert sorted(mail.opened(after)) == sorted(before), step
