"""``cmstream mailbox`` with mailboxes on an IMAP server, as an administrator and as an owner."""

from __future__ import annotations

import json
import os
import signal

import pytest

from cmstream import is_encrypted
from helpers import imap_mail as mail
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.mailboxes import started
from helpers.servers.imap import running
from helpers.servers.place import wait

YES = "--yes-the-owner-has-the-key"


@pytest.fixture(scope="module")
def server():
    with running("dovecot") as made:
        yield made


@pytest.fixture
def users(server, store, alice):
    """Two of the server's, with accounts, whose key is Alice's."""
    found = [server.free_user(), server.free_user()]
    for address in found:
        store.add_account(address, by=ADMINISTRATOR)
        store.import_certificates(
            address, alice.recipient.pem, by=ADMINISTRATOR, confirm_mismatch=True
        )
        store.change_account(address, by=ADMINISTRATOR, cipher="aes256-cbc", encrypt_on_append=True)
    return found


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("x\n")
    return path


def stored(server, user):
    with server.client(user) as client:
        return mail.filed(client)


def fill(server, user, count):
    with server.client(user) as client:
        mail.fill(client, "INBOX", count)
        return mail.filed(client)


def test_a_master_seals_everybodys_and_the_owner_opens(cmstream, server, users, secret, key):
    before = {user: fill(server, user, 4) for user in users}
    master = ["--master", "admin", "--password-file", secret]
    names = [word for user in users for word in ("--for", user)]
    code, out, err = cmstream("seal", YES, "--json", *master, *names, server.url)
    assert (code, json.loads(out)["replaced"]) == (0, 8), err
    for user in users:
        assert all(is_encrypted(one.content) for one in stored(server, user))
    code, out, _ = cmstream("seal", YES, "--json", *master, *names, server.url)
    assert (code, json.loads(out)["messages"]) == (0, 0)
    (one, _) = users
    own = ["--imap-password-file", secret, "-k", key, "--for", one]
    code, out, err = cmstream("open", "--json", *own, server.url)
    assert (code, json.loads(out)["replaced"]) == (0, 4), err
    assert not any(is_encrypted(one.content) for one in stored(server, one))
    assert [(x.flags, x.date) for x in stored(server, one)] == [
        (x.flags, x.date) for x in before[one]
    ]


def test_a_wrong_password(cmstream, server, users, tmp_path):
    (tmp_path / "wrong").write_text("another\n")
    words = ["--password-file", tmp_path / "wrong", "--for", users[0], server.url]
    code, out, err = cmstream("seal", YES, *words)
    assert (code, out) == (os.EX_NOPERM, "")
    assert "[sign-in-failed]" in err
    assert "another" not in err


def test_a_port_that_does_not_begin_with_tls_is_named(cmstream, server, users, secret):
    url = server.url.replace("imap://", "imaps://")
    code, _, err = cmstream("seal", YES, "--password-file", secret, "--for", users[0], url)
    assert code == os.EX_TEMPFAIL
    assert "imap:// is for STARTTLS" in err


def test_opening_names_its_own_option_for_the_password(cmstream, server, users, key):
    code, _, err = cmstream("open", "--for", users[0], "-k", key, server.url)
    assert code == os.EX_NOPERM
    assert "--imap-password-file" in err


def test_watch(sqlite_url, server, users, secret, notes):
    (one, _) = users
    fill(server, one, 2)
    words = [YES, "--watch", "--password-file", secret, "--for", one, server.url]
    process = started(sqlite_url, notes, *words)

    def sealed(count):
        # Of one that is removed while it is fetched nothing comes.
        found = [one.content and is_encrypted(one.content) for one in stored(server, one)]
        return process.poll() is not None or (len(found) == count and all(found))

    wait(lambda: sealed(2))
    fill(server, one, 2)
    wait(lambda: sealed(4))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert out.startswith("4 messages were sealed"), out


def test_watch_of_several_sees_what_comes_into_the_folder_selected_last(
    sqlite_url, server, users, secret, notes
):
    """A server may tell by STATUS what was in it when it was selected."""
    for user in users:
        with server.client(user) as client:
            client.create_folder("Sent")
    names = [word for user in users for word in ("--for", user)]
    words = [YES, "--watch", "--master", "admin", "--password-file", secret, *names, server.url]
    process = started(sqlite_url, notes, *words)

    def sealed(user, count):
        with server.client(user) as client:
            found = [
                one.content and is_encrypted(one.content) for one in mail.filed(client, "Sent")
            ]
        return process.poll() is not None or (len(found) == count and all(found))

    for count in (1, 2, 3):
        for user in users:
            with server.client(user) as client:
                mail.put(client, "Sent", mail.message(count), [])
        for user in users:
            wait(lambda user=user, count=count: sealed(user, count))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert out.startswith("6 messages were sealed"), out


def test_an_account_that_the_server_does_not_know_is_left(cmstream, store, server, users, secret):
    store.add_account("nobody@example.com", by=ADMINISTRATOR)
    certificate = pem(emails=("nobody@example.com",))
    store.import_certificates("nobody@example.com", certificate, by=ADMINISTRATOR)
    store.change_account("nobody@example.com", by=ADMINISTRATOR, cipher="aes256-cbc")
    names = ["--for", "nobody@example.com", "--for", users[0]]
    fill(server, users[0], 1)
    master = ["--master", "admin", "--password-file", secret]
    code, out, _ = cmstream("seal", YES, "--json", *master, *names, server.url)
    facts = json.loads(out)
    assert facts["replaced"] == 1
    assert facts["accounts_left"].keys() == {"nobody@example.com"}
    assert code == os.EX_TEMPFAIL  # Dovecot says no more than that it is unavailable
